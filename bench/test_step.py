"""Forward, backward, update and the whole step, each beside the matrix products alone of the same shapes.

A round times the products and then the contender, so the two are paired. pytest-benchmark's own statistics are the
contender's; ``extra_info`` holds the ratio. The device is waited for before each clock starts and before it stops.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from nets import OPTIMIZERS, Limit, Net, wait_for
from paired import ROUNDS, noise, paired_ratio

from xpnet import Model
from xpnet.backends import Backend, compile_step
from xpnet.equations.schedules import Constant
from xpnet.model import initial_state
from xpnet.training import step_scalars, training_step

WARMUP = 3


class Problem:
    """One net on one backend: a batch, the first parameters, and the matrix products of a step."""

    def __init__(self, net: Net, backend: Backend) -> None:
        self.net, self.backend, self.wait = net, backend, wait_for(backend)
        self.model, self.layout = net.model(), net.model().layout(net.widths[0])
        self.X, self.Y, _ = net.data(1, backend)
        initial = self.model.initial(np.random.default_rng(0), net.widths[0], OPTIMIZERS["GradientDescent"])
        self.theta = backend.asarray(initial.theta, self.X.dtype)
        self.limit = Limit(net, backend)
        # A GPU may be through with a step before its host has asked for it: there a round is many steps.
        self.steps_a_round = 1 if backend.name == "numpy" else 20

    def forward(self) -> tuple[Any, Callable]:
        """The network's output and the backward that belongs to it."""
        return self.model.network.forward(self.layout.unpack(self.theta), self.X, train=True)

    def backward(self, Z: Any, backward: Callable) -> Any:
        """The loss and the gradient in its pieces."""
        _, _, dZ = self.model.criterion(Z, self.Y, None)
        return self.layout.pieces(backward(dZ))

    def step(self, optimizer: str, model: Any) -> Callable[[], None]:
        """One step after the other: each starts from the last one's parameters and moments."""
        state = initial_state(self.theta, OPTIMIZERS[optimizer])
        one_step, m = training_step(model, self.layout, state.optimizer), self.X.shape[0]
        run, table = compile_step(one_step, (self.X, self.Y, None), self.theta), step_scalars(state, Constant(), [1.0])
        carry = (state.theta, *state.moments, 0.0 * self.theta[0])

        def step():
            nonlocal carry
            carry = run(carry, range(m), m, table)

        return step


@dataclasses.dataclass(frozen=True)
class KnownGradient:
    """A model that has worked out its gradient: of a step, the penalty's value and the update remain."""

    model: Model
    known: tuple

    def sums(self, *batch: Any) -> tuple:
        """What the model's own ``sums`` returned once."""
        return self.known

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


@pytest.fixture(scope="session")
def problem(net, backend):
    """Made once for all the benchmarks of a net on a backend."""
    with backend.active():
        return Problem(net, backend)


@pytest.fixture
def measure(benchmark, problem, keep_ratio):
    """``measure(stage, contender, products, prepare)``: the paired rounds, and what the report needs."""

    def measure_it(stage, contender, products, prepare=tuple, optimizer=None):
        n, limit_seconds = problem.steps_a_round, []

        def before():
            with problem.backend.active():
                arguments = [prepare() for _ in range(n)]
                problem.wait()
                start = time.perf_counter()
                for _ in range(n):
                    products()
                problem.wait()
                limit_seconds.append(time.perf_counter() - start)
            return (arguments,), {}

        def round_(arguments):
            with problem.backend.active():
                for of_step in arguments:
                    contender(*of_step)
                problem.wait()

        benchmark.group = f"{problem.net}: {stage}"
        benchmark.pedantic(round_, setup=before, rounds=ROUNDS, warmup_rounds=WARMUP)
        if benchmark.disabled:
            return
        seconds, limit = benchmark.stats.stats.data, limit_seconds[WARMUP : WARMUP + ROUNDS]
        ratio = paired_ratio(seconds, limit)
        keep_ratio(ratio, noise(limit))
        benchmark.extra_info.update(
            {
                **ratio._asdict(),
                "noise": noise(limit),
                "backend": problem.backend.name,
                "net": str(problem.net),
                "width": problem.net.width,
                "stage": stage,
                "optimizer": optimizer,
                "steps_a_round": n,
                "seconds_a_step": statistics.median(seconds) / n,
                "limit_seconds_a_step": statistics.median(limit) / n,
            }
        )

    return measure_it


def test_forward(measure, problem):
    """A = f(X W + b), layer by layer, beside one product a layer."""
    measure("forward", problem.forward, problem.limit.forward)


def test_backward(measure, problem):
    """The loss and the flat gradient, beside two products a layer."""
    measure("backward", problem.backward, problem.limit.backward, prepare=problem.forward)


@pytest.mark.parametrize("optimizer", ["GradientDescent", "Adam"])
def test_update(measure, problem, optimizer):
    """The penalty and the optimiser's rule, which have no products, beside all the products of the step."""
    known = problem.backward(*problem.forward()), 0.0, float(problem.net.batch)
    step = problem.step(optimizer, KnownGradient(problem.model, known))
    measure("update", step, problem.limit.step, optimizer=optimizer)


@pytest.mark.parametrize("optimizer", ["GradientDescent", "Adam"])
def test_step(measure, problem, optimizer):
    """The whole step on a batch that is there, beside all its products."""
    measure("step", problem.step(optimizer, problem.model), problem.limit.step, optimizer=optimizer)
