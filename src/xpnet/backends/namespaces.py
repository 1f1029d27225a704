"""Which functions an array computes with: the Array API namespace of its library."""

from types import ModuleType
from typing import Any

import array_api_compat

from .sparse import ProductsAlone, is_sparse

_OF_TYPE: dict[type, Any] = {}


def array_namespace(array: Any) -> Any:
    """The namespace of an array's library, by array-api-compat, looked up once a type.

    That of a sparse matrix has products alone; a recorded array's belongs to its program.
    """
    kind = type(array)
    if kind not in _OF_TYPE:
        xp = ProductsAlone if is_sparse(array) else array_api_compat.array_namespace(array)
        _OF_TYPE[kind] = xp if isinstance(xp, ModuleType) or xp is ProductsAlone else None
    xp = _OF_TYPE[kind]
    return array.__array_namespace__() if xp is None else xp
