"""jit.profile: whatever its callback does, only the thread that is profiled ends, and ends as it would without."""

import sys
import threading
from typing import Any

import osthread
import pytest
from osthread import LuaState, LuaTimeout, OSThread, Stopped

PATIENCE = 30

# "l": compiled code looks whether a sample is due wherever a line begins.
LOOP_IN_CALLBACK = """
local begun = ...
require("jit.profile").start("li1", function() begun() while true do end end)
local x = 0
while true do
  x = x + 1
end"""


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    reports: list[Any] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda report: reports.append((report.exc_value, report.object))
    )
    return reports


@pytest.mark.parametrize("stop", ["interrupt", "terminate", "kill"])
def test_a_callback_that_never_ends_is_stopped(stop: str, unraisable: list[Any]) -> None:
    begun = threading.Event()
    thread = OSThread(LOOP_IN_CALLBACK, begun.set)
    assert begun.wait(PATIENCE)
    getattr(thread, stop)()
    assert isinstance(thread.exception(PATIENCE), Stopped)
    assert unraisable == []


def test_a_time_limit_holds_in_a_callback() -> None:
    with pytest.raises(LuaTimeout):
        osthread.run(LOOP_IN_CALLBACK, lambda: None, time_limit=0.3)
    with LuaState(time_limit=0.3) as state:
        with pytest.raises(LuaTimeout):
            state.execute(LOOP_IN_CALLBACK, lambda: None)
        state.time_limit = None
        assert state.execute("require('jit.profile').stop() return 1") == 1


def fail() -> None:
    raise ValueError("a callable's own")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("error('x')", osthread.LuaError),
        ("error({})", osthread.LuaError),
        ("fail()", ValueError),
        ("local t = {} for i = 1, math.huge do t[i] = {} end", osthread.LuaError),
        ("os.exit(3)", osthread.LuaError),
        ("coroutine.yield()", osthread.LuaError),
    ],
)
def test_an_error_of_a_callback_goes_to_the_unraisable_hook(
    body: str, error: type[Exception], unraisable: list[Any]
) -> None:
    code = f"""
    local profile, fail = require("jit.profile"), ...
    local called = false
    profile.start("li1", function() profile.stop() called = true {body} end)
    local x = 0
    while not called do
      x = x + 1
    end
    return "goes on"
    """
    assert osthread.run(code, fail, memory_limit=4 << 20, name="profiled") == "goes on"
    [(reported, where)] = unraisable
    assert type(reported) is error
    assert where == "a profiler's callback of the OSThread 'profiled'"


def test_a_profile_shows_where_the_time_goes() -> None:
    code = """
    local profile, found, samples = require("jit.profile"), nil, 0
    profile.start("li1", function(thread, n, vm)
      samples = samples + n
      found = found or profile.dumpstack(thread, "f", 10):find("busy", 1, true)
    end)
    local function busy() local x = 0 for i = 1, 1e6 do x = x + i end return x end
    while not found do busy() end
    profile.stop()
    return samples > 0
    """
    assert osthread.run(code, time_limit=PATIENCE) is True
