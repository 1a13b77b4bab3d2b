"""`motet demo`: a scripted replay of a tool call, from the question to the answer, with the cost by channel."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import resources
from typing import Any

import motet
from motet import _core, catalog
from motet.cli.cost_report import cost_report
from motet.cli.event_printer import EventPrinter
from motet.cli.failure import FAILURE, OK
from motet.cli.options import add_color
from motet.cli.style import Style

SLUG = "together/gpt-oss/120b"
TOKEN_DELAY = 0.012
"""Seconds between tokens on a terminal: about the pace of a model."""


def add(parser: argparse.ArgumentParser) -> None:
    add_color(parser)


def run(options: argparse.Namespace) -> int:
    from motet.testing import ScriptedServer, Turn

    sample = json.loads(resources.files("motet.cli").joinpath("demo.json").read_text("utf-8"))
    style = Style(options.color, sys.stdout)
    delay = TOKEN_DELAY if sys.stdout.isatty() else 0.0
    turns = [Turn(completion, delay=delay, cached=0) for completion in sample["completions"]]
    price = catalog.find(SLUG).cost.cash
    with (
        ScriptedServer(turns, face="vllm") as server,
        motet.atom(SLUG, base_url=server.url, api_key="none", lane="ids", price=price) as atom,
    ):
        question = sample["messages"][1]["content"]
        ask: dict[str, Any] = {"tools": sample["tools"], "briefs": [sample["messages"][0]["content"]]}
        estimate = atom.estimate(question, **ask)
        print(
            style("title", "Scripted replay:"),
            "a server on this machine plays back two completions;\nno model is asked, and nothing is billed.\n",
        )
        print(style("markup", f"--- {atom.slug} is asked, with a prompt of {estimate.tokens.input} tokens:"))
        print(f"{question}\n")
        first = _show(atom.stream(question, **ask), style)
        result = motet.ToolResult(first.calls[0].id, sample["results"][0])
        print(style("markup", "\n--- the tool returns:"))
        print(f"{result.content}\n")
        second = _show(atom.stream(result, on=first, tools=sample["tools"]), style)
    are_equal = all(
        motet.render_frames(answer.completion.frames).text == f"{_core.MARKERS['start']}assistant{completion}"
        for answer, completion in zip((first, second), sample["completions"], strict=True)
    )
    verdict = "identical to" if are_equal else "DIFFERENT from"
    print(style("title", f"\nRendered again, the parsed completions are {verdict} what the model wrote."))
    return OK if are_equal else FAILURE


def _show(stream: motet.AnswerStream, style: Style) -> motet.Answer[Any]:
    printer = EventPrinter(style)
    with stream:
        for event in stream:
            printer.show([event])
    print(cost_report(stream.answer, style))
    return stream.answer
