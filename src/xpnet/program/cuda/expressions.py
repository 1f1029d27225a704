"""The elementwise operations of the Array API standard as CUDA C expressions, which need no headers."""

from typing import Any

import numpy as np

from ..recorded_values import NotRecordable, Value

TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float32": "float",
    "float64": "double",
}

PRELUDE = r"""// Generated from a recorded program.
template <class T> __device__ inline T greater_of(T a, T b) { return a != a || a > b ? a : b; }
template <class T> __device__ inline T smaller_of(T a, T b) { return a != a || a < b ? a : b; }
template <class T> __device__ inline T sign_of(T a) { return a != a ? a : T((a > T(0)) - (a < T(0))); }
template <class T> __device__ inline T floor_of_quotient(T a, T b) {
    return b == T(0) ? T(0) : T(a / b - (a % b != T(0) && (a < T(0)) != (b < T(0)) ? 1 : 0));
}
__device__ inline double floor_of_quotient(double a, double b) {
    if (b == 0) return a / b;
    const double m = fmod(a, b), q = (a - m) / b - (m != 0 && (b < 0) != (m < 0) ? 1 : 0), below = floor(q);
    return q == 0 ? copysign(0.0, a / b) : q - below > 0.5 ? below + 1 : below;
}
__device__ inline float floor_of_quotient(float a, float b) { return (float)floor_of_quotient((double)a, (double)b); }
template <class T> __device__ inline T remainder_of(T a, T b) {
    const T m = b == T(0) ? T(0) : T(a % b);
    return m != T(0) && (m < T(0)) != (b < T(0)) ? T(m + b) : m;
}
__device__ inline float remainder_of(float a, float b) {
    const float m = fmodf(a, b);
    return m == 0 ? copysignf(m, b) : (m < 0) != (b < 0) ? m + b : m;
}
__device__ inline double remainder_of(double a, double b) {
    const double m = fmod(a, b);
    return m == 0 ? copysign(m, b) : (m < 0) != (b < 0) ? m + b : m;
}
__device__ inline float log_of_sum(float a, float b) {
    return a == b ? a + 0.69314718056f : greater_of(a, b) + log1pf(expf(-fabsf(a - b)));
}
__device__ inline double log_of_sum(double a, double b) {
    return a == b ? a + 0.69314718055994531 : greater_of(a, b) + log1p(exp(-fabs(a - b)));
}
__device__ inline unsigned short rounded_to_bfloat16(float a) {
    const unsigned int bits = __float_as_uint(a);
    return a != a ? 0x7fff : (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
"""

_SAME_NAME = {
    *"acos acosh asin asinh atan atan2 atanh ceil copysign cos cosh exp expm1 floor hypot log log10 log1p".split(),
    *"log2 nextafter pow sin sinh sqrt tan tanh trunc".split(),
}
"""Functions of floating-point numbers that have the same name in C."""
_WHOLE = ("ceil", "floor", "trunc")

_EXPRESSIONS = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "negative": "-{0}",
    "positive": "{0}",
    "square": "{0} * {0}",
    "reciprocal": "({T})1 / {0}",
    "maximum": "greater_of<{T}>({0}, {1})",
    "minimum": "smaller_of<{T}>({0}, {1})",
    "sign": "sign_of<{T}>({0})",
    "floor_divide": "floor_of_quotient({0}, {1})",
    "remainder": "remainder_of({0}, {1})",
    "logaddexp": "log_of_sum({0}, {1})",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "isnan": "{0} != {0}",
    "isfinite": "{0} - {0} == 0",
    "isinf": "{0} == {0} && {0} - {0} != 0",
    "logical_and": "{0} && {1}",
    "logical_or": "{0} || {1}",
    "logical_xor": "!{0} != !{1}",
    "logical_not": "!{0}",
    "bitwise_and": "{0} & {1}",
    "bitwise_or": "{0} | {1}",
    "bitwise_xor": "{0} ^ {1}",
    "bitwise_left_shift": "{0} << {1}",
    "bitwise_right_shift": "{0} >> {1}",
    "where": "{0} ? {1} : {2}",
    "copy": "{0}",
    "bfloat16": "rounded_to_bfloat16({0})",
}


def type_name(dtype: Any) -> str:
    """The C type of a dtype; NotRecordable if there is none."""
    if dtype.name not in TYPES:
        raise NotRecordable(f"there are no kernels of {dtype.name}")
    return TYPES[dtype.name]


def literal(number: Any, dtype: np.dtype) -> str:
    """A number as a C literal of this dtype."""
    if dtype.kind == "b":
        return "true" if number else "false"
    if dtype.kind in "iu":
        suffix = {"int64": "LL", "uint64": "ULL", "uint32": "U"}.get(dtype.name, "")
        return f"({type_name(dtype)}){int(number)}{suffix}"
    end = "f" if dtype == np.float32 else ""
    if not np.isfinite(number):
        bits = number.astype(dtype).view(f"u{dtype.itemsize}").item()
        return f"__int_as_float({bits:#x})" if end else f"__longlong_as_double({bits:#x}LL)"
    text = repr(float(number)) + end
    return f"({text})" if text.startswith("-") else text


def expression(x: Value, operands: list[str]) -> str:
    """The C expression of an elementwise operation, given the expressions of its operands."""
    name, kind = x.operation, x.operands[0].dtype.kind
    end = "f" if x.operands[0].dtype == np.float32 else ""
    if name == "astype":
        return f"{operands[0]} != 0" if x.dtype.kind == "b" else f"({type_name(x.dtype)}){operands[0]}"
    if name in _WHOLE and kind != "f":
        return operands[0]
    if name == "abs":
        return f"fabs{end}({operands[0]})" if kind == "f" else f"({operands[0]} < 0 ? -{operands[0]} : {operands[0]})"
    if name == "signbit":
        return f"copysign{end}(({type_name(x.operands[0].dtype)})1, {operands[0]}) < 0"
    if name == "bitwise_invert":
        return f"!{operands[0]}" if kind == "b" else f"~{operands[0]}"
    if name in _SAME_NAME and kind == "f":
        return f"{name}{end}({', '.join(operands)})"
    if name in ("isnan", "isinf") and kind != "f":
        return "false"
    if name not in _EXPRESSIONS or (name in ("divide", "reciprocal") and kind != "f"):
        raise NotRecordable(f"there is no kernel for {name} of {x.operands[0].dtype}")
    found = _EXPRESSIONS[name].format(*operands, T=type_name(x.dtype))
    return found if x.dtype.kind in "fb" or name in ("where", "copy") else f"({type_name(x.dtype)})({found})"


def identity(x: Value) -> str:
    """The initial value of a reduction, as a C literal."""
    name, dtype = x.operation, x.dtype
    if name not in ("max", "min"):
        return {"all": "true", "any": "false"}.get(name) or literal(np.asarray(name == "prod", dtype), dtype)
    if dtype.kind == "b":
        return "false" if name == "max" else "true"
    if dtype.kind == "f":
        return literal(np.asarray(-np.inf if name == "max" else np.inf, dtype), dtype)
    limit = int(np.iinfo(dtype).min if name == "max" else np.iinfo(dtype).max)
    return f"({type_name(dtype)}){limit}" if abs(limit) < 1 << 62 else f"({type_name(dtype)})({limit + 1}LL - 1)"


def combined(x: Value, a: str, b: str) -> str:
    """The C statement that combines element b into the partial result a of a reduction."""
    kind = type_name(x.dtype)
    if x.operation in ("max", "min"):
        return f"{a} = {'greater_of' if x.operation == 'max' else 'smaller_of'}<{kind}>({a}, {b});"
    operator = {"sum": "+", "vecdot": "+", "prod": "*", "all": "&&", "any": "||"}[x.operation]
    return f"{a} = {a} {operator} ({b});"
