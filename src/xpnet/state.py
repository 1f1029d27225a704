"""The state that training carries from step to step."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

from .backends import array_namespace, device
from .equations.layers import Shape
from .equations.optimizers import Optimizer
from .network import Layout
from .program.steps import Kept

Array = Any


class HasLayout(Protocol):
    """What :meth:`State.parameters` needs of a model."""

    def layout(self, n_features: Shape) -> Layout:
        """Where the parameters lie, for samples of this shape."""


@dataclass(frozen=True)
class State:
    """All that training carries from step to step; pickled, it resumes the same run.

    Attributes
    ----------
    theta : array, (n_parameters,)
        The parameters, in the order of :class:`Layout`.
    slots : tuple of arrays like theta
        The optimizer's.
    optimizer : Optimizer
        The update rule.
    learning_rate : float
        Its learning rate now, before a schedule's factor.
    step : int
        How many steps have been made.
    rng : numpy.random.Generator or RandomState
        The source of shuffles, in its state after the last epoch.
    order : host array of int, optional
        The order of the samples in the last epoch; the next shuffle permutes it further.
    seed : int
        The seed of Dropout's masks, which follow from it and from ``step``.
    gradient_norm : float, optional
        The root mean square, over the last epoch's steps, of the norm of the cost's gradient before it was clipped;
        None if ``epochs`` had no ``clip_norm``.
    in_shape : tuple of int, optional
        The shape of one sample. ``Model.initial`` and ``epochs`` set it.
    """

    theta: Array
    slots: tuple[Array, ...]
    optimizer: Optimizer
    learning_rate: float
    step: int = 0
    rng: Any = field(default_factory=lambda: None)
    order: Any = None
    seed: int = 0
    gradient_norm: float | None = None
    in_shape: Shape | None = None

    def parameters(self, model: HasLayout) -> dict[str, Array]:
        """The parameters by name: "W1" and "b1" are those of the network's first layer.

        Parameters
        ----------
        model : Model
            The model that is trained.

        Returns
        -------
        dict of str to array
            Windows of ``theta`` (copies, in libraries without views); they are not to be written to.

        Raises
        ------
        ValueError
            The state does not know the shape of a sample, or theta does not fit the model.
        """
        if self.in_shape is None:
            raise ValueError("this state has no in_shape: make it with model.initial, or replace(state, in_shape=(n,))")
        return model.layout(self.in_shape).by_name(self.theta)

    # A state that an epoch yields copies its arrays and its generator when they are first used; most never are.

    @classmethod
    def at(cls, kept: Kept, course: dict[str, Any]) -> "State":
        """The state whose arrays ``kept`` has, and whose other attributes are in ``course``."""
        state = object.__new__(cls)
        vars(state).update(course, _kept=kept)
        return state

    @property
    def course(self) -> dict[str, Any]:
        """All attributes but the arrays; ``_rng`` in place of ``rng`` if that has not been used."""
        return {name: value for name, value in vars(self).items() if name not in ("theta", "slots", "_kept")}

    def is_at(self, kept: Kept) -> bool:
        """Whether the arrays are those that ``kept`` has, and have not been used."""
        mine = vars(self)
        return mine.get("_kept") is kept and "theta" not in mine and "slots" not in mine

    if not TYPE_CHECKING:  # a type checker would accept any name

        def __getattr__(self, name: str) -> Any:
            mine = vars(self)
            if name == "theta" and "_kept" in mine:
                (mine["theta"],) = mine["_kept"].take(0)
            elif name == "slots" and "_kept" in mine:
                mine["slots"] = mine["_kept"].take(*range(1, len(mine["_kept"].arrays)))
            elif name == "rng" and "_rng" in mine:
                mine["rng"] = mine.pop("_rng")()
            else:
                raise AttributeError(f"'State' object has no attribute {name!r}")
            return mine[name]

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def copy_on_call(rng: Any) -> Callable[[], Any]:
    """A function that makes a copy of rng, a NumPy Generator or RandomState, in the state that rng has now."""
    is_generator = hasattr(rng, "bit_generator")
    if not is_generator and not hasattr(rng, "get_state"):
        copied = copy.deepcopy(rng)
        return lambda: copied
    state = rng.bit_generator.state if is_generator else rng.get_state()

    def make() -> Any:
        copied = copy.deepcopy(rng)
        if is_generator:
            copied.bit_generator.state = state
        else:
            copied.set_state(state)
        return copied

    return make


def initial_state(theta: Array, optimizer: Optimizer, rng: Any = None) -> State:
    """The state before the first step.

    Parameters
    ----------
    theta : array, (n_parameters,)
        The parameters, in the order of :class:`Layout`.
    optimizer : Optimizer
        The update rule.
    rng : numpy.random.Generator or RandomState, optional
        The source of shuffles.

    Returns
    -------
    State
        With slots of zeros, in the library and dtype of theta.

    Raises
    ------
    ValueError
        The optimizer is not an Optimizer.
    """
    if not isinstance(optimizer, Optimizer):
        raise ValueError(
            f"optimizer is {optimizer!r}; it must be an object such as Adam(0.001) or GradientDescent(0.1)"
        )
    xp = array_namespace(theta)
    slots = tuple(xp.zeros(theta.shape, dtype=theta.dtype, device=device(theta)) for _ in range(optimizer.slots))
    return State(theta, slots, optimizer, optimizer.learning_rate, rng=rng)
