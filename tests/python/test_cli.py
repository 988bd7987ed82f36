"""The command line, as a shell sees it: what it prints, and its exit status."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import osthread
import pytest
from osthread.__main__ import main
from osthread._cli import doctor

posix_only = pytest.mark.skipif(os.name != "posix", reason="takes POSIX signals or terminals")

COMMAND = [sys.executable, "-W", "error", "-m", "osthread"]
ENDLESS = "print('ready') io.stdout:flush() while true do end"


def cli(*args: str | bytes, stdin: str | bytes = "", status: int = 0) -> tuple[str, str]:
    """Run the command line with these arguments; stdout and stderr, after a look at the exit status."""
    stdin = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run([*COMMAND, *args], input=stdin, capture_output=True, timeout=120, check=False)
    out, err = (text.decode(errors="surrogateescape") for text in (done.stdout, done.stderr))
    assert done.returncode == status, err
    return out, err


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Where a test puts its Lua file."""
    return tmp_path / "job.lua"


# --- The command itself ---------------------------------------------------------------------------


def test_version() -> None:
    """It is the module's."""
    assert cli("--version") == (f"osthread {osthread.__version__}\n", "")


def test_folders() -> None:
    """They hold what C++ users need, and are printed on one line, however long."""
    cmake, _ = cli("--cmake-dir")
    include, _ = cli("--include-dir")
    assert Path(cmake.removesuffix("\n"), "osthread-config.cmake").exists()
    assert Path(include.removesuffix("\n"), "osthread", "osthread.hpp").exists()
    assert include == osthread.get_include() + "\n"


def test_installed_command() -> None:
    """`osthread` is `python -m osthread`."""
    program = Path(sys.executable).with_name("osthread.exe" if os.name == "nt" else "osthread")
    done = subprocess.run([program, "eval", "6 * 7"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "42\n"


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["sing"],
        ["run"],
        ["eval"],
        ["run", "--time-limit", "soon", "x.lua"],
        ["run", "--time-limit", "-1", "x.lua"],
        ["run", "--time-limit", "nan", "x.lua"],
        ["run", "--memory-limit", "64 bananas", "x.lua"],
        ["run", "--threads", "0", "x.lua"],
        ["run", "--unknown", "x.lua"],
        ["run", "there/is/no/such/file.lua"],
        ["run", "--memory-limit", "1K", "-"],
    ],
    ids=" ".join,
)
def test_usage(args: list[str]) -> None:
    """Exit status 2, one sentence, no traceback."""
    out, err = cli(*args, status=2)
    assert not out
    assert "osthread" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_main_returns_the_status(capfd: pytest.CaptureFixture[str]) -> None:
    """As a function it does not leave the process."""
    assert main(["eval", "1 + 1"]) == 0
    assert main(["eval", "error('x')"]) == 1
    assert capfd.readouterr().out == "2\n"


# --- run ------------------------------------------------------------------------------------------


def test_run_passes_arguments(script: Path) -> None:
    """What follows FILE is the script's, whatever it looks like."""
    script.write_text("print(...) print(#arg, arg[0], arg[1], arg[3])")
    out, _ = cli("run", str(script), "--time-limit", "-h", "--", "last")
    assert out == f"--time-limit\t-h\t--\tlast\n4\t{script}\t--time-limit\t--\n"


def test_run_passes_numbers_as_strings(script: Path) -> None:
    """As the lua program does."""
    script.write_text("print(type(...), ...)")
    assert cli("run", str(script), "-1")[0] == "string\t-1\n"


@posix_only
def test_run_passes_bytes(script: Path) -> None:
    """Arguments are bytes in POSIX, and in Lua."""
    script.write_text("print((...):byte(1, -1))")
    assert cli("run", str(script), b"\xff\xfea")[0] == "255\t254\t97\n"


def test_run_stdin() -> None:
    """`-` is standard input."""
    assert cli("run", "-", "x", stdin="print(arg[0], ...)")[0] == "-\tx\n"


def test_run_skips_shebang(script: Path) -> None:
    """So a script may be a program of its own."""
    script.write_text("#!/usr/bin/env -S osthread run\nprint(1)")
    assert cli("run", str(script))[0] == "1\n"


def test_run_drops_results(script: Path) -> None:
    """A script's results are nobody's, also if they can't leave its state."""
    script.write_text("return 3, coroutine.create(print)")
    assert cli("run", str(script)) == ("", "")


def test_run_error(script: Path) -> None:
    """The message and a traceback of the script, without the frame that started it."""
    script.write_text("local function f()\n  error('boom')\nend\nf()\n")
    out, err = cli("run", str(script), status=1)
    lines = err.splitlines()
    assert not out
    assert lines[0].startswith("osthread: ")
    assert lines[0].endswith("job.lua:2: boom")
    assert lines[1] == "stack traceback:"
    assert any("job.lua:2: in function 'f'" in line for line in lines[2:])
    assert "job.lua:4: in" in lines[-1]


def test_run_syntax_error(script: Path) -> None:
    """It names file and line."""
    script.write_text("print(1)\nlocal = 2\n")
    out, err = cli("run", str(script), status=1)
    assert not out
    assert ":2: " in err  # the file before it, of which Lua cuts what is long


def test_run_time_limit(script: Path) -> None:
    """Exit status 124, as of timeout(1)."""
    script.write_text(ENDLESS)
    out, err = cli("run", "--time-limit", "0.2", str(script), status=124)
    assert out == "ready\n"
    assert "time" in err


def test_run_memory_limit(script: Path) -> None:
    """A size has a unit."""
    script.write_text("local n = ... local s = ('x'):rep(n) print(#s)")
    assert cli("run", "--memory-limit", "8M", str(script), "1000")[0] == "1000\n"
    _, err = cli("run", "--memory-limit", "8M", str(script), "1e8", status=1)
    assert "not enough memory" in err


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("", 0),
        ("nil", 0),
        ("true", 0),
        ("false", 1),
        ("0", 0),
        ("3", 3),
        ("256 + 7", 7),
        ("512", 1),
        ("'x'", 1),
    ],
)
def test_run_exit(script: Path, call: str, status: int) -> None:
    """os.exit ends the script, and its argument is the exit status."""
    script.write_text(f"print(1) pcall(os.exit, {call}) print(2)" if call else "print(1) os.exit() print(2)")
    assert cli("run", str(script), status=status)[0] == "1\n"


def test_run_threads(script: Path) -> None:
    """Each thread has its number, and its name."""
    script.write_text("print(arg.thread, arg.threads, ..., require('osthread').self().name)")
    out, _ = cli("run", "--threads", "3", str(script), "x")
    assert sorted(out.splitlines()) == [f"{i}\t3\tx\tjob.lua-{i}" for i in (1, 2, 3)]


def test_run_threads_one_fails(script: Path) -> None:
    """The others go on to their ends; the status is the failed one's."""
    script.write_text("if arg.thread == 2 then error('two') end print(arg.thread)")
    out, err = cli("run", "--threads", "3", str(script), status=1)
    assert sorted(out.split()) == ["1", "3"]
    assert err.count("two") == 1


@posix_only
@pytest.mark.parametrize("threads", ["1", "2"])
def test_run_ctrl_c(script: Path, threads: str) -> None:
    """Ctrl-C ends the script; exit status 130."""
    script.write_text(ENDLESS)
    with subprocess.Popen(
        [*COMMAND, "run", "--threads", threads, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        for _ in range(int(threads)):
            assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()  # if it is still there, it would be waited for
    assert (process.returncode, out, err) == (130, "", "")


# --- eval -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("6 * 7", "42\n"),
        ("= 6 * 7", "42\n"),
        ("-1", "-1\n"),
        ("1, nil, 'a b'", "1\tnil\ta b\n"),
        ("'hello'", "hello\n"),
        ("{1, 2, {3}, x = 'y', ['a b'] = false}", '{1, 2, {3}, ["a b"] = false, x = "y"}\n'),
        ("{[0] = 1, [2] = 2, ['end'] = '\"\\n'}", '{[0] = 1, [2] = 2, ["end"] = "\\"\\n"}\n'),
        ("{}", "{}\n"),
        ("2^53", "9.007199254741e+15\n"),
        ("{1LL, require('osthread').null, 3}", "{1LL, null, 3}\n"),
        ("setmetatable({}, {__tostring = function() return 'me' end})", "me\n"),
        ("local t = {} t.t = t return t", "{t = <cycle>}\n"),
        ("local x = 1", ""),
        ("for i = 1, 2 do print(i) end", "1\n2\n"),
        ("return 1 -- one", "1\n"),
        ("1 -- one", "1\n"),
        ("local a = 1\nreturn a", "1\n"),
        ("", ""),
    ],
)
def test_eval(code: str, printed: str) -> None:
    """Expressions and chunks; results on one line, tables as Lua writes them."""
    assert cli("eval", code) == (printed, "")


def test_eval_wide_table() -> None:
    """What does not fit on a line gets several."""
    out, _ = cli("eval", "{('x'):rep(50), {('y'):rep(50)}}")
    assert out == '{\n  "' + "x" * 50 + '",\n  {"' + "y" * 50 + '"},\n}\n'


def test_eval_what_cannot_cross() -> None:
    """Values are read where they are, so even a coroutine can be shown."""
    out, _ = cli("eval", "{coroutine.create(print), print}")
    assert re.fullmatch(r"\{thread: \w+, function: [\w#]+\}\n", out)


@pytest.mark.parametrize(("code", "message"), [("error('boom')", "eval:1: boom"), ("1 +", "near '<eof>'")])
def test_eval_error(code: str, message: str) -> None:
    """Exit status 1, the error on stderr."""
    out, err = cli("eval", code, status=1)
    assert not out
    assert message in err


@pytest.mark.parametrize(
    ("code", "status"), [("os.exit(3)", 3), ("os.exit()", 0), ("os.exit(false)", 1), ("os.exit(256)", 1)]
)
def test_eval_exit(code: str, status: int) -> None:
    """os.exit is no result."""
    assert cli("eval", code, status=status) == ("", "")


@posix_only
@pytest.mark.parametrize(
    "args", [("eval",), ("run", "-"), ("run", "--threads", "2", "-"), ("repl",), ("doctor",)]
)
def test_a_reader_that_has_had_enough(args: tuple[str, ...]) -> None:
    """As `head`: an end in silence, with the status that a shell gives a program that SIGPIPE has ended."""
    loop = "for i = 1, 1e7 do print(i) end"
    command = [*COMMAND, *args, *([loop] if args == ("eval",) else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.close()
        _, err = process.communicate(loop, timeout=60)
    assert (process.returncode, err) == (141, "")


# --- repl, from a pipe ----------------------------------------------------------------------------


def test_repl_pipe() -> None:
    """One state from the first line to the last; no prompts."""
    typed = "x = 20\nx + 1\n= x * 2\n'a'\n\nfunction f(n)\n  return n,\n    {n}\nend\nf(\n  3\n)\n"
    assert cli("repl", stdin=typed) == ('21\n40\n"a"\n3\t{3}\n', "")


def test_repl_pipe_goes_on_after_errors() -> None:
    """But its exit status tells."""
    out, err = cli("repl", stdin="error('boom')\nlocal local\nprint(1)\n", status=1)
    assert out == "1\n"
    assert "stdin:1: boom" in err
    assert "stdin:1: " in err.splitlines()[-1]


def test_repl_pipe_ends_within_a_chunk() -> None:
    """Input that ends too early is an error."""
    assert "<eof>" in cli("repl", stdin="while true do\n", status=1)[1]


def test_repl_goes_on_in_a_fresh_state_when_one_is_lost() -> None:
    """One line for the error, one for what is gone."""
    typed = "x = 1\nfunction f() return coroutine.wrap(f)() end f()\nx\n1 + 1\n"
    out, err = cli("repl", stdin=typed, status=1)
    assert out == "nil\n2\n"
    assert err.splitlines() == [
        "osthread: C stack overflow",
        "osthread: the Lua state and its globals are lost; going on with a fresh one",
    ]


def test_repl_exit() -> None:
    """os.exit leaves."""
    assert cli("repl", stdin="os.exit(3)\nprint(1)\n", status=3) == ("", "")
    assert cli("repl", stdin="os.exit()\nprint(1)\n") == ("", "")


# --- repl, at a terminal --------------------------------------------------------------------------


class Terminal:
    """A person at `osthread repl`."""

    def __init__(self, home: Path) -> None:
        import fcntl
        import pty
        import termios

        def take_terminal() -> None:
            """So that Ctrl-C reaches the process."""
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.master, slave = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [*COMMAND, "repl"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=take_terminal,
            env={**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "TERM": "dumb"},
        )
        os.close(slave)

    def see(self, text: str) -> str:
        """Wait until the screen shows `text`; what stood before it and was not asked for yet."""
        assert self.shows(text, 60), f"no {text!r} in {self.seen!r}"
        before, self.seen = self.seen.split(text, 1)
        return before

    def shows(self, text: str, seconds: float) -> bool:
        """Whether the screen shows `text` within that time."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                return False
            try:
                self.seen += os.read(self.master, 65536).decode()
            except OSError:  # Linux's way to say that nobody has the terminal open any more
                raise AssertionError(f"left without {text!r}: {self.seen!r}") from None
        return True

    def type(self, keys: str) -> None:
        """Press the keys."""
        os.write(self.master, keys.encode())

    def enter(self, line: str, *answers: str, prompt: str = "\n> ") -> None:
        """Type a line, see the answers to it, and the prompt after that."""
        self.type(line + "\n")
        for expected in (*answers, prompt):
            self.see(expected)

    def leave(self) -> int:
        """Press Ctrl-D; the exit status."""
        self.type("\x04")
        return self.process.wait(60)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """One whose conversation has just begun."""
    person = Terminal(tmp_path)
    person.see("\n> ")
    yield person
    person.process.kill()
    person.process.wait()
    os.close(person.master)


@posix_only
class TestTerminal:
    """What only a terminal can show."""

    def test_conversation(self, terminal: Terminal) -> None:
        """Values are printed, errors too, and it goes on."""
        terminal.enter("x = 20")
        terminal.enter("= x + 1", "\n21\r")
        terminal.enter("{x}, 'a'", '\n{20}\t"a"\r')
        terminal.enter("error('boom')", "stdin:1: boom")
        terminal.enter("x", "\n20\r")
        assert terminal.leave() == 0

    def test_multi_line(self, terminal: Terminal) -> None:
        """Another prompt asks for the rest of a chunk."""
        terminal.enter("function f()", prompt="\n>> ")
        terminal.enter("return 'from f'", prompt="\n>> ")
        terminal.enter("end")
        terminal.enter("f()", '\n"from f"\r')

    def test_ctrl_c_ends_the_chunk_only(self, terminal: Terminal) -> None:
        """The state, and what it holds, stays."""
        terminal.enter("x = 1")
        terminal.type("print('ready') while true do end\n")
        terminal.see("\nready")
        terminal.type("\x03")
        terminal.see("\n> ")
        terminal.enter("x", "\n1\r")

    def test_ctrl_c_drops_what_was_typed(self, terminal: Terminal) -> None:
        """Of all lines of an unfinished chunk."""
        terminal.enter("x = {", prompt="\n>> ")
        terminal.type("1, 2")
        terminal.see("1, 2")
        presses = 0
        while presses == 0 or not terminal.shows("\n> ", 5):
            # Python's readline does not hear one that comes in the instant before it waits for a key.
            terminal.type("\x03")
            presses += 1
            assert presses < 5
        terminal.see("\n> ")
        terminal.enter("x", "\nnil\r")
        assert terminal.leave() == 0

    def test_exit(self, terminal: Terminal) -> None:
        """os.exit leaves with its status."""
        terminal.type("os.exit(5)\n")
        assert terminal.process.wait(60) == 5

    def test_history(self, tmp_path: Path, terminal: Terminal) -> None:
        """It is there the next time."""
        pytest.importorskip("readline")
        terminal.enter("1 + 41", "\n42\r")
        assert terminal.leave() == 0
        if sys.platform == "linux":
            assert "1 + 41" in (tmp_path / "state" / "osthread" / "history").read_text()
        again = Terminal(tmp_path)
        again.see("\n> ")
        again.type("\x10")  # Ctrl-P: the line before
        again.see("1 + 41")
        again.enter("", "\n42\r")
        assert again.leave() == 0
        os.close(again.master)


# --- demo and doctor ------------------------------------------------------------------------------


def test_demo() -> None:
    """It comes to its end, with a figure for each promise."""
    out, err = cli("demo")
    assert not err
    assert re.search(r"two threads +\d+\.\d\d s, \d+\.\d\d times as fast", out)
    assert re.search(r"median \d+ us, worst \d+ us", out)
    assert re.search(r"64 MiB: LuaMemoryError", out)
    assert "6 * 7 is 42" in out


def test_doctor() -> None:
    """Here everything works."""
    out, err = cli("doctor")
    assert not err
    lines = out.splitlines()[2:]
    assert len(lines) >= len(doctor.CHECKS)
    assert {line.split()[0] for line in lines} <= {"ok", "no"}


def test_doctor_fails(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """One check that fails is enough, and the others are still made."""

    def broken() -> str:
        raise RuntimeError("it is broken")

    monkeypatch.setattr(doctor, "CHECKS", [("breaks", broken), ("works", lambda: "well")])
    assert main(["doctor"]) == 1
    out = capfd.readouterr().out
    assert "FAILED breaks: it is broken\n" in out
    assert "ok     works: well\n" in out


# --- Odd input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0/0", "1/0"])
def test_exit_status_of_no_number(value: str) -> None:
    cli("run", "-", stdin=f"os.exit({value})", status=1)


@posix_only
def test_eval_of_bytes_that_are_no_utf_8() -> None:
    assert cli("eval", b"#'\xff\xfe'") == ("2\n", "")


@pytest.mark.parametrize("code", ["1 +", "x ="])
def test_line_of_a_syntax_error_is_the_one_that_was_typed(code: str) -> None:
    _, err = cli("eval", code, status=1)
    assert "eval:1:" in err


def test_comment_at_the_end() -> None:
    assert cli("eval", "1 + 1 -- two") == ("2\n", "")


def test_run_without_a_file_asks_for_that_alone() -> None:
    _, err = cli("run", status=2)
    assert err.endswith("required: FILE\n")


@posix_only
@pytest.mark.parametrize("command", [["eval", "1"], ["doctor"], ["run", "missing.lua"]])
def test_a_signal_that_can_not_be_had_is_a_usage_error(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTHREAD_SIGNAL", "9")
    _, err = cli(*command, status=2)
    assert "OSTHREAD_SIGNAL=9" in err
    assert "Traceback" not in err
