"""What this build can do, and where its C++ half lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import _core

__all__ = ["Features", "features", "get_cmake_dir", "get_include", "set_signal"]


@dataclass(frozen=True)
class Features:
    """What this build can do."""

    luajit: str
    """The version of the LuaJIT inside."""
    interrupts_compiled_loops: bool
    """Whether ``interrupt()`` ends loops that LuaJIT has compiled."""
    kill: bool
    """Whether ``kill()`` can be had."""
    signal: int
    """The number of the signal that reaches a thread; 0: none."""
    platform: str
    """``"linux"``, ``"macos"`` or ``"windows"``."""


def features() -> Features:
    """What this build can do."""
    return Features(**_core.features())


def set_signal(number: int) -> None:
    """Chooses the signal that reaches running threads, before the first one; ``RuntimeError`` after it.

    ``SIGURG`` by default, or what ``OSTHREAD_SIGNAL`` in the environment says. 0: none. Then code that neither
    allocates nor waits can't be interrupted, and nothing can be killed; :func:`features` says so. ``ValueError`` for
    a signal that can't be had; where ``OSTHREAD_SIGNAL`` names such a one, the first OSThread or LuaState raises it.
    """
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"a signal is a number, not {type(number).__name__}")
    _core.set_signal(number)


def get_include() -> str:
    """The folder with the C++ headers: ``#include <osthread/osthread.hpp>``."""
    return str(Path(__file__).parent / "include")


def get_cmake_dir() -> str:
    """The folder with the CMake package: ``find_package(osthread)`` with ``osthread_DIR`` set to it."""
    return str(Path(__file__).parent / "lib" / "cmake" / "osthread")
