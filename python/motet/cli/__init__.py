"""The command line: one module for each command. No other room imports it."""

from __future__ import annotations

import argparse
import os
import sys
import warnings

from motet import __version__
from motet.cli.failure import FAILURE, INTERRUPTED, OK, describe, exit_code, is_expected
from motet.cli.parser import Parser, add_command
from motet.cli.terminal import safe_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

COMMANDS = {
    "parse": ("parse", "parse a raw completion to typed messages"),
    "explain": ("explain", "show a completion token by token, with the part and the channel of each"),
    "view": ("view", "show completions, prompts and runs: in the terminal, or as one HTML page"),
    "diff": ("diff", "compare two completions, prompts or runs by frame and by token (exit code 1 if they differ)"),
    "render": ("render", "render chat messages as a prompt"),
    "count": ("tokens", "count the tokens of files, folders and standard input"),
    "cost": ("cost", "price the rows of a table: prompts and completions, or their numbers of tokens"),
    "costs": ("costs", "sum what the answers of a ledger cost, by day, model, label or channel"),
    "ask": ("ask", "ask a model; the answer goes to standard output, its cost to standard error"),
    "chat": ("chat", "hold a conversation in the terminal, with the cost of each answer"),
    "run": ("run", "run a tool loop: ask, call the tools, until the model has answered"),
    "replay": ("replay", "go through a recorded run again, with other tools or another prompt from a step on"),
    "estimate": ("estimate", "estimate the cost of an answer; nothing is sent"),
    "models": ("models", "list the models with prices, context and grades"),
    "health": ("health", "check that a server responds and serves the model (exit code 1 if not)"),
    "verify": ("verify", "probe how a server treats harmony (exit code 1 if a probe fails)"),
    "batch": ("batch", "ask a table of prompts in files: from their limits to a table of answers with costs"),
    "data": ("data", "keep examples to train on, and build and check data sets"),
    "tune": ("tune", "fine-tune a model: from the price of a training to the test of its model"),
    "proxy": ("proxy", "serve clean Chat, Responses and Messages APIs in front of a server of gpt-oss"),
    "serve": ("serve", "serve scripted completions on this machine, to test clients without a key"),
    "demo": ("demo", "replay a scripted tool call, with the cost by channel; needs no key and no network"),
    "completion": ("completion", "print a completion script for a shell"),
}
"""The module of each command, and its line in the list of commands. A module is imported when its command is parsed. It
has `add(parser)`, `run(options)`, which returns an exit code or `None` for success, and often `EXAMPLES`. `batch`,
`data` and `tune` have commands of their own."""


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
        except Exception as error:
            # Arguments that motet refuses are described in its words; a library's error is a fault of motet.
            if is_expected(error) or (isinstance(error, TypeError | ValueError) and _raised_by_motet(error)):
                print(f"motet: {describe(error)}", file=sys.stderr)
                return exit_code(error)
            import traceback

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
    for name, (module, help_text) in COMMANDS.items():
        add_command(commands, name, help_text, module=f"motet.cli.commands.{module}")
    # `motet completion` describes the whole parser.
    parser.set_defaults(root=parser)
    return parser


def _log_to(name: str) -> None:
    """Appends motet's log records to a file: requests and answers with their contents."""
    import logging

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
