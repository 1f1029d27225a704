"""Floor 6: scikit-learn's estimators on any array. The only folder that imports scikit-learn; no mathematics here."""

from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
