"""`motet diff`: two completions, prompts or runs by frame and by token."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from motet.cli.difference_report import difference_lines
from motet.cli.failure import FAILURE, OK, USAGE, InputError, UsageError, describe, is_expected
from motet.cli.inputs import id_list, read_completion, title, tool_list
from motet.cli.options import add_output, role
from motet.cli.style import Style
from motet.cli.terminal import json_text
from motet.view.difference import Difference, diff
from motet.view.files import transcripts
from motet.view.sources import transcript
from motet.view.transcript import Transcript

EXAMPLES = (
    "motet diff served.json rendered.json",
    "motet diff run.json other.json --context 40",
    "motet diff cassette.jsonl#1 cassette.jsonl#2 --json",
    "motet render chat.json --ids | motet diff served.json -",
)


def add(parser: argparse.ArgumentParser) -> None:
    help_text = "a file as motet view reads it; FILE#2 for the second of its transcripts, - for standard input"
    parser.add_argument("a", metavar="A", help=help_text)
    parser.add_argument("b", metavar="B", help="what to compare with it")
    parser.add_argument(
        "--context", type=_context, default=16, metavar="N", help="equal tokens shown around each change (16)"
    )
    parser.add_argument("--role", type=role, default="assistant", help="the role of raw completions (assistant)")
    parser.add_argument("--opened", metavar="HEADER", help="the header that the prompt opened, as analysis")
    parser.add_argument("--tools", metavar="FILE", help="a JSON list of the tools that the model was given")
    add_output(parser)


def run(options: argparse.Namespace) -> int:
    try:
        differences = _differences(options)
    except Exception as error:
        if not is_expected(error):
            raise
        # As diff and cmp do: 1 says that the files differ.
        print(f"motet: {describe(error)}", file=sys.stderr)
        return USAGE
    if options.json:
        for difference in differences:
            print(json_text(difference.to_dict()))
    else:
        style, width = Style(options.color, sys.stdout), shutil.get_terminal_size().columns
        for number, difference in enumerate(differences):
            print(end="\n" if number else "")
            for line in difference_lines(difference, style, width=width, context=options.context):
                print(line)
    return OK if all(difference.equal for difference in differences) else FAILURE


def _differences(options: argparse.Namespace) -> list[Difference]:
    if options.a == options.b == "-":
        raise UsageError("standard input can be only one of the two: '-'")
    sides = [_read(name, options) for name in (options.a, options.b)]
    if len(sides[0]) != len(sides[1]):
        counts = " and ".join(
            [f"{name} has {len(items)}" for name, items in zip((options.a, options.b), sides, strict=True)]
        )
        raise InputError(f"not the same number of transcripts: {counts}; choose one as {options.a}#1")
    return [diff(*pair) for pair in zip(*sides, strict=True)]


def _read(name: str, options: argparse.Namespace) -> list[Transcript]:
    parsing = {"role": options.role, "opened": options.opened, "tools": tool_list(options.tools)}
    if name == "-":
        return [transcript(_ids_or_text(read_completion(name)), title=title(name), **parsing)]
    path, _, number = name.rpartition("#")
    if not path or not number.isdecimal() or Path(name).exists():
        return transcripts(name, **parsing)
    items = transcripts(path, **parsing)
    if not 1 <= int(number) <= len(items):
        raise InputError(f"{path} has {len(items)} transcripts: {name!r}")
    return [items[int(number) - 1]]


def _ids_or_text(data: bytes) -> bytes | list[int]:
    return id_list(data) or data


def _context(text: str) -> int:
    """An option's value: a whole number from 0."""
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0: {text!r}")
    return int(text[:20])
