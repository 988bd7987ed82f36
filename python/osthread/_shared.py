"""What Python and Lua share by handle: one Python object for each, whichever side made it."""

from __future__ import annotations

import weakref
from typing import Any, Protocol

from . import _core

__all__ = ["class_of_shared", "forget_shared", "note_shared", "shared"]


class _Adopting(Protocol):
    def _adopt(self, handle: _core.Handle, encoding: str | None) -> Any: ...


_objects: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_classes: dict[str, _Adopting] = {}


def class_of_shared(name: str, kind: _Adopting) -> None:
    """From here on ``kind`` is the class of what the core calls ``name``."""
    _classes[name] = kind


def note_shared(key: int, made: Any) -> None:
    """``made`` is the object of the core's ``key``, as long as it lives."""
    _objects[key] = made


def forget_shared(key: int, made: Any) -> None:
    """``made`` is that no more: whoever has the core's object next makes a new one of it."""
    if _objects.get(key) is made:
        del _objects[key]


def shared(name: str, key: int, handle: _core.Handle, encoding: str | None) -> Any:
    """The object of that key."""
    made = _objects.get(key)
    if made is None:
        made = _objects[key] = _classes[name]._adopt(handle, encoding)
    return made
