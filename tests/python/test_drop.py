"""Dropping: a running thread whose last reference goes away is ended, and that is said."""

from __future__ import annotations

import gc
import queue
import sys
import threading
import time
import warnings
import weakref

import osthread
import pytest
from osthread import OSThread, Stopped

PATIENCE = 30.0
ENDLESS = "while true do end"
CODES = {
    "loop": "started() while true do end",
    "sleep": "started() require('osthread').sleep(1e9)",
    "swallowing": "started() while true do pcall(function() while true do end end) end",
}
every_code = pytest.mark.parametrize("code", CODES.values(), ids=CODES)


class Reports:
    """What has gone to sys.unraisablehook."""

    def __init__(self) -> None:
        self.seen: list[tuple[BaseException, str]] = []
        self._arrived: queue.SimpleQueue[tuple[BaseException, str]] = queue.SimpleQueue()

    def __call__(self, args) -> None:
        report = (args.exc_value, str(args.object))
        self.seen.append(report)
        self._arrived.put(report)

    def wait(self) -> tuple[BaseException, str]:
        """The next one."""
        return self._arrived.get(timeout=PATIENCE)


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Reports:
    """What goes to sys.unraisablehook in this test."""
    reports = Reports()
    monkeypatch.setattr(sys, "unraisablehook", reports)
    return reports


def start(started, code=CODES["loop"], **options):
    """A thread that has come so far."""
    thread = OSThread(code, globals={"started": started}, grace=0.01, **options)
    started.wait()
    return thread


@every_code
def test_a_dropped_thread_is_ended_and_warned_of(code, started, reports) -> None:
    thread = start(started, code, name="dropped")
    with pytest.warns(ResourceWarning, match="dropped.*terminated"):
        del thread
    error, where = reports.wait()
    assert type(error) is Stopped
    assert "dropped" in where
    assert "keep a reference" in where
    assert "with" in where
    assert "detach" in where


def test_dropping_does_not_wait(gate, reports) -> None:
    """The thread sits in Python, so it can't end before the gate opens: only a drop that waits would hang."""
    thread = OSThread("hold()" + ENDLESS, globals={"hold": gate})
    gate.entered.wait()
    with pytest.warns(ResourceWarning):
        del thread
    assert not reports.seen
    gate.open()
    assert type(reports.wait()[0]) is Stopped


def test_drop_ends_the_thread_where_warnings_are_errors(started, reports) -> None:
    thread = start(started)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del thread
    kinds = {type(reports.wait()[0]), type(reports.wait()[0])}
    assert kinds == {ResourceWarning, Stopped}


def test_a_thread_that_was_stopped_and_dropped_is_reported_all_the_same_once(gate, reports) -> None:
    thread = OSThread("hold()" + ENDLESS, globals={"hold": gate})
    gate.entered.wait()
    thread.interrupt()
    gate.open()
    assert thread.join(PATIENCE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del thread
        gc.collect()
    assert reports.seen == [], "the program asked for that stop itself"


def test_dropped_within_a_python_callback(gate, reports) -> None:
    """The object goes away on its own Lua thread, in a callable that Lua has called."""
    box = []

    def drop():
        gate()
        box.clear()
        gc.collect()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        box.append(OSThread("drop()" + ENDLESS, globals={"drop": drop}))
        gate.open()
        assert type(reports.wait()[0]) is Stopped
    assert [warning.category for warning in caught] == [ResourceWarning]


def test_dropped_elsewhere_while_it_is_in_a_python_callback(gate, reports) -> None:
    thread = OSThread("hold()" + ENDLESS, globals={"hold": gate})
    gate.entered.wait()
    with pytest.warns(ResourceWarning):
        del thread
    gate.open()
    assert type(reports.wait()[0]) is Stopped


class Holder:
    """Something that a cycle can be made of."""

    thread: OSThread


def in_a_cycle(thread) -> weakref.ref:
    holder = Holder()
    holder.thread = thread
    holder.itself = holder
    return weakref.ref(holder)


def test_a_thread_in_a_cycle_is_ended_when_the_collector_comes(started, reports) -> None:
    gc.disable()
    try:
        cycle = in_a_cycle(start(started))
        assert cycle() is not None
        assert len(osthread.enumerate()) == 1
        with pytest.warns(ResourceWarning):
            gc.collect()
        assert cycle() is None
    finally:
        gc.enable()
    assert type(reports.wait()[0]) is Stopped


def test_a_cycle_collected_on_another_python_thread(started, reports) -> None:
    gc.disable()
    try:
        in_a_cycle(start(started))
        collector = threading.Thread(target=gc.collect)
        with pytest.warns(ResourceWarning):
            collector.start(), collector.join(PATIENCE)
        assert not collector.is_alive(), "the collector waits"
    finally:
        gc.enable()
    assert type(reports.wait()[0]) is Stopped


def test_a_cycle_collected_on_another_lua_thread(started, reports) -> None:
    gc.disable()
    try:
        in_a_cycle(start(started))
        with pytest.warns(ResourceWarning):
            OSThread("collect()", globals={"collect": lambda: gc.collect() and None}).result(PATIENCE)
    finally:
        gc.enable()
    assert type(reports.wait()[0]) is Stopped


def test_a_finished_thread_in_a_cycle_through_its_callable_is_collected() -> None:
    def make() -> weakref.ref:
        holder = Holder()
        holder.thread = OSThread("f()", globals={"f": lambda: holder and None})
        assert holder.thread.join(PATIENCE)
        return weakref.ref(holder)

    cycle = make()
    deadline = time.monotonic() + PATIENCE
    while cycle() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.001)  # CPython runs pending calls when the GIL has changed hands
    assert cycle() is None


def test_arguments_and_callables_are_given_back_after_the_end() -> None:
    class Callable:
        def __call__(self):
            """Do nothing."""

    argument, named = Callable(), Callable()
    gone = [weakref.ref(argument), weakref.ref(named)]
    thread = OSThread("local f = ... f() g()", argument, globals={"g": named})
    del argument, named
    assert thread.join(PATIENCE)
    del thread
    deadline = time.monotonic() + PATIENCE
    while any(ref() is not None for ref in gone) and time.monotonic() < deadline:
        time.sleep(0.001)  # CPython runs pending calls when the GIL has changed hands
    assert [ref() for ref in gone] == [None, None]


def test_detached_by_option_runs_on(gate, reports) -> None:
    thread = OSThread("hold() finished()", on_exit="detach", globals={"hold": gate, "finished": gate.entered})
    ended = threading.Event()
    thread.add_done_callback(lambda _: ended.set())
    gate.entered.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del thread
        gc.collect()
    assert not ended.is_set()
    gate.open()
    assert ended.wait(PATIENCE)
    assert reports.seen == []


def test_an_error_nobody_asks_for_is_reported_when_the_object_goes(reports) -> None:
    thread = OSThread("error('mine', 0)", name="failing")
    assert thread.join(PATIENCE)
    assert reports.seen == []
    del thread
    error, where = reports.wait()
    assert isinstance(error, osthread.LuaError)
    assert error.message == "mine"
    assert "failing" in where
    assert len(reports.seen) == 1


def test_a_time_limit_nobody_asks_about_is_reported(reports) -> None:
    thread = OSThread(ENDLESS, time_limit=0.01)
    assert thread.join(PATIENCE)
    del thread
    assert type(reports.wait()[0]) is osthread.LuaTimeout


@pytest.mark.parametrize("fetch", ["result", "results", "exception", "future"])
def test_an_error_that_was_fetched_is_not_reported(fetch, reports) -> None:
    thread = OSThread("error('mine', 0)")
    if fetch == "future":
        assert isinstance(thread.future.exception(PATIENCE), osthread.LuaError)
    elif fetch == "exception":
        assert isinstance(thread.exception(PATIENCE), osthread.LuaError)
    else:
        with pytest.raises(osthread.LuaError):
            getattr(thread, fetch)(PATIENCE)
    del thread
    gc.collect()
    assert reports.seen == []


def test_a_thread_that_fails_after_it_was_dropped_is_reported_once(gate, reports) -> None:
    thread = OSThread("hold() error('mine', 0)", globals={"hold": gate})
    gate.entered.wait()
    with pytest.warns(ResourceWarning):
        del thread
    gate.open()
    assert isinstance(reports.wait()[0], osthread.LuaError)
    assert len(reports.seen) == 1


def test_many_dropped_at_once_while_the_collector_runs_elsewhere(reports) -> None:
    ending = threading.Event()

    def collect():
        while not ending.is_set():
            gc.collect()

    collector = threading.Thread(target=collect)
    collector.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(50):
            in_a_cycle(OSThread("while true do end"))
            OSThread("require('osthread').sleep(1e9)")
        gc.collect()
        for _ in range(100):
            reports.wait()
        ending.set()
        collector.join()
    assert [type(error) for error, _ in reports.seen] == [Stopped] * 100
