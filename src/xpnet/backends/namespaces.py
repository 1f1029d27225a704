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
    xp = _OF_TYPE.get(type(array))
    if xp is None:
        xp = ProductsAlone if is_sparse(array) else array_api_compat.array_namespace(array)
        if isinstance(xp, ModuleType):
            _OF_TYPE[type(array)] = xp
    return xp
