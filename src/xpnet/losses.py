"""Losses and their links: the public names of :mod:`xpnet.equations.losses`."""

from .equations.losses import *  # noqa: F403
from .equations.losses import __all__ as __all__
