"""check_gradients finds common errors, names the parameter, and does not take a kink for an error."""

import ast
import pickle
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass, replace

import numpy as np
import pytest

import xpnet
from xpnet import Dense, GradientError, Model, PReLU, Sequential, check_gradients
from xpnet.equations import activations, losses
from xpnet.equations.activations import Activation, Sigmoid
from xpnet.equations.dropout import Dropout, step_key
from xpnet.equations.layers import Training
from xpnet.equations.losses import HalfSquaredError, Loss

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4))
Y = np.eye(3)[RNG.integers(3, size=6)]
W = RNG.uniform(0.5, 2.0, 6)
Z = RNG.normal(size=(6, 3))

SMOOTH = ["linear", "sigmoid", "tanh", "exp", "softmax"]
KINKED = ["relu", "leaky_relu", "elu"]


# --- what is right


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("every", [False, True])
def test_smooth_networks_agree_to_1e_12_of_the_gradients_norm(seed, every):
    rng = np.random.default_rng(seed)
    network = Sequential(Dense(8, "tanh"), Dense(8, "sigmoid"), Dense(3))
    for loss in ("cross_entropy", "half_squared_error", "half_poisson_deviance"):
        model = Model(network, loss, l2=0.1)
        check = check_gradients(model, X, Y, sample_weight=W, every=every, rng=rng)
        assert check.ok
        assert check.error <= 1e-12
        assert not check.kink
        assert not check.reason


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_activations_and_layers_of_them(name):
    for subject in (activations.BY_NAME[name], Dense(3, name), Sequential(Dense(4, name), Dense(2, bias=False))):
        check = check_gradients(subject, X, every=True)
        assert check.ok
        assert check.error <= 1e-12


@pytest.mark.parametrize(
    "name", ["half_squared_error", "binary_cross_entropy", "cross_entropy", "half_poisson_deviance"]
)
def test_smooth_losses(name):
    check = check_gradients(losses.BY_NAME[name], Z, Y, sample_weight=W, every=True)
    assert check.ok
    assert check.error <= 1e-12


def test_a_layers_input_is_checked_with_its_parameters():
    assert check_gradients(Dense(3), X).looked_at == "5 directions of 39 parameters"  # 24 of X, 12 of W, 3 of b
    assert check_gradients(Sigmoid(), X, every=True).looked_at == "each of 24 parameters"


def test_the_differences_are_pytorchs_derivative():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    z = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    R = RNG.normal(size=X.shape)
    (torch.tensor(R) * torch.nn.functional.elu(z, alpha=0.7)).sum().backward()
    check = check_gradients(activations.ELU(0.7), X, R, every=True)
    i, j = ast.literal_eval(check.parameter.removeprefix("Z"))
    assert check.analytic == pytest.approx(float(z.grad[i, j]), rel=1e-12)


def test_every_library_in_float64(library):
    model = Model(Sequential(Dense(5, "tanh"), Dense(3)), "cross_entropy", l2=0.01)
    check = check_gradients(model, library.asarray(X, "float32"), library.asarray(Y, "float32"))
    assert check.ok
    assert check.error <= 1e-12
    assert check_gradients(Dense(3, "sigmoid"), library.asarray(X)).error <= 1e-12


def test_a_given_theta_is_used():
    model = Model(Sequential(Dense(2, "tanh"), Dense(3)), "cross_entropy")
    theta = np.linspace(-1.0, 1.0, model.layout(4).n_parameters)
    check = check_gradients(model, X, Y, theta=theta, every=True)
    gradient = model.cost_and_gradient(theta, X, Y)[1]
    assert check.norm == pytest.approx(np.linalg.norm(gradient), rel=1e-14)
    assert check.analytic in gradient
    layer = check_gradients(Dense(2, "tanh"), X, theta=theta[:10])
    assert layer.ok


# --- kinks


@pytest.mark.parametrize("seed", range(20))
def test_kinks_are_not_taken_for_errors(seed):
    rng = np.random.default_rng(seed)
    model = Model(Sequential(Dense(20, "relu"), PReLU(), Dense(20, "leaky_relu"), Dense(3)), "cross_entropy", l1=0.05)
    check = check_gradients(model, rng.normal(size=(20, 4)), np.eye(3)[rng.integers(3, size=20)], rng=rng)
    assert check.ok, str(check)
    assert check.kink  # so many units and weights: one of them crosses 0 on the way
    assert check.error <= check.tolerance  # of the step that agrees; what the longest was off by is in the reason
    assert float(re.search(r"step 0.01 are off by (\S+) of the norm", check.reason)[1]) > 1e-6
    assert "a kink or a sharp bend" in check.reason


@pytest.mark.parametrize("name", KINKED)
def test_a_kink_between_the_differences_points_is_seen(name):
    near = np.asarray([[0.013, 1.0], [-2.0, 0.5]])
    check = check_gradients(activations.BY_NAME[name], near, every=True)
    assert check.ok
    assert check.parameter == "Z[0, 0]"
    assert check.numeric == pytest.approx(check.analytic, rel=1e-6)
    assert "those of step 0.01 are off by" in check.reason
    if name != "elu":  # of alpha = 1 it bends in its second derivative only
        assert check.kink
    far = check_gradients(activations.BY_NAME[name], np.asarray([[0.5, 1.0], [-2.0, 0.5]]), every=True)
    assert far.ok
    assert not far.kink
    assert far.error <= 1e-12


def test_a_kink_at_the_parameters_themselves():
    network = Sequential(Dense(4, "relu", bias=False), Dense(3))
    model = Model(network, "half_squared_error", l1=0.1)
    theta = RNG.normal(size=model.layout(4).n_parameters)
    theta[:4] = 0.0
    X_0 = np.concatenate([X, np.zeros((2, 4))])  # z = 0 for every unit of the last two samples
    check = check_gradients(model, X_0, np.concatenate([Y, Y[:2]]), theta=theta, every=True)
    assert check.ok, str(check)
    at_0 = check_gradients(activations.ReLU(), [[0.0, 1.0]], every=True)
    assert at_0.ok
    assert at_0.kink
    assert at_0.parameter == "Z[0, 0]"
    assert at_0.analytic in (0.0, 1.0)  # right beside 0
    assert at_0.numeric == pytest.approx(at_0.analytic, abs=1e-9)
    assert at_0.error <= at_0.tolerance
    assert "at these very parameters" in at_0.reason


@pytest.mark.parametrize("seed", [0, 14, 17, 18, 23])
def test_samples_of_zeros_before_training_are_not_taken_for_errors(seed):
    """All units of two layers lie on ReLU's kink at once: biases start at 0."""
    rng = np.random.default_rng(seed)
    model = Model(Sequential(Dense(40, "relu"), Dense(20, "relu"), Dense(3)), "cross_entropy", l1=0.001, l2=0.01)
    X_0, Y_0 = np.concatenate([np.zeros((4, 6)), rng.normal(size=(8, 6))]), np.eye(3)[rng.integers(0, 3, 12)]
    state = model.initial(rng, 6, xpnet.Adam())
    check = check_gradients(model, X_0, Y_0, theta=state.theta, rng=rng)
    assert check.ok, str(check)
    explanation = xpnet.explain(model, X_0, Y_0, state=state)
    assert {q.check.verdict for q in explanation if q.check is not None} == {"agrees", "kink"}


@dataclass(frozen=True)
class HardTanh(Activation):
    """A user's own: z within [-1, 1], and the nearer end beyond them."""

    slope: float = 1.0

    def forward(self, Z):
        return np.maximum(np.minimum(Z, 1.0), -1.0)

    def derivative(self, Z, A):
        return self.slope * (np.abs(A) < 1.0)


def test_a_users_own_kinks_are_distinguished_from_errors():
    near = RNG.choice([-1.0, 1.0], size=(5, 3)) + RNG.uniform(-0.03, 0.03, size=(5, 3))
    right = check_gradients(HardTanh(), near)
    assert right.ok, str(right)
    assert right.kink
    for slope in (2.0, 1.0 + 1e-6):
        assert not check_gradients(HardTanh(slope), near).ok
        assert not check_gradients(HardTanh(slope), near, every=True).kink


def test_a_sharp_bend_is_not_called_a_kink():
    @dataclass(frozen=True)
    class Steep(activations.Tanh):
        def forward(self, Z):
            return np.tanh(30.0 * Z)

        def derivative(self, Z, A):
            return 30.0 * super().derivative(Z, A)

    check = check_gradients(Steep(), [[0.01, -0.02], [0.03, 0.005]])
    assert check.ok
    assert check.error <= check.tolerance
    assert not check.kink
    assert "bends too sharply" in check.reason


# --- what is wrong


@dataclass(frozen=True)
class Mistaken:
    """Dense(3, "tanh") with a mistake in its backward."""

    mistake: str

    def shapes(self, in_shape):
        return Dense(3, "tanh").shapes(in_shape)

    def initial(self, rng, in_shape):
        return Dense(3, "tanh").initial(rng, in_shape)

    def forward(self, params, X, train=None):
        A, right = Dense(3, "tanh").forward(params, X, train)

        def backward(dA, need_dX=True):
            dX, (dW, db) = right(dA, need_dX)
            if self.mistake == "factor":
                dW = 2.0 * dW
            elif self.mistake == "mean":
                db = db / X.shape[0]
            elif self.mistake == "no bias sum":
                db = (dA * (1.0 - A * A))[0, :]
            elif self.mistake == "input":
                dX = -dX
            return dX, (dW, db)

        return A, backward


@pytest.mark.parametrize(
    ("mistake", "where"), [("factor", "W1["), ("mean", "b1["), ("no bias sum", "b1["), ("input", "X[")]
)
def test_mistakes_in_a_users_layer_are_found_and_named(mistake, where):
    for every in (False, True):
        check = check_gradients(Mistaken(mistake), X, every=every)
        assert not check.ok
        assert not check.kink
        assert check.parameter.startswith(where)
        assert check.error > 0.01
        assert check_gradients(Mistaken("none"), X, every=every).ok
    if mistake == "factor":
        assert check.analytic == pytest.approx(2.0 * check.numeric, rel=1e-10)


def test_a_mistake_is_found_in_a_deep_network_with_kinks():
    network = Sequential(Dense(10, "relu"), Mistaken("no bias sum"), Dense(3))
    check = check_gradients(Model(network, "cross_entropy", l1=0.1), X, Y)
    assert not check.ok
    assert check.parameter.startswith("b2[")
    assert not check.kink


@dataclass(frozen=True)
class OneOff:
    """A linear layer with one entry of dW off by a little."""

    n_out: int
    i: int
    j: int
    by: float

    def shapes(self, in_shape):
        return Dense(self.n_out).shapes(in_shape)

    def initial(self, rng, in_shape):
        return Dense(self.n_out).initial(rng, in_shape)

    def forward(self, params, X, train=None):
        A, right = Dense(self.n_out).forward(params, X, train)

        def backward(dA, need_dX=True):
            dX, (dW, db) = right(dA, need_dX)
            dW = dW.copy()
            dW[self.i, self.j] += self.by
            return dX, (dW, db)

        return A, backward


@pytest.mark.parametrize(("i", "j"), [(0, 0), (17, 3), (49, 59)])
def test_the_one_wrong_parameter_among_thousands_is_named(i, j):
    network = Sequential(Dense(50, "tanh"), OneOff(60, i, j, 1.0), Dense(3))
    check = check_gradients(Model(network, "half_squared_error"), X, Y)
    assert not check.ok
    assert check.parameter == f"W2[{i}, {j}]"
    assert check.analytic - check.numeric == pytest.approx(1.0 / 6.0, rel=1e-9)  # 1/m


@pytest.mark.parametrize("by", [1e-6, 1e-10])
def test_small_mistakes_are_found_beside_kinks(by):
    network = Sequential(Dense(8, "relu"), OneOff(5, 2, 1, by), Dense(3))
    theta = 0.3 * RNG.normal(size=4 * 8 + 8 + 8 * 5 + 5 + 5 * 3 + 3)
    check = check_gradients(Model(network, "half_squared_error", reduction="sum"), X, Y, theta=theta, every=True)
    assert not check.ok
    assert check.parameter == "W2[2, 1]"
    assert check.error == pytest.approx(by / check.norm, rel=0.1)


def test_wrong_derivatives_of_activations():
    @dataclass(frozen=True)
    class NoOneMinusA(Sigmoid):
        def derivative(self, Z, A):
            return A

    @dataclass(frozen=True)
    class LeakyBackwards(activations.ReLU):
        def derivative(self, Z, A):
            return (A >= 0.0) * 1.0

    for wrong in (NoOneMinusA(), LeakyBackwards()):
        for subject in (wrong, Dense(3, wrong), Sequential(Dense(4, wrong), Dense(2))):
            check = check_gradients(subject, X)
            assert not check.ok
            assert not check.kink


def test_wrong_gradients_of_losses():
    @dataclass(frozen=True)
    class Doubled(Loss):
        def per_element(self, Z, Y):
            L, dZ = HalfSquaredError().per_element(Z, Y)
            return 2.0 * L, dZ

    @dataclass(frozen=True)
    class Constant(Loss):
        def per_element(self, Z, Y):
            L, dZ = HalfSquaredError().per_element(Z, Y)
            return L, 0.0 * dZ

    check = check_gradients(Doubled(), Z, Y, every=True)
    assert not check.ok
    assert check.parameter.startswith("Z[")
    assert check.numeric == pytest.approx(2.0 * check.analytic, rel=1e-10)
    zero = check_gradients(Constant(), Z, Y)
    assert not zero.ok
    assert zero.analytic == 0.0
    assert abs(zero.numeric) > 0.01
    assert not check_gradients(Model(Sequential(Dense(3)), Doubled()), X, Y).ok


def test_a_cost_that_nothing_moves_is_right():
    model = Model(Sequential(Dense(3, "relu")), "half_squared_error")
    theta = np.concatenate([np.zeros(12), -np.ones(3)])  # every unit is dead
    check = check_gradients(model, X, Y, theta=theta)
    assert check.ok
    assert check.error == check.norm == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_an_optimum_is_no_kink(seed):
    rng = np.random.default_rng(seed)
    model, theta = Model(Sequential(Dense(3)), "half_squared_error"), rng.normal(size=15)
    for scale in (1e-3, 1.0, 1e3):
        A = scale * X @ theta[:12].reshape(4, 3) + theta[12:]
        for every in (False, True):
            check = check_gradients(model, scale * X, A, theta=theta, every=every, rng=rng)
            assert check.ok, str(check)
            assert not check.kink
            assert check.error <= check.tolerance
            assert check.norm < 1e-9
            assert check.reason in ("", "the gradient is 0 but for rounding: an optimum")


def test_dropout_is_checked_with_a_steps_masks():
    network = Sequential(Dense(8, "tanh"), Dropout(0.5), Dense(3))
    model = Model(network, "cross_entropy")
    theta = RNG.normal(size=model.layout(4).n_parameters)
    plain = check_gradients(model, X, Y, theta=theta)
    masked = check_gradients(model, X, Y, theta=theta, train=Training(step_key(7, 1)), every=True)
    assert plain.ok
    assert masked.ok
    assert masked.error <= 1e-12
    assert masked.norm == pytest.approx(
        np.linalg.norm(model.objective(X, Y, train=Training(step_key(7, 1)))(theta)[1]), rel=1e-14
    )
    assert masked.norm != pytest.approx(plain.norm, rel=1e-3)


# --- the result


def test_a_check_as_text_and_as_an_error():
    check = check_gradients(Mistaken("no bias sum"), X)
    text = str(check)
    assert text.startswith("the gradient is wrong: off by ")
    assert check.parameter in text
    assert f"{check.analytic:.10g}" in text
    assert f"{check.numeric:.10g}" in text
    with pytest.raises(GradientError, match=r"wrong: off by .* worst b1\[") as caught:
        check.raise_if_wrong()
    assert caught.value.check is check
    assert pickle.loads(pickle.dumps(caught.value)).check == check
    right = check_gradients(Dense(3), X)
    assert right.raise_if_wrong() is right
    assert str(right).startswith("the gradient is right")
    with pytest.raises(FrozenInstanceError):
        right.ok = False
    assert replace(right, ok=False).ok is False


def test_refusals():
    model = Model(Sequential(Dense(3)), "half_squared_error")
    with pytest.raises(ValueError, match="Y is missing: a Model"):
        check_gradients(model, X)
    with pytest.raises(ValueError, match="Y is missing: a Huber"):
        check_gradients(losses.Huber(), X)
    with pytest.raises(TypeError, match="'relu' can't be checked; allowed: an instance of Model"):
        check_gradients("relu", X)
    with pytest.raises(TypeError, match="can't be checked"):
        check_gradients(Dense, X)
    with pytest.raises(ValueError, match="directions is 0"):
        check_gradients(model, X, Y, directions=0)
    with pytest.raises(ValueError, match=r"theta has shape \(3,\)"):
        check_gradients(model, X, Y, theta=np.zeros(3))
    with pytest.raises(ValueError, match="the cost is inf"), np.errstate(over="ignore"):
        check_gradients(activations.Exp(), [[1e4]], [[1.0]])
    for rng in (0, "0"):
        with pytest.raises(ValueError, match=f"rng is {rng!r}; it must be a generator"):
            check_gradients(model, X, Y, rng=rng)
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    with pytest.raises(ValueError, match=r"pass X.toarray\(\)"):
        check_gradients(Dense(3), sparse.csr_array(X))
    assert check_gradients(model, sparse.csr_array(X), Y).ok


@pytest.mark.parametrize(
    "first",
    ["xpnet.inspection.gradient_check", "xpnet.inspection.diagnosis", "xpnet.cli.gradcheck", "xpnet.estimators"],
)
def test_public_names_are_functions_whatever_is_imported_first(first):
    code = f"import {first}, xpnet; assert callable(xpnet.check_gradients) and callable(xpnet.diagnose)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_public_name_is_a_modules():
    names = {name for home, names in xpnet._HOMES.items() if home != "equations" for name in names.split()}
    assert not names & set(xpnet._HOMES)


# --- estimators


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fitted_estimators_alone_and_inside_others():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from xpnet import MLPClassifier, MLPRegressor

    few = {"hidden_layer_sizes": (5,), "activation": "tanh", "max_iter": 3, "random_state": 0, "alpha": 0.1}
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(30, 4)), np.asarray(["a", "b", "c"])[np.arange(30) % 3]
    classifier = make_pipeline(StandardScaler(), MLPClassifier(**few)).fit(features, labels)
    check = check_gradients(classifier, features, labels, sample_weight=np.arange(1.0, 31.0))
    assert check.ok
    assert check.error <= 1e-12
    assert "W" in check.parameter or "b" in check.parameter
    network = classifier[-1]
    backend, (X, Y, w) = network._as_trained(classifier[:-1].transform(features), labels, np.arange(1.0, 31.0))
    gradient = network._model().cost_and_gradient(network._theta(backend, X), X, Y, w)[1]
    assert check.norm == pytest.approx(np.linalg.norm(gradient), rel=1e-13)
    moved = np.linspace(-1.0, 1.0, gradient.size)
    assert check_gradients(network, X, labels, theta=moved).norm == pytest.approx(
        np.linalg.norm(network._model().cost_and_gradient(moved, X, Y)[1]), rel=1e-13
    )
    for loss, y in (("squared_error", rng.normal(size=30)), ("squared_error", rng.normal(size=(30, 2)))):
        inner = make_pipeline(StandardScaler(), MLPRegressor(loss, **few))
        model = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(features, 100.0 * y)
        assert check_gradients(model, features, 100.0 * y).raise_if_wrong().error <= 1e-12
    search = GridSearchCV(MLPClassifier(**few), {"solver": ["sgd"]}, cv=2).fit(features.astype("float32"), labels)
    assert check_gradients(search, features.astype("float32"), labels).ok
    network.set_params(backend="cupy:99")
    assert check_gradients(network, X, labels, backend="numpy").ok
    with pytest.raises(ValueError, match=r"there is no network.* in this LogisticRegression"):
        check_gradients(LogisticRegression().fit(features, labels), features, labels)
    with pytest.raises(ValueError, match="Y is missing: a Pipeline"):
        check_gradients(classifier, features)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_wrong_gradient_in_an_estimator_is_found(monkeypatch):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from xpnet import MLPRegressor

    network = MLPRegressor(hidden_layer_sizes=(), alpha=0.0, max_iter=1, random_state=0).fit(X, Y[:, 0])
    assert check_gradients(network, X, Y[:, 0]).ok
    monkeypatch.setattr(HalfSquaredError, "per_element", lambda self, Z, Y: ((Z - Y) ** 2, Z - Y))
    check = check_gradients(network, X, Y[:, 0])
    assert not check.ok
    assert check.numeric == pytest.approx(2.0 * check.analytic, rel=1e-6)


def test_a_gradient_at_a_kink_must_be_one_of_those_around_it():
    """|z| has slope -1, 0 or 1 at 0; a "gradient" of 5 there is no derivative of it on either side."""

    @dataclass(frozen=True)
    class Absolute(Activation):
        at_0: float

        def forward(self, Z):
            return np.abs(Z)

        def derivative(self, Z, A):
            return np.where(Z == 0.0, self.at_0, np.sign(Z))

    for slope, ok in ((0.0, True), (1.0, True), (-1.0, True), (5.0, False)):
        check = check_gradients(Absolute(slope), [[0.0, 1.0]], [[1.0, 1.0]], every=True)
        assert check.ok == ok, str(check)


def test_a_model_without_parameters_is_refused():
    with pytest.raises(ValueError, match="the model has no parameters; give its network"):
        check_gradients(Model(Sequential(Dropout(0.5))), np.ones((3, 2)), np.ones((3, 2)))
    assert check_gradients(Sequential(Dropout(0.5)), np.ones((3, 2))).ok
