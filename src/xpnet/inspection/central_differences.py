"""Derivatives by central differences, and how they compare with a gradient: for explain and check_gradients."""

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

STEP = 0.01
"""h of the differences: with eighth order and float64 they reach 1e-13 of a smooth cost's gradient."""
_COEFFICIENTS = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
_HALVINGS = 17
"""From STEP down to 1e-7; for smaller steps rounding leaves fewer than seven digits of a slope."""
_ROUNDING = 20 * float(np.finfo(np.float64).eps)
"""The rounding error of a difference for a step of 1 and a cost of size 1, which is a sum over samples."""
_ASIDE, _TRIES = 1e-3, 4
"""If a kink lies at the parameters themselves: how far from them differences are taken, and how often at most."""
_KINK = "a kink or a sharp bend (such as ReLU's at 0, or |w|'s)"

CostAndGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


def derivative_along(J: Callable[[Any], float], theta: Any, direction: Any, h: float = STEP) -> float:
    """dJ(theta + t direction)/dt at t = 0, of eighth order: the error is h^8 J''''''''' / 630.

    J is evaluated at eight points of the line, none further than 4 h from theta; theta and direction are (n,).
    """
    return (
        sum(c * (J(theta + k * h * direction) - J(theta - k * h * direction)) for k, c in enumerate(_COEFFICIENTS, 1))
        / h
    )


def unit_direction(rng: Any, n: int) -> np.ndarray:
    """A random direction (n,) of length 1, drawn from rng, a NumPy Generator or RandomState."""
    d = rng.normal(size=n)
    return d / np.linalg.norm(d)


@dataclass(frozen=True)
class Line:
    """What differences say about the gradient along one direction.

    If the gradient is right, all numbers are those of the step at which differences agree with it, and ``reason`` says
    why those of STEP do not. ``error`` is |numeric - analytic|, ``allowed`` what that may be, ``longest`` the error at
    STEP. ``kink`` says whether a kink lies nearby, ``at_kink`` whether it lies at the very parameters.
    """

    ok: bool
    analytic: float
    numeric: float
    allowed: float
    longest: float
    kink: bool = False
    reason: str = ""
    at_kink: bool = False

    @property
    def error(self) -> float:
        """|numeric - analytic|."""
        return abs(self.numeric - self.analytic)

    @property
    def badness(self) -> tuple[bool, float]:
        """The key by which lines are sorted: right ones before wrong ones, then by their errors."""
        error = self.longest if self.ok else self.error
        return not self.ok, error if math.isfinite(error) else math.inf

    @property
    def verdict(self) -> Literal["agrees", "kink", "differs"]:
        """ "kink" if differences can be taken only beside the parameters."""
        return "differs" if not self.ok else "kink" if self.at_kink else "agrees"


@dataclass(frozen=True, eq=False)
class Slopes:
    """A cost and its gradient at theta, all on the host in float64, to be compared with differences.

    Attributes
    ----------
    cost_and_gradient : callable
        theta -> J and its gradient.
    theta, gradient : array, (n,)
        The point, and the gradient there.
    norm : float
        The gradient's norm; if that is 0, the cost's slope along a random direction.
    noise : float
        The rounding error of the gradient itself.
    rtol : float
        How far differences may be off, as a fraction of ``norm``.
    rng : numpy.random.Generator
        The source of directions.
    """

    cost_and_gradient: CostAndGradient
    theta: np.ndarray
    gradient: np.ndarray
    norm: float
    noise: float
    rtol: float
    rng: Any

    def difference(self, direction: np.ndarray, h: float) -> tuple[float, float]:
        """The derivative along the direction by differences of this step, and how far a right gradient may be off."""
        sizes = []

        def J(theta: np.ndarray) -> float:
            cost, _ = self.cost_and_gradient(theta)
            sizes.append(abs(cost))
            return cost

        found = derivative_along(J, self.theta, direction, h)
        return found, self.rtol * self.norm + self.noise + _ROUNDING * max(sizes) / h

    def along(self, direction: np.ndarray) -> Line:
        """The line in this direction; if a kink lies at theta itself, the line at a point beside theta.

        The gradient at a kink must be one of those around it: hardly further from one than they are from each other.
        """
        line, around = self._halving(direction), []
        for _ in range(0 if line.ok else _TRIES):
            aside = _ASIDE * unit_direction(self.rng, self.theta.size)
            beside = slopes_at(self.cost_and_gradient, self.theta + aside, self.rtol, self.rng)
            around += [beside.gradient, self.cost_and_gradient(self.theta - aside)[1]]
            spread = max(np.linalg.norm(g - other) for g, other in itertools.combinations(around, 2))
            agreeing = beside._halving(direction)
            distance = np.linalg.norm(self.gradient - beside.gradient)
            if agreeing.ok and distance <= 1.5 * spread + self.rtol * self.norm:
                reason = f"{_KINK} lies at these very parameters: differences are taken beside them, where they agree"
                return replace(agreeing, longest=line.longest, kink=True, reason=reason, at_kink=True)
        return line

    def _halving(self, direction: np.ndarray) -> Line:
        """Differences of ever smaller steps, until they agree with the gradient, or with one another and not with it.

        Halving the step takes a smooth cost's error down by 2^8; a kink's falls slowly, and then to nothing at once.
        """
        analytic = float(self.gradient @ direction)
        numeric: list[float] = []
        errors: list[float] = []
        limits: list[float] = []
        for k in range(_HALVINGS):
            h = STEP / 2**k
            found, allowed = self.difference(direction, h)
            numeric.append(found)
            errors.append(abs(found - analytic))
            limits.append(allowed)
            if errors[-1] <= allowed:
                return Line(True, analytic, found, allowed, errors[0], *self._why(errors, h, allowed))
            if k and abs(numeric[-1] - numeric[-2]) <= allowed:
                break
        best = int(np.argmin(np.nan_to_num(errors, nan=math.inf)))
        return Line(False, analytic, numeric[best], limits[best], errors[0])

    def _why(self, errors: list[float], h: float, allowed: float) -> tuple[bool, str]:
        """Whether a kink is why the larger steps disagreed, and the words for it."""
        if len(errors) == 1:
            return False, ""
        fell_at_once = errors[-2] > 300 * allowed
        fell_slowly = len(errors) > 2 and errors[-2] > errors[-3] / 20
        off = f" by {errors[0] / self.norm:.1e} of the norm" if self.norm else ""
        then = f"differences of step {h:.1e} agree, those of step {STEP:g} are off{off}"
        if fell_at_once or fell_slowly:
            return True, f"{_KINK} lies within {8 * h:.1e} of the parameters: {then}"
        return False, f"the cost bends too sharply for long steps: {then}"

    def along_random(self, count: int) -> list[Line]:
        """Lines along the gradient itself and random directions."""
        own = [self.gradient / np.linalg.norm(self.gradient)] if np.any(self.gradient) else []
        random = [unit_direction(self.rng, self.theta.size) for _ in range(count - len(own))]
        return [self.along(direction) for direction in own + random]

    def each(self, places: Iterable[int]) -> list[tuple[Line, int]]:
        """The line of each of these parameters by itself."""
        return [(self.along(self._direction([i], np.ones(1))), int(i)) for i in places]

    def narrowed(self, places: np.ndarray) -> np.ndarray:
        """At most 16 of these parameters, the half kept each time along which the gradient is further off."""
        while len(places) > 16:
            places = max(np.array_split(places, 2), key=self._off)
        return places

    def _off(self, places: np.ndarray) -> tuple[bool, float]:
        signs = [self.rng.choice([-1.0, 1.0], size=len(places)) for _ in range(2)]
        return max(self.along(self._direction(places, s / math.sqrt(len(places)))).badness for s in signs)

    def _direction(self, places: Any, values: np.ndarray) -> np.ndarray:
        direction = np.zeros(self.theta.size)
        direction[places] = values
        return direction


def slopes_at(
    cost_and_gradient: CostAndGradient, theta: np.ndarray, rtol: float, rng: Any, gradient: np.ndarray | None = None
) -> Slopes:
    """The cost at theta with its gradient, or with a ``gradient`` that is to be checked; both must be finite."""
    J, own = cost_and_gradient(theta)
    g = own if gradient is None else gradient
    if not (math.isfinite(J) and np.isfinite(g).all()):
        raise ValueError(
            f"at these parameters the cost is {J}, and {np.count_nonzero(~np.isfinite(g))} of {g.size} entries of its "
            "gradient are not finite: give other parameters (theta=) or samples"
        )
    norm = float(np.linalg.norm(g))
    aside = unit_direction(rng, theta.size)
    # A gradient that is wrongly 0 has no norm to measure by.
    steepest = norm or abs(derivative_along(lambda t: cost_and_gradient(t)[0], theta, aside))
    # Rounding acts like a small change of the parameters; this is how the gradient changes with them.
    turn = float(np.linalg.norm(cost_and_gradient(theta + STEP * aside)[1] - own)) / STEP
    noise = _ROUNDING * float(np.linalg.norm(theta)) * turn
    return Slopes(cost_and_gradient, theta, g, steepest, noise if math.isfinite(noise) else 0.0, rtol, rng)
