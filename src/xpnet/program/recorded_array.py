"""The array of a function that is being recorded: it has the operators of the standard, and no numbers."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .recorded_values import Value, not_recordable


class Recorded:
    """An array that stands for a Value of a program; ``xp`` is the program's RecordedNamespace."""

    __slots__ = ("value", "xp")
    __array_ufunc__ = None  # so that NumPy's arrays and scalars leave arithmetic to this class
    device = "cpu"

    def __init__(self, value: Value, xp: Any) -> None:
        self.value, self.xp = value, xp

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    T = property(lambda self: self.xp.permute_dims(self, (1, 0)))
    mT = property(lambda self: self.xp.matrix_transpose(self))

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return self.xp

    def to_device(self, device: Any, /, stream: Any = None) -> "Recorded":
        """The array itself: a program has one device."""
        return self

    def __getitem__(self, key: Any) -> "Recorded":
        keys = key if isinstance(key, tuple) else (key,)
        for k in keys:
            is_basic = k is None or k is Ellipsis or isinstance(k, slice | int | np.integer)
            if not is_basic or isinstance(k, bool):
                raise not_recordable(f"an index that is a {type(k).__name__}")
        return self.xp._view("index", operator.getitem, self, keys if Ellipsis in keys else (*keys, Ellipsis))

    def __len__(self) -> int:
        return self.shape[0]

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise not_recordable("the value of an array, which is not known when a step is recorded,")

    __array__ = __bool__ = __complex__ = __dlpack__ = __float__ = __index__ = __int__ = __setitem__ = _refuse


def _operator(name: str, is_reversed: bool = False) -> Callable:
    def apply(self: Recorded, *others: Any) -> Recorded:
        return getattr(self.xp, name)(*(self, *others)[:: -1 if is_reversed else 1])

    return apply


for _pair in (
    "add:add sub:subtract mul:multiply truediv:divide floordiv:floor_divide mod:remainder pow:pow matmul:matmul "
    "and:bitwise_and or:bitwise_or xor:bitwise_xor lshift:bitwise_left_shift rshift:bitwise_right_shift lt:less "
    "le:less_equal gt:greater ge:greater_equal eq:equal ne:not_equal neg:negative pos:positive abs:abs "
    "invert:bitwise_invert"
).split():
    _short, _, _name = _pair.partition(":")
    setattr(Recorded, f"__{_short}__", _operator(_name))
    setattr(Recorded, f"__r{_short}__", _operator(_name, is_reversed=True))
