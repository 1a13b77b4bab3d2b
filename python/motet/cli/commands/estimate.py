"""`motet estimate`: the size and the price of an answer."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import motet
from motet.cli.cost_report import dollars
from motet.cli.options import add_json
from motet.cli.question import add_prompt, add_question, ask_options, make_atom, prompt_of
from motet.cli.style import Style
from motet.cli.table import table
from motet.cli.terminal import json_text

EXAMPLES = ('motet estimate "Why is the sky blue?" --max-tokens 500', "motet estimate --price 0.15,0.60 < prompt.txt")

_CASES = ("low", "expected", "high")


def add(parser: argparse.ArgumentParser) -> None:
    add_prompt(parser)
    add_question(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    with make_atom(options) as atom:
        estimate = atom.estimate(prompt_of(options), **ask_options(options))
    if options.json:
        print(json_text(_estimate_dict(atom, estimate)))
        return
    about = "" if estimate.exact else "about "
    print(f"{atom.slug}: a prompt of {about}{estimate.tokens.input:,} tokens")
    rows = [
        (case, "?" if tokens is None else f"{tokens:,}", dollars(getattr(estimate.cash, case)))
        for case in _CASES
        for tokens in [getattr(estimate.tokens.output, case)]
    ]
    print("\n".join(table(rows, "<>.", head=("answer", "tokens", "cost"))))
    style = Style(options.color, sys.stdout)
    for note in estimate.notes:
        print(style("markup", note))


def _estimate_dict(atom: motet.Atom, estimate: motet.Estimate) -> dict[str, Any]:
    amounts = {case: getattr(estimate.cash, case) for case in _CASES}
    return {
        "model": atom.slug,
        "exact": estimate.exact,
        "tokens": {
            "input": estimate.tokens.input,
            "output": {case: getattr(estimate.tokens.output, case) for case in _CASES},
        },
        "cash": {case: None if amount is None else f"{amount:f}" for case, amount in amounts.items()},
        "notes": list(estimate.notes),
    }
