"""`motet count`: how many tokens a text has."""

from __future__ import annotations

import argparse
import json
from typing import Any

import motet
from motet.cli.style import read_bytes

__all__ = ["register"]


def register(commands: Any) -> None:
    parser = commands.add_parser("count", help="how many tokens a text has")
    parser.add_argument("file", nargs="*", default=["-"], help="files; standard input if there is none, or for -")
    parser.add_argument("--special", action="store_true", help="count markers as control tokens, not as text")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    counts = {name: _count(name, special=options.special) for name in options.file}
    if options.json:
        print(json.dumps(counts))
    elif len(counts) == 1:
        print(*counts.values())
    else:
        for name, count in counts.items():
            print(f"{count:>10}  {name}")
        print(f"{sum(counts.values()):>10}  total")


def _count(name: str, *, special: bool) -> int:
    text = read_bytes(name).decode("utf-8", "replace")
    return len(motet.encode_array(text, special="token")) if special else motet.count(text)
