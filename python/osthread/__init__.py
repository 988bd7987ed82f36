"""Lua on real OS threads.

An :class:`OSThread` is a native thread with a Lua state (LuaJIT) of its own: it starts at once, runs at full speed
beside the GIL, and always ends.

>>> import osthread
>>> from osthread import OSThread
>>> with OSThread("return ... * 2", 21) as t:
...     pass
>>> t.result()
42

The house, from the top: this page names what is public; ``_thread``, ``_state``, ``_pool``, ``_channel``, ``_sync``,
``_shared_table`` and ``_shared_buffer`` are what people hold, ``_exit`` the program's end; ``_function``,
``_decorator``, ``_future``, ``_options``, ``_async_wait``, ``_progress``, ``_shared``, ``_dtype``, ``_checks``,
``_debug``, ``_lupa_guard`` and ``errors`` serve them; ``_core`` is the C++ below, which ``_hand_over`` gives what it
makes objects of.
"""

from . import _exit as _exit
from . import _hand_over as _hand_over
from . import _lupa_guard as _lupa_guard
from ._channel import Channel, ChannelStatistics, select, select_async
from ._core import __version__
from ._decorator import lua
from ._features import Features, features, get_cmake_dir, get_include, set_signal
from ._function import LuaFunction, compile
from ._options import StateOptions, ThreadOptions
from ._pool import LuaPool, PoolStatistics
from ._shared_buffer import SharedBuffer
from ._shared_table import SharedTable
from ._state import LuaState, StateStatistics
from ._sync import Barrier, Event, Lock, Semaphore
from ._thread import OSThread, Status, ThreadStatistics, current, enumerate, run
from .errors import (
    Abandoned,
    BrokenLuaPool,
    ChannelClosed,
    ConversionError,
    Frame,
    Killed,
    LuaError,
    LuaMemoryError,
    LuaSyntaxError,
    LuaTimeout,
    Stopped,
    ThreadAbandonedWarning,
    WouldBlock,
)

__all__ = [
    "Abandoned",
    "Barrier",
    "BrokenLuaPool",
    "Channel",
    "ChannelClosed",
    "ChannelStatistics",
    "ConversionError",
    "Event",
    "Features",
    "Frame",
    "Killed",
    "Lock",
    "LuaError",
    "LuaFunction",
    "LuaMemoryError",
    "LuaPool",
    "LuaState",
    "LuaSyntaxError",
    "LuaTimeout",
    "OSThread",
    "PoolStatistics",
    "Semaphore",
    "SharedBuffer",
    "SharedTable",
    "StateOptions",
    "StateStatistics",
    "Status",
    "Stopped",
    "ThreadAbandonedWarning",
    "ThreadOptions",
    "ThreadStatistics",
    "WouldBlock",
    "__version__",
    "compile",
    "current",
    "enumerate",
    "features",
    "get_cmake_dir",
    "get_include",
    "lua",
    "run",
    "select",
    "select_async",
    "set_signal",
]
