"""The C++ half: benchmark programs, the floor, and the stock luajit, all built by the preset `benchmarks`."""

from __future__ import annotations

import ctypes
import os
import subprocess
from functools import cache
from pathlib import Path

from .table import Row, parse

ROOT = Path(__file__).resolve().parents[2]
KERNELS = Path(__file__).with_name("kernels")


@cache
def folder() -> Path:
    """Where the C++ half is: in the build folder OSTHREAD_BENCHMARKS_BUILD, or built now by the preset."""
    given = os.environ.get("OSTHREAD_BENCHMARKS_BUILD")
    if given:
        return Path(given) / "tests"
    build = ["cmake", "--workflow", "--preset", "benchmarks"]
    subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / "build" / "benchmarks" / "tests"


def run_program(name: str) -> list[Row]:
    """The rows of tests/benchmarks/<name>.cpp."""
    done = subprocess.run([folder() / f"benchmark_{name}"], check=True, capture_output=True, text=True)
    return parse(done.stdout)


@cache
def floor() -> ctypes.CDLL:
    """Plain pthread and Lua calls (floor/floor.h), of the same LuaJIT."""
    library = ctypes.CDLL(str(folder() / "libbenchmark_floor.so"))
    library.floor_start.restype = ctypes.c_double
    library.floor_start.argtypes = [ctypes.c_char_p]
    library.floor_burst.restype = ctypes.c_double
    library.floor_burst.argtypes = [ctypes.c_int, ctypes.c_char_p]
    numbers = [ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long, ctypes.c_int]
    library.floor_axpy.restype = ctypes.c_double
    library.floor_axpy.argtypes = numbers
    library.floor_axpy_rounds.restype = ctypes.c_double
    library.floor_axpy_rounds.argtypes = [*numbers, ctypes.c_int]
    return library


def luajit(code: str) -> str:
    """What the stock luajit program, built without CHECKHOOK, prints for the code."""
    program = (folder() / "luajit_program.txt").read_text()
    return subprocess.run([program, "-e", code], check=True, capture_output=True, text=True).stdout
