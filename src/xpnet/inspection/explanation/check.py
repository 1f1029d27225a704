"""Every gradient against central differences of the forward pass alone, in float64: nothing here was derived."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ...backends import Backend, get_backend, to_numpy
from ...equations.activations import Activation, Linear
from ...model import Model
from ..gradcheck import STEP, derivative_along, unit_direction
from .watch import Step

Array = Any

STEPS = (STEP, 1e-4, 1e-6)
"""h of the differences: the first is the most exact on smooth ground, the later ones step between kinks."""
FEW = 32
"""Entries up to which a gradient is checked by each of them, and not along random directions."""
N_DIRECTIONS = 3
"""Random directions for larger gradients, beside the gradient's own."""


@dataclass(frozen=True)
class Check:
    """What central differences say about one gradient.

    Attributes
    ----------
    verdict : {"agrees", "kink", "differs"}
        "kink": the differences themselves don't settle, since a kink such as ReLU's or |w|'s lies between or at their
        points, and the gradient is no further off than that explains.
    error : float
        Norm of (gradient - differences) over the gradient's norm (over 1 where that is 0).
    tolerance : float
        What counts as agreement: the square root of the precision computed in.
    directions : int
        How many directions were taken.
    every_entry : bool
        Whether these were the gradient's entries one by one, or its own direction and random ones.
    """

    verdict: Literal["agrees", "kink", "differs"]
    error: float
    tolerance: float
    directions: int
    every_entry: bool

    def __str__(self) -> str:
        off = f"{self.error:.0e} of its norm" if self.error else "nothing"
        if self.verdict == "kink":
            return f"central differences don't settle: a kink lies at or between their points (apart by {off})"
        along = "every entry" if self.every_entry else f"{self.directions} directions"
        said = "agree" if self.verdict == "agrees" else "DISAGREE"
        return f"central differences of {along} {said} (off by {off})"


def compare(
    F: Callable[[np.ndarray], np.ndarray], at: np.ndarray, gradients: Sequence[np.ndarray], tol: float
) -> list[Check]:
    """A Check of each gradient (n,) of F's values, one after the other, at the point ``at`` (n,)."""
    G, n = np.stack(gradients), at.size
    norms = np.linalg.norm(G, axis=1)
    norms[norms == 0.0] = 1.0
    rng, own = np.random.default_rng(0), G[-1] / norms[-1]
    directions = np.eye(n) if n <= FEW else np.stack([own, *(unit_direction(rng, n) for _ in range(N_DIRECTIONS))])
    found = [_along(F, at, d, G @ d, tol * norms / len(directions) ** 0.5) for d in directions]
    errors, unsettled = (np.linalg.norm(column, axis=0) / norms for column in zip(*found, strict=True))
    return [
        Check(_verdict(error, vague, tol), float(error), tol, len(directions), n <= FEW)
        for error, vague in zip(errors, unsettled, strict=True)
    ]


def _verdict(error: float, unsettled: float, tol: float) -> Literal["agrees", "kink", "differs"]:
    if error <= tol:
        return "agrees"
    return "kink" if error <= 4.0 * unsettled else "differs"


def _along(F: Callable, at: np.ndarray, d: np.ndarray, slopes: np.ndarray, allowed: np.ndarray) -> tuple:
    """How far the slopes are off along d, and how far the differences themselves are from settled."""
    found: list[Any] = []
    for h in STEPS:
        found.append(derivative_along(F, at, d, h))
        off = np.min([abs(D - slopes) for D in found], axis=0)
        if (off <= allowed).all():
            return off, np.zeros_like(off)
    # The slopes of both sides, to second order: at a kink they differ however small h is.
    right, left = (
        (-3.0 * F(at) + 4.0 * F(at + h * d) - F(at + 2.0 * h * d)) / (2.0 * h) for h in (STEPS[-1], -STEPS[-1])
    )
    return off, np.maximum(abs(right - left), abs(found[-1] - found[-2]))


@dataclass(frozen=True)
class Forward:
    """A step's forward pass in float64, with each layer given what ``train`` it was given in the step."""

    model: Model
    X: Array
    Y: Array
    w: Array | None
    theta: np.ndarray
    trains: tuple[Any, ...]
    backend: Backend

    @classmethod
    def of(cls, step: Step) -> "Forward":
        """The step in float64, on its backend where that has it, otherwise on NumPy."""
        has_float64 = "float64" in step.backend.xp.__array_namespace_info__().dtypes()
        backend = step.backend if has_float64 else get_backend("numpy")
        X, Y, w = (None if a is None else backend.asarray(a, backend.xp.float64) for a in step.data)
        trains = tuple(step.seen.of["train", k] for k in range(1, step.depth + 1))
        theta = to_numpy(step.theta).astype(np.float64)
        return cls(replace(step.model, precision=None), X, Y, w, theta, trains, backend)

    def array(self, a: np.ndarray, shape: tuple[int, ...] | None = None) -> Array:
        """A host array on the backend."""
        return self.backend.asarray(a if shape is None else a.reshape(shape), self.backend.xp.float64)

    def sums_after(self, k: int, A: Array, params: tuple) -> tuple[Any, Any]:
        """(sum of losses, sum of weights) from A_k on, the output of layer k; A_0 is X."""
        for layer, of_layer, train in list(zip(self.model.network.layers, params, self.trains, strict=True))[k:]:
            A, _ = layer.forward(of_layer, A, train)
        return self.model.criterion(A, self.Y, self.w)[:2]

    def loss_after(self, k: int, shape: tuple[int, ...], f: Activation | None = None) -> Callable:
        """a -> [sum of losses] with A_k = a or f(a)."""
        params = self.model.layout(self.X.shape[1:]).unpack(self.array(self.theta))

        def loss(a: np.ndarray) -> np.ndarray:
            A = self.array(a, shape)
            return np.asarray([float(self.sums_after(k, A if f is None else f.forward(A), params)[0])])

        return loss

    def costs_by(self, at: slice) -> Callable:
        """theta[at] -> [sum of losses, J]."""
        layout = self.model.layout(self.X.shape[1:])

        def costs(part: np.ndarray) -> np.ndarray:
            theta = self.theta.copy()
            theta[at] = part
            theta = self.array(theta)
            loss_sum, weight_sum = self.sums_after(0, self.X, layout.unpack(theta))
            c = self.model.scale(weight_sum)
            return np.asarray([float(loss_sum), float(c * loss_sum + self.model.penalty(theta, layout, c))])

        return costs


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # far from the step's own point
def checks(step: Step) -> dict[str, Check]:
    """The check of each gradient by its name."""
    run, found = Forward.of(step), {}
    whole = step.gradient
    tol = float(np.finfo(whole.dtype).eps) ** 0.5
    for k in range(step.depth, 0, -1):
        for name, at, gradient, after in _of_samples(step, k):
            F = run.loss_after(k, at.shape, after)
            (found[name],) = compare(F, _flat(at), [_flat(gradient)], tol)
        for (name, _, window, _), g in zip(step.parameters(k), step.seen.of["gradients", k], strict=True):
            both = compare(run.costs_by(window), run.theta[window], [_flat(g), whole[window].astype(np.float64)], tol)
            found[f"sum d{name}"], found[f"d{name}"] = both
    return found


def _of_samples(step: Step, k: int) -> Iterator[tuple[str, Array, Array, Activation | None]]:
    """What there is of dA and dZ of layer k: the name, the point, the gradient, and f where the point is before it."""
    of, f = step.seen.of, step.activation(k)
    if k == step.depth:
        is_dZ = f == Linear() or (f is None and step.has_link)
        name = f"dZ{k}" if is_dZ else f"df(Z{k})" if step.has_link else f"dA{k}"
        yield name, of["A", k], step.seen.loss["dZ"], None
    else:
        yield f"dA{k}", of["A", k], of["dA", k], None
    if f is not None and not (k == step.depth and f == Linear()):
        yield f"dZ{k}", of["Z", k], of["dZ", k], f


def _flat(a: Array) -> np.ndarray:
    return to_numpy(a).astype(np.float64).ravel()
