"""The explanation's numbers are those of the step that trains: unlowered bit for bit, lowered within rounding."""

import gc
import io
import os
import statistics
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import fields, replace

import numpy as np
import pytest
from equation_text import worked_out

from xpnet import (
    Adam,
    AdamW,
    Dense,
    GradientDescent,
    Model,
    Momentum,
    Sequential,
    activations,
    epochs,
    explain,
    initial_state,
    layers,
)
from xpnet.equations.losses import HalfSquaredError
from xpnet.equations.schedules import InverseScaling

# Both sides of the comparison make their steps by this program; the other side with XPNET_REPLAY=off.
CASES = '''
import numpy as np
from xpnet import *
from xpnet.equations.losses import HalfSquaredError, Huber

def cases():
    """name -> (model, state, X, Y, sample_weight, options of epochs): larger than a block, so that lowerings cut."""
    for dtype in ("float32", "float64"):
        rng = np.random.default_rng(0)
        X, w = rng.normal(size=(300, 40)).astype(dtype), rng.uniform(0.5, 2.0, 300).astype(dtype)
        labels, targets = np.eye(7)[rng.integers(0, 7, 300)].astype(dtype), rng.uniform(size=(300, 2)).astype(dtype)
        deep = Sequential(Dense(200, "sigmoid"), layers.PReLU(), Dense(130, "tanh"), Dense(7))
        output = Sequential(Dense(150, "elu", bias=False), Dense(2, "softmax"))
        for name, model, Y, rule, weight, options in (
            ("cross-entropy", Model(deep, "cross_entropy", l1=1e-3, l2=1e-2), labels, Adam(), w, {"clip_norm": 0.5}),
            ("a sum", Model(output, HalfSquaredError(True), reduction="sum"), targets, Momentum(), None, {}),
            ("robust", Model(output, Huber(0.1), l2=0.1, scale_penalty=True), targets, AdamW(), w, {}),
            ("plain", Model(Sequential(Dense(2)), l1=0.1), targets, GradientDescent(0.3), None, {}),
        ):
            yield f"{name}, {dtype}", model, model.initial(np.random.default_rng(1), 40, rule), X, Y, weight, options
'''
STEPS = (
    CASES
    + """
import io, sys
found = {}
for name, model, state, X, Y, w, options in cases():
    new, cost = next(epochs(model, state, X, Y, sample_weight=w, **options))
    sums, loss_sum, weight_sum = model.sums(np.asarray(state.theta, X.dtype), X, Y, w)
    everything = {"theta": new.theta, "cost": cost, "sums": sums, "loss_sum": loss_sum}
    everything |= {f"moment {i}": v for i, v in enumerate(new.slots, 1)}
    found |= {f"{name}: {key}": value for key, value in everything.items()}
file = io.BytesIO()
np.savez(file, **found)
sys.stdout.buffer.write(file.getvalue())
"""
)
names = {}
exec(CASES, names)
ALL = {case[0]: case[1:] for case in names["cases"]()}


@pytest.fixture(scope="module")
def unlowered():
    """The numbers of every case's step in a process without lowerings."""
    environment = os.environ | {"XPNET_REPLAY": "off"}
    done = subprocess.run([sys.executable, "-c", STEPS], env=environment, capture_output=True, check=True)
    return dict(np.load(io.BytesIO(done.stdout)))


def flat(explanation, model, n_features, before="", after=""):
    """The explanation's arrays that belong to the parameters, in theta's order."""
    nested = [
        tuple(explanation[f"{before}{p.name}{k}{after}"].value for p in of_layer)
        for k, of_layer in enumerate(model.network.shapes((n_features,))[0], 1)
    ]
    return model.layout(n_features).pack(tuple(nested))


@pytest.mark.parametrize("name", ALL)
def test_the_numbers_are_those_of_the_unlowered_step_bit_for_bit(name, unlowered):
    model, state, X, Y, w, options = ALL[name]
    explanation = explain(model, X, Y, w, state=state, check=False, **options)
    expected = {key.removeprefix(f"{name}: "): a for key, a in unlowered.items() if key.startswith(f"{name}: ")}
    ours = {
        "theta": flat(explanation, model, 40, after=" new"),
        "cost": explanation["J"].value,
        "loss_sum": explanation["sum L"].value,
    }
    if model.reduction == "mean" or model.l1 or model.l2:
        ours["sums"] = flat(explanation, model, 40, before="sum d")
    else:
        ours["sums"] = flat(explanation, model, 40, before="d")
    for i, symbol in enumerate({0: "", 1: "v", 2: "mv"}[state.optimizer.slots], 1):
        ours[f"moment {i}"] = flat(explanation, model, 40, before=f"{symbol} of ", after=" new")
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        assert ours[key].tobytes() == value.astype(ours[key].dtype).tobytes(), key


def test_the_comparison_can_fail(unlowered):
    name = "cross-entropy, float64"
    model, state, X, Y, w, _ = ALL[name]
    explanation = explain(model, X, Y, w, state=state, check=False, clip_norm=0.5 * (1 + 1e-15))
    assert flat(explanation, model, 40, after=" new").tobytes() != unlowered[f"{name}: theta"].tobytes()


@pytest.mark.parametrize("name", ALL)
def test_the_lowered_step_agrees_within_rounding(name):
    model, state, X, Y, w, options = ALL[name]
    explanation = explain(model, X, Y, w, state=state, check=False, **options)
    new, cost = next(epochs(model, state, X, Y, sample_weight=w, **options))
    # Sums of some hundred numbers in another order: their rounding, of the largest number that there is.
    tolerance = 1e-5 if X.dtype == np.float32 else 1e-13
    theta = flat(explanation, model, 40, after=" new")
    assert np.abs(theta - new.theta).max() <= tolerance * np.abs(new.theta).max()
    assert explanation["J"].value == pytest.approx(cost, rel=tolerance)


def small(rng, dtype="float64"):
    """A network of 4 samples with all that a step has."""
    model = Model(Sequential(Dense(5, "tanh"), layers.PReLU(), Dense(3)), "cross_entropy", l1=0.01, l2=0.1)
    X, Y = rng.normal(size=(4, 3)).astype(dtype), np.eye(3)[[0, 2, 1, 1]].astype(dtype)
    return model, model.initial(rng, 3, Adam(0.1)), X, Y, rng.uniform(0.5, 2.0, 4).astype(dtype)


def test_every_library_records_the_same(library, dtype, rng):
    model, state, X, Y, w = small(rng)
    expected = explain(model, X, Y, w, state=state, clip_norm=0.2)
    arrays = (library.asarray(a, dtype) for a in (X, Y, w))
    explanation = explain(model, *arrays, state=state, clip_norm=0.2)
    assert [q.name for q in explanation] == [q.name for q in expected]
    for q in explanation:
        assert type(q.value) is np.ndarray
        assert q.value.shape == expected[q.name].value.shape
        close = {"rtol": 0, "atol": (3e-5 if dtype == "float32" else 1e-12) * max(1.0, np.abs(q.value).max())}
        np.testing.assert_allclose(q.value, expected[q.name].value, **close, err_msg=q.name)
        assert q.check is None or q.check.verdict == "agrees", (q.name, q.check)
    assert {str(q.value.dtype) for q in explanation if q.value.ndim} == {dtype}


def test_the_order_is_that_of_the_computation(rng):
    model, state, X, Y, w = small(rng)
    names = [q.name for q in explain(model, X, Y, w, state=state, check=False)]
    order = [*"X Y w W1 b1 Z1 A1 alpha2 A2 W3 b3 Z3 A3 L".split(), "sum L", "sum w", "c", "penalty", "J", "dZ3"]
    order += ["sum dW3", "penalty dW3", "dW3", "sum db3", "db3", "dA2", "sum dalpha2", "dalpha2", "dA1", "dZ1"]
    order += ["sum dW1", "penalty dW1", "dW1", "sum db1", "db1", "rate", "W1 new", "J new"]
    assert [name for name in names if name in order] == order
    assert len(names) == len(set(names))


def test_every_quantity_against_torch(rng):
    """Loss, errors and gradients by PyTorch's autograd; the update by its Adam."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model, state, X, Y, w = small(rng)
    state = replace(state, optimizer=Adam(0.1, epsilon=1e-14))
    explanation = explain(model, X, Y, w, state=state)
    (W1, b1), (alpha,), (W3, b3) = (
        [torch.tensor(a, requires_grad=True) for a in of_layer] for of_layer in model.layout(3).unpack(state.theta)
    )
    Z1 = torch.tensor(X) @ W1 + b1
    A1 = torch.tanh(Z1)
    A2 = torch.where(A1 >= 0, A1, alpha * A1)
    Z3 = A2 @ W3 + b3
    L = -(torch.tensor(Y) * torch.log_softmax(Z3, dim=1)).sum(dim=1)
    total = (torch.tensor(w) * L).sum()
    penalty = sum(0.01 * W.abs().sum() + 0.05 * (W**2).sum() for W in (W1, W3))
    J = total / w.sum() + penalty
    named = {"Z1": Z1, "A1": A1, "A2": A2, "Z3": Z3, "L": L, "sum L": total, "penalty": penalty, "J": J}
    found = torch.autograd.grad(total, (Z1, A1, A2, Z3), retain_graph=True)
    errors = dict(zip(("dZ1", "dA1", "dA2", "dZ3"), found, strict=True))
    parameters = {"W1": W1, "b1": b1, "alpha2": alpha, "W3": W3, "b3": b3}
    optimizer = torch.optim.Adam(parameters.values(), lr=0.1, eps=1e-14)
    J.backward()
    gradients = {f"d{name}": p.grad for name, p in parameters.items()}
    optimizer.step()
    new = {f"{name} new": p for name, p in parameters.items()}
    for name, theirs in {**named, **errors, **gradients}.items():
        np.testing.assert_allclose(
            explanation[name].value, theirs.detach().numpy(), rtol=1e-11, atol=1e-13, err_msg=name
        )
    for name, theirs in new.items():  # their epsilon stands elsewhere
        np.testing.assert_allclose(explanation[name].value, theirs.detach().numpy(), rtol=0, atol=1e-9, err_msg=name)


def test_sums_and_means(rng):
    model, state, X, Y, _ = small(rng)
    plain = Model(model.network, "cross_entropy")
    mean = explain(plain, X, Y, state=state, check=False)
    total = explain(Model(model.network, "cross_entropy", reduction="sum"), X, Y, state=state, check=False)
    assert mean["c"].value == 0.25
    assert total["c"].value == 1.0
    assert "sum dW3" in mean
    assert "sum dW3" not in total  # dW3 is that sum
    np.testing.assert_array_equal(mean["sum dW3"].value, total["dW3"].value)
    np.testing.assert_array_equal(0.25 * total["dW3"].value, mean["dW3"].value)
    assert "penalty" not in total


def test_the_moments_go_on(rng):
    model, state, X, Y, w = small(rng)
    second, _ = next(epochs(model, state, X, Y, sample_weight=w))
    explanation = explain(model, X, Y, w, state=second, check=False)
    np.testing.assert_array_equal(flat(explanation, model, 3, before="v of "), second.slots[1])
    third, _ = next(epochs(model, second, X, Y, sample_weight=w))
    np.testing.assert_allclose(flat(explanation, model, 3, after=" new"), third.theta, rtol=1e-13)
    assert "step 2" in explanation.facts["rule"]


def test_clipping_is_one_number(rng):
    model, state, X, Y, w = small(rng)
    free = explain(model, X, Y, w, state=state, check=False)
    norm = np.linalg.norm(flat(free, model, 3, before="d"))
    for limit, expected in ((0.01, 0.01 / norm), (2.0 * norm, 1.0), (np.inf, 1.0)):
        explanation = explain(model, X, Y, w, state=state, check=False, clip_norm=limit)
        assert explanation["clipping"].value.shape == ()
        assert explanation["clipping"].value == pytest.approx(expected, rel=1e-14)
        moment = 0.1 * expected * flat(free, model, 3, before="d")
        np.testing.assert_allclose(flat(explanation, model, 3, before="m of ", after=" new"), moment, rtol=1e-12)


@pytest.mark.parametrize(
    ("rule", "scalars", "lines"),
    [
        (GradientDescent(), {"rate": "alpha"}, {"W1 new": "W1 -= alpha dW1"}),
        (
            Momentum(0.1, 0.8),
            {"rate": "alpha"},
            {"v of W1 new": "v = momentum v - alpha dW1", "W1 new": "W1 += v"},
        ),
        (Momentum(0.1, nesterov=True), {"rate": "alpha"}, {"W1 new": "W1 += momentum v - alpha dW1"}),
        (
            Adam(),
            {"rate": "alpha_t = alpha sqrt(1 - beta_2^t) / (1 - beta_1^t)"},
            {
                "m of W1 new": "m += (1 - beta_1) (dW1 - m)",
                "v of W1 new": "v += (1 - beta_2) (dW1^2 - v)",
                "b1 new": "b1 -= alpha_t m / (sqrt(v) + epsilon)",
            },
        ),
        (
            AdamW(),
            {"rate": "alpha_t = ", "alpha weight_decay": "alpha weight_decay, of the weights"},
            {
                "W1 new": "W1 -= alpha_t m / (sqrt(v) + epsilon) + alpha weight_decay W1",
                "b1 new": "b1 -= alpha_t m / (sqrt(v) + epsilon)",
            },
        ),
    ],
)
def test_the_printed_equations_of_the_update_give_its_numbers(rule, scalars, lines, rng):
    """The printed lines, worked out from the explanation's own numbers, are its results."""
    model = Model(Sequential(Dense(3, "tanh"), Dense(2)), l2=0.1)
    state = replace(model.initial(rng, 4, rule), step=4)
    state = replace(state, slots=tuple(rng.uniform(0.1, 1.0, v.shape) for v in state.slots))
    explanation = explain(model, rng.normal(size=(5, 4)), rng.normal(size=(5, 2)), state=state, check=False)
    for name, said in scalars.items():
        assert explanation[name].equation.startswith(said)
        assert explanation[name].value.shape == ()
    given = dict(pair.split(" = ") for pair in explanation["rate"].equation.partition("; ")[2].split(", "))
    settings = {f.name: getattr(rule, f.name) for f in fields(rule) if f.name not in ("learning_rate", "nesterov")}
    assert {name: float(number) for name, number in given.items()} == settings | {"alpha": rule.learning_rate, "t": 5}
    for name, said in lines.items():
        assert explanation[name].equation == said
    symbols = "mv"[-rule.slots :] if rule.slots else ""
    for name in ("W1", "b1", "W2", "b2"):
        known = settings | {
            "alpha": rule.learning_rate,
            "t": 5,
            "sqrt": np.sqrt,
            f"d{name}": explanation[f"d{name}"].value,
        }
        known |= {"alpha_t": explanation["rate"].value, name: explanation[name].value}
        known |= {symbol: explanation[f"{symbol} of {name}"].value for symbol in symbols}
        for place, symbol in [*((f"{s} of {name} new", s) for s in symbols), (f"{name} new", name)]:
            _, operator, right = explanation[place].equation.split(" ", 2)
            value = worked_out(f"{symbol} = {right}", **known)
            known[symbol] = {"=": value, "+=": known[symbol] + value, "-=": known[symbol] - value}[operator]
            np.testing.assert_allclose(explanation[place].value, known[symbol], rtol=1e-12, atol=1e-15, err_msg=place)


def test_clipped_gradients_are_squared_whole(rng):
    model, state, X, Y, w = small(rng)
    explanation = explain(model, X, Y, w, state=state, check=False, clip_norm=0.01)
    assert explanation["v of W1 new"].equation == "v += (1 - beta_2) ((clipping dW1)^2 - v)"
    assert explanation["m of W1 new"].equation == "m += (1 - beta_1) (clipping dW1 - m)"


def test_a_schedule_and_its_rate(rng):
    model = Model(Sequential(Dense(1)))
    state = model.initial(rng, 2, GradientDescent(0.5))
    state, _ = next(epochs(model, state, np.ones((3, 2)), np.zeros((3, 1))))
    explanation = explain(model, np.ones((3, 2)), np.zeros((3, 1)), state=state, schedule=InverseScaling(1.0))
    assert explanation["rate"].value == 0.25


def test_a_sum_of_outputs_scaled_before_the_link(rng):
    model = Model(Sequential(Dense(2, activations.Linear(2.0, 0.2))), "binary_cross_entropy")
    explanation = explain(
        model, rng.normal(size=(4, 3)), np.eye(2)[[0, 1, 1, 0]], state=model.initial(rng, 3, GradientDescent())
    )
    np.testing.assert_allclose(explanation["f(Z1)"].value, 2.0 * explanation["Z1"].value + 0.2)
    np.testing.assert_allclose(explanation["dZ1"].value, 2.0 * explanation["df(Z1)"].value)
    assert {explanation[name].check.verdict for name in ("df(Z1)", "dZ1", "dW1", "db1")} == {"agrees"}


@pytest.mark.parametrize("f", ["sigmoid", "tanh", "softmax", "relu", "leaky_relu", "elu", "exp", "linear"])
def test_every_activation(f, rng):
    model = Model(Sequential(Dense(4, f), Dense(3, f)), "half_squared_error")
    theta = rng.normal(size=model.layout(5).n_parameters)  # biases of 0 may put a dead unit's Z on the kink at 0
    state = initial_state(theta, GradientDescent())
    explanation = explain(model, rng.normal(size=(6, 5)), rng.uniform(size=(6, 3)), state=state)
    checks = {q.name: q.check.verdict for q in explanation if q.check is not None}
    assert set(checks.values()) == {"agrees"}
    assert {"dZ2", "sum dW2", "dW2", "db2", "dA1", "dZ1", "dW1", "db1"} <= checks.keys()
    assert explanation["A1"].equation.startswith("A1 = ")


def test_sparse_samples(rng):
    scipy = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    model, state, X, Y, w = small(rng)
    X[np.abs(X) < 0.5] = 0.0
    dense, sparse = explain(model, X, Y, w, state=state), explain(model, scipy.csr_array(X), Y, w, state=state)
    for q in sparse:
        np.testing.assert_allclose(q.value, dense[q.name].value, rtol=1e-12, atol=1e-15, err_msg=q.name)
        assert q.check is None or q.check.verdict == "agrees"


def test_a_step_that_diverges_is_shown(rng):
    model = Model(Sequential(Dense(2), Dense(1)), l2=1e200)
    explanation = explain(model, np.ones((2, 3)), np.ones((2, 1)), state=model.initial(rng, 3, GradientDescent(1e200)))
    assert not np.isfinite(explanation["W1 new"].value).all()
    assert "diverges" in explanation.notes[0]
    assert all(q.check is None for q in explanation)
    for text in (explanation.text(), explanation.markdown(), explanation.html(), explanation.json()):
        assert "diverges" in text


def test_it_takes_less_than_60_steps_time():
    """784-512-512-10 at batch 512, without the check; about the time of 3 steps if nothing else runs."""
    rng = np.random.default_rng(0)
    model = Model(Sequential(Dense(512, "relu"), Dense(512, "relu"), Dense(10)), "cross_entropy", l2=1e-4)
    X = rng.normal(size=(2048, 784)).astype("float32")
    Y = np.eye(10, dtype="float32")[rng.integers(0, 10, 2048)]
    state = model.initial(rng, 784, Adam())
    passes = epochs(model, state, X, Y, batch_size=512, rng=rng)
    next(passes)
    ratios = []
    for _ in range(5):
        start = time.perf_counter()
        next(passes)
        after_4_steps = time.perf_counter()
        explain(model, X[:512], Y[:512], state=state, check=False)
        ratios.append((time.perf_counter() - after_4_steps) / (after_4_steps - start) * 4)
    assert statistics.median(ratios) < 60


@pytest.mark.parametrize("is_mean", [False, True])
def test_the_equation_of_the_error_is_that_of_the_numbers(is_mean, rng):
    model = Model(Sequential(Dense(4, "tanh")), HalfSquaredError(mean_over_outputs=is_mean))
    explanation = explain(
        model, rng.normal(size=(5, 3)), rng.uniform(size=(5, 4)), state=model.initial(rng, 3, GradientDescent())
    )
    error = explanation["A1"].value - explanation["Y"].value
    np.testing.assert_allclose(explanation["dA1"].value, error / 4 if is_mean else error)
    np.testing.assert_allclose(explanation["L"].value, 0.5 * (error**2).sum(axis=1) / (4 if is_mean else 1))
    assert explanation["dA1"].equation == ("dA1 = (A1 - Y) / r" if is_mean else "dA1 = A1 - Y")
    assert ("1/(2r)" in explanation["L"].equation) == is_mean


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_narrow_products_are_shown_in_full(precision, rng):
    model, state, X, Y, w = small(rng)
    explanation = explain(replace(model, precision=precision), X, Y, w, state=state)
    expected = explain(replace(model, precision="float32"), X, Y, w, state=state)
    assert precision in explanation.notes[0]
    assert explanation["dW1"].value.tobytes() == expected["dW1"].value.tobytes()
    assert not expected.notes


# --- nothing else changes


def test_the_state_and_the_data_stay_as_they_are(rng):
    model, state, X, Y, w = small(rng)
    before = [a.copy() for a in (state.theta, *state.slots, X, Y, w)]
    explanation = explain(model, X, Y, w, state=state)
    for a, b in zip((state.theta, *state.slots, X, Y, w), before, strict=True):
        np.testing.assert_array_equal(a, b)
    X[:] = 7.0
    assert not (explanation["X"].value == 7.0).any()  # a copy


def test_nothing_is_kept_once_the_record_is_gone(rng):
    model, state, X, Y, w = small(rng)
    kept = weakref.ref(X)
    explanation = explain(model, X, Y, w, state=state)
    assert len(explanation) > 40
    del X, explanation
    gc.collect()
    assert kept() is None


def test_threads_watch_their_own_steps(rng):
    model, state, X, Y, w = small(rng)
    expected, found = [explain(model, X + i, Y, w, state=state).to_dict() for i in range(4)], [None] * 4

    def run(i):
        for _ in range(5):
            found[i] = explain(model, X + i, Y, w, state=state).to_dict()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_the_name_is_the_function_whatever_was_imported_first():
    for first in (
        "import xpnet",
        "import xpnet.inspection.explanation.result",
        "from xpnet.inspection.explanation import Explanation",
    ):
        code = f"{first}\nimport xpnet\nfrom xpnet import explain\nprint(callable(xpnet.explain), callable(explain))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["True", "True"]


def test_errors_are_those_of_training(rng):
    model, state, X, Y, _ = small(rng)
    with pytest.raises(ValueError, match="Y has shape"):
        explain(model, X, Y[:2], state=state)
    with pytest.raises(ValueError, match="clip_norm is 0"):
        explain(model, X, Y, state=state, clip_norm=0)
    with pytest.raises(ValueError, match="theta has shape"):
        explain(model, X[:, :2], Y, state=state)
    with pytest.raises(KeyError, match="no quantity is called 'dW9'; there are: X, Y, "):
        explain(model, X, Y, state=state, check=False)["dW9"]


def test_errors_name_the_missing_model_or_state(rng):
    model, state, X, Y, _ = small(rng)
    with pytest.raises(ValueError, match=r"^model is a int; explain takes a Model with its state.*MLPClassifier"):
        explain(1, [[3.0]], [[4.0]])
    for wrong in ((X, Y), (state, X, Y)):
        with pytest.raises(ValueError, match=r"state is missing: explain\(model, X, Y, state=state\)"):
            explain(model, *wrong)
