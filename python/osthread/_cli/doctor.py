"""``osthread doctor``: what this build can do. Each line is a check, run now; none takes long or hangs."""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import osthread
from osthread import LuaMemoryError, LuaTimeout, OSThread

PATIENCE = 5.0  # seconds for what takes milliseconds


class Unavailable(Exception):
    """This build, or this platform, does not have it and does not claim to: no failure."""


Check = Callable[[], str]
CHECKS: list[tuple[str, Check]] = []


def expect(condition: bool, otherwise: str) -> None:
    """As assert, but not switched off by `python -O`."""
    if not condition:
        raise AssertionError(otherwise)


def check(what: str) -> Callable[[Check], Check]:
    """Put a function on the list: it returns what to add to `what`, and raises if that is not true."""

    def add(function: Check) -> Check:
        CHECKS.append((what, function))
        return function

    return add


def stopped(code: str, stop: Callable[[OSThread], bool], status: str) -> str:
    """Start `code`, which never ends and calls ready() first; stop it. How long that took."""
    ready = threading.Event()
    with OSThread(code, globals={"ready": ready.set}, on_exit="terminate") as thread:
        expect(ready.wait(PATIENCE), "the thread did not start")
        start = time.perf_counter()
        stop(thread)
        expect(thread.join(PATIENCE), f"still running after {PATIENCE:.0f} s")
        elapsed = time.perf_counter() - start
        expect(thread.status == status, f"status {thread.status}")
    return f"{elapsed * 1e6:.0f} us"


def interrupted(code: str) -> str:
    """How long an interrupt took to end `code`."""
    return stopped(code, OSThread.interrupt, "stopped")


@check("a thread runs Lua and gives its result")
def _() -> str:
    start = time.perf_counter()
    answer = OSThread("return ... * 7", 6).result(PATIENCE)
    expect(answer == 42, f"the result is {answer}")
    return f"{(time.perf_counter() - start) * 1e6:.0f} us"


@check("Lua runs while Python holds the GIL")
def _() -> str:
    with OSThread("while true do end", time_limit=PATIENCE, on_exit="terminate") as thread:
        start, cpu_start = time.perf_counter(), thread.statistics().cpu_seconds
        sum(range(10_000_000))  # one call in C: it never lets go of the GIL
        wall, cpu = time.perf_counter() - start, thread.statistics().cpu_seconds - cpu_start
        thread.interrupt()
    expect(cpu > 0.1 * wall, f"{cpu:.3f} s of work in {wall:.3f} s")
    return f"{cpu / wall:.0%} of a core"


@check("LuaJIT compiles")
def _() -> str:
    on, trace = osthread.run(
        "for i = 1, 1e5 do end return jit.status(), require('jit.util').traceinfo(1) ~= nil"
    )
    expect(on and trace, "no machine code was made")
    return platform.machine()


@check("an endless compiled loop is interrupted")
def _() -> str:
    if not osthread.features().interrupts_compiled_loops:
        raise Unavailable("this build uses a LuaJIT that was built without LUAJIT_ENABLE_CHECKHOOK")
    return interrupted("ready() while true do end")


@check("a sleeping thread is interrupted")
def _() -> str:
    return interrupted("ready() require('osthread').sleep(1e9)")


@check("a blocking system call is interrupted")
def _() -> str:
    if os.name != "posix" or not osthread.features().signal:
        raise Unavailable("that takes a POSIX signal")
    return interrupted(
        "local ffi = require 'ffi' ffi.cdef 'int poll(void *, unsigned long, int);'"
        "ready() while true do ffi.C.poll(nil, 0, -1) end"
    )


@check("a pattern match without end is killed")
def _() -> str:
    if not osthread.features().kill:
        raise Unavailable("this build has no kill()")
    return stopped("ready() return (('a'):rep(40)):find(('.-'):rep(20) .. 'b')", OSThread.kill, "killed")


@check("time_limit ends a thread")
def _() -> str:
    thread = OSThread("require('osthread').sleep(1e9)", time_limit=0.02)
    expect(isinstance(thread.exception(PATIENCE), LuaTimeout), f"{thread.exception()!r}")
    return f"20 ms took {thread.statistics().wall_seconds * 1e3:.1f} ms"


@check("memory_limit ends a thread")
def _() -> str:
    thread = OSThread("local s = 'x' while true do s = s .. s end", memory_limit=8 * 2**20)
    expect(isinstance(thread.exception(PATIENCE), LuaMemoryError), f"{thread.exception()!r}")
    return f"8 MiB, at most {thread.statistics().peak_memory / 2**20:.1f} MiB were in use"


@check("Lua calls Python")
def _() -> str:
    answer = osthread.run("local f = ... return f(6)", lambda n: n * 7)
    expect(answer == 42, f"the result is {answer}")
    return ""


@check("Ctrl-C ends what run() waits for")
def _() -> str:
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        raise Unavailable("only the main thread of a POSIX process can try it on itself")
    try:
        osthread.run("local press = ... press() while true do end", press_ctrl_c, time_limit=PATIENCE)
    except KeyboardInterrupt:
        return ""
    raise AssertionError("nothing was raised")


def press_ctrl_c() -> None:
    """What the terminal does."""
    os.kill(os.getpid(), signal.SIGINT)


@check("C++ programs find headers and library")
def _() -> str:
    folder = Path(osthread.get_include()).parent
    for file in ("include/osthread/osthread.hpp", "lib/cmake/osthread/osthread-config.cmake"):
        expect((folder / file).exists(), f"{folder / file} is missing")
    return str(folder)


def examine() -> int:
    """Run every check and print a line for each; the exit status, 1 if one failed."""
    features = osthread.features()
    print(f"OSThread {osthread.__version__}, {features.luajit}, Python {platform.python_version()}")
    print(f"{platform.platform()}, signal {features.signal or 'none'}")
    failed = False
    for what, function in CHECKS:
        try:
            detail = function()
        except Unavailable as reason:
            word, detail = "no", str(reason)
        except Exception as error:  # whatever it is, it is the answer
            word, detail, failed = "FAILED", str(error) or type(error).__name__, True
        else:
            word = "ok"
        print(f"{word:6} {what}" + f": {detail}" * bool(detail))
        sys.stdout.flush()
    return int(failed)
