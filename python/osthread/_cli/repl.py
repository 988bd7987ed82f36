"""``osthread repl``: Lua line by line, in one state, and in a fresh one if that is lost (a C stack overflow).

Ctrl-C ends the running chunk, or drops what was typed; Ctrl-D leaves, and so does ``os.exit()``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import osthread
from osthread import ConversionError, LuaError, LuaState, LuaSyntaxError
from osthread._cli.outcome import exit_status, report
from osthread._cli.typed import MODULES, PRINT_RESULTS, Typed, compile_typed, is_incomplete

PROMPT, CONTINUATION = "> ", ">> "
HISTORY_LENGTH = 1000


def history_file() -> Path:
    """Where this platform keeps what a program remembers between its runs."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return folder / "osthread" / "history"


@contextlib.contextmanager
def line_editing() -> Iterator[None]:
    """Give `input` line editing and a history that outlives the process, where Python has readline."""
    try:
        import readline
    except ImportError:  # Windows: its console edits lines itself
        yield
        return
    file = history_file()
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    readline.set_history_length(HISTORY_LENGTH)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a home that can't be written to costs the history, nothing else
            file.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(file)


class Repl:
    """One conversation: chunks from standard input, run in turn in one Lua state.

    Prompts and line editing are for terminals. From a pipe it reads the same input silently; an error does
    not end it there either, but makes the exit status 1.
    """

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self.failed = False

    def run(self) -> int:
        """Read and run chunks until the end of the input; the exit status."""
        if not self.interactive:
            return self.converse()
        print(f"OSThread {osthread.__version__}, {osthread.features().luajit}")
        print("Ctrl-C ends the running chunk, Ctrl-D leaves.")
        with line_editing():
            return self.converse()

    def converse(self) -> int:
        """Read and run chunks until the end of the input; the exit status."""
        while True:
            with LuaState(modules=MODULES) as state:
                status = self.converse_in(state)
            if status is not None:
                return status
            print(
                "osthread: the Lua state and its globals are lost; going on with a fresh one", file=sys.stderr
            )

    def converse_in(self, state: LuaState) -> int | None:
        """As `converse`, in one state; None if what it ran has closed it."""
        while not state._closed():
            try:
                results = state.call(PRINT_RESULTS, *self.read_chunk(), True)
                if not isinstance(results, tuple):  # os.exit
                    return exit_status(results)
            except (LuaError, ConversionError) as error:
                report(error)
                self.failed = True
            except KeyboardInterrupt:
                if not self.interactive:
                    raise
                print()  # the next prompt begins a line, whatever was typed or printed before
            except EOFError:
                if self.interactive:
                    print()
                    return 0
                return int(self.failed)
        return None

    def read_chunk(self) -> Typed:
        """The next chunk, of as many lines as it takes. Raises EOFError, or LuaSyntaxError."""
        code = self.read_line(PROMPT)
        while True:
            try:
                return compile_typed(code, "stdin")
            except LuaSyntaxError as error:
                if not is_incomplete(error):
                    raise
                try:
                    code += "\n" + self.read_line(CONTINUATION)
                except EOFError:
                    raise error from None

    def read_line(self, prompt: str) -> str:
        """The next line without its end. Raises EOFError."""
        if self.interactive:
            return input(prompt)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.removesuffix("\n")
