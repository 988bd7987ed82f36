"""Channels between Python and Lua: values, order, bounds, ends, and stops that lose nothing."""

from __future__ import annotations

import array
import gc
import math
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import Any

import numpy as np
import osthread
import pytest
from osthread import Channel, ChannelClosed, ConversionError, LuaError, OSThread, WouldBlock, select
from waiting import PATIENCE, wait_until

ECHO = "local a, b = ... for v in a do b:send(v) end b:close()"


def waiting_receivers(channel: Channel, count: int = 1) -> None:
    wait_until(lambda: channel.statistics().waiting_receivers == count)


def waiting_senders(channel: Channel, count: int = 1) -> None:
    wait_until(lambda: channel.statistics().waiting_senders == count)


# --- Values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, 1, -1, 1.5, -0.0, math.inf, 2**53, 2**53 + 1, -(2**63), 2**64 - 1, "", "text",
        "ä€\U0001f319", "with\0zero", b"\xff\xfe", "x" * 4096, "x" * 4097, "x" * 1_000_000,
        [], [1, 2, 3], {}, {"a": [1, {"b": None}]},
        [None, 1, None], list(range(1000)), {1: "a", 2.5: "b", False: "c"},
    ],
)  # fmt: skip
def test_a_value_goes_through_lua_and_comes_back(value: Any) -> None:
    there, back = Channel(), Channel()
    with OSThread(ECHO, there, back):
        there.send(value)
        got = back.receive(PATIENCE)
        there.close()
    assert got == value
    assert type(got) is type(value)
    assert math.copysign(1, got) == math.copysign(1, value) if isinstance(value, float) else True


def test_nan_goes_through() -> None:
    there, back = Channel(), Channel()
    there.send(math.nan)
    there.close()
    with OSThread(ECHO, there, back):
        assert math.isnan(back.receive(PATIENCE))


def test_what_is_shared_arrives_as_the_same_object() -> None:
    there, back = Channel(), Channel()

    def callable_() -> int:
        return 1

    with OSThread(ECHO, there, back) as thread:
        for value in (there, back, callable_, thread):
            there.send(value)
            assert back.receive(PATIENCE) is value
        there.send([back, back, {"c": there}])
        first, second, third = back.receive(PATIENCE)
        assert first is second is back
        assert third["c"] is there
        there.close()


def test_the_same_channel_is_the_same_value_in_a_state() -> None:
    channel = Channel()
    channel.send(channel)
    assert osthread.run(
        """
        local a, b = ...
        local seen = {[a] = 'found'}
        return a == b, rawequal(a, b), seen[b], seen[a:receive()], type(a), tostring(a):match('^Channel: ') ~= nil
        """,
        channel,
        channel,
    ) == (True, True, "found", "found", "cdata", True)


def test_a_channel_is_a_value_like_others_in_tables_upvalues_and_results() -> None:
    channel = Channel()
    function = osthread.run(
        "local t = ... local ch = t.channel return function(v) return ch:send(v), ch end",
        {"channel": channel},
    )
    assert function(5) == (True, channel)
    assert channel.receive() == 5


def test_one_made_in_lua_is_a_channel_in_python() -> None:
    channel = osthread.run("local ch = require('osthread').Channel(7) ch:send('kept') return ch")
    assert type(channel) is Channel
    assert channel.capacity == 7
    assert list_closed(channel) == ["kept"]


def list_closed(channel: Channel) -> list[Any]:
    channel.close()
    return list(channel)


def test_cycles_and_shared_references_are_kept() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    channel = Channel()
    channel.send(loop)
    got = channel.receive()
    assert got[1] is got
    there, back = Channel(), Channel()
    with OSThread(ECHO, there, back):
        there.send(loop)
        got = back.receive(PATIENCE)
        there.close()
    assert got[1] is got


def test_what_cannot_cross_names_its_place_and_nothing_was_sent() -> None:
    channel = Channel()
    with pytest.raises(ConversionError, match=r"value\.a\[2\]: .*object"):
        channel.send({"a": [1, object()]})
    with pytest.raises(ConversionError, match=r"values\[3\]"):
        channel.send_many([1, 2, object(), 4])
    assert list_closed(channel) == [1, 2]
    other = Channel()
    with pytest.raises(ConversionError, match=r"value\.x\[1\]: a coroutine can't cross threads"):
        osthread.run("local ch = ... ch:send({x = {coroutine.create(print)}})", other)
    assert len(other) == 0


def test_strings_that_come_from_lua_are_decoded_as_the_channel_says() -> None:
    raw, latin = Channel(encoding=None), Channel(encoding="latin-1")
    osthread.run("local a, b = ... a:send('abc') b:send('\\228')", raw, latin)
    assert raw.receive() == b"abc"
    assert latin.receive() == "ä"
    with pytest.raises(ValueError, match="nonsense"):
        Channel(encoding="nonsense")


# --- Bounds and ends ------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [1, 2, 3, 5, 1024])
def test_it_holds_its_capacity(capacity: int) -> None:
    channel = Channel(capacity)
    for i in range(capacity):
        assert len(channel) == i
        channel.try_send(i)
    with pytest.raises(WouldBlock):
        channel.try_send("more")
    with pytest.raises(TimeoutError):
        channel.send("more", timeout=0)
    with pytest.raises(TimeoutError):
        channel.send("more", 0.01)
    assert channel.receive_many(10_000) == list(range(capacity))
    with pytest.raises(WouldBlock):
        channel.try_receive()
    for timeout in (0, 0.01, -1):
        with pytest.raises(TimeoutError):
            channel.receive(timeout)
    assert bool(channel)


@pytest.mark.parametrize("capacity", [0, -1, 2**31 + 1])
def test_a_wrong_capacity_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity"):
        Channel(capacity)
    with pytest.raises(ValueError, match="capacity"):
        osthread.run("require('osthread').Channel(...)", capacity)


def test_arguments_of_wrong_types_are_refused() -> None:
    channel = Channel()
    with pytest.raises(TypeError, match="capacity must be an int, not str"):
        Channel("many")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="timeout must be seconds or None, not str"):
        channel.receive("soon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nan"):
        channel.send(1, math.nan)
    with pytest.raises(ValueError, match="most"):
        channel.receive_many(-1)
    with pytest.raises(TypeError, match="select takes channels, not int"):
        select(channel, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(channel)
    assert len(channel) == 0


def test_after_the_end_what_was_sent_is_received_and_then_the_end_is_told() -> None:
    channel = Channel()
    channel.send_many([1, None, False])
    assert channel.close()
    assert not channel.close()
    assert channel.closed
    for send in (channel.send, channel.try_send):
        with pytest.raises(ChannelClosed, match="nothing can be sent"):
            send(4)
    assert list(channel) == [1, None, False]
    for receive in (channel.receive, channel.try_receive):
        with pytest.raises(ChannelClosed, match="closed and empty"):
            receive()
    with pytest.raises(ChannelClosed):
        channel.receive_many(3)


def test_a_block_closes_it() -> None:
    with pytest.raises(ZeroDivisionError), Channel() as channel:
        raise ZeroDivisionError
    assert channel.closed
    assert "closed" in repr(channel)


def test_lua_gets_values_for_expected_outcomes() -> None:
    assert osthread.run(
        """
        local osthread = require "osthread"
        local ch = osthread.Channel(2)
        local out = {}
        local function note(...)
          local t = {select("#", ...), ...}
          for i = 1, t[1] do if t[i + 1] == nil then t[i + 1] = osthread.null end end
          out[#out + 1] = t
        end
        note(ch:try_receive()) note(ch:receive(0)) note(ch:receive(0.001))
        note(ch:send(1)) note(ch:try_send("two")) note(ch:try_send(3)) note(ch:try_send({}))
        note(ch:send(3, 0)) note(ch:send({}, 0.001))
        note(#ch) note(ch:receive()) note(ch:try_receive())
        note(ch:send(nil)) note(ch:receive() == nil) note(ch:send(false)) note(ch:receive())
        ch:send(true) note(ch:close()) note(ch:close()) note(ch:send(1)) note(ch:try_send("x")) note(ch:send({}))
        note(ch:receive()) note(ch:receive()) note(ch:try_receive()) note(osthread.select(ch)) note(osthread.select())
        return out
        """
    ) == [
        [2, None, "empty"], [2, None, "timeout"], [2, None, "timeout"],
        [1, True], [1, True], [2, None, "full"], [2, None, "full"], [2, None, "timeout"], [2, None, "timeout"],
        [1, 2], [1, 1], [1, "two"],
        [1, True], [1, True], [1, True], [1, False],
        [1, True], [1, False], [2, None, "closed"], [2, None, "closed"], [2, None, "closed"],
        [1, True], [2, None, "closed"], [2, None, "closed"], [2, None, "closed"], [2, None, "closed"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("ch:receive('soon')", "receive: the timeout must be a number of seconds, or nil, not a string"),
        ("ch:receive(-1)", "receive: seconds must be 0 or more"),
        ("ch:send({}, 0/0)", "send: seconds must be 0 or more"),
        ("ch.receive()", "receive: a channel was wanted, not a nil; .*colon: ch:receive"),
        ("ch.receive({})", "receive: a channel was wanted, not a table"),
        ("ch.send(io.stdout, 1)", "send: a channel was wanted, not a userdata"),
        ("ch.try_send(require('osthread').null, 1)", "try_send: a channel was wanted, not a cdata"),
        ("ch.try_receive(1LL)", "try_receive: a channel was wanted, not a cdata"),
        ("ch.close(nil)", "close: a channel was wanted, not a nil"),
        ("ch.statistics(5)", "statistics: a channel was wanted, not a number"),
        ("require('osthread').select(ch, {})", "select: a channel was wanted, not a table"),
        ("require('osthread').Channel('x')", "number expected"),
        ("ch.__handle = nil", "attempt to write to constant location"),
        ("ch.nothing()", "has no member named 'nothing'"),
    ],
)
def test_mistakes_in_lua_are_errors_and_the_next_call_works(code: str, complaint: str) -> None:
    channel = Channel()
    with pytest.raises(LuaError, match=complaint):
        osthread.run(f"local ch = ... {code}", channel)
    osthread.run("(...):send('fine')", channel)
    assert channel.receive() == "fine"


def test_safe_code_uses_a_channel_it_is_given_but_makes_none() -> None:
    there, back = Channel(), Channel()
    there.send({"a": [1, 2]})
    there.close()
    with OSThread(
        "local osthread = require 'osthread' assert(osthread.Channel == nil) " + ECHO,
        there,
        back,
        libraries="safe",
    ):
        assert list(back) == [{"a": [1, 2]}]


def test_statistics_count() -> None:
    channel = Channel(8)
    channel.send_many(range(5))
    channel.receive_many(2)
    assert channel.statistics() == osthread.ChannelStatistics(
        sent=5, received=2, size=3, capacity=8, waiting_senders=0, waiting_receivers=0, closed=False
    )
    assert osthread.run("local s = (...):statistics() return s.sent, s.size, s.closed", channel) == (
        5,
        3,
        False,
    )


# --- Arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", ">f8", ">i4", "f2"]
)
def test_an_array_is_sent_as_its_numbers(dtype: str) -> None:
    numbers = np.array([0, 1, 2, 100], dtype)
    channel = Channel()
    channel.send_many(numbers)
    channel.send_many(numbers[::2])
    channel.send_many(numbers[::-1])
    assert list_closed(channel) == [*numbers.tolist(), *numbers[::2].tolist(), *numbers[::-1].tolist()]


def test_arrays_of_other_kinds() -> None:
    channel = Channel()
    channel.send_many(array.array("d", [1.5, 2.5]))
    channel.send_many(memoryview(b"ab"))
    channel.send_many(np.array([2**53 + 1, -(2**63)]))
    channel.send_many(np.array([], "f8"))
    channel.send_many(np.array(["a", "b"]))
    assert list_closed(channel) == [1.5, 2.5, 97, 98, 2**53 + 1, -(2**63), "a", "b"]
    with pytest.raises(TypeError, match="values must have one dimension, not 2"):
        Channel().send_many(np.zeros((2, 2)))
    with pytest.raises(TypeError, match="not iterable"):
        Channel().send_many(5)  # type: ignore[arg-type]


def test_more_than_fits_is_sent_while_somebody_receives() -> None:
    channel = Channel(16)
    numbers = np.arange(100_000.0)
    with OSThread("local s, n = 0, 0 for v in ... do s = s + v n = n + 1 end return s, n", channel) as thread:
        channel.send_many(numbers)
        channel.close()
    assert thread.result() == (numbers.sum(), len(numbers))


@pytest.mark.parametrize("values", [np.arange(100.0), list(range(100))], ids=["array", "list"])
def test_a_close_in_the_middle_says_how_many_were_sent(values: Any) -> None:
    channel = Channel(10)

    def close() -> None:
        waiting_senders(channel)
        channel.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(ChannelClosed, match="10 values were sent") as info:
        channel.send_many(values)
    closer.join()
    assert info.value.sent == 10
    assert list(channel) == list(range(10))


def test_numbers_are_received_into_an_array() -> None:
    channel = Channel()
    channel.send_many(np.arange(10.0))
    out = np.full(6, -1.0)
    assert channel.receive_many(4, out=out) == 4
    assert out.tolist() == [0, 1, 2, 3, -1, -1]
    assert channel.receive_many(100, out=out[::2]) == 3
    assert out.tolist() == [4, 1, 5, 3, 6, -1]
    small = np.zeros(100, "f4")
    assert channel.receive_many(100, out=small) == 3
    assert small[:3].tolist() == [7, 8, 9]
    assert channel.receive_many(0, out=out) == 0
    with pytest.raises(TimeoutError):
        channel.receive_many(1, 0.01, out=out)
    channel.send_many([1, "text", 2])
    assert channel.receive_many(9, out=out) == 1
    with pytest.raises(ConversionError, match="no number"):
        channel.receive_many(9, out=out)
    assert list_closed(channel) == ["text", 2]


@pytest.mark.parametrize("out", [np.zeros(3, "i8"), [0.0], np.zeros((2, 2)), b"abc"])
def test_what_numbers_cannot_go_into_is_refused(out: Any) -> None:
    channel = Channel()
    channel.send(1)
    with pytest.raises((TypeError, BufferError)):
        channel.receive_many(1, out=out)
    assert len(channel) == 1


# --- Many threads ---------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [1, 7, 1024])
def test_nothing_is_lost_or_doubled_and_orders_are_kept(capacity: int) -> None:
    senders, receivers, each = 4, 3, 5_000
    work, done = Channel(capacity), Channel(capacity)
    produce = """
        local ch, me, n = ...
        for i = 1, n do
          if i % 3 == 0 then ch:send({me, i}) else ch:send(me .. ':' .. i) end
        end
        """
    forward = """
        local a, b, me = ...
        for v in a do
          if type(v) == 'table' then v = v[1] .. ':' .. v[2] end
          b:send(me .. ':' .. v)
        end
        """
    sending = [OSThread(produce, work, i, each) for i in range(senders)]
    forwarding = [OSThread(forward, work, done, i) for i in range(receivers)]
    seen = [tuple(map(int, done.receive(PATIENCE).split(":"))) for _ in range(senders * each)]
    for thread in sending:
        thread.join()
    work.close()
    for thread in forwarding:
        assert thread.result() is None
    assert len(done) == 0
    assert sorted((sender, i) for _, sender, i in seen) == [
        (s, i) for s in range(senders) for i in range(1, each + 1)
    ]
    for receiver in range(receivers):
        for sender in range(senders):
            mine = [i for r, s, i in seen if r == receiver and s == sender]
            assert mine == sorted(mine)


def test_select_is_fair_and_passes_ends_over() -> None:
    channels = [Channel() for _ in range(3)]
    for channel in channels:
        channel.send_many(range(100))
    first = [select(*channels)[0] for _ in range(90)]
    assert all(first.count(channel) >= 20 for channel in channels)
    got = osthread.run(
        """
        local osthread, counts = require "osthread", {}
        local channels = {...}
        for i = 1, 90 do
          local from = osthread.select(unpack(channels))
          for k, ch in ipairs(channels) do if ch == from then counts[k] = (counts[k] or 0) + 1 end end
        end
        return counts
        """,
        *channels,
    )
    assert sum(got) == 90
    assert min(got) >= 20
    channels[0].close()
    channels[1].close()
    while channels[2].statistics().size:
        select(*channels)
    with pytest.raises(TimeoutError):
        select(*channels, timeout=0.01)
    assert osthread.run("return require('osthread').select(...)", *channels, 0.01) == (None, "timeout")
    channels[2].close()
    left = 0
    try:
        while True:
            select(*channels)
            left += 1
    except ChannelClosed:
        assert left == sum(channel.statistics().size for channel in channels) + left
    with pytest.raises(ChannelClosed):
        select()


def test_select_wakes_for_whichever_comes() -> None:
    channels = [Channel() for _ in range(3)]
    with OSThread(
        "local osthread = require 'osthread' local out, done = ..., select('#', ...) local t = {select(2, ...)}"
        " for i = 1, 3 do local from, v = osthread.select(unpack(t)) out:send({from, v}) end",
        done := Channel(),
        *channels,
    ):
        for i in (2, 0, 1):
            waiting_receivers(channels[i])
            channels[i].send(i)
            assert done.receive(PATIENCE) == [channels[i], i]


# --- Stops lose nothing ---------------------------------------------------------------------------

STOPS = ["request_stop", "interrupt", "kill", "terminate"]


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("wait", ["receive", "select", "send"])
def test_a_stop_ends_a_wait_and_the_next_one_gets_the_value(stop: str, wait: str) -> None:
    channel = Channel(1)
    code = {
        "receive": "(...):receive()",
        "select": "require('osthread').select(...)",
        "send": "(...):send('never') (...):send('never')",
    }[wait]
    if wait == "send":
        channel.send("first")
    thread = OSThread(code, channel)
    waiting_senders(channel) if wait == "send" else waiting_receivers(channel)
    assert thread.statistics().waiting_for == wait
    getattr(thread, stop)()
    assert thread.join(PATIENCE)
    assert thread.status in ("stopped", "killed")
    with pytest.raises(osthread.Stopped):
        thread.result()
    now = channel.statistics()
    assert (now.waiting_senders, now.waiting_receivers) == (0, 0)
    if wait == "send":
        assert list_closed(channel) == ["first"]
    else:
        channel.send("for the next")
        assert channel.receive() == "for the next"


def test_a_time_limit_ends_a_wait() -> None:
    with pytest.raises(osthread.LuaTimeout):
        osthread.run("(...):receive()", Channel(), time_limit=0.05)


def test_a_stop_while_values_come_leaves_each_received_or_there() -> None:
    for attempt in range(60):
        channel = Channel(4)
        seen: list[int] = []
        thread = OSThread("local ch, note = ... for v in ch do note(v) end", channel, seen.append)
        sent = 0
        while sent < 20 + attempt * 3:
            try:
                channel.send(sent, timeout=0.2)
            except TimeoutError:
                break
            sent += 1
            if sent == 10 + attempt:
                getattr(thread, ("interrupt", "kill", "request_stop")[attempt % 3])()
        assert thread.join(PATIENCE)
        rest = list_closed(channel)
        # One may have been on its way from the channel into the callable.
        together = seen + rest
        assert together == sorted(set(together))
        assert sent - len(together) in (0, 1)
        with pytest.raises(osthread.Stopped):
            thread.result()


def test_cleanup_may_use_channels_within_its_grace_time() -> None:
    channel, out = Channel(), Channel()
    thread = OSThread(
        "local ch, out = ... local ok, e = pcall(ch.receive, ch) out:send(tostring(e))"
        " out:send(ch:receive(60)) error(e, 0)",
        channel,
        out,
        grace=PATIENCE,
    )
    waiting_receivers(channel)
    thread.interrupt()
    assert out.receive(PATIENCE) == "stopped"
    channel.send("while it cleans up")
    assert out.receive(PATIENCE) == "while it cleans up"
    with pytest.raises(osthread.Stopped):
        thread.result(PATIENCE)


def test_a_waiting_thread_can_be_looked_at_and_paused() -> None:
    channel = Channel()
    thread = OSThread("local ch = ...\nlocal value = ch:receive()\nreturn value", channel)
    waiting_receivers(channel)
    assert 2 in [frame.line for frame in thread.stack()]
    assert thread.pause(PATIENCE)
    assert thread.status == "paused"
    channel.send(7)
    thread.resume()
    assert thread.result(PATIENCE) == 7


def test_a_wait_of_a_callable_is_ended_with_the_lua_code_that_called_it() -> None:
    channel = Channel()
    thread = OSThread("(...)()", channel.receive)
    waiting_receivers(channel)
    thread.interrupt()
    with pytest.raises(osthread.Stopped):
        thread.result(PATIENCE)
    assert channel.statistics().waiting_receivers == 0


@pytest.mark.parametrize(
    "call", ["receive()", "send(1)", "receive_many(5)", "send_many(range(9))", "__iter__().__next__()"]
)
def test_ctrl_c_ends_a_wait_and_the_channel_goes_on(call: str) -> None:
    code = f"""
        import _thread, os, signal, threading, time
        from osthread import Channel
        channel = Channel(1)
        if "send" in {call!r}:
            channel.send(0)
        def interrupt():
            while not (channel.statistics().waiting_receivers or channel.statistics().waiting_senders):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            channel.{call}
        except KeyboardInterrupt:
            print("interrupted", channel.statistics().waiting_receivers, channel.statistics().waiting_senders)
        channel.close()
        print(list(channel))
        """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.stdout == f"interrupted 0 0\n{[0] if 'send' in call else []}\n", run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_the_childs_channel_says_whose_it_is() -> None:
    code = """
        import os, warnings
        warnings.simplefilter("ignore")
        import osthread
        from osthread import Channel
        channel = Channel()
        channel.send("the parent's")
        pid = os.fork()
        if pid == 0:
            select = lambda: osthread.select(channel)
            for use in (channel.receive, channel.try_receive, lambda: channel.send(1), select):
                try:
                    use()
                    os._exit(1)
                except RuntimeError as error:
                    assert "before the fork" in str(error), error
            try:
                osthread.run("return (...):receive()", channel)
                os._exit(2)
            except osthread.LuaError as error:
                assert "before the fork" in str(error), error
            new = Channel()
            new.send(5)
            os._exit(osthread.run("return (...):receive()", new))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), channel.receive())
        """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.stdout == "5 the parent's\n", run.stderr


# --- Lifetime -------------------------------------------------------------------------------------


def test_it_goes_when_nobody_has_it_and_what_is_in_it_goes_with_it() -> None:
    class Witness:
        def __call__(self) -> None: ...

    channel = Channel()
    witness = Witness()
    gone = weakref.ref(witness)
    channel.send(witness)
    osthread.run("local ch = ... local other = require('osthread').Channel() other:send(ch)", channel)
    inner = weakref.ref(channel)
    del channel, witness
    gc.collect()
    assert inner() is None
    wait_until(lambda: gc.collect() is not None and gone() is None)


def test_collections_in_the_middle_of_operations_do_no_harm() -> None:
    channel = Channel(4)
    code = """
    local channel, callable = ...
    local osthread = require 'osthread'
    local function use() channel:try_send(osthread.Channel(1)) channel:try_receive() end
    collectgarbage('setpause', 0)
    for i = 1, 2000 do
      local c, p = osthread.Channel(1), newproxy(true)
      c:send(osthread.Channel(1))
      getmetatable(p).__gc = use
      channel:try_send(i % 2 == 0 and c or callable)
      channel:try_receive()
      if i % 10 == 0 then collectgarbage('step', 100) end
    end
    """
    threads = [OSThread(code, channel, lambda: channel.try_receive()) for _ in range(4)]
    for thread in threads:
        while not thread.join(0.001):
            gc.collect()
        thread.result()
    assert len(channel) <= 4


def test_lua_keeps_it_alive_and_gives_it_back() -> None:
    with osthread.LuaState() as state:
        state["ch"] = Channel()
        state.execute("ch:send('still here')")
        assert state["ch"].receive() == "still here"
        state.execute(
            "for i = 1, 1000 do local c = require('osthread').Channel(1) c:send(c) c:receive() end"
            " collectgarbage() collectgarbage()"
        )


def test_finalizers_may_use_channels_at_the_end_of_a_state() -> None:
    channel = Channel()
    osthread.run(
        "local ch = ... keep = newproxy(true) getmetatable(keep).__gc = function() ch:try_send('last') end",
        channel,
    )
    assert list_closed(channel) == ["last"]


def test_a_chain_of_channels_of_any_length_goes() -> None:
    channel = Channel(1)
    for _ in range(200_000):
        outer = Channel(1)
        outer.send(channel)
        channel = outer
    del channel, outer


@pytest.mark.parametrize("capacity", ["0", "-1", "1.5", "2^40", "0/0"])
def test_a_wrong_capacity_in_lua_is_named(capacity: str) -> None:
    code = f"local c = require('osthread').Channel({capacity}) return c"
    with pytest.raises(
        ValueError, match=r"Channel: the capacity must be a whole number from 1 to 2\^31, not "
    ):
        osthread.run(code)


@pytest.mark.parametrize("others", [0, 1, 2, 3])
def test_selects_by_turns_are_fair_each(others: int) -> None:
    """Whatever else the same thread selects from in its loop."""
    lua = f"""
        local select, a, b, c = require('osthread').select, ...
        local from_a = 0
        for _ = 1, 100 do
          if select(a, b) == a then from_a = from_a + 1 end
          for _ = 1, {others} do select(c, c) end
        end
        return from_a"""
    channels = [Channel(1000) for _ in range(3)]
    for channel in channels:
        channel.send_many(range(1000))
    assert 30 <= osthread.run(lua, *channels) <= 70
    from_a = 0
    for _ in range(100):
        from_a += select(*channels[:2])[0] is channels[0]
        for _ in range(others):
            select(channels[2], channels[2])
    assert 30 <= from_a <= 70


def test_receive_many_loses_nothing_to_a_value_that_has_no_form_in_python() -> None:
    channel = Channel()
    osthread.run("local c = ... c:send(1) c:send('two') c:send{[true] = 1, [1] = 2} c:send(4)", channel)
    with pytest.raises(ConversionError) as caught:
        channel.receive_many(10)
    assert caught.value.received == (1, "two")
    assert channel.receive_many(10) == [4]
