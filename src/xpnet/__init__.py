"""Neural networks whose equations are written once, against the Array API standard, for NumPy (CPU) and CuPy (CUDA).

Names are loaded when they are first used: importing xpnet costs NumPy and nothing more.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "backends": "Backend BackendUnavailableError get_backend set_backend using_backend",
    "equations": "activations initializers layers losses optimizers penalties schedules",
    "equations.dropout": "Dropout",
    "equations.layers": "Dense PReLU",
    "equations.optimizers": "Adam AdamW GradientDescent Momentum",
    "network": "Layout Sequential",
    "model": "Model",
    "state": "State initial_state",
    "training": "DivergedError epochs weights_settled",
    "inspection.explanation": "explain",
    "inspection.gradcheck": "GradientCheck GradientError check_gradients",
    "inspection.diagnosis": "Diagnosis Finding diagnose",
    "estimators": "MLPClassifier MLPRegressor",
    "saving": "load save",
    "inspection.displays.curve": "LossCurveDisplay plot_loss_curve",
    "inspection.displays.histograms": "HistogramDisplay",
    "inspection.drawing.network": "to_svg",
    "inspection.recorder": "Recorder",
    "inspection.summary": "summary",
    "inspection.versions": "show_versions",
    "inspection.displays.weights": "FirstLayerWeightsDisplay",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'xpnet' has no attribute {name!r}; it has: {', '.join(__all__)}")
    if home == "equations":
        return importlib.import_module(f".equations.{name}", __name__)
    try:
        module = importlib.import_module(f".{home}", __name__)
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        raise ImportError(f'xpnet.{name} needs scikit-learn: python -m pip install "xpnet[sklearn]"') from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
