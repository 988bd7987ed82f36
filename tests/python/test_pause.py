"""pause() and resume(): the chunk is held at its next instruction, and can be stopped there in every way."""

from __future__ import annotations

import threading
import time
from typing import Any

import osthread
import pytest
from osthread import LuaTimeout, OSThread, Stopped

PATIENCE = 30
CODES = {
    "compiled": "while true do end",
    "interpreted": "jit.off() while true do end",
    "coroutine": "coroutine.wrap(function() while true do end end)()",
    "sleep": "require('osthread').sleep(1000)",
    "pcall": "while true do pcall(error) end",
}
every_code = pytest.mark.parametrize("code", CODES.values(), ids=CODES.keys())


@every_code
def test_it_holds_the_thread_until_it_is_resumed(code: str) -> None:
    thread = OSThread(code, grace=0.01)
    assert thread.pause(PATIENCE) is True
    assert thread.status == "paused"
    assert thread.is_alive()
    assert not thread.done()
    assert thread.pause() is False, "it is paused already"
    busy = thread.statistics().cpu_seconds
    time.sleep(0.02)
    assert thread.statistics().cpu_seconds - busy < 0.01
    assert thread.resume() is True
    assert thread.resume() is False
    assert thread.terminate() == "stopped"


def test_the_chunk_goes_on_where_it_was() -> None:
    code = "local n = 0 for i = 1, 3e7 do n = n + i % 7 end return n"
    expected = osthread.run(code)
    thread = OSThread(code)
    pauses = 0
    while not thread.done():
        pauses += thread.pause(PATIENCE)
        thread.resume()
    assert thread.result() == expected
    assert pauses > 0


@every_code
@pytest.mark.parametrize("stop", ["request_stop", "interrupt", "terminate"])
def test_a_paused_thread_can_be_stopped(code: str, stop: str) -> None:
    thread = OSThread(code, grace=0.01)
    assert thread.pause(PATIENCE)
    getattr(thread, stop)()
    if stop == "request_stop" and "sleep" not in code:
        while thread.status == "paused":
            time.sleep(0.001)  # it goes on, as it can't notice a request otherwise
        thread.interrupt()
    assert thread.join(PATIENCE)
    assert thread.status == "stopped"


@every_code
def test_a_paused_thread_can_be_killed(code: str) -> None:
    if not osthread.features().kill:
        pytest.skip("this build has no kill")
    thread = OSThread(code)
    assert thread.pause(PATIENCE)
    thread.kill()
    assert thread.join(PATIENCE)
    assert thread.status == "killed"


def test_a_time_limit_runs_on_while_it_is_paused() -> None:
    thread = OSThread("while true do end", time_limit=0.05, grace=0.01)
    assert thread.pause(PATIENCE)
    with pytest.raises(LuaTimeout):
        thread.result(PATIENCE)


def test_leaving_the_block_resumes_it() -> None:
    with OSThread("local n = 0 for i = 1, 1e7 do n = n + 1 end return n") as thread:
        thread.pause(PATIENCE)
    assert thread.result() == 10**7


def test_leaving_the_block_by_an_exception_ends_it() -> None:
    thread = OSThread("while true do end", grace=0.01)
    assert thread.pause(PATIENCE)
    with pytest.raises(ZeroDivisionError), thread:
        raise ZeroDivisionError
    assert thread.status == "stopped"


def test_a_paused_thread_that_nobody_can_reach_is_ended() -> None:
    thread = OSThread("while true do end", grace=0.01)
    thread.pause(PATIENCE)
    ended = threading.Event()
    thread.add_done_callback(lambda _: ended.set())
    thread._fetched = True  # type: ignore[assignment]  # nobody wants to be told
    with pytest.warns(ResourceWarning):
        del thread
    assert ended.wait(PATIENCE)


def test_the_stack_of_a_paused_thread() -> None:
    thread = OSThread("local function here() while true do end end here()", grace=0.01)
    assert thread.pause(PATIENCE)
    assert any(frame.line == 1 for frame in thread.stack())
    assert thread.status == "paused"
    thread.terminate()


def test_one_that_does_not_run_can_not_be_paused() -> None:
    thread = OSThread("return 1", suspended=True)
    assert thread.pause() is False
    thread.start()
    assert thread.result() == 1
    assert thread.pause() is False
    assert thread.pause(PATIENCE) is False
    assert thread.resume() is False


def test_code_in_a_python_function_is_held_when_that_returns(gate: Any) -> None:
    thread = OSThread("(...)() while true do end", gate, grace=0.01)
    gate.entered.wait()
    assert thread.pause() is True
    assert thread.pause(0.01) is False
    assert thread.status == "running"
    gate.open()
    thread.pause(PATIENCE)
    assert thread.status == "paused"
    assert thread.terminate() == "stopped"
    assert isinstance(thread.exception(), Stopped)


def test_the_programs_end_resumes_it(run_script: Any) -> None:
    script = """
from osthread import OSThread
thread = OSThread("for i = 1, 1e8 do end print('through')")
assert thread.pause(30)
"""
    assert run_script(script)[:2] == (0, "through\n")


def test_many_pauses_at_random() -> None:
    threads = [OSThread(code, grace=0.01) for code in CODES.values() for _ in range(3)]
    for _ in range(200):
        for thread in threads:
            thread.pause()
            thread.resume()
    for thread in threads:
        assert thread.pause(PATIENCE)
        assert thread.terminate() == "stopped"
