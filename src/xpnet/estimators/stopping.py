"""When training stops: a plateau of the loss or the validation score, after which the learning rate may fall first."""

from ..equations.schedules import Plateau
from ..state import State
from .settings import Settings


def next_rate(
    settings: Settings, state: State, n_samples: int, plateau: Plateau, rate: float
) -> tuple[float, Plateau, bool]:
    """The next epoch's learning rate and plateau, and whether training stops before it.

    Parameters
    ----------
    settings : Settings
        The estimator's.
    state : State
        Where training would go on.
    n_samples : int
        How many samples were trained on, for "invscaling".
    plateau : Plateau
        Epochs without improvement.
    rate : float
        The learning rate of the last epoch.
    """
    if settings.inverse_scaling is not None:
        rate = state.optimizer.learning_rate * settings.inverse_scaling(n_samples)
    if plateau.epochs <= settings.patience:
        return rate, plateau, False
    what = "Validation score" if settings.early_stopping else "Training loss"
    message = f"{what} did not improve more than tol={settings.tol:f} for {settings.patience:g} consecutive epochs."
    new_rate = None
    if settings.adaptive is not None:
        new_rate, plateau = settings.adaptive(rate, plateau)
        message += " Learning rate too small." if new_rate is None else f" Setting learning rate to {new_rate:f}"
    if settings.verbose:
        print(message + (" Stopping." if new_rate is None else ""))
    return (rate if new_rate is None else new_rate), plateau, new_rate is None
