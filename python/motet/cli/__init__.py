"""The command line: one module for each command. No other room imports it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from json import JSONDecodeError
from types import ModuleType

from motet import __version__
from motet.cli.commands import (
    ask,
    chat,
    completion,
    data,
    demo,
    estimate,
    explain,
    health,
    models,
    parse,
    render,
    run,
    serve,
    tokens,
    tune,
)
from motet.cli.failure import FAILURE, INTERRUPTED, OK, InputError, UsageError, describe, exit_code
from motet.cli.parser import Parser, add_command
from motet.cli.terminal import safe_output
from motet.errors import MotetError

__all__ = ["main"]

COMMANDS: dict[str, ModuleType] = {
    "parse": parse,
    "explain": explain,
    "render": render,
    "count": tokens,
    "ask": ask,
    "chat": chat,
    "run": run,
    "estimate": estimate,
    "models": models,
    "health": health,
    "data": data,
    "tune": tune,
    "serve": serve,
    "demo": demo,
    "completion": completion,
}
"""Each module has the `HELP` and the `EXAMPLES` of its command, `add(parser)`, and `run(options)`, which returns an
exit code or `None` for success. `data` and `tune` have commands of their own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command. Returns 0 for success, 1 for failure, 2 for wrong usage, 3 for a limit that was reached, and 4
    for input that strict parsing refused."""
    with safe_output():
        try:
            options = _parser().parse(arguments)
            with warnings.catch_warnings():
                # Without the line of source code that Python adds.
                warnings.showwarning = lambda message, *_: print(f"motet: {message}", file=sys.stderr)
                if name := getattr(options, "log", None):
                    _log_to(name)
                code = options.run(options)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of a pipe has left. Python would complain when it flushes standard output at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        except KeyboardInterrupt:
            return INTERRUPTED
        except (MotetError, UsageError, InputError, OSError, RecursionError, UnicodeError, JSONDecodeError) as error:
            _print_error(error)
            return exit_code(error)
        except Exception as error:
            # Arguments that motet refuses are described in its words; a library's error is a fault of motet.
            if isinstance(error, TypeError | ValueError) and _raised_by_motet(error):
                _print_error(error)
                return exit_code(error)
            print(f"motet: internal error, please report it:\n{traceback.format_exc()}", end="", file=sys.stderr)
            return FAILURE
        return int(code or OK)


def _parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="motet",
        description="Tokenize, render and parse gpt-oss's harmony format, and ask models.",
        epilog="motet COMMAND --help has the options and examples of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"motet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for name, module in COMMANDS.items():
        command = add_command(commands, name, module.HELP, getattr(module, "EXAMPLES", ()))
        module.add(command)
        if hasattr(module, "run"):
            command.set_defaults(run=module.run)
    # `motet completion` describes the whole parser.
    parser.set_defaults(root=parser)
    return parser


def _log_to(name: str) -> None:
    """Appends motet's log records to a file: requests and answers with their contents."""
    logger = logging.getLogger("motet")
    handler = logging.FileHandler(name, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def _raised_by_motet(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] == "motet"


def _print_error(error: Exception) -> None:
    print(f"motet: {describe(error)}", file=sys.stderr)
