"""CuPy's way without a GPU: whole training runs on a stand-in that captures and replays, beside NumPy's own."""

import functools
import logging
import types
from dataclasses import replace
from itertools import islice

import cublas_emulation
import numpy as np
import pytest

pytest.importorskip("cupy", reason="CuPy is not installed")

import cupy_stand_in
from cupy_stand_in import DEVICE, MACHINE, XP, DeviceArray

import xpnet.backends.cupy as way
from xpnet.backends import Backend, cublas, graphs, inputs, kernels, seams, selector
from xpnet.equations.dropout import Dropout
from xpnet.equations.layers import Dense, PReLU
from xpnet.equations.optimizers import Adam, GradientDescent, Momentum
from xpnet.equations.schedules import InverseScaling
from xpnet.model import Model
from xpnet.network import Sequential, join
from xpnet.training import DivergedError, epochs

M = 50


@pytest.fixture
def gpu(monkeypatch):
    """The backend "cupy:0" over the stand-in; ``gpu.library`` is the cuBLASLt behind it."""
    library = cublas_emulation.CublasLt()
    cupy = cupy_stand_in.module()
    multiply = np.errstate(all="ignore")(cublas_emulation.multiply)

    def on_the_tape(operation, *rest):
        MACHINE.perform(functools.partial(multiply, dict(operation), *rest))

    monkeypatch.setattr(cublas_emulation, "multiply", on_the_tape)
    monkeypatch.setattr(cublas, "load", lambda: library)
    for module in (way, kernels, graphs):
        monkeypatch.setattr(module, "cupy", cupy)
    monkeypatch.setattr(graphs, "cupyx", types.SimpleNamespace(empty_pinned=np.empty))
    for module in (way, kernels):
        monkeypatch.setattr(module, "xp", XP)
    monkeypatch.setattr(way, "_LOCAL", way._Local())
    composites = types.SimpleNamespace(**{**vars(XP), "matmul": way.matmul, "vecdot": way.vecdot})
    each_part = functools.partial(seams._each_part, XP)
    rowwise = functools.partial(each_part, lambda definition, part: definition(XP, *part))
    joined = functools.partial(kernels.joined, each_part)
    steps = functools.partial(graphs.CapturedSteps, seams.gather)
    stand_in = seams.Way(XP, composites, joined, rowwise, steps, way.COMPOSITES, way.cast)
    monkeypatch.setitem(seams._WAYS, DeviceArray, stand_in)
    here = lambda x: type(x) is DeviceArray
    found = selector.array_namespace
    for module in (selector, inputs):
        monkeypatch.setattr(module, "array_namespace", lambda x: XP if here(x) else found(x))
    monkeypatch.setattr(selector, "is_cupy_array", here)
    monkeypatch.setattr(selector, "is_numpy_array", lambda x: isinstance(x, np.ndarray) and not here(x))
    monkeypatch.setattr(selector, "device_of", lambda x: DEVICE if here(x) else "cpu")
    monkeypatch.setattr(Backend, "holds", lambda self, n_bytes: True)
    monkeypatch.setenv("XPNET_CAPTURE", "require")
    caches = (kernels.fused, kernels.fused_into)
    MACHINE.__dict__.clear()
    graphs.say_once.cache_clear()
    for cache in caches:
        cache.cache_clear()
    yield types.SimpleNamespace(backend=Backend("cupy:0", XP, DEVICE), library=library, cupy=cupy)
    for cache in caches:
        cache.cache_clear()
    assert MACHINE.tape is None
    assert library.refusals == []


NETWORK = Sequential(Dense(16, "relu"), Dense(8, "tanh"), PReLU(), Dense(4))
MODEL = Model(NETWORK, "cross_entropy", l1=1e-3, l2=0.01, scale_penalty=True)


@pytest.fixture
def data(rng):
    """Features, one-hot targets and weights."""
    X = rng.normal(size=(M, 12))
    return X, np.eye(4)[rng.integers(0, 4, M)], rng.uniform(0.5, 2.0, M)


def run(backend, data, n_epochs=6, model=MODEL, optimizer=GradientDescent(0.1), batch_size=8, **settings):
    X, Y, w = data
    rng = np.random.default_rng(1)
    state = model.initial(rng, X.shape[1], optimizer)
    training = epochs(
        model, state, X, Y, sample_weight=w, batch_size=batch_size, rng=rng, backend=backend, **settings
    )  # fmt: skip
    return [*islice(training, n_epochs)]


def assert_same(ours, reference, rtol=1e-10):
    assert [cost for _, cost in ours] == pytest.approx([cost for _, cost in reference], rel=rtol)
    for (state, _), (expected, _) in zip(ours, reference, strict=True):
        for mine, theirs in zip((state.theta, *state.moments), (expected.theta, *expected.moments), strict=True):
            assert type(mine) is DeviceArray
            np.testing.assert_allclose(mine.get(), theirs, rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("optimizer", [GradientDescent(0.1), Momentum(0.1, nesterov=True), Adam(0.01)], ids=repr)
@pytest.mark.parametrize("batch_size", [None, 1, 8, 25, 50], ids=str)
def test_captured_training_is_numpys(gpu, data, optimizer, batch_size):
    settings = {"optimizer": optimizer, "batch_size": batch_size, "schedule": InverseScaling()}
    assert_same(run(gpu.backend, data, **settings), run("numpy", data, **settings))
    assert MACHINE.graphs > 0
    assert MACHINE.launches > 0


@pytest.mark.parametrize("settings", [{"shuffle": False}, {"clip_norm": 0.5}, {}], ids=str)
@pytest.mark.parametrize("weighted", [True, False])
def test_with_and_without_weights_shuffles_and_clipping(gpu, data, settings, weighted):
    data = data if weighted else (*data[:2], None)
    assert_same(run(gpu.backend, data, **settings), run("numpy", data, **settings))


@pytest.mark.parametrize("batch_size", [None, 8], ids=str)
def test_captured_steps_draw_new_masks_and_the_same_as_numpys(gpu, data, batch_size):
    model = Model(
        Sequential(Dense(16, "relu"), Dropout(0.5), Dense(8, "tanh"), Dropout(0.2), Dense(4)), "cross_entropy"
    )
    settings = {"model": model, "batch_size": batch_size, "shuffle": False}
    ours = run(gpu.backend, data, **settings)
    assert_same(ours, run("numpy", data, **settings))
    assert MACHINE.launches > 0
    narrow = run(gpu.backend, data, **{**settings, "model": replace(model, precision="bfloat16")})
    for (state, _), (expected, _) in zip(narrow, ours, strict=True):
        assert np.abs(state.theta.get() - expected.theta.get()).max() < 0.02


def test_small_batches_share_a_launch_and_a_rest_has_its_own(gpu, data, monkeypatch):
    monkeypatch.setattr(graphs, "MOST_STEPS", 4)
    assert_same(run(gpu.backend, data, n_epochs=5), run("numpy", data, n_epochs=5))
    # 50 samples in batches of 8: two windows of 3 steps and a rest of 2 samples; each kind is run once as it stands.
    assert MACHINE.graphs == 2
    assert MACHINE.launches == 5 * 3 - 2


def test_windows_of_two_lengths(gpu, data, monkeypatch):
    monkeypatch.setattr(graphs, "MOST_STEPS", 4)
    settings = {"batch_size": 7, "n_epochs": 3}  # 7 steps: windows of 4 and 3, and a rest of 1 sample
    assert_same(run(gpu.backend, data, **settings), run("numpy", data, **settings))
    assert (MACHINE.graphs, MACHINE.launches) == (3, 6)


def test_what_was_yielded_stays_and_a_state_that_is_sent_is_taken(gpu, data):
    X, Y, _ = data
    results = []
    for backend in (gpu.backend, "numpy"):
        rng = np.random.default_rng(1)
        training = epochs(MODEL, MODEL.initial(rng, 12, Adam(0.01)), X, Y, batch_size=8, rng=rng, backend=backend)
        first, _ = next(training)
        kept = np.array(first.theta)
        next(training)
        np.testing.assert_array_equal(np.array(first.theta), kept)
        again, _ = training.send(first)
        results.append(np.array(again.theta))
    np.testing.assert_allclose(*results, rtol=1e-10, atol=1e-13)


def test_an_update_is_two_kernels_whatever_the_depth(gpu, data, monkeypatch):
    launched = []
    evaluate = kernels.evaluate
    monkeypatch.setattr(kernels, "evaluate", lambda f, *rest: launched.append(f.__qualname__) or evaluate(f, *rest))
    deep = Model(Sequential(*(Dense(16, "relu") for _ in range(5)), Dense(4)), "cross_entropy", l2=0.01)
    run(gpu.backend, data, model=deep, batch_size=None, n_epochs=1)
    assert launched.count("Adam_step") == 0
    assert launched.count("GradientDescent_step") == 2  # weights, which are penalised, and biases


def test_relu_and_its_bias_ride_on_the_product_and_so_does_the_biases_gradient(gpu, data):
    relu = Model(Sequential(Dense(16, "relu"), Dense(8, "sigmoid"), Dense(4)), "cross_entropy")
    run(gpu.backend, data, model=relu, batch_size=None, n_epochs=1)
    asked = [query.operation[cublas_emulation.EPILOGUE] for query in gpu.library.queries]
    assert sorted(asked) == sorted([6, 1, 4, 256, 256, 256, 1, 1])  # a product for the sigmoid, and two for dX


@pytest.mark.parametrize("missing", [{6}, {4}, {256}, {4, 6, 256}], ids=str)
def test_without_an_epilogue_the_definition_is_taken(gpu, data, missing):
    gpu.library.without_algorithm = missing
    assert_same(run(gpu.backend, data), run("numpy", data))


@pytest.mark.parametrize("widths", [(5, 3, 1), (16, 7, 3)])
def test_windows_of_any_alignment(gpu, data, widths):
    X, Y, w = data
    model = Model(Sequential(*(Dense(n, "relu") for n in widths), Dense(4)), "cross_entropy", l2=0.1)
    X = X[:, :7].astype(np.float32)
    ours, numpys = (run(backend, (X, Y, w), model=model) for backend in (gpu.backend, "numpy"))
    assert_same(ours, numpys, rtol=2e-4)
    assert ours[-1][0].theta.dtype == np.float32


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_narrow_products_train_almost_as_float32(gpu, data, precision):
    narrow = Model(NETWORK, "cross_entropy", l2=0.01, precision=precision)
    wide = Model(NETWORK, "cross_entropy", l2=0.01, precision="float32")
    ours, full = run(gpu.backend, data, model=narrow), run("numpy", data, model=wide)
    assert ours[-1][0].theta.dtype == np.float32
    apart = np.abs(ours[-1][0].theta.get() - full[-1][0].theta).max()
    assert 1e-7 < apart < (1e-2 if precision == "tf32" else 5e-2)
    types_ = {query.A[cublas_emulation.TYPE] for query in gpu.library.queries}
    computed = {query.operation[cublas_emulation.COMPUTE] for query in gpu.library.queries}
    assert (types_, computed) == (({0}, {77}) if precision == "tf32" else ({14}, {68}))
    X = data[0]
    np.testing.assert_allclose(
        narrow.predict(ours[-1][0].theta, X, gpu.backend), wide.predict(full[-1][0].theta, X), atol=2e-2
    )


@pytest.mark.parametrize("shuffle", [True, False])
def test_data_too_large_for_the_device_come_batch_by_batch(gpu, data, monkeypatch, shuffle):
    monkeypatch.setattr(Backend, "holds", lambda self, n_bytes: self.name == "numpy")
    moved = []
    asarray = cupy_stand_in.asarray
    monkeypatch.setattr(XP, "asarray", lambda x, **settings: moved.append(np.size(x)) or asarray(x, **settings))
    ours = run(gpu.backend, data, batch_size=9, shuffle=shuffle)
    assert max(moved) <= MODEL.layout(12).n_parameters  # X has 600 numbers and never was there whole
    assert_same(ours, run("numpy", data, batch_size=9, shuffle=shuffle))
    assert MACHINE.graphs >= 2
    A = MODEL.predict(ours[-1][0].theta, data[0], gpu.backend)
    np.testing.assert_allclose(A, MODEL.predict(np.array(ours[-1][0].theta), data[0]), rtol=1e-10)


@pytest.mark.parametrize("shuffle", [True, False])
def test_rows_on_a_disk_come_batch_by_batch(gpu, data, monkeypatch, shuffle):
    class Source:
        shape, dtype = data[0].shape, data[0].dtype

        def __getitem__(self, rows):
            return data[0][rows]

    on_disk = Source(), *data[1:]
    ours = run(gpu.backend, on_disk, batch_size=9, shuffle=shuffle)
    assert_same(ours, run("numpy", on_disk, batch_size=9, shuffle=shuffle))
    A = MODEL.predict(ours[-1][0].theta, on_disk[0], gpu.backend)
    np.testing.assert_allclose(A, MODEL.predict(np.array(ours[-1][0].theta), data[0]), rtol=1e-10)


def test_divergence_is_found_behind_a_relu_that_makes_nan_zero(gpu, data):
    X, Y, _ = data
    relu = Model(Sequential(Dense(16, "relu"), Dense(16, "relu"), Dense(4)), "half_squared_error")
    with pytest.raises(DivergedError):
        run(gpu.backend, (1e150 * X, Y, None), model=relu, optimizer=GradientDescent(1e10))


def test_a_step_that_cannot_be_captured_goes_on_and_says_so(gpu, data, monkeypatch, caplog):
    monkeypatch.setenv("XPNET_CAPTURE", "on")
    MACHINE.forbidden = "calling cuBLAS API during stream capture is currently unsupported"
    with caplog.at_level(logging.WARNING, "xpnet"):
        ours = run(gpu.backend, data, batch_size=25)
    MACHINE.forbidden = None
    assert_same(ours, run("numpy", data, batch_size=25))
    assert MACHINE.launches == 0
    assert caplog.messages == [
        "training steps run without a CUDA graph, which costs time on small batches: RuntimeError: "
        "calling cuBLAS API during stream capture is currently unsupported"
    ]


def test_a_capture_that_is_required_fails(gpu, data):
    MACHINE.forbidden = "not now"
    with pytest.raises(RuntimeError, match=r"^not now$"):
        run(gpu.backend, data, batch_size=25)


def test_captures_may_be_switched_off(gpu, data, monkeypatch):
    monkeypatch.setenv("XPNET_CAPTURE", "off")
    assert_same(run(gpu.backend, data), run("numpy", data))
    assert MACHINE.graphs == 0


def test_too_little_memory_is_explained(gpu, data, monkeypatch):
    def no_room(*arguments):
        raise cupy_stand_in.OutOfMemoryError("Out of memory allocating 4,096 bytes (allocated so far: 512 bytes).")

    monkeypatch.setattr(graphs.Window, "_run", no_room)
    with pytest.raises(
        MemoryError, match=r"^a training step on 8 samples needs more .*4,096 bytes.*smaller batch_size"
    ):
        run(gpu.backend, data)


def test_parts_are_merged_where_their_memory_follows(gpu):
    v, u = XP.zeros(10), XP.zeros(10)
    scalar = XP.zeros(3)
    merged = kernels.merged([(v[:4], u[:4], 2.0, None, scalar[1]), (v[4:6], u[4:6], 2.0, None, scalar[1])])
    assert [part[0].shape for part in merged] == [(6,)]
    assert merged[0][0].data.ptr == v.data.ptr
    for other in [
        (v[5:6], u[4:5], 2.0, None, scalar[1]), (v[4:6], u[4:6], 3.0, None, scalar[1]),
        (v[4:6], u[4:6], 2.0, 1.0, scalar[1]), (v[4:6], u[4:6], 2.0, None, scalar[2]),
        (u[4:6], v[4:6], 2.0, None, scalar[1]), (v[4:6], XP.zeros(2), 2.0, None, scalar[1]),
    ]:  # fmt: skip
        assert len(kernels.merged([(v[:4], u[:4], 2.0, None, scalar[1]), other])) == 2


def test_windows_that_follow_each_other_are_joined_without_a_copy(gpu):
    v = XP.zeros(10)
    assert join(v[:4], v[4:]).data.ptr == v.data.ptr
    apart = join(v[:4], v[5:])
    assert apart.shape == (9,)
    assert apart.data.ptr != v.data.ptr
