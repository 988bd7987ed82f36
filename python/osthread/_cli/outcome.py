"""How a command ends: what it says of an error on stderr, and the exit status."""

from __future__ import annotations

import errno
import math
import os
import sys

from osthread import ConversionError, LuaError, LuaTimeout

OUR_CHUNK = "osthread"  # the chunk name of our own Lua code, which no user wants to see in a traceback


# What print and io.write raise when nobody reads standard output any more.
_NO_READER = f"standard output: {os.strerror(errno.EPIPE)}"


def report(error: LuaError | ConversionError) -> int:
    """Print the error, with its Lua traceback, to stderr; its exit status.

    Where nobody reads the output any more there is nothing to tell: that is a BrokenPipeError, for `main`.
    """
    if isinstance(error, LuaError) and error.message.endswith(_NO_READER):
        raise BrokenPipeError(errno.EPIPE, error.message)
    lines = [f"osthread: {error.message if isinstance(error, LuaError) else error}"]
    if isinstance(error, LuaError):
        frames = [frame for frame in error.frames if frame.source != OUR_CHUNK]
        lines += ["stack traceback:"] if frames else []
        for source, line, name in frames:
            lines.append(f"\t{source}:{line}: in {name or '?'}" if line else f"\t{source}: in {name or '?'}")
    print("\n".join(lines), file=sys.stderr)
    return 124 if isinstance(error, LuaTimeout) else 1


def exit_status(value: object) -> int:
    """The exit status that ``os.exit(value)`` asks for, as the ``lua`` program has it.

    The system takes a number's low byte alone; where that is 0 and the number is not, it is 1: no success.
    """
    if value is None or value is True:
        return 0
    if isinstance(value, (int, float)) and value is not False and math.isfinite(value):
        number = int(value)
        return number & 0xFF or int(number != 0)
    return 1
