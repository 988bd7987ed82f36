"""What goes wrong in Lua arrives in Python whole: value, text, place, cause."""

import copy
import pathlib
import pickle
import sys
from typing import Any

import osthread
import pytest
from osthread import (
    Abandoned,
    ConversionError,
    Frame,
    Killed,
    LuaError,
    LuaFunction,
    LuaMemoryError,
    LuaPool,
    LuaState,
    LuaSyntaxError,
    LuaTimeout,
    OSThread,
    Stopped,
)


def error_of(code: Any, *args: Any, **options: Any) -> LuaError:
    """The LuaError that code ends with."""
    with pytest.raises(LuaError) as caught:
        osthread.run(code, *args, **options)
    return caught.value


# --- Error values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "message", "value"),
    [
        ("'text'", "job:1: text", "job:1: text"),
        ("'text', 0", "text", "text"),
        ("'a\\0b', 0", "a\0b", "a\0b"),
        ("nil", "nil", None),
        ("true", "boolean", True),
        ("42, 0", "42", 42),
        ("{code = 7, inner = {1, 2}}", "table", {"code": 7, "inner": [1, 2]}),
        ("{}", "table", {}),
        ("5LL", "5LL", 5),
        ("require('osthread').null", "NULL", None),
        (
            "setmetatable({code = 1}, {__tostring = function(e) return 'code ' .. e.code end})",
            "code 1",
            {"code": 1},
        ),
        ("setmetatable({1}, {__tostring = function() error('again') end})", "table", [1]),
        ("setmetatable({1}, {__tostring = function() return 5 end})", "table", [1]),
        ("setmetatable({1}, {__tostring = 5})", "table", [1]),
        ("io.stdout", "file", None),
        ("newproxy()", "userdata", None),
        ("coroutine.create(print)", "thread|coroutine", None),
        ("{io.stdout}", "userdata", None),
    ],
)
def test_error_value_arrives_intact(raised: str, message: str, value: Any) -> None:
    error = error_of(f"error({raised})", chunk_name="job")
    assert type(error) is LuaError
    assert (type(error.value), error.value) == (type(value), value)
    assert any(part in error.message for part in message.split("|"))
    with LuaState() as state, pytest.raises(LuaError) as caught:
        state.execute(f"error({raised})")
    assert caught.value.value == value or "job" in message


def test_number_as_error_value_stays_a_number() -> None:
    assert error_of("error(12.5, 0)").value == 12.5


def test_userdata_with_tostring_is_told_by_it() -> None:
    code = "local u = newproxy(true) getmetatable(u).__tostring = function() return 'told' end error(u)"
    error = error_of(code)
    assert (error.message, error.value) == ("told", None)


def test_function_as_error_value_is_a_lua_function() -> None:
    error = error_of("error(function() return 5 end)")
    assert isinstance(error.value, LuaFunction)
    assert error.value() == 5


def test_message_that_is_not_utf_8_is_readable() -> None:
    error = error_of(r"error('\255 \195\169', 0)")
    assert error.message == "\\xff é"
    assert error.value == b"\xff \xc3\xa9"


def test_tostring_that_never_returns_is_ended_by_the_time_limit() -> None:
    code = "error(setmetatable({}, {__tostring = function() while true do end end}))"
    thread = OSThread(code, time_limit=0.05)
    assert thread.join(20)
    assert isinstance(thread.exception(), LuaError)
    assert thread.status == "failed"


def test_error_knows_its_thread() -> None:
    assert error_of("error('x')", name="worker").thread == "worker"
    with LuaState() as state, pytest.raises(LuaError) as caught:
        state.execute("error('x')")
    assert caught.value.thread == ""


def test_error_is_the_same_object_each_time() -> None:
    thread = OSThread("error('x')")
    first = thread.exception()
    with pytest.raises(LuaError) as caught:
        thread.result()
    assert caught.value is first


# --- Traceback and frames -------------------------------------------------------------------------------

JOB = """\
local function inner(x)
  local y = x.missing.field
  return y
end
function outer(x)
  local z = inner(x)
  return z
end
outer({})
"""


def test_traceback_and_frames_name_chunk_line_and_function() -> None:
    error = error_of(JOB, chunk_name="job")
    assert error.message.startswith("job:2: attempt to index field 'missing'")
    assert [(frame.source, frame.line) for frame in error.frames] == [("job", 2), ("job", 6), ("job", 9)]
    assert [
        name
        for frame, name in zip(error.frames, ("inner", "outer", "main"), strict=True)
        if name in frame.name
    ]
    assert all(isinstance(frame, Frame) for frame in error.frames)
    lines = error.traceback.splitlines()
    assert lines[0] == "stack traceback:"
    assert len(lines) == 4
    assert "job:6:" in lines[2]
    assert str(error) == f"{error.message}\n{error.traceback}"


def test_frames_of_a_state_are_the_same() -> None:
    with LuaState() as state:
        state.execute(osthread.compile(JOB.replace("outer({})", ""), name="job"))
        with pytest.raises(LuaError) as caught:
            state.call("outer", {})
    assert [frame.line for frame in caught.value.frames] == [2, 6]


def test_frames_of_compiled_code_have_lines() -> None:
    code = (
        "local function f(t, i)\n  return t[i].x\nend\nlocal t = {}\nfor i = 1, 999 do t[i] = {x = 1} end\n"
    )
    code += "for i = 1, 1000 do\n  local x = f(t, i) + 1\nend"
    error = error_of(code, chunk_name="job")
    assert [(frame.source, frame.line) for frame in error.frames] == [("job", 2), ("job", 7)]


def test_error_in_a_coroutine_names_both_sides() -> None:
    code = "local function inner()\n  error('deep')\nend\nlocal go = coroutine.wrap(inner)\ngo()"
    error = error_of(code, chunk_name="job")
    assert "job:2: deep" in error.message
    assert ("job", 5) in [(frame.source, frame.line) for frame in error.frames]


def test_chunk_is_named_after_its_start_or_its_file(tmp_path: pathlib.Path) -> None:
    assert error_of("error('x') -- and more").message.startswith('[string "error(')
    path = tmp_path / "job.lua"
    path.write_text("\nerror('x')")
    error = error_of(path)
    assert "job.lua:2: x" in error.message
    assert error.frames[-1].source.endswith("job.lua")
    assert error.frames[-1].line == 2


@pytest.mark.parametrize(
    "code",
    [
        b"error('x') --\xff",
        *(f"error('{'x' * n}{'é' * 60}')" for n in range(2)),  # Lua cuts the chunk's name within a character
        b"local function \xff() error('x') end\n\xff()",
    ],
)
def test_traceback_of_source_that_is_not_utf_8_is_text(code: str | bytes) -> None:
    error = error_of(code)
    assert isinstance(error.traceback, str)
    assert error.frames[-1].line >= 1


@pytest.mark.parametrize("shift", [0, 1])
def test_file_of_a_long_name_in_utf_8_is_named(tmp_path: pathlib.Path, shift: int) -> None:
    path = tmp_path / ("x" * shift + "é" * 60 + ".lua")
    path.write_text("error('x')")
    assert error_of(path).frames[-1].source.endswith("é.lua")


def test_very_deep_stack_gives_a_traceback_of_bounded_size() -> None:
    error = error_of("local function f(n) if n == 0 then error('x') end return 1 + f(n - 1) end f(5000)")
    assert len(error.frames) < 200
    assert "skipping" in error.traceback


# --- Lua's own hard cases -------------------------------------------------------------------------------


def test_endless_recursion_is_a_lua_error() -> None:
    error = error_of("local function f() return 1 + f() end f()")
    assert "stack overflow" in error.message
    assert osthread.run("local function f() return 1 + f() end return (pcall(f))") is False


def test_error_in_an_error_handler_is_lua_s() -> None:
    code = "return xpcall(error, function() error('again') end)"
    assert osthread.run(code) == (False, "error in error handling")


def test_state_works_after_a_stack_overflow() -> None:
    with LuaState() as state:
        for _ in range(3):
            with pytest.raises(LuaError, match="stack overflow"):
                state.execute("local function f() return 1 + f() end f()")
            assert state.eval("1 + 1") == 2


def test_message_that_looks_like_a_lack_of_memory_is_none() -> None:
    assert type(error_of("error('not enough memory', 0)")) is LuaError


def test_too_many_results_are_an_error_or_arrive() -> None:
    assert len(osthread.run("local t = {} for i = 1, 7000 do t[i] = i end return unpack(t)")) == 7000
    assert "unpack" in error_of("return unpack({}, 1, 1e7)").message


# --- Syntax errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "chunk", "line"),
    [
        ("x x", "x x", 1),
        ("local a = 1\nlocal b = = 2", "local a = 1", 2),
        ("\n\n\nfor", "", 4),
        ("return [[\n\n]] x", "return [[", 3),
        ("function(a) return a +", "function(a) return a +", 1),
        ("local s = 'at:77:' )", "local s = 'at:77:' )", 1),
        ("local s = 'at:77777777777777777777:' )", "local s = 'at:77777777777777777777:' )", 1),
        ("-- a:5:\n\nx x", "-- a:5:", 3),
        ('t["a"]:f( x', 't["a"]:f( x', 1),
        ('local s = "]:7:"\nx x', 'local s = "]:7:"', 2),
    ],
)
def test_syntax_error_has_chunk_and_line(code: str, chunk: str, line: int) -> None:
    alive = osthread.enumerate()
    with pytest.raises(LuaSyntaxError) as caught:
        OSThread(code)
    assert osthread.enumerate() == alive
    assert (caught.value.chunk, caught.value.line) == (chunk, line)
    assert f":{line}:" in caught.value.message
    with LuaState() as state, pytest.raises(LuaSyntaxError) as caught:
        state.execute(code)
    assert caught.value.line == line


def test_syntax_error_of_a_file_names_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "job:5:b.lua"
    path.write_text("local a\nx x")
    with pytest.raises(LuaSyntaxError) as caught:
        OSThread(path)
    assert (caught.value.chunk, caught.value.line) == (str(path), 2)


def test_syntax_error_with_a_chunk_name() -> None:
    with pytest.raises(LuaSyntaxError, match=r"^config:2:") as caught:
        OSThread("\nx x", chunk_name="config", name="worker")
    assert (caught.value.chunk, caught.value.line, caught.value.thread) == ("config", 2, "worker")


def test_chunk_of_a_syntax_error_is_text() -> None:
    with pytest.raises(LuaSyntaxError) as caught:
        OSThread(b"x x --\xff")
    assert caught.value.chunk == "x x --\\xff"


@pytest.mark.parametrize("code", ["return 1\0 2", "x = {\0", "\0"])
def test_syntax_error_at_a_nul_byte_says_so(code: str) -> None:
    """Lua's own message names nothing there, and shows the code up to there only."""
    with pytest.raises(LuaSyntaxError, match="NUL byte"):
        OSThread(code)


def test_syntax_error_elsewhere_blames_no_nul_byte() -> None:
    with pytest.raises(LuaSyntaxError) as caught:
        OSThread("x = 'a\0b' +")
    assert "NUL" not in caught.value.message


@pytest.mark.parametrize(
    "code", ["job.lua", "scripts/job.lua", "/srv/job.lua", "./run/this", "C:\\jobs\\job.lua"]
)
def test_syntax_error_in_what_looks_like_a_path_says_so(code: str) -> None:
    with pytest.raises(LuaSyntaxError, match="Path"):
        OSThread(code)


@pytest.mark.parametrize("code", ["x x", "return 1 +", "a/b x", "print('scripts/job.lua'"])
def test_syntax_error_in_code_says_nothing_of_paths(code: str) -> None:
    with pytest.raises(LuaSyntaxError) as caught:
        OSThread(code)
    assert "Path" not in str(caught.value)


def test_syntax_error_of_load_is_lua_s_own_business() -> None:
    assert osthread.run("return load('x x')")[0] is None


def test_file_that_is_not_there_is_python_s_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError):
        OSThread(tmp_path / "none.lua")


# --- Errors from blocks, errors nobody fetches ------------------------------------------------------------


def test_block_raises_the_error_of_its_chunk() -> None:
    with pytest.raises(LuaError, match="mine"), OSThread("error('mine')"):
        pass


def test_block_does_not_raise_what_was_fetched() -> None:
    with OSThread("error('mine')") as thread:
        assert thread.exception().message.endswith("mine")


def test_exception_of_the_block_has_the_chunk_s_error_at_the_end_of_its_context() -> None:
    first, second = KeyError("first"), ValueError("second")

    def body(thread: OSThread) -> None:
        thread.join()
        try:
            raise first
        except KeyError:
            raise second  # noqa: B904

    with pytest.raises(ValueError, match="second") as caught, OSThread("error('the cause')") as thread:
        body(thread)
    assert caught.value is second
    assert second.__context__ is first
    assert isinstance(first.__context__, LuaError)
    assert "the cause" in first.__context__.message


def test_exception_of_the_block_has_no_stop_in_its_context() -> None:
    with pytest.raises(ValueError, match="mine") as caught, OSThread("while true do end"):
        raise ValueError("mine")
    assert caught.value.__context__ is None


def test_error_that_nobody_fetches_reaches_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append((args.exc_value, args.object)))
    thread = OSThread("error('nobody asks')", name="lonely")
    thread.join()
    assert seen == []
    del thread
    [(error, where)] = seen
    assert isinstance(error, LuaError)
    assert "nobody asks" in error.message
    assert "lonely" in str(where)


@pytest.mark.parametrize("jit", [True, False])
def test_error_under_machine_code_leaves_everything_as_it_was(jit: bool) -> None:
    """Raised in a function of LuaJIT's that a trace calls, with values in registers that calls preserve."""
    code = """
      local function work(n, a, b, c)
        local sum = 0
        for i = 1, 200 do
          sum = sum + a * i + b - c
          local s = ('xy'):rep(i == n and 2^24 or 3)
          sum = sum + #s
        end
        return sum
      end
      local sums, failures = {}, {}
      for n = 1, 300 do
        local at = 0
        local ok, e = pcall(work, n, n, 0.5, 2)
        if ok then sums[#sums + 1] = e else failures[#failures + 1] = e end
      end
      return sums, failures
    """
    sums, failures = osthread.run(code, memory_limit=1 << 20, jit=jit)
    assert sums == [200 * 201 / 2 * n + 200 * (0.5 - 2 + 6) for n in range(201, 301)]
    assert failures == ["not enough memory"] * 200


def test_number_as_an_error_in_a_full_state_arrives() -> None:
    code = """
      local depth = ...
      keep = {}
      for i = 1, 2048 do keep[i] = false end
      local keep, pcall, error, value, n = keep, pcall, error, 1 / 3, 0
      local texts = {('x'):rep(400), 'k', ''}
      local function concat(n, s) return s .. n end
      local function fail(depth)
        if depth > 0 then return 1 + fail(depth - 1) end
        for i = 1, 3 do
          local fits, more
          repeat
            fits, more = pcall(concat, n, texts[i])
            if fits then n = n + 1 keep[n] = more end
          until not fits or n > 2000
        end
        error(value, 0)
      end
      fail(depth)
    """
    errors = [OSThread(code, depth, memory_limit=1 << 18).exception() for depth in range(0, 60, 3)]
    messages = [error.message for error in errors if type(error) is not LuaMemoryError]
    assert messages
    assert set(messages) == {"0.33333333333333"}


def test_exception_with_any_text_comes_through() -> None:
    def fail() -> None:
        raise ValueError("bad \udcff name")

    with pytest.raises(ValueError, match="bad \udcff name"):
        osthread.run("(...)()", fail)


FINALIZER = "local u = newproxy(true) getmetatable(u).__gc = %s u = nil "


@pytest.mark.parametrize(
    ("finalizer", "kind", "text"),
    [
        ("function() error('left behind') end", LuaError, "left behind"),
        ("function() error({}) end", LuaError, "error value is a table"),
        ("function() local f = check return f() end", ZeroDivisionError, "division by zero"),
        ("function() return ('x'):rep(2^24) end", LuaError, "not enough memory"),
    ],
)
@pytest.mark.parametrize("when", ["collectgarbage() return 5", "return 5"])
def test_error_of_a_finalizer_reaches_the_hook(
    finalizer: str, kind: type, text: str, when: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append((args.exc_value, args.object)))
    options = {"globals": {"check": lambda: 1 / 0}, "memory_limit": 1 << 20}
    assert osthread.run(FINALIZER % finalizer + when, name="tidy", **options) == 5
    del options["globals"]
    with LuaState(**options) as state:
        state["check"] = lambda: 1 / 0
        assert state.execute(FINALIZER % finalizer + when) == 5
    [(first, its_place), (second, other_place)] = seen
    assert (type(first), type(second)) == (kind, kind)
    assert text in str(first)
    assert "'tidy'" in its_place
    assert "LuaState" in other_place
    assert capfd.readouterr() == ("", "")


def test_stop_in_a_finalizer_is_no_error(monkeypatch: pytest.MonkeyPatch, started: Any) -> None:
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    code = FINALIZER % "function() started() require('osthread').sleep(1e9) end" + "collectgarbage() return 5"
    thread = OSThread(code, globals={"started": started})
    started.wait()
    thread.request_stop()
    assert thread.join(30)
    assert seen == []


def test_error_that_somebody_fetched_does_not_reach_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    thread = OSThread("error('x')")
    thread.exception()
    del thread
    thread = OSThread("return 1")
    thread.join()
    del thread
    assert seen == []


def test_error_after_an_interrupt_has_the_stop_as_context(started: Any) -> None:
    code = "local f = ... local ok = pcall(function() f() while true do end end) error('cleanup failed')"
    thread = OSThread(code, started, grace=20)
    started.wait()
    assert thread.interrupt()
    error = thread.exception(20)
    assert "cleanup failed" in error.message
    assert isinstance(error.__context__, Stopped)


# --- The tree -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (LuaError, [RuntimeError]),
        (LuaSyntaxError, [LuaError]),
        (LuaMemoryError, [LuaError, MemoryError]),
        (LuaTimeout, [LuaError]),
        (Stopped, [LuaError]),
        (Killed, [Stopped]),
        (Abandoned, [Stopped]),
        (ConversionError, [TypeError]),
    ],
)
def test_errors_form_the_promised_tree(kind: type, bases: list[type]) -> None:
    assert all(issubclass(kind, base) for base in bases)
    assert not issubclass(kind, TimeoutError)


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("local t = {}\nerror({code = 5, list = {1, {}}})", {}),
        ("error('text')", {"name": "worker"}),
        ("while true do end", {"time_limit": 0.02}),
        ("local s = 'x' while true do s = s .. s end", {"memory_limit": 1 << 20}),
        ("return require('osthread').self():interrupt(), require('osthread').sleep(1e9)", {}),
        ("return io.stdout", {}),
        ("x x", {}),
        ("return ((...))", {"globals": {"x": 2**70}}),
    ],
)
@pytest.mark.parametrize("moved", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_errors_survive_pickling_and_copying(code: str, options: dict, moved: Any) -> None:
    try:
        error: Any = OSThread(code, **options).exception(20)
        if error is None:
            osthread.run(code)
    except (LuaError, ConversionError) as raised:
        error = raised
    again = moved(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.args == error.args
    state, expected = vars(again), vars(error)
    assert {**state, "__notes__": None} == {**expected, "__notes__": None}


def test_error_can_be_subclassed_and_made_in_python() -> None:
    error = LuaError("mine", value={"x": 1})
    assert (error.message, error.value, error.frames, str(error)) == ("mine", {"x": 1}, (), "mine")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("channel:send(coroutine.create(print))", ConversionError),
        ("buffer:add(9, 1)", IndexError),
        ("osthread.SharedBuffer('float46', 3)", ValueError),
        ("back()", ConversionError),
    ],
)
def test_errors_of_the_library_tell_the_line_in_lua(code: str, kind: type[Exception]) -> None:
    names = {"channel": osthread.Channel(), "buffer": osthread.SharedBuffer("float64", 3), "back": object}
    source = f"local osthread = require 'osthread'\n\n{code}"
    with OSThread(source, globals=names) as thread:
        error = thread.exception()
    with LuaState(globals=names) as state:
        with pytest.raises(kind) as raised:
            state.execute(source)
        with LuaPool(1, globals=names) as pool:
            own = pool.submit(source).exception()
        for each in (error, raised.value, own):
            assert isinstance(each, kind)
            (note,) = each.__notes__
            assert ":3: in main chunk" in note
        with pytest.raises(ConversionError) as raised:
            state.execute("return ...", object())
        assert not hasattr(raised.value, "__notes__")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_an_error_of_a_map_tells_the_item() -> None:
    with LuaPool(2) as pool:
        for items, code in (
            ([1, 2, object()], "return ..."),
            ([(1, 2), object()], "return ..."),
            (range(9), "local i = ... if i == 7 then error('seven') end"),
            (range(9), "local i = ... return i == 7 and coroutine.create(print) or i"),
        ):
            with pytest.raises((ConversionError, LuaError)) as raised:
                list(pool.map(code, items))
            assert (
                f"in item {7 if len(items) == 9 else len(items) - 1}, counted from 0"
                in raised.value.__notes__
            )


def test_an_exception_that_takes_no_notes_comes_all_the_same() -> None:
    class Silent(Exception):
        __notes__ = None

        def add_note(self, note: str) -> None:
            raise TypeError("no notes")

    def fail() -> None:
        raise Silent

    with LuaState() as state, pytest.raises(Silent):
        state.execute("(...)()", fail)
    with LuaPool(1) as pool:
        assert isinstance(pool.submit("(...)()", fail).exception(), Silent)
        with pytest.raises(Silent):
            list(pool.map("(...)()", [fail]))
