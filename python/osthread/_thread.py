"""OSThread, as people type it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Literal

from . import _core
from . import errors as _errors
from ._at_work import AtWork
from ._channel import Channel
from ._checks import seconds_in
from ._future import AwaitedFuture, ThreadFuture, WaitTimeoutError
from ._options import ThreadOptions, check_thread, code_parts, prepare
from .errors import Frame, Stopped, ThreadAbandonedWarning

try:
    from typing import Unpack
except ImportError:  # Python 3.10: only type checkers ask
    Unpack = tuple  # type: ignore[assignment]

__all__ = ["OSThread", "Status", "ThreadStatistics", "current", "enumerate", "run"]

Status = Literal[
    "suspended", "running", "paused", "finished", "failed", "stopped", "killed", "abandoned", "lost"
]

# Every OSThread by the core's key for it. A detached one is kept alive here until it ends.
_threads: weakref.WeakValueDictionary[int, OSThread] = weakref.WeakValueDictionary()
_detached: dict[int, OSThread] = {}

_UNSET: Any = object()

FOREVER = 9e9  # seconds; the clock's nanoseconds hold no more


# Those that call done callbacks.
_callbacks_at_work = AtWork()


@dataclass(frozen=True)
class ThreadStatistics:
    """How a thread is doing, at one moment."""

    cpu_seconds: float
    """CPU time it has had."""
    wall_seconds: float
    """Time since it started, until its end."""
    memory: int
    """Bytes its state holds beyond its libraries; 0 after its end."""
    peak_memory: int
    """The most it has held."""
    memory_limit: int | None
    """What it may hold."""
    time_limit: float | None
    """Seconds it may take."""
    stops_asked: int
    """How often ``request_stop``, ``interrupt`` and its time limit have asked it to end."""
    waiting_for: str | None
    """What it waits for now (``"sleep"``); ``None`` if it does not wait."""
    waiting_seconds: float
    """For how long now."""
    leaked: tuple[str, ...] = ()
    """C modules that it had loaded when a kill ended it, whose finalizers never run: what was theirs is lost."""


class _CallBack:
    """Calls a thread's callbacks at its end, without keeping the object: a thread that nobody can reach is ended."""

    def __init__(self, thread: OSThread) -> None:
        self._thread = weakref.ref(thread)

    def __call__(self) -> None:
        thread = self._thread()
        if thread is not None:
            thread._call_back()


class _Announced:
    """What a thread's end announces: its object, unless that has been dropped, or is being so."""

    __slots__ = ("_reference",)

    def __init__(self, reference: weakref.ref[OSThread]) -> None:
        self._reference = reference

    def __call__(self) -> OSThread | None:
        thread = self._reference()
        return None if thread is None or thread._given_up else thread


class OSThread(_core.Thread):
    """A native thread that runs Lua in a state of its own, beside the GIL.

    ``code`` is Lua source (``str`` or ``bytes``), a path (``os.PathLike``) or a :class:`LuaFunction`: a chunk,
    whose ``...`` are ``args``, or one function expression, which is called with them. It is compiled before the
    thread is started, so a syntax error (:class:`LuaSyntaxError`) starts none. The thread starts at once unless
    ``suspended=True``. All options: :class:`ThreadOptions`.

    Keep a reference, or use ``with``: a running thread that nobody can reach is terminated.

    Raises :class:`LuaSyntaxError`, :class:`ConversionError` (an argument can't cross), ``TypeError`` or
    ``ValueError`` (an option), ``RuntimeError`` (the system makes no thread), ``OSError`` (it refuses the
    priority or affinity).

    Every method may be called from any thread.

    >>> with OSThread("return ... * 2", 21) as t:
    ...     pass
    >>> t.result()
    42
    """

    _made = False  # until the constructor below has returned, there is nothing to ask or to end
    _adopted = False  # Lua code or C++ has started it, and decides how it ends

    def __init__(self, code: Any, /, *args: Any, **options: Unpack[ThreadOptions]) -> None:
        self._prepare(code, args, options)
        self._launch()

    def _prepare(self, code: Any, args: tuple[Any, ...], options: ThreadOptions) -> None:
        """All but the start, so that there is an object to end when Ctrl-C comes with it."""
        if self._made:
            raise RuntimeError("an OSThread is made once: OSThread.__init__() has been called before")
        self._begin()
        function = getattr(code, "_value", None)
        if isinstance(function, _core.FunctionValue) and function.safe:
            options = {"libraries": "safe", **options}
        self._options = check_thread(options)
        source, chunk_name = code_parts(code, self._options.get("chunk_name"))
        super().__init__(source, chunk_name, args, prepare(self._options))
        if self._options.get("notify") is not None:
            self._announce(_Announced(weakref.ref(self)))
        self._made = True
        _threads[self._key] = self  # before it runs: its first instruction may ask who it is

    @classmethod
    def _adopt(cls, handle: _core.ThreadValue) -> OSThread:
        """The object of a thread that Lua code or C++ has started."""
        thread = cls.__new__(cls)
        thread._begin()
        _core.Thread.__init__(thread, handle)
        thread._adopted = True
        thread._options = thread._own_options()
        thread._made = True
        _threads[thread._key] = thread
        return thread

    def _begin(self) -> None:
        self._results_cache: Any = _UNSET
        self._error_cache: Any = _UNSET
        self._fetched = False
        self._asked = False  # to stop, through one of our methods
        self._detached = False
        self._dropped = False
        self._given_up = False
        self._futures: dict[type[ThreadFuture], ThreadFuture] = {}
        self._future_lock = threading.Lock()
        self._done_callbacks: list[Callable[[OSThread], Any]] = []

    # --- What it is -----------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Its name; the native thread has it too, cut to what the system takes."""
        return self._name

    @property
    def ident(self) -> int:
        """As ``threading.get_ident()`` gives it in that thread."""
        return self._ident

    @property
    def native_id(self) -> int:
        """The kernel's id of the thread, as ``threading.get_native_id()`` gives it in that thread."""
        return self._native_id

    @property
    def native_handle(self) -> int:
        """``pthread_t``, as an int; on Windows the thread's id, for ``OpenThread``."""
        return self._ident

    @property
    def status(self) -> Status:
        """Where it is in its life; changes when that is true, not before."""
        return self._status

    @property
    def options(self) -> MappingProxyType[str, Any]:
        """The options it was given."""
        return MappingProxyType(self._options)

    def is_alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._status in ("running", "paused")

    def done(self) -> bool:
        """Whether it has ended."""
        return self._ended()

    def stack(self) -> list[Frame]:
        """Where it is now: the frames of its Lua stack, innermost first; empty if it does not run.

        Raises ``TimeoutError`` if it does not answer within a second, being in a C function or a Python callable.
        """
        frames = self._stack(1.0)
        if frames is None:
            if self._ended():
                return []
            raise WaitTimeoutError(
                f"{self!r} runs no Lua just now: it is in a C function or a Python callable"
            )
        return list(frames)

    def statistics(self) -> ThreadStatistics:
        """CPU and wall time, memory, and what it waits for."""
        return ThreadStatistics(
            memory_limit=self._options.get("memory_limit") or None,
            time_limit=self._options.get("time_limit"),
            **self._statistics(),
        )

    # --- Messages -------------------------------------------------------------------------------------

    @property
    def mailbox(self) -> Channel:
        """The channel that its code receives from with ``osthread.receive()``; closed when it has ended."""
        mailbox: Channel = self._mailbox()
        return mailbox

    def send(self, value: Any, timeout: float | None = None) -> None:
        """Sends it a message: :meth:`Channel.send` of its mailbox."""
        self.mailbox.send(value, timeout)

    # --- Its end --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs a suspended thread. ``RuntimeError`` if it ran already."""
        self._start()

    def join(self, timeout: float | None = None) -> bool:
        """Waits at most ``timeout`` seconds (``None``: for ever): whether it has ended.

        Never raises what the chunk raised. Ctrl-C ends the wait, not the thread. ``RuntimeError`` for a thread that
        was never started (with no timeout, that would never return) and for the thread itself.
        """
        if not self._ended() and _core.current_key() == self._key:
            raise RuntimeError("an OSThread can't join itself")
        if timeout is None and self._status == "suspended":
            raise RuntimeError("an OSThread that was never started can't be joined")
        return self._join(_timeout(timeout)) and self._status != "abandoned"

    def result(self, timeout: float | None = None) -> Any:
        """What the chunk returned: ``None``, the value, or a tuple of several. Raises its error.

        Waits at most ``timeout`` seconds, then ``TimeoutError``. A Python exception that came through Lua is raised
        as itself, with the Lua traceback as a note.
        """
        return _unpack(self.results(timeout))

    def results(self, timeout: float | None = None) -> tuple[Any, ...]:
        """As :meth:`result`, but always a tuple."""
        self._wait_for_end(timeout)
        self._fetched = True
        error = self._error()
        if error is not None:
            raise error
        return self._values()

    def _values(self) -> tuple[Any, ...]:
        if self._results_cache is _UNSET:
            try:
                self._fetch_results()
            except BaseException as failure:
                self._error_cache = failure  # results with no form in Python: the same error each time
                raise
        results: tuple[Any, ...] = self._results_cache
        return results

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The chunk's error, or ``None`` if it returned. Waits as :meth:`result` does."""
        self._wait_for_end(timeout)
        self._fetched = True
        return self._error()

    def add_done_callback(self, function: Callable[[OSThread], Any]) -> None:
        """Has ``function(thread)`` called when the thread has ended, on that thread; at once if it has.

        What it raises goes to ``sys.unraisablehook``.
        """
        if not callable(function):
            raise TypeError(f"a callback must be callable, not {type(function).__name__}")
        with self._future_lock:
            first = not self._done_callbacks
            self._done_callbacks.append(function)
        if first:
            self._on_end(_CallBack(self))

    def _call_back(self) -> None:
        """Calls the callbacks that are there; by the thread that has ended, or by one that comes too late."""
        with _callbacks_at_work:  # before they are taken: then the program's end sees them, there or at work
            with self._future_lock:
                callbacks, self._done_callbacks = self._done_callbacks, []
            for function in callbacks:
                try:
                    function(self)
                except BaseException as error:
                    _core.write_unraisable(error, function)

    @property
    def future(self) -> ThreadFuture:
        """A ``concurrent.futures.Future`` of it; its ``cancel()`` stops running code too."""
        return self._future_of(ThreadFuture)

    def _future_of(self, kind: type[ThreadFuture]) -> ThreadFuture:
        with self._future_lock:
            future = self._futures.get(kind)
            if future is not None:
                return future
            made = self._futures[kind] = kind(self)
        self.add_done_callback(lambda thread: thread._finish(made))  # outside of the lock: it may have ended
        return made

    def _finish(self, future: ThreadFuture) -> None:
        if future.done():
            return
        try:
            if self._status == "lost":
                raise RuntimeError(f"{self!r} was made before the fork: it runs in the parent, not here")
            error = self._error()
            if error is None:
                future.set_result(_unpack(self._values()))
            else:
                future.set_exception(future.as_future_s(error))
        except BaseException as failure:  # results with no form in Python
            future.set_exception(failure)

    def __await__(self) -> Generator[Any, None, Any]:
        """``result()`` without blocking the loop; cancelling the await interrupts the thread."""
        if self._status == "suspended":
            raise RuntimeError("this OSThread was never started, so it has no result to await")
        return asyncio.wrap_future(self._future_of(AwaitedFuture)).__await__()

    def _wait_for_end(self, timeout: float | None) -> None:
        if not self._ended() and _core.current_key() == self._key:
            raise RuntimeError("an OSThread can't wait for its own result")
        if timeout is None and self._status == "suspended":
            raise RuntimeError("this OSThread was never started, so it has no result")
        if not self._join(_timeout(timeout)):
            raise WaitTimeoutError(f"{self!r} has not ended within {timeout} s")
        if self._status == "lost":
            raise RuntimeError(f"{self!r} was made before the fork: it runs in the parent, not here")

    def _error(self) -> BaseException | None:
        if self._error_cache is _UNSET:
            self._fetch_error()
        error: BaseException | None = self._error_cache
        return error

    # --- Stopping it ----------------------------------------------------------------------------------

    def request_stop(self) -> bool:
        """Asks it to end: blocking calls of this library raise Stopped, Lua code may poll ``stop_requested()``.

        Does not wait; whether it had something to do.
        """
        self._asked = True
        return self._request_stop()

    def interrupt(self) -> bool:
        """Raises Stopped in its Lua code, whatever it does; blocking system calls return.

        Code that catches the error has ``grace`` seconds to clean up; after that it is raised at every instruction.
        Does not wait; whether it had something to do. Code inside a Python callable ends when that returns.
        """
        self._asked = True
        return self._interrupt()

    def kill(self) -> bool:
        """Has the thread leave Lua for good at its next safe point, whatever it does; its state is discarded.

        Memory, machine code and files opened by ``io`` are given back; nothing of Lua runs any more, finalizers
        neither. Does not wait; whether it had something to do. Code inside a Python callable or a C module ends when
        that returns. ``NotImplementedError`` where it can't be had (``features().kill``).
        """
        _core.require_kill()
        self._asked = True
        return self._kill()

    def pause(self, timeout: float | None = 0.0) -> bool:
        """Holds the chunk at its next instruction, compiled loops included.

        Does not wait, and returns whether it had something to do. With a ``timeout`` (seconds; ``None``: for ever) it
        waits, and returns whether the chunk is held; ``status`` is ``"paused"`` while it is. A stop, of any kind,
        lets it go. Its ``time_limit`` runs on.
        """
        seconds = _timeout(timeout)
        paused = self._pause()
        if seconds == 0.0:
            return paused
        return self._wait_held(FOREVER if seconds is None else seconds)

    def resume(self) -> bool:
        """Lets a paused chunk go on; whether it had been paused."""
        return self._resume()

    def terminate(self, grace: float | None = None) -> Status:
        """``request_stop()``, ``interrupt()``, ``kill()``, with ``grace`` seconds between; waits: the final status.

        One that does not answer for another second is given up: ``"abandoned"``, with a
        :class:`ThreadAbandonedWarning`.
        """
        self._asked = True
        seconds = self._grace() if grace is None else check_thread({"grace": grace})["grace"]
        status = self._terminate(seconds)
        if status == "abandoned":
            warnings.warn(
                f"{self!r} did not end when it was terminated: it is in a Python callable or in C code that "
                "does not return",
                ThreadAbandonedWarning,
                stacklevel=_callers_level(),
            )
        return status

    def detach(self) -> None:
        """Gives up ownership: it runs to its end, kept by the library. Ended with the program."""
        if self._status == "suspended":
            raise RuntimeError("an OSThread that was never started can't be detached")
        if self._adopted:
            self._detach_adopted()
            return
        self._detached = True
        key = self._key
        _detached[key] = self
        _threads[key] = self  # again, if the last reference is just going away
        self._on_end(lambda: _end_detached(key))

    def _runs_free(self) -> bool:
        """Whether its owner has given it up."""
        return self._detached or self._is_detached()

    def _grace(self) -> float:
        return float(self._options.get("grace", 0.1))

    # --- Scope ----------------------------------------------------------------------------------------

    def __enter__(self) -> OSThread:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Applies ``on_exit``, then raises an error of the chunk that nobody has fetched.

        By an exception the thread is terminated and that exception goes on; an error that the chunk had of its own
        is put at the end of its ``__context__`` chain.
        """
        if error is not None:
            own = self._error() if self._ended() and self._status != "lost" else None
            if not self._runs_free():
                self.terminate()
            self._fetched = True
            if own is not None:
                _append_context(error, own)
            return
        try:
            self._leave()
        except KeyboardInterrupt:
            self._asked = True
            self._fetched = True
            if not self._ended():
                self._terminate(0.0)
            raise
        self._raise_unfetched()

    async def __aenter__(self) -> OSThread:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As ``with``, without blocking the loop."""
        loop = asyncio.get_running_loop()
        if (
            error is None
            and not self._runs_free()
            and self._policy() == "join"
            and self._status != "suspended"
        ):
            self._resume()  # nobody is left to do so
            # Not its future: that would have the error fetched.
            ended = asyncio.Event()
            self.add_done_callback(lambda _: _set_soon(loop, ended))
            try:
                await ended.wait()
            except asyncio.CancelledError:
                self.interrupt()
                await _off_loop(self.terminate)
                raise
        if self._ended():
            self.__exit__(kind, error, trace)
        else:
            await _off_loop(partial(self.__exit__, kind, error, trace))

    def _policy(self) -> str:
        return str(self._options.get("on_exit", "join"))

    def _leave(self) -> None:
        """Applies on_exit. A paused thread goes on: nobody is left to resume it."""
        self._resume()
        if self._status == "suspended":
            self._fetched = True
            self._discard()
        elif self._runs_free():
            return
        elif self._policy() == "terminate":
            if not self._ended():
                self.terminate()
        elif self._policy() == "detach":
            if not self._ended():
                self.detach()
        else:
            self._join(None)

    def _raise_unfetched(self) -> None:
        if self._fetched or not self._ended() or self._status == "lost":
            return
        error = self._error()
        self._fetched = True
        if error is not None and not self._is_asked_stop(error):
            raise error

    def __del__(self) -> None:
        # Never waits: what is left to do is the watchdog's.
        if not self._made or sys is None or _core is None or _errors.LuaError is None:
            return  # so late in the program's end that the modules are gone
        status = self._status
        if self._ended() and self._done_callbacks:
            self._call_back()  # the thread comes too late for it
        if self._adopted:
            if self._done_callbacks:
                self._on_end(self._call_back)  # keeps it until then
            return
        if status == "suspended":
            self._discard()
            self._call_back()
        elif status in ("running", "paused") and not self._detached and self._policy() == "detach":
            self._resume()
            self._dropped = True  # and kept all the same: this is not called again
            self.detach()
        elif status in ("running", "paused") and not self._detached:
            self._given_up = True
            text = f"{self!r} was dropped while it was running, and is terminated"
            advice = "keep a reference to it, use 'with', or call detach()"
            if not self._fetched:
                self._report_end(f"{text}: {advice}")
            self._terminate_later()
            if self._done_callbacks:
                self._on_end(self._call_back)  # keeps it until then
            warnings.warn(
                f"{text}; {advice}", ResourceWarning, stacklevel=2, source=self
            )  # last: it may raise
        else:
            self._report_unfetched()

    def _report_unfetched(self) -> None:
        if self._fetched or not self._error_unreported():
            return
        error = self._error()
        if error is not None:
            self._fetched = True
            _core.write_unraisable(error, f"{self!r}, whose error nobody asked for")

    def _error_unreported(self) -> bool:
        if self._status in ("running", "paused", "finished", "lost"):
            return False
        error = self._error()
        return error is not None and not self._is_asked_stop(error)

    def _is_asked_stop(self, error: BaseException) -> bool:
        """Whether it is a stop that somebody asked for through the thread's own methods, in Python or in Lua."""
        return isinstance(error, Stopped) and (self._asked or self._statistics()["stops_asked"] > 0)

    def __repr__(self) -> str:
        return f"<OSThread {self._name!r} {self._status}>" if self._made else "<OSThread, not made>"

    def __reduce__(self) -> Any:
        raise TypeError("an OSThread can't be pickled or copied: it is a running thread")


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop has been closed meanwhile: nobody waits
        loop.call_soon_threadsafe(event.set)


def _callers_level() -> int:
    """The stacklevel of the first caller outside of this package, for a warning by the function that asks."""
    level, frame = 1, sys._getframe(1)
    while frame.f_globals.get("__package__") == __package__ and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def _unpack(results: tuple[Any, ...]) -> Any:
    if not results:
        return None
    return results[0] if len(results) == 1 else results


def _timeout(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not hasattr(seconds, "__float__"):
        raise TypeError(f"timeout must be seconds or None, not {type(seconds).__name__}")
    seconds = seconds_in(seconds, "timeout")
    if seconds != seconds:
        raise ValueError("timeout must be a number of seconds, not nan")
    return max(seconds, 0.0)


def _append_context(error: BaseException, own: BaseException) -> None:
    last = error
    seen = {id(error)}
    while last.__context__ is not None:
        last = last.__context__
        if id(last) in seen:
            return
        seen.add(id(last))
    if id(own) not in seen and last is not own:
        last.__context__ = own


def run(code: Any, /, *args: Any, **options: Unpack[ThreadOptions]) -> Any:
    """Runs code in a new thread and waits for it: its result. Takes what :class:`OSThread` takes.

    Ctrl-C stops the code and is raised.

    >>> osthread.run("return 6 * 7")
    42
    """
    if options.get("suspended"):
        raise ValueError("run() starts its thread at once: suspended=True is for OSThread")
    thread = OSThread.__new__(OSThread)
    thread._prepare(code, args, options)
    try:
        thread._launch()
        return thread.result()
    except BaseException:
        if not thread.done():
            thread._asked = thread._fetched = True
            thread._terminate(0.0)
        raise


async def _off_loop(function: Callable[[], object]) -> None:
    """Calls it on a thread of its own: the loop's executor may be full of what waits for it."""
    executor = ThreadPoolExecutor(1)
    try:
        await asyncio.get_running_loop().run_in_executor(executor, function)
    finally:
        executor.shutdown(wait=False)


def enumerate() -> list[OSThread]:
    """The threads that are alive, those too that Lua code has started."""
    threads = list(_threads.values())
    for handle in _core.alive_threads():
        if handle.key not in _threads:
            with suppress(RuntimeError):  # its object has just gone
                threads.append(thread_of(handle))
    return [thread for thread in threads if thread.is_alive()]


def current() -> OSThread | None:
    """The OSThread whose Lua code called the Python code that asks; ``None`` in a Python thread."""
    handle = _core.current_thread()
    return None if handle is None else thread_of(handle)


def _end_detached(key: int) -> None:
    thread = _detached.pop(key, None)
    if thread is not None:
        thread._call_back()  # those that were added since it was detached
        if thread._dropped:
            thread._report_unfetched()


def thread_of(handle: _core.ThreadValue) -> OSThread:
    thread = _threads.get(handle.key)
    if thread is None:
        return OSThread._adopt(handle)
    if thread._adopted:
        thread._hold(handle)
    return thread


def _forget_parents() -> None:
    """In a fork's child: its parent's threads are not here."""
    _core.after_fork()
    _callbacks_at_work.renew()
    for thread in list(_threads.values()):
        thread._future_lock = threading.Lock()
        for future in thread._futures.values():
            if not future.done():
                future.renew_lock()
                thread._finish(future)
        thread._done_callbacks = []  # they are called in the parent
    _detached.clear()
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)
