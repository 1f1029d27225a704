"""What the classifier and the regressor share: fit, inspection, copies and conversion."""

import copy
from dataclasses import replace
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..backends import Backend, data_dtype, get_backend, is_host_data, to_numpy
from ..equations.schedules import Plateau
from ..inspection.drawing.picture import to_svg
from ..inspection.explanation import Explanation, explain
from ..inspection.summary import Summary, summary
from ..model import Model
from ..state import State
from . import conversion, fitting
from .coefficients import theta_of
from .data import Samples
from .history import curves
from .settings import hidden_sizes, model_of, precision, schedule
from .targets import Labels, Numbers
from .training_run import starting_state
from .typed_decorators import with_callbacks

Array = Any


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """A multilayer perceptron with scikit-learn's parameters, attributes and methods, and ``backend=``.

    ``coefs_`` and ``intercepts_`` are read at every call and may be set by hand. A subclass has a constructor,
    predictions, and a ``_kind`` of targets.
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
        """Train until the loss or the score stops improving by ``tol``, or for ``max_iter`` epochs.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Real and finite. Training runs on the library and the device of an array; sparse data (CSR, and CSC, which
            becomes CSR) are never made dense.
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
        return fitting.fit(self, X, y, sample_weight, validation_data)

    # --- the model and its data, for the rest of the package

    def _model(self, drops: bool = True) -> Model:
        """The Model that is trained; without Dropout, for predictions, unless it ``drops``."""
        fitted = self.__dict__.get("coefs_")  # may have been set by hand, with other widths than the parameter
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

    # --- scikit-learn's private names, which programs may rely on

    def _has_steps(self) -> bool:
        """True if there is a ``partial_fit``; otherwise an AttributeError says why not."""
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    @property
    def _optimizer(self) -> State:
        """The state of training: ``learning_rate`` and slots."""
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

    # --- inspection

    @property
    def history_(self) -> dict[str, list[float]]:
        """Epoch by epoch: loss, validation_loss and validation_score if there are such data, learning_rate (of the
        epoch's first step, before a schedule), gradient_norm if there is a ``clip_norm``, and seconds.
        """
        return curves(self)

    def explain_step(self, X: Any, y: Any, sample_weight: Any = None, *, check: bool = True) -> Explanation:
        """Explain the step that ``partial_fit`` would make next on all of X at once; the model stays as it is.

        Parameters
        ----------
        X, y, sample_weight : array-like
            As in ``fit``.
        check : bool
            Whether the gradient is compared with differences of the cost.

        Returns
        -------
        Explanation
            See :func:`xpnet.explain`.
        """
        check_is_fitted(self)
        if self.solver == "lbfgs":
            raise ValueError(
                "solver='lbfgs' searches along lines and makes no single steps that could be explained: use 'adam', "
                "'adamw' or 'sgd'"
            )
        backend, (X, Y, w) = self._as_trained(X, y, sample_weight)
        model = self._model()
        with backend.active():
            state = starting_state(self, model, backend, X, check_random_state(self.random_state), resumes=True)
        # The loss whose gradient training follows; the model's may report another value of it.
        model = replace(model, loss=model.criterion.descended)
        of_steps = {"schedule": schedule(self), "clip_norm": self.clip_norm, "backend": backend}
        return explain(model, X, Y, w, state=state, check=check, **of_steps)

    def summary(self, batch_size: int = 200) -> Summary:
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
        copied.__dict__.pop("_last_steps", None)  # its buffers belong to this estimator
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
