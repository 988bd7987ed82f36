"""Stops of every kind at any moment, and nothing left: no thread, no descriptor, no memory, no child process.

OSTHREAD_STRESS=1 runs the long form (100,000 lives); OSTHREAD_SEED repeats a run's choices.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import osthread
import pytest
from osthread import LuaState, OSThread

LONG = os.environ.get("OSTHREAD_STRESS") == "1"
LIVES = 100_000 if LONG else 3_000
WORKERS = 6
PATIENCE = 60.0
SEED = int(os.environ.get("OSTHREAD_SEED", random.SystemRandom().randrange(2**32)))

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="what is left is counted in /proc")]
if LONG:
    pytestmark.append(pytest.mark.timeout(0))

BOMB = "(('a'):rep(40)):find(('.-'):rep(20) .. 'b')"
CODES = [
    "return 42",
    "error('mine')",
    "while true do end",
    "jit.off() while true do end",
    "require('osthread').sleep(1e9)",
    "while true do pcall(function() while true do end end) end",
    "coroutine.wrap(function() while true do end end)()",
    "local t = {} while true do t[#t + 1] = {} if #t > 1e4 then t = {} end end",
    "while true do local s = ('x'):rep(1e6) end",
    "while true do f() end",
    "while true do pcall(f, {1, {2}, f}) end",
    f"return {BOMB}",
    "getmetatable(newproxy(true)).__gc = function() while true do end end collectgarbage()",
    "getmetatable(newproxy(true)).__gc = function() while true do local s = ('x'):rep(1e5) end end",
    "local function f() return coroutine.wrap(f)() end f()",
    "files = {io.tmpfile(), io.open('/dev/null'), io.popen('exec sleep 1000')} while true do end",
    "require('ffi').cast('int (*)(int)', function(x) return x end) while true do end",
    "local ffi = require 'ffi' ffi.cdef 'int usleep(unsigned);' while true do ffi.C.usleep(10) end",
    "debug.sethook(function() end, '', 1) while true do end",
]


class Left(NamedTuple):
    """What a process has that lives may leave over."""

    threads: int
    descriptors: int
    children: int
    mappings: int
    kibibytes: int


def count() -> Left:
    tasks = 0
    children = ""
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            tasks += (task / "comm").read_text().strip() not in ("osthread-dog", "osthread-notify")
            children += (task / "children").read_text()
    return Left(
        tasks,
        len(os.listdir("/proc/self/fd")),
        len(children.split()),
        len(Path("/proc/self/maps").read_text().splitlines()),
        int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024,
    )


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compares what there is when some lives are over (what comes once has come then) with the test's end."""
    monkeypatch.setattr(sys, "unraisablehook", lambda report: None)
    print(f"OSTHREAD_SEED={SEED}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        live(random.Random(SEED), LIVES // 3)
        alone = Left(threading.active_count(), len(os.listdir("/proc/self/fd")), 0, 0, 0)
        before = settle(alone)
        yield
        now = settle(before)
    assert now[:3] == before[:3], f"{now}, before {before}"
    assert now.mappings < before.mappings + 50, f"{now}, before {before}"
    assert now.kibibytes < before.kibibytes + 16 * 1024, f"{now}, before {before}"


def settle(expected: Left) -> Left:
    """What there is once the last instructions of native threads are over."""
    gc.collect()
    patience = time.monotonic() + 30
    while (now := count())[:3] != expected[:3] and time.monotonic() < patience:
        time.sleep(0.01)
    return now


def stop(thread: OSThread, chance: random.Random) -> None:
    """One way or another, or two."""
    for _ in range(chance.choice((1, 1, 2))):
        way = chance.randrange(6)
        if way == 0:
            thread.request_stop()
        elif way == 1:
            thread.interrupt()
        elif way == 2:
            thread.kill()
        elif way == 3:
            thread.pause()
        elif way == 4:
            thread.resume()
        else:
            thread.terminate()


def live(chance: random.Random, lives: int) -> Counter[str]:
    """Lives one after the other, each ended at a random moment."""
    ends: Counter[str] = Counter()
    for _ in range(lives):
        options = {"time_limit": chance.random() / 50} if chance.random() < 0.2 else {}
        code = chance.choice(CODES)
        thread = OSThread(
            code, grace=0.002, globals={"f": lambda *_: None}, suspended=chance.random() < 0.05, **options
        )
        if thread.status == "suspended" and chance.random() < 0.5:
            thread.start()
        if chance.random() < 0.5:
            time.sleep(chance.expovariate(1 / 0.001))
        stop(thread, chance)
        if chance.random() < 0.9:
            status = thread.terminate()
            assert status != "abandoned", code
            ends[status] += 1
            thread.exception()
        del thread  # one in ten runs on: it is terminated when it is dropped
    return ends


def test_lives_in_several_python_threads() -> None:
    ends: Counter[str] = Counter()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            ends.update(live(random.Random(f"{SEED} {number}"), LIVES // WORKERS))
        except BaseException as failure:
            failures.append(failure)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures
    assert set(ends) == {"finished", "failed", "stopped", "killed"}


def test_a_state_that_was_interrupted_ten_thousand_times_stays_interruptible() -> None:
    with LuaState(grace=0.0, globals={"f": lambda: None}) as state:
        ending = threading.Event()

        def interrupt() -> None:
            while not ending.is_set():
                state.interrupt()
                time.sleep(0)

        other = threading.Thread(target=interrupt)
        other.start()
        stopped = 0
        try:
            while stopped < (50_000 if LONG else 10_000):
                try:
                    state.execute(
                        "local t = {} while true do t[#t % 100 + 1] = {} if #t > 99 then f() end end"
                    )
                except osthread.Stopped:
                    stopped += 1
        finally:
            ending.set()
            other.join()
        assert state.eval("6 * 7") == 42


def test_states_that_are_killed_at_any_moment() -> None:
    chance = random.Random(SEED)
    for _ in range(LIVES // 10):
        state = LuaState(grace=0.002, time_limit=0.02, globals={"f": lambda *_: None})
        killer = threading.Timer(chance.expovariate(1 / 0.001), state.kill)
        killer.start()
        with suppress(osthread.LuaError, RuntimeError):
            for _ in range(3):
                state.execute(chance.choice(CODES))
        killer.join()
        with suppress(osthread.LuaError, RuntimeError):
            state.close()
