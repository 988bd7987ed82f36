"""README.md is true: every block of code in it runs, and prints what the comments beside it say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import osthread
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    """The code blocks in one language, in order."""
    found = [code for name, code in BLOCKS if name == language]
    assert found, f"README.md has no {language} block"
    return found


def run(command: list[str], folder: Path) -> str:
    """What the command prints; it must succeed and say nothing on stderr."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def promised(code: str, printing: str) -> list[str]:
    """The comments after the lines that print: what those lines promise to print."""
    return re.findall(rf"^ *{printing}.*?  (?:#|//) (.*)$", code, re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code: str, tmp_path: Path) -> None:
    """A block is a whole program."""
    output = run([sys.executable, "-W", "error", "-c", code], tmp_path)
    assert output.splitlines() == promised(code, r"print\(")


@pytest.mark.parametrize("code", blocks("cpp"))
def test_cpp(code: str, tmp_path: Path) -> None:
    """A block is a whole program; the compiler finds what it needs as README.md says."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if not compiler:
        pytest.skip("there is no C++ compiler")
    module = [sys.executable, "-m", "osthread"]
    include = run([*module, "--include-dir"], tmp_path).strip()
    library = Path(run([*module, "--cmake-dir"], tmp_path).strip()).parents[1]
    (tmp_path / "program.cpp").write_text(code, encoding="utf-8")
    build = [*compiler.split(), "-std=c++20", "-Wall", "-Wextra", "-Werror", "program.cpp", "-o", "program"]
    run([*build, f"-I{include}", f"-L{library}", f"-Wl,-rpath,{library}", "-losthread"], tmp_path)
    assert run([str(tmp_path / "program")], tmp_path).splitlines() == promised(code, "std::cout <<")


@pytest.mark.parametrize("code", blocks("lua"))
def test_lua(code: str, tmp_path: Path) -> None:
    """A block begins with the command that runs it."""
    command = code.splitlines()[0].removeprefix("-- ").split()
    assert command[:2] == ["osthread", "run"]
    (tmp_path / command[-1]).write_text(code, encoding="utf-8")
    assert run(command, tmp_path)


@pytest.mark.parametrize("transcript", blocks("console"))
def test_console(transcript: str, tmp_path: Path) -> None:
    """After each command stands what it prints."""
    for step in re.findall(r"^\$ .*\n(?:(?!\$ ).*\n)*", transcript, re.MULTILINE):
        command, output = step.removeprefix("$ ").split("\n", 1)
        assert run(["sh", "-c", command], tmp_path) == output


def test_lua_names() -> None:
    """The section "In Lua" has all names of the module, and no others; the methods that it has are there."""
    section = README.split("## In Lua\n")[1].split("\n## ")[0]
    module = "".join(re.findall(r"^\| (`.*?) \|", section.split("\n\n")[1], re.MULTILINE))
    names = re.findall(r"`(\w+)[(`]", module)
    methods = sorted(set(re.findall(r"\b([a-z]+):(\w+)\(", section)))
    assert len({each for each, _ in methods}) == 8
    code = """
        local osthread = require "osthread"
        local names, methods = ...
        local objects = {
            ch = osthread.Channel(), s = osthread.SharedTable(), b = osthread.SharedBuffer("int8", 1),
            lock = osthread.Lock(), sem = osthread.Semaphore(), bar = osthread.Barrier(1), ev = osthread.Event(),
            t = osthread.self(),
        }
        for _, method in ipairs(methods) do
            assert(type(objects[method[1]][method[2]]) == "function", method[2])
        end
        for _, name in ipairs(names) do local _ = osthread[name] end  -- it is there once it has been asked for
        local all = osthread.array {}
        for name in pairs(osthread) do all[#all + 1] = name end
        return all
    """
    assert sorted(osthread.run(code, names, methods)) == sorted(names)


def test_cmake() -> None:
    """The lines for CMake are those of tests/consumer, which CI builds."""
    consumer = (ROOT / "tests" / "consumer" / "CMakeLists.txt").read_text(encoding="utf-8")
    for line in "".join(blocks("cmake")).splitlines():
        assert line.split("  #")[0].replace("program", "consumer") in consumer


def test_the_two_commands() -> None:
    """Set-up and demo, set-up and tests: how this test came to run, so they are not run here."""
    assert [code.strip() for code in blocks("sh")] == [
        "pip install . && osthread demo",
        'pip install ".[test]" && pytest',
    ]


def test_every_language_is_tested() -> None:
    """A block in another language would be tested by nobody."""
    assert {name for name, _ in BLOCKS} == {"python", "cpp", "lua", "console", "cmake", "sh"}


def test_code_comes_early() -> None:
    """The first code is in sight of whoever opens the page."""
    assert README.split("```python")[0].count("\n") < 14
