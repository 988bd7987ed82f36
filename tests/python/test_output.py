"""What Lua prints goes where Python's print goes, or where it is told to; whole calls, never torn."""

import io
import pathlib
import sys
import threading
from collections.abc import Callable
from typing import Any

import osthread
import pytest
from osthread import LuaError, LuaState, OSThread


def printed(code: str, *args: Any) -> list[str]:
    """The calls that the code's output makes."""
    calls: list[str] = []
    osthread.run(code, *args, stdout=calls.append)
    return calls


# --- What is written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        ("print('a')", ["a\n"]),
        ("print()", ["\n"]),
        ("print(1, 'b', nil, true, 1.5)", ["1\tb\tnil\ttrue\t1.5\n"]),
        ("print(1) print(2)", ["1\n", "2\n"]),
        ("io.write('a', 1, 2.5, 'b')", ["a12.5b"]),
        ("io.write('a') io.write('b\\n')", ["a", "b\n"]),
        ("print(setmetatable({}, {__tostring = function() return 'told' end}))", ["told\n"]),
        ("print('zero \\0 inside')", ["zero \0 inside\n"]),
        ("print('\\195\\169')", ["é\n"]),
        ("print('\\255 \\195')", ["\\xff \\xc3\n"]),
        ("io.write('\\255')", ["\\xff"]),
        (
            "local s = tostring tostring = function(x) return '<' .. s(x) .. '>' end print(1, 2)",
            ["<1>\t<2>\n"],
        ),
        ("coroutine.wrap(function() print('inside') end)()", ["inside\n"]),
        ("print(('x'):rep(100000))", ["x" * 100_000 + "\n"]),
    ],
)
def test_callable_gets_each_call_as_a_whole(code: str, calls: list[str]) -> None:
    assert printed(code) == calls
    seen: list[str] = []
    with LuaState(stdout=seen.append) as state:
        state.execute(code)
    assert seen == calls


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print(setmetatable({}, {__tostring = function() return {} end}))", "tostring"),
        ("print(setmetatable({}, {__tostring = function() error('mine') end}))", "mine"),
        ("io.write({})", "bad argument #1 to 'write'"),
        ("io.write('x', nil)", "bad argument #2 to 'write'"),
    ],
)
def test_what_can_not_be_printed_is_a_lua_error_and_nothing_is_written(code: str, message: str) -> None:
    calls: list[str] = []
    with pytest.raises(LuaError, match=message):
        osthread.run(code, stdout=calls.append)
    assert calls == []


def test_print_in_safe_states_goes_the_same_way() -> None:
    calls: list[str] = []
    osthread.run("print('x')", libraries="safe", stdout=calls.append)
    osthread.run("print('y')", libraries=(), stdout=calls.append)
    assert calls == ["x\n", "y\n"]


# --- Where to -------------------------------------------------------------------------------------------


def test_text_stream_is_written() -> None:
    stream = io.StringIO()
    osthread.run("print('a') io.write('b', 1)", stdout=stream)
    assert stream.getvalue() == "a\nb1"


def test_file_is_written(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "out.txt"
    with path.open("w", encoding="utf-8") as file:
        osthread.run("print('é')", stdout=file)
    assert path.read_text(encoding="utf-8") == "é\n"


def test_replaced_sys_stdout_is_where_print_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    osthread.run("print('here')")
    with LuaState() as state:
        state.execute("io.write('too')")
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        state.execute("print('!')")  # where Python's print went when the state was made
    assert stream.getvalue() == "here\ntoo!\n"


def test_output_is_captured_as_python_s(capsys: pytest.CaptureFixture) -> None:
    print("before")
    osthread.run("print('between')")
    print("after")
    assert capsys.readouterr().out == "before\nbetween\nafter\n"


def test_no_sys_stdout_swallows_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert osthread.run("print('x') return 1") == 1


def test_descriptor_is_written_in_order_with_python_s_print(run_script: Callable[..., Any]) -> None:
    script = """
import osthread
print("first")
osthread.run("print('second') io.write('third\\\\n')")
print("fourth")
with osthread.LuaState() as state:
    state.execute("print('fifth')")
print("sixth")
"""
    done = run_script(script)
    assert done.stdout == "first\nsecond\nthird\nfourth\nfifth\nsixth\n"
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("length", [50, 3000, 20_000, 200_000])
def test_lines_of_many_threads_are_never_torn(length: int, run_script: Callable[..., Any]) -> None:
    count = max(4, min(300, 1_000_000 // length))
    script = f"""
import osthread
code = "local c = ... for i = 1, {count} do print(c:rep({length})) end"
threads = [osthread.OSThread(code, c) for c in "abcd"]
for thread in threads:
    thread.result()
"""
    done = run_script(script)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 4 * count
    assert {(len(line), len(set(line))) for line in lines} == {(length, 1)}


def test_lines_of_many_threads_into_one_stream_are_never_torn() -> None:
    stream = io.StringIO()
    code = "local c = ... for i = 1, 200 do print(c:rep(100), c) end"
    threads = [OSThread(code, c, stdout=stream) for c in "abcd"]
    for thread in threads:
        thread.result()
    lines = stream.getvalue().splitlines()
    assert sorted(set(lines)) == [f"{c * 100}\t{c}" for c in "abcd"]
    assert len(lines) == 800


def test_print_to_a_full_pipe_is_ended_by_interrupt(run_script: Callable[..., Any]) -> None:
    script = """
import os, osthread, sys
r, w = os.pipe()
saved = os.dup(1)
os.dup2(w, 1)
with osthread.OSThread("print(('x'):rep(10^7))", on_exit="terminate") as thread:
    assert not thread.join(0.2)  # the pipe is full, and nobody reads
    thread.interrupt()
    assert thread.join(20)
os.dup2(saved, 1)
print(thread.status)
"""
    done = run_script(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


def test_io_write_to_a_chosen_file_stays_there(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "out.txt"
    code = """
    local path, stdout = ..., io.output()
    io.write('captured')
    io.output(path) io.write('into ', 'the file') print('captured too')
    io.output():close() io.output(stdout) io.write('again')
    """
    assert printed(code, str(path)) == ["captured", "captured too\n", "again"]
    assert path.read_text() == "into the file"


def test_file_objects_are_written_as_always(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "out.txt"
    code = (
        "local f = io.open(..., 'w') f:write('a', 1) f:close() for line in io.lines(...) do print(line) end"
    )
    assert printed(code, str(path)) == ["a1\n"]


# --- What the receiver raises -------------------------------------------------------------------------------


def test_exception_of_the_receiver_is_a_lua_error_and_comes_out_as_itself() -> None:
    error = OSError("no room")

    def fail(text: str) -> None:
        raise error

    assert osthread.run("return pcall(print, 'x')", stdout=fail)[0] is False
    for code in ("print('x')", "io.write('x')"):
        with pytest.raises(OSError, match="no room") as caught:
            osthread.run(code, stdout=fail)
        assert caught.value is error


def test_closed_stream_is_a_lua_error() -> None:
    stream = io.StringIO()
    stream.close()
    assert osthread.run("return (pcall(print, 'x'))", stdout=stream) is False
    with pytest.raises(ValueError, match="closed"):
        osthread.run("print('x')", stdout=stream)


def test_closed_descriptor_is_a_lua_error(run_script: Callable[..., Any]) -> None:
    script = """
import os, osthread, sys
os.close(1)
try:
    osthread.run("print('x')")
except osthread.LuaError as error:
    sys.stderr.write(error.message)
os.open(os.devnull, os.O_WRONLY)
"""
    done = run_script(script)
    assert "standard output" in done.stderr
    assert done.returncode == 0


def test_receiver_runs_on_the_lua_thread_and_knows_it() -> None:
    seen = []

    def receive(text: str) -> None:
        seen.append((text, threading.get_ident()))

    thread = OSThread("print('x')", stdout=receive)
    thread.result()
    assert seen == [("x\n", thread.ident)]
