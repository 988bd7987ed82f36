"""What tests share: no OSThread outlives its test; callables that force an order; scripts in a process."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import osthread
import pytest

PATIENCE = 30.0  # seconds after which a thing that should happen at once is held not to happen
TASKS = Path("/proc/self/task")

# A run in the background of a shell is started with Ctrl-C ignored; the tests send some, to themselves and to others.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _native_threads() -> dict[int, str]:
    """The process's threads that are not Python's, with their names; empty where the system does not tell."""
    if not TASKS.exists():
        return {}
    known = {thread.native_id for thread in threading.enumerate()}
    names = {}
    for task in TASKS.iterdir():
        with suppress(OSError):  # it has ended
            names[int(task.name)] = (task / "comm").read_text().strip()
    own = names[os.getpid()]  # which threads that other libraries make inherit
    ours = (own, "osthread-dog", "osthread-notify")
    return {task: name for task, name in names.items() if task not in known and name not in ours}


def _threads_left(before: dict[int, str]) -> list[str]:
    objects = [repr(thread) for thread in osthread.enumerate()]
    natives = [f"{name} ({task})" for task, name in _native_threads().items() if task not in before]
    return objects + natives


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Prove that the test has left no OSThread alive: neither an object nor a native thread."""
    before = _native_threads()
    yield
    gc.collect()
    patience = time.monotonic() + 10
    while (left := _threads_left(before)) and time.monotonic() < patience:
        time.sleep(0.001)  # the last instructions of native threads
    for thread in osthread.enumerate():  # the next test shall not pay for it
        thread.interrupt()
    assert not left, f"left alive: {', '.join(left)}"


class Started:
    """A callable for Lua: once it was called, the test knows that the chunk has come so far."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self, *_: object) -> None:
        self._event.set()

    def wait(self) -> None:
        """Return when Lua has called it."""
        assert self._event.wait(PATIENCE), "the chunk did not come so far"


class Gate:
    """A callable for Lua that holds the chunk in Python until the test lets it go on."""

    def __init__(self) -> None:
        self.entered = Started()
        self._open = threading.Event()

    def __call__(self, *_: object) -> None:
        self.entered()
        assert self._open.wait(PATIENCE), "the test did not open the gate"

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._open.set()


@pytest.fixture
def started() -> Started:
    """A callable that says when Lua has called it."""
    return Started()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A callable that holds Lua in Python; opened at the test's end at the latest."""
    gate = Gate()
    yield gate
    gate.open()


class Finished(NamedTuple):
    """How a process ended."""

    returncode: int
    stdout: str
    stderr: str


class Script:
    """A Python program in a process group of its own, which is killed when it takes too long."""

    def __init__(self, source: str, *options: str) -> None:
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  end() closes it
        self.process = subprocess.Popen(
            [sys.executable, *options, "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._said = ""
        self._late = threading.Event()
        self._timer = threading.Timer(PATIENCE, self._give_up)
        self._timer.start()

    def _give_up(self) -> None:
        self._late.set()
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait_for(self, line: str) -> None:
        """Return when the program has printed this line."""
        assert self.process.stdout
        while text := self.process.stdout.readline():
            self._said += text
            if text.rstrip("\n") == line:
                return
        pytest.fail(f"it ended without saying {line!r}: {self.finish()}")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> Finished:
        """Its end, which must come in time."""
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self._said += self.process.stdout.read()
        returncode = self.process.wait()
        self._timer.cancel()
        self._stderr.seek(0)
        finished = Finished(returncode, self._said, self._stderr.read())
        assert not self._late.is_set(), f"it did not end within {PATIENCE} s: {finished}"
        return finished

    def end(self) -> None:
        """Leave nothing behind."""
        self._timer.cancel()
        self._timer.join()
        self._kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._stderr):
            with suppress(BrokenPipeError):
                stream.close()


@pytest.fixture
def start_script() -> Iterator[Callable[..., Script]]:
    """Start a program, to be spoken to and `finish`ed; further arguments are the interpreter's options."""
    scripts: list[Script] = []

    def start(source: str, *options: str) -> Script:
        scripts.append(Script(source, *options))
        return scripts[-1]

    yield start
    for script in scripts:
        script.end()


@pytest.fixture
def run_script(start_script: Callable[..., Script]) -> Callable[..., Finished]:
    """Run a program to its end, within a deadline."""

    def run(source: str, *options: str) -> Finished:
        return start_script(source, *options).finish()

    return run


@pytest.fixture
def pool() -> Iterator[osthread.LuaPool]:
    """A pool of two workers, which ends what does not answer soon."""
    with osthread.LuaPool(2, grace=0.05) as pool:
        yield pool
