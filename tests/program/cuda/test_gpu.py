"""Programs on a GPU: they compute what the definitions compute, levels that fail, and memory that is freed."""

import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from xpnet import (
    Adam,
    AdamW,
    Dense,
    Dropout,
    GradientDescent,
    MLPClassifier,
    MLPRegressor,
    Model,
    Momentum,
    PReLU,
    Sequential,
    epochs,
)
from xpnet.backends import array_namespace, get_backend, to_numpy
from xpnet.equations import activations, losses
from xpnet.program import Replayed, may_replay, without_replays
from xpnet.program.cuda.levels import LevelError

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not may_replay(), reason="XPNET_REPLAY switches replays off"),
]


@pytest.fixture(autouse=True)
def modules(request):
    """The modules that import CuPy, without any program or algorithm in their caches."""
    pytest.importorskip("cupy", reason="CuPy is not installed")
    from xpnet.program.cuda import bound_step, cublaslt, gpu_steps, graph, launches, replay

    replay.chosen_levels.clear()
    cublaslt._algorithms.clear()
    yield SimpleNamespace(
        bound_step=bound_step,
        cublaslt=cublaslt,
        gpu_steps=gpu_steps,
        graph=graph,
        launches=launches,
        replay=replay,
    )
    replay.chosen_levels.clear()
    cublaslt._algorithms.clear()


@pytest.fixture
def levels(modules):
    """The levels at which programs run so far."""
    return lambda: {*modules.replay.chosen_levels.values()}


@pytest.fixture
def steps_down(monkeypatch):
    """A level that fails gives a warning, whatever the environment says."""
    monkeypatch.setenv("XPNET_CAPTURE", "on")


@pytest.fixture
def data(rng):
    """200 samples of 12 features in 4 classes."""
    return rng.normal(size=(200, 12)), np.eye(4)[rng.integers(0, 4, 200)]


def model(activation="tanh", **settings):
    return Model(
        Sequential(Dense(20, activation), Dense(9, activation), Dense(4)), "cross_entropy", l2=1e-3, **settings
    )


def trained(backend, data, of=None, n=4, rule=Adam(0.01), **settings):
    """The states and costs of some epochs."""
    of, rng = of or model(), np.random.default_rng(0)
    state = of.initial(rng, data[0].shape[1], rule)
    settings = {"batch_size": 30, "rng": rng} | settings
    return [*islice(epochs(of, state, *data, backend=backend, **settings), n)]


def assert_alike(ours, theirs, tolerance=1e-10):
    for (a, cost), (b, expected) in zip(ours, theirs, strict=True):
        assert cost == pytest.approx(expected, rel=tolerance)
        for x, y in zip((a.theta, *a.slots), (b.theta, *b.slots), strict=True):
            np.testing.assert_allclose(to_numpy(x), to_numpy(y), rtol=0, atol=tolerance)


# --- the same numbers


def random_training(seed):
    """Any network, rule and batches."""
    rng = np.random.default_rng(seed)
    m, n, n_out = (int(rng.integers(*limits)) for limits in ((2, 90), (1, 40), (1, 6)))
    names = sorted(activations.BY_NAME)
    layers = []
    for _ in range(rng.integers(0, 4)):
        activation = rng.choice([name for name in names if name not in ("exp", "softmax")])
        layers.append(Dense(int(rng.integers(1, 50)), str(activation), bias=bool(rng.integers(4))))
        layers += [Dropout(0.3)] * int(rng.integers(6) == 0) + [PReLU()] * int(rng.integers(6) == 0)
    loss = ["cross_entropy", "half_squared_error", "binary_cross_entropy"][rng.integers(3)]
    Y = rng.integers(0, 2, (m, n_out)).astype(float)
    if loss == "cross_entropy":
        n_out = max(2, n_out)
        Y = np.eye(n_out)[rng.integers(0, n_out, m)]
    rule = [GradientDescent(0.01), Momentum(0.01), Adam(1e-3), AdamW(1e-3)][rng.integers(4)]
    of = Model(Sequential(*layers, Dense(n_out)), loss, l1=1e-3 * rng.integers(2), l2=1e-2 * rng.integers(2))
    settings = {"batch_size": [None, 1, 7, 32][rng.integers(4)], "shuffle": bool(rng.integers(2))}
    settings["sample_weight"] = rng.uniform(0.5, 2.0, m) if rng.integers(3) == 0 else None
    settings["clip_norm"] = 1.0 if rng.integers(4) == 0 else None
    if settings["batch_size"] == 1:
        m = min(m, 12)
        settings["sample_weight"] = None if settings["sample_weight"] is None else settings["sample_weight"][:m]
    return (rng.normal(size=(m, n)), Y[:m]), of, rule, settings


def assert_a_random_training_is_numpys(seed):
    """30 steps or more."""
    data, of, rule, settings = random_training(seed)
    n_steps = -(-len(data[0]) // (settings["batch_size"] or len(data[0])))
    ours, theirs = (trained(b, data, of, -(-30 // n_steps), rule, **settings) for b in ("cupy", "numpy"))
    assert_alike(ours[-1:], theirs[-1:])


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_train_as_on_numpy(seed):
    assert_a_random_training_is_numpys(seed)


def test_the_default_is_a_graph(data, levels):
    assert_alike(trained("cupy", data), trained("numpy", data))
    assert levels() == {"graph"}


@pytest.mark.parametrize(
    ("capture", "epilogues", "level"), [("off", "off", "launches"), ("on", "on", "graph with epilogues")]
)
def test_other_levels(capture, epilogues, level, data, levels, monkeypatch):
    monkeypatch.setenv("XPNET_CAPTURE", capture)
    monkeypatch.setenv("XPNET_EPILOGUES", epilogues)
    assert_alike(trained("cupy", data, model("relu")), trained("numpy", data, model("relu")))
    assert levels() == {level}


def test_an_older_cublas_has_no_epilogues(data, levels, modules, monkeypatch):
    monkeypatch.setenv("XPNET_EPILOGUES", "on")
    monkeypatch.setattr(modules.replay, "cublas_version", lambda: 120803)
    trained("cupy", data)
    assert levels() == {"graph"}


def test_nothing_is_replayed_within_without_replays(data, levels):
    with without_replays():
        trained("cupy", data)
    assert levels() == set()


def test_w_used_twice_has_both_gradients(rng):
    from dataclasses import dataclass

    from xpnet.equations.layers import Parameter

    @dataclass(frozen=True)
    class Twice:
        """A W, then W again."""

        def shapes(self, in_shape):
            return (Parameter("W", (*in_shape, *in_shape), "weight"),), in_shape

        def initial(self, rng, in_shape):
            return (rng.normal(size=(*in_shape, *in_shape)) / 4,)

        def forward(self, params, A, train=None):
            (W,) = params
            B = A @ W

            def backward(dC, need_dX=True):
                dB = dC @ W.T
                return dB @ W.T, (B.T @ dC + A.T @ dB,)

            return B @ W, backward

    of = Model(Sequential(Twice(), Dense(2)))
    data = rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    assert_alike(trained("cupy", data, of), trained("numpy", data, of))


def test_many_biases_and_slopes_are_packed(rng):
    layers = [layer for _ in range(5) for layer in (Dense(6), PReLU())]
    of = Model(Sequential(*layers, Dense(2)))
    data = rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    assert_alike(trained("cupy", data, of), trained("numpy", data, of))


@pytest.mark.parametrize("epilogues", ["off", "on"])
@pytest.mark.parametrize("shape", [(1, 5, 1), (40, 1, 1), (7, 3, 1), (1, 1, 1)])
def test_matrices_of_one_row_or_column(shape, epilogues, rng, monkeypatch):
    monkeypatch.setenv("XPNET_EPILOGUES", epilogues)
    m, n, n_out = shape
    of = Model(Sequential(Dense(1, "tanh"), Dense(n_out)), l2=0.1)
    data = rng.normal(size=(m, n)), rng.normal(size=(m, n_out))
    for batch_size in (None, 1, 3):
        ours, theirs = (trained(b, data, of, 3, batch_size=batch_size) for b in ("cupy", "numpy"))
        assert_alike(ours, theirs)


@pytest.mark.parametrize("name", ["sign", "clip"])
def test_an_activation_of_ones_own(name, data):
    class Own(activations.Activation):
        """sign(Z) + Z, or Z cut off at -1 and 1."""

        def forward(self, Z):
            xp = array_namespace(Z)
            return xp.sign(Z) + Z if name == "sign" else xp.clip(Z, -1.0, 1.0)

        def derivative(self, Z, A):
            xp = array_namespace(Z)
            return xp.ones_like(A) if name == "sign" else xp.astype(xp.abs(A) < 1.0, A.dtype)

    of = Model(Sequential(Dense(6, Own()), Dense(4)), "cross_entropy")
    assert_alike(trained("cupy", data, of), trained("numpy", data, of))


def test_losses_that_multiply_by_numbers_are_not_rounded(data):
    X, Y = data
    for loss in (losses.HalfSquaredError(mean_over_outputs=True), losses.Huber(0.3)):
        of = Model(Sequential(Dense(6, "tanh"), Dense(4)), loss)
        ours, theirs = (trained(b, (X, 0.7 * Y), of, shuffle=False) for b in ("cupy", "numpy"))
        assert_alike(ours, theirs, 1e-12)


def test_sparse_samples_with_dropout_draw_new_masks_at_each_step(rng):
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    cupy_sparse = pytest.importorskip("cupyx.scipy.sparse", reason="CuPy is not installed")
    X = sparse.random(60, 30, 0.2, "csr", random_state=0)
    Y = rng.normal(size=(60, 2))
    of = Model(Sequential(Dense(8, "tanh"), Dropout(0.5), Dense(2)))
    ours = trained("cupy", (cupy_sparse.csr_matrix(X), Y), of)
    assert_alike(ours, trained("numpy", (X, Y), of))


# --- levels that fail


def plant(launches, patch, replacement):
    """Replace a text in the source of every kernel."""
    original = launches.Compiled.__init__

    def wrong(self, *arguments):
        original(self, *arguments)
        object.__setattr__(self.source, "text", self.source.text.replace(*replacement))

    patch.setattr(launches.Compiled, "__init__", wrong)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_wrong_kernel_is_not_used(dtype, data, modules, steps_down, levels, monkeypatch):
    data = tuple(a.astype(dtype) for a in data)
    expected = trained("numpy", data)
    plant(modules.launches, monkeypatch, ("tanh", "sin"))
    with pytest.warns(RuntimeWarning, match="differ by .* of what a step changes") as caught:
        found = [*trained("cupy", data)]
    assert_alike(found, expected, 1e-10 if dtype == "float64" else 1e-4)
    text = str(caught[0].message)
    for part in ('level "graph"', "compute capability", "CuPy", "CUDA runtime", "cuBLAS", "XPNET_CAPTURE=off"):
        assert part in text
    assert "definitions" in levels()


def test_a_kernel_with_a_wrong_index_is_not_used(data, steps_down, levels, monkeypatch):
    """It reads the bias of the second layer shifted by one element."""
    from xpnet.program.cuda import indices

    original = indices.index_of

    def wrong(x, at):
        found = original(x, at)
        return f"(9 * (({found}) / 9) + ({found} + 1) % 9)" if x.shape == (9,) else found

    monkeypatch.setattr(indices, "index_of", wrong)
    of = model("relu")
    of = replace(of, network=Sequential(*of.network.layers[:1], Dense(9, bias_initializer="glorot_uniform"), Dense(4)))
    with pytest.warns(RuntimeWarning, match="differ by .* of what a step changes"):
        assert_alike(trained("cupy", data, of), trained("numpy", data, of))
    assert "definitions" in levels()


def test_a_kernel_that_does_not_compile_is_not_used(data, modules, steps_down, monkeypatch):
    expected = trained("numpy", data)
    plant(modules.launches, monkeypatch, ("tanh(", "no_such_function("))
    with pytest.warns(RuntimeWarning, match="no_such_function"):
        assert_alike(trained("cupy", data), expected)


def test_a_required_level_is_an_error(data, modules, monkeypatch):
    monkeypatch.setenv("XPNET_CAPTURE", "require")
    plant(modules.launches, monkeypatch, ("tanh", "sin"))
    with pytest.raises(LevelError, match="XPNET_CAPTURE=require"):
        trained("cupy", data)


def test_a_chosen_level_holds_for_the_process(data, modules, steps_down, monkeypatch):
    plant(modules.launches, monkeypatch, ("tanh", "sin"))
    with pytest.warns(RuntimeWarning):
        trained("cupy", data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained("cupy", data)


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_a_capture_that_fails_ends(error, data, modules, steps_down, monkeypatch):
    import cupy

    streams, original = [], modules.launches.Launches.__call__

    def fails(self, stream, k=0):
        original(self, stream, k)
        if stream.is_capturing():
            streams.append(stream)
            raise error

    monkeypatch.setattr(modules.launches.Launches, "__call__", fails)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            trained("cupy", data)
    else:
        with pytest.warns(RuntimeWarning, match='level "graph" failed .RuntimeError: no'):
            assert_alike(trained("cupy", data), trained("numpy", data))
    assert streams
    assert not any(stream.is_capturing() for stream in streams)
    assert gc.isenabled()
    assert cupy.ones(3).sum() == 3


def test_a_capture_that_cuda_refuses_ends(data, modules, steps_down, monkeypatch):
    import cupy

    original = modules.launches.Launches.__call__

    def reads(self, stream, k=0):
        original(self, stream, k)
        if stream.is_capturing():
            cupy.ones(3).get()

    monkeypatch.setattr(modules.launches.Launches, "__call__", reads)
    with pytest.warns(RuntimeWarning, match='level "graph"'):
        assert_alike(trained("cupy", data), trained("numpy", data))
    assert cupy.ones(3).sum() == 3


def test_an_error_in_a_capture_that_was_invalidated_is_raised(modules):
    import cupy

    streams = []

    def interrupted(stream):
        streams.append(stream)
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
            stream.synchronize()  # which a capture forbids
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        modules.graph.captured(interrupted)
    assert not streams[0].is_capturing()
    assert cupy.ones(3).sum() == 3


def test_the_context_is_checked_during_the_capture_of_another_thread(modules):
    import cupy

    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        with cupy.cuda.Stream(non_blocking=True):
            assert not modules.replay.context_has_ended()
        stream.end_capture()


def test_chosen_levels_do_not_fill_the_memory(modules, monkeypatch):
    monkeypatch.setattr(modules.replay.chosen_levels, "most", 3)
    for k in range(5):
        modules.replay.at_highest_level(k, lambda level, is_known: level)
    assert [program for *_, program in modules.replay.chosen_levels] == [2, 3, 4]


def test_the_error_after_the_end_of_the_context_says_how_to_continue(data, modules, monkeypatch):
    plant(modules.launches, monkeypatch, ("tanh", "sin"))
    monkeypatch.setattr(modules.replay, "context_has_ended", lambda: True)
    with pytest.raises(RuntimeError, match="restart with XPNET_REPLAY=off"):
        trained("cupy", data)


CONTEXT_ENDS = """
import numpy as np
from itertools import islice
from types import SimpleNamespace
from xpnet import Dense, GradientDescent, Model, Sequential, epochs
from xpnet.program.cuda.launches import Compiled

original = Compiled.__init__
def deadly(self, *arguments):
    original(self, *arguments)
    object.__setattr__(self.source, "text", self.source.text.replace("(memory + ", "(memory + 100000000000000 + "))
Compiled.__init__ = deadly
of, rng = Model(Sequential(Dense(3), Dense(2))), np.random.default_rng(0)
run = epochs(of, of.initial(rng, 5, GradientDescent(0.1)), np.ones((50, 5)), np.ones((50, 2)), batch_size=5, rng=rng,
             backend="cupy")
next(run)
"""


def test_a_kernel_that_ends_the_context_gives_that_error():
    """This runs in a process of its own, which can't use the GPU afterwards."""
    environment = os.environ | {"XPNET_CAPTURE": "on"}
    ended = subprocess.run(
        [sys.executable, "-c", CONTEXT_ENDS], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "restart with XPNET_REPLAY=off" in ended.stderr, ended.stderr[-3000:]


@pytest.mark.parametrize("status", [7, 8, 15])
@pytest.mark.parametrize("where", ["cublasLtMatmulAlgoGetHeuristic", "cublasLtMatmul"])
def test_products_that_cublaslt_refuses_are_computed_by_a_kernel(where, status, data, modules, levels, monkeypatch):
    cublaslt = modules.cublaslt
    original = cublaslt.call

    def refuses(name, *arguments):
        if name == where:
            raise cublaslt.Refused(f"{name} gave {status}")
        original(name, *arguments)

    assert status in cublaslt.REFUSALS
    monkeypatch.setattr(cublaslt, "call", refuses)
    assert_alike(trained("cupy", data), trained("numpy", data))
    assert levels() == {"graph"}
    assert {*cublaslt._algorithms.values()} == {None}
    bfloat16 = trained("cupy", data, model(precision="bfloat16"))
    assert_alike(bfloat16, trained("numpy", data, model(precision="float32")), 0.05)


def test_a_product_whose_bias_has_no_algorithm_steps_down_to_one_without_bias(
    data, modules, steps_down, levels, monkeypatch
):
    cublaslt = modules.cublaslt
    monkeypatch.setenv("XPNET_EPILOGUES", "on")
    original = cublaslt.Multiplication._fastest
    monkeypatch.setattr(
        cublaslt.Multiplication, "_fastest", lambda self: original(self) if self.problem.epilogue == 1 else None
    )
    with pytest.warns(RuntimeWarning, match="XPNET_EPILOGUES=off"):
        assert_alike(trained("cupy", data, model("relu")), trained("numpy", data, model("relu")))
    assert "graph" in levels()


def test_matrices_of_one_column_that_are_too_large_for_an_older_cublas_are_multiplied_by_a_kernel(modules):
    from xpnet.program.cuda.memory import Operand, Product

    def product(m, n):
        A, B, out = ((m, 1 << 10), (1 << 10, n), (m, n))
        return Product(*(Operand(0, 0, shape, (shape[1], 1), np.dtype("float32")) for shape in (A, B, out)))

    is_safe = modules.cublaslt.is_safe
    assert not is_safe(product(1 << 21, 1), 120803)
    assert is_safe(product(1 << 21, 1), 120804)
    assert is_safe(product(1 << 20, 1), 120803)
    assert is_safe(product(1 << 21, 2), 120803)


def test_an_algorithm_that_splits_sums_unevenly_is_not_used(modules, monkeypatch):
    cublaslt = modules.cublaslt
    configured = {cublaslt.ALGORITHM_ID: 66, cublaslt.SPLIT_K: 3}
    monkeypatch.setattr(cublaslt, "_configured", lambda found, attribute: configured[attribute])
    assert [cublaslt._has_remainder(None, k) for k in (6, 7, 8, 9)] == [False, True, True, False]
    configured[cublaslt.ALGORITHM_ID] = 65
    assert not cublaslt._has_remainder(None, 7)


def test_a_layer_that_can_not_be_recorded_runs_directly(data, steps_down, caplog):
    class Reading:
        """A layer that reads a value."""

        def shapes(self, in_shape):
            return (), in_shape

        def initial(self, rng, in_shape):
            return ()

        def forward(self, params, A, train=None):
            scale = 2.0 if float(A[0, 0]) > 1e9 else 1.0
            return scale * A, lambda dA, need_dX=True: (scale * dA, ())

    of = Model(Sequential(Dense(5, "tanh"), Reading(), Dense(4)), "cross_entropy")
    with caplog.at_level(logging.WARNING, "xpnet"):
        assert_alike(trained("cupy", data, of), trained("numpy", data, of))
    assert "a function can't be replayed" in caplog.text


# --- states, other streams and threads


def test_states_are_not_overwritten(data):
    at_once, later = [], []
    rng = np.random.default_rng(0)
    of = model()
    for state, _ in islice(
        epochs(of, of.initial(rng, 12, Adam(0.01)), *data, batch_size=30, rng=rng, backend="cupy"), 6
    ):
        at_once.append(to_numpy(state.theta))
        later.append(state)
    for a, state in zip(at_once, later, strict=True):
        np.testing.assert_array_equal(to_numpy(state.theta), a)
    unread = trained("cupy", data, n=6)
    for a, (state, _) in zip(at_once, unread, strict=True):
        np.testing.assert_allclose(to_numpy(state.theta), a, atol=1e-12)


def test_training_continues_from_a_state_that_is_sent(data):
    runs = []
    for backend in ("cupy", "numpy"):
        of, rng = model(), np.random.default_rng(0)
        run = epochs(of, of.initial(rng, 12, Adam()), *data, batch_size=30, rng=rng, backend=backend)
        next(run)
        first, _ = next(run)
        next(run)
        runs.append([run.send(first), next(run)])
    assert_alike(*runs)


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_a_state_with_a_changed_theta_may_be_sent(backend, data):
    of, rng = model(), np.random.default_rng(0)
    run = epochs(of, of.initial(rng, 12, GradientDescent(0.1)), *data, rng=rng, backend=backend)
    state, first = next(run)
    state.theta[...] = 0.0
    _, cost = run.send(state)
    assert cost == pytest.approx(np.log(4), rel=1e-3)
    assert cost != pytest.approx(first, rel=1e-3)


def test_threads_train_at_the_same_time(data):
    expected, found = trained("numpy", data), {}

    def train(k):
        import cupy

        with cupy.cuda.Stream(non_blocking=True):
            found[k] = [(to_numpy(s.theta), cost) for s, cost in trained("cupy", data)]

    threads = [threading.Thread(target=train, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for of_thread in found.values():
        for (theta, _), (state, _) in zip(of_thread, expected, strict=True):
            np.testing.assert_allclose(theta, state.theta, atol=1e-10)
    assert len(found) == 3


def test_streams_take_turns_with_one_replay():
    """No stream overwrites inputs that another one reads, nor outputs that another one copies."""
    import cupy

    replayed = Replayed(lambda x: 2.0 * x + 1.0)
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(3)]
    found = []
    for k in range(12):
        with streams[k % 3]:
            found.append(replayed(cupy.full(1 << 16, float(k))))
    for k in reversed(range(12)):
        with streams[k % 3]:
            np.testing.assert_array_equal(found[k].get(), 2.0 * k + 1.0)


# --- memory that is freed, and programs that are used again


def used_bytes():
    import cupy

    return cupy.get_default_memory_pool().used_bytes()


def test_many_fits_need_as_much_device_memory_as_one(data):
    fit = lambda: trained("cupy", data, n=2)
    fit()
    gc.collect()
    gc.disable()
    try:
        fit()
        first = used_bytes()
        for _ in range(50):
            fit()
        assert used_bytes() == first
    finally:
        gc.enable()


def test_an_estimator_frees_the_memory_that_it_does_not_need(rng):
    X, y = rng.normal(size=(120, 6)), rng.integers(0, 3, 120)
    fit = lambda **s: MLPClassifier(hidden_layer_sizes=(8,), max_iter=3, backend="cupy", **s).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for settings in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
            fit(**settings)
            gc.collect()
            first = used_bytes()
            for _ in range(5):
                fit(**settings)
            gc.collect()
            assert used_bytes() == first


def counted(monkeypatch, module, name):
    calls, original = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **k: calls.append(a) or original(*a, **k))
    return calls


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
def test_partial_fit_makes_its_program_once(rng, modules, monkeypatch):
    X, y = rng.normal(size=(9, 40, 5)), rng.normal(size=(9, 40))
    ours, theirs = (MLPRegressor(hidden_layer_sizes=(7,), backend=b, random_state=0) for b in ("cupy", "numpy"))
    for k in range(6):
        ours.partial_fit(X[k], y[k])
    plans, captures = (
        counted(monkeypatch, modules.launches, "plan"),
        counted(monkeypatch, modules.bound_step, "captured"),
    )
    for k in range(6, 9):
        ours.partial_fit(X[k], y[k])
    assert plans == captures == []
    for k in range(9):
        theirs.partial_fit(X[k], y[k])
    np.testing.assert_allclose(to_numpy(ours.coefs_[0]), theirs.coefs_[0], atol=1e-10)


@pytest.mark.parametrize("n_rows", [1, 50])
def test_predictions_of_a_size_make_their_program_once(n_rows, rng, modules, monkeypatch):
    X, y = rng.normal(size=(120, 6)), rng.integers(0, 3, 120)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp = MLPClassifier(hidden_layer_sizes=(8,), max_iter=3, backend="cupy").fit(X, y)
    expected = MLPClassifier.predict_proba(pickle.loads(pickle.dumps(mlp)).set_params(backend="numpy"), X)
    plans = counted(monkeypatch, modules.launches, "plan")
    for k in range(8):
        np.testing.assert_allclose(mlp.predict_proba(X[k : k + n_rows]), expected[k : k + n_rows], atol=1e-12)
    assert len(plans) == 1
    mlp.coefs_[0] *= 2.0  # the arrays are the fitted model, not the programs
    assert np.abs(mlp.predict_proba(X[:n_rows]) - expected[:n_rows]).max() > 1e-6
    assert len(plans) == 1
    held = used_bytes()
    del mlp
    gc.collect()
    assert used_bytes() < held


@pytest.mark.parametrize("method", ["predict", "output", "log_predict"])
def test_a_model_keeps_the_programs_of_its_predictions_as_long_as_it_exists(method, rng, modules, monkeypatch):
    of, X = model("relu"), rng.normal(size=(30, 12))
    theta = of.draw(rng, 12)
    expected = getattr(of, method)(theta, X)
    before = used_bytes()
    plans = counted(monkeypatch, modules.launches, "plan")
    for _ in range(6):
        np.testing.assert_allclose(getattr(of, method)(theta, X, "cupy"), expected, atol=1e-12)
    assert len(plans) == 1
    del of
    gc.collect()
    assert used_bytes() == before


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_lbfgs_is_replayed(rng, levels):
    X, y = rng.normal(size=(60, 5)), rng.normal(size=60)
    ours, theirs = (
        MLPRegressor(hidden_layer_sizes=(7,), solver="lbfgs", max_iter=9, backend=b, random_state=0).fit(X, y)
        for b in ("cupy", "numpy")
    )
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-4)
    assert levels() == {"graph"}


def test_the_number_of_steps_of_a_graph_divides_an_epoch(modules):
    of = modules.gpu_steps.steps_a_graph
    assert [of(n, 32) for n in (1, 2, 5, 8, 10, 12, 21, 35)] == [1, 2, 5, 8, 5, 6, 7, 7]
    assert [of(12, rows) for rows in (256, 257, 1024, 1025)] == [6, 4, 4, 1]


def test_the_name_of_a_backend_includes_the_device():
    assert get_backend("cupy").name == "cupy:0"
