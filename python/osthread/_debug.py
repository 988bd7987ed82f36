"""OSTHREAD_DEBUG=1: a Ctrl-C that ends a program which hangs says first who waits for what."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from ._thread import OSThread, enumerate

__all__ = ["enabled", "interrupted", "on_uncaught", "table"]

_HEADINGS = ("thread", "status", "waits for", "seconds", "at")
_shown = "_osthread_shown"


def enabled() -> bool:
    """Whether the environment asks for it."""
    return os.environ.get("OSTHREAD_DEBUG") == "1"


def table() -> str:
    """A line for each thread that is alive: its status, what it waits for and since when, and where."""
    rows = [_HEADINGS, *map(_row, enumerate())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(thread: OSThread) -> tuple[str, str, str, str, str]:
    now = thread.statistics()
    waits = (now.waiting_for or "", f"{now.waiting_seconds:.1f}" if now.waiting_for else "")
    frames = thread._stack(0.1)  # nothing: it is in a C function or a Python callable
    at = next((f"{frame.source}:{frame.line}" for frame in frames or () if frame.line > 0), "")
    return (thread.name, thread.status, *waits, at)


def interrupted(exception: BaseException) -> None:
    """Print the table to stderr, once for each KeyboardInterrupt."""
    if isinstance(exception, KeyboardInterrupt) and not hasattr(exception, _shown):
        setattr(exception, _shown, True)
        print(table(), file=sys.stderr, flush=True)


def on_uncaught(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
    """A ``sys.excepthook`` for one that came while none of our waits stood."""
    interrupted(value)
    sys.__excepthook__(kind, value, trace)
