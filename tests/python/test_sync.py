"""Lock, Semaphore, Barrier and Event between Python and Lua threads; and what an end leaves to the others."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import osthread
import pytest
from osthread import Barrier, Channel, Event, Lock, LuaError, OSThread, Semaphore
from waiting import PATIENCE, wait_until

MAKERS: dict[str, Any] = {
    "Lock": Lock,
    "Semaphore": lambda: Semaphore(0),
    "Barrier": lambda: Barrier(2),
    "Event": Event,
}
every_kind = pytest.mark.parametrize("kind", MAKERS)


def wait_for(kind: str) -> str:
    return {"Lock": "acquire", "Semaphore": "acquire", "Barrier": "wait", "Event": "wait"}[kind]


def waits(thread: OSThread) -> None:
    wait_until(lambda: thread.statistics().waiting_for is not None)


@every_kind
def test_it_is_the_same_object_on_both_sides(kind: str) -> None:
    made = MAKERS[kind]()
    assert osthread.run("local a, b = ... assert(a == b) return a", made, made) is made
    from_lua = osthread.run(f"return require('osthread').{kind}({'2' if kind == 'Barrier' else ''})")
    assert type(from_lua) is type(made)
    assert kind in repr(made)
    assert osthread.run("return tostring(...)", made).startswith(kind + ": ")
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(made)


@every_kind
def test_a_wait_in_vain_says_so_and_is_in_time(kind: str) -> None:
    made = MAKERS[kind]()
    if kind == "Lock":
        made.acquire()
    call = getattr(made, wait_for(kind))
    begin = time.monotonic()
    if kind == "Barrier":
        with pytest.raises(threading.BrokenBarrierError):
            call(timeout=0.05)
        made.reset()
    else:
        assert call(timeout=0.05) is False
    assert 0.05 <= time.monotonic() - begin < 5
    outcome = osthread.run(f"return (...):{wait_for(kind)}(0.05)", made)
    assert outcome == ((None, "broken") if kind == "Barrier" else False)


@every_kind
@pytest.mark.parametrize("stop", ["request_stop", "interrupt", "kill", "terminate"])
def test_a_stop_ends_the_wait(kind: str, stop: str) -> None:
    made = MAKERS[kind]()
    if kind == "Lock":
        made.acquire()
    thread = OSThread(f"(...):{wait_for(kind)}()", made)
    waits(thread)
    assert thread.statistics().waiting_for == kind.lower()
    getattr(thread, stop)()
    assert thread.join(PATIENCE)
    with pytest.raises(osthread.Stopped):
        thread.result()
    if kind == "Barrier":
        assert made.broken


@every_kind
def test_a_waiting_thread_can_be_paused_and_looked_at(kind: str) -> None:
    made = MAKERS[kind]()
    if kind == "Lock":
        made.acquire()
    thread = OSThread(f"local made = ...\nlocal outcome = made:{wait_for(kind)}()\nreturn outcome", made)
    waits(thread)
    assert 2 in [frame.line for frame in thread.stack()]
    assert thread.pause(PATIENCE)
    thread.resume()
    {
        "Lock": lambda: made.release(),
        "Semaphore": lambda: made.release(),
        "Barrier": lambda: made.wait(PATIENCE),
    }.get(kind, lambda: made.set())()
    assert thread.result(PATIENCE) in (True, 0)


@every_kind
@pytest.mark.parametrize("call", ["python", "lua"])
def test_ctrl_c_ends_the_wait(kind: str, call: str) -> None:
    argument = {"Barrier": "2", "Semaphore": "0"}.get(kind, "")
    code = f"""
        import os, signal, threading, time
        import osthread
        from osthread import Barrier, Event, Lock, Semaphore
        made = {kind}({argument})
        if {kind!r} == "Lock":
            made.acquire()
        def interrupt():
            time.sleep(0.2)  # Ctrl-C may come at any time
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            if {call!r} == "lua":
                osthread.LuaState().execute("(...):{wait_for(kind)}()", made)
            else:
                made.{wait_for(kind)}()
        except KeyboardInterrupt:
            print("interrupted")
        """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.stdout == "interrupted\n", run.stderr


def test_a_signal_that_is_handled_does_not_break_a_barrier(monkeypatch: pytest.MonkeyPatch) -> None:
    handled = []
    before = signal.signal(signal.SIGINT, lambda *_: handled.append(1))
    try:
        barrier = Barrier(2)
        main = threading.get_ident()

        def disturb() -> None:
            wait_until(lambda: barrier.n_waiting == 1)
            signal.pthread_kill(main, signal.SIGINT)
            wait_until(lambda: handled)
            barrier.wait(PATIENCE)

        other = threading.Thread(target=disturb)
        other.start()
        assert barrier.wait(PATIENCE) in (0, 1)
        other.join()
    finally:
        signal.signal(signal.SIGINT, before)


# --- Lock -----------------------------------------------------------------------------------------


def test_a_lock_keeps_the_others_out() -> None:
    lock, total = Lock(), [0]

    def get() -> int:
        return total[0]

    def put(value: int) -> None:
        total[0] = value

    code = """
        local lock, get, put, n = ...
        for i = 1, n do
          lock:acquire()
          put(get() + 1)
          lock:release()
        end
        """
    threads = [OSThread(code, lock, get, put, 300) for _ in range(4)]
    for _ in range(300):
        with lock:
            put(get() + 1)
    for thread in threads:
        thread.result()
    assert total == [1500]


def test_a_lock_says_what_threadings_does() -> None:
    lock = Lock()
    assert lock.acquire() is True
    assert lock.acquire(blocking=False) is False
    assert lock.acquire(False) is False
    assert lock.acquire(timeout=0) is False
    assert lock.locked() is True
    lock.release()
    assert lock.locked() is False
    with pytest.raises(RuntimeError, match="nobody holds"):
        lock.release()
    with pytest.raises(LuaError, match="release: nobody holds this lock"):
        osthread.run("(...):release()", lock)
    with lock as taken:
        assert taken is True
    assert osthread.run("local l = ... return l:acquire(), l:locked(), l:acquire(0), l:release()", lock) == (
        True,
        True,
        False,
    )


@pytest.mark.parametrize("end", ["return", "error('x')", "kill", "interrupt"])
def test_the_lock_of_a_thread_that_has_ended_goes_to_the_next(end: str) -> None:
    lock, ready = Lock(), Channel()
    code = "local lock, ready = ... lock:acquire() ready:send(1) "
    holder = OSThread(
        code + (f"{end} " if end not in ("kill", "interrupt") else "while true do end"), lock, ready
    )
    assert ready.receive(PATIENCE) == 1
    waiter = OSThread("local l = ... return l:acquire(), l:abandoned(), l:release(), l:abandoned()", lock)
    if end in ("kill", "interrupt"):
        waits(waiter)
        assert not lock.abandoned
        getattr(holder, end)()
    holder.join()
    holder.exception()
    assert waiter.result(PATIENCE)[:2] == (True, True)
    assert not lock.abandoned
    assert not lock.locked()


def test_a_lock_that_was_released_by_another_thread_stays_so_at_the_end_of_its_holder() -> None:
    lock = Lock()
    thread = OSThread("(...):acquire() require('osthread').sleep(1000)", lock)
    waits(thread)
    assert lock.locked()
    lock.release()
    lock.acquire()
    thread.terminate()
    assert lock.locked()
    assert not lock.abandoned
    lock.release()


def test_many_locks_of_an_ended_thread_go_on() -> None:
    locks = [Lock() for _ in range(100)]
    osthread.run("for _, lock in ipairs(...) do lock:acquire() end", locks)
    assert all(lock.abandoned and lock.acquire(timeout=0) for lock in locks)
    for lock in locks:
        lock.release()
        assert not lock.abandoned


def test_who_waits_longest_comes_next() -> None:
    lock, order = Lock(), Channel()
    lock.acquire()
    threads = []
    for i in range(5):
        threads.append(OSThread("local l, ch, i = ... l:acquire() ch:send(i) l:release()", lock, order, i))
        waits(threads[-1])
    lock.release()
    for thread in threads:
        thread.result(PATIENCE)
    assert order.receive_many(9) == [0, 1, 2, 3, 4]


# --- Semaphore, Barrier, Event --------------------------------------------------------------------


def test_a_semaphore_counts() -> None:
    semaphore = Semaphore(2)
    assert semaphore.acquire() is semaphore.acquire() is True
    assert semaphore.acquire(False) is False
    semaphore.release(3)
    assert semaphore.value == 3
    assert osthread.run("local s = ... s:acquire() s:release(2) return s:value()", semaphore) == 4
    with semaphore:
        assert semaphore.value == 3
    for wrong in (-1, "x", None, 1.5):
        with pytest.raises((TypeError, ValueError)):
            Semaphore(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n must be 1"):
        semaphore.release(0)
    for code in ("Semaphore(-1)", "Semaphore(1.5)", "Barrier(0)", "Barrier()", "Semaphore(0):release(0)"):
        with pytest.raises(LuaError, match=r"wanted, not|number expected"):
            osthread.run(f"require('osthread').{code}")


def test_at_most_so_many_are_inside() -> None:
    semaphore, inside, most = Semaphore(3), [0], [0]
    guard = threading.Lock()

    def enter() -> None:
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])

    def leave() -> None:
        with guard:
            inside[0] -= 1

    code = "local s, enter, leave = ... for i = 1, 50 do s:acquire() enter() leave() s:release() end"
    threads = [OSThread(code, semaphore, enter, leave) for _ in range(8)]
    for thread in threads:
        thread.result()
    assert most[0] <= 3
    assert semaphore.value == 3


def test_a_barrier_holds_until_all_have_come_round_after_round() -> None:
    barrier, log = Barrier(4), Channel()
    code = "local b, log, me = ... for round = 1, 50 do local i = b:wait() log:send{round, i} b:wait() end"
    threads = [OSThread(code, barrier, log, i) for i in range(3)]
    for round_ in range(1, 51):
        mine = barrier.wait(PATIENCE)
        others = [log.receive(PATIENCE) for _ in range(3)]
        assert sorted([mine, *(index for _, index in others)]) == [0, 1, 2, 3]
        assert {number for number, _ in others} == {round_}
        barrier.wait(PATIENCE)
    for thread in threads:
        thread.result()


def test_a_broken_barrier_is_told_to_all_until_it_is_reset() -> None:
    barrier = Barrier(3)
    thread = OSThread("return (...):wait()", barrier)
    wait_until(lambda: barrier.n_waiting == 1)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0.01)
    assert thread.result(PATIENCE) == (None, "broken")
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    assert barrier.broken
    barrier.reset()
    assert (barrier.broken, barrier.n_waiting, barrier.parties) == (False, 0, 3)
    barrier.abort()
    assert osthread.run("local b = ... return b:broken(), b:wait()", barrier) == (True, None, "broken")
    assert Barrier(1).wait() == 0


def test_an_event_lets_all_go() -> None:
    event = Event()
    threads = [OSThread("return (...):wait()", event) for _ in range(5)]
    for thread in threads:
        waits(thread)
    assert not event.is_set()
    event.set()
    event.clear()
    for thread in threads:
        assert thread.result(PATIENCE) is True
    assert osthread.run("local e = ... e:set() return e:is_set(), e:wait(), e:clear()", event) == (True, True)
    assert not event.is_set()


@every_kind
def test_methods_refuse_what_is_not_theirs(kind: str) -> None:
    made = MAKERS[kind]()
    for wrong in ("nil", "5", "io.stdout", "require('osthread').null", "require('osthread').Channel()"):
        with pytest.raises(LuaError, match=f" is no {kind};"):
            osthread.run(f"local made = ... made.{wait_for(kind)}({wrong})", made)


def test_safe_code_uses_them_but_makes_none() -> None:
    event = Event()
    code = (
        "local o, e = require('osthread'), ... e:set() return o.Lock or o.Event or o.Barrier or o.Semaphore"
    )
    assert osthread.run(code, event, libraries="safe") is None
    assert event.is_set()


# --- Waits that something else interrupts ---


def test_an_event_that_comes_and_goes_in_a_pause_is_not_missed() -> None:
    event = Event()
    with OSThread("return (...):wait()", event) as thread:
        waits(thread)
        assert thread.pause(PATIENCE)
        event.set()
        event.clear()
        thread.resume()
        assert thread.result(PATIENCE) is True


def test_a_thread_stopped_in_a_pause_at_a_barrier_breaks_it() -> None:
    barrier = Barrier(2)
    thread = OSThread("return (...):wait()", barrier)
    waits(thread)
    assert thread.pause(PATIENCE)
    assert not barrier.broken
    thread.interrupt()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"
    assert barrier.broken
    assert barrier.n_waiting == 0


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_at_a_barrier_breaks_it() -> None:
    barrier = Barrier(2)

    def press() -> None:
        wait_until(lambda: barrier.n_waiting > 0)
        os.kill(os.getpid(), signal.SIGINT)  # to the process: raise_signal() is to this thread alone

    pressing = threading.Thread(target=press)
    with osthread.LuaState() as lua:
        pressing.start()
        with pytest.raises(KeyboardInterrupt):
            lua.execute("return (...):wait()", barrier)
    pressing.join(PATIENCE)
    assert barrier.broken
    assert barrier.n_waiting == 0


def test_a_lock_that_a_callback_of_the_ended_thread_took_passes_on(gate: Any) -> None:
    lock = Lock()
    thread = OSThread("f()", globals={"f": gate})
    thread.add_done_callback(lambda _: lock.acquire())
    gate.open()
    assert thread.join(PATIENCE)
    wait_until(lambda: lock.abandoned)
    assert lock.acquire(timeout=PATIENCE)
    lock.release()
