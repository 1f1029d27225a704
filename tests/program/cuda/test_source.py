"""Generated kernels: run on the host, compared with the definitions, and compiled for GPUs."""

import re
from dataclasses import replace

import numpy as np
import pytest

from xpnet import Adam, AdamW, Dense, Dropout, GradientDescent, Model, Momentum, PReLU, Sequential
from xpnet.backends import array_namespace, get_backend
from xpnet.equations import activations, losses
from xpnet.program import NotRecordable, may_replay
from xpnet.program.cuda import indices, reductions
from xpnet.program.cuda.lowering import lowered
from xpnet.program.cuda.memory import Kernel
from xpnet.program.cuda.source import source
from xpnet.program.numpy import Replay as NumPyReplay
from xpnet.program.plan import plan
from xpnet.program.recorded_values import ELEMENTWISE
from xpnet.program.recorder import leaves, record
from xpnet.program.steps import Carry, step_on_rows
from xpnet.step import step_scalars, steps_of

from ..samples import M, data
from ..test_recorder import OPERATIONS, evaluated, numbers
from .kernels_on_host import HostReplay

pytestmark = pytest.mark.skipif(not may_replay(), reason="XPNET_REPLAY switches replays off")

SIZE, STEPS = 20, 3
TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 5e-2}


class Abstract:
    """The shape and dtype of an array that is too large to be allocated."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, np.dtype(dtype)


def compiled(model, X, Y, w, rule, clip_norm=None, is_bfloat16=False, has_epilogues=False):
    """The step, its arguments, its plan and its source."""
    dtype = X.dtype
    step = step_on_rows(steps_of(model, X, rule, clip_norm, get_backend("numpy")).step)
    state = replace(model.initial(np.random.default_rng(1), X.shape[1:], rule), seed=5)
    table = step_scalars(state.course, lambda t: 1.0, [SIZE / M] * STEPS).astype(dtype)
    theta = state.theta.astype(dtype)
    zero = np.zeros((), dtype)
    carry = Carry(theta, tuple(np.zeros_like(theta) for _ in state.slots), zero, None if clip_norm is None else zero)
    order = np.random.default_rng(2).permutation(M)[: STEPS * SIZE].reshape(STEPS, SIZE)
    given = carry, (X, Y, w), order, table
    program = record(step, carry, (X, Y, w), order[0], table[0])
    n_carry, n_data = len([*leaves(carry)]), 2 + (w is not None)
    sliding = {n_carry + n_data: order[0].nbytes, n_carry + n_data + 1: table[0].nbytes}
    planned = plan(lowered(program, is_bfloat16, has_epilogues), {k: k for k in range(n_carry)}, has_kernels=True)
    return step, given, planned, source(planned, sliding)


def assert_the_kernels_are_right(model, X, Y, rule, w=None, clip_norm=None, precision=None, has_epilogues=False):
    """Compare three steps by the kernels with three by the definitions."""
    step, (carry, data, order, table), planned, made = compiled(
        model, X, Y, w, rule, clip_norm, precision == "bfloat16", has_epilogues
    )
    mine = [a.copy() for a in leaves(carry)]
    replay = HostReplay(made, planned, [*mine, *leaves(data), order, table])
    start = [a.copy() for a in mine]
    for k in range(STEPS):
        replay(is_reversed=k % 2 == 1)
        replay.counter += 1
        carry = step(carry, data, order[k], table[k])
    tolerance = TOLERANCES[precision or X.dtype.name]
    for a, b, old in zip(mine, leaves(carry), start, strict=True):
        if precision == "bfloat16":
            assert np.linalg.norm(a - b) <= tolerance**0.5 * np.linalg.norm(b - old) + 1e-6
        else:
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max()))
    return made


# --- every network


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", sorted(losses.BY_NAME))
def test_every_loss(loss, dtype, rng):
    X, Y = (a.astype(dtype) for a in data(loss, 3, rng))
    model = Model(Sequential(Dense(9, "tanh"), Dense(3)), loss, l2=1e-2)
    assert_the_kernels_are_right(model, X, Y, GradientDescent(0.05))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("f", sorted(activations.BY_NAME))
def test_every_activation(f, dtype, rng):
    X, Y = (a.astype(dtype) / 4 for a in data("half_squared_error", 2, rng))
    model = Model(Sequential(Dense(8, f), Dense(40, f), Dense(2)))
    assert_the_kernels_are_right(model, X, Y, Momentum(1e-3))


RULES = [
    GradientDescent(0.05), Momentum(0.05), Momentum(0.05, nesterov=True), Adam(0.01), AdamW(0.01, weight_decay=0.1)
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_every_rule_with_dropout_penalties_weights_and_clipping(rule, dtype, rng):
    X, Y = (a.astype(dtype) for a in data("cross_entropy", 4, rng))
    w = rng.uniform(0.5, 2.0, M).astype(dtype)
    network = Sequential(
        Dense(12, "relu"), Dropout(0.3), PReLU(), Dense(10, activations.ELU(0.7)), Dropout(0.1), Dense(4)
    )
    model = Model(network, "cross_entropy", l1=1e-3, l2=1e-2, scale_penalty=True)
    assert_the_kernels_are_right(model, X, Y, rule, w, clip_norm=0.3)
    assert_the_kernels_are_right(replace(model, l1=0.0, scale_penalty=False), X, Y, rule)


@pytest.mark.parametrize("settings", [{"precision": "bfloat16"}, {"has_epilogues": True}], ids=str)
@pytest.mark.parametrize("f", ["relu", "tanh"])
def test_products_of_bfloat16_and_products_with_biases(f, settings, rng):
    X, Y = (a.astype("float32") for a in data("cross_entropy", 5, rng, n=16))
    model = Model(Sequential(Dense(32, f), Dense(24, f), Dense(5)), "cross_entropy", l2=1e-3)
    made = assert_the_kernels_are_right(model, X, Y, Adam(0.01), **settings)
    products = [x for x in made.launches if not isinstance(x, Kernel)]
    if "precision" in settings:
        assert {x.A.dtype.name for x in products} == {"uint16"}
    else:
        assert sum(x.bias is not None for x in products) == 3
        assert sum(x.has_relu for x in products) == (2 if f == "relu" else 0)


# --- launches


def test_an_adam_step_of_a_wide_net_has_few_launches():
    f = np.float32
    model = Model(Sequential(Dense(512, "relu"), Dense(512, "relu"), Dense(10)), "cross_entropy", l2=1e-4)
    X, Y = np.zeros((M, 784), f), np.zeros((M, 10), f)
    _, _, _, made = compiled(model, X, Y, None, Adam())
    assert sum(not isinstance(x, Kernel) for x in made.launches) == 8
    assert len(made.launches) <= 16


def test_the_update_is_one_launch(rng):
    X, Y = data("half_squared_error", 2, rng)
    for l2 in (0.0, 0.1):
        _, _, planned, made = compiled(Model(Sequential(Dense(6, "tanh"), Dense(2)), l2=l2), X, Y, None, Adam())
        updates = [item for item in planned.items if any(x.operation == "sqrt" for x in item.operations)]
        assert len(updates) == (2 if l2 else 1)  # the weights and all else
        assert sum("sqrt" in body for body in re.split(r"(?=static __device__)", made.text)) == len(updates)
        (last,) = {x.name for x in made.launches[-1:]}
        assert made.text.count("sqrt(") == len(updates)
        assert f"{last}(" in made.text


# --- single operations


def check(function, *arguments, tolerance=1e-13):
    """Compare a function by kernels with NumPy's."""
    planned = plan(lowered(record(function, *arguments)), {}, has_kernels=True)
    replay = HostReplay(source(planned), planned, list(arguments))
    expected = [*leaves(function(*arguments))]
    for is_reversed in (False, True):
        replay.memory[:] = 0xFF
        replay(is_reversed)
        for a, b in zip(replay.outputs, expected, strict=True):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    return replay


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.3, -2.5, 7.0, np.inf, -np.inf, np.nan])


def has_kernel(name, a, b):
    """Whether NumPy and CUDA have this operation for these dtypes."""
    operands = (a, b)[: ELEMENTWISE[name].nin]
    try:
        source(plan(record(lambda *x: getattr(array_namespace(x[0]), name)(*x), *operands), {}, has_kernels=True))
    except (TypeError, NotRecordable):
        return False
    return True


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int64", "bool"])
def test_every_elementwise_operation_at_every_kind_of_number(dtype):
    a, b = (x.reshape(-1) for x in np.meshgrid(SPECIAL, SPECIAL))
    if dtype != "float64":
        keep = np.isfinite(a) & np.isfinite(b) if dtype[0] in "ib" else slice(None)
        a, b = a[keep].astype(dtype), b[keep].astype(dtype)
    if dtype[0] == "i":
        b = np.where(b < 0, 3, b).astype(dtype)  # shifts by negative numbers of bits are undefined
    names = [name for name in ELEMENTWISE if has_kernel(name, a, b)]
    assert {"maximum", "less", "equal", "abs"} <= {*names}

    def every(a, b):
        return tuple(getattr(array_namespace(a), name)(*(a, b)[: ELEMENTWISE[name].nin]) for name in names)

    with np.errstate(all="ignore"):
        check(every, a, b, tolerance=1e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 40), (70, 33), (700, 2), (40, 3, 5)])
@pytest.mark.parametrize("name", ["sum", "max", "min", "prod", "all", "any"])
def test_reductions_over_any_axes(name, shape, rng, monkeypatch):
    monkeypatch.setattr(reductions, "AT_ONCE", 1 << 9)
    monkeypatch.setattr(reductions, "SLICE", 1 << 7)
    x = rng.uniform(0.9, 1.1, size=shape)
    if name in ("all", "any"):
        x = x > (0.92 if name == "all" else 1.09)

    def every(x):
        f = getattr(array_namespace(x), name)
        axes = [None, *range(x.ndim), tuple(range(x.ndim - 1)), tuple(range(1, x.ndim))]
        return tuple(f(x, axis=axis, keepdims=keep) for axis in axes if axis != () for keep in (False, True))

    check(every, x, tolerance=1e-11)


def test_views_copies_parts_and_broadcasting(rng):
    a, b, v = rng.normal(size=(6, 4)), rng.normal(size=(4, 6)), rng.normal(size=6)

    def every(a, b, v):
        xp = array_namespace(a)
        return (
            a + b.T,
            a[:, 1:3] * a[:, ::2],
            a[::-1, :] - v[:, None],
            xp.concat([a, b.T, a[:, :1]], axis=1),
            xp.stack([a, 2 * a]),
            xp.reshape(b.T, (3, 8)) + 1,
            xp.take(a, xp.asarray([3, -1, 0, 0]), axis=0),
            xp.take(a, xp.asarray([3, 1]), axis=1),
            xp.where(a > 0, a, v[:, None]),
            (a @ b) @ v,
            v @ a,
            b.T[1:] @ b[:, :3],
            xp.vecdot(a, a),
            xp.vecdot(v, v),
            xp.astype(a > 0, xp.float32),
        )

    check(every, a, b, v)


@pytest.mark.parametrize("seed", range(12))
def test_random_expressions(seed):
    rng = np.random.default_rng(seed)
    steps = [(int(rng.integers(len(OPERATIONS))), *map(int, rng.integers(0, 1000, 3))) for _ in range(12)]

    def function(*arrays):
        return evaluated(array_namespace(arrays[0]), steps, arrays)[-4:]

    inputs = numbers("float64")
    with np.errstate(all="ignore"):
        program = record(function, *inputs)
        expected = NumPyReplay(plan(program), inputs)
        expected()
        try:
            planned = plan(lowered(program), {}, has_kernels=True)
            made = source(planned)
        except NotRecordable:
            pytest.skip("there is no kernel for an operation")
        replay = HostReplay(made, planned, inputs)
        for is_reversed in (False, True):
            replay.memory[:] = 0xFF
            replay(is_reversed)
            for a, b in zip(replay.outputs, expected.outputs, strict=True):
                assert (a.dtype, a.shape) == (b.dtype, b.shape)
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_softmax_of_wide_rows_and_of_one_row(rng):
    def softmax(Z, v):
        xp = array_namespace(Z)
        E = xp.exp(Z - xp.max(Z, axis=-1, keepdims=True))
        S = E / xp.sum(E, axis=-1, keepdims=True)
        return S, xp.sum(S * v, axis=1), S * xp.sum(S * S, axis=1, keepdims=True)

    for m, n in ((1, 10), (3, 5), (7, 300), (300, 7)):
        replay = check(softmax, rng.normal(size=(m, n)), rng.normal(size=n))
        assert len(replay.source.launches) == 1


def test_a_kernel_does_not_overwrite_the_operands_of_other_elements(rng):
    """One row with values of several widths: the loop over one width must not overwrite what the next one reads."""

    def widths(a, b):
        xp = array_namespace(a)
        c = xp.reshape(a, (1, 29, 1)) * 2.0
        return b * c, xp.minimum(c, 1.0)

    check(widths, rng.normal(size=29), rng.normal(size=3))


def test_memory_is_reused_only_for_elements_of_the_same_size(rng):
    def sizes(a, v):
        xp = array_namespace(a)
        of_32 = xp.take(a, xp.asarray([3, 1, 0, 2, 2]), axis=1)
        of_64 = xp.astype(of_32[:1, ...], xp.float64)
        return xp.tanh(v + of_64), v * of_64

    check(sizes, rng.normal(size=(2, 5)).astype("float32"), rng.normal(size=(5, 1)), tolerance=1e-7)


def test_rows_of_one_column_are_reduced_and_used_again(rng):
    def narrow(a):
        xp = array_namespace(a)
        m = xp.max(a, axis=1, keepdims=True)
        return xp.sum(xp.exp(a - m), axis=1), xp.sum(m * m, axis=1, keepdims=True)

    for shape in ((5, 1), (1, 1), (1, 7)):
        check(narrow, rng.normal(size=shape))


def test_empty_arrays_and_empty_parts(rng):
    def empty(a, v):
        xp = array_namespace(a)
        nothing = xp.reshape(a * 2.0, (-1,))
        both = xp.concat([nothing, -nothing, v])
        return 2.0 * both, a + 1.0, xp.sum(a), xp.sum(a, axis=1), nothing

    check(empty, np.zeros((0, 2)), rng.normal(size=40))


def test_indices_beyond_two_to_the_31_are_64_bits_wide():
    """A part that begins late in a long vector: its own index is an int, and that of the vector's element is not."""
    n, start = 3 << 30, 3 << 29
    planned = plan(record(lambda x: 2.0 * x[start : start + 1000], Abstract((n,), "float32")), {}, has_kernels=True)
    assert f"[(i + {start}LL)]" in source(planned).text


def test_numbers_that_only_empty_arrays_need_are_not_computed(rng):
    replay = check(lambda x, t: (x[:0] * (t + 1.0),), rng.normal(size=3), np.asarray(2.0))
    assert replay.source.launches == []


def test_operations_without_a_kernel_are_named():
    complex_numbers = np.zeros(3, np.complex64)
    with pytest.raises(NotRecordable, match="complex64"):
        source(plan(record(lambda z: z + z, complex_numbers), {}, has_kernels=True))
    stacks = np.zeros((2, 3, 3))
    with pytest.raises(NotRecordable, match="stacks"):
        lowered(record(lambda a: a @ a, stacks))


def test_a_wrong_index_is_detected(rng):
    """These tests can fail: a kernel that reads the next element gives other numbers."""
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(6, "tanh"), Dense(2)))
    original = indices.index_of

    def wrong(x, at):
        found = original(x, at)
        return f"({found} + 1)" if x.shape == (6,) else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indices, "index_of", wrong)
        with pytest.raises(AssertionError):
            assert_the_kernels_are_right(model, X, Y, GradientDescent(0.1))
    assert_the_kernels_are_right(model, X, Y, GradientDescent(0.1))


# --- compiled for GPUs


@pytest.mark.parametrize("architecture", ["sm_70", "sm_80", "sm_90"])
def test_kernels_compile_for_gpus(architecture, rng):
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="CuPy is not installed")
    try:
        nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"NVRTC is not installed (nvidia-cuda-nvrtc-cu12): {error}")
    from xpnet.program.cuda.launches import PRODUCTS

    X, Y = (a.astype("float32") for a in data("cross_entropy", 4, rng))
    network = Sequential(Dense(40, "elu"), Dropout(0.3), PReLU(), Dense(4))
    model = Model(network, "cross_entropy", l1=1e-3, l2=1e-2, scale_penalty=True)
    sources = [compiled(model, X, Y, None, Adam(), **s)[3].text for s in ({"clip_norm": 0.3}, {"is_bfloat16": True})]
    for text in (*sources, PRODUCTS):
        program = nvrtc.createProgram(text, "step.cu", [], [])
        try:
            nvrtc.compileProgram(program, [f"--gpu-architecture={architecture}", "-std=c++17"])
            assert len(nvrtc.getPTX(program) or b"") + nvrtc.getCUBIN(program).__len__() > 1000
        except nvrtc.NVRTCError as error:
            pytest.fail(nvrtc.getProgramLog(program) + str(error))
        finally:
            nvrtc.destroyProgram(program)
