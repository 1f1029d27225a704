"""Learning rates that change."""

import math
import pickle

import pytest

from xpnet.equations.schedules import Adaptive, ConstantRate, Cosine, InverseScaling, Plateau, WarmUp


def test_constant():
    assert [ConstantRate()(t) for t in (0, 1, 10**9)] == [1.0, 1.0, 1.0]


def test_inverse_scaling():
    assert [InverseScaling()(t) for t in (0, 3, 99)] == pytest.approx([1.0, 0.5, 0.1])
    assert InverseScaling(power=1.0)(4) == pytest.approx(0.2)


def test_cosine_goes_from_one_to_its_end():
    schedule = Cosine(steps=10, end=0.2)
    assert [schedule(t) for t in (0, 5, 10, 11, 1000)] == pytest.approx([1.0, 0.6, 0.2, 0.2, 0.2])
    assert Cosine(4)(1) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    values = [schedule(t) for t in range(11)]
    assert values == sorted(values, reverse=True)


def test_warm_up_rises_to_one_and_hands_over():
    assert [WarmUp(4)(t) for t in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
    schedule = WarmUp(2, then=Cosine(10))
    assert [schedule(t) for t in (0, 1, 2, 7, 12, 99)] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0, 0.0])


@pytest.mark.parametrize("steps", [0, -1, 0.5, float("nan")])
@pytest.mark.parametrize("kind", [Cosine, WarmUp])
def test_schedules_have_at_least_one_step(kind, steps):
    with pytest.raises(ValueError, match=rf"^steps of {kind.__name__} is {steps!r}; it must be 1 or more"):
        kind(steps)


@pytest.mark.parametrize(
    "schedule", [ConstantRate(), InverseScaling(), WarmUp(2, Cosine(3)), Plateau(), Adaptive()], ids=repr
)
def test_schedules_are_values(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule


# --- plateaus


def after(plateau, costs):
    for cost in costs:
        plateau = plateau.after(cost)
    return plateau


def test_a_plateau_counts_epochs_without_progress():
    assert after(Plateau(), [1.0, 0.9, 0.8]).epochs == 0
    assert after(Plateau(), [1.0, 1.0, 2.0, 1.5]) == Plateau(best=1.0, epochs=3)
    assert after(Plateau(), [1.0, 1.0, 0.5]) == Plateau(best=0.5, epochs=0)


def test_a_fall_within_the_tolerance_is_no_progress_but_a_new_best():
    plateau = after(Plateau(tol=0.1), [1.0, 0.95, 0.91])
    assert plateau == Plateau(tol=0.1, best=0.91, epochs=2)
    assert plateau.after(0.82).epochs == 3
    assert plateau.after(0.80).epochs == 0


def test_a_cost_exactly_the_tolerance_below_the_best_is_progress():
    assert after(Plateau(tol=0.25), [1.0, 0.75]).epochs == 0


def test_without_a_tolerance_only_a_rise_counts():
    assert after(Plateau(tol=0.0), [1.0, 1.0]).epochs == 0
    assert after(Plateau(tol=0.0), [1.0, 1.1]).epochs == 1
    assert after(Plateau(tol=math.inf), [1.0, 0.1, 0.01]).epochs == 2


def test_a_cost_that_is_not_a_number_is_never_the_best():
    assert Plateau().after(1.0).after(math.nan).best == 1.0


# --- the adaptive learning rate


def test_the_learning_rate_falls_after_a_plateau_longer_than_patience():
    adaptive = Adaptive(patience=2, factor=5.0)
    assert adaptive(0.1, Plateau(epochs=2)) == (0.1, Plateau(epochs=2))
    assert adaptive(0.1, Plateau(best=1.0, epochs=3)) == (0.02, Plateau(best=1.0, epochs=0))


def test_training_ends_once_the_learning_rate_is_at_its_minimum():
    adaptive = Adaptive(patience=1, minimum=1e-3)
    rate, n = 1.0, 0
    while rate is not None:
        last, (rate, plateau), n = rate, adaptive(rate, Plateau(epochs=2)), n + 1
    assert last <= 1e-3 < 5 * last
    assert n == 6
    assert plateau.epochs == 2


def test_adaptive_is_scikit_learns(rng):
    """The learning rates of scikit-learn's optimizer, for the same costs and the same rule about them."""
    from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

    costs = rng.uniform(0.0, 1.0, 200)
    theirs = SGDOptimizer([], 0.1, "adaptive")
    best, stale, expected = math.inf, 0, []
    for cost in costs:
        stale = stale + 1 if cost > best - 1e-4 else 0
        best = min(best, cost)
        if stale > 3:
            if theirs.trigger_stopping("", verbose=False):
                expected.append(None)
                break
            stale = 0
        expected.append(theirs.learning_rate)
    rate, plateau, ours = 0.1, Plateau(tol=1e-4), []
    for cost in costs:
        rate, plateau = Adaptive(patience=3)(rate, plateau.after(cost))
        ours.append(rate)
        if rate is None:
            break
    assert ours == expected
