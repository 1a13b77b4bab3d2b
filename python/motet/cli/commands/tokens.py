"""`motet count`: the tokens of files."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import motet
from motet.cli.columns import add_table, need_pyarrow, run_table
from motet.cli.failure import FAILURE, OK, UsageError, describe
from motet.cli.inputs import read_bytes
from motet.cli.options import add_json
from motet.cli.table import aligned
from motet.cli.terminal import json_text

EXAMPLES = (
    "motet count README.md",
    "motet count src docs",
    "motet count --special prompt.txt",
    "motet count runs.parquet --column completion --special",
)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="*",
        default=["-"],
        help="files, and folders with all UTF-8 files below them, hidden ones left out; by default standard input",
    )
    parser.add_argument("--special", action="store_true", help="count spelled special tokens as one token each")
    add_json(parser)
    add_table(parser)
    parser.add_argument("--column", metavar="NAME", help="the column with the texts")


def run(options: argparse.Namespace) -> int:
    if options.column is not None or options.output is not None:
        return _count_table(options)
    return _count_files(options)


def _count_table(options: argparse.Namespace) -> int:
    if options.column is None or len(options.file) != 1 or options.file == ["-"]:
        raise UsageError("a table needs one file and --column")
    need_pyarrow()
    from motet.columns._transform import counting

    [options.file] = options.file
    settings = {"special": "token" if options.special else "text"}
    transform = counting(options.column, settings)
    return run_table(options, name="count", columns=[options.column], transform=transform, settings=settings)


def _count_files(options: argparse.Namespace) -> int:
    counts: dict[str, int] = {}
    failures = skipped = 0
    for name, in_folder in _files(options.file):
        try:
            counts[name] = _count(name, special=options.special)
        except UnicodeDecodeError as error:
            if in_folder:
                skipped += 1
            else:
                failures += 1
                print(f"motet: {name}: {describe(error)}", file=sys.stderr)
        except OSError as error:
            failures += 1
            print(f"motet: {describe(error)}", file=sys.stderr)
    if options.json:
        print(json_text(counts))
    elif len(options.file) == 1 and [*counts] == options.file:
        print(*counts.values())
    elif counts or not failures:
        rows = [[f"{count:,}", name] for name, count in {**counts, "total": sum(counts.values())}.items()]
        print("\n".join(["  ".join(row).rstrip() for row in aligned(rows, "><")]))
    if skipped:
        print(f"motet: left out: {skipped} files that are not UTF-8", file=sys.stderr)
    return FAILURE if failures else OK


def _files(names: list[str]) -> Iterator[tuple[str, bool]]:
    """Each file, and whether it was found in a folder."""
    for name in names:
        if name == "-" or not Path(name).is_dir():
            yield name, False
            continue
        for folder, folders, files in os.walk(name):
            folders[:] = sorted([child for child in folders if not child.startswith(".")])
            for file in sorted(files):
                if not file.startswith(".") and (Path(folder) / file).is_file():
                    yield str(Path(folder) / file), True


def _count(name: str, *, special: bool) -> int:
    text = read_bytes(name).decode("utf-8")
    return len(motet.encode_array(text, special="token")) if special else motet.count(text)
