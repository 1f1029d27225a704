"""Initial weights and biases: the public names of :mod:`xpnet.equations.initializers`."""

from .equations.initializers import *  # noqa: F403
from .equations.initializers import __all__ as __all__
