"""SharedBuffer: the same memory on both sides, checked where it is made, where it is indexed, and when it goes."""

import array
import gc
import mmap
import os
import pickle
import re
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import osthread
import pytest
from osthread import Channel, ConversionError, LuaError, LuaState, OSThread, SharedBuffer, SharedTable
from waiting import PATIENCE, wait_until

NUMBERS = [
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
]  # fmt: skip
ATOMIC = [name for name in NUMBERS if name != "float16"]


@pytest.fixture
def lua() -> Any:
    with LuaState() as state:
        yield state


# --- Elements ---


@pytest.mark.parametrize("dtype", NUMBERS)
def test_numbers_of_each_dtype_are_the_same_memory(dtype: str, lua: LuaState) -> None:
    a = np.arange(10).astype(dtype)
    lua.execute("local b = ... for i = 0, #b - 1 do b[i] = b[i] * 2 + 1 end", SharedBuffer(a))
    assert a.tolist() == [2 * i + 1 for i in range(10)]
    assert (
        lua.execute("local b, t = ..., {} for i = 0, #b - 1 do t[i + 1] = b[i] end return t", SharedBuffer(a))
        == a.tolist()
    )


@pytest.mark.parametrize("dtype", [d for d in NUMBERS if "int" in d])
def test_ends_of_integers(dtype: str, lua: LuaState) -> None:
    info = np.iinfo(dtype)
    a = np.array([info.min, info.max], dtype)
    assert lua.execute("local b = ... return b[0], b[1]", SharedBuffer(a)) == (info.min, info.max)
    b = SharedBuffer(dtype, 2)
    lua.execute("local to, from = ... to[0], to[1] = from[0], from[1]", b, SharedBuffer(a))
    assert np.asarray(b).tolist() == a.tolist()


def test_64_bit_integers_are_numbers_where_these_are_exact(lua: LuaState) -> None:
    a = np.array([2**53, 2**53 + 1, -(2**53), -(2**53) - 1], "int64")
    code = "local b, t = ..., {} for i = 0, 3 do t[i + 1] = type(b[i]) end return unpack(t)"
    assert lua.execute(code, SharedBuffer(a)) == ("number", "cdata", "number", "cdata")


def test_booleans(lua: LuaState) -> None:
    a = np.array([True, False])
    assert lua.execute("local b = ... b[1] = true return b[0], b[1]", SharedBuffer(a)) == (True, True)
    assert a.tolist() == [True, True]


def test_every_half_float_reads_and_writes_back() -> None:
    a = np.arange(65536, dtype="uint16").view("float16")
    out = np.zeros_like(a)
    back = np.zeros(65536)
    osthread.run(
        "local a, out, back = ... for i = 0, #a - 1 do back[i] = a[i] out[i] = a[i] end",
        SharedBuffer(a), SharedBuffer(out), SharedBuffer(back),
    )  # fmt: skip
    np.testing.assert_array_equal(back, a.astype("float64"))
    np.testing.assert_array_equal(out, a)


def test_numbers_round_to_half_floats_as_numpy_does() -> None:
    random = np.random.default_rng(1)
    numbers = np.concatenate(
        [
            random.standard_normal(20_000) * np.exp2(random.integers(-30, 20, 20_000)),
            np.arange(0, 70_000, 0.5),
            np.array([np.inf, -np.inf, 0.0, -0.0, 65504, 65519.99, 65520, 2**-24, 2**-25, 3 * 2**-26, 1e-30]),
        ]
    )
    out = np.zeros(len(numbers), "float16")
    osthread.run(
        "local a, out = ... for i = 0, #a - 1 do out[i] = a[i] end", SharedBuffer(numbers), SharedBuffer(out)
    )
    with np.errstate(over="ignore"):
        expected = numbers.astype("float16")
    np.testing.assert_array_equal(out.view("uint16"), expected.view("uint16"))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers(dtype: str, lua: LuaState) -> None:
    a = np.array([1 + 2j, 3 - 4j], dtype)
    code = "local b = ... local z = b[0] b[1] = b[0] return z.re, z.im"
    assert lua.execute(code, SharedBuffer(a)) == (1, 2)
    assert a[1] == 1 + 2j


def test_dimensions_are_counted_through(lua: LuaState) -> None:
    a = np.arange(24).reshape(2, 3, 4)
    b = SharedBuffer(a)
    assert (b.shape, b.ndim, b.size, len(b), b.itemsize, b.nbytes) == ((2, 3, 4), 3, 24, 24, 8, 192)
    assert lua.execute("local b = ... return b.shape, #b, b[23], b.dtype, b.readonly", b) == (
        [2, 3, 4],
        24,
        23,
        "int64",
        False,
    )
    np.testing.assert_array_equal(np.asarray(b), a)


def test_no_dimension_and_no_element(lua: LuaState) -> None:
    scalar = np.array(3.5)
    assert lua.execute("local b = ... b[0] = b[0] * 2 return #b, b.shape", SharedBuffer(scalar)) == (1, [])
    assert scalar == 7
    assert lua.execute(
        "local b = ... return #b, pcall(function() return b[0] end)", SharedBuffer(np.zeros((0, 3)))
    )[:2] == (0, False)


@pytest.mark.parametrize("align", [False, True])
def test_structures_are_structs_of_the_ffi(align: bool, lua: LuaState) -> None:
    fields = [("x", "f8"), ("c", "i1"), ("n", "i4"), ("name", "S5"), ("v", "f4", (2, 2))]
    dtype = np.dtype([*fields, ("p", [("a", "u1"), ("b", "i8")])], align=align)
    a = np.zeros(3, dtype)
    a["x"] = [1, 2, 3]
    a["name"] = b"Ada"
    code = """
        local ffi, b = require 'ffi', ...
        for i = 0, #b - 1 do
          local e = b[i]
          e.n, e.c, e.v[1][0], e.p.b = e.x * 10, i, 0.5, -e.x
          assert(ffi.string(e.name, 3) == 'Ada')
          b.data[i].p.a = 7
        end
        b[2].x = 99
        return ffi.sizeof(b[0])"""
    assert lua.execute(code, SharedBuffer(a)) == dtype.itemsize
    assert a["x"].tolist() == [1, 2, 99]
    assert a["n"].tolist() == [10, 20, 30]
    assert a["c"].tolist() == [0, 1, 2]
    assert a["v"][:, 1, 0].tolist() == [0.5] * 3
    assert a["p"]["a"].tolist() == [7] * 3
    assert a["p"]["b"].tolist() == [-1, -2, -3]


def test_a_structure_keeps_the_memory_it_lies_in(lua: LuaState) -> None:
    a = np.ones(1000, [("x", "f8"), ("y", "f8")])
    gone = weakref.ref(a)
    lua.execute("element = (...)[5]", SharedBuffer(a))
    del a
    lua.execute("collectgarbage() collectgarbage()")
    assert gone() is not None
    assert lua.execute("return element.y") == 1
    lua.execute("element = nil collectgarbage() collectgarbage()")
    assert lua.execute("return 1") == 1
    gc.collect()
    assert gone() is None


REFERENCES = {
    "an element": ("b[3]", ".y[99]"),
    "a structure in it": ("b[3].inner", ".z[99]"),
    "an array in it": ("b[3].y", "[99]"),
    "an array in that": ("b[3].inner.rows[1]", "[1]"),
    "a pointer": ("b.data + 3", "[0].y[99]"),
    "its end": ("b.data + 4", "[-1].y[99]"),
    "a pointer in an array": ("require('ffi').new('double *[2]', {b[3].y, b[3].y})", "[1][99]"),
    "a pointer in a structure": ("require('ffi').new('struct { double *p; }', {b[3].y})", ".p[99]"),
    "a pointer in a packed structure": (
        "require('ffi').new('struct __attribute__((packed)) { char c; double *p; }', {1, b[3].y})",
        ".p[99]",
    ),
    "a pointer in a structure in one": (
        "require('ffi').new('struct { int64_t n; struct { char c; double *p; } __attribute__((packed)) s; }',"
        " {1, {1, b[3].y}})",
        ".s.p[99]",
    ),
    "one with a finalizer": ("require('ffi').gc(b[3].y, print)", "[99]"),
}


@pytest.mark.parametrize("let_go", ["b:release()", "b = nil"])
@pytest.mark.parametrize(("reference", "number"), REFERENCES.values(), ids=REFERENCES)
def test_whatever_refers_to_a_structure_keeps_its_memory(
    reference: str, number: str, let_go: str, lua: LuaState
) -> None:
    inner = [("z", "f8", 100), ("rows", "f8", (2, 2))]
    a = np.ones(4, [("x", "f8"), ("y", "f8", 100), ("inner", inner)])
    gone = weakref.ref(a)
    lua.execute(f"b = ... kept = {reference} {let_go}", SharedBuffer(a))
    del a
    for _ in range(3):
        lua.execute("collectgarbage()")
        gc.collect()
        assert gone() is not None
        assert lua.execute(f"return kept{number}") == 1
    lua.execute("kept = nil for _ = 1, 3 do collectgarbage() end")
    gc.collect()
    assert gone() is None


def test_a_finalizer_may_read_the_structure_it_refers_to(lua: LuaState) -> None:
    seen: list[float] = []
    a = np.full(1000, 3.0, [("x", "f8")])
    code = """
        local b, ffi = ..., require 'ffi'
        for i = 0, 20 do ffi.gc(b[i], function(element) see(element.x) end) end
        b:release()"""
    lua["see"] = seen.append
    lua.execute(code, SharedBuffer(a))
    gone = weakref.ref(a)
    del a
    for _ in range(4):
        lua.execute("collectgarbage()")
        gc.collect()
    assert seen == [3.0] * 21
    assert gone() is None


RELEASED_BY = {
    "a finalizer": """
        local p = newproxy(true)
        getmetatable(p).__gc = release""",
    "a hook": "debug.sethook(function() steps = steps + 1 if steps == 20 + round % 40 then release() end end, '', 1)",
}
# Of more bytes than any block that the C library keeps when it is freed.
ACCESS_BESIDE_RELEASE = """
local n, osthread = ..., require 'osthread'
{jit}
local values = {{1, 2LL, 3ULL, true}}
for round = 1, n do
  local b = osthread.SharedBuffer('int32', 1e7)
  local released, steps = false, 0
  local function release() released = true b:release() end
  do {released_by} end
  repeat
    local ok = pcall(function()
      for i = 1, 200 do {access} end
    end)
  until not ok
  debug.sethook()
  assert(released)
end
return 'ended'
"""


@pytest.mark.parametrize("released_by", RELEASED_BY.values(), ids=RELEASED_BY)
@pytest.mark.parametrize("access", ["sum = b[5]", "b[5] = 1", "b[5] = values[i % 4 + 1]"])
@pytest.mark.parametrize("compiled", [False, True])
def test_what_is_released_in_the_midst_of_an_access_stays_till_then(
    released_by: str, access: str, compiled: bool, run_script: Any
) -> None:
    code = ACCESS_BESIDE_RELEASE.format(
        jit="" if compiled else "jit.off()", released_by=released_by, access=access
    )
    script = f"import osthread\nprint(osthread.run({code!r}, 200))"
    assert run_script(script) == (0, "ended\n", "")


def test_a_release_without_memory_for_the_look_can_be_said_again() -> None:
    a = np.ones(1000)
    gone = weakref.ref(a)
    with LuaState(memory_limit=2 << 20) as lua:
        lua.execute("b = ...", SharedBuffer(a))
        del a
        code = """
            getmetatable(newproxy(true)).__gc = function()
              local x
              for _ = 1, 2 do pcall(function() while true do x = {x} end end) end
              worked, why = pcall(b.release, b)
            end
            for _ = 1, 2 do collectgarbage() end
            return worked, why"""
        assert lua.execute(code) == (False, "not enough memory")
        lua.execute("b:release() for _ = 1, 5 do collectgarbage() end")
        gc.collect()
        assert gone() is None


def test_many_that_linger_take_one_look(lua: LuaState) -> None:
    code = """
        local osthread, gone = require 'osthread', 0
        objects = {}
        for i = 1, 3e5 do objects[i] = {} end
        for i = 1, 2e4 do
          local b, p = osthread.SharedBuffer('int32', 1), newproxy(true)
          getmetatable(p).__gc = function() b:release() gone = gone + 1 end
        end
        collectgarbage() collectgarbage() collectgarbage()
        return gone"""
    begin = time.monotonic()
    assert lua.execute(code) == 2e4
    assert time.monotonic() - begin < 5  # one look takes milliseconds


def test_what_overlaps_stays_together(lua: LuaState) -> None:
    a = np.ones(300, [("x", "f8")])
    gone = weakref.ref(a)
    parts = [SharedBuffer(a), SharedBuffer(a[100:200]), SharedBuffer(a[150:]), SharedBuffer(a[:0])]
    lua.execute("local parts = ... x = parts[2][0] for _, b in ipairs(parts) do b:release() end", parts)
    del a, parts
    for _ in range(3):
        lua.execute("collectgarbage()")
        gc.collect()
        assert gone() is not None
        assert lua.execute("return x.x") == 1
    lua.execute("x = nil for _ = 1, 3 do collectgarbage() end")
    gc.collect()
    assert gone() is None


def test_what_a_finalizer_releases_at_the_state_s_end_is_released() -> None:
    told: list[Any] = []
    with LuaState(globals={"told": lambda *results: told.extend(results)}) as lua:
        code = """
            local b = ...
            kept = newproxy(true)
            getmetatable(kept).__gc = function() b:release() told(#b, pcall(function() return b[0] end)) end"""
        lua.execute(code, SharedBuffer("float64", 3))
    assert told[:2] == [0, False]


def test_what_a_finalizer_releases_goes_with_the_next_collections(lua: LuaState) -> None:
    a = np.ones(1000)
    gone = weakref.ref(a)
    code = """
        local b = ...
        local p = newproxy(true)
        getmetatable(p).__gc = function() b:release() told(pcall(function() return b[0] end)) end"""
    told: list[tuple[Any, ...]] = []
    lua["told"] = lambda *results: told.append(results)
    lua.execute(code, SharedBuffer(a))
    del a
    lua.execute("for _ = 1, 3 do collectgarbage() end")
    gc.collect()
    assert gone() is None
    assert not told[0][0]
    assert "has been released" in told[0][1]


def test_what_a_state_once_kept_lets_it_keep_no_garbage(lua: LuaState) -> None:
    arrays: list[weakref.ref[Any]] = []

    def lent(size: int) -> SharedBuffer:
        a = np.empty(size, "u1")
        arrays.append(weakref.ref(a))
        return SharedBuffer(a)

    lua.execute("kept = {}")
    for _ in range(20):
        lua.execute("kept[#kept + 1] = ...", lent(32 << 20))
    assert all(each() is not None for each in arrays)
    lua.execute("kept = nil collectgarbage() collectgarbage()")
    arrays.clear()
    for _ in range(60):
        lua.execute("local b = ...", lent(8 << 20))
    assert sum(each() is not None for each in arrays) < 20


@pytest.mark.parametrize("dtype", ["float64", [("x", "f8")]])
def test_a_finalizer_that_finds_the_buffer_finalized_is_told(dtype: Any, lua: LuaState) -> None:
    told: list[str] = []
    lua["tell"] = told.append
    code = """
        local b, proxies = ..., {}
        for i = 1, 20 do
          proxies[i] = newproxy(true)
          getmetatable(proxies[i]).__gc = function()
            local worked, why = pcall(function() return b[0] end)
            tell(worked and "worked" or why)
          end
        end"""
    lua.execute(code, SharedBuffer(np.ones(1000, dtype)))
    lua.execute("collectgarbage() collectgarbage()")
    assert len(told) == 20
    assert all(each == "worked" or "has been released" in each for each in told)


def test_a_released_structure_goes_at_once_if_nothing_refers_to_it(lua: LuaState) -> None:
    a = np.ones(4, [("x", "f8")])
    gone = weakref.ref(a)
    assert lua.execute("b = ... local x = b[1].x b:release() return x", SharedBuffer(a)) == 1
    del a
    lua.execute("collectgarbage() b = nil")
    gc.collect()
    assert gone() is None
    with pytest.raises(LuaError, match="has been released"):
        lua.execute("b = ... b:release() return b[0]", SharedBuffer(np.ones(4, [("x", "f8")])))


def test_references_in_compiled_code_keep_the_memory(lua: LuaState) -> None:
    code = """
        local sum = 0
        for i = 1, 300 do
          local b = make()
          local element = b[1]
          b:release()
          for k = 1, 3 do sum = sum + element.x end
        end
        return sum"""
    made = []

    def make() -> SharedBuffer:
        a = np.full(1000, 2.0, [("x", "f8")])
        made.append(weakref.ref(a))
        return SharedBuffer(a)

    with LuaState(globals={"make": make}) as state:
        assert state.execute(code) == 300 * 3 * 2
        state.execute("collectgarbage() collectgarbage() collectgarbage()")
        gc.collect()
        assert [each() for each in made] == [None] * 300


def test_loops_over_structures_compile(lua: LuaState) -> None:
    a = np.ones(100, [("x", "f8"), ("y", "f8", 2)])
    code = """
        local b, aborts = ..., 0
        require('jit').attach(function(what) if what == 'abort' then aborts = aborts + 1 end end, 'trace')
        for k = 1, 100 do for i = 0, #b - 1 do b[i].x = b[i].x + b[i].y[1] end end
        return aborts"""
    assert lua.execute(code, SharedBuffer(a)) < 3
    assert a["x"].tolist() == [101] * 100


@pytest.mark.parametrize(
    "write", ["b[0].m[0] = 1", "b[0].p.x = 1", "b[0].p.v[1] = 1", "b[0].s[0] = 65", "b[0].n = 1"]
)
def test_what_is_read_only_is_so_at_every_depth(write: str, lua: LuaState) -> None:
    dtype = np.dtype([("n", "i4"), ("m", "f8", 2), ("p", [("x", "f8"), ("v", "i2", 3)]), ("s", "S4")])
    memory = bytes(2 * dtype.itemsize)
    b = SharedBuffer(np.frombuffer(memory, dtype))
    with pytest.raises(LuaError, match="constant"):
        lua.execute(f"local b = ... {write}", b)
    assert lua.execute("local b = ... return b[1].p.v[1] + b[0].m[1]", b) == 0
    assert not any(memory)


def test_a_dtype_that_is_not_the_buffers_is_refused() -> None:
    class Liar(bytearray):
        dtype = np.dtype([("a", "f8", 1000)])

    with pytest.raises(TypeError, match="8000 bytes, the elements of the buffer 1"):
        SharedBuffer(Liar(4))


@pytest.mark.parametrize("use", ["add(0, x)", "compare_and_set(0, x, 1)", "compare_and_set(0, 0, x)"])
def test_a_buffer_that_is_released_as_it_is_used_stays_till_then(use: str) -> None:
    class X:
        def __index__(self) -> int:
            b.release()
            return 0

    b, x = SharedBuffer("int64", 100_000), X()
    assert eval(f"b.{use}", {"b": b, "x": x}) in (0, True)
    assert b.released


@pytest.mark.parametrize(
    ("dtype", "error"),
    [
        ([("s", "S0"), ("x", "f8")], "no size"),
        ([("a", "f8", 0)], "no size"),
        ([("a b", "f8")], "a b"),
        ([("int", "f8")], "int"),
        ([("x", ">f8")], "byte order"),
        ([("x", "O")], "object"),
        ([("x", "f2")], "float16"),
        ([("x", "U3")], "U3"),
        ({"names": ["a", "b"], "formats": ["f8", "f4"], "offsets": [0, 4]}, "overlap"),
        ([("p", [("double", "f8")])], "double"),
    ],
)
def test_structures_that_c_has_no_form_for_are_refused(dtype: Any, error: str) -> None:
    with pytest.raises(TypeError, match=error):
        SharedBuffer(np.zeros(3, dtype))


# --- Bounds ---


@pytest.mark.parametrize(
    "index", ["5", "-1", "2^31", "2^53", "1e300", "-2^31", "0.5", "4.5", "-0.5", "0/0", "1/0"]
)
@pytest.mark.parametrize(
    "use",
    [
        "return b[{}]",
        "b[{}] = 1",
        "b:add({}, 1)",
        "b:notify({})",
        "b:wait({}, 0, 0)",
        "b:compare_and_set({}, 0, 1)",
    ],
)
def test_an_index_out_of_range_is_an_error(use: str, index: str, lua: LuaState) -> None:
    a = np.zeros(5)
    with pytest.raises((LuaError, IndexError), match=r"out of range|whole number"):
        lua.execute("local b = ... " + use.format(index), SharedBuffer(a))
    assert not a.any()


def test_bounds_hold_in_compiled_loops(lua: LuaState) -> None:
    a = np.zeros(1000, "float64")
    code = "local b, n = ... for i = 0, n do b[i] = i end"
    lua.execute(code, SharedBuffer(a), 999)
    with pytest.raises(LuaError, match="index 1000 is out of range: this buffer has 1000 elements"):
        lua.execute(code, SharedBuffer(a), 100_000)
    with pytest.raises(LuaError, match="index -1"):
        lua.execute("local b = ... for i = 900, -900, -1 do b[i] = i end", SharedBuffer(a))


def test_loops_over_elements_compile(lua: LuaState) -> None:
    lua.execute("""
        aborts = 0
        require('jit').attach(function(what) if what == 'abort' then aborts = aborts + 1 end end, 'trace')""")
    for dtype in NUMBERS:
        a = np.zeros(1000, dtype)
        lua.execute(
            "local b = ... for k = 1, 100 do for i = 0, #b - 1 do b[i] = b[i] + 1 end end", SharedBuffer(a)
        )
        assert a[0] == a[999] == 100
    # What can't be compiled is tried a few times for each; one may abort, as it began in the middle of a loop.
    assert lua.execute("return aborts") < 5


@pytest.mark.parametrize("key", ["'x'", "true", "nil", "{}", "print"])
def test_what_is_no_index_is_refused(key: str, lua: LuaState) -> None:
    b = SharedBuffer("float64", 3)
    for use in ("return (...)[{}]", "(...)[{}] = 1"):
        with pytest.raises(LuaError, match=r'^\[string "[^"]*"\]:1: .*no field'):
            lua.execute(use.format(key), b)


def test_a_64_bit_integer_is_an_index(lua: LuaState) -> None:
    a = np.arange(3.0)
    assert lua.execute("local b = ... b[1LL] = b[2ULL] + 5 return b[1LL]", SharedBuffer(a)) == 7
    assert a.tolist() == [0, 7, 2]
    for use in ("local x = (...)[3LL]", "(...)[-1LL] = 1"):
        with pytest.raises(LuaError, match=r'^\[string "[^"]*"\]:1: index -?\d is out of range'):
            lua.execute(use, SharedBuffer(a))


@pytest.mark.parametrize("value", ["'x'", "print", "nil", "{}", "coroutine.create(print)"])
@pytest.mark.parametrize("dtype", ["int32", "float32", "bool"])
def test_what_is_no_number_is_refused(value: str, dtype: str, lua: LuaState) -> None:
    with pytest.raises(LuaError, match=r'^\[string "[^"]*"\]:1: .*can\'t be an element'):
        lua.execute(f"(...)[0] = {value}", SharedBuffer(dtype, 3))


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "float64", "bool"])
def test_a_boolean_is_0_or_1(dtype: str, lua: LuaState) -> None:
    a = np.zeros(3, dtype)
    lua.execute("local b = ... b[0], b[1] = true, false b[2] = true", SharedBuffer(a))
    assert a.tolist() == [1, 0, 1]


@pytest.mark.parametrize("to", ["float16", "float32", "float64"])
def test_big_integers_are_stored_as_floats_in_compiled_loops(to: str, lua: LuaState) -> None:
    """LuaJIT alone writes garbage there, or to the address that the integer is."""
    a = np.arange(200, dtype="int64") + (0 if to == "float16" else 2**53 + 1)
    b = np.zeros(200, to)
    lua.execute("local a, b = ... for i = 0, #a - 1 do b[i] = a[i] end", SharedBuffer(a), SharedBuffer(b))
    np.testing.assert_array_equal(b, a.astype("float64").astype(to))


@pytest.mark.parametrize("field", ["__handle", "__address", "__near", "__size"])
def test_a_buffer_can_not_be_bent(field: str) -> None:
    for libraries in ("safe", "all"):
        with pytest.raises(LuaError):
            osthread.run(f"(...).{field} = 2^40", SharedBuffer("int8", 3), libraries=libraries)


def test_safe_code_has_no_pointer(lua: LuaState) -> None:
    b = SharedBuffer("float64", 3)
    code = "local b = ... b[1] = 5 return b.data, b[1], type(b.__address)"
    assert osthread.run(code, b, libraries="safe") == (None, 5, "cdata")
    assert osthread.run("return (...).data", b, libraries=["string"]) is None
    with pytest.raises(LuaError, match="ffi"):
        osthread.run("return (...)[0]", SharedBuffer(np.zeros(3, [("x", "f8")])), libraries="safe")
    with pytest.raises(LuaError):
        osthread.run("return require('osthread').SharedBuffer('int8', 1)", libraries="safe")


def test_replaced_functions_are_not_given_the_ffi() -> None:
    code = """
        local seen = {}
        for name in ('type error tonumber tostring setmetatable loadstring load pairs assert'):gmatch('%a+') do
          local original = _G[name]
          _G[name] = function(...)
            for i = 1, select('#', ...) do
              local value = select(i, ...)
              if original ~= nil and rawequal(value, nil) == false then seen[#seen + 1] = value end
            end
            return original(...)
          end
        end
        local b = ...
        b[0] = 1
        local found = 0
        for _, value in next, seen do
          if not rawequal(value, b) and getmetatable(value) == 'ffi' then found = found + 1 end
        end
        return found"""
    assert osthread.run(code, SharedBuffer("int8", 3), libraries="safe") == 0


# --- What it is made of ---


@pytest.mark.parametrize(
    ("lender", "dtype", "readonly"),
    [
        (b"abc", "uint8", True),
        (bytearray(b"abc"), "uint8", False),
        (memoryview(b"abc"), "uint8", True),
        (array.array("d", [1, 2, 3]), "float64", False),
        (array.array("i", [1, 2, 3]), "int32", False),
        (array.array("l", [1, 2, 3]), "int64" if sys.maxsize > 2**32 and os.name != "nt" else "int32", False),
        (np.array([1, 2, 3], "<i2"), "int16", False),
        (np.array(["a", "b", "c"], "S1").view("u1"), "uint8", False),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, (str, bool)) else "",
)
def test_whatever_has_the_buffer_protocol(lender: Any, dtype: str, readonly: bool, lua: LuaState) -> None:
    b = SharedBuffer(lender)
    assert (b.dtype, b.size, b.readonly) == (dtype, 3, readonly)
    assert lua.execute("return (...)[2]", b) == memoryview(lender)[2]


def test_mapped_files(tmp_path: Any) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(4096))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        with SharedBuffer(mapped) as b:
            osthread.run("local b = ... for i = 0, #b - 1 do b[i] = i % 256 end", b)
        gc.collect()
        mapped.flush()
    assert path.read_bytes() == bytes(range(256)) * 16


def test_its_own_memory_is_zero_and_aligned() -> None:
    for shape in (0, 1, 7, (3, 5), (), 1_000_000):
        b = SharedBuffer("float64", shape)
        a = np.asarray(b)
        assert not a.any()
        assert a.ctypes.data % 64 == 0
        assert a.flags.writeable
    assert (
        SharedBuffer(float, 3).dtype
        == SharedBuffer(np.float64, 3).dtype
        == SharedBuffer("f8", 3).dtype
        == "float64"
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "error"),
    [
        ((np.zeros((4, 4))[:, 1],), ValueError, "ascontiguousarray"),
        ((np.zeros((4, 4)).T,), ValueError, "C-contiguous"),
        ((np.asfortranarray(np.zeros((4, 4))),), ValueError, "C-contiguous"),
        ((np.zeros(3, ">f8"),), TypeError, "byte order"),
        ((np.zeros(3, object),), TypeError, "'O'"),
        ((np.zeros(3, "U4"),), TypeError, "can't be shared"),
        ((np.zeros(3, "M8[s]"),), TypeError, "view"),
        ((np.zeros(3, np.longdouble),), TypeError, "can't be shared"),
        ((np.frombuffer(bytes(17), "u1")[1:].view("f8"),), ValueError, "aligned"),
        (([1, 2, 3],), TypeError, "array or bytes-like"),
        ((3,), TypeError, "array or bytes-like"),
        (("float64",), TypeError, "needs a shape"),
        ((float,), TypeError, "needs a shape"),
        (("float65", 3), TypeError, "float65"),
        (("float64", -1), ValueError, "-1"),
        (("float64", (2, -1)), ValueError, "-1"),
        (("float64", 2.5), TypeError, "integer"),
        (("float64", (2**40, 2**40)), ValueError, "no memory can hold"),
        ((np.dtype([("x", "f8")]), 3), TypeError, "np.zeros"),
        ((np.dtype(">f8"), 3), TypeError, "byte order"),
        (("longdouble", 3), (TypeError, ValueError), "longdouble|float128"),
    ],
)
def test_what_can_not_be_shared_is_refused_with_a_remedy(arguments: Any, kind: Any, error: str) -> None:
    with pytest.raises(kind, match=error):
        SharedBuffer(*arguments)


def test_no_memory_for_it() -> None:
    with pytest.raises(MemoryError):
        SharedBuffer("uint8", 2**62)


def test_read_only_stays_so(lua: LuaState) -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    b = SharedBuffer(a)
    assert b.readonly
    assert lua.execute("local b = ... return b[1], b.readonly", b) == (1, True)
    for change in ("b[1] = 5", "b:add(1, 5)", "b:compare_and_set(1, 1, 5)", "b.data[1] = 5"):
        with pytest.raises(Exception, match=r"read-only|constant"):
            lua.execute("local b = ... " + change, b)
    with pytest.raises(ValueError, match="read-only"):
        b.add(1, 5)
    assert a[1] == 1
    assert not np.asarray(b).flags.writeable


def test_made_in_lua(lua: LuaState) -> None:
    b = lua.execute("local b = require('osthread').SharedBuffer('float32', {2, 3}) b[5] = 1.5 return b")
    assert isinstance(b, SharedBuffer)
    assert np.asarray(b).tolist() == [[0, 0, 0], [0, 0, 1.5]]
    assert np.asarray(b).dtype == np.float32


@pytest.mark.parametrize(
    "arguments",
    [
        "", "'float64'", "'float65', 3", "'float64', -1", "'float64', 1.5", "'float64', 'x'", "'float64', {2, 'x'}",
        "3, 3", "'structure', 3",
    ],
)  # fmt: skip
def test_wrong_arguments_in_lua(arguments: str, lua: LuaState) -> None:
    with pytest.raises((LuaError, ValueError), match=r"SharedBuffer|dtype"):
        lua.execute(f"return require('osthread').SharedBuffer({arguments})")


# --- One memory, many handles ---


def test_it_is_the_same_object_wherever_it_goes(lua: LuaState) -> None:
    b = SharedBuffer("float64", 3)
    assert lua.execute("x = ... return x, x == ..., { x }", b) == (b, True, [b])
    channel, table = Channel(), SharedTable({"b": b})
    channel.send(b)
    assert channel.receive() is b
    assert table["b"] is b


def test_every_thread_writes_into_the_same_memory() -> None:
    a = np.zeros(80_000)
    code = "local b, n, k = ... for i = n * k, n * k + n - 1 do b[i] = i end"
    threads = [OSThread(code, SharedBuffer(a), 10_000, k) for k in range(8)]
    for thread in threads:
        assert thread.join(PATIENCE)
    np.testing.assert_array_equal(a, np.arange(80_000))


def test_what_is_lent_is_pinned_until_the_last_handle_goes(lua: LuaState) -> None:
    lent = bytearray(100)
    b = SharedBuffer(lent)
    lua.execute("x = ...", b)
    for _ in range(2):
        with pytest.raises(BufferError):
            lent.extend(b"more")
        b.release()
    lua.execute("x[0] = 7 x = nil collectgarbage() collectgarbage()")
    gc.collect()
    lent.extend(b"more")
    assert lent[0] == 7


def test_lua_keeps_the_memory_alone() -> None:
    a = np.ones(1_000_000)
    gone = weakref.ref(a)
    thread = OSThread(
        "local b = ... local s = 0 for k = 1, 20 do for i = 0, #b - 1 do s = s + b[i] end end return s",
        SharedBuffer(a),
    )
    del a
    gc.collect()
    assert thread.result(PATIENCE) == 20_000_000
    del thread
    gc.collect()
    assert gone() is None


def test_use_after_release_is_an_error(lua: LuaState) -> None:
    b = SharedBuffer("float64", 3)
    with b:
        b.add(0, 1)
    assert b.released
    assert repr(b) == "<SharedBuffer: released>"
    b.release()
    for use in (
        lambda: len(b), lambda: b.shape, lambda: b.add(0, 1), lambda: b.wait(0, 1, 0), lambda: b.notify(0),
        lambda: memoryview(b), lambda: lua.execute("", b), lambda: b.compare_and_set(0, 0, 1), lambda: b.dtype,
        lambda: b.__array_interface__,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="released"):
            use()


def test_views_bar_the_release() -> None:
    b = SharedBuffer("float64", 3)
    view, again = memoryview(b), np.asarray(b)
    for drop in (view.release, lambda: None):
        with pytest.raises(BufferError, match="memoryviews or arrays"):
            b.release()
        drop()
    del again
    gc.collect()
    b.release()
    b = SharedBuffer("float64", 3)
    interface = b.__array_interface__
    assert interface["shape"] == (3,)
    assert interface["typestr"] == np.dtype("f8").str
    with pytest.raises(BufferError):
        b.release()


def test_released_in_lua(lua: LuaState) -> None:
    b = SharedBuffer("float64", 3)
    lua.execute("x = ... x:release() x:release()", b)
    for use in (
        "return x[0]",
        "x[0] = 1",
        "return x.data",
        "return x.shape",
        "x:add(0, 1)",
        "x:wait(0, 0)",
        "return x",
    ):
        with pytest.raises((LuaError, ConversionError), match=r"released|cdata"):
            lua.execute(use)
    assert lua.execute("return #x, tostring(x)") == (0, "SharedBuffer: released")
    assert lua.execute("local y = ... y[1] = 5 return y[1], y == x", b) == (5, False)


def test_a_view_outlives_the_object() -> None:
    view = memoryview(SharedBuffer("float64", 1000))
    gc.collect()
    view[999] = 1.5
    assert view[999] == 1.5
    assert view.format == "d"
    assert view.shape == (1000,)
    assert view.strides == (8,)


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool", "complex64", "complex128"])
def test_numpy_sees_the_same_dtype_and_address(dtype: str) -> None:
    a = np.zeros((2, 3), dtype)
    again = np.asarray(SharedBuffer(a))
    assert again.dtype == a.dtype
    assert again.shape == a.shape
    assert again.ctypes.data == a.ctypes.data


def test_numpy_sees_the_same_structure() -> None:
    a = np.zeros(3, [("x", "f8"), ("n", "i4")])
    again = np.asarray(SharedBuffer(a))
    assert again.dtype == a.dtype
    assert again.ctypes.data == a.ctypes.data


def test_it_can_not_be_copied_by_accident() -> None:
    with pytest.raises(TypeError, match="pickle an array"):
        pickle.dumps(SharedBuffer("int8", 1))
    with pytest.raises(ConversionError, match=r"SharedBuffer\(a\)"):
        osthread.run("return 1", np.zeros(3))


# --- Atomics ---


@pytest.mark.parametrize("dtype", ATOMIC)
def test_atomic_operations_of_each_dtype(dtype: str, lua: LuaState) -> None:
    b = SharedBuffer(dtype, 2)
    assert b.add(1, 5) == 5
    assert b.add(1) == 6
    assert lua.execute("return (...):add(1, 10)", b) == 16
    assert not b.compare_and_set(1, 15, 1)
    assert b.compare_and_set(1, 16, 2)
    code = "local b = ... return b:compare_and_set(1, 1, 3), b:compare_and_set(1, 2, 3), b[1]"
    assert lua.execute(code, b) == (False, True, 3)
    assert np.asarray(b).tolist() == [0, 3]


@pytest.mark.parametrize("dtype", [d for d in ATOMIC if "int" in d])
def test_integers_wrap_around(dtype: str, lua: LuaState) -> None:
    info = np.iinfo(dtype)
    b = SharedBuffer(np.array([info.max, info.max], dtype))
    assert b.add(0, 1) == info.min == lua.execute("return (...):add(1, 1)", b)
    with pytest.raises(ConversionError, match=r"fits|beyond 64 bits"):
        b.add(0, int(info.max) + 1)
    with pytest.raises((LuaError, ConversionError), match="fits"):
        lua.execute("(...):add(0, 0.5)", b)


def test_sums_beyond_lua_numbers_are_exact(lua: LuaState) -> None:
    b = SharedBuffer(np.array([2**53 - 1, 2**62], "int64"))
    assert [lua.execute("return (...):add(0, 1)", b) for _ in range(3)] == [2**53, 2**53 + 1, 2**53 + 2]
    assert lua.execute("return (...):add(1, 1)", b) == 2**62 + 1 == np.asarray(b)[1]
    assert lua.execute("return (...):add(1, 2LL^60)", b) == 2**62 + 1 + 2**60


@pytest.mark.parametrize("dtype", ["bool", "float16", "complex128"])
def test_no_atomics_for_these(dtype: str, lua: LuaState) -> None:
    b = SharedBuffer(dtype, 2)
    for use in (lambda: b.add(0, 1), lambda: lua.execute("(...):add(0, 1)", b), lambda: b.wait(0, 0, 0)):
        with pytest.raises((ValueError, LuaError), match="no atomic operations"):
            use()


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint64", "float32", "float64"])
def test_threads_add_up(dtype: str) -> None:
    b = SharedBuffer(dtype, 1)
    each = 10 if dtype == "int8" else 50_000
    threads = [OSThread("local b, n = ... for i = 1, n do b:add(0, 1) end", b, each) for _ in range(4)]
    for _ in range(each):
        b.add(0, 2)
    for thread in threads:
        assert thread.join(PATIENCE)
    assert np.asarray(b)[0] == 6 * each


def test_compare_and_set_takes_turns() -> None:
    b = SharedBuffer("float64", 1)
    code = """
        local b, n = ...
        for i = 1, n do
          local old
          repeat old = b[0] until b:compare_and_set(0, old, old + 1)
        end"""
    threads = [OSThread(code, b, 20_000) for _ in range(4)]
    for thread in threads:
        assert thread.join(PATIENCE)
    assert np.asarray(b)[0] == 80_000


def test_waits_end_with_the_change_or_in_time(lua: LuaState) -> None:
    b = SharedBuffer("int32", 2)
    assert b.wait(0, 1)
    assert not b.wait(0, 0, 0)
    assert not b.wait(0, 0, 0.01)
    assert lua.execute("local b = ... return b:wait(0, 1), b:wait(0, 0, 0.01)", b) == (True, None, "timeout")
    with OSThread("local b = ... b:wait(0, 0) return b[0]", b) as t:
        b.add(1, 1)
        b.notify(1)  # another element's news
        assert not t.join(0.05)
        b.add(0, 7)
        b.notify(0)
        assert t.result(PATIENCE) == 7


def test_python_waits_for_lua() -> None:
    b = SharedBuffer("float64", 1)
    with OSThread("local b = ... require('osthread').sleep(0.02) b[0] = 1.5 b:notify(0)", b):
        assert b.wait(0, 0, PATIENCE)
    assert np.asarray(b)[0] == 1.5


def test_no_news_is_lost() -> None:
    b = SharedBuffer("int32", 2)
    code = """
        local b, mine, n = ...
        local other = 1 - mine
        for i = 1, n do
          if mine == 1 then while b[0] < i do b:wait(0, i - 1) end end
          b[mine] = i
          b:notify(mine)
          if mine == 0 then while b[1] < i do b:wait(1, i - 1) end end
        end"""
    threads = [OSThread(code, b, k, 20_000) for k in range(2)]
    for thread in threads:
        assert thread.join(PATIENCE)
    assert np.asarray(b).tolist() == [20_000, 20_000]


@pytest.mark.parametrize("stop", ["request_stop", "interrupt", "kill", "terminate"])
def test_a_stop_ends_the_wait(stop: str) -> None:
    b = SharedBuffer("int32", 1)
    thread = OSThread("(...):wait(0, 0)", b)
    wait_until(lambda: thread.statistics().waiting_for is not None)
    assert str(thread.statistics().waiting_for).startswith("buffer")
    getattr(thread, stop)()
    assert thread.join(PATIENCE)
    assert thread.status in ("stopped", "killed")
    assert isinstance(thread.exception(), osthread.Stopped)


def test_a_wait_in_python_lets_others_run() -> None:
    b = SharedBuffer("int32", 1)
    waiting = threading.Thread(target=b.wait, args=(0, 0, PATIENCE))
    waiting.start()
    np.asarray(b)[0] = 1
    b.notify(0)
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork_the_child_has_its_own_copy() -> None:
    b = SharedBuffer("int32", 1)
    b.add(0, 5)
    child = os.fork()
    if child == 0:
        try:
            fine = b.add(0, 1) == 6
            try:
                b.notify(0)
                fine = False
            except RuntimeError as error:
                fine = fine and "fork" in str(error)
            os._exit(0 if fine else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.asarray(b)[0] == 5


def test_concurrent_making_and_dropping() -> None:
    channel = Channel(16)
    code = """
        local out, n = ...
        local osthread = require 'osthread'
        for i = 1, n do
          local b = osthread.SharedBuffer('float64', 100)
          b[99] = i
          out:send(b)
        end"""
    with OSThread(code, channel, 2000, closes=[channel]):
        assert sum(int(np.asarray(b)[99]) for b in channel) == 2000 * 2001 // 2


@pytest.mark.parametrize(
    "code",
    [
        "return b[3]",
        "local x = b[3]",
        "b[3] = 1",
        "b[-1] = 1",
        "local x = b[0.5]",
        "b:release() local x = b[0]",
    ],
)
def test_a_wrong_index_in_lua_says_where(code: str) -> None:
    with pytest.raises(LuaError) as caught:
        osthread.run(f"local b = ...\n{code}", SharedBuffer("int32", 3))
    assert re.match(
        r'\[string ".*"\]:2: (index .* is out of range|this SharedBuffer has been released)',
        caught.value.message,
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_unsigned_integers_are_counted_down_by_negative_ones(dtype: str, lua: LuaState) -> None:
    b = SharedBuffer(dtype, 1)
    most = np.iinfo(dtype).max
    assert b.add(0, -1) == most
    assert b.add(0, 2) == 1
    assert lua.execute("local b = ... return b:add(0, -1)", b) == 0
    assert b.add(0, -(most // 2) - 1) == most // 2 + 1
    for wrong in (-(most // 2) - 2, most + 1, 0.5):
        with pytest.raises((ConversionError, TypeError)):
            b.add(0, wrong)


@pytest.mark.parametrize("index", [2**63, -(2**63) - 1, 10**30])
def test_an_index_beyond_all_is_out_of_range(index: int) -> None:
    b = SharedBuffer("int32", 3)
    for call in (lambda: b.add(index), lambda: b.compare_and_set(index, 0, 1), lambda: b.wait(index, 0, 0)):
        with pytest.raises(IndexError, match=f"index {index} is out of range: this buffer has 3 elements"):
            call()
