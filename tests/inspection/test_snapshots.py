"""A recorder keeps what training computes: the same weights, gradients and activations, as host arrays, and no more."""

import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
from sklearn.callback import CallbackSupportMixin, FitCallback, with_callbacks
from sklearn.linear_model import LogisticRegression

from xpnet import Adam, Dense, GradientDescent, MLPClassifier, MLPRegressor, Model, PReLU, Recorder, Sequential, epochs

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3))
Y = np.eye(2)[(X[:, 0] > 0).astype(int)]
MODEL = Model(Sequential(Dense(4, "tanh"), PReLU(), Dense(2)), loss="cross_entropy", l2=0.1)


def trained(recorder, n=6, model=MODEL, X=X, Y=Y, **options):
    """The states after each epoch, the recorder fed by hand."""
    state = model.initial(np.random.default_rng(0), 3, Adam(0.01))
    states = [state]
    recorder.record(0, model, state, X, Y)
    for epoch, (state, _) in enumerate(islice(epochs(model, state, X, Y, batch_size=16, **options), n), start=1):
        recorder.record(epoch, model, state, X, Y)
        states.append(state)
    return states


# --- by hand


def test_a_snapshot_is_what_the_model_computes():
    recorder = Recorder(samples=1000)
    states = trained(recorder)
    assert [snapshot.epoch for snapshot in recorder] == list(range(7))
    assert len(recorder) == 7
    layout = MODEL.layout(3)
    for snapshot, state in zip(recorder, states, strict=True):
        cost, g = MODEL.cost_and_gradient(state.theta, X, Y)
        assert snapshot.cost == cost
        assert np.array_equal(layout.pack(snapshot.parameters), state.theta)
        assert np.array_equal(layout.pack(snapshot.gradients), g)
        assert np.array_equal(snapshot.activations[-1], MODEL.output(state.theta, X))
        W, b = snapshot.parameters[0]
        assert np.allclose(snapshot.activations[0], np.tanh(X @ W + b), atol=1e-12)
        assert [A.shape for A in snapshot.activations] == [(50, 4), (50, 4), (50, 2)]


def test_gradients_are_those_of_one_step_of_descent():
    recorder = Recorder(samples=1000)
    state = MODEL.initial(np.random.default_rng(0), 3, GradientDescent(0.5))
    recorder.record(1, MODEL, state, X, Y)
    after, _ = next(epochs(MODEL, state, X, Y))
    moved = (state.theta - after.theta) / 0.5
    assert np.allclose(MODEL.layout(3).pack(recorder.snapshots[0].gradients), moved, atol=1e-12)


def test_every_nth_epoch():
    recorder = Recorder(every=3)
    trained(recorder, n=10)
    assert [snapshot.epoch for snapshot in recorder] == [0, 3, 6, 9]


def test_samples_are_spread_evenly_over_the_data():
    recorder = Recorder(samples=5)
    states = trained(recorder, n=1)
    rows = [0, 12, 24, 36, 49]
    assert np.array_equal(recorder.snapshots[-1].activations[-1], MODEL.output(states[-1].theta, X[rows]))
    assert recorder.snapshots[-1].cost == MODEL.cost(states[-1].theta, X[rows], Y[rows])


def test_rows_of_weight_0_are_not_watched():
    recorder, w = Recorder(samples=10), np.zeros(50)
    w[-5:] = [1.0, 2.0, 3.0, 4.0, 5.0]
    state = MODEL.initial(np.random.default_rng(0), 3, Adam())
    recorder.record(1, MODEL, state, X, Y, w)
    (snapshot,) = recorder
    assert snapshot.cost == pytest.approx(MODEL.cost(state.theta, X, Y, w), rel=1e-12)
    assert len(snapshot.activations[0]) == 5


def test_watching_changes_nothing():
    watched, alone = (trained(r, n=4)[-1] for r in (Recorder(), Recorder(every=100)))
    assert np.array_equal(watched.theta, alone.theta)
    assert watched.rng.bit_generator.state == alone.rng.bit_generator.state


def test_snapshots_are_copies_on_the_host(library, dtype):
    recorder = Recorder(samples=8)
    states = trained(recorder, n=2, X=library.asarray(X, dtype), Y=library.asarray(Y, dtype))
    for snapshot in recorder:
        arrays = [*snapshot.activations, *(a for of in (*snapshot.parameters, *snapshot.gradients) for a in of)]
        assert all(type(a) is np.ndarray and a.base is None for a in arrays)
    last = recorder.snapshots[-1]
    assert last.activations[0].dtype == np.dtype(dtype)
    assert np.array_equal(MODEL.layout(3).pack(last.parameters), library.to_numpy(states[-1].theta))


def test_layers_and_parameters_are_named():
    recorder = Recorder()
    assert recorder.layers == recorder.parameters == ()
    trained(recorder, n=1)
    assert recorder.layers == MODEL.network.layers
    assert [[p.name for p in of] for of in recorder.parameters] == [["W", "b"], ["alpha"], ["W", "b"]]


@pytest.mark.parametrize("mistake", [{"every": 0}, {"every": 1.5}, {"samples": -1}, {"samples": True}])
def test_mistakes_are_named(mistake):
    with pytest.raises(ValueError, match=rf"{next(iter(mistake))} is .*; it must be a whole number, 1 or more"):
        Recorder(**mistake)


# --- as scikit-learn's callback


class WithCallbacks(CallbackSupportMixin):
    """An estimator that reports its epochs as scikit-learn 1.9 asks: a task for each, and one for the whole fit."""

    @with_callbacks
    def fit_and_report(self, X, y, sample_weight=None):
        whole = self._init_callback_context(max_subtasks=self.max_iter)
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        for _ in range(self.max_iter):
            epoch = whole.subcontext(task_name="epoch")
            epoch.call_on_fit_task_begin(estimator=self, X=X, y=y)
            self.partial_fit(X, y, **(metadata or {}), **self._labels_of(y))
            reached = lambda: {"coefs_": list(self.coefs_), "intercepts_": list(self.intercepts_)}
            assert not epoch.call_on_fit_task_end(
                estimator=self, X=X, y=y, metadata=metadata, reconstruction_attributes=reached
            )
        whole.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes=reached)
        return self


class Classifier(WithCallbacks, MLPClassifier):
    def _labels_of(self, y):
        return {"classes": np.unique(y)}


class Regressor(WithCallbacks, MLPRegressor):
    def _labels_of(self, y):
        return {}


def test_it_follows_scikit_learns_protocol():
    assert isinstance(Recorder(), FitCallback)
    Classifier().set_callbacks(Recorder())  # raises TypeError if something is missing


@pytest.mark.parametrize(
    ("kind", "y", "Y"),
    [
        (Classifier, np.where(X[:, 0] > 0, "yes", "no"), (X[:, :1] > 0).astype(float)),
        (Classifier, np.arange(50) % 3, np.eye(3)[np.arange(50) % 3]),
        (Regressor, X @ [1.0, 2.0, 3.0], (X @ [1.0, 2.0, 3.0])[:, None]),
    ],
    ids=["two classes", "three classes", "regression"],
)
@pytest.mark.parametrize("w", [None, np.linspace(0.5, 2.0, 50)], ids=["plain", "weighted"])
def test_an_estimators_epochs_are_recorded(kind, y, Y, w):
    recorder = Recorder(every=2, samples=1000)
    estimator = kind(hidden_layer_sizes=(4,), max_iter=6, random_state=0).set_callbacks(recorder)
    estimator.fit_and_report(X, y, w)
    assert [snapshot.epoch for snapshot in recorder] == [2, 4, 6]
    last, model = recorder.snapshots[-1], estimator._model()
    for k, (W, b) in enumerate(last.parameters):
        assert np.array_equal(W, estimator.coefs_[k])
        assert np.array_equal(b, estimator.intercepts_[k])
    theta = model.layout(3).pack(last.parameters)
    cost, g = model.cost_and_gradient(theta, X, Y, w)
    assert last.cost == pytest.approx(cost, rel=1e-12)
    assert np.allclose(model.layout(3).pack(last.gradients), g, rtol=1e-12, atol=1e-15)
    assert np.array_equal(last.activations[-1], model.output(theta, X))


def test_a_new_fit_begins_new_snapshots():
    recorder = Recorder()
    for n in (3, 2):
        estimator = Regressor(hidden_layer_sizes=(2,), max_iter=n, random_state=0)
        estimator.set_callbacks(recorder).fit_and_report(X, X[:, 0])
    assert [snapshot.epoch for snapshot in recorder] == [1, 2]


def test_other_estimators_are_refused():
    with pytest.raises(ValueError, match=r"a Recorder watches .*this is a LogisticRegression: give it to the network"):
        LogisticRegression().set_callbacks(Recorder()).fit(X, X[:, 0] > 0)


def test_recording_needs_no_scikit_learn():
    code = "import sys, xpnet; xpnet.Recorder(); assert not {'sklearn', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_recorder_is_there_before_it_has_snapshots():
    assert Recorder()
    assert len(Recorder()) == 0
