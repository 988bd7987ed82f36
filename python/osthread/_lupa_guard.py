"""Keeps a later ``import lupa`` from ending the process.

C modules (``require "cjson"``) take their lua_* functions from what is visible in the process, so with the first of
them this library's become so; a Lua that is loaded after that, lupa's, would bind to them, and panic. One that is
there already has its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from . import _core

__all__: list[str] = []


class _Guard(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] == "lupa" and _core.symbols_promoted():
            raise ImportError(
                f"{name} can't be imported any more: Lua code of osthread has loaded a C module, so lupa's Lua would "
                "take its functions from osthread's LuaJIT and end the process; import lupa before that",
                name=name,
            )
        return None


sys.meta_path.insert(0, _Guard())
