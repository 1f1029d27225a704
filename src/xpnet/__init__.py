"""Neural networks whose equations are written once, against the Array API standard, for NumPy (CPU) and CuPy (CUDA).

Names are loaded when they are first used, so that importing xpnet imports no other package.
"""

import importlib
import importlib.util
from typing import Any

__version__ = "0.1.0"

_MODULES = ("activations", "initializers", "layers", "losses", "optimizers", "penalties", "schedules")
_HOMES = {
    "backends": "Backend BackendUnavailableError get_backend set_backend using_backend",
    "equations.dropout": "Dropout",
    "equations.layers": "Dense PReLU",
    "equations.optimizers": "Adam AdamW GradientDescent Momentum",
    "network": "Layout Sequential",
    "model": "Model",
    "state": "State initial_state",
    "training": "DivergedError epochs weights_settled",
    "inspection.explanation": "Explanation Quantity explain",
    "inspection.gradient_check": "GradientCheck GradientError check_gradients",
    "inspection.diagnosis": "Diagnosis Finding diagnose",
    "inspection.displays.loss_curve": "LossCurveDisplay plot_loss_curve",
    "inspection.displays.histograms": "HistogramDisplay",
    "inspection.drawing.picture": "to_svg",
    "inspection.snapshots": "Recorder Snapshot",
    "inspection.summary": "Summary summary",
    "inspection.versions": "show_versions",
    "inspection.displays.first_layer_weights": "FirstLayerWeightsDisplay",
}
_WITH_SCIKIT_LEARN = {"estimators": "MLPClassifier MLPRegressor", "saving": "load save"}
_HOME_OF = {name: home for home, names in (_HOMES | _WITH_SCIKIT_LEARN).items() for name in names.split()}

# Without scikit-learn, `from xpnet import *` leaves out the names that need it.
_HOMES_HERE = _HOMES if importlib.util.find_spec("sklearn") is None else _HOMES | _WITH_SCIKIT_LEARN
__all__ = sorted([*_MODULES, *" ".join(_HOMES_HERE.values()).split()])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'xpnet' has no attribute {name!r}; it has: {', '.join(__all__)}")
    try:
        module = importlib.import_module(f".{home}", __name__)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ImportError(f'xpnet.{name} needs scikit-learn: python -m pip install "xpnet[sklearn]"') from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
