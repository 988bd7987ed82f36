"""Checks of options, before anything is made: a wrong one is an error that names it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import Any, Literal, Protocol, TypedDict

from ._channel import Channel
from ._checks import check_encoding, check_flag, check_one_of, check_seconds, check_text_option, check_whole

__all__ = [
    "StateOptions",
    "TextStream",
    "ThreadOptions",
    "check_pool",
    "check_state",
    "check_thread",
    "prepare",
]


class TextStream(Protocol):
    """Whatever has a ``write`` for text."""

    def write(self, text: str, /) -> Any: ...


Output = TextStream | Callable[[str], Any] | None
Libraries = Literal["all", "safe"] | Iterable[str]


class StateOptions(TypedDict, total=False):
    """What a :class:`~osthread.LuaState` can be given; an :class:`~osthread.OSThread` too."""

    grace: float
    """Seconds for cleanup after an interrupt, and between the steps of ``terminate``; 0.1."""
    time_limit: float | None
    """Seconds until LuaTimeout; none."""
    memory_limit: int | None
    """Bytes the state may hold beyond its libraries, at least 65536; none."""
    libraries: Libraries
    """``"all"``, ``"safe"``, or names; all."""
    jit: bool
    """False: interpreted only."""
    globals: Mapping[str, Any] | None
    """Set as globals before the code runs."""
    modules: Mapping[str, str | bytes] | None
    """Module names and their Lua source, for ``require``."""
    path: str | None
    """``package.path``; LuaJIT's."""
    cpath: str | None
    """``package.cpath``; LuaJIT's."""
    stdout: Output
    """Where ``print`` and ``io.write`` go; where Python's ``print`` goes now."""
    encoding: str | None
    """Of strings that come from Lua; ``None``: always bytes; UTF-8."""
    bytecode: bool
    """Whether precompiled code is taken; False."""
    max_threads: int | None
    """How many threads its Lua code may have alive, those that they start included; none, 0 with ``"safe"``."""


class ThreadOptions(StateOptions, total=False):
    """What an :class:`~osthread.OSThread` can be given."""

    name: str | None
    """Also the native thread's name; ``"OSThread-N"``."""
    chunk_name: str | None
    """What tracebacks call the code; its start, or the file."""
    suspended: bool
    """Does not run until ``start()``."""
    on_exit: Literal["join", "terminate", "detach"]
    """What leaving the block, and the program's end, do; ``"join"``."""
    stack_size: int | None
    """Bytes of the native stack, at least 262144; the system's."""
    priority: Literal["low", "normal", "high"] | None
    """Of the native thread; the system's."""
    affinity: Iterable[int] | None
    """CPU numbers it may run on; all."""
    closes: Iterable[Channel] | None
    """Closed when the thread has ended, however it did; one named by several threads closes with the last."""
    notify: Channel | None
    """Gets this OSThread when it has ended; what finds it full is kept until there is room."""


_LEAST_MEMORY = 65536  # what a chunk and its error need
_LEAST_STACK = 256 * 1024  # the core's kMinimumStackSize
_STATE = frozenset(StateOptions.__annotations__)
_THREAD = frozenset(ThreadOptions.__annotations__) | _STATE
_OF_ONE_THREAD = frozenset({"suspended", "on_exit", "chunk_name", "closes", "notify"})
_OF_A_POOL = frozenset({"max_workers", "setup", "tasks_per_state"})


def check_state(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a state, checked; TypeError or ValueError names the wrong one."""
    return _check(options, _STATE)


def check_thread(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a thread, checked."""
    checked = _check(options, _THREAD)
    if "on_exit" in checked:
        check_one_of(checked, "on_exit", ("join", "terminate", "detach"))
    if checked.get("priority") is not None:
        check_one_of(checked, "priority", ("low", "normal", "high"))
    for name in ("name", "chunk_name"):
        check_text_option(checked, name)
    check_whole(checked, "stack_size", _LEAST_STACK, "the system's")
    if checked.get("affinity") is not None:
        checked["affinity"] = _cpus(checked["affinity"])
        if not checked["affinity"]:
            raise ValueError("affinity names no CPU")
    if checked.get("closes") is not None:
        checked["closes"] = _channels(checked["closes"])
    if checked.get("notify") is not None and not isinstance(checked["notify"], Channel):
        raise TypeError(f"notify must be a Channel, not {type(checked['notify']).__name__}")
    return checked


def prepare(options: dict[str, Any]) -> dict[str, Any]:
    """The options as the core takes them: output as a callable, or none for the process's own stdout."""
    if not options:  # the common case: nothing to copy
        stdout = _current_stdout()
        return {} if stdout is None else {"stdout": stdout}
    prepared = dict(options)
    stdout = options.get("stdout")
    if stdout is None:
        prepared["stdout"] = _current_stdout()
    elif not callable(stdout):
        prepared["stdout"] = stdout.write
    return prepared


def check_pool(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a pool's threads, checked."""
    for name in options:
        if name in _OF_ONE_THREAD:
            raise TypeError(f"{name} is an option of a single OSThread, not of a LuaPool")
    _require_known(options, (_THREAD - _OF_ONE_THREAD) | _OF_A_POOL)
    return check_thread(options)


def _require_known(options: Iterable[str], known: frozenset[str]) -> None:
    for name in options:
        if name not in known:
            raise TypeError(f"there is no option {name!r}; there are {', '.join(sorted(known))}")


def _check(options: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    if not options:
        return {}
    checked = dict(options)
    _require_known(checked, known)
    for name in ("grace", "time_limit"):
        check_seconds(checked, name)
    if checked.get("grace", 0) is None:
        del checked["grace"]
    check_whole(checked, "memory_limit", _LEAST_MEMORY)
    check_whole(checked, "max_threads")
    for name in ("jit", "bytecode", "suspended"):
        check_flag(checked, name)
    for name in ("path", "cpath"):
        check_text_option(checked, name)
    if "libraries" in checked:
        checked["libraries"] = _libraries(checked["libraries"])
    for name in ("globals", "modules"):
        if checked.get(name) is not None:
            checked[name] = _mapping(name, checked[name])
    if checked.get("modules"):
        for module, source in checked["modules"].items():
            if not isinstance(source, (str, bytes)):
                raise TypeError(f"modules[{module!r}] must be Lua source, not {type(source).__name__}")
    check_encoding(checked.get("encoding"))
    stdout = checked.get("stdout")
    if stdout is not None and not callable(stdout) and not hasattr(stdout, "write"):
        raise TypeError(f"stdout must be a text stream or a callable, not {type(stdout).__name__}")
    return checked


def _libraries(libraries: Any) -> list[str]:
    if isinstance(libraries, str):
        if libraries not in ("all", "safe"):
            raise ValueError(f'libraries must be "all", "safe" or a collection of names, not {libraries!r}')
        return [libraries]
    if not isinstance(libraries, Iterable) or isinstance(libraries, (bytes, Mapping)):
        raise TypeError(f'libraries must be "all", "safe" or a collection of names, not {libraries!r}')
    names = list(libraries)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"libraries: the name {name!r} must be a str")
        if name in ("all", "safe") and len(names) > 1:
            raise ValueError(f'libraries: "{name}" stands alone, not among other names')
    return names


def _channels(channels: Any) -> list[Channel]:
    if isinstance(channels, Channel) or not isinstance(channels, Iterable):
        raise TypeError(f"closes must be a collection of channels, not {type(channels).__name__}")
    checked = list(channels)
    for channel in checked:
        if not isinstance(channel, Channel):
            raise TypeError(f"closes must name channels, not {type(channel).__name__}")
    return checked


def _cpus(cpus: Any) -> list[int]:
    if not isinstance(cpus, Iterable) or isinstance(cpus, (str, bytes)):
        raise TypeError(f"affinity must be a set of CPU numbers, not {cpus!r}")
    numbers = set()
    for cpu in cpus:
        if isinstance(cpu, bool) or not hasattr(cpu, "__index__"):
            raise TypeError(f"affinity: the CPU number {cpu!r} must be an int")
        if not 0 <= cpu.__index__() < 2**31:
            raise ValueError(f"affinity: there is no CPU {cpu!r}")
        numbers.add(cpu.__index__())
    return sorted(numbers)


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, not {type(value).__name__}")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{name}: the name {key!r} must be a str")
        check_text_option({name: key}, name)
    return dict(value)


def _current_stdout() -> Callable[[str], Any] | None:
    stream: Any = sys.stdout
    if stream is None:
        return lambda text: None  # pythonw: print goes nowhere
    if _is_the_process_own(stream):
        stream.flush()  # what Python printed before comes first
        return None
    write: Callable[[str], Any] = stream.write
    return write


def _is_the_process_own(stream: Any) -> bool:
    try:
        return stream in (sys.__stdout__,) and bool(stream.fileno() == 1)
    except (OSError, ValueError, AttributeError):
        return False


def code_parts(code: Any, chunk_name: str | None) -> tuple[Any, str]:
    """Source as bytes with its chunk name (``""``: its start), or the core's function value."""
    value = getattr(code, "_value", None)
    if value is not None:
        if isinstance(code, MethodType):  # which lends what its function has, and would lose its self
            raise TypeError("code can't be a bound method: pass its function, and self as the first argument")
        return value, ""
    name = "" if chunk_name is None else "=" + chunk_name
    if isinstance(code, str):
        try:
            return code.encode("utf-8"), name
        except UnicodeEncodeError as error:
            raise ValueError(
                f"code holds a lone surrogate at {error.start}, which UTF-8 can't; pass bytes instead"
            ) from None
    if isinstance(code, (bytes, bytearray)):
        return bytes(code), name
    if isinstance(code, os.PathLike):
        path = os.fspath(code)
        with open(path, "rb") as file:
            source = file.read()
        if source.startswith(b"#"):  # a script's first line is for the shell
            source = b"--" + source
        return source, name or "@" + os.fsdecode(path)
    raise TypeError(
        f"code must be Lua source (str or bytes), a path (os.PathLike) or a LuaFunction, not {type(code).__name__}"
    )
