"""The process's signals belong to its program: its handlers go on working beside ours, and ours can be chosen."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import osthread
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

RunScript = Callable[..., Any]
BOMB = "return (('a'):rep(40)):find(('.-'):rep(20) .. 'b')"
BUSY = f"""
import threading, time
import osthread
from osthread import OSThread

def stop_many():
    for code in ("while true do end", {BOMB!r}, "require('osthread').sleep(100)", "os.execute('sleep 100')"):
        for stop in (OSThread.interrupt, OSThread.kill, OSThread.terminate):
            thread = OSThread(code, grace=0.01)
            time.sleep(0.002)
            stop(thread)
            if stop is OSThread.interrupt and "find" in code:
                thread.kill()
            assert thread.join(30), thread
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGALRM", "SIGCHLD", "SIGURG", "SIGUSR1", "SIGTERM"])
def test_handlers_of_the_program_run_in_the_middle_of_stops(number: str, run_script: RunScript) -> None:
    script = f"""
{BUSY}
import os, signal
calls = []
signal.signal(signal.{number}, lambda *_: calls.append(threading.current_thread() is threading.main_thread()))
worker = threading.Thread(target=stop_many)
worker.start()
sent = 0
while worker.is_alive() or sent < 50:
    before = len(calls)
    os.kill(os.getpid(), signal.{number})
    sent += 1
    while len(calls) == before:
        time.sleep(0)
worker.join()
print(all(calls), len(calls) >= sent)
"""
    assert run_script(script) == (0, "True True\n", "")


def test_a_wakeup_descriptor_hears_of_every_signal_but_ours(run_script: RunScript) -> None:
    script = f"""
{BUSY}
import os, signal, socket
ours, theirs = socket.socketpair()
ours.setblocking(False)
theirs.setblocking(False)
signal.set_wakeup_fd(theirs.fileno())
signal.signal(signal.SIGUSR1, lambda *_: None)
stop_many()
os.kill(os.getpid(), signal.SIGUSR1)
print(set(ours.recv(1000)) == {{signal.SIGUSR1}})
"""
    assert run_script(script) == (0, "True\n", "")


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize(
    "code", ["local function f() return coroutine.wrap(f)() end f()", "while true do end"]
)
def test_faulthandler_and_overflows_of_the_c_stack(code: str, order: str, run_script: RunScript) -> None:
    """It may be there before us, or come after us: an overflow is an error, and nothing is written."""
    enable = "import faulthandler; faulthandler.enable()"
    script = f"""
{enable if order == "before" else ""}
import osthread
osthread.run("return 1")
{enable if order == "after" else ""}
for _ in range(3):
    try:
        osthread.run({code!r}, time_limit={20 if "wrap" in code else 0.05}, grace=0.01)
    except osthread.LuaError as error:
        print(type(error).__name__, error.message)
"""
    end = "LuaError C stack overflow" if "wrap" in code else "LuaTimeout time limit of 0.05 s exceeded"
    assert run_script(script) == (0, f"{end}\n" * 3, "")


@pytest.mark.parametrize("fault", ["string_at(1)", "CDLL(None).abort()"])
@pytest.mark.parametrize("enabled", [True, False], ids=["faulthandler", "no handler"])
def test_faults_of_the_program_end_it_as_always(fault: str, enabled: bool, run_script: RunScript) -> None:
    script = f"""
import ctypes, faulthandler, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
{"faulthandler.enable()" if enabled else ""}
import osthread
osthread.run("return 1")
ctypes.{fault}
"""
    returncode, stdout, stderr = run_script(script)
    assert returncode == -(signal.SIGSEGV if "string" in fault else signal.SIGABRT)
    assert stdout == ""
    assert ("Fatal Python error" in stderr) == enabled


@pytest.mark.skipif(sys.platform != "linux", reason="Linux knows the kernel's threads")
def test_a_fault_in_a_lua_thread_ends_the_process(run_script: RunScript) -> None:
    """Through ffi Lua is as able to crash the process as C is: that is no overflow of its stack."""
    script = """
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import osthread
osthread.run("local p = require('ffi').cast('int *', 8) return p[0]")
"""
    assert run_script(script)[0] == -signal.SIGSEGV


# --- Another signal, or none --------------------------------------------------------------------------

STOPS = f"""
import osthread
from osthread import OSThread
for code in ("while true do end", {BOMB!r}):
    thread = OSThread(code, grace=0.01)
    print(thread.terminate())
"""


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGURG, getattr(signal, "SIGRTMIN", 10) + 3])
def test_another_signal(number: int, run_script: RunScript) -> None:
    by_function = f"import osthread\nosthread.set_signal({int(number)})\n"
    by_environment = f"import os\nos.environ['OSTHREAD_SIGNAL'] = '{int(number)}'\n"
    check = f"print(osthread.features().signal == {int(number)})"
    for choose in (by_function, by_environment):
        assert run_script(choose + STOPS + check) == (0, "stopped\nkilled\nTrue\n", "")


def test_no_signal(run_script: RunScript) -> None:
    """What waits, or allocates, can be stopped; the rest says that it can't be."""
    script = """
import warnings
import osthread
from osthread import OSThread
osthread.set_signal(0)
print(osthread.features().signal, osthread.features().kill, osthread.features().interrupts_compiled_loops)
for code in ("require('osthread').sleep(1000)", "while true do t = {} end",
             "local s = '' while true do s = s .. 'x' if #s > 1000 then s = '' end end"):
    thread = OSThread(code, grace=0.01)
    print(thread.terminate())
thread = OSThread("return 1")
thread.join()
for owner in (thread, osthread.LuaState()):
    try:
        owner.kill()
    except NotImplementedError as error:
        print("kill:", "features" in str(error), "takes a signal" in str(error))
print(osthread.run("return 6 * 7"))
thread = OSThread("while not stop do end", globals={"stop": False}, grace=0.01)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    print(thread.terminate())
import os
os._exit(0)
"""
    expected = "0 False False\nstopped\nstopped\nstopped\nkill: True True\nkill: True True\n42\nabandoned\n"
    assert run_script(
        script.replace("import os\nos._exit", "import os, sys\nsys.stdout.flush()\nos._exit")
    ) == (
        0,
        expected,
        "",
    )


def test_it_is_too_late_when_a_thread_has_run(run_script: RunScript) -> None:
    script = """
import osthread, signal
osthread.set_signal(signal.SIGUSR2)
osthread.run("return 1")
osthread.set_signal(signal.SIGUSR2)  # nothing changes
try:
    osthread.set_signal(signal.SIGURG)
except RuntimeError as error:
    print("before the first" in str(error))
"""
    assert run_script(script) == (0, "True\n", "")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGINT, 9, -1, 10000])
def test_signals_that_can_not_be_had(number: int) -> None:
    with pytest.raises(ValueError, match="can't be taken"):
        osthread.set_signal(number)


@pytest.mark.parametrize("number", ["SIGURG", 1.5, True, None])
def test_what_is_no_signal(number: Any) -> None:
    with pytest.raises(TypeError):
        osthread.set_signal(number)


@pytest.mark.parametrize(
    ("text", "use"), [("9", "OSThread('')"), ("-1", "LuaState()"), ("x" * 100, "compile('')")]
)
def test_an_environment_that_makes_no_sense_is_an_error_until_a_choice_is_made(
    text: str, use: str, run_script: RunScript
) -> None:
    script = f"""
import os
os.environ['OSTHREAD_SIGNAL'] = {text!r}
import osthread
for _ in range(2):
    try:
        osthread.{use}
    except ValueError as error:
        print(error)
osthread.set_signal({int(signal.SIGURG)})
{STOPS}"""
    returncode, said, stderr = run_script(script)
    assert (returncode, stderr) == (0, "")
    *errors, first, second = said.splitlines()
    assert (first, second) == ("stopped", "killed")
    assert len(errors) == 2
    for error in errors:
        assert f"OSTHREAD_SIGNAL={text[:31]} in the environment" in error
        assert "SIGURG" in error


def test_an_empty_environment_variable_is_none(run_script: RunScript) -> None:
    script = f"import os\nos.environ['OSTHREAD_SIGNAL'] = ''\n{STOPS}print(osthread.features().signal)"
    assert run_script(script) == (0, f"stopped\nkilled\n{int(signal.SIGURG)}\n", "")
