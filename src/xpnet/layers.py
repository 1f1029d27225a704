"""Layers: the public names of :mod:`xpnet.equations.layers` and :mod:`xpnet.equations.dropout`."""

from .equations.dropout import Dropout
from .equations.layers import Dense, Layer, Parameter, PReLU, Shape, Training, affine, affine_gradients

__all__ = ["Dense", "Dropout", "Layer", "PReLU", "Parameter", "Shape", "Training", "affine", "affine_gradients"]
