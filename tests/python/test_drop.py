"""Dropping: a running thread whose last reference goes away is ended, and that is said."""

from __future__ import annotations

import concurrent.futures
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
        box.append(OSThread("drop()" + ENDLESS, globals={"drop": drop}, grace=PATIENCE))
        gate.open()
        assert type(reports.wait()[0]) is Stopped
    assert [warning.category for warning in caught] == [ResourceWarning]


def test_dropped_elsewhere_while_it_is_in_a_python_callback(gate, reports) -> None:
    thread = OSThread("hold()" + ENDLESS, globals={"hold": gate}, grace=PATIENCE)
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


# --- What refers to its thread or state -------------------------------------------------------------------


def test_error_whose_frames_refer_to_the_thread_is_collected() -> None:
    class Local:
        pass

    def fail_once() -> weakref.ref:
        local = Local()

        def fail() -> None:
            assert local
            raise ValueError

        thread = OSThread("(...)()", fail)
        with pytest.raises(ValueError):  # noqa: PT011
            thread.result()
        return weakref.ref(local)

    gone = [fail_once() for _ in range(3)]
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3


def test_results_that_refer_to_the_thread_are_collected() -> None:
    threads: list[OSThread] = []
    thread = OSThread("return ...", lambda: threads)
    threads.append(thread)
    thread.result()
    gone = weakref.ref(thread)
    del thread
    threads = []
    gc.collect()
    assert gone() is None


class App:
    """Something with callbacks, as people write it."""

    def __init__(self, ended: list[str]) -> None:
        self.lua = osthread.LuaState(globals={"back": self.back}, stdout=lambda text: self.back())
        self.lua["other"] = lambda: self
        self.lua.execute("local f = ... keep = {f}", self.back)
        self.lua.execute(
            "u = newproxy(true) local see = ... getmetatable(u).__gc = function() see('gone') end",
            ended.append,
        )

    def back(self) -> None:
        pass


def test_state_whose_callables_refer_to_it_is_collected() -> None:
    ended: list[str] = []
    app = App(ended)
    gone = weakref.ref(app), weakref.ref(app.lua)
    gc.collect()
    assert app.lua.eval("type(back)") == "function"
    del app
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    assert ended == ["gone"]


def test_callable_that_others_have_too_is_not_collected_with_a_state() -> None:
    def call() -> int:
        return 5

    function = osthread.run("local f = ... return function() return f() end", call)
    holder = [osthread.LuaState(), call]
    holder[0].execute("f = ...", function)
    holder[0]["back"] = lambda: holder
    gone = weakref.ref(holder[0])
    holder = []
    gc.collect()
    assert gone() is None
    assert function() == 5


def test_suspended_thread_whose_callables_refer_to_it_is_collected() -> None:
    class Job:
        def __init__(self) -> None:
            self.thread = OSThread(
                "return 1", self.back, [self.back], suspended=True, globals={"f": lambda: self}
            )

        def back(self) -> None:
            pass

    gone = [weakref.ref(Job()) for _ in range(5)]
    job = Job()
    gc.collect()
    assert [reference() for reference in gone] == [None] * 5
    job.thread.start()
    assert job.thread.result() == 1


def test_collections_beside_states_in_use() -> None:
    """The collector looks at what a state holds only while nobody is in it."""
    state = osthread.LuaState(globals={"f": lambda *a: a})
    state.execute("function work() local t = {} for i = 1, 50 do t[i] = f(i) end return #t end")
    ending = threading.Event()

    def use() -> None:
        while not ending.is_set():
            assert state.call("work") == 50
            state["g"] = lambda: None

    users = [threading.Thread(target=use) for _ in range(3)]
    for user in users:
        user.start()
    for _ in range(200):
        gc.collect()
    ending.set()
    for user in users:
        user.join()


def test_done_callbacks_and_futures_do_not_keep_a_thread_that_nobody_can_reach(started, reports) -> None:
    called: queue.SimpleQueue[str] = queue.SimpleQueue()
    thread = start(started)
    thread.add_done_callback(lambda t: called.put(t.status))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del thread
        assert called.get(timeout=PATIENCE) == "stopped"
        assert isinstance(reports.wait()[0], Stopped)
        thread = start(started)
        assert not thread.future.done()
        del thread
        gc.collect()
    assert isinstance(reports.wait()[0], Stopped)


def test_future_alone_keeps_its_thread(started, gate) -> None:
    future = OSThread("(...)() return 5", gate).future
    gc.collect()
    gate.entered.wait()
    gate.open()
    assert future.result(30) == 5


def test_future_that_nobody_asks_does_not_count_as_asked(reports) -> None:
    thread = OSThread("error('mine')")
    concurrent.futures.wait([thread.future])
    del thread
    gc.collect()
    assert "mine" in str(reports.wait()[0])
    thread = OSThread("error('mine')")
    assert thread.future.exception(30) is not None
    del thread
    gc.collect()
    assert len(reports.seen) == 1


def test_dropped_thread_that_is_detached_by_option_is_kept(gate, reports) -> None:
    OSThread("local f = ... f() error('mine')", gate, on_exit="detach")
    gate.entered.wait()
    gc.collect()
    [thread] = osthread.enumerate()
    del thread
    gate.open()
    assert "mine" in str(reports.wait()[0])


@pytest.mark.parametrize("cycle", [False, True])
def test_suspended_thread_that_goes_calls_its_callbacks(cycle: bool) -> None:
    called: list[str] = []
    thread = OSThread("return 1", suspended=True)
    thread.add_done_callback(lambda t: called.append(t.status))
    if cycle:
        thread.me = thread  # type: ignore[attr-defined]
    del thread
    gc.collect()
    assert called == ["stopped"]


def test_discarded_thread_gives_back_its_arguments() -> None:
    class Argument:
        def __call__(self) -> None:
            pass

    argument = Argument()
    gone = weakref.ref(argument)
    thread = OSThread("return ...", argument, suspended=True)
    thread.terminate()
    del argument
    gc.collect()
    assert gone() is None


def test_collector_comes_while_an_object_is_laid_out() -> None:
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(20):
            for base in (OSThread, osthread.LuaState):
                made = type("Late", (base,), {})
                assert "not made" in repr(made.__new__(made))
    finally:
        gc.set_threshold(*threshold)


def test_results_fetched_by_many_threads_at_once() -> None:
    """Converting them runs Python code, which may let others come in between."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            code = "local t = {} for i = 1, 100 do t[i] = 'caf\\233' .. i end return unpack(t)"
            thread = OSThread(code, encoding="cp1252")
            thread.join()
            seen: list[tuple] = []
            fetchers = [
                threading.Thread(target=lambda t=thread, s=seen: s.append(t.results())) for _ in range(4)
            ]
            for fetcher in fetchers:
                fetcher.start()
            for fetcher in fetchers:
                fetcher.join()
            assert all(results == tuple(f"café{i}" for i in range(1, 101)) for results in seen)
            assert len(seen) == 4
    finally:
        sys.setswitchinterval(before)
