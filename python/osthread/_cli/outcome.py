"""How a command ends: what it says of an error on stderr, and the exit status."""

from __future__ import annotations

import math
import sys

from osthread import ConversionError, LuaError, LuaTimeout

OUR_CHUNK = "osthread"  # the chunk name of our own Lua code, which no user wants to see in a traceback


def report(error: LuaError | ConversionError) -> int:
    """Print the error, with its Lua traceback, to stderr; its exit status."""
    lines = [f"osthread: {error.message if isinstance(error, LuaError) else error}"]
    if isinstance(error, LuaError):
        frames = [frame for frame in error.frames if frame.source != OUR_CHUNK]
        lines += ["stack traceback:"] if frames else []
        for source, line, name in frames:
            lines.append(f"\t{source}:{line}: in {name or '?'}" if line else f"\t{source}: in {name or '?'}")
    print("\n".join(lines), file=sys.stderr)
    return 124 if isinstance(error, LuaTimeout) else 1


def exit_status(value: object) -> int:
    """The exit status that ``os.exit(value)`` asks for, as the ``lua`` program has it."""
    if value is None or value is True:
        return 0
    if isinstance(value, (int, float)) and value is not False:
        return int(value) & 0xFF if math.isfinite(value) else 1
    return 1
