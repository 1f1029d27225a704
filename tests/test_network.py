"""Networks, the flat vector of their parameters, and the model: a pure function of that vector."""

import contextlib
import pickle
import threading
import weakref

import numpy as np
import pytest

from xpnet import block_prediction
from xpnet.backends import Backend, get_backend, to_numpy
from xpnet.block_prediction import rows_a_block
from xpnet.equations.activations import ELU, Linear, Sigmoid
from xpnet.equations.layers import Dense, PReLU, Training
from xpnet.equations.losses import BinaryCrossEntropy, HalfSquaredError
from xpnet.equations.optimizers import Adam, GradientDescent, Momentum
from xpnet.model import Model
from xpnet.network import Layout, Sequential
from xpnet.state import initial_state
from xpnet.training import epochs

NETWORK = Sequential(Dense(4, "tanh"), PReLU(), Dense(3, "elu", bias=False), Dense(2))
SHAPES = [(3, 4), (4,), (4,), (4, 3), (3, 2), (2,)]
N_PARAMETERS = 12 + 4 + 4 + 12 + 6 + 2


def nested(shapes=SHAPES, first=0):
    """Arrays of these shapes, all numbers different, as NETWORK's layers hold them."""
    arrays = []
    for shape in shapes:
        size = int(np.prod(shape))
        arrays.append(np.arange(first, first + size, dtype=np.float64).reshape(shape))
        first += size
    W1, b1, alpha, W2, W3, b3 = arrays
    return (W1, b1), (alpha,), (W2,), (W3, b3)


# --- the flat vector


def test_theta_is_weights_then_biases_then_the_rest():
    (W1, b1), (alpha,), (W2,), (W3, b3) = layers = nested()
    layout = Layout(NETWORK, (3,))
    theta = layout.pack(layers)
    np.testing.assert_array_equal(theta, np.concatenate([a.ravel() for a in (W1, W2, W3, b1, b3, alpha)]))
    assert (layout.n_weights, layout.n_parameters, layout.out_shape) == (30, N_PARAMETERS, (2,))


def test_theta_is_packed_as_scikit_learn_packs(rng):
    from sklearn.neural_network._multilayer_perceptron import _pack

    layers = Sequential(Dense(5, "tanh"), Dense(4, "tanh"), Dense(2))
    arrays = [(rng.normal(size=(a, b)), rng.normal(size=b)) for a, b in ((3, 5), (5, 4), (4, 2))]
    theirs = _pack([W for W, _ in arrays], [b for _, b in arrays])
    np.testing.assert_array_equal(Layout(layers, (3,)).pack(tuple(arrays)), theirs)


def test_unpack_undoes_pack(library, dtype):
    layout = Layout(NETWORK, (3,))
    layers = tuple(tuple(library.asarray(a, dtype) for a in layer) for layer in nested())
    theta = layout.pack(layers)
    assert library.owns(theta)
    assert theta.shape == (N_PARAMETERS,)
    assert theta.dtype == getattr(library.xp, dtype)
    for packed, unpacked in zip(layers, layout.unpack(theta), strict=True):
        for a, b in zip(packed, unpacked, strict=True):
            assert b.shape == a.shape
            np.testing.assert_array_equal(to_numpy(b), to_numpy(a))
    np.testing.assert_array_equal(to_numpy(layout.pack(layout.unpack(theta))), to_numpy(theta))


def test_packing_copies(library):
    layout = Layout(Sequential(Dense(2, bias=False)), (3,))
    W = np.ones((3, 2))
    theta = layout.pack(((W,),))
    W[0, 0] = 9.0
    np.testing.assert_array_equal(theta, np.ones(6))


def test_a_layout_needs_every_array():
    with pytest.raises(ValueError, match=r"zip"):
        Layout(NETWORK, (3,)).pack(nested()[:-1])


def test_a_network_without_weights_or_without_biases(rng):
    slopes, weights = Model(Sequential(PReLU())), Model(Sequential(Dense(3, bias=False)))
    for model, n in ((slopes, 3), (weights, 9)):
        state = model.initial(rng, 3, GradientDescent(0.1))
        assert state.theta.shape == (n,)
        assert model.predict(state.theta, rng.normal(size=(5, 3))).shape == (5, 3)
    assert slopes.layout(3).n_weights == 0
    assert weights.layout(3).n_weights == 9


# --- networks


def test_a_sequence_is_its_layers_one_after_the_other(library, rng):
    host = [tuple(rng.normal(size=p.shape) for p in of) for of in NETWORK.shapes((3,))[0]]
    params = tuple(tuple(library.asarray(a, "float64") for a in layer) for layer in host)
    x = rng.normal(size=(5, 3))
    X = library.asarray(x, "float64")
    A, _ = NETWORK.forward(params, X)
    (W1, b1), (alpha,), (W2,), (W3, b3) = host
    h = np.tanh(x @ W1 + b1)
    h = np.where(h >= 0, h, alpha * h) @ W2
    expected = np.where(h >= 0, h, np.expm1(np.minimum(h, 0))) @ W3 + b3
    np.testing.assert_allclose(to_numpy(A), expected, rtol=1e-12)
    np.testing.assert_array_equal(to_numpy(NETWORK.forward(params, X, train=Training())[0]), to_numpy(A))
    np.testing.assert_array_equal(to_numpy(X), x)


class WithoutParameters:
    """A layer that learns nothing; ``forward`` is its subclass's."""

    def shapes(self, in_shape):
        return (), in_shape

    def initial(self, rng, in_shape):
        return ()


def test_inference_keeps_nothing_of_the_layers():
    closures, alive = [], []

    class Remembering(WithoutParameters):
        def forward(self, params, X, train=None):
            def backward(dA, need_dX=True):
                return dA, ()

            alive.append(sum(closure() is not None for closure in closures))
            closures.append(weakref.ref(backward))
            return X, backward

    layers = Sequential(Remembering(), Remembering(), Remembering())
    layers.forward(((), (), ()), np.ones((1, 1)))
    assert alive == [0, 0, 0]
    assert [closure() for closure in closures] == [None, None, None]
    closures.clear()
    _, backward = layers.forward(((), (), ()), np.ones((1, 1)), train=Training())
    assert None not in [closure() for closure in closures]
    backward(np.ones((1, 1)))
    assert [closure() for closure in closures] == [None, None, None]


def test_only_the_first_layers_input_needs_no_gradient():
    asked = []

    class Asking(WithoutParameters):
        def forward(self, params, X, train=None):
            def backward(dA, need_dX=True):
                asked.append(need_dX)
                return dA, ()

            return X, backward

    _, backward = Sequential(Asking(), Asking(), Asking()).forward(((), (), ()), np.ones((1, 1)), train=Training())
    backward(np.ones((1, 1)))
    assert asked == [True, True, False]


def test_a_layer_of_ones_own_needs_no_base_class(rng):
    class Double:
        def shapes(self, in_shape):
            return (), in_shape

        def initial(self, rng, in_shape):
            return ()

        def forward(self, params, X, train=None):
            return 2.0 * X, lambda dA, need_dX=True: (2.0 * dA, ())

    X, Y, theta = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.normal(size=8)
    with_own, plain = Model(Sequential(Double(), Dense(2))), Model(Sequential(Dense(2)))
    np.testing.assert_allclose(with_own.predict(theta, X), plain.predict(theta, 2 * X), rtol=1e-12)
    np.testing.assert_allclose(
        with_own.cost_and_gradient(theta, X, Y)[1], plain.cost_and_gradient(theta, 2 * X, Y)[1], rtol=1e-12
    )


def test_networks_and_models_are_values():
    model = Model(NETWORK, l2=0.1)
    copy = pickle.loads(pickle.dumps(model))
    assert copy == model
    assert hash(copy) == hash(model)
    assert copy.layout(3) is model.layout(3)


# --- initial states


@pytest.mark.parametrize("source", [np.random.default_rng, np.random.RandomState])
def test_one_seed_gives_one_network(source):
    model = Model(Sequential(Dense(4, "tanh", bias_initializer="normal"), Dense(2)))
    first, again, other = (model.initial(source(seed), 3, Adam()) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.theta, again.theta)
    assert not np.array_equal(first.theta, other.theta)
    assert first.theta.dtype == np.float64


def test_an_initial_state():
    rng = np.random.default_rng(0)
    state = Model(NETWORK).initial(rng, 3, Adam(0.02))
    assert state.theta.shape == (N_PARAMETERS,)
    assert [v.shape for v in state.slots] == [(N_PARAMETERS,)] * 2
    assert not any(v.any() for v in state.slots)
    assert (state.learning_rate, state.step, state.rng, state.order) == (0.02, 0, rng, None)
    assert len(Model(NETWORK).initial(rng, 3, Momentum()).slots) == 1
    assert Model(NETWORK).initial(rng, 3, GradientDescent()).slots == ()


def test_a_state_from_parameters_of_any_library(library, dtype):
    theta = library.asarray(np.arange(5.0), dtype)
    state = initial_state(theta, Adam())
    assert state.theta is theta
    assert all(library.owns(v) and v.dtype == theta.dtype for v in state.slots)


def test_the_number_of_features_may_be_numpys(rng):
    assert Model(NETWORK).layout(np.int64(3)) is Model(NETWORK).layout(3)
    assert Model(NETWORK).layout((3,)) is Model(NETWORK).layout(3)


# --- the cost


def test_mean_and_sum(library, dtype, rng):
    X, Y, theta = rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), rng.normal(size=8)
    A = X @ theta[:6].reshape(3, 2) + theta[6:]
    losses = 0.5 * ((A - Y) ** 2).sum(axis=1)
    w = np.array([1.0, 2.0, 0.0, 1.0, 0.5, 3.0])
    rel = 1e-5 if dtype == "float32" else 1e-12
    for reduction, weights, expected in [
        ("mean", None, losses.mean()),
        ("sum", None, losses.sum()),
        ("mean", w, w @ losses / w.sum()),
        ("sum", w, w @ losses),
    ]:
        cost = Model(Sequential(Dense(2)), reduction=reduction).cost(theta, library.asarray(X, dtype), Y, weights)
        assert type(cost) is float
        assert cost == pytest.approx(expected, rel=rel)


def test_a_weight_of_two_is_the_sample_twice(library, rng):
    X, Y = rng.normal(size=(5, 3)), np.eye(2)[[0, 1, 1, 0, 1]]
    theta = rng.normal(size=N_PARAMETERS)
    w = np.array([1.0, 2.0, 3.0, 0.0, 1.0])
    rows = np.repeat(np.arange(5), w.astype(int))
    for reduction in ("mean", "sum"):
        model = Model(NETWORK, "cross_entropy", l2=0.1, reduction=reduction)
        cost, g = model.cost_and_gradient(theta, library.asarray(X, "float64"), Y, w)
        expected_cost, expected = model.cost_and_gradient(theta, X[rows], Y[rows])
        assert cost == pytest.approx(expected_cost, rel=1e-12)
        np.testing.assert_allclose(to_numpy(g), expected, rtol=1e-10, atol=1e-13)


def test_sums_add_up_over_parts_of_the_data(library, rng):
    model = Model(NETWORK, "cross_entropy")
    X, Y, w, theta = (
        library.asarray(a, "float64")
        for a in (
            rng.normal(size=(7, 3)),
            np.eye(2)[[0, 1, 1, 0, 1, 0, 0]],
            rng.uniform(size=7),
            rng.normal(size=N_PARAMETERS),
        )
    )

    def sums(rows):
        g, loss_sum, weight_sum = model.sums(theta, X[rows, :], Y[rows, :], w[rows])
        return *g, loss_sum, weight_sum

    for whole, one, other in zip(sums(slice(0, 7)), sums(slice(0, 3)), sums(slice(3, 7)), strict=True):
        np.testing.assert_allclose(to_numpy(one + other), to_numpy(whole), rtol=1e-12, atol=1e-14)


def test_the_cost_follows_X_and_casts_what_comes_with_it(library, dtype, rng):
    X = library.asarray(rng.normal(size=(5, 3)), dtype)
    theta, Y = rng.normal(size=8), rng.integers(0, 2, (5, 2))
    _, g = Model(Sequential(Dense(2))).cost_and_gradient(theta, X, Y, np.ones(5, int))
    assert library.owns(g)
    assert g.dtype == X.dtype


def test_what_comes_with_X_may_be_of_any_library(library, other_library, rng):
    arrays = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.uniform(size=5), rng.normal(size=8)
    X = library.asarray(arrays[0], "float64")
    Y, w, theta = (other_library.asarray(a, "float64") for a in arrays[1:])
    model = Model(Sequential(Dense(2)))
    cost, g = model.cost_and_gradient(theta, X, Y, w)
    assert library.owns(g)
    assert cost == pytest.approx(model.cost(arrays[3], *arrays[:3]), rel=1e-12)
    A = model.predict(theta, X)
    assert library.owns(A)
    np.testing.assert_allclose(to_numpy(A), model.predict(arrays[3], arrays[0]), rtol=1e-12)


class Watching:
    """A layer that notes whether the backend's device was current while it ran."""

    def __init__(self, is_current):
        self.is_current, self.seen = is_current, []

    def shapes(self, in_shape):
        return (), in_shape

    def initial(self, rng, in_shape):
        return ()

    def forward(self, params, X, train=None):
        self.seen.append(self.is_current())

        def backward(dA, need_dX=True):
            self.seen.append(self.is_current())
            return dA, ()

        return X, backward


def test_the_device_is_current_wherever_a_model_computes(monkeypatch, rng):
    """CuPy launches its kernels on the current device, wherever their arrays lie."""
    depth = []

    @contextlib.contextmanager
    def active(self):
        depth.append(self)
        yield
        depth.pop()

    monkeypatch.setattr(Backend, "active", active)
    layer = Watching(lambda: bool(depth))
    model = Model(Sequential(layer, Dense(2), layer))
    X, Y, state = rng.normal(size=(4, 3)), rng.normal(size=(4, 2)), model.initial(rng, 3, Adam())
    for compute in (
        lambda: model.predict(state.theta, X),
        lambda: model.cost_and_gradient(state.theta, X, Y),
        lambda: next(epochs(model, state, X, Y)),
    ):
        layer.seen.clear()
        compute()
        assert layer.seen
        assert all(layer.seen)


def test_one_output_takes_flat_targets(rng):
    X, y, theta = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=4)
    model = Model(Sequential(Dense(1)))
    assert model.cost(theta, X, y) == model.cost(theta, X, y[:, None])
    assert model.cost(theta, X.tolist(), y.tolist()) == model.cost(theta, X, y)


def test_a_zero_weight_sum_scales_to_zero(library, dtype):
    mean, total = Model(Sequential(Dense(1))), Model(Sequential(Dense(1)), reduction="sum")
    zero, four = (library.xp.sum(library.asarray([x], dtype)) for x in (0.0, 4.0))
    assert float(mean.scale(zero)) == 0.0
    assert float(mean.scale(four)) == 0.25
    assert (mean.scale(8.0), total.scale(8.0)) == (0.125, 1.0)
    assert float(total.scale(four)) == 1.0


def test_tiny_sample_weights_are_weights(rng):
    X, Y, theta = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.normal(size=8)
    model = Model(Sequential(Dense(2)))
    cost, g = model.cost_and_gradient(theta, X, Y, np.full(5, 1e-40))
    assert cost == pytest.approx(model.cost(theta, X, Y), rel=1e-12)
    np.testing.assert_allclose(g, model.cost_and_gradient(theta, X, Y)[1], rtol=1e-10)


@pytest.mark.parametrize(
    "settings", [{"l2": np.float64(0.1)}, {"l1": np.float64(0.1)}, {"l1": np.float32(0.1), "l2": 1}]
)
def test_numpys_numbers_among_the_settings_change_no_dtype(library, settings, rng):
    X, theta = library.asarray(rng.normal(size=(5, 3)), "float32"), rng.normal(size=8)
    _, g = Model(Sequential(Dense(2)), **settings).cost_and_gradient(theta, X, np.ones((5, 2)))
    assert library.owns(g)
    assert g.dtype == X.dtype


def test_two_threads_share_a_model(rng):
    model = Model(NETWORK, "cross_entropy", l2=0.1)
    X, Y = rng.normal(size=(40, 3)), np.eye(2)[rng.integers(0, 2, 40)]
    thetas = rng.normal(size=(4, N_PARAMETERS))
    alone = [model.cost_and_gradient(theta, X, Y)[1] for theta in thetas]
    wrong = []

    def work(i):
        for _ in range(30):
            if not np.array_equal(model.cost_and_gradient(thetas[i], X, Y)[1], alone[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- prediction

LINKS = {
    "half_squared_error": lambda Z: Z,
    "binary_cross_entropy": lambda Z: 1 / (1 + np.exp(-Z)),
    "cross_entropy": lambda Z: np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True),
    "half_poisson_deviance": np.exp,
}


@pytest.mark.parametrize("loss", LINKS)
def test_a_prediction_is_the_link_of_the_output(library, dtype, loss, rng):
    X, theta = rng.normal(size=(6, 3)), rng.normal(size=8)
    Z = X @ theta[:6].reshape(3, 2) + theta[6:]
    model = Model(Sequential(Dense(2)), loss)
    rtol = 2e-5 if dtype == "float32" else 1e-12
    for method, expected in (
        ("output", Z),
        ("predict", LINKS[loss](Z)),
        ("log_predict", np.log(np.abs(LINKS[loss](Z)))),
    ):
        if method == "log_predict" and "entropy" not in loss:
            continue
        A = getattr(model, method)(theta, library.asarray(X, dtype))
        assert library.owns(A)
        assert A.dtype == getattr(library.xp, dtype)
        np.testing.assert_allclose(to_numpy(A), expected, rtol=rtol, atol=1e-6 if dtype == "float32" else 1e-13)


def test_log_predictions_are_finite_where_probabilities_are_zero(library):
    theta = np.array([1e3, -1e3, 0.0, 0.0])
    model = Model(Sequential(Dense(2)), "cross_entropy")
    np.testing.assert_array_equal(to_numpy(model.log_predict(theta, library.asarray([[1.0]], "float32"))), [[0, -2e3]])


def test_host_data_gives_host_predictions(rng):
    theta = rng.normal(size=8)
    for X in ([[1, 2, 3]], ((1.0, 2.0, 3.0),), np.array([[1, 2, 3]])):
        A = Model(Sequential(Dense(2))).predict(theta, X)
        assert type(A) is np.ndarray
        assert A.dtype == np.float64


def test_a_prediction_follows_X_whichever_backend_computes(library, rng):
    """theta may live in one library, X in another, and a third may compute."""
    x, theta = rng.normal(size=(6, 3)), rng.normal(size=8)
    model = Model(Sequential(Dense(2)))
    expected = model.predict(theta, x)
    X = library.asarray(x, "float64")
    on_numpy = model.predict(theta, X, backend="numpy")
    assert library.owns(on_numpy)
    np.testing.assert_allclose(to_numpy(on_numpy), expected, rtol=1e-12)
    on_library = model.predict(library.asarray(theta, "float64"), x, backend=library.backend)
    assert type(on_library) is np.ndarray
    np.testing.assert_allclose(on_library, expected, rtol=1e-12)
    np.testing.assert_allclose(model.predict(library.asarray(theta, "float64"), x), expected, rtol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7, 8])
def test_blocks_of_rows_give_the_whole_prediction(library, monkeypatch, rows, rng):
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)), "cross_entropy")
    X, theta = library.asarray(rng.normal(size=(7, 3)), "float64"), rng.normal(size=32)
    whole = {method: to_numpy(getattr(model, method)(theta, X)) for method in ("predict", "log_predict", "output")}
    monkeypatch.setattr(block_prediction, "_BLOCK_VALUES", 5 * rows)
    assert rows_a_block(model.layout(3)) == rows
    for method, expected in whole.items():
        A = getattr(model, method)(theta, X)
        assert library.owns(A)
        assert A.shape == (7, 2)
        np.testing.assert_allclose(to_numpy(A), expected, rtol=1e-13, atol=1e-15)


def test_a_block_has_at_least_one_row(monkeypatch):
    monkeypatch.setattr(block_prediction, "_BLOCK_VALUES", 2)
    assert rows_a_block(Model(NETWORK).layout(3)) == 1


@pytest.mark.parametrize("free_bytes", [0, 1, 1 << 30, (1 << 35) - 1, 1 << 37])
def test_a_block_on_a_gpu_has_a_sixteenth_of_the_free_memory(free_bytes):
    class GPU:
        is_cupy = True

        @staticmethod
        def free_bytes():
            return free_bytes

    layout = Model(Sequential(Dense(100), Dense(2))).layout(3)
    n_bytes = 8 * layout.widest * rows_a_block(layout, GPU)
    assert n_bytes <= max(8 << 22, free_bytes / 16)
    assert rows_a_block(layout, GPU) >= rows_a_block(layout)


def test_predicting_writes_to_nothing(rng):
    X, theta = rng.normal(size=(6, 3)), rng.normal(size=N_PARAMETERS)
    before = X.copy(), theta.copy()
    X.flags.writeable = theta.flags.writeable = False
    model = Model(NETWORK)
    A = model.predict(theta, X)
    A[...] = 0.0
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(theta, before[1])


def test_a_prediction_is_no_window_of_X():
    """Not even a network that changes nothing hands out the caller's memory."""
    X = np.ones((3, 2))
    A = Model(Sequential(PReLU())).predict(np.ones(2), X)
    A[...] = 5.0
    np.testing.assert_array_equal(X, np.ones((3, 2)))


# --- what is refused

X, Y = np.ones((4, 3)), np.ones((4, 2))
MODEL = Model(Sequential(Dense(2)))

REFUSED = {
    "no layers": (lambda: Sequential(), r"^Sequential needs at least one layer, for example Sequential\(Dense\(1\)\)"),
    "softmax twice": (
        lambda: Model(Sequential(Dense(3, "softmax")), "cross_entropy"),
        r"^the loss CrossEntropy has its own softmax.*activation is softmax and would be applied first: make",
    ),
    "sigmoid twice": (
        lambda: Model(Sequential(Dense(1, Sigmoid())), BinaryCrossEntropy()),
        r"^the loss BinaryCrossEntropy has its own sigmoid.*activation is sigmoid.*make that layer linear",
    ),
    "exp twice": (
        lambda: Model(Sequential(Dense(1, "exp")), "half_poisson_deviance"),
        r"^the loss HalfPoissonDeviance has its own exp.*activation is exp.*make that layer linear",
    ),
    "relu before softmax": (lambda: Model(Sequential(Dense(3, "relu")), "cross_entropy"), r"activation is relu"),
    "softmax of one unit": (lambda: Dense(1, "softmax"), r"softmax of one unit is the constant 1.*use 'sigmoid'"),
    "cross-entropy of one unit": (
        lambda: Model(Sequential(Dense(1)), "cross_entropy"),
        r"^cross_entropy over one unit is constant.*use binary_cross_entropy",
    ),
    "loss": (lambda: Model(Sequential(Dense(1)), "mse"), r"^loss is 'mse'; allowed: half_squared_error, huber"),
    "l1 below 0": (lambda: Model(NETWORK, l1=-0.1), r"^l1 is -0.1; it must be a finite number, 0 or more"),
    "l2 infinite": (lambda: Model(NETWORK, l2=float("inf")), r"^l2 is inf; it must be a finite number, 0 or more"),
    "l2 not a number": (lambda: Model(NETWORK, l2=float("nan")), r"^l2 is nan; it must be a finite number, 0 or more"),
    "reduction": (lambda: Model(NETWORK, reduction="max"), r"^reduction is 'max'; allowed: 'mean', 'sum'"),
    "no features": (lambda: MODEL.layout(0), r"0"),
    "flat X": (
        lambda: MODEL.cost(np.ones(8), np.ones(4), Y),
        r"^Dense takes samples of one dimension, got .*reshape X",
    ),
    "images": (lambda: MODEL.cost(np.ones(8), np.ones((4, 2, 2)), Y), r"^Dense takes samples of one dimension, got "),
    "X not a number": (lambda: MODEL.cost(np.ones(8), X * np.nan, Y), r"^X contains 12 value\(s\) that are NaN"),
    "Y not a number": (lambda: MODEL.cost(np.ones(8), X, Y * np.inf), r"^Y contains 8 value\(s\) that are NaN"),
    "Y of other samples": (
        lambda: MODEL.cost(np.ones(8), X, Y[:3]),
        r"^Y has shape \(3, 2\); for X of shape \(4, 3\) and this network it must be \(4, 2\) \(class labels as",
    ),
    "Y of other outputs": (lambda: MODEL.cost(np.ones(8), X, Y[:, :1]), r"^Y has shape \(4, 1\).*must be \(4, 2\)"),
    "flat Y": (lambda: MODEL.cost(np.ones(8), X, Y[:, 0]), r"^Y has shape \(4,\).*must be \(4, 2\)"),
    "weights of other samples": (
        lambda: MODEL.cost(np.ones(8), X, Y, np.ones(3)),
        r"^sample_weight has shape \(3,\); it must be \(4,\), one number a sample",
    ),
    "weights in two dimensions": (lambda: MODEL.cost(np.ones(8), X, Y, np.ones((4, 1))), r"^sample_weight has shape"),
    "weights that cancel": (lambda: MODEL.cost(np.ones(8), X, Y, [1, -1, 1, -1]), r"^sample_weight sums to 0.*leave"),
    "no weight": (lambda: MODEL.cost(np.ones(8), X, Y, np.zeros(4)), r"^sample_weight sums to 0, so there is no mean"),
    "weights not a number": (
        lambda: MODEL.cost(np.ones(8), X, Y, [1, np.nan, 1, 1]),
        r"^sample_weight contains 1 value\(s\) that are NaN",
    ),
    "theta of another width": (
        lambda: MODEL.predict(np.ones(8), np.ones((4, 5))),
        r"^theta has shape \(8,\), and this network over samples of shape \(5,\) has 12 parameters: X must have the",
    ),
    "theta in two dimensions": (lambda: MODEL.predict(np.ones((8, 1)), X), r"^theta has shape \(8, 1\)"),
    "too few parameters": (lambda: MODEL.cost(np.ones(7), X, Y), r"^theta has shape \(7,\)"),
    "too many parameters": (lambda: MODEL.cost(np.ones(9), X, Y), r"^theta has shape \(9,\)"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_named_with_the_fix(what):
    call, said = REFUSED[what]
    with pytest.raises(ValueError, match=said):
        call()


def test_half_squared_error_takes_any_activation_before_it():
    for f in ("linear", "sigmoid", "tanh", "relu", "softmax", "exp", ELU(0.5)):
        Model(Sequential(Dense(2, f)), HalfSquaredError())


def test_canonical_losses_take_linear_and_learned_layers_before_them():
    Model(Sequential(Dense(2, Linear(2.0))), "cross_entropy")
    Model(Sequential(Dense(2), PReLU()), "binary_cross_entropy")


def test_a_prediction_takes_a_list_of_parameters():
    np.testing.assert_array_equal(MODEL.predict([1.0] * 8, X), np.full((4, 2), 4.0))


def test_the_backend_is_the_one_that_is_given(library):
    backend, A, B, w = MODEL.read(X, Y, np.ones(4), library.backend)
    assert backend == library.backend
    assert all(library.owns(a) for a in (A, B, w))
    assert MODEL.read(X, Y)[0] == get_backend("numpy")


def test_targets_that_a_loss_cannot_have_are_refused(library, rng):
    X = library.asarray(rng.normal(size=(4, 3)), "float64")
    several = library.asarray([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], "float64")
    with pytest.raises(ValueError, match=r"needs one-hot rows or probabilities.*binary_cross_entropy"):
        Model(Sequential(Dense(2)), "cross_entropy").cost(np.zeros(8), X, several)
    with pytest.raises(ValueError, match="needs Y >= 0"):
        Model(Sequential(Dense(2)), "half_poisson_deviance").cost(np.zeros(8), X, -several)
    assert Model(Sequential(Dense(2)), "binary_cross_entropy").cost(np.zeros(8), X, several) == pytest.approx(
        2 * np.log(2)
    )


@pytest.mark.parametrize("shape", ["csr_array", "csr_matrix", "csc_array"])
def test_sparse_data_give_the_numbers_of_dense_data(shape, rng, dtype):
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    X = (rng.normal(size=(30, 8)) * (rng.uniform(size=(30, 8)) < 0.3)).astype(dtype)
    S, Y, w = getattr(sparse, shape)(X), rng.normal(size=(30, 2)), rng.uniform(size=30)
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)), l2=0.1)
    state = model.initial(rng, 8, GradientDescent(0.1))
    atol = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(model.predict(state.theta, S), model.predict(state.theta, X), atol=atol)
    assert model.predict(state.theta, S).dtype == dtype
    for dense, thin in zip(
        model.cost_and_gradient(state.theta, X, Y, w), model.cost_and_gradient(state.theta, S, Y, w), strict=True
    ):
        np.testing.assert_allclose(thin, dense, atol=atol)
    for batch_size in (None, 7):
        thetas = [next(epochs(model, state, A, Y, batch_size=batch_size))[0].theta for A in (X, S)]
        np.testing.assert_allclose(thetas[1], thetas[0], atol=atol)


def test_sparse_data_are_never_made_dense_silently():
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    with pytest.raises(TypeError, match=r"use Dense as the first layer, or pass X.toarray\(\)"):
        Model(Sequential(PReLU(), Dense(2))).predict(np.zeros(11), sparse.csr_array(np.eye(3)))


def test_the_objective_reads_its_data_once(library, dtype, rng):
    model = Model(Sequential(Dense(4, "tanh"), Dense(1)), l2=0.1)
    X, y = library.asarray(rng.normal(size=(9, 3)), dtype), library.asarray(rng.normal(size=9), dtype)
    objective = model.objective(X, y)
    for theta in rng.normal(size=(2, 21)):
        cost, gradient = objective(theta)
        expected, expected_gradient = model.cost_and_gradient(theta, X, y)
        assert cost == expected
        np.testing.assert_array_equal(library.to_numpy(gradient), library.to_numpy(expected_gradient))
