"""The three seams: one definition gives the same result whoever runs it."""

import numpy as np
import pytest

from xpnet.backends import compile_step, composite, elementwise, namespace, rowwise, to_numpy


@elementwise
def chain(xp, Z, b, c):
    """A row, a number and a comparison."""
    return xp.tanh(Z + b) * c + xp.astype(Z > 0.0, Z.dtype)


@elementwise
def pair(xp, Z, b):
    """Two results."""
    return Z * b, Z - b


@rowwise
def softmax(xp, Z):
    """Rows that depend on themselves alone."""
    E = xp.exp(Z - xp.max(Z, axis=-1, keepdims=True))
    total = xp.sum(E, axis=-1, keepdims=True)
    return E / total, xp.log(total)


@composite
def product(xp, A, B):
    """A B^T, and its columns' sums."""
    C = xp.matmul(A, xp.matrix_transpose(B))
    return C, xp.sum(C, axis=0)


@pytest.fixture
def arrays(library, dtype, rng):
    """A matrix, a row, and both on the host."""
    host = rng.normal(size=(5, 3)).astype(dtype), rng.normal(size=3).astype(dtype)
    return *(library.asarray(a, dtype) for a in host), *host


def test_an_elementwise_definition_gives_the_same_everywhere(library, arrays, dtype):
    Z, b, host_Z, host_b = arrays
    result = chain(Z, b, 0.5)
    assert library.owns(result)
    assert result.dtype == getattr(library.xp, dtype)
    np.testing.assert_allclose(to_numpy(result), chain.definition(np, host_Z, host_b, 0.5), rtol=2e-6)


def test_several_results_come_as_a_tuple(library, arrays):
    Z, b, host_Z, host_b = arrays
    results = pair(Z, b)
    assert isinstance(results, tuple)
    for result, expected in zip(results, pair.definition(np, host_Z, host_b), strict=True):
        np.testing.assert_allclose(to_numpy(result), expected, rtol=2e-6)


def test_parts_are_joined_in_their_order(library, arrays):
    Z, b, host_Z, host_b = arrays
    joined = pair.join([(Z, b), (Z[:2, :], 2.0), (Z[:0, :], 1.0)])
    for i, result in enumerate(joined):
        expected = np.concatenate([pair.definition(np, host_Z, host_b)[i], pair.definition(np, host_Z[:2], 2.0)[i]])
        assert library.owns(result)
        np.testing.assert_allclose(to_numpy(result), expected, rtol=2e-6)


def test_a_rowwise_definition_gives_the_same_everywhere(library, arrays):
    Z, _, host_Z, _ = arrays
    for result, expected in zip(softmax(Z), softmax.definition(np, host_Z), strict=True):
        assert library.owns(result)
        np.testing.assert_allclose(to_numpy(result), expected, rtol=2e-6)


def test_results_may_go_onto_arrays_that_are_done_with(library, arrays):
    Z, b, host_Z, host_b = arrays
    mine = library.xp.asarray(Z, copy=True), library.xp.asarray(Z, copy=True)
    results = pair.join([(mine[0][:2, :], b), (mine[0][2:, :], b)], mine)
    for result, expected in zip(results, pair.definition(np, host_Z, host_b), strict=True):
        assert library.owns(result)
        np.testing.assert_allclose(to_numpy(result), expected, rtol=2e-6)
    np.testing.assert_array_equal(to_numpy(Z), host_Z)


def test_a_composite_gives_the_same_everywhere(library, arrays):
    Z, _, host_Z, _ = arrays
    C, sums = product(Z, Z)
    assert library.owns(C)
    np.testing.assert_allclose(to_numpy(C), host_Z @ host_Z.T, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(to_numpy(sums), (host_Z @ host_Z.T).sum(axis=0), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("shuffled", [True, False])
def test_steps_give_the_same_everywhere(library, arrays, rng, shuffled):
    Z, _, host_Z, _ = arrays
    table = np.asarray([[0.5, 2.0], [0.25, -1.0], [4.0, 0.5]])

    def step(carry, batch, scalars, owned):
        total, cost = carry
        rows, nothing = batch
        assert nothing is None
        return total * scalars[0] + product(Z, rows)[1][0], cost + scalars[1]

    run = compile_step(step, (Z, None), Z)
    order = rng.permutation(5) if shuffled else range(5)
    total, cost = Z[0, 0] * 0.0, Z[0, 0] * 0.0
    results = run((total, cost), order, 2, table)
    again = run((total, cost), order, 2, table)
    expected = 0.0
    for i in range(3):
        expected = expected * table[i, 0] + (host_Z @ host_Z[list(order)[2 * i : 2 * i + 2]].T).sum(axis=0)[0]
    assert [float(r) for r in results] == [float(r) for r in again]
    np.testing.assert_allclose([float(r) for r in results], [expected, 1.5], rtol=1e-5)
    assert (float(total), float(cost)) == (0.0, 0.0)


def test_no_argument_is_written_to(library, arrays):
    Z, b, host_Z, host_b = arrays
    chain(Z, b, 0.5), pair.join([(Z, b), (Z, b)]), product(Z, Z)
    np.testing.assert_array_equal(to_numpy(Z), host_Z)
    np.testing.assert_array_equal(to_numpy(b), host_b)


def test_the_namespace_is_array_api_compats(library):
    xp = namespace(library.asarray([1.0]))
    assert xp is library.xp
    for name in ("astype", "matrix_transpose", "vecdot", "take", "isdtype"):
        assert hasattr(xp, name)


def test_a_definition_has_one_object_and_keeps_its_name():
    assert elementwise(chain.definition) is chain
    assert (chain.__name__, chain.__doc__) == ("chain", "A row, a number and a comparison.")
    assert (product.__name__, product.__doc__) == ("product", "A B^T, and its columns' sums.")


def test_zero_dimensional_arrays_are_arrays_too(library, dtype):
    z = library.xp.sum(library.asarray([0.5, 0.25], dtype))
    np.testing.assert_allclose(to_numpy(chain(z, z, 1.0)), np.tanh(1.5) + 1.0, rtol=1e-6)


def test_definitions_as_they_stand_for_one_thread_alone(monkeypatch):
    """Inside the context no lowering runs; another thread, and what comes after, has them."""
    import threading

    from xpnet.backends import definitions_as_they_stand, seams

    calls = []
    lowered = seams._way(np.ones(1))
    counted = lowered._replace(elementwise=lambda *given: calls.append(1) or lowered.elementwise(*given))
    monkeypatch.setitem(seams._WAYS, np.ndarray, counted)
    Z = np.linspace(-2.0, 2.0, 12).reshape(4, 3)
    expected = chain(Z, Z[0], 0.5)
    assert len(calls) == 1
    with definitions_as_they_stand():
        with definitions_as_they_stand():
            np.testing.assert_allclose(chain(Z, Z[0], 0.5), expected)
        np.testing.assert_allclose(chain(Z, Z[0], 0.5), expected)
        assert len(calls) == 1
        other = threading.Thread(target=chain, args=(Z, Z[0], 0.5))
        other.start()
        other.join()
        assert len(calls) == 2
    chain(Z, Z[0], 0.5)
    assert len(calls) == 3
    assert seams._watchers == []
