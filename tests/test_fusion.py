"""Every elementwise definition fits CuPy's fast fusion engine: traced through it on arrays that no GPU ever sees.

On any exception while it traces, cupy.fuse changes in silence to an engine that fills a fraction of the GPU. CuPy
imports without a driver, so the trace needs none. It is private to CuPy and kept in :func:`traced`.
"""

import itertools
import re

import numpy as np
import pytest

from xpnet import training
from xpnet.equations import activations, dropout, layers, losses, regularization
from xpnet.equations.activations import (
    ELU,
    Activation,
    Exp,
    Linear,
    PReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    below,
    log_sigmoid,
    sigmoid,
)
from xpnet.equations.dropout import dropped, hashed, kept
from xpnet.equations.layers import prelu, prelu_gradient
from xpnet.equations.losses import (
    binary_cross_entropy,
    cross_entropy_of,
    exp_below,
    half_poisson_deviance,
    half_squared_error,
    huber,
    slopes,
    weighted,
)
from xpnet.equations.optimizers import Adam, AdamW, GradientDescent, Momentum, Optimizer
from xpnet.equations.regularization import clipping_scale, cost_gradient
from xpnet.training import add_up, descent

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
fusion = pytest.importorskip("cupy._core.fusion", reason="this CuPy keeps its fusion elsewhere")
way = pytest.importorskip("xpnet.backends.kernels")
cupy_way = pytest.importorskip("xpnet.backends.cupy")

if not hasattr(fusion, "_FusionHistory"):
    pytest.skip("this CuPy has no fast fusion engine of the kind that is known here", allow_module_level=True)


def fake(*shape, dtype):
    """An array of this shape that lies nowhere; tracing looks at its dtype and its dimensions only."""
    n_bytes = max(1, int(np.prod(shape))) * np.dtype(dtype).itemsize
    memory = cupy.cuda.memory.UnownedMemory(0x7F0000000000, n_bytes, None, device_id=0)
    return cupy.ndarray(shape, dtype, memptr=cupy.cuda.memory.MemoryPointer(memory, 0))


def traced(definition, *arguments):
    """The kernel that the fast engine makes of the definition, bound as the library binds it; raises where it can't."""
    return traced_kernel(way.fused(definition), *arguments)


def traced_kernel(fused, *arguments):
    local = fusion._thread_local
    history = fusion._FusionHistory()
    local.history, local.is_old_fusing = history, True
    try:
        kernel, _ = history.get_fusion(fused.func, list(arguments), fused.name)
    finally:
        local.history, local.is_old_fusing = None, False
    return kernel


def assert_fits(definition, dtype, n_results, *arguments):
    """One elementwise kernel, as many results as there should be, all in the dtype, and no double in float32."""
    kernel = traced(definition, *arguments)
    assert type(kernel).__name__ == "ElementwiseKernel"
    results = [p for p in kernel.params if not p.is_const and p.dtype is not None]
    assert [p.dtype for p in results] == [np.dtype(dtype)] * n_results
    if dtype == "float32":
        variables = re.findall(r"^(const )?double v\d+(?:_\d+)?", kernel.operation, flags=re.MULTILINE)
        assert all(const for const in variables), "arithmetic in double"


@pytest.fixture
def array(dtype):
    """``array(5, 3)`` is an array that lies nowhere."""
    return lambda *shape: fake(*shape, dtype=dtype)


ELEMENTWISE = [Linear(), Linear(2.0, 0.5), Sigmoid(), Tanh(), ReLU(), PReLU(), ELU(), ELU(0.5), Exp()]


@pytest.mark.parametrize("f", ELEMENTWISE, ids=repr)
def test_activations(f, dtype, array):
    assert_fits(f.biased, dtype, 1, array(5, 3), array(3))
    if f != Linear():  # which hands on what it is given, without a kernel
        assert_fits(f.f, dtype, 1, array(5, 3))
        assert_fits(f.gradient, dtype, 1, array(5, 3), array(5, 3))


@pytest.mark.parametrize("function", [sigmoid, log_sigmoid], ids=lambda f: f.__name__)
def test_functions_of_the_logits(function, dtype, array):
    assert_fits(function.definition, dtype, 1, array(5, 3))


@pytest.mark.parametrize("loss", [binary_cross_entropy, half_poisson_deviance], ids=lambda f: f.__name__)
def test_losses(loss, dtype, array):
    assert_fits(loss.definition, dtype, 2, array(5, 3), array(5, 3))


def test_cross_entropy(dtype, array):
    assert_fits(below.definition, dtype, 1, array(5, 3), array(5, 1))
    assert_fits(exp_below.definition, dtype, 2, array(5, 3), array(5, 1))
    assert_fits(cross_entropy_of.definition, dtype, 2, array(5, 3), array(5, 3), array(5, 1), array(5, 3))


@pytest.mark.parametrize(("c", "penalty"), [*itertools.product(["number", "array"], repeat=2)])
@pytest.mark.parametrize("share", ["number", "array"])
def test_the_epochs_cost(share, c, penalty, dtype, array):
    share, c, penalty = (number(kind, array) for kind in (share, c, penalty))
    assert_fits(add_up.definition, dtype, 1, array(), share, c, array(), share, penalty)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_half_squared_error(scale, dtype, array):
    assert_fits(half_squared_error.definition, dtype, 2, array(5, 3), array(5, 3), scale)


def test_robust_losses(dtype, array):
    assert_fits(huber.definition, dtype, 2, array(5, 3), array(5, 3), 0.5)
    assert_fits(slopes.definition, dtype, 2, array(5, 3), array(5, 3), 0.9, 0.1)


def test_weighted(dtype, array):
    assert_fits(weighted.definition, dtype, 1, array(5, 3), array(5, 1))


def test_learned_slopes(dtype, array):
    assert_fits(prelu.definition, dtype, 1, array(5, 3), array(3))
    assert_fits(prelu_gradient.definition, dtype, 2, array(5, 3), array(5, 3), array(3))


def test_clipping(dtype, array):
    assert_fits(clipping_scale.definition, dtype, 1, array(), 0.5)


def test_dropout(dtype, array):
    rows, columns = fake(5, 1, dtype="int32"), fake(3, dtype="int32")
    assert_fits(dropped.definition, dtype, 2, array(5, 3), rows, columns, 99, 2.0)
    assert_fits(kept.definition, dtype, 1, array(5, 3), array(5, 3), 2.0)
    for key in (7.0, array()):
        assert_fits(hashed.definition, "int32", 1, fake(5, dtype="int32"), key, 3)


def test_dropouts_hash_is_computed_in_32_bits(dtype, array):
    of_places = traced(hashed.definition, fake(5, dtype="int32"), array(), 3)
    of_cells = traced(dropped.definition, array(5, 3), fake(5, 1, dtype="int32"), fake(3, dtype="int32"), 99, 2.0)
    for kernel in (of_places, of_cells):
        operations = re.findall(r"^long long .*$", kernel.operation, flags=re.MULTILINE)
        assert all(re.search(r"bool v\w+;$", line) for line in operations), "arithmetic, not comparison, in 64 bits"


NUMBERS = [None, "number", "array"]


def number(kind, array):
    """A setting as it reaches a kernel: not there, a Python number, or an array without dimensions."""
    return {None: None, "number": 0.01, "array": array()}[kind]


@pytest.mark.parametrize(("c", "l1", "l2"), [*itertools.product(NUMBERS[1:], NUMBERS, NUMBERS)])
def test_the_costs_gradient(c, l1, l2, dtype, array):
    settings = [number(kind, array) for kind in (c, l1, l2)]
    assert_fits(cost_gradient.definition, dtype, 1, array(50), array(50), *settings)


OPTIMIZERS = [GradientDescent(), Momentum(), Momentum(nesterov=True), Adam(), AdamW()]


@pytest.mark.parametrize(("l1", "l2"), [*itertools.product(NUMBERS, NUMBERS)])
@pytest.mark.parametrize("c", NUMBERS[1:])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_a_step_of_every_optimizer(optimizer, c, l1, l2, dtype, array):
    settings = [number(kind, array) for kind in (c, l1, l2)]
    moments = [array(50) for _ in range(optimizer.moments)]
    scalars = [array() for _ in optimizer.scalars(1, 0.1, True)]
    n_results = 1 + optimizer.moments
    assert_fits(descent(optimizer).definition, dtype, n_results, array(50), array(50), *settings, *moments, *scalars)


# --- results written to arrays that are there, and bfloat16


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_a_step_is_written_where_the_parameters_are(optimizer, dtype, array):
    moments = [array(50) for _ in range(optimizer.moments)]
    scalars = [array() for _ in optimizer.scalars(1, 0.1, True)]
    n = 1 + optimizer.moments
    arguments = [array(50), array(50), array(), None, array(), *moments, *scalars]
    kernel = traced_kernel(way.fused_into(descent(optimizer).definition, n, ()), array(50), *moments, *arguments)
    assert type(kernel).__name__ == "ElementwiseKernel"
    written = [p for p in kernel.params if not p.is_const and p.dtype is not None]
    assert [p.dtype for p in written] == [np.dtype(dtype)] * n


@pytest.fixture
def narrow():
    """``narrow(5, 3)`` is an array of bfloat16 that lies nowhere."""
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes, which has bfloat16, is not installed")
    return lambda *shape: fake(*shape, dtype=ml_dtypes.bfloat16)


@pytest.mark.parametrize("f", [f for f in ELEMENTWISE if f != Linear()], ids=repr)
def test_bfloat16_is_computed_with_in_float32(f, narrow):
    for definition, arguments in [
        (f.biased, (narrow(5, 3), narrow(3))), (f.f, (narrow(5, 3),)), (f.gradient, (narrow(5, 3), narrow(5, 3))),
    ]:  # fmt: skip
        inputs = tuple(range(len(arguments)))
        kernel = traced_kernel(way.fused_into(definition, 1, inputs), narrow(5, 3), *arguments)
        assert type(kernel).__name__ == "ElementwiseKernel"
        variables = re.findall(r"^(?:const )?(\w+) v\d+(?:_\d+)?[;=, ]", kernel.operation, flags=re.MULTILINE)
        assert variables
        assert "bfloat16" not in variables


@pytest.mark.parametrize("to_narrow", [True, False])
def test_casts(to_narrow, narrow):
    wide = fake(7, dtype="float32")
    arguments = (narrow(7), wide) if to_narrow else (wide, narrow(7))
    kernel = traced_kernel(way.fused_into(cupy_way._itself, 1, () if to_narrow else (0,)), *arguments)
    assert type(kernel).__name__ == "ElementwiseKernel"


def test_parts_of_real_arrays_are_merged(dtype):
    v = fake(10, dtype=dtype)
    (part,) = way.merged([(v[:4], 2.0, None), (v[4:6], 2.0, None), (v[6:], 2.0, None)])
    assert (part[0].shape, part[0].dtype, part[0].data.ptr) == ((10,), v.dtype, v.data.ptr)
    assert len(way.merged([(v[:4],), (fake(2, dtype=dtype),)])) == 2


# --- these tests can fail


def sign(xp, Z):
    return Z * xp.sign(Z)


def keepdims(xp, Z):
    return Z - xp.max(Z, axis=1, keepdims=True)


def a_result_and_its_sum(xp, Z):
    A = xp.exp(Z)
    return A, xp.sum(A, axis=1)


def a_products(xp, Z, W):
    return xp.matmul(Z, W)


def a_new_axis(xp, Z):
    return Z * Z[:, None]


def a_branch(xp, Z):
    return Z if Z.shape[0] > 2 else -Z


@pytest.mark.parametrize("definition", [sign, keepdims, a_result_and_its_sum, a_products, a_new_axis, a_branch])
def test_what_needs_the_slow_engine_is_found(definition, dtype, array):
    arguments = (array(5, 3), array(3, 4)) if definition is a_products else (array(5, 3),)
    with pytest.raises(Exception):  # noqa: B017, PT011  (CuPy raises what it likes)
        traced(definition, *arguments)


def a_sum(xp, Z):
    return xp.sum(Z, axis=1)


def in_double(xp, Z):
    return xp.astype(xp.astype(Z, xp.float64) * 2.0, xp.float32)


def another_dtype(xp, Z):
    return xp.astype(Z, xp.float64)


@pytest.mark.parametrize("definition", [a_sum, in_double, another_dtype])
def test_what_is_no_elementwise_kernel_in_its_dtype_is_found(definition):
    with pytest.raises(AssertionError):
        assert_fits(definition, "float32", 1, fake(5, 3, dtype="float32"))


def test_the_slow_engine_is_refused_at_run_time(monkeypatch):
    class Fused:
        new_fusion = object()

        def __call__(self, *arguments):
            return arguments

    monkeypatch.setattr(way, "fused", lambda definition: Fused())
    with pytest.raises(
        RuntimeError, match=r"^xpnet_sign can't be fused into one CUDA kernel by CuPy .*install cupy >="
    ):
        way.evaluate(sign, (1.0,))


def test_kernels_are_named_for_profilers():
    assert way.fused(sigmoid.definition).name == "xpnet_sigmoid"
    assert way.fused(descent(Adam()).definition).name == "xpnet_Adam_step"
    assert re.fullmatch(r"xpnet_\w+", way.kernel_name(lambda xp: xp))


def test_every_elementwise_definition_of_the_library_is_traced_here():
    from xpnet.backends.seams import Elementwise

    traced_here = {sigmoid, log_sigmoid, binary_cross_entropy, half_poisson_deviance, half_squared_error, weighted}
    traced_here |= {prelu, prelu_gradient, cost_gradient, below, exp_below, cross_entropy_of, add_up, huber, slopes}
    traced_here |= {clipping_scale, dropped, hashed, kept}
    modules = (activations, dropout, layers, losses, regularization, training)
    found = {f for m in modules for f in vars(m).values() if type(f) is Elementwise}
    assert found == traced_here
    kinds = {type(f) for f in ELEMENTWISE} | {Softmax, Activation}
    assert {c for c in vars(activations).values() if isinstance(c, type) and issubclass(c, Activation)} == kinds
    rules = {rule for rule in Optimizer.__subclasses__() if rule.__module__ == Optimizer.__module__}
    assert rules | {AdamW} == {type(o) for o in OPTIMIZERS}
