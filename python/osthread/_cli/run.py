"""``osthread run``: a Lua file in one thread, or in several at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from osthread import ConversionError, LuaError, LuaSyntaxError, OSThread, compile
from osthread._cli.arguments import UsageError
from osthread._cli.outcome import OUR_CHUNK, exit_status, report

# Drops the script's results, as the `lua` program does: what is a result nevertheless came from os.exit.
RUN_SCRIPT = compile("function(main, ...) main(...) end", OUR_CHUNK)


def read_source(file: str) -> bytes:
    """The bytes of `file`; of standard input if it is ``-``."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from error


def run_file(
    file: str,
    args: Sequence[str],
    *,
    time_limit: float | None = None,
    memory_limit: int | None = None,
    threads: int = 1,
) -> int:
    """Run the file in `threads` threads and wait for all of them.

    Returns the exit status: of the first thread that did not end well, or 0. Ctrl-C ends the threads and
    comes out as KeyboardInterrupt.
    """
    source = read_source(file)
    try:
        script = compile(source, "stdin" if file == "-" else file)
    except LuaSyntaxError as error:
        return report(error)
    arguments = [os.fsencode(arg) for arg in args]  # the very bytes of the command line, UTF-8 or not
    arg: dict[int | str, bytes | int] = {0: os.fsencode(file), "threads": threads}
    arg.update(enumerate(arguments, 1))
    with ExitStack() as stack:
        running = []
        for number in range(1, threads + 1):
            try:
                thread = OSThread(
                    RUN_SCRIPT,
                    script,
                    *arguments,
                    name=Path(file).name if threads == 1 else f"{Path(file).name}-{number}",
                    globals={"arg": arg | {"thread": number}},
                    time_limit=time_limit,
                    memory_limit=memory_limit,
                )
            except ValueError as error:  # a limit that is too small to run anything
                raise UsageError(str(error)) from error
            running.append(stack.enter_context(thread))
        statuses = [wait_for(thread) for thread in running]
    return next((status for status in statuses if status), 0)


def wait_for(thread: OSThread) -> int:
    """The exit status of a thread that runs RUN_SCRIPT; its error is reported."""
    try:
        results = thread.results()
    except (LuaError, ConversionError) as error:
        return report(error)
    return exit_status(*results) if results else 0
