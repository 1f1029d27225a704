"""What the classifier and the regressor share: fit, what a fitted estimator shows, copies and conversion."""

import contextlib
import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..backends import Backend, data_dtype, get_backend, is_host_data, to_numpy
from ..equations.schedules import Plateau
from ..model import Model, check_weights
from ..program.steps import Batch
from ..state import State
from ..training import LastSteps
from . import conversion
from .callbacks import Callbacks
from .coefficients import attributes_of, theta_of
from .data import Samples, ValidationSet
from .history import RECORDS, History, curves, drop_other_kind
from .lbfgs import minimize
from .prediction import last_predictions
from .run import Run, starting_state, warn
from .settings import Settings, hidden_sizes, model_of, precision, schedule
from .targets import Labels, Numbers

Array = Any


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """A multilayer perceptron with scikit-learn's parameters, attributes and methods, and ``backend=``.

    Between calls ``coefs_`` and ``intercepts_`` are the truth: they are read at every call and may be set by hand.
    A subclass has a constructor, predictions, and a ``_kind`` of targets.
    """

    _kind: type[Labels] | type[Numbers]
    coefs_: list[Array]
    intercepts_: list[Array]
    n_outputs_: int
    n_iter_: int
    _resume: State
    _plateau: Plateau

    def _keep(self, given: dict[str, Any]) -> None:
        """Store the constructor's arguments as they are (scikit-learn's rule)."""
        for name in self._get_param_names():
            setattr(self, name, given[name])

    @property
    def _targets(self) -> Labels | Numbers:
        """How y is encoded, judged and scored."""
        return self._kind.of(self)

    # --- fit

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: tuple | None = None) -> Self:
        """Train until ``tol`` or ``max_iter`` ends it.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Real and finite. An array of a GPU or another Array API library is computed where it is; sparse data (CSR,
            and CSC, which becomes CSR) are never made dense.
        y : array-like, (n_samples,) or (n_samples, n_outputs)
            Class labels or targets.
        sample_weight : array-like, (n_samples,), optional
            Weights of the samples.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Samples that are not trained on. Their loss and score are recorded after each epoch; with
            ``early_stopping`` they take the place of a part of X.

        Returns
        -------
        self : MLPClassifier or MLPRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            A parameter, X, y, the weights or the validation data are wrong; the estimator is left as it was.
        DivergedError
            The cost or a parameter became NaN or infinite, without early stopping.
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool) -> Self:
        backend = get_backend(self.backend, X)
        with backend.active():
            with self._unchanged_by_errors():
                rng = check_random_state(self.random_state)
                run = self._prepare(backend, X, y, sample_weight, validation_data, incremental, rng)
                if not incremental and hasattr(self, "_skl_callbacks"):
                    layout = run.model.layout(self.n_features_in_)
                    run.callbacks = Callbacks(self, X, y, sample_weight, lambda theta: attributes_of(layout, theta))
            stopped = True
            try:
                if self.solver == "lbfgs":
                    minimize(run)
                else:
                    last_steps = self.__dict__.get("_last_steps")
                    stopped = run.train(rng, last_steps, n_epochs=1 if incremental else self.max_iter)
            finally:
                self._finish(run, None if is_host_data(X) else get_backend(None, X))
            if incremental:
                self._keep_best(run)
            elif not stopped:
                warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                )
            if self.early_stopping and run.plateau.best == math.inf:
                warn("No validation score was finite: the parameters are the last ones.")
            if run.callbacks is not None:
                run.callbacks.end()
            return self

    @contextlib.contextmanager
    def _unchanged_by_errors(self) -> Iterator[None]:
        """Bad input leaves a fitted model as it was."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            begun = {name: value for name, value in self.__dict__.items() if name in _OF_CALLBACKS}
            self.__dict__.clear()
            self.__dict__.update(before | begun)  # callbacks that were set up are still to be torn down
            raise

    def _prepare(
        self, backend: Backend, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool, rng: Any
    ) -> Run:
        """The parameters as settings, the data on the backend, and the state that training begins with."""
        self._validate_params()
        settings = Settings.of(self)
        if self.early_stopping and incremental and validation_data is None:
            raise ValueError("partial_fit does not support early_stopping=True without validation_data")
        self._forget_programs(incremental)
        is_first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        of_training = {"trains": True, "is_first": is_first, "is_part": incremental}
        samples = Samples.read(self, backend, X, y, sample_weight, **of_training)
        model = self._begin_model(samples, is_first)
        validation = None
        if validation_data is not None:
            validation = ValidationSet.given(validation_data, self, model, backend)
        drop_other_kind(self.__dict__, settings)
        history = History.of(self.__dict__, self.early_stopping, validation is not None or self.early_stopping)
        plateau = replace(getattr(self, "_plateau", Plateau()), tol=self.tol)
        state = starting_state(self, model, backend, samples.X, rng, resumes=incremental)
        if incremental and self.early_stopping and hasattr(self, "coefs_") and not hasattr(self, "_best"):
            self._best = {"coefs_": self.coefs_, "intercepts_": self.intercepts_}
        if self.early_stopping and validation is None:
            samples, validation = ValidationSet.split_off(samples, self, rng)
        if samples.w is not None:
            check_weights(samples.w)
        judge = None if validation is None else validation.judge(self, model, backend)
        data = Batch(samples.X, samples.Y, samples.w)
        run = Run(settings, model, backend, data, state, history, plateau, judge, attributes=self.__dict__)
        run.publish()
        return run

    def _forget_programs(self, incremental: bool) -> None:
        """Programs of steps and predictions serve the next call of partial_fit, and end with the next fit."""
        if not incremental:
            self.__dict__.pop("_last_steps", None)
            last_predictions.pop(self, None)
        elif "_last_steps" not in self.__dict__:
            self._last_steps = LastSteps()

    def _begin_model(self, samples: Samples, is_first: bool) -> Model:
        """The model that is trained; at first, or afresh, with the attributes that follow from its layers."""
        n_outputs = samples.targets.shape[1]
        if not is_first and n_outputs != self.n_outputs_:
            raise ValueError(f"y has {n_outputs} outputs, but the fitted model has {self.n_outputs_}; call fit afresh")
        if is_first:
            for name in ("coefs_", "intercepts_", "loss_", "stopped_early_", "_resume", "_plateau", "_best", *RECORDS):
                self.__dict__.pop(name, None)
            self.n_outputs_, self.t_ = n_outputs, 0
        model = self._model()
        if is_first:
            self.n_layers_ = len(hidden_sizes(self.hidden_layer_sizes)) + 2
            link = type(model.criterion.link).__name__
            self.out_activation_ = _SCIKIT_LEARN_NAMES.get(link, link.lower())
        model.criterion.check(samples.Y)
        return model

    def _finish(self, run: Run, home: Backend | None) -> None:
        """Set coefs_ and intercepts_ in the library that X came from (None: the host), and keep the slots there."""
        run.publish()
        bring = to_numpy if home is None else home.asarray
        self.__dict__.update(attributes_of(run.model.layout(self.n_features_in_), bring(run.state.theta)))
        if self.solver == "lbfgs":
            del self._resume  # no optimizer's state: partial_fit by another solver begins afresh
            return
        self._resume = replace(run.state, theta=None, slots=tuple(map(bring, run.state.slots)), rng=None, order=None)

    def _keep_best(self, run: Run) -> None:
        """partial_fit's early stopping: the best coefficients are kept aside until it stops, and then come back."""
        if not self.early_stopping:
            return
        if run.is_best or not hasattr(self, "_best"):
            self._best = {"coefs_": self.coefs_, "intercepts_": self.intercepts_}
        self.stopped_early_ = run.stops
        if run.stops:
            self.__dict__.update(self._best)
            del self._resume  # the slots are those of other coefficients
            self._plateau = replace(self._plateau, epochs=0)

    # --- the model and its data, for the rest of the package

    def _model(self, drops: bool = True) -> Model:
        """The Model that is trained; a prediction ``drops`` no units."""
        fitted = self.__dict__.get("coefs_")  # whose widths are the truth
        hidden = hidden_sizes(self.hidden_layer_sizes) if fitted is None else [W.shape[1] for W in fitted[:-1]]
        return model_of(self, hidden, self.n_outputs_, self._targets.loss(self.n_outputs_), drops)

    def _theta(self, backend: Backend, X: Array) -> Array:
        """coefs_ and intercepts_ as the flat vector, on the backend and in the dtype that X is computed in."""
        return theta_of(self, backend, data_dtype(precision(self), backend) or X.dtype)

    def _as_trained(self, X: Any, y: Any, sample_weight: Any) -> tuple[Backend, tuple]:
        """The backend that computes, and X, the targets and the weights as the fitted model trains on them."""
        backend = get_backend(self.backend, X)
        with backend.active():
            samples = Samples.read(self, backend, X, y, sample_weight)
            return backend, (samples.X, samples.Y, samples.w)

    # --- scikit-learn's private names, which programs may rest on

    def _has_steps(self) -> bool:
        """Whether there is a partial_fit; the error says why not."""
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    @property
    def _optimizer(self) -> State:
        """Where training stands: ``learning_rate`` and slots."""
        return self._resume

    @property
    def _no_improvement_count(self) -> int:
        """Epochs on the plateau."""
        return self._plateau.epochs

    @_no_improvement_count.setter
    def _no_improvement_count(self, epochs: int) -> None:
        self._plateau = replace(getattr(self, "_plateau", Plateau()), epochs=epochs)

    def _loss_grad_lbfgs(self, theta: Any, X: Any, Y: Any, sample_weight: Any = None, *_buffers: Any) -> tuple:
        """J(theta) and its gradient for targets Y."""
        return self._model().cost_and_gradient(theta, X, Y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = True
        return tags

    # --- what a fitted estimator shows of itself

    @property
    def history_(self) -> dict[str, list[float]]:
        """Epoch by epoch: loss, validation_loss and validation_score if there are such data, learning_rate (of the
        epoch's first step, before a schedule), gradient_norm if there is a ``clip_norm``, and seconds.
        """
        return curves(self)

    def explain_step(self, X: Any, y: Any, sample_weight: Any = None, *, check: bool = True) -> Any:
        """Explain the step that ``partial_fit`` would make next on all of X at once; the model stays as it is.

        Parameters
        ----------
        X, y, sample_weight : array-like
            As in ``fit``.
        check : bool
            Whether the gradient is compared with differences of the cost.

        Returns
        -------
        Record
            See :func:`xpnet.explain`.
        """
        from ..inspection.explanation import explain

        check_is_fitted(self)
        if self.solver == "lbfgs":
            raise ValueError(
                "solver='lbfgs' searches along lines and makes no single steps: explain_step is for 'sgd' and 'adam'"
            )
        backend, (X, Y, w) = self._as_trained(X, y, sample_weight)
        model = self._model()
        with backend.active():
            state = starting_state(self, model, backend, X, check_random_state(self.random_state), resumes=True)
        # The loss whose gradient training follows; the model's may report another value of it.
        model = replace(model, loss=getattr(model.criterion, "descended", model.criterion))
        of_steps = {"schedule": schedule(self), "clip_norm": self.clip_norm, "backend": backend}
        return explain(model, state, X, Y, w, check=check, **of_steps)

    def summary(self, batch_size: int = 200) -> Any:
        """Summarize the fitted network layer by layer: equations, shapes, parameters, FLOPs and memory.

        Parameters
        ----------
        batch_size : int
            Samples of the step whose FLOPs and memory are shown.

        Returns
        -------
        Summary
            See :func:`xpnet.summary`.
        """
        from ..inspection.summary import summary

        check_is_fitted(self)
        return summary(self, batch_size=batch_size)

    def to_svg(self, max_units: int = 16) -> str:
        """Draw the fitted network.

        Parameters
        ----------
        max_units : int
            Units of a layer above which some are left out.

        Returns
        -------
        str
            An SVG picture, which notebooks show; see :func:`xpnet.to_svg`.
        """
        from ..inspection.drawing.network import to_svg

        check_is_fitted(self)
        return to_svg(self, max_units=max_units)

    # --- copies

    def to_sklearn(self) -> Any:
        """Copy the fitted model to scikit-learn's own class: on the host, with predictions equal within 1e-12.

        Parameters that scikit-learn lacks are left out, with a warning that names them: they change a fit, not a
        prediction. The optimizer's slots stay behind.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            Fitted.

        Raises
        ------
        ValueError
            A hidden layer's activation is one that scikit-learn does not have.
        """
        check_is_fitted(self)
        return conversion.to_sklearn(self)

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """Make this estimator from a fitted one of scikit-learn's: the same parameters and coefficients.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            Fitted.

        Returns
        -------
        MLPClassifier or MLPRegressor
            Fitted.
        """
        return conversion.from_sklearn(cls, estimator)

    def __copy__(self) -> Self:
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        copied.__dict__.pop("_last_steps", None)  # whose memory is this one's
        return copied

    def __deepcopy__(self, memo: dict) -> Self:
        """A copy whose arrays stay in their library; what pickle makes is on the host."""
        copied = object.__new__(type(self))
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """What pickle saves: host arrays, so that a model fitted on a GPU loads on a machine without one."""
        state = dict(super().__getstate__())
        for name in {"coefs_", "intercepts_"} & state.keys():
            state[name] = [a if is_host_data(a) else to_numpy(a) for a in state[name]]
        if "_best" in state:
            state["_best"] = {name: [to_numpy(a) for a in arrays] for name, arrays in self._best.items()}
        if "_resume" in state:
            state["_resume"] = replace(self._resume, slots=tuple(map(to_numpy, self._resume.slots)))
        return state


_OF_CALLBACKS = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
_SCIKIT_LEARN_NAMES = {"Linear": "identity", "Sigmoid": "logistic", "Softmax": "softmax", "Exp": "exp"}
