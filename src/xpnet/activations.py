"""Activations and their derivatives: the public names of :mod:`xpnet.equations.activations`."""

from .equations.activations import *  # noqa: F403
from .equations.activations import __all__ as __all__
