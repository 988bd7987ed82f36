"""SharedTable: a mapping in Python, a table in Lua, each operation whole."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import textwrap
import weakref
from collections.abc import MutableMapping
from typing import Any

import osthread
import pytest
from osthread import Channel, ConversionError, Lock, LuaError, OSThread, SharedTable

PATIENCE = 30


def test_it_is_a_mapping() -> None:
    table = SharedTable({"a": 1, 2.5: "b", True: None, 7: b"\xff"})
    assert isinstance(table, MutableMapping)
    assert len(table) == 4
    assert list(table) == ["a", 2.5, True, 7]
    assert table["a"] == 1
    assert table[True] is None
    assert table.get("missing", 5) == 5
    assert table.get(True, 5) is None
    assert "a" in table
    assert "b" not in table
    assert dict(table.items()) == {"a": 1, 2.5: "b", True: None, 7: b"\xff"}
    assert list(table.values()) == [1, "b", None, b"\xff"]
    del table["a"]
    with pytest.raises(KeyError, match="a"):
        table["a"]
    with pytest.raises(KeyError, match="a"):
        del table["a"]
    assert table.pop(2.5) == "b"
    assert table.pop(2.5, "none") == "none"
    with pytest.raises(KeyError):
        table.pop(2.5)
    assert table.setdefault("new", [1])[1] == 1
    assert table.setdefault("new", 2)[1] == 1
    assert table.popitem()[0] == "new"
    table.update({"x": 1}, y=2)
    assert table.snapshot() == {True: None, 7: b"\xff", "x": 1, "y": 2}
    table.clear()
    assert not table
    with pytest.raises(KeyError):
        table.popitem()


def test_what_is_put_in_is_copied_once_into_tables_of_its_own() -> None:
    inner = {"list": [1, [2, 3]], "shared": None}
    inner["shared"] = inner["list"]
    table = SharedTable({"inner": inner})
    nested = table["inner"]
    assert type(nested) is SharedTable
    assert table["inner"] is nested
    assert nested["list"] is nested["shared"]
    inner["list"].append("not seen")  # type: ignore[union-attr]
    nested["list"][3] = "seen"
    assert table.snapshot() == {"inner": {"list": [1, [2, 3], "seen"], "shared": [1, [2, 3], "seen"]}}
    snapshot = table.snapshot()["inner"]
    assert snapshot["list"] is snapshot["shared"]


def test_cycles_are_kept() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    table = SharedTable(loop)
    nested = table["self"]
    assert nested["self"] is nested
    snapshot = table.snapshot()
    assert snapshot["self"]["self"] is snapshot["self"]
    nested.clear()


def test_lists_and_dicts_come_back_as_what_they_were() -> None:
    table = SharedTable({"list": [], "dict": {}, "numbered": {1: "a", 2: "b"}, "tuple": ("x",)})
    assert table.snapshot() == {"list": [], "dict": {}, "numbered": {1: "a", 2: "b"}, "tuple": ["x"]}
    table["list"][1] = "first"
    table["tuple"]["key"] = 1
    assert table.snapshot()["list"] == ["first"]
    assert table.snapshot()["tuple"] == {1: "x", "key": 1}
    assert SharedTable([5, 6]).snapshot() == [5, 6]


def test_lua_uses_it_as_a_table() -> None:
    table = SharedTable({"n": 1, "text": "x", "flag": True, "none": None, "inner": {"deep": [10, 20]}})
    assert osthread.run(
        """
        local s, osthread = ..., require "osthread"
        s.n = s.n + 1
        s.text = s.text .. ("y"):rep(5000)
        s.flag = not s.flag
        s.made = {list = {1, 2, 3}}
        s.inner.deep[3] = 30
        s[1.5], s[true], s.gone = "half", "yes", 1
        s.gone = nil
        return s.n, #s.text, s.flag, s.none == nil, s.none == osthread.null, s.gone, s.missing,
          s.made.list[3], #s.inner.deep
        """,
        table,
    ) == (2, 5001, False, True, True, None, None, 3, 3)
    assert table.snapshot() == {
        "n": 2,
        "text": "x" + "y" * 5000,
        "flag": False,
        "none": None,
        "inner": {"deep": [10, 20, 30]},
        "made": {"list": [1, 2, 3]},
        1.5: "half",
        True: "yes",
    }


def test_lua_methods() -> None:
    table = SharedTable()
    assert osthread.run(
        """
        local s = ...
        s:set("get", 1) s:set("add", "method names need these")
        s:update {a = 1, b = 2, 10, 20}
        local sum, keys = 0, {}
        for k, v in s:pairs() do keys[#keys + 1] = tostring(k) s[k] = nil end
        s:add("n", 5) s:add("n", -2)
        table.sort(keys)
        return table.concat(keys, " "), #s, s:get("n"), s:get("get"),
          s:compare_and_set("n", 3, 4), s:compare_and_set("n", 3, 5),
          s:compare_and_set("new", nil, 1), s:compare_and_set("new", 1, nil),
          s:snapshot().n, s == s, tostring(s):match("^SharedTable: ") ~= nil
        """,
        table,
    ) == ("1 2 a add b get", 1, 3, None, True, False, True, True, 4, True, True)
    assert table.snapshot() == {"n": 4}


def test_it_is_the_same_object_everywhere() -> None:
    table, channel = SharedTable(), Channel()
    table["channel"] = channel
    table["lock"] = lock = Lock()
    table["itself"] = table
    assert table["channel"] is channel
    assert table["lock"] is lock
    assert table["itself"] is table
    assert osthread.run("local s = ... s.channel:send(s) return s.itself == s and s", table) is table
    assert channel.receive() is table
    made = osthread.run("return require('osthread').SharedTable{a = {1}}")
    assert type(made) is SharedTable
    assert made.snapshot() == {"a": [1]}
    del table["itself"]


def test_functions_and_callables_are_kept() -> None:
    table = SharedTable()
    table["python"] = len
    osthread.run("local s = ... s.lua = function(x) return x * 2 end s.n = s.python('four')", table)
    assert table["python"] is len
    assert table["lua"](21) == 42
    assert table["n"] == 4


def test_additions_are_not_lost() -> None:
    table = SharedTable()
    code = "local s, n = ... for i = 1, n do s:add('count') s:add('count', 1) end"
    with pytest.raises(ConversionError, match="add: a number was wanted, not nil"):
        osthread.run(code, table, 1)
    code = "local s, n = ... for i = 1, n do s:add('count', 1) end"
    threads = [OSThread(code, table, 5000) for _ in range(4)]
    for _ in range(5000):
        table.add("count")
    for thread in threads:
        thread.result()
    assert table["count"] == 25_000
    table["text"] = "x"
    with pytest.raises(ConversionError, match=r"\.text.*a number was wanted, not a string"):
        table.add("text")


def test_compare_and_set_lets_one_win() -> None:
    table, wins = SharedTable({"turn": 0}), SharedTable()
    code = """
        local s, wins, me = ...
        while true do
          local now = s.turn
          if now == 2000 then return end
          if s:compare_and_set("turn", now, now + 1) then wins:add(me, 1) end
        end
        """
    threads = [OSThread(code, table, wins, i) for i in range(4)]
    for thread in threads:
        thread.result()
    assert sum(wins.values()) == 2000
    assert table.compare_and_set("turn", 2000, "over")
    assert not table.compare_and_set("turn", 2000, "again")
    with pytest.raises(ConversionError, match="plain values"):
        table.compare_and_set("turn", "over", [1])


def test_an_update_is_seen_whole() -> None:
    table = SharedTable({"a": 0, "b": 0})
    stop = Channel()
    code = """
        local s, stop = ...
        local seen = 0
        while stop:try_receive() == nil do
          local t = s:snapshot()
          assert(t.a == t.b, t.a .. " is not " .. t.b)
          seen = seen + 1
        end
        return seen
        """
    thread = OSThread(code, table, stop)
    for i in range(3000):
        table.update({"a": i, "b": i})
    stop.send(True)
    assert thread.result() > 0


def test_many_threads_change_it_at_once() -> None:
    table = SharedTable()
    code = """
        local s, me = ...
        for i = 1, 3000 do
          local key = "k" .. i % 50
          if i % 3 == 0 then s[key] = nil elseif i % 3 == 1 then s[key] = {me, i} else s[key] = "text" .. i end
          local v = s[key]
          if type(v) == "cdata" and v ~= nil then assert(#v == 2 or #v == 0) end
          if i % 500 == 0 then collectgarbage() end
        end
        for k, v in s:pairs() do s[k] = nil end
        """
    threads = [OSThread(code, table, i) for i in range(4)]
    for _ in range(300):
        table.snapshot()
        list(table.items())
    for thread in threads:
        thread.result()
    table.clear()
    assert len(table) == 0


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("s[{}] = 1", "key: .*table.*can't be a key"),
        ("s[nil] = 1", "key: .*nil.*can't be a key"),
        ("s[0/0] = 1", "nan can't be a key"),
        ("s.x = coroutine.create(print)", "value: a coroutine can't cross threads"),
        ("s.x = {a = {coroutine.create(print)}}", r"value\.a\[1\]: a coroutine can't cross threads"),
        ("s.x = {[coroutine.create(print)] = 1}", "can't be a key"),
        ("s.add(nil, 'x', 1)", "self: a SharedTable was wanted, not a nil"),
        ("s.get(io.stdout, 'x')", "self: a SharedTable was wanted, not a userdata"),
        ("s.set(require('osthread').Channel(), 'x', 1)", "self: a SharedTable was wanted, not a cdata"),
        ("s:update(5)", "a table was wanted, not a number"),
        ("require('osthread').SharedTable(5)", "a table was wanted, not a number"),
    ],
)
def test_mistakes_are_errors_that_name_the_place_and_change_nothing(code: str, complaint: str) -> None:
    table = SharedTable({"x": 1})
    with pytest.raises((ConversionError, LuaError), match=complaint):
        osthread.run(f"local s = ... {code}", table)
    assert table.snapshot() == {"x": 1}


def test_mistakes_in_python() -> None:
    table = SharedTable()
    for key in (None, (1,), float("nan"), 2**60, object()):
        with pytest.raises((ConversionError, TypeError)):
            table[key] = 1
    with pytest.raises(ConversionError, match=r"value\.a"):
        table["x"] = {"a": object()}
    with pytest.raises(TypeError, match="a mapping, list or tuple was wanted, not int"):
        table.update(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(table)
    with pytest.raises(TypeError, match="snapshot"):
        pickle.dumps(table)
    assert len(table) == 0


def test_safe_code_uses_one_it_is_given_but_makes_none() -> None:
    table = SharedTable({"n": 1})
    code = "local s = ... s.n = s.n + 1 return require('osthread').SharedTable"
    assert osthread.run(code, table, libraries="safe") is None
    assert table["n"] == 2


def test_what_it_held_goes_with_it() -> None:
    class Witness:
        def __call__(self) -> None: ...

    witness = Witness()
    gone = weakref.ref(witness)
    table = SharedTable({"deep": [{"witness": witness}]})
    inner = weakref.ref(table["deep"])
    osthread.run("local s = ... s.other = s.deep s.deep[1].witness()", table)
    del witness
    gc.collect()
    assert gone() is not None
    assert inner() is None, "the Python object is made anew when it is asked for"
    del table
    for _ in range(100):
        gc.collect()
        if gone() is None:
            break
    assert gone() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_the_childs_table_says_whose_it_is() -> None:
    code = """
        import os, warnings
        warnings.simplefilter("ignore")
        import osthread
        table = osthread.SharedTable({"x": 1})
        lock = osthread.Lock()
        osthread.run("return 1")
        pid = os.fork()
        if pid == 0:
            for use in (lambda: table["x"], lambda: table.update({"x": 2}), lambda: len(table), lock.acquire):
                try:
                    use()
                    os._exit(1)
                except RuntimeError as error:
                    assert "before the fork" in str(error), error
            try:
                osthread.run("return (...).x", table)
                os._exit(2)
            except RuntimeError as error:
                assert "before the fork" in str(error), error
            os._exit(osthread.run("return (...).x", osthread.SharedTable({"x": 7})))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), table["x"])
        """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.stdout == "7 1\n", run.stderr


@pytest.mark.parametrize("made", ["by_hand", "of_a_dict"])
def test_chains_of_any_length_go(made: str) -> None:
    depth = 200_000
    if made == "of_a_dict":
        nested: dict[str, Any] = {}
        for _ in range(depth):
            nested = {"x": nested}
        table = SharedTable(nested)
        while nested:
            nested = nested.pop("x", {})
    else:
        table = SharedTable()
        for _ in range(depth):
            outer = SharedTable()
            outer["x"] = table
            table = outer
        del outer
    del table
