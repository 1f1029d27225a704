# The public names as type checkers see them; __init__.py loads them when they are used.

from . import (
    activations as activations,
    initializers as initializers,
    layers as layers,
    losses as losses,
    optimizers as optimizers,
    penalties as penalties,
    schedules as schedules,
)
from .backends import (
    Backend as Backend,
    BackendUnavailableError as BackendUnavailableError,
    get_backend as get_backend,
    set_backend as set_backend,
    using_backend as using_backend,
)
from .equations.dropout import Dropout as Dropout
from .equations.layers import Dense as Dense, PReLU as PReLU
from .equations.optimizers import Adam as Adam, AdamW as AdamW, GradientDescent as GradientDescent, Momentum as Momentum
from .estimators import MLPClassifier as MLPClassifier, MLPRegressor as MLPRegressor
from .inspection.diagnosis import Diagnosis as Diagnosis, Finding as Finding, diagnose as diagnose
from .inspection.displays.first_layer_weights import FirstLayerWeightsDisplay as FirstLayerWeightsDisplay
from .inspection.displays.histograms import HistogramDisplay as HistogramDisplay
from .inspection.displays.loss_curve import LossCurveDisplay as LossCurveDisplay, plot_loss_curve as plot_loss_curve
from .inspection.drawing.picture import to_svg as to_svg
from .inspection.explanation import Explanation as Explanation, Quantity as Quantity, explain as explain
from .inspection.gradient_check import (
    GradientCheck as GradientCheck,
    GradientError as GradientError,
    check_gradients as check_gradients,
)
from .inspection.snapshots import Recorder as Recorder, Snapshot as Snapshot
from .inspection.summary import Summary as Summary, summary as summary
from .inspection.versions import show_versions as show_versions
from .model import Model as Model
from .network import Layout as Layout, Sequential as Sequential
from .saving import load as load, save as save
from .state import State as State, initial_state as initial_state
from .training import DivergedError as DivergedError, epochs as epochs, weights_settled as weights_settled

__version__: str
__all__ = [
    "Adam",
    "AdamW",
    "Backend",
    "BackendUnavailableError",
    "Dense",
    "Diagnosis",
    "DivergedError",
    "Dropout",
    "Explanation",
    "Finding",
    "FirstLayerWeightsDisplay",
    "GradientCheck",
    "GradientDescent",
    "GradientError",
    "HistogramDisplay",
    "Layout",
    "LossCurveDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "Model",
    "Momentum",
    "PReLU",
    "Quantity",
    "Recorder",
    "Sequential",
    "Snapshot",
    "State",
    "Summary",
    "activations",
    "check_gradients",
    "diagnose",
    "epochs",
    "explain",
    "get_backend",
    "initial_state",
    "initializers",
    "layers",
    "load",
    "losses",
    "optimizers",
    "penalties",
    "plot_loss_curve",
    "save",
    "schedules",
    "set_backend",
    "show_versions",
    "summary",
    "to_svg",
    "using_backend",
    "weights_settled",
]
