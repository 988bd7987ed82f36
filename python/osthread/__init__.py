"""Lua on real OS threads.

An :class:`OSThread` is a native thread with a Lua state (LuaJIT) of its own: it starts at once, runs at full speed
beside the GIL, and always ends.

>>> import osthread
>>> from osthread import OSThread
>>> with OSThread("return ... * 2", 21) as t:
...     pass
>>> t.result()
42

The house, from the top: this page names what is public; ``_thread`` and ``_state`` are what people hold, ``_exit``
the program's end; ``_function``, ``_future``, ``_options`` and ``errors`` serve them; ``_core`` is the C++ below.
"""

from . import _exit as _exit
from ._core import __version__
from ._features import Features, features, get_cmake_dir, get_include, set_signal
from ._function import LuaFunction, compile
from ._options import StateOptions, ThreadOptions
from ._state import LuaState, StateStatistics
from ._thread import OSThread, Status, ThreadStatistics, current, enumerate, run
from .errors import (
    Abandoned,
    ConversionError,
    Frame,
    Killed,
    LuaError,
    LuaMemoryError,
    LuaSyntaxError,
    LuaTimeout,
    Stopped,
    ThreadAbandonedWarning,
)

__all__ = [
    "Abandoned",
    "ConversionError",
    "Features",
    "Frame",
    "Killed",
    "LuaError",
    "LuaFunction",
    "LuaMemoryError",
    "LuaState",
    "LuaSyntaxError",
    "LuaTimeout",
    "OSThread",
    "StateOptions",
    "StateStatistics",
    "Status",
    "Stopped",
    "ThreadAbandonedWarning",
    "ThreadOptions",
    "ThreadStatistics",
    "__version__",
    "compile",
    "current",
    "enumerate",
    "features",
    "get_cmake_dir",
    "get_include",
    "run",
    "set_signal",
]
