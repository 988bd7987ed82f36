"""What NumPy's dtypes are in C: names of simple ones, declarations of structured ones, as LuaJIT's FFI takes them."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["declaration_of", "name_of"]

_C_TYPES = {
    "bool": "bool",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": "float",
    "float64": "double",
    "complex64": "complex float",
    "complex128": "complex double",
}

# What can't name a field there: the keywords of C and of its common extensions.
_KEYWORDS = frozenset(
    [
        "asm",
        "auto",
        "bool",
        "break",
        "case",
        "char",
        "complex",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "int8_t",
        "int16_t",
        "int32_t",
        "int64_t",
        "uint8_t",
        "uint16_t",
        "uint32_t",
        "uint64_t",
        "intptr_t",
        "uintptr_t",
        "ptrdiff_t",
        "size_t",
        "wchar_t",
        "va_list",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "typeof",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
    ]
)


def name_of(dtype: Any) -> str:
    """The name of a simple dtype: ``"float64"``, also of ``float``, ``np.float64`` or ``np.dtype("f8")``."""
    if isinstance(dtype, str) and (dtype in _C_TYPES or dtype == "float16"):
        return dtype
    try:
        import numpy as np
    except ImportError:
        return str(dtype)  # the core names those there are
    made = np.dtype(dtype)
    if made.fields is not None or made.subdtype is not None:
        raise TypeError(
            "a SharedBuffer with structured elements is made of an array: SharedBuffer(np.zeros(shape, dtype))"
        )
    if not made.isnative:
        raise TypeError(f"dtype {made} is not in this machine's byte order")
    return str(made.name)


def declaration_of(dtype: Any, readonly: bool) -> str:
    """The C declaration of a structured dtype, with its padding as fields of its own.

    ``readonly``: each field says so, as the FFI forgets of a structure that it is, in what lies in its fields.
    """
    return _declare(dtype, "dtype", "const " if readonly else "")


def _declare(dtype: Any, place: str, const: str) -> str:
    parts: list[str] = []
    end = 0
    for name in sorted(dtype.names, key=lambda name: dtype.fields[name][1]):
        field, offset = dtype.fields[name][:2]
        where = f"{place}[{name!r}]"
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in _KEYWORDS or name.startswith("__"):
            raise TypeError(f"{where}: this can't be the name of a field in C; rename it")
        if offset < end:
            raise TypeError(f"{where}: fields that overlap can't be shared with Lua")
        if field.itemsize == 0:
            raise TypeError(f"{where}: a field of no size has no form in C")
        parts += _padding(offset - end, len(parts))
        base, shape = field.subdtype or (field, ())
        if base.kind == "S":
            shape += (base.itemsize,)
        parts.append(f"{const}{_c_type(base, where, const)} {name}{''.join(f'[{n}]' for n in shape)};")
        end = offset + field.itemsize
    parts += _padding(dtype.itemsize - end, len(parts))
    return f"struct __attribute__((packed)) {{ {' '.join(parts)} }}"


def _padding(size: int, number: int) -> list[str]:
    return [f"uint8_t __padding{number}[{size}];"] if size else []


def _c_type(dtype: Any, place: str, const: str) -> str:
    if dtype.fields is not None:
        return _declare(dtype, place, const)
    if not dtype.isnative:
        raise TypeError(
            f"{place}: dtype {dtype} is not in this machine's byte order; pass a.astype() of one that is"
        )
    if dtype.kind == "S":
        return "char"
    if dtype.kind in "mM":
        return "int64_t"
    if dtype.name not in _C_TYPES:
        raise TypeError(f"{place}: dtype {dtype} can't be shared with Lua")
    return _C_TYPES[dtype.name]
