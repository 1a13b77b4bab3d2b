"""`motet ask`: one question."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import motet
from motet.cli.cost_report import cost_dict
from motet.cli.options import add_json
from motet.cli.question import add_prompt, add_question, ask_options, make_atom, prompt_of, show
from motet.cli.style import Style
from motet.cli.terminal import json_text

EXAMPLES = (
    'motet ask "Why is the sky blue?" --effort low',
    'git diff | motet ask --system "Review this change."',
    "motet ask Hello -m openai/gpt-oss-20b --base-url http://localhost:8000",
)


def add(parser: argparse.ArgumentParser) -> None:
    add_prompt(parser)
    add_question(parser)
    parser.add_argument("--no-reasoning", action="store_true", help="do not show the reasoning")
    add_json(parser, "print the answer and its cost as JSON")


def run(options: argparse.Namespace) -> None:
    with make_atom(options) as atom, _partial_as_json(options):
        stream = atom.stream(prompt_of(options), **ask_options(options))
        answer = show(stream, options, Style(options.color, sys.stdout))
    if options.json:
        print(json_text(_answer_dict(answer), indent=2))


def _answer_dict(answer: motet.Answer[Any]) -> dict[str, Any]:
    shape = {"message": answer.message.to_dict(), "model": answer.model, "lane": answer.lane}
    return {**shape, **cost_dict(answer)}


@contextlib.contextmanager
def _partial_as_json(options: argparse.Namespace) -> Iterator[None]:
    """With `--json`, prints what arrived before an error."""
    try:
        yield
    except motet.MotetError as error:
        if options.json and isinstance(error.partial, motet.Answer):
            print(json_text({"error": type(error).__name__, **_answer_dict(error.partial)}, indent=2))
        raise
