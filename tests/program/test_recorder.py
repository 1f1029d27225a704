"""Replays compute what array-api-strict computes; errors name what can't be recorded, and its line."""

import gc
import math
import random
import weakref
from unittest import mock

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from xpnet.backends import array_namespace
from xpnet.program import NotRecordable, plan as planning, record
from xpnet.program.numpy import Replay
from xpnet.program.recorded_values import ELEMENTWISE, contiguous
from xpnet.program.recorder import leaves, mapped

# --- random expressions

INPUTS = {
    "X": ((4, 5), "float"), "v": ((5,), "float"), "W": ((4, 1), "float"), "s": ((), "float"), "T": ((2, 3, 4), "float"),
    "i": ((4, 5), "int32"), "j": ((5,), "int64"), "b": ((4, 1), "bool"), "u": ((5,), "uint8"),
}  # fmt: skip

FLOATS = (
    "abs acos acosh asin asinh atan atanh ceil cos cosh exp expm1 floor log log10 log1p log2 negative positive "
    "reciprocal sign sin sinh sqrt square tan tanh trunc isfinite isinf isnan signbit"
).split()
DOMAINS = {
    **{name: lambda xp, x: x / (1.0 + xp.abs(x)) for name in ("acos", "asin", "atanh", "exp", "expm1", "cosh", "sinh")},
    **{name: lambda xp, x: xp.abs(x) + 1.0 for name in ("acosh", "log", "log10", "log1p", "log2", "sqrt", "tan")},
    "reciprocal": lambda xp, x: xp.abs(x) + 1.0,
}
"""What is applied to an operand first, so that the result is finite and well-conditioned."""
PAIRS_OF_FLOATS = "add subtract multiply maximum minimum divide hypot logaddexp atan2 copysign".split()
PAIRS_OF_INTEGERS = (
    "add subtract multiply maximum minimum bitwise_and bitwise_or bitwise_xor equal less greater_equal".split()
)
PAIRS_OF_BOOLS = "logical_and logical_or logical_xor equal not_equal bitwise_or".split()


def dtype_of(x):
    return np.dtype(str(x.dtype).rpartition(".")[2])


def kind(x):
    return dtype_of(x).kind.replace("u", "i")


def promote(x, y):
    """Whether the standard has a common dtype: unsigned integers of 64 bits have none with signed ones."""
    return kind(x) == kind(y) == np.promote_types(dtype_of(x), dtype_of(y)).kind.replace("u", "i")


def unary(xp, x, y, k):
    """An elementwise function of one array."""
    if kind(x) == "b":
        return (xp.logical_not(x), ~x)[k % 2]
    if kind(x) == "i":
        return (xp.bitwise_invert(x), xp.square(x), x + 1, 3 - x, x * 2, x > 1)[k % 6]
    name = FLOATS[k % len(FLOATS)]
    return getattr(xp, name)(DOMAINS[name](xp, x) if name in DOMAINS else x)


def binary(xp, x, y, k):
    """An elementwise function of two arrays of one kind that can be broadcast."""
    y = y if promote(x, y) and fits(x, y) else x
    names = {"f": PAIRS_OF_FLOATS, "i": PAIRS_OF_INTEGERS, "b": PAIRS_OF_BOOLS}[kind(x)]
    name = names[k % len(names)]
    return x / (1.0 + xp.abs(y)) if name == "divide" else getattr(xp, name)(x, y)


def with_numbers(xp, x, y, k):
    """Python's numbers, which take the array's dtype."""
    if kind(x) != "f":
        return unary(xp, x, y, k)
    return (
        lambda: 0.5 - x, lambda: x * 3, lambda: x**2, lambda: 1 / (2.0 + xp.abs(x)), lambda: xp.maximum(x, 0.25),
        lambda: xp.clip(x, min=-0.5, max=0.5), lambda: xp.where(x > 0.0, x, -0.1 * x),
        lambda: xp.where(x < 0.0, 1.0 - x, 0.5),
    )[k % 8]()  # fmt: skip


def reduction(xp, x, y, k):
    """Over all axes, one, or two."""
    axes = [None, *range(-x.ndim, x.ndim), *([(0, x.ndim - 1)] if x.ndim > 1 else [])]
    axis, keepdims, k = axes[k % len(axes)], bool(k // 7 % 2), k // 14
    if kind(x) == "b":
        return (xp.all, xp.any)[k % 2](x, axis=axis, keepdims=keepdims)
    names = ("sum", "prod", "max", "min", *(("mean",) if kind(x) == "f" else ()))
    name = names[k % len(names)]
    x = x / (1.0 + xp.abs(x)) if name == "prod" and kind(x) == "f" else x
    return getattr(xp, name)(x, axis=axis, keepdims=keepdims)


def product(xp, x, y, k):
    """Matrix products, also with vectors and of stacks."""
    if kind(x) != "f" or x.ndim == 0:
        return unary(xp, x, y, k)
    x = x / (1.0 + xp.abs(x))
    if k % 3 == 0 or x.ndim == 1:
        return xp.vecdot(x, x[..., ::-1])
    return xp.matmul(x, xp.matrix_transpose(x)) if k % 3 == 1 else xp.matmul(xp.matrix_transpose(x), x)


def view(xp, x, y, k):
    """A view of an array, or the array in another shape."""
    n = x.ndim
    views = [lambda: xp.reshape(x, (-1,)), lambda: xp.expand_dims(x, axis=k % (n + 1)), lambda: x[None, ...],
             lambda: xp.broadcast_to(x, (2, *x.shape))]  # fmt: skip
    if n:
        views += [lambda: xp.permute_dims(x, tuple(reversed(range(n)))), lambda: xp.flip(x, axis=k % n),
                  lambda: x[0, ...],
                  lambda: x[..., -1], lambda: xp.moveaxis(x, 0, -1), lambda: x[(slice(None, None, -2), ...)],
                  lambda: x[1:, ...] if x.shape[0] > 1 else x, lambda: xp.squeeze(x[:1, ...], axis=0)]  # fmt: skip
    return views[k % len(views)]()


def arranged(xp, x, y, k):
    """New arrays, of other elements or of copies."""
    y = y if promote(x, y) else x
    flat = xp.reshape(x, (-1,))
    return (
        lambda: xp.concat([flat, xp.reshape(y, (-1,))]), lambda: xp.stack([x, x], axis=k % (x.ndim + 1)),
        lambda: xp.concat([xp.expand_dims(x, axis=-1)] * 2, axis=-1), lambda: xp.zeros_like(x), lambda: xp.ones_like(x),
        lambda: xp.take(flat, xp.asarray([0, flat.shape[0] - 1, 0]), axis=0),
        lambda: xp.full_like(x, 1) if kind(x) != "b" else x, lambda: xp.concat([x, y], axis=None),
    )[k % 8]()  # fmt: skip


def other_dtype(xp, x, y, k):
    """The array in another dtype."""
    return (
        xp.astype(x, (xp.float32, xp.float64, xp.int32, xp.bool)[k % 4])
        if kind(x) != "f"
        else xp.astype(x > 0.0, x.dtype)
    )


OPERATIONS = (unary, binary, binary, with_numbers, reduction, product, view, view, arranged, other_dtype)


def fits(x, y):
    try:
        return np.broadcast_shapes(x.shape, y.shape) is not None
    except ValueError:
        return False


def evaluated(xp, steps, inputs):
    """All values of an expression, each of which may use those before it."""
    values = list(inputs)
    for operation, i, j, k in steps:
        x, y = values[i % len(values)], values[j % len(values)]
        value = OPERATIONS[operation](xp, x, y, k)
        values.append(x if math.prod(value.shape) > 5000 else value)
    return values


def numbers(dtype):
    """The inputs: eighths, so that sums of a few are exact."""
    rng = np.random.default_rng(1)
    found = {}
    for name, (shape, of) in INPUTS.items():
        a = rng.integers(-16, 16, shape)
        found[name] = np.array(a / 8.0, dtype) if of == "float" else np.array(a % 5, of)
    return list(found.values())


STEP = st.tuples(st.integers(0, len(OPERATIONS) - 1), *[st.integers(0, 1000)] * 3)


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.lists(STEP, min_size=1, max_size=14),
    st.sampled_from([1, 3, 8, 64, 1 << 17]),
    st.sampled_from(["float32", "float64"]),
    st.sets(st.integers(0, 14), max_size=4),
    st.booleans(),
)
def test_a_replay_computes_what_array_api_strict_computes(steps, block, dtype, kept, overwrite):
    """Values and dtypes agree for blocks of any size, long vectors in parts, memory with any previous content, and
    outputs in place of inputs.
    """
    inputs = numbers(dtype)

    def function(*arrays):
        new = evaluated(array_namespace(arrays[0]), steps, arrays)[len(arrays) :]
        return [new[k] for k in sorted(kept) if k < len(new)] or new[-1:]

    with np.errstate(all="ignore"), mock.patch.object(planning, "BLOCK", block):
        theirs = [strict.asarray(a.copy()) for a in inputs]
        values, expected = evaluated(strict, steps, theirs), [np.asarray(x) for x in function(*theirs)]
        overwrites = {}
        for k, wanted in enumerate(expected if overwrite else ()):
            for j, a in enumerate(inputs):
                if (a.shape, a.dtype) == (wanted.shape, wanted.dtype) and j not in overwrites.values():
                    overwrites.setdefault(k, j)
        replay = Replay(planning.plan(record(function, *inputs), overwrites), inputs)
        size = max([1.0, *(np.abs(np.asarray(x)).max() for x in values if kind(x) == "f")])
        eps = max(np.finfo(dtype).eps, *(np.finfo(dtype_of(x)).eps for x in values if kind(x) == "f"))
        for _ in range(1 if overwrites else 2):
            replay.memory[...] = 0xFF
            replay()
            for k, wanted in enumerate(expected):
                for found in (replay.outputs[k], *([inputs[overwrites[k]]] if k in overwrites else [])):
                    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
                    np.testing.assert_allclose(found, wanted, rtol=100 * eps, atol=100 * eps * size)


# --- programs


def step(theta, X, y, rate):
    """Logistic regression: a step of gradient descent."""
    xp = array_namespace(X)
    A = 1.0 / (1.0 + xp.exp(-(X @ theta)))
    return theta - rate * (xp.matrix_transpose(X) @ (A - y)) / X.shape[0]


def example(m=8, n=3):
    return np.zeros(n), np.zeros((m, n)), np.zeros(m), np.float64(0.1)


def test_a_program_prints_operations_shapes_dtypes_and_lines():
    lines = str(record(step, *example())).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["%0", "%1", "%2", "%3"]
    assert lines[0].split() == ["%0", "=", "input(0)", "float64[3]"]
    (product,) = [line for line in lines if "matmul(%1, %0)" in line]
    assert "float64[8]" in product
    assert product.endswith(f"program/test_recorder.py:{step.__code__.co_firstlineno + 3}, step")
    assert lines[-1].rstrip().endswith("-> output 0")
    assert not [line for line in lines if "= constant" in line]  # numbers stand where they are used
    assert any("divide(1, " in line for line in lines)


def test_flops_are_counted_exactly():
    program = record(step, *example(m=8, n=3))
    products = 2 * 8 * 3 + 2 * 8 * 3
    elementwise = 4 * 8 + 8 + 3 + 3 + 3  # - z, e^, 1 +, 1 /; a - y; rate *, / m, theta -
    assert program.product_flops == products
    assert program.flops == products + elementwise


def test_the_same_operation_on_the_same_operands_is_one():
    program = record(lambda x: (x + 1.0, x + 1.0, (x * x) + (x * x)), np.zeros(3))
    assert [v.operation for v in program.values if v.operands] == ["add", "multiply", "add"]
    assert program.outputs[0] is program.outputs[1]


def test_zeros_and_ones_are_float64_by_default():
    def function(x):
        xp = array_namespace(x)
        return xp.zeros(3), xp.ones(()), xp.zeros(3, dtype=None), xp.ones(3, dtype=xp.int32)

    assert [x.dtype.name for x in record(function, np.zeros(3)).outputs] == ["float64"] * 3 + ["int32"]


def test_minus_zero_differs_from_zero():
    program = record(lambda x: (x * 0.0, x * -0.0), np.zeros(3))
    assert [v.data.item() for v in program.values if v.data is not None] == [0.0, -0.0]
    assert len(set(map(id, program.outputs))) == 2


def test_results_keep_their_nesting():
    program = record(lambda x: ((x + 1.0, None), [x, 2.5]), np.zeros(3))
    nested = mapped(lambda a: a.shape, program.results)
    assert nested == (((3,), None), [(3,), 2.5])
    assert len(program.outputs) == len(list(leaves(program.results))) == 2


def test_a_program_is_freed_without_garbage_collection():
    gc.disable()
    try:
        program = weakref.ref(record(lambda x: (x + 1.0) @ x, np.zeros((3, 3))))
        assert program() is None
    finally:
        gc.enable()


def test_arrays_of_the_host_are_constants():
    table = np.arange(3.0)
    program = record(lambda x: x + table, np.zeros((2, 3)))
    (constant,) = [v for v in program.values if v.operation == "constant"]
    assert constant.data is table


def test_every_elementwise_function_is_in_numpy_and_in_the_standard():
    for name, ufunc in ELEMENTWISE.items():
        assert isinstance(ufunc, np.ufunc)
        assert hasattr(strict, name)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_strides_of_contiguous_arrays(shape):
    a = np.zeros(shape, np.uint8)
    if a.size:
        assert contiguous(shape) == a.strides


# --- errors

REFUSED = {
    "sort": (lambda x: array_namespace(x).sort(x), r"xp\.sort can't be recorded"),
    "bool": (lambda x: x if x[0] > 0.0 else -x, "the value of an array"),
    "float": (lambda x: x * float(x[0]), "the value of an array"),
    "numpy": (lambda x: np.exp(x), None),
    "asarray": (lambda x: np.asarray(x), "the value of an array"),
    "mask": (lambda x: x[x > 0.0], "an index that is a Recorded"),
    "list": (lambda x: x[[0, 1]], "an index that is a list"),
    "setitem": (lambda x: x.__setitem__(0, 1.0), "the value of an array"),
    "vecdot": (lambda x: array_namespace(x).vecdot(x[:, None], x[:, None], axis=0), "over axis 0"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_errors_name_what_can_not_be_recorded_and_its_line(what):
    function, message = REFUSED[what]
    with pytest.raises(TypeError, match=message) as caught:
        record(function, np.zeros(3))
    if message is not None:
        assert isinstance(caught.value, NotRecordable)
        assert f"test_recorder.py:{function.__code__.co_firstlineno}" in str(caught.value)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[5], lambda x: x[0, 0], lambda x: array_namespace(x).reshape(x, (2, 2)), lambda x: x @ x[:2],
        lambda x: array_namespace(x).sum(x, axis=1), lambda x: array_namespace(x).concat([x[None, :], x[:, None]]),
        lambda x: x + array_namespace(x).zeros(4), lambda x: array_namespace(x).max(x[:0]),
        lambda x: array_namespace(x).broadcast_to(x, (4,)), lambda x: array_namespace(x).permute_dims(x, (1, 0)),
    ],
)  # fmt: skip
def test_wrong_calls_raise_errors_when_they_are_recorded(function):
    with pytest.raises((ValueError, IndexError)):
        record(function, np.zeros(3))


def test_an_array_of_another_recording_is_refused():
    kept = []
    record(lambda x: kept.append(x) or x, np.zeros(3))
    with pytest.raises(NotRecordable, match="an array of another recording"):
        record(lambda x: x + kept[0], np.zeros(3))


def test_random_numbers_of_the_host_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(NotRecordable, match="random numbers of the host can't be recorded"):
        record(lambda x: x * rng.uniform(), np.zeros(3))


@pytest.mark.parametrize(
    "draw", [np.random.default_rng(0).uniform, np.random.uniform, random.random, lambda: random.Random(0).random()]
)
def test_a_random_choice_with_the_same_result_twice_is_refused_too(draw):
    """Whatever the numbers are, drawing them has changed the generator."""

    def chosen(x):
        return x if draw() < 2.0 else x + 1.0

    if draw.__name__ == "<lambda>":  # the same numbers each time
        record(chosen, np.zeros(3))
        return
    with pytest.raises(NotRecordable, match="random numbers of the host can't be recorded"):
        record(chosen, np.zeros(3))


def test_a_function_that_changes_between_calls_is_refused():
    calls = []
    with pytest.raises(NotRecordable, match="does something else when it is called again"):
        record(lambda x: calls.append(1) or (x + 1.0 if len(calls) == 1 else x), np.zeros(3))


def test_programs_with_other_constants_have_another_identity():
    """Even if they print the same, as numbers are printed with nine digits and arrays not at all."""
    x = np.zeros(3)

    def identity(number, array):
        return record(lambda x: x * number + array_namespace(x).asarray(array), x).identity

    same = identity(0.1, [1.0, 2.0, 3.0])
    assert same == identity(0.1, [1.0, 2.0, 3.0])
    assert same != identity(0.1 + 1e-12, [1.0, 2.0, 3.0])
    assert same != identity(0.1, [1.0, 2.0, 4.0])


def test_programs_with_other_views_or_outputs_have_another_identity():
    identities = [record(f, np.zeros(3)).identity for f in (lambda x: x[:2] + 1.0, lambda x: x[1:] + 1.0)]
    identities += [record(f, np.zeros(3)).identity for f in (lambda x: (x + 1.0, x), lambda x: (x, x + 1.0))]
    assert len(set(identities)) == 4
