"""LuaState: a state without a thread, which takes one call at a time."""

import gc
import pickle
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import osthread
import pytest
from osthread import LuaError, LuaMemoryError, LuaState, LuaSyntaxError, LuaTimeout, OSThread, Stopped

PATIENCE = 30


@pytest.fixture
def lua():
    with LuaState() as state:
        yield state


# --- execute, eval, call ----------------------------------------------------------------------------------


def test_execute_returns_none_one_or_a_tuple(lua: LuaState) -> None:
    assert lua.execute("") is None
    assert lua.execute("return nil") is None
    assert lua.execute("return 5") == 5
    assert lua.execute("return 1, nil, 'x'") == (1, None, "x")
    assert lua.execute("return ...", 1, [2], None) == (1, [2], None)


def test_execute_keeps_globals_but_not_locals(lua: LuaState) -> None:
    lua.execute("local a = 1 b = 2")
    assert lua.execute("return a, b") == (None, 2)


def test_execute_takes_what_a_thread_takes(lua: LuaState, tmp_path: Any) -> None:
    path = tmp_path / "job.lua"
    path.write_text("#!/usr/bin/env osthread\nreturn ... * 2")
    assert lua.execute(path, 4) == 8
    assert lua.execute(b"return 1") == 1
    assert lua.execute("function(a, b) return a + b end", 1, 2) == 3
    assert lua.execute(osthread.compile("return ..."), 5) == 5
    with pytest.raises(TypeError, match="code"):
        lua.execute(5)


def test_eval_gives_the_value_of_an_expression(lua: LuaState) -> None:
    lua["x"] = [1, 2]
    assert lua.eval("#x + 1") == 3
    assert lua.eval("1, 2") == (1, 2)
    assert lua.eval("nil") is None
    assert lua.eval("function(a) return a + 1 end")(1) == 2
    assert lua.eval("'a\\0b' -- with a comment") == "a\0b"


@pytest.mark.parametrize("expression", ["1 +", "x = 5", "return 1", "for i = 1, 2 do end", "1; x = 2"])
def test_eval_of_no_expression_is_a_syntax_error_and_does_nothing(lua: LuaState, expression: str) -> None:
    with pytest.raises(LuaSyntaxError):
        lua.eval(expression)
    assert lua["x"] is None


def test_call_by_dotted_name(lua: LuaState) -> None:
    lua.execute("function add(a, b) return a + b end m = {n = {f = function(...) return ... end}}")
    assert lua.call("add", 1, 2) == 3
    assert lua.call("m.n.f", 1, [2]) == (1, [2])
    assert lua.call("math.floor", 1.5) == 1
    assert lua.call("string.rep", "ab", 2) == "abab"


@pytest.mark.parametrize("name", ["absent", "m.absent", "m.absent.f", "x", "x.y", "", ".", "m.", ".add"])
def test_call_of_no_function_is_an_error_that_names_it(lua: LuaState, name: str) -> None:
    lua.execute("m = {} x = 5")
    with pytest.raises(LuaError, match="there is no global function") as caught:
        lua.call(name)
    assert f"'{name}'" in str(caught.value)
    assert lua.eval("1") == 1


def test_call_takes_a_lua_function(lua: LuaState) -> None:
    lua["offset"] = 10
    assert lua.call(osthread.compile("function(x) return offset + x end"), 5) == 15
    with pytest.raises(TypeError, match="LuaFunction"):
        lua.call(len, "x")  # type: ignore[arg-type]


def test_error_in_a_call_leaves_the_state_usable(lua: LuaState) -> None:
    for _ in range(3):
        with pytest.raises(LuaError, match="mine"):
            lua.execute("x = (x or 0) + 1 error('mine')")
        with pytest.raises(osthread.ConversionError):
            lua.execute("return io.stdout")
        with pytest.raises(osthread.ConversionError):
            lua.execute("return 1", 1j)
    assert lua["x"] == 3


# --- Globals ----------------------------------------------------------------------------------------------


def test_globals_are_copies(lua: LuaState) -> None:
    given = [1, 2]
    lua["t"] = given
    given.append(3)
    copy = lua["t"]
    copy.append(4)
    assert lua["t"] == [1, 2]
    assert lua["absent"] is None
    lua["t"] = None
    assert lua.eval("t == nil and rawget(_G, 't') == nil") is True


def test_global_of_a_name_with_a_dot_is_just_that(lua: LuaState) -> None:
    lua["a.b"] = 5
    assert lua.eval("_G['a.b']") == 5
    assert lua["a.b"] == 5


@pytest.mark.parametrize("name", [5, None, 1.5, ("a",)])
def test_name_of_a_global_is_a_str(lua: LuaState, name: Any) -> None:
    with pytest.raises(TypeError):
        lua[name]
    with pytest.raises(TypeError):
        lua[name] = 1


def test_global_that_can_not_cross_is_named(lua: LuaState) -> None:
    with pytest.raises(osthread.ConversionError) as caught:
        lua["config"] = {"x": [1j]}
    assert caught.value.path == "config.x[1]"
    lua.execute("config = {x = {io.stdout}}")
    with pytest.raises(osthread.ConversionError) as caught:
        lua["config"]
    assert caught.value.path == "config.x[1]"
    assert lua.eval("1") == 1


def test_callable_global_is_called_and_comes_back(lua: LuaState) -> None:
    lua["double"] = f = lambda x: 2 * x
    assert lua.call("double", 4) == 8
    assert lua["double"] is f


# --- Its end ----------------------------------------------------------------------------------------------


def test_closed_state_says_so() -> None:
    state = LuaState()
    state.close()
    state.close()
    uses: list[Callable[[], Any]] = [
        lambda: state.execute("return 1"),
        lambda: state.eval("1"),
        lambda: state.call("print"),
        lambda: state["x"],
        lambda: state.__setitem__("x", 1),
    ]
    for use in uses:
        with pytest.raises(RuntimeError, match="closed"):
            use()
    assert state.interrupt() is False
    assert "closed" in repr(state)


def test_leaving_the_block_closes_and_runs_finalizers() -> None:
    seen: list = []
    with LuaState() as state:
        state.execute(
            "u = newproxy(true) local see = ... getmetatable(u).__gc = function() see(1) end", seen.append
        )
        assert "open" in repr(state)
        assert seen == []
    assert seen == [1]
    with pytest.raises(KeyError), LuaState() as state:
        raise KeyError
    with pytest.raises(RuntimeError, match="closed"):
        state.eval("1")


def test_dropped_state_runs_its_finalizers() -> None:
    seen: list = []
    state = LuaState()
    state.execute(
        "u = newproxy(true) local see = ... getmetatable(u).__gc = function() see(1) end", seen.append
    )
    del state
    assert seen == [1]


def test_state_can_not_be_pickled() -> None:
    with LuaState() as state, pytest.raises(TypeError, match="pickled"):
        pickle.dumps(state)


# --- Stops --------------------------------------------------------------------------------------------------


def test_interrupt_ends_the_call_that_runs_and_no_other(lua: LuaState) -> None:
    assert lua.interrupt() is False  # nothing runs
    assert lua.eval("1") == 1
    for _ in range(20):
        running = threading.Event()
        answers: list[bool] = []

        def interrupt(running: threading.Event = running, answers: list[bool] = answers) -> None:
            running.wait()
            answers.append(lua.interrupt())

        helper = threading.Thread(target=interrupt)
        helper.start()
        with pytest.raises(Stopped) as caught:
            lua.execute("(...)() while true do end", lambda running=running: running.set())
        helper.join()
        assert answers == [True]
        assert caught.value.stage == "interrupt"
        assert lua.execute("return 1 + 1") == 2


def test_state_works_after_each_limit() -> None:
    with LuaState(memory_limit=1 << 20, time_limit=0.05) as state:
        state.execute("x = 1")
        for _ in range(3):
            with pytest.raises(LuaTimeout):
                state.execute("while true do end")
            with pytest.raises(LuaMemoryError):
                state.execute("return ('x'):rep(2^25)")
            assert state.eval("x + 1") == 2


def test_kill_can_not_be_had_and_says_so(lua: LuaState) -> None:
    if osthread.features().kill:
        pytest.skip("this build can kill")
    with pytest.raises(NotImplementedError, match="kill"):
        lua.kill()


# --- One call at a time -------------------------------------------------------------------------------------


def test_second_thread_s_call_waits_its_turn(lua: LuaState, gate: Any) -> None:
    order: list[str] = []

    def first() -> None:
        order.append(lua.execute("(...)() x = 'first' return x", gate))

    def second() -> None:
        order.append(lua.execute("return 'after ' .. x"))

    one = threading.Thread(target=first)
    one.start()
    gate.entered.wait()
    other = threading.Thread(target=second)
    other.start()
    assert order == []
    gate.open()
    one.join()
    other.join()
    assert order == ["first", "after first"]


def test_many_threads_share_one_state(lua: LuaState) -> None:
    lua["n"] = 0

    def work() -> None:
        for _ in range(200):
            lua.execute("local m = n for i = 1, 100 do end n = m + 1")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lua["n"] == 1600


def test_closing_waits_for_the_call_that_runs(gate: Any) -> None:
    state = LuaState()
    results = []
    caller = threading.Thread(target=lambda: results.append(state.execute("(...)() return 'whole'", gate)))
    caller.start()
    gate.entered.wait()
    closer = threading.Thread(target=state.close)
    closer.start()
    gate.open()
    caller.join()
    closer.join()
    assert results == ["whole"]


@pytest.mark.parametrize(
    "use",
    [
        lambda lua: lua.execute("return 1"),
        lambda lua: lua.eval("1"),
        lambda lua: lua.call("print"),
        lambda lua: lua.close(),
    ],
    ids=["execute", "eval", "call", "close"],
)
def test_calling_into_itself_is_an_error_that_says_so(lua: LuaState, use: Any) -> None:
    with pytest.raises(RuntimeError, match="running"):
        lua.execute("(...)()", lambda: use(lua))
    assert lua.eval("1") == 1
    assert lua.execute("return pcall(...)", lambda: use(lua))[0] is False


def test_callable_may_look_at_globals_of_the_state_that_calls_it(lua: LuaState) -> None:
    lua["x"] = {"n": 1}

    def look() -> Any:
        lua["y"] = [lua["x"]["n"]]
        return lua["x"]["n"]

    code = """
    local look, n = ..., 0
    for i = 1, 2000 do
      n = n + look() + coroutine.wrap(function() local t = {i} return look() + t[1] - i end)()
    end
    return n
    """
    assert lua.execute(code, look) == 4000
    assert lua["y"] == [1]


def test_callable_may_use_another_state_and_threads(lua: LuaState) -> None:
    def inner(x: int) -> int:
        with LuaState() as other:
            return other.execute("return ... + 1", x) + osthread.run("return ...", x)

    assert lua.execute("return (...)(5)", inner) == 11


def test_states_work_inside_threads() -> None:
    def inner() -> Any:
        with LuaState() as state:
            return state.execute("return require('osthread').now() > 0")

    assert [OSThread("return (...)()", inner).result() for _ in range(3)] == [True] * 3


def test_ctrl_c_ends_the_call_and_the_state_works_on(start_script: Callable[..., Any]) -> None:
    script = start_script("""
import osthread
with osthread.LuaState() as state:
    for code in ("while true do end", "require('osthread').sleep(1e9)", "while true do pcall(error) end"):
        try:
            state.execute("(...)() " + code, lambda: print("running", flush=True))
        except KeyboardInterrupt:
            print(state.eval("'still works'"), flush=True)
""")
    for _ in range(3):
        script.wait_for("running")
        script.interrupt()
        script.wait_for("still works")
    done = script.finish()
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_that_was_called_means_what_it_means_now(lua: LuaState) -> None:
    lua.execute("function f() return 1 end")
    assert [lua.call("f") for _ in range(3)] == [1, 1, 1]
    lua.execute("function f() return 2 end")
    assert lua.call("f") == 2
    lua["f"] = None
    for _ in range(2):
        with pytest.raises(LuaError, match="there is no global function 'f'"):
            lua.call("f")
    lua.execute("f = setmetatable({}, {__call = function() return 3 end})")
    with pytest.raises(LuaError, match="there is no global function 'f'"):
        lua.call("f")
    lua.execute("f = math.floor")
    assert lua.call("f", 2.5) == 2
    lua.execute("setfenv(0, {f = function() return 4 end})")
    assert lua.call("f") == 4


def test_any_number_of_names_can_be_called(lua: LuaState) -> None:
    lua.execute("for i = 1, 100 do _G['f' .. i] = function(...) return i, ... end end")
    for _ in range(2):
        for i in range(1, 101):
            assert lua.call(f"f{i}", "x") == (i, "x")


def test_a_call_takes_and_returns_any_number_of_values(lua: LuaState) -> None:
    lua.execute("function id(...) return ... end")
    for count in (0, 1, 2, 15, 16, 17, 30, 250):
        numbers = tuple(range(count))
        expected = None if count == 0 else numbers[0] if count == 1 else numbers
        assert lua.call("id", *numbers) == expected
    assert lua.call("id", None, True, 1.5, -0.0, 2**60, "x", b"y", [1, 2], {"k": 1}) == (
        *(None, True, 1.5, -0.0, 2**60, "x", "y", [1, 2], {"k": 1}),
    )


def test_the_frames_of_an_error_are_the_same_with_any_arguments(lua: LuaState) -> None:
    lua.execute("function f(...)\n local x = nil + 1\nend")
    frames = []
    for args in ((1, 2), ("text",), ([1],)):
        with pytest.raises(LuaError) as caught:
            lua.call("f", *args)
        frames.append(caught.value.frames)
    assert frames[0] == frames[1] == frames[2] != ()


def test_call_takes_no_keywords_and_needs_a_function(lua: LuaState) -> None:
    with pytest.raises(TypeError):
        lua.call("print", end="")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="name of a global function"):
        lua.call()  # type: ignore[call-arg]
    with pytest.raises(UnicodeEncodeError):
        lua.call("\ud800")
    assert lua.call("tostring", 1) == "1"


def test_an_error_for_which_there_is_no_room_is_another_error(run_script: Callable[..., Any]) -> None:
    script = """
from osthread import LuaState

state = LuaState()
state.execute("function f(x) return x end")
raised = set()

def call_at_any_depth():
    try:
        call_at_any_depth()
    except RecursionError:
        raised.add(RecursionError)
    try:
        state.call("f", object())
    except BaseException as error:
        raised.add(type(error))

call_at_any_depth()
print(sorted(error.__name__ for error in raised), state.call("f", 6))
"""
    assert run_script(script) == (0, "['ConversionError', 'RecursionError'] 6\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_NPROC as Linux counts")
def test_a_call_needs_no_thread(run_script: Callable[..., Any]) -> None:
    script = """
import os, resource
import osthread

state = osthread.LuaState()
state.execute("function f(x) return x end")
if os.geteuid() == 0:  # whom no limit holds
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
print(state.call("f", 6), state.call("f", 7))
try:
    osthread.OSThread("")
except RuntimeError as error:
    print(error)
"""
    returncode, stdout, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    assert stdout.startswith("6 7\ncan't start a new thread")


@pytest.mark.parametrize("name", ["print.x", "math.floor.rep", "print.", ".print", "", "math..floor"])
def test_name_that_goes_through_what_is_no_table_is_an_error(name: str) -> None:
    with LuaState() as state, pytest.raises(LuaError, match="there is no global function"):
        state.call(name, 1)


def test_names_and_expressions_are_strings() -> None:
    with LuaState() as state:
        for use in (lambda: state[0], lambda: state.__setitem__(0, 1), lambda: state.eval(5)):
            with pytest.raises(TypeError, match="str"):
                use()
        with pytest.raises(TypeError, match="not iterable"):
            list(state)
        with pytest.raises(TypeError):
            assert "x" in state


def test_state_that_was_not_made_says_so() -> None:
    class Late(LuaState):
        def __init__(self) -> None:
            self.eval("1")

    with pytest.raises(RuntimeError, match=r"super\(\).__init__"):
        Late()
    state = LuaState()
    with pytest.raises(RuntimeError, match="made once"):
        state.__init__()
    assert state.eval("1") == 1


def test_exception_of_a_callable_has_the_lua_stack_as_a_note() -> None:
    with LuaState() as state, pytest.raises(ZeroDivisionError) as caught:
        state.execute("local f = ... f()", lambda: 1 / 0)
    if hasattr(caught.value, "__notes__"):
        assert "main chunk" in caught.value.__notes__[0]


@pytest.mark.skipif(sys.platform == "win32", reason="sleep is a command of POSIX")
def test_a_stopped_call_ends_the_commands_it_has_started() -> None:
    state = LuaState()
    state.execute("before = io.popen('sleep 0.5; echo kept')")
    state.time_limit = 0.2
    with pytest.raises(osthread.LuaTimeout):
        state.execute("during = io.popen('trap \"\" TERM; sleep 1000') return during:read('*a')")
    state.time_limit = None
    assert state.eval("before:read('*a')") == "kept\n"
    begin = time.monotonic()
    state.close()
    assert time.monotonic() - begin < PATIENCE


@pytest.mark.parametrize("code", ["(...)()", "kept = {pcall(...)}"])
def test_a_state_in_which_a_callable_has_raised_goes_with_its_owner(code: str) -> None:
    def fail() -> None:
        raise ValueError

    def use() -> weakref.ref[LuaState]:
        state = LuaState()
        with suppress(ValueError):
            state.execute(code, fail)
        return weakref.ref(state)

    state = use()
    gc.collect()
    assert state() is None
