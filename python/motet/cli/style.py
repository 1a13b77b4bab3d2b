"""What commands share: reading their input, and colour where somebody looks."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

__all__ = [
    "Style",
    "UsageError",
    "add_input",
    "add_output",
    "add_reading",
    "ids_of",
    "positive",
    "read_bytes",
    "seconds",
    "tool_list",
    "visible",
]

_CODES = {
    "reasoning": "2;36",
    "preamble": "33",
    "text": "1;32",
    "tool_call": "35",
    "tool_result": "34",
    "system_content": "36",
    "developer_content": "36",
    "stray": "31",
    "markup": "90",
    "repair": "1;31",
    "title": "1",
}


class UsageError(Exception):
    """The command was called in a way that makes no sense."""


def positive(text: str) -> int:
    """An option's value: a whole number from 1 on."""
    if not text.isascii() or not text.isdecimal() or int(text[:20]) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """An option's value: more than no seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be seconds, more than 0, not {text!r}")
    return value


class Style:
    """Colours by kind of part, if the output is a terminal and nobody asked for none."""

    def __init__(self, choice: str, stream: TextIO) -> None:
        terminal = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.on = choice == "always" or (choice == "auto" and terminal)

    def __call__(self, kind: str | None, text: str) -> str:
        code = _CODES.get(kind or "", "")
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and code and text else text


def visible(text: str) -> str:
    """Text without the control characters that a terminal would obey; line breaks, tabs and joiners stay."""
    return "".join([c if c in _HARMLESS or c.isprintable() else f"\\x{ord(c):02x}" for c in text])


# The joiners hold emoji and words of several scripts together.
_HARMLESS = "\n\t\u200c\u200d"


def add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default="-", help="a file; standard input if it is left out or -")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--ids", action="store_true", help="the input is a JSON list of token ids")
    form.add_argument("--text", action="store_true", help="the input is text, even if it looks like a list of ids")


def add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="refuse what does not follow the format (exit code 4)")
    parser.add_argument("--tools", metavar="FILE", help="a JSON list of the tools that the model was given")
    parser.add_argument(
        "--stripped",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether to look for frames in text whose markers were taken out",
    )
    parser.add_argument("--role", default="assistant", help="the role that the prompt ended with, or none")


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")


def read_bytes(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def ids_of(data: bytes, options: argparse.Namespace) -> list[int] | None:
    """The ids, if the input is a JSON list of them. Raises `UsageError` if `--ids` says that it is, and it is not."""
    found: list[int] | None = None
    if not options.text and (options.ids or data.lstrip()[:1] == b"["):
        found = _id_list(data)
    if options.ids and found is None:
        raise UsageError(f"{options.file} is not a JSON list of token ids")
    return found


def _id_list(data: bytes) -> list[int] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and all(type(item) is int for item in found) else None


def tool_list(name: str | None) -> list[Any] | None:
    """The tools in a JSON file: a list of names or of OpenAI tool dicts."""
    if name is None:
        return None
    try:
        tools = json.loads(Path(name).read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not JSON: {error}") from error
    if not isinstance(tools, list):
        raise UsageError(f"{name} must hold a list of tools, not {type(tools).__name__}")
    return tools
