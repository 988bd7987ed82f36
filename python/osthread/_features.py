"""What this build can do, and where its C++ half lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import _core

__all__ = ["Features", "features", "get_cmake_dir", "get_include"]


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


def get_include() -> str:
    """The folder with the C++ headers: ``#include <osthread/osthread.hpp>``."""
    return str(Path(__file__).parent / "include")


def get_cmake_dir() -> str:
    """The folder with the CMake package: ``find_package(osthread)`` with ``osthread_DIR`` set to it."""
    return str(Path(__file__).parent / "lib" / "cmake" / "osthread")
