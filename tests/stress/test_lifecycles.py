"""Lives and deaths by the thousand: starts, stops and drops at random points, and what is left of them.

OSTHREAD_STRESS=1 runs the long form; OSTHREAD_SEED repeats a run.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path

import osthread
import pytest
from osthread import OSThread

LONG = os.environ.get("OSTHREAD_STRESS") == "1"
PATIENCE = 60.0
SEED = int(os.environ.get("OSTHREAD_SEED", random.SystemRandom().randrange(2**32)))

if LONG:
    pytestmark = pytest.mark.timeout(0)

CODES = [
    "",
    "return 42",
    "for i = 1, 1e4 do end",
    "while true do end",
    "require('osthread').sleep(1e9)",
    "while true do pcall(function() while true do end end) end",
    "error('mine')",
    "while true do f() end",
    "local t = {} for i = 1, 1e4 do t[i] = {} end",
    "p = newproxy(true) getmetatable(p).__gc = function() for i = 1, 1e3 do end end",
    "coroutine.wrap(function() while true do end end)()",
    "local s = '' while true do s = s .. 'x' if #s > 1000 then s = '' end end",
    "-- a long chunk\n" + "local a = {1, 2, 3} a[1] = a[2] + a[3]\n" * 200 + "while true do end",
]
ENDS = {"finished", "failed", "stopped"}


foreign: set[int] = set()
"""Native threads of other libraries', made by one of ours, whose name they have (luv's pool, for one)."""


@pytest.fixture(autouse=True)
def seeded(record_property) -> random.Random:
    """The seed, in case a test fails."""
    foreign.update(tasks())
    print(f"OSTHREAD_SEED={SEED}")
    record_property("seed", SEED)
    return random.Random(SEED)


@pytest.fixture(autouse=True)
def no_thread_left():
    """No thread outlives its test."""
    yield
    gc.collect()
    assert osthread.enumerate() == []


def spin(microseconds: float) -> None:
    """Wait without sleeping: a moment, not a scheduler's slice."""
    end = time.perf_counter() + microseconds / 1e6
    while time.perf_counter() < end:
        pass


def test_interrupts_at_random_points_of_a_life(seeded) -> None:
    """While the thread comes up, runs, finalizes, closes, and after: each ends, in a way that there is."""
    seen = set()
    for number in range(20_000 if LONG else 1_000):
        code = seeded.choice(CODES)
        thread = OSThread(code, grace=0.001, globals={"f": int}, suspended=seeded.random() < 0.1)
        if thread.status == "suspended" and seeded.random() < 0.9:
            thread.start()
        spin(seeded.expovariate(1 / 100))
        had_work = thread.interrupt()
        if thread.status == "suspended":
            thread.start()
        assert thread.join(PATIENCE), (number, code, thread.stack())
        assert thread.status in ENDS, (number, code)
        if not had_work:
            assert thread.status in ("finished", "failed"), (number, code)
        seen.add(thread.status)
        thread.exception()
    assert seen == ENDS


def test_time_limits_at_random_points_of_a_life(seeded) -> None:
    for number in range(2_000 if LONG else 200):
        code = seeded.choice(CODES)
        thread = OSThread(code, grace=0.001, globals={"f": int}, time_limit=seeded.expovariate(1 / 0.0005))
        assert thread.join(PATIENCE), (number, code, thread.stack())
        assert thread.status in ("finished", "failed"), (number, code)
        thread.exception()


def test_interrupts_of_a_state_at_random_points_of_its_calls(seeded) -> None:
    """Another thread asks at any moment: the call ends, and the next one works."""
    with osthread.LuaState(grace=0.001, globals={"f": int}) as state:
        ending = threading.Event()
        moments = random.Random(SEED)

        def interrupt():
            while not ending.is_set():
                spin(moments.expovariate(1 / 200))
                state.interrupt()

        other = threading.Thread(target=interrupt)
        other.start()
        try:
            for _ in range(5_000 if LONG else 300):
                with suppress(osthread.LuaError):
                    state.execute(seeded.choice(CODES))
        finally:
            ending.set()
            other.join()
        assert state.eval("6 * 7") == 42


def test_eight_python_threads_start_stop_and_drop_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each for itself and each with the others' threads; nothing is left, nothing is reported but stops."""
    reports = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: reports.append(args.exc_value))
    shared: list[OSThread | None] = [None] * 16
    failures = []
    deadline = time.monotonic() + (60 if LONG else 3)

    def live(number: int) -> None:
        choice = random.Random(SEED + number)
        try:
            while time.monotonic() < deadline:
                place = choice.randrange(len(shared))
                thread = shared[place]
                action = choice.randrange(9)
                if action <= 1 or thread is None:
                    suspended = choice.random() < 0.1
                    shared[place] = OSThread(
                        choice.choice(CODES), grace=0.001, globals={"f": int}, suspended=suspended
                    )
                elif action == 2:
                    thread.interrupt()
                elif action == 3:
                    thread.request_stop()
                elif action == 4:
                    thread.terminate(0.001)
                elif action == 5:
                    shared[place] = None
                elif action == 6:
                    if thread.join(0.001) and thread.exception() is None:
                        thread.result()
                elif action == 7:
                    repr(thread), thread.statistics(), thread.is_alive()
                elif thread.status == "suspended":
                    with suppress(RuntimeError):  # another was faster
                        thread.start()
                del thread
                if choice.random() < 0.002:
                    gc.collect()
        except BaseException as error:
            failures.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        workers = [threading.Thread(target=live, args=(number,)) for number in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        shared.clear()
        gc.collect()
    assert failures == []
    patience = time.monotonic() + PATIENCE
    while any(task_names()) and time.monotonic() < patience:
        time.sleep(0.001)  # the last of those that were dropped
    assert list(task_names()) == []
    assert {type(error) for error in reports} <= {osthread.Stopped, osthread.Killed, osthread.LuaError}


def tasks() -> list[int]:
    """The native threads of this process."""
    path = Path("/proc/self/task")
    return [int(task.name) for task in path.iterdir()] if path.exists() else []


def task_names():
    """The names of native threads that are an OSThread's."""
    tasks = Path("/proc/self/task")
    for task in tasks.iterdir() if tasks.exists() else ():
        try:
            name = (task / "comm").read_text().strip()
        except OSError:
            continue
        if name.startswith("OSThread-") and int(task.name) not in foreign:
            yield name


def resident_kib() -> int:
    """What /proc says this process holds in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def mappings() -> int:
    """How many lines /proc/self/maps has."""
    return Path("/proc/self/maps").read_bytes().count(b"\n")


def settle() -> None:
    """Wait for the last instructions of native threads."""
    gc.collect()
    patience = time.monotonic() + PATIENCE
    while any(task_names()) and time.monotonic() < patience:
        time.sleep(0.001)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("kind", ["returning", "failing", "stopped", "compiled", "calling Python", "large"])
def test_memory_is_where_it_was(kind) -> None:
    """After ten thousand threads as after the first thousand; in the short form after three thousand."""
    code, options = {
        "returning": ("return ...", {}),
        "failing": ("error('mine')", {}),
        "stopped": ("while true do end", {}),
        "compiled": ("local n = 0 for i = 1, 1000 do n = n + i end return n", {}),
        "calling Python": ("return f(...)", {"globals": {"f": lambda x: x}}),
        "large": ("local t = {} for i = 1, 100 do t[i] = ('x'):rep(10000) end return #t", {}),
    }[kind]

    def live(count: int) -> None:
        for number in range(count):
            thread = OSThread(code, number, **options)
            if kind == "stopped":
                thread.interrupt()
            assert thread.join(PATIENCE)
            thread.exception()

    first, more = (1_000, 9_000) if LONG else (300, 600)
    if kind == "returning" and not LONG:
        first, more = 1_000, 2_000
    live(first)
    settle()
    resident, maps = resident_kib(), mappings()
    live(more)
    settle()
    assert mappings() - maps < 40, "mappings are left behind"  # far fewer than threads
    assert resident_kib() - resident < 2 * more, (
        f"more than 2 KiB a thread is left behind: {resident_kib() - resident}"
    )
