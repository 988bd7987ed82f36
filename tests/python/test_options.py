"""Every wrong option is an error that names it, before anything is made."""

import pathlib
import re
from collections.abc import Callable
from typing import Any

import osthread
import pytest
from osthread import ConversionError, LuaState, OSThread

OF_STATES: list[tuple[str, Any]] = [
    ("grace", -1),
    ("grace", float("nan")),
    ("grace", "soon"),
    ("grace", "0.1"),
    ("grace", True),
    ("time_limit", -0.5),
    ("time_limit", float("nan")),
    ("time_limit", "5"),
    ("time_limit", [5]),
    ("time_limit", True),
    ("time_limit", 10**400),
    ("grace", 10**400),
    ("memory_limit", -1),
    ("memory_limit", 0),
    ("memory_limit", 65535),
    ("memory_limit", 1.5),
    ("memory_limit", "64M"),
    ("memory_limit", True),
    ("memory_limit", 2**70),
    ("libraries", "everything"),
    ("libraries", ["strnig"]),
    ("libraries", ["string", "safe"]),
    ("libraries", [5]),
    ("libraries", 5),
    ("libraries", None),
    ("jit", "no"),
    ("jit", 5),
    ("globals", 5),
    ("globals", [("a", 1)]),
    ("globals", {5: 1}),
    ("globals", {"\udc80": 1}),
    ("globals", {"x": 1j}),
    ("modules", 5),
    ("modules", {5: "return 1"}),
    ("modules", {"own": 5}),
    ("modules", {"own": pathlib.Path("own.lua")}),
    ("modules", {"\udc80": "return 1"}),
    ("path", 5),
    ("path", b"?.lua"),
    ("path", pathlib.Path("?.lua")),
    ("path", "\udc80"),
    ("cpath", 5),
    ("stdout", 5),
    ("stdout", "out.txt"),
    ("encoding", 5),
    ("encoding", "klingon"),
    ("encoding", "hex"),
    ("encoding", "utf-8\0"),
    ("bytecode", "x"),
    ("bytecode", 5),
    ("colour", "red"),
]
OF_THREADS: list[tuple[str, Any]] = [
    ("name", 5),
    ("name", b"worker"),
    ("name", "\udc80"),
    ("chunk_name", 5),
    ("chunk_name", "\udc80"),
    ("suspended", "yes"),
    ("suspended", 5),
    ("on_exit", "explode"),
    ("on_exit", None),
    ("on_exit", []),
    ("max_threads", -1),
    ("max_threads", 1.5),
    ("max_threads", "many"),
    ("stack_size", -1),
    ("stack_size", 1),
    ("stack_size", "big"),
    ("stack_size", 2**70),
    ("priority", "urgent"),
    ("priority", 5),
    ("priority", []),
    ("affinity", 5),
    ("affinity", []),
    ("affinity", {"first"}),
    ("affinity", {1.5}),
    ("affinity", {-1}),
    ("affinity", {99999}),
    ("daemon", True),
    ("timeout", 5),
]
WRONG = (TypeError, ValueError, LookupError, OSError, OverflowError)


def identify(value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else ascii(value)


@pytest.mark.parametrize(("option", "value"), OF_STATES + OF_THREADS, ids=identify)
def test_wrong_option_of_a_thread_is_an_error_that_names_it(option: str, value: Any) -> None:
    alive = osthread.enumerate()
    with pytest.raises(WRONG, match=option), OSThread("return 1", **{option: value}):
        pass
    assert osthread.enumerate() == alive


@pytest.mark.parametrize(("option", "value"), OF_STATES, ids=identify)
def test_wrong_option_of_a_state_is_an_error_that_names_it(option: str, value: Any) -> None:
    with pytest.raises(WRONG, match=option):
        LuaState(**{option: value})


@pytest.mark.parametrize(
    ("option", "wrong", "range_of"),
    [
        ("memory_limit", (-1, 0, 65535, 2**63), "from 65536 to 2**63 - 1"),
        ("stack_size", (-1, 1, 2**18 - 1, 2**63), "0 (the system's) or from 262144 to 2**63 - 1"),
        ("max_threads", (-1, 2**63), "from 0 to 2**63 - 1"),
    ],
)
def test_error_of_a_number_tells_the_one_range(option: str, wrong: tuple[int, ...], range_of: str) -> None:
    for value in wrong:
        with pytest.raises(ValueError, match=re.escape(f"{option} must be {range_of}, not {value}")):
            OSThread("return 1", **{option: value})
    assert OSThread("return 1", **{option: 2**18}).result() == 1


@pytest.mark.parametrize(
    "option", ["name", "chunk_name", "suspended", "on_exit", "stack_size", "priority", "affinity"]
)
def test_option_of_threads_alone_is_none_of_a_state(option: str) -> None:
    with pytest.raises(TypeError, match=option):
        LuaState(**{option: None})  # type: ignore[arg-type]


def test_timeout_that_no_float_holds_is_an_error_that_names_it() -> None:
    endless = 10**400
    with OSThread("require('osthread').sleep(1e9)", on_exit="terminate") as thread:
        waits: list[Callable[[], Any]] = [
            lambda: thread.join(endless),
            lambda: thread.result(endless),
            lambda: thread.pause(endless),
            lambda: osthread.Channel().receive(endless),
            lambda: osthread.select(osthread.Channel(), timeout=endless),
            lambda: osthread.Event().wait(endless),
        ]
        for wait in waits:
            with pytest.raises(OverflowError, match="timeout is too large"):
                wait()
        with pytest.raises(OverflowError, match="grace is too large"):
            thread.terminate(endless)


def test_error_of_an_unknown_option_tells_which_there_are() -> None:
    with pytest.raises(TypeError, match=r"colour.*memory_limit"):
        OSThread("return 1", colour="red")  # type: ignore[call-arg]


def test_error_of_a_global_names_its_place() -> None:
    with pytest.raises(ConversionError) as caught:
        OSThread("return 1", globals={"config": {"x": 1j}})
    assert caught.value.path == "globals.config.x"


@pytest.mark.parametrize(
    "options",
    [
        {
            "grace": 0,
            "time_limit": None,
            "memory_limit": None,
            "globals": None,
            "modules": None,
            "path": None,
        },
        {
            "cpath": None,
            "stdout": None,
            "encoding": None,
            "name": None,
            "chunk_name": None,
            "stack_size": None,
        },
        {
            "max_threads": None,
            "priority": None,
            "affinity": None,
            "jit": True,
            "bytecode": False,
            "suspended": False,
        },
        {"libraries": iter(["string"]), "globals": {}, "modules": {}, "on_exit": "terminate"},
        {"stack_size": 1 << 20, "memory_limit": 65536, "max_threads": 0, "time_limit": 1e300},
    ],
)
def test_right_options_are_taken(options: dict) -> None:
    thread = OSThread("return 1", **options)
    assert thread.result() == 1
    assert set(thread.options) == set(options)


def test_numpy_numbers_are_numbers() -> None:
    np = pytest.importorskip("numpy")
    options: dict = {"time_limit": np.float32(60), "memory_limit": np.int64(1 << 20), "grace": np.int8(1)}
    assert osthread.run("return 1", **options) == 1
    with LuaState(**options) as state:
        assert state.time_limit == 60


def test_options_can_not_be_changed_afterwards() -> None:
    given: dict = {"a": 1}
    with OSThread("return a", globals=given, suspended=True) as thread:
        given["a"] = 2
        with pytest.raises(TypeError):
            thread.options["name"] = "other"  # type: ignore[index]
        thread.start()
        assert thread.result() == 1


def test_run_refuses_to_be_suspended() -> None:
    with pytest.raises(ValueError, match="suspended"):
        osthread.run("return 1", suspended=True)


@pytest.mark.parametrize("code", [5, None, ["return 1"], print, object()])
def test_code_of_a_wrong_type_is_an_error_that_says_what_is_taken(code: Any) -> None:
    with pytest.raises(TypeError, match=r"code.*(str|source).*PathLike.*LuaFunction"):
        OSThread(code)
