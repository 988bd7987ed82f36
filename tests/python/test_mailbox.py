"""Messages to a thread, channels that end with threads, and who is told of an end."""

from __future__ import annotations

import gc
import sys
import threading
import warnings

import osthread
import pytest
from osthread import Channel, ChannelClosed, LuaError, OSThread, Stopped

PATIENCE = 30


def test_a_thread_receives_what_it_is_sent() -> None:
    with OSThread("local r = require('osthread').receive return r() + r()") as thread:
        thread.send(40)
        thread.mailbox.send(2)
    assert thread.result() == 42


def test_the_mailbox_is_a_channel_like_others() -> None:
    code = "local osthread = require 'osthread' return osthread.self().mailbox, osthread.receive(0)"
    thread = OSThread(code, suspended=True)
    mailbox = thread.mailbox
    assert type(mailbox) is Channel
    assert thread.mailbox is mailbox
    mailbox.send("first")
    thread.start()
    assert thread.result(PATIENCE) == (mailbox, "first")
    assert mailbox.closed
    with pytest.raises(ChannelClosed):
        thread.send("too late")


def test_a_mailbox_asked_for_after_the_end_is_closed() -> None:
    thread = OSThread("")
    thread.join()
    assert thread.mailbox.closed


def test_what_is_left_in_the_mailbox_can_still_be_had() -> None:
    thread = OSThread("")
    try:
        thread.send("unread")
    except ChannelClosed:
        return  # it had ended
    thread.join()
    assert list(thread.mailbox) == ["unread"]


def test_receive_says_what_a_channel_says() -> None:
    assert osthread.run("return require('osthread').receive(0)") == (None, "timeout")
    assert osthread.run("return require('osthread').receive(0.01)") == (None, "timeout")
    with pytest.raises(RuntimeError, match="no OSThread runs this code"), osthread.LuaState() as state:
        state.execute("require('osthread').receive()")


def test_a_thread_hands_itself_its_mailbox_and_channels_on() -> None:
    first = OSThread(
        """
        local osthread = require "osthread"
        local other = osthread.receive()
        other:send(osthread.self())
        local answer = osthread.Channel()
        other:send(answer)
        return osthread.receive(), answer:receive()
        """
    )
    second = OSThread(
        """
        local osthread = require "osthread"
        local other, answer = osthread.receive(), osthread.receive()
        assert(other:send("to itself"))
        assert(other.mailbox ~= osthread.self().mailbox)
        answer:send("through its channel")
        """
    )
    first.send(second)
    assert first.result(PATIENCE) == ("to itself", "through its channel")
    second.join()


def test_sending_to_a_handle_in_lua_gives_values_for_expected_outcomes() -> None:
    target = OSThread("require('osthread').sleep(1000)")
    assert osthread.run(
        """
        local t = ...
        local n = 0
        while t:send(n, 0) do n = n + 1 end
        return n, t:send(1, 0)
        """,
        target,
    ) == (1024, None, "timeout")
    target.terminate()
    assert osthread.run("return (...):send(1)", target) == (None, "closed")
    with pytest.raises(osthread.LuaError, match="colon"):
        osthread.run("(...).send(1)", target)


@pytest.mark.parametrize("end", ["return 1", "error('x')", "require('osthread').sleep(1000)"])
def test_its_channels_close_with_it_however_it_ends(end: str) -> None:
    channel, other = Channel(), Channel()
    thread = OSThread("(...):send(1) " + end, channel, closes=[channel, other])
    assert channel.receive(PATIENCE) == 1
    if "sleep" in end:
        assert not channel.closed
        thread.kill()
    with pytest.raises(ChannelClosed):
        channel.receive(PATIENCE)
    with pytest.raises(ChannelClosed):
        other.receive(PATIENCE)
    thread.join()
    thread.exception()


def test_after_join_they_are_closed() -> None:
    for _ in range(200):
        channel = Channel()
        thread = OSThread("", closes=[channel])
        thread.join()
        assert channel.closed


def test_one_of_several_threads_closes_with_the_last() -> None:
    work, done = Channel(), Channel()
    code = "local a, b = ... for v in a do b:send(v * 2) end"
    threads = [OSThread(code, work, done, closes=(done,)) for _ in range(4)]
    work.send_many(range(1000))
    work.close()
    assert sorted(done) == [2 * i for i in range(1000)]
    for thread in threads:
        thread.join()


def test_a_thread_that_is_never_started_counts_as_ended_when_it_is_discarded() -> None:
    channel = Channel()
    thread = OSThread("", suspended=True, closes=[channel])
    assert not channel.closed
    assert thread.terminate() == "stopped"
    assert channel.closed


def test_one_that_could_not_be_made_closes_nothing() -> None:
    channel = Channel()
    with pytest.raises(osthread.LuaSyntaxError):
        OSThread("return return", closes=[channel])
    assert not channel.closed


def test_who_asked_is_told_of_each_end() -> None:
    ends = Channel()
    threads = [OSThread(code, notify=ends) for code in ("return 5", "error('x')", "while true do end")]
    first = {ends.receive(PATIENCE), ends.receive(PATIENCE)}
    assert first == set(threads[:2])
    assert threads[0].result(0) == 5
    with pytest.raises(LuaError):
        threads[1].result(0)
    threads[2].interrupt()
    assert ends.receive(PATIENCE) is threads[2]
    with pytest.raises(Stopped):
        threads[2].result(0)


def test_the_result_of_a_thread_whose_end_was_told_is_there() -> None:
    ends = Channel()
    for i in range(2000):
        thread = OSThread("return ...", i, notify=ends)
        assert ends.receive(PATIENCE) is thread
        assert thread.result(0) == i


def test_the_object_stays_until_somebody_receives_it() -> None:
    ends = Channel()
    thread = OSThread("return 'kept'", notify=ends)
    thread.join()
    key = id(thread)
    del thread
    gc.collect()
    assert len(ends) == 1
    got = ends.receive()
    assert id(got) == key
    assert got.result() == "kept"


def test_more_ends_than_there_is_room_for_are_kept() -> None:
    ends = Channel(2)
    threads = [OSThread("return ...", i, notify=ends) for i in range(50)]
    for thread in threads:
        thread.join()
    assert len(ends) == 2
    assert {ends.receive(PATIENCE) for _ in range(50)} == set(threads)
    assert len(ends) == 0


def test_a_closed_channel_is_told_nothing() -> None:
    ends = Channel()
    ends.close()
    OSThread("", notify=ends).join()
    assert list(ends) == []


def test_a_dropped_thread_announces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = threading.Event()
    monkeypatch.setattr(sys, "unraisablehook", lambda _: reported.set())
    ends = Channel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        OSThread("require('osthread').sleep(1000)", notify=ends, on_exit="terminate")
        gc.collect()
    assert reported.wait(PATIENCE)  # the last thing of its end
    assert len(ends) == 0


def test_lua_is_told_by_a_handle() -> None:
    ends = Channel()
    supervisor = OSThread(
        "local ends = ... local t = ends:receive() return t.name, t.status, t:is_alive()", ends
    )
    child = OSThread("error('x')", name="child", notify=ends)
    assert supervisor.result(PATIENCE) == ("child", "failed", False)
    child.exception()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"closes": 5}, "closes must be a collection of channels, not int"),
        ({"closes": Channel()}, "closes must be a collection of channels, not Channel"),
        ({"closes": [5]}, "closes must name channels, not int"),
        ({"notify": print}, "notify must be a Channel, not builtin_function"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        OSThread("", **options)  # type: ignore[arg-type]
