"""Schedules of the learning rate: the public names of :mod:`xpnet.equations.schedules`."""

from .equations.schedules import *  # noqa: F403
from .equations.schedules import __all__ as __all__
