"""`motet demo`: a scripted replay of a tool call, from the question to the answer, with the cost by channel."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import resources
from typing import Any

import motet
from motet.cli.commands.parse import EventPrinter
from motet.cli.cost_report import bill
from motet.cli.style import Style

__all__ = ["register"]


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "demo", help="a scripted replay of a tool call, streamed, with the cost by channel; needs no key and no network"
    )
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from motet.testing import ScriptedServer, Turn

    sample = json.loads(resources.files("motet.cli").joinpath("demo.json").read_text("utf-8"))
    style = Style(options.color, sys.stdout)
    # About the pace of a model; output that is not a terminal is not delayed.
    delay = 0.012 if sys.stdout.isatty() else 0.0
    turns = [Turn(completion, delay=delay, cached=0) for completion in sample["completions"]]
    with (
        ScriptedServer(turns, style="vllm") as server,
        motet.atom("together/gpt-oss/120b", base_url=server.url, api_key="none", lane="ids") as brain,
    ):
        question = sample["messages"][1]["content"]
        asked: dict[str, Any] = {"tools": sample["tools"], "briefs": [sample["messages"][0]["content"]]}
        estimate = brain.estimate(question, **asked)
        print(
            style("title", "Scripted replay:"),
            "a server on this machine plays back two completions; no model is asked, and nothing is billed.\n",
        )
        print(style("markup", f"--- {brain.slug} is asked, with a prompt of {estimate.tokens.input} tokens:"), question)
        first = _hear(brain.stream(question, **asked), style)
        result = motet.ToolResult(first.calls[0].id, sample["results"][0])
        print(style("markup", f"\n--- the tool answers {result.content}\n"))
        second = _hear(brain.stream(result, on=first, tools=sample["tools"]), style)
    identical = all(
        motet.render_frames(answer.completion.frames).text == f"<|start|>assistant{written}"
        for answer, written in zip((first, second), sample["completions"], strict=True)
    )
    verdict = "identical" if identical else "DIFFERENT"
    print(style("title", f"\nRendered back, what the model wrote is {verdict}."))
    return 0 if identical else 1


def _hear(stream: motet.AnswerStream, style: Style) -> motet.Answer[Any]:
    printer = EventPrinter(style)
    with stream:
        for event in stream:
            printer.show([event])
    print(bill(stream.answer, style))
    return stream.answer
