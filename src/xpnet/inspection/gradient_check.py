"""Gradients compared with central differences: of estimators, models, networks, layers, activations and losses.

The gradient is that of the code that trains, :meth:`Model.objective`; the differences use the cost alone, which no
``backward`` affects.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..equations.layers import Training
from .central_differences import slopes_at
from .gradient_problem import problem

FEW = 64
"""Networks of at most this many parameters are always checked parameter by parameter as well."""


class GradientError(AssertionError):
    """A gradient is not the cost's derivative.

    Attributes
    ----------
    check : GradientCheck
        What was found.
    """

    def __init__(self, check: "GradientCheck") -> None:
        super().__init__(str(check))
        self.check = check

    def __reduce__(self):
        return GradientError, (self.check,)


@dataclass(frozen=True)
class GradientCheck:
    """What :func:`check_gradients` found.

    Attributes
    ----------
    ok : bool
        Whether the gradient is the cost's derivative, kinks aside.
    error : float
        The largest |difference - gradient|, as a fraction of the gradient's norm; if the gradient is right, at the
        longest step at which both agree.
    tolerance : float
        How large the error may be: ``rtol``, and the rounding of float64.
    parameter : str
        The worst parameter: "W2[3, 1]" is in the second layer; "X[0, 2]" and "Z[0, 2]" are in the input.
    analytic, numeric : float
        Its entry of the gradient, and its derivative by differences; if a kink lies exactly at the parameters, both
        are those of a point beside them.
    kink : bool
        Whether a kink such as ReLU's at 0 or |w|'s, or a bend as sharp, explains the error of longer steps.
    reason : str
        The explanation in words; empty if there is no error, or no explanation.
    norm : float
        The gradient's norm.
    looked_at : str
        What was looked at, in words: directions, or each parameter.
    """

    ok: bool
    error: float
    tolerance: float
    parameter: str
    analytic: float
    numeric: float
    kink: bool
    reason: str
    norm: float
    looked_at: str

    def __str__(self) -> str:
        verdict = "the gradient is right" if self.ok else "the gradient is wrong"
        return (
            f"{verdict}: off by {self.error:.1e} of its norm {self.norm:.4g} ({self.tolerance:.1e} is allowed), by "
            f"{self.looked_at}; worst {self.parameter}: gradient {self.analytic:.10g}, by differences "
            f"{self.numeric:.10g}{'; ' if self.reason else ''}{self.reason}"
        )

    def raise_if_wrong(self) -> "GradientCheck":
        """This check, if the gradient is right.

        Returns
        -------
        GradientCheck
            Itself, so that calls can be chained.

        Raises
        ------
        GradientError
            The gradient is wrong; the error says where.
        """
        if not self.ok:
            raise GradientError(self)
        return self


def check_gradients(
    subject: Any,
    X: Any,
    Y: Any = None,
    *,
    theta: Any = None,
    sample_weight: Any = None,
    train: Training = Training(),
    directions: int = 5,
    every: bool = False,
    rng: Any = None,
    rtol: float = 1e-12,
    backend: Any = None,
) -> GradientCheck:
    """Check that a gradient is the derivative of its cost, by central differences in float64.

    Parameters
    ----------
    subject : estimator, Model, Sequential, layer, Activation or Loss
        What is checked. For a Model or a fitted MLPClassifier or MLPRegressor, alone or in pipelines, target
        transformers and searches, it is the gradient of the cost, with its penalties, with respect to the parameters;
        for a network or a layer that of its outputs times random numbers, with respect to parameters and input; for an
        activation the same, with respect to its input; for a loss that with respect to the network's output.
    X : array-like, (m, n)
        Samples; for an activation or a loss, the Z that it is applied to. A few samples are enough.
    Y : array-like, (m, n_out), optional
        Targets, required for an estimator (as in ``fit``), a Model or a Loss; for others the numbers by which the
        outputs are multiplied, in place of random ones.
    theta : array, (n_parameters,), optional
        The parameters to look at, in the order of :class:`Layout`; by default an estimator's own, otherwise initial
        ones, each moved by N(0, 0.1^2), so that no zero hides anything.
    sample_weight : array-like, (m,), optional
        Weights of the samples' losses.
    train : Training
        The layers' argument ``train``: ``xpnet.equations.layers.Training(key)`` fixes the masks of one step's Dropout;
        by default nothing is dropped.
    directions : int
        How many directions to look along: the gradient's own, and random ones.
    every : bool
        Whether to look at each parameter by itself instead.
    rng : numpy.random.Generator or RandomState, optional
        By default ``numpy.random.default_rng(0)``.
    rtol : float
        How far the differences may be off, as a fraction of the gradient's norm.
    backend : str or Backend, optional
        See :func:`xpnet.get_backend`; by default the estimator's own.

    Returns
    -------
    GradientCheck
        Print it, read its ``ok``, or let ``raise_if_wrong()`` raise. It names the worst parameter. Among more than 64
        parameters, unless ``every`` is set, that one is searched by halving: if several are wrong, it is one of them.

    Raises
    ------
    ValueError
        The cost or the gradient is not finite, Y is missing, rng is no generator, or there is no network in the
        estimator.
    TypeError
        The subject is none of these.

    Notes
    -----
    If differences and gradient disagree, the step is halved until they agree or nothing changes any more. A smooth
    cost's error falls by 2^8 each time, a kink's slowly and then to nothing at once, a wrong gradient's stays.

    Examples
    --------
    >>> check_gradients(Model(Sequential(Dense(5, "tanh"), Dense(3)), "cross_entropy"), X, Y).raise_if_wrong()
    >>> print(check_gradients(fitted_pipeline, X, y))
    """
    if directions < 1:
        raise ValueError(f"directions is {directions!r}; it must be 1 or more (every=True looks at each parameter)")
    rng = np.random.default_rng(0) if rng is None else rng
    if not (hasattr(rng, "normal") and hasattr(rng, "choice")):
        raise ValueError(f"rng is {rng!r}; it must be a generator, such as numpy.random.default_rng(0)")
    asked = problem(subject, X, Y, theta, sample_weight, rng, backend)
    slopes = slopes_at(asked.cost_and_gradient(train), asked.theta, rtol, rng)
    places = np.arange(asked.theta.size)
    lines = [] if every else slopes.along_random(directions)
    by_place = slopes.each(places if every or len(places) <= FEW else slopes.narrowed(places))
    worst, place = max(by_place, key=lambda found: found[0].badness)
    line = max([worst, *lines], key=lambda line: line.badness)
    is_noise = line.ok and not line.reason and 0.0 < slopes.norm <= slopes.noise
    reason = "the gradient is 0 but for rounding: an optimum" if is_noise else line.reason
    looked_at = f"{'each' if every else f'{directions} directions'} of {len(places)} parameters"
    norm = slopes.norm or 1.0  # a constant cost: differences of 0
    numbers = asked.name(place), worst.analytic, worst.numeric
    return GradientCheck(
        line.ok, line.error / norm, line.allowed / norm, *numbers, line.kink, reason, slopes.norm, looked_at
    )
