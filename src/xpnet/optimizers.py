"""Update rules: the public names of :mod:`xpnet.equations.optimizers`."""

from .equations.optimizers import *  # noqa: F403
from .equations.optimizers import __all__ as __all__
