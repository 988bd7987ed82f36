"""The command line: ``osthread``, or ``python -m osthread``.

Exit status: 0, 1 a Lua error (traceback on stderr), 2 usage, 124 a time limit, 130 Ctrl-C, 141 nobody reads the
output any more; or what a script passes to ``os.exit``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import osthread
from osthread import _core
from osthread._cli.arguments import UsageError, memory_size, seconds, thread_count


class PrintAndExit(argparse.Action):
    """As argparse's "version" action, but it leaves the text as it is: that one would wrap a long path."""

    def __init__(self, option_strings: Sequence[str], dest: str, const: str, **kwargs: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, const=const, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print the text and leave with status 0."""
        print(self.const)
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; a command's function gets the parsed arguments and returns the exit status."""
    # No abbreviations: `--t` after FILE belongs to the script, however many options of ours begin with it.
    parser = argparse.ArgumentParser(
        prog="osthread", description="Lua on real OS threads, for Python and C++", allow_abbrev=False
    )
    for option, text, what in [
        ("--version", f"osthread {osthread.__version__}", "the version"),
        ("--cmake-dir", osthread.get_cmake_dir(), "osthread_DIR for CMake's find_package"),
        ("--include-dir", osthread.get_include(), "the folder of the C++ headers"),
    ]:
        parser.add_argument(option, action=PrintAndExit, const=text, help=f"print {what}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run a Lua file in a thread", allow_abbrev=False)
    run.add_argument("--time-limit", type=seconds, metavar="S", help="end it after S seconds")
    run.add_argument("--memory-limit", type=memory_size, metavar="SIZE", help="end it beyond SIZE: 64M")
    run.add_argument(
        "--threads",
        type=thread_count,
        metavar="N",
        default=1,
        help="run it in N threads at once; each finds its number in arg.thread, and N in arg.threads",
    )
    run.add_argument("file", metavar="FILE", help="Lua source; - is standard input")
    rest = run.add_argument("args", metavar="ARG", nargs=argparse.REMAINDER, help="the script's ..., and arg")
    rest.required = False  # argparse would ask for it where FILE is missing
    run.set_defaults(command=command_run)

    evaluate = commands.add_parser("eval", help="run Lua code and print its results", allow_abbrev=False)
    evaluate.add_argument("code", metavar="CODE", help="an expression or a chunk")
    evaluate.set_defaults(command=command_eval)

    for name, command, what in [
        ("repl", command_repl, "type Lua, see its results"),
        ("demo", command_demo, "what this is good for, in ten seconds"),
        ("doctor", command_doctor, "what this build can do, proved on the spot"),
    ]:
        commands.add_parser(name, help=what, description=what).set_defaults(command=command)
    return parser


# A command's module is imported when it is asked for.


def command_run(arguments: argparse.Namespace) -> int:
    """``osthread run``."""
    from osthread._cli.run import run_file

    return run_file(
        arguments.file,
        arguments.args,
        time_limit=arguments.time_limit,
        memory_limit=arguments.memory_limit,
        threads=arguments.threads,
    )


def command_eval(arguments: argparse.Namespace) -> int:
    """``osthread eval``."""
    from osthread._cli.eval import evaluate

    return evaluate(arguments.code)


def command_repl(_: argparse.Namespace) -> int:
    """``osthread repl``."""
    from osthread._cli.repl import Repl

    return Repl().run()


def command_demo(_: argparse.Namespace) -> int:
    """``osthread demo``."""
    from osthread._cli.demo import demo

    return demo()


def command_doctor(_: argparse.Namespace) -> int:
    """``osthread doctor``."""
    from osthread._cli.doctor import examine

    return examine()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return the exit status."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        _core.require_signal()
    except ValueError as error:
        parser.error(str(error))
    try:
        status: int = arguments.command(arguments)
        sys.stdout.flush()  # here, where what it raises is caught
        return status
    except UsageError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # As `head` closes it: Python would try to write what is left once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
