"""The command line: one module for each group of commands. Nothing imports it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from motet import __version__
from motet.cli import demo, explain, parse, render, tokens
from motet.cli.terminal import UsageError
from motet.errors import MotetError, ParseError

__all__ = ["main"]

OK, FAILURE, USAGE, NOT_PARSED, INTERRUPTED = 0, 1, 2, 4, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command. Gives 0 if it went well, 1 if not, 2 for wrong usage, 4 if strict parsing refused the input."""
    parser = argparse.ArgumentParser(prog="motet", description="Harmony for gpt-oss.")
    parser.add_argument("--version", action="version", version=f"motet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in (parse, render, tokens, explain, demo):
        group.register(commands)
    options = parser.parse_args(arguments)
    try:
        code = options.run(options)
        sys.stdout.flush()
    except ParseError as error:
        return _fail(error, NOT_PARSED)
    except UsageError as error:
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


def _fail(error: Exception, code: int) -> int:
    print(f"motet: {error}".replace("\n", " "), file=sys.stderr)
    return code
