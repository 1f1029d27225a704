"""scikit-learn's decorators of methods, which have no types: here a method keeps its own."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import sklearn.callback
from sklearn.utils import metaestimators

Method = TypeVar("Method", bound=Callable[..., Any])


def with_callbacks(fit: Method) -> Method:
    """``sklearn.callback.with_callbacks``: callbacks are set up before ``fit`` and torn down after it."""
    return cast(Method, sklearn.callback.with_callbacks(fit))


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """``sklearn.utils.metaestimators.available_if``: the method is there if the check of the estimator is true."""
    return cast(Callable[[Method], Method], metaestimators.available_if(check))
