"""`motet demo`: a tool call from prompt to answer, streamed, and rendered back. No key, no network."""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib import resources
from typing import Any

import motet
from motet.cli.parse import Printer
from motet.cli.terminal import Style

__all__ = ["register"]


def register(commands: Any) -> None:
    parser = commands.add_parser("demo", help="a tool call from prompt to answer, streamed and rendered back")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    sample = json.loads(resources.files("motet.cli").joinpath("demo.json").read_text("utf-8"))
    style = Style(options.color, sys.stdout)
    prompt = motet.render(sample["messages"], tools=sample["tools"], current_date=sample["current_date"])
    identical = True
    for completion, result in zip(sample["completions"], [*sample["results"], None], strict=True):
        print(style("markup", f"--- a prompt of {len(prompt)} tokens goes to the model; it writes:\n"))
        ids = motet.encode(completion, special="token")
        heard = _listen(ids, sample["tools"], style)
        longer = motet.render_frames([*prompt.frames, *heard.frames]).ids
        identical &= longer == prompt.ids + ids
        if result is not None:
            print(style("markup", f"\n--- the tool answers {result}\n"))
            answer = motet.ToolResult(heard.tool_calls[0].id, result)
            prompt = prompt.extend([heard.message, motet.Message("tool", (answer,))])
    verdict = "identical" if identical else "DIFFERENT"
    print(style("title", f"\nRendered back, what the model wrote is {verdict}, id for id."))
    return 0 if identical else 1


def _listen(ids: list[int], tools: list[Any], style: Style) -> motet.Completion:
    """Parses token by token, at about the pace of a model if somebody watches."""
    parser, printer = motet.StreamParser(tools=tools), Printer(style)
    for token in ids:
        printer.show(parser.feed(token))
        if sys.stdout.isatty():
            time.sleep(0.012)
    printer.show(parser.close())
    printer.end(parser.completion)
    return parser.completion
