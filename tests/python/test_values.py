"""Values cross between Python and Lua as API.md's table says, both ways, or not at all and with a reason."""

import array
import collections
import dataclasses
import decimal
import enum
import fractions
import gc
import math
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from types import MappingProxyType, SimpleNamespace
from typing import Any

import osthread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from osthread import ConversionError, LuaFunction, LuaState, OSThread

DEEP = 100_000
MILLION = 1_000_000


@pytest.fixture
def lua():
    with LuaState() as state:
        yield state


def echo(value: Any, **options: Any) -> Any:
    """The value after a trip into a thread and back."""
    return osthread.run("return ...", value, **options)


def same(a: Any, b: Any) -> bool:
    """Equal, of the same type, with nan equal to itself and -0.0 not to 0.0; on all levels."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


# --- Scalars ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "type_in_lua"),
    [
        (None, "nil"),
        (True, "boolean"),
        (False, "boolean"),
        (0, "number"),
        (-1, "number"),
        (1.5, "number"),
        (-0.0, "number"),
        (math.nan, "number"),
        (math.inf, "number"),
        (-math.inf, "number"),
        (5e-324, "number"),
        (1.7976931348623157e308, "number"),
        (2.0**53 + 2, "number"),
        (2**53 - 1, "number"),
        (2**53, "number"),
        (-(2**53), "number"),
        (2**53 + 1, "cdata"),
        (-(2**53) - 1, "cdata"),
        (2**63 - 1, "cdata"),
        (-(2**63), "cdata"),
        (2**63, "cdata"),
        (2**64 - 1, "cdata"),
        ("", "string"),
        ("text", "string"),
        ("zero \0 inside\0", "string"),
        ("żółć 漢字 🧵", "string"),
        (b"\xff\xfe", "string"),
        (b"\0\xff\0", "string"),
    ],
)
def test_scalar_crosses_and_comes_back(lua: LuaState, value: Any, type_in_lua: str) -> None:
    kind, back = lua.execute("return type(...), ...", value)
    assert kind == type_in_lua
    assert same(back, value)


@pytest.mark.parametrize("value", [3.0, -3.0, 2.0**53, -(2.0**53), 0.0])
def test_integral_float_comes_back_as_int(lua: LuaState, value: float) -> None:
    back = lua.execute("return ...", value)
    assert (type(back), back) == (int, value)


def test_int_beyond_2_53_is_exact_in_lua(lua: LuaState) -> None:
    code = "local n = ... return tostring(n), require('ffi').istype('int64_t', n), n + 1"
    assert lua.execute(code, 2**53 + 1) == (f"{2**53 + 1}LL", True, 2**53 + 2)
    code = "local n = ... return tostring(n), require('ffi').istype('uint64_t', n), n - 1"
    assert lua.execute(code, 2**64 - 1) == (f"{2**64 - 1}ULL", True, 2**64 - 2)


def test_small_64_bit_integers_of_lua_are_ints(lua: LuaState) -> None:
    back = lua.execute("return 5LL, 7ULL, -1LL, {2LL}")
    assert back == (5, 7, -1, [2])
    assert [type(value) for value in back[:3]] == [int, int, int]


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**100, -(10**100)])
def test_int_beyond_64_bits_is_an_overflow_that_names_its_place(value: int) -> None:
    with pytest.raises(ConversionError, match="64 bits") as caught:
        OSThread("return 1", {"n": [0, value]})
    assert isinstance(caught.value, OverflowError)
    assert caught.value.path == "args[1].n[2]"


def test_what_has_an_index_is_an_int(lua: LuaState) -> None:
    class Index:
        def __index__(self) -> int:
            return 2**60

    class Colour(enum.IntEnum):
        RED = 7

    assert lua.execute("return ...", Index(), Colour.RED) == (2**60, 7)


def test_error_of_an_index_method_comes_out_as_itself() -> None:
    class Index:
        def __index__(self) -> int:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        OSThread("return 1", [Index()])


# --- Strings and encodings ----------------------------------------------------------------------------


def test_str_is_utf_8_in_lua(lua: LuaState) -> None:
    assert lua.execute("return (...):byte(1, -1)", "ż") == (0xC5, 0xBC)


def test_bytearray_and_bytes_are_strings(lua: LuaState) -> None:
    assert lua.execute("return ...", b"plain", bytearray(b"\xf0\0")) == ("plain", b"\xf0\0")


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", ["a", "é", b"\xff"]),
        ("UTF8", ["a", "é", b"\xff"]),
        ("ascii", ["a", b"\xc3\xa9", b"\xff"]),
        ("latin-1", ["a", "Ã©", "ÿ"]),
        ("cp1251", ["a", "Г©", "я"]),
        (None, [b"a", b"\xc3\xa9", b"\xff"]),
    ],
)
def test_encoding_is_of_strings_that_come_from_lua(encoding: str | None, expected: list) -> None:
    seen = []
    code = "local f = ... local t = {'a', '\\195\\169', '\\255'} f(t) return t"
    assert osthread.run(code, seen.append, encoding=encoding) == expected
    assert seen == [expected]
    with LuaState(encoding=encoding) as state:
        assert state.execute("x = {'a', '\\195\\169', '\\255'} return x") == expected
        assert state["x"] == expected


def test_encoding_is_of_keys_too() -> None:
    assert osthread.run("return {a = 1, ['\\255'] = 2}", encoding=None) == {b"a": 1, b"\xff": 2}
    assert osthread.run("return {a = 1, ['\\255'] = 2}") == {"a": 1, b"\xff": 2}


def test_lone_surrogate_is_refused_and_named() -> None:
    with pytest.raises(ConversionError, match="surrogate") as caught:
        OSThread("return 1", "fine", {"name": "\udc80"})
    assert caught.value.path == "args[2].name"
    with pytest.raises(ConversionError, match="surrogate"):
        OSThread("return 1", {"\udc80": 1})


# --- None, nil, null ----------------------------------------------------------------------------------


def test_none_is_nil_as_argument_result_and_global() -> None:
    code = "return select('#', ...), (...) == nil, type(...), type(x), nil"
    assert osthread.run(code, None, None, globals={"x": None}) == (2, True, "nil", "nil", None)


def test_none_inside_a_table_is_null() -> None:
    code = """
    local null, t = require('osthread').null, ...
    return #t, t[1] == nil, t[1] == null, t[1] and 'true in if', rawequal(t.x, nil), type(t[1])
    """
    assert osthread.run(code, [None, None]) == (2, True, True, "true in if", True, "cdata")
    assert osthread.run("return (...).x == nil, rawequal((...).x, nil)", {"x": None}) == (True, False)


def test_nils_among_results_keep_their_places() -> None:
    assert osthread.run("return nil, 1, nil, nil") == (None, 1, None, None)


def test_null_is_none_wherever_it_comes_from() -> None:
    code = "local null = require('osthread').null return null, {null, x = null}, require('ffi').new('void *')"
    assert osthread.run(code) == (None, {1: None, "x": None}, None)


def test_none_in_containers_comes_back() -> None:
    assert echo([None, {"a": None}, [None]]) == [None, {"a": None}, [None]]


# --- Tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{}", {}),
        ("{1, 2, 3}", [1, 2, 3]),
        ("{[2] = 'b', [1] = 'a'}", ["a", "b"]),
        ("{1, nil, 3}", {1: 1, 3: 3}),
        ("{[2] = 2}", {2: 2}),
        ("{[0] = 0, 1}", {0: 0, 1: 1}),
        ("{1, 2, x = 3}", {1: 1, 2: 2, "x": 3}),
        ("{[1.5] = 1}", {1.5: 1}),
        ("{[true] = 1, [false] = 0}", {True: 1, False: 0}),
        ("{[-1] = 1, [2^53] = 2, [1/0] = 3}", {-1: 1, 2**53: 2, math.inf: 3}),
        ("osthread.array{}", []),
        ("osthread.array{1, 2}", [1, 2]),
        ("osthread.array{x = 1}", {"x": 1}),
        ("osthread.array{1, nil, 3}", {1: 1, 3: 3}),
        ("osthread.map{}", {}),
        ("osthread.map{'a', 'b'}", {1: "a", 2: "b"}),
        ("{osthread.map{osthread.array{}}, {}}", [{1: []}, {}]),
        ("setmetatable({1, 2}, {__index = error, __len = error, __pairs = error})", [1, 2]),
    ],
)
def test_table_becomes_list_or_dict(lua: LuaState, source: str, expected: Any) -> None:
    assert same(lua.execute(f"local osthread = require 'osthread' return {source}"), expected)


@pytest.mark.parametrize(
    "value",
    [[], {}, [[]], [{}], {"a": []}, {"a": {}}, {1: "a"}, {1: "a", 2: "b"}, {2: "b"}, {1: {1: {1: []}}}],
)
def test_containers_come_back_as_what_they_were(value: Any) -> None:
    assert same(echo(value), value)


def test_tuple_comes_back_as_list() -> None:
    assert same(echo(((), (1, (2,)))), [[], [1, [2]]])


def test_mark_of_a_list_gives_way_to_other_keys() -> None:
    assert osthread.run("local t = ... t.x = 1 return t", []) == {"x": 1}
    assert osthread.run("local t = ... t[1] = 5 return t", []) == [5]


def test_no_metamethod_runs_and_metatables_stay_behind(lua: LuaState) -> None:
    code = """
    local bad = function() error('a metamethod ran') end
    local meta = {__index = bad, __newindex = bad, __len = bad, __pairs = bad, __eq = bad, __tostring = bad,
                  __metatable = 'locked'}
    return setmetatable({x = setmetatable({1}, meta)}, meta)
    """
    assert lua.execute(code) == {"x": [1]}
    lua.execute("setmetatable(_G, {__newindex = function() error('ran') end, __index = error})")
    lua["fresh"] = [1]
    assert lua["fresh"] == [1]
    assert lua["absent"] is None


def test_sparse_table_costs_its_elements_not_its_border() -> None:
    # Lua's border of this table is 2^29: room for that many would be some 10 GB.
    code = (
        "import osthread, resource\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))\n"
        "print(len(osthread.run('local t = {} for i = 0, 29 do t[2^i] = 1 end return t')))"
    )
    assert in_subprocess(code) == "30\n"


def test_subclasses_of_containers_cross_as_their_bases() -> None:
    Point = collections.namedtuple("Point", "x y")
    counter = collections.Counter("aab")
    ordered = collections.OrderedDict(z=1, a=2)
    default = collections.defaultdict(list, {"k": [1]})

    class MyList(list):
        pass

    class MyStr(str):
        pass

    class MyInt(int):
        pass

    assert echo(Point(1, 2)) == [1, 2]
    assert echo([counter, ordered, default]) == [{"a": 2, "b": 1}, {"z": 1, "a": 2}, {"k": [1]}]
    assert echo([MyList([1]), MyStr("s"), MyInt(5), {MyStr("k"): 1}]) == [[1], "s", 5, {"k": 1}]


def test_million_elements_cross_both_ways() -> None:
    numbers = [i * 0.5 for i in range(MILLION)]
    size, back = osthread.run("local t = ... return #t, t", numbers)
    assert size == MILLION
    assert back == numbers
    table = osthread.run("local t = {} for i = 1, 1e6 do t['k' .. i] = i end return t")
    assert len(table) == MILLION
    assert table["k999999"] == 999_999
    assert osthread.run("local n = 0 for k, v in pairs(...) do n = n + v end return n", table) == sum(
        range(MILLION + 1)
    )


def test_list_of_depth_100000_crosses_both_ways() -> None:
    nested: list = []
    for _ in range(DEEP - 1):
        nested = [nested]
    code = "local t, n = ..., 0 local u = t while u do n = n + 1 u = u[1] end return n, t"
    depth, back = osthread.run(code, nested)
    assert depth == DEEP
    levels = 0
    while back:
        levels, back = levels + 1, back[0]
    assert levels == DEEP - 1
    assert back == []


def test_dict_of_depth_100000_crosses_both_ways() -> None:
    nested: dict = {}
    for _ in range(DEEP - 1):
        nested = {"next": nested}
    back = echo(nested)
    levels = 1
    while back:
        levels, back = levels + 1, back["next"]
    assert levels == DEEP


def test_table_made_in_lua_of_depth_100000_comes_out() -> None:
    back = osthread.run("local t = {} for i = 2, ... do t = {x = t} end return t", DEEP)
    levels = 1
    while back:
        levels, back = levels + 1, back["x"]
    assert levels == DEEP


def test_error_at_depth_100000_names_the_whole_way_down() -> None:
    nested: Any = object()
    for _ in range(DEEP):
        nested = [nested]
    with pytest.raises(ConversionError) as caught:
        OSThread("return 1", nested)
    assert caught.value.path == "args[1]" + "[1]" * DEEP


# --- Shared references and cycles -----------------------------------------------------------------------


def test_shared_references_are_kept_into_lua() -> None:
    shared = [1]
    code = "local a, b, c = ... return rawequal(a, b[1]) and rawequal(a, b[2]) and rawequal(a, c.x)"
    assert osthread.run(code, shared, [shared, shared], {"x": shared}) is True
    assert osthread.run("local t = ... return rawequal(t[1], t[2])", [[1], [1]]) is False


def test_shared_references_are_kept_out_of_lua() -> None:
    a, b, c = osthread.run("local t = {} return t, {t, t}, {x = t}")
    assert a is b[0]
    assert a is b[1]
    assert a is c["x"]


def test_cycles_are_kept_both_ways() -> None:
    ring: list = [1]
    ring.append(ring)
    knot: dict = {"ring": ring}
    knot["self"] = knot
    closed, back = osthread.run("local t = ... return t.self == t and t.ring[2] == t.ring, t", knot)
    assert closed is True
    assert back["self"] is back
    assert back["ring"][1] is back["ring"]
    assert back["ring"][0] == 1


def test_cycles_made_in_lua_come_out() -> None:
    back = osthread.run("local a, b = {}, {} a.b, b.a = b, a return a")
    assert back["b"]["a"] is back


def test_shared_references_are_kept_through_a_callable() -> None:
    def twice(values: list) -> tuple:
        assert values[0] is values[1]
        return values, values[0]

    assert (
        osthread.run("local t = {} local u, v = (...)({t, t}) return u[1] == v and u[2] == v", twice) is True
    )


# --- Keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"text": 1, b"\xff": 2, True: 3, 2.5: 4, 7: 5, -(2**53): 6, 2**53: 7, math.inf: 8, "": 9, "\0": 10},
        {2.0**60: 1},
        {False: 0},
    ],
)
def test_keys_come_back(value: dict) -> None:
    assert same(echo(value), value)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "NoneType"),
        ((1, 2), "tuple"),
        (math.nan, "nan"),
        (2**53 + 1, "2\\^53"),
        (-(2**53) - 1, "2\\^53"),
        (2**100, "2\\^53"),
        (frozenset(), "frozenset"),
        (len, "builtin"),
        (1j, "complex"),
    ],
)
def test_key_that_can_not_be_one_is_refused_with_its_place(key: Any, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason) as caught:
        OSThread("return 1", {"ok": [{key: 1}]})
    assert caught.value.path == "args[1].ok[1]"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("{}", "table"),
        ("print", "function"),
        ("function() end", "function"),
        ("coroutine.create(print)", "thread|coroutine"),
        ("io.stdout", "userdata"),
        ("require('ffi').new('int[1]')", "cdata"),
        ("require('osthread').null", "key"),
    ],
)
def test_lua_key_that_can_not_be_one_is_refused_with_its_place(key: str, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason) as caught:
        osthread.run(f"return 1, {{ok = {{[{key}] = 1}}}}")
    assert caught.value.path.startswith("results[2].ok")


def test_two_keys_that_become_one_in_lua_are_an_error() -> None:
    with pytest.raises(ConversionError, match="two keys become one") as caught:
        OSThread("return 1", {"deep": {"k": 1, b"k": 2}})
    assert caught.value.path == "args[1].deep"


def test_two_strings_that_become_one_in_lua_are_an_error() -> None:
    class Unequal(str):
        __hash__ = object.__hash__

        def __eq__(self, other: object) -> bool:
            return self is other

    with pytest.raises(ConversionError, match="two keys become one"):
        OSThread("return 1", {Unequal("k"): 1, Unequal("k"): 2})


@pytest.mark.parametrize("table", ["{[1] = 'a', [true] = 'b'}", "{[0] = 'a', [false] = 'b'}"])
def test_two_keys_that_become_one_in_python_are_an_error_with_their_place(table: str) -> None:
    with pytest.raises(ConversionError, match="two keys become one") as caught:
        osthread.run(f"return {{deep = {table}}}")
    assert caught.value.path == "results[1].deep"


def test_two_strings_that_decode_to_the_same_are_an_error() -> None:
    code = r"return {['\255\254a\0'] = 1, ['a\0'] = 2}"
    with pytest.raises(ConversionError, match="two keys become one"):
        osthread.run(code, encoding="utf-16")


def test_64_bit_keys_that_become_one_are_an_error(lua: LuaState) -> None:
    with pytest.raises(ConversionError, match=r"two keys become one|cdata"):
        lua.execute("return {[5LL] = 1, [5] = 2}")


# --- What can't cross -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Record:
    x: int = 1


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (object(), "pass"),
        (1j, "pass"),
        ({1, 2}, "list"),
        (frozenset("a"), "list"),
        (range(3), "list"),
        (iter([]), "list"),
        ((i for i in "a"), "list"),
        (MappingProxyType({}), "dict"),
        (memoryview(b"x"), "bytes"),
        (array.array("d", [1.0]), "pass"),
        (decimal.Decimal("1.5"), "pass"),
        (fractions.Fraction(1, 2), "pass"),
        (SimpleNamespace(x=1), "pass"),
        (Record(), "pass"),
        (sys, "pass"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_can_not_cross_is_refused_with_place_and_remedy(value: Any, remedy: str) -> None:
    with pytest.raises(ConversionError, match=remedy) as caught:
        OSThread("return 1", 1, {"callback": value})
    assert caught.value.path == "args[2].callback"
    assert str(caught.value).startswith("args[2].callback: this ")
    assert type(value).__name__ in str(caught.value)


def test_place_is_written_as_lua_writes_it() -> None:
    with pytest.raises(ConversionError) as caught:
        OSThread("return 1", {"a b": [{b"x": {True: {2.5: {7: object()}}}}]})
    assert caught.value.path == 'args[1]["a b"][1].x[true][2.5][7]'


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("coroutine.create(print)", "coroutine"),
        ("io.stdout", "userdata"),
        ("newproxy()", "userdata"),
        ("require('ffi').new('struct { int x; }')", "struct"),
        ("require('ffi').cast('void *', 8)", "void \\*"),
        ("coroutine.wrap(print)", "C function"),
    ],
)
def test_what_can_not_leave_lua_is_refused_with_its_place(source: str, what: str) -> None:
    with OSThread(f"return 1, {{job = {{x = {source}}}}}") as thread:
        with pytest.raises(ConversionError, match=what) as caught:
            thread.result()
        assert caught.value.path == "results[2].job.x"
        with pytest.raises(ConversionError):
            thread.result()  # the same each time
    assert thread.status == "failed"


def test_place_that_is_not_utf_8_is_still_text() -> None:
    with pytest.raises(ConversionError) as caught:
        osthread.run(r"return {['\255'] = coroutine.create(print)}")
    assert isinstance(caught.value.path, str)
    assert "\\xff" in caught.value.path


def test_refused_arguments_start_no_thread_and_leak_nothing() -> None:
    class Target:
        def __call__(self) -> None: ...

    target = Target()
    gone = weakref.ref(target)
    alive = len(osthread.enumerate())
    references = sys.getrefcount(target)
    for _ in range(10):
        with pytest.raises(ConversionError):
            OSThread("return 1", [target] * 100, target, {"x": {"y": object()}})
    assert len(osthread.enumerate()) == alive
    gc.collect()
    assert sys.getrefcount(target) == references
    del target
    assert gone() is None


def test_results_of_a_callable_that_can_not_cross_are_a_lua_error() -> None:
    caught, text = osthread.run("local ok, e = pcall(...) return ok, tostring(e)", lambda: (1, {"x": 1j}))
    assert caught is False
    assert "results[2].x" in text
    with pytest.raises(ConversionError) as error:
        osthread.run("(...)()", lambda: (1, {"x": 1j}))
    assert error.value.path == "results[2].x"


def test_arguments_of_a_callable_that_can_not_cross_are_a_lua_error() -> None:
    seen = []
    text = osthread.run(
        "local f = ... return tostring(select(2, pcall(f, 1, {cb = io.stdout})))", seen.append
    )
    assert "args[2].cb" in text
    assert seen == []


def test_globals_that_can_not_cross_are_named() -> None:
    with pytest.raises(ConversionError) as caught:
        LuaState(globals={"config": {"x": 1j}})
    assert caught.value.path == "globals.config.x"


def test_container_that_changes_while_it_crosses_does_no_harm() -> None:
    code = (
        "import osthread\n"
        "class Clear:\n"
        "    def __init__(self, owner): self.owner = owner\n"
        "    def __index__(self): self.owner.clear(); return 1\n"
        "for _ in range(50):\n"
        "    table = {}; table.update((i, [Clear(table)]) for i in range(100))\n"
        "    table[100] = Clear(table)\n"
        "    values = []\n"
        "    values.extend([[i], Clear(values)] for i in range(100))\n"
        "    values[0] = Clear(values)\n"
        "    for victim in (table, values):\n"
        "        try: osthread.run('return ...', victim)\n"
        "        except (osthread.ConversionError, RuntimeError): pass\n"
        "print('alive')"
    )
    assert in_subprocess(code) == "alive\n"


def in_subprocess(code: str) -> str:
    """What the code prints in an interpreter of its own, which must end well."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# --- NumPy --------------------------------------------------------------------------------------------


def test_numpy_scalars_are_what_they_hold(lua: LuaState) -> None:
    np = pytest.importorskip("numpy")
    values = [
        np.int8(-3),
        np.uint8(200),
        np.int64(2**62),
        np.uint64(2**64 - 1),
        np.float32(0.5),
        np.float64(1.25),
        np.float16(2.0),
        np.bool_(True),
        np.str_("s"),
        np.bytes_(b"\xff"),
    ]
    expected = [-3, 200, 2**62, 2**64 - 1, 0.5, 1.25, 2, True, "s", b"\xff"]
    assert same(lua.execute("return ...", values), expected)
    assert same(list(lua.execute("return ...", *values)), expected)


@pytest.mark.parametrize("kind", ["longdouble", "clongdouble", "complex64", "datetime64", "timedelta64"])
def test_numpy_scalar_of_no_lua_type_is_refused_or_a_number(kind: str) -> None:
    pytest.importorskip("numpy")
    arguments = "('2020-01-01')" if kind == "datetime64" else "(1, 's')" if kind == "timedelta64" else "(1.5)"
    code = (
        "import numpy, osthread\n"
        f"try: print(osthread.run('return ...', [numpy.{kind}{arguments}]) == [1.5])\n"
        "except osthread.ConversionError as error: print(error.path == 'args[1][1]')"
    )
    assert in_subprocess(code) == "True\n"


def test_numpy_structured_scalars_are_not_mixed_up() -> None:
    np = pytest.importorskip("numpy")
    rows = np.array([(1, 2.0), (3, 4.0), (5, 6.0)], dtype=[("x", "i4"), ("y", "f8")])
    assert echo([rows[0], [rows[1], [rows[2]]]]) == [[1, 2], [[3, 4], [[5, 6]]]]


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_ndarray_is_refused_with_a_remedy(shape: tuple) -> None:
    np = pytest.importorskip("numpy")
    with pytest.raises(ConversionError, match="tolist") as caught:
        OSThread("return 1", {"a": np.zeros(shape)})
    assert caught.value.path == "args[1].a"


# --- Callables ------------------------------------------------------------------------------------------


def test_callable_runs_on_the_lua_thread() -> None:
    def where() -> tuple[int, OSThread | None]:
        seen.append(osthread.current())
        return threading.get_ident()

    seen: list = []
    with OSThread("return type(...), (...)()", where) as thread:
        assert thread.result() == ("function", thread.ident)
    assert seen == [thread]
    assert seen[0] is thread


def test_callable_gets_all_arguments_and_tuple_is_several_values(lua: LuaState) -> None:
    def f(*args: Any) -> Any:
        return args

    assert lua.execute("return (...)(1, nil, 'x', {2})", f) == (1, None, "x", [2])
    assert lua.execute("return select('#', (...)())", f) == 0
    assert lua.execute("return select('#', (...)())", lambda: None) == 0
    assert lua.execute("return select('#', (...)())", lambda: [1, 2]) == 1
    assert lua.execute("return select('#', (...)())", lambda: (None, None)) == 2


@pytest.mark.parametrize("function", [len, "text".upper, int, lambda: None, Record], ids=repr)
def test_callable_comes_back_as_the_same_object(function: Callable) -> None:
    assert echo(function) is function
    back = echo([function, {"f": function}])
    assert back[0] is function
    assert back[1]["f"] is function


def test_callable_comes_back_through_another_thread() -> None:
    def function() -> None: ...

    assert echo(echo([function]))[0] is function


def test_one_callable_runs_on_several_threads_at_once() -> None:
    together = threading.Barrier(3, timeout=30)  # opens only when all three are inside

    threads = [OSThread("return (...)()", together.wait) for _ in range(3)]
    assert sorted(thread.result(30) for thread in threads) == [0, 1, 2]


@pytest.mark.parametrize(
    "kind", [ValueError, KeyboardInterrupt, SystemExit, StopIteration, osthread.LuaError]
)
def test_exception_of_a_callable_comes_out_as_the_same_object(kind: type[BaseException]) -> None:
    error = kind("mine")

    def fail() -> None:
        raise error

    thread = OSThread("local function deep(f) f() end\ndeep(...)", fail, chunk_name="job")
    with pytest.raises(kind) as caught:
        thread.result()
    assert caught.value is error
    assert thread.status == "failed"
    assert any(entry.name == "fail" for entry in caught.traceback)
    if sys.version_info >= (3, 11):
        notes = "\n".join(error.__notes__)
        assert "job:1" in notes
        assert "job:2" in notes
        thread.exception()
        assert len(error.__notes__) == 1


def test_exception_of_a_callable_is_an_error_that_lua_can_catch_and_raise_again() -> None:
    error = KeyError("mine")

    def fail() -> None:
        raise error

    text = osthread.run("return tostring(select(2, pcall(...)))", fail)
    assert text == "KeyError: 'mine'"
    with pytest.raises(KeyError) as caught:
        osthread.run("local ok, e = pcall(...) error(e)", fail)
    assert caught.value is error
    assert osthread.run("local ok, e = pcall(...) return e", fail) is error


def test_callable_is_not_kept_longer_than_the_thread() -> None:
    class Target:
        def __call__(self) -> None: ...

    target = Target()
    gone = weakref.ref(target)
    with OSThread("local f = ... f() g = f", target, globals={"h": [target]}) as thread:
        pass
    thread.result()
    del target, thread
    gc.collect()
    assert gone() is None


# --- Handles --------------------------------------------------------------------------------------------


def test_osthread_is_a_value() -> None:
    with OSThread("require('osthread').sleep(1e9)", name="sleeper", on_exit="terminate") as sleeper:
        code = "local t, list = ... return t, t.name, t.status, tostring(t), t == list[1], {t = t}"
        back, name, status, text, equal, table = osthread.run(code, sleeper, [sleeper])
        assert back is sleeper
        assert (name, status, equal) == ("sleeper", "running", True)
        assert "sleeper" in text
        assert table["t"] is sleeper
    assert sleeper.status == "stopped"


def test_thread_is_known_from_its_first_instruction() -> None:
    """However soon the chunk asks, the OSThread that is being constructed is the answer."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    code = "local see = ... see(require('osthread').self())"
    try:
        for _ in range(700):
            seen: list = []
            with OSThread(code, lambda own, seen=seen: seen.extend([own, osthread.current()])) as thread:
                pass
            assert seen == [thread, thread]
    finally:
        sys.setswitchinterval(interval)


def test_lua_function_is_a_value() -> None:
    double = osthread.compile("function(x) return 2 * x end")
    result, back = osthread.run("local f, t = ... return f(4) + t[1](5), f", double, [double])
    assert result == 18
    assert isinstance(back, LuaFunction)
    assert back(6) == 12


def test_object_of_lua_has_no_way_in(lua: LuaState) -> None:
    """What a handle is made of is out of reach of Lua code."""
    with OSThread("return 1") as thread:
        thread.result()
        assert lua.execute("return getmetatable(...)", thread) == "ffi"
        with pytest.raises(osthread.LuaError):
            lua.execute("(...).x = 1", thread)


# --- Any value at all -------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats().filter(lambda x: not (x == int(x) if math.isfinite(x) else False) or abs(x) > 2**53),
)
strings = st.one_of(st.text(), st.binary().filter(lambda b: not is_utf_8(b)))
keys = st.one_of(
    st.text(),
    st.binary().filter(lambda b: not is_utf_8(b)),
    st.integers(-(2**53), 2**53).filter(lambda n: n not in (0, 1)),
    st.floats(allow_nan=False).filter(lambda x: math.isinf(x) or x != int(x)),
    st.booleans(),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, strings),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=20,
)


def is_utf_8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(values)
def test_any_value_comes_back_from_a_state(value: Any) -> None:
    assert same(SHARED.execute("return ...", value), value)


@settings(max_examples=100, deadline=None)
@given(values)
def test_any_value_comes_back_through_a_global_and_a_callable(value: Any) -> None:
    seen = []

    def take(given: Any) -> None:
        seen.append(given)

    SHARED["value"] = value
    SHARED.execute("(...)(value)", take)
    assert same(seen[0], value)
    assert same(SHARED["value"], value)


@settings(max_examples=100, deadline=None)
@given(st.lists(values, max_size=4))
def test_any_values_come_back_from_a_thread_in_order(given: list) -> None:
    with OSThread("return ...", *given) as thread:
        assert same(list(thread.results()), given)


@settings(max_examples=100, deadline=None)
@given(st.binary())
def test_any_bytes_come_back_as_they_are(given: bytes) -> None:
    assert BYTES.execute("return ..., #...", given) == (given, len(given))


SHARED = LuaState()
BYTES = LuaState(encoding=None)


def test_too_many_values_at_once_are_an_error_that_says_so() -> None:
    with pytest.raises(ConversionError, match="too many"):
        osthread.run("return ...", *[{} for _ in range(4500)])
    assert osthread.run("return #...", [{} for _ in range(4500)]) == 4500


def test_same_callable_is_the_same_function() -> None:
    def f() -> None:
        pass

    code = "local f, g, t, other = ... return f == g, f == t[1], t[1] == t[2], f == other, #t"
    assert osthread.run(code, f, f, [f, f], lambda: None) == (True, True, True, False, 2)
    code = "local f, g = (...)() return f == g"
    assert osthread.run(code, lambda: (f, f)) is True


@pytest.mark.parametrize(
    ("encoding", "text"), [("punycode", b"x\xff"), ("idna", b"xn--a-\0"), ("ascii", b"\xe9")]
)
def test_what_an_encoding_can_not_read_is_bytes(encoding: str, text: bytes) -> None:
    assert osthread.run("return ...", text, encoding=encoding) == text


def test_message_of_an_error_follows_the_encoding() -> None:
    error = OSThread(r"error('caf\233', 0)", encoding="latin-1").exception()
    assert error.message == error.value == "caf\u00e9"
    assert OSThread(r"error('caf\233', 0)").exception().message == r"caf\xe9"
    assert OSThread("error('x', 0)", encoding=None).exception().message == "x"
