"""Lua as people type it: an expression, ``= expression``, or a chunk, whose results they want to read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from osthread import LuaFunction, LuaSyntaxError, compile
from osthread._cli.outcome import OUR_CHUNK

# The state that runs PRINT_RESULTS needs these: its option `modules`.
MODULES = {"osthread.show": Path(__file__).with_name("show.lua").read_text(encoding="utf-8")}

# Called with a Typed's fields; `quote`: whether a string that is a result is printed as Lua source.
# It returns two values, while os.exit, which ends the chunk and this with it, leaves one at most.
PRINT_RESULTS = compile(
    """function(main, first, quote)
  local show = require "osthread.show"
  local function print_all(...)
    local texts = {...}
    for i = 1, select("#", ...) do
      local value = texts[i]
      texts[i] = type(value) == "string" and not quote and value or show(value)
    end
    if #texts > 0 then print(table.concat(texts, "\\t")) end
  end
  print_all(select(first, main()))
  return true, true
end""",
    OUR_CHUNK,
)


class Typed(NamedTuple):
    """What was typed, compiled."""

    chunk: LuaFunction
    first: int
    """Which of its results is the first that was asked for."""


def compile_typed(code: str, name: str) -> Typed:
    """Compile an expression, ``= expression`` or a chunk; `name` is what tracebacks call it.

    Raises `LuaSyntaxError`; see `is_incomplete`.
    """
    explicit = code.lstrip().startswith("=")
    expression = code.replace("=", "", 1) if explicit else code
    try:
        # Not `return f()`: that is a tail call, and an error in f would be blamed on who called this chunk.
        return Typed(compile(_source(f"return nil, {expression}"), name), 2)
    except LuaSyntaxError as no_expression:
        if explicit:
            raise
        try:
            return Typed(compile(_source(code), name), 1)
        except LuaSyntaxError as no_chunk:
            # As a chunk `1 +` fails at the 1, which tells nobody what is wrong with it.
            raise (no_expression if is_incomplete(no_expression) else no_chunk) from None


def _source(code: str) -> bytes:
    """The very bytes that were typed; ended where a comment would go on."""
    return os.fsencode(code) + (b"\n" if "--" in code else b"")


def is_incomplete(error: LuaSyntaxError) -> bool:
    """Whether more code could mend it: what surprised Lua was the end."""
    return error.message.endswith("near '<eof>'")
