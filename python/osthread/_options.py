"""Checks of options, before anything is made: a wrong one is an error that names it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypedDict

__all__ = ["StateOptions", "TextStream", "ThreadOptions", "check_state", "check_thread", "prepare"]


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
    max_threads: int | None
    """How many threads its Lua code may have alive; none."""
    stack_size: int | None
    """Bytes of the native stack; the system's."""
    priority: Literal["low", "normal", "high"] | None
    """Of the native thread; the system's."""
    affinity: Iterable[int] | None
    """CPU numbers it may run on; all."""


_LEAST_MEMORY = 65536  # what a chunk and its error need
_STATE = frozenset(StateOptions.__annotations__)
_THREAD = frozenset(ThreadOptions.__annotations__) | _STATE


def check_state(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a state, checked; TypeError or ValueError names the wrong one."""
    return _check(options, _STATE)


def check_thread(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a thread, checked."""
    checked = _check(options, _THREAD)
    if "on_exit" in checked:
        _one_of(checked, "on_exit", ("join", "terminate", "detach"))
    if checked.get("priority") is not None:
        _one_of(checked, "priority", ("low", "normal", "high"))
    for name in ("name", "chunk_name"):
        _text(checked, name)
    _whole(checked, "stack_size")
    _whole(checked, "max_threads")
    if checked.get("affinity") is not None:
        checked["affinity"] = _cpus(checked["affinity"])
        if not checked["affinity"]:
            raise ValueError("affinity names no CPU")
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


def _check(options: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    if not options:
        return {}
    checked = dict(options)
    for name in checked:
        if name not in known:
            raise TypeError(f"there is no option {name!r}; there are {', '.join(sorted(known))}")
    for name in ("grace", "time_limit"):
        _seconds(checked, name)
    if checked.get("grace", 0) is None:
        del checked["grace"]
    _whole(checked, "memory_limit")
    if checked.get("memory_limit") is not None and checked["memory_limit"] < _LEAST_MEMORY:
        raise ValueError(
            f"memory_limit must be at least {_LEAST_MEMORY} bytes, not {checked['memory_limit']}"
        )
    for name in ("jit", "bytecode", "suspended"):
        _flag(checked, name)
    for name in ("path", "cpath"):
        _text(checked, name)
    if "libraries" in checked:
        checked["libraries"] = _libraries(checked["libraries"])
    for name in ("globals", "modules"):
        if checked.get(name) is not None:
            checked[name] = _mapping(name, checked[name])
    if checked.get("modules"):
        for module, source in checked["modules"].items():
            if not isinstance(source, (str, bytes)):
                raise TypeError(f"modules[{module!r}] must be Lua source, not {type(source).__name__}")
    _text(checked, "encoding")
    if checked.get("encoding") is not None:
        try:
            "".encode(checked["encoding"])
        except (LookupError, ValueError):
            raise ValueError(f"encoding: there is none called {checked['encoding']!r}") from None
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
        _text({name: key}, name)
    return dict(value)


def _seconds(options: dict[str, Any], name: str) -> None:
    value = options.get(name)
    if value is None:
        return
    if isinstance(value, (bool, str)) or (
        not hasattr(value, "__float__") and not hasattr(value, "__index__")
    ):
        raise TypeError(f"{name} must be seconds, not {type(value).__name__}")
    seconds = float(value)
    if not seconds >= 0:
        raise ValueError(f"{name} must be 0 or more seconds, not {value!r}")
    options[name] = seconds


def _whole(options: dict[str, Any], name: str) -> None:
    value = options.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    whole = value.__index__()
    if not 0 <= whole < 2**63:
        raise ValueError(f"{name} must be from 0 to 2**63 - 1, not {value!r}")
    options[name] = whole


def _flag(options: dict[str, Any], name: str) -> None:
    if name in options and not isinstance(options[name], bool):
        raise TypeError(f"{name} must be True or False, not {options[name]!r}")


def _text(options: dict[str, Any], name: str) -> None:
    value = options.get(name)
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds lone surrogates, which no name can: {value!r}") from None


def check_text(value: Any, name: str) -> None:
    """Whether it is None or text, by the name it has for the caller."""
    _text({name: value}, name)


def _one_of(options: dict[str, Any], name: str, values: tuple[str, ...]) -> None:
    if options[name] not in values:
        raise ValueError(f"{name} must be one of {', '.join(values)}, not {options[name]!r}")


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
