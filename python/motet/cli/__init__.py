"""The command line: one module for each group of commands. Nothing imports it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from motet import __version__
from motet.cli.commands import ask, data, demo, explain, parse, render, run, service, tokens, tune
from motet.cli.style import UsageError
from motet.errors import ConfigError, LimitError, MotetError, ParseError

__all__ = ["main"]

OK, FAILURE, USAGE, LIMIT, NOT_PARSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command. Gives 0 if it went well, 1 if not, 2 for wrong usage, 3 if a limit was reached, and 4 if strict
    parsing refused the input."""
    parser = argparse.ArgumentParser(prog="motet", description="Harmony for gpt-oss.")
    parser.add_argument("--version", action="version", version=f"motet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in (parse, render, tokens, explain, ask, run, service, data, tune, demo):
        group.register(commands)
    parser.add_argument("--log", metavar="FILE", help="write what is asked and answered to a file, without keys")
    options = parser.parse_args(arguments)
    if options.log:
        _log_to(options.log)
    try:
        with warnings.catch_warnings():
            # A line of motet's own source says nothing to who did not write it.
            warnings.showwarning = lambda message, *_: print(f"motet: {message}", file=sys.stderr)
            code = options.run(options)
        sys.stdout.flush()
    except ParseError as error:
        return _fail(error, NOT_PARSED)
    except LimitError as error:
        return _fail(error, LIMIT)
    except (ConfigError, UsageError) as error:
        return _fail(error, USAGE)
    except (MotetError, OSError, RecursionError, TypeError, ValueError) as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has seen enough; Python must not complain about it when it closes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        return _fail(error, FAILURE)
    except KeyboardInterrupt:
        return INTERRUPTED
    return int(code or OK)


def _log_to(name: str) -> None:
    """Everything that motet logs, what was said included."""
    logger = logging.getLogger("motet")
    handler = logging.FileHandler(name, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def _fail(error: Exception, code: int) -> int:
    # What is wrong with an input is underlined: on a line of its own. Other errors are one line.
    text = str(error) if isinstance(error, ParseError) else str(error).replace("\n", " ")
    print(f"motet: {text}", file=sys.stderr)
    return code
