"""Gives the core what it makes objects of and calls, as nothing in it may import from here."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import sys

from . import _core, errors
from ._async_wait import told
from ._debug import enabled, interrupted, on_uncaught
from ._function import LuaFunction
from ._shared import shared
from ._thread import thread_of

__all__: list[str] = []

_core._hand_over(
    errors=errors,
    function=LuaFunction,
    thread=thread_of,
    shared=shared,
    told=told,
    getsignal=_signal.getsignal,
    default_int_handler=_signal.default_int_handler,
    interrupted=interrupted if enabled() else None,
)

if enabled() and sys.excepthook is sys.__excepthook__:
    sys.excepthook = on_uncaught
