"""Penalties on the weights: the public names of :mod:`xpnet.equations.penalties`."""

from .equations.penalties import *  # noqa: F403
from .equations.penalties import __all__ as __all__
