"""What commands that ask a model share: their options, the atom, and an answer that is shown while it arrives."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import Any

import motet
from motet.cli.cost_report import cost_report
from motet.cli.event_printer import EventPrinter
from motet.cli.failure import UsageError
from motet.cli.inputs import read_text, tool_list
from motet.cli.options import add_color, fraction, money, positive, price, seconds, temperature, url
from motet.cli.style import Style
from motet.cli.terminal import json_text

__all__ = ["DEFAULT_ATOM", "add_prompt", "add_question", "add_service", "ask_options", "make_atom", "prompt_of", "show"]

DEFAULT_ATOM = "together/gpt-oss/120b"


def add_service(parser: argparse.ArgumentParser) -> None:
    """Which model is asked, and where."""
    parser.add_argument(
        "-m", "--model", metavar="SLUG", help=f"a slug or a model id; by default $MOTET_MODEL, else {DEFAULT_ATOM}"
    )
    parser.add_argument(
        "--base-url", type=url, metavar="URL", help="the server; by default $TOGETHER_BASE_URL, else Together's"
    )


def add_prompt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", nargs="*", help="the question; by default, or for -, standard input")


def add_question(parser: argparse.ArgumentParser, *, tools: bool = True) -> None:
    """How a model is asked."""
    add_service(parser)
    parser.add_argument("--system", action="append", default=[], metavar="TEXT", help="a system text")
    parser.add_argument(
        "-b", "--brief", action="append", default=[], metavar="FILE", help="a file with a system text; repeatable"
    )
    if tools:
        parser.add_argument("--tools", metavar="FILE", help="a JSON list of tools that the model may call")
    parser.add_argument("--effort", choices=("low", "medium", "high"), help="the reasoning effort")
    parser.add_argument("--temperature", type=temperature, metavar="T", help="of the sampling, from 0")
    parser.add_argument("--top-p", type=fraction, metavar="P", help="of the sampling, from 0 to 1")
    parser.add_argument("--seed", type=int, metavar="N", help="of the sampling, where the server supports it")
    parser.add_argument("--max-tokens", type=positive, metavar="N", help="tokens of an answer, reasoning included")
    parser.add_argument("--max-cost", type=money, metavar="USD", help="of an answer, which ends there (exit code 3)")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="for a whole answer, retries included")
    parser.add_argument(
        "--price", type=price, metavar="INPUT,OUTPUT", help="US dollars for a million tokens, as 0.15,0.60"
    )
    parser.add_argument(
        "--lane",
        choices=("auto", "chat", "text", "ids"),
        default="auto",
        help="chat objects, text with special tokens, or token ids (auto)",
    )
    add_color(parser)


def make_atom(options: argparse.Namespace) -> motet.Atom:
    """The atom that the options name."""
    service = {"base_url": options.base_url} if options.base_url else {}
    if getattr(options, "lane", None):
        service["lane"] = options.lane
    slug = options.model or os.environ.get("MOTET_MODEL") or DEFAULT_ATOM
    return motet.atom(slug, price=getattr(options, "price", None), **service)


def ask_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options as `Atom.ask` takes them."""
    values = {
        "briefs": [*map(read_text, options.brief), *options.system],
        "tools": tool_list(getattr(options, "tools", None)) or (),
        "reasoning_effort": options.effort,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "seed": options.seed,
        "max_tokens": options.max_tokens,
        "max_cost": options.max_cost,
        "timeout": options.timeout,
    }
    return {name: value for name, value in values.items() if value is not None}


def prompt_of(options: argparse.Namespace) -> str:
    """The prompt: the words of the command, or standard input without a final line break."""
    words = " ".join(options.prompt)
    prompt = words if words not in ("", "-") else read_text("-")
    if not prompt.strip():
        raise UsageError("the prompt is empty: give it as an argument or on standard input")
    return _encodable(prompt)


def _encodable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"the prompt is not UTF-8: {text[:80]!r}") from None
    return text


def show(stream: motet.AnswerStream, options: argparse.Namespace, style: Style) -> motet.Answer[Any]:
    """Shows an answer while it arrives: all channels in colour, else the text alone; with `--json` neither.

    The cost goes to standard error, after an error too.
    """
    printer = EventPrinter(style)
    as_json, hide_reasoning = getattr(options, "json", False), getattr(options, "no_reasoning", False)
    in_colour = style.on and not as_json
    text_only = not style.on and not as_json
    with stream:
        try:
            for event in stream:
                if in_colour and not (event.kind == "reasoning" and hide_reasoning):
                    printer.show([event])
                elif text_only and event.type == "delta" and event.kind == "text":
                    print(event.delta, end="", flush=True)
        finally:
            with contextlib.suppress(ValueError):
                if text_only:
                    _print_rest(stream.answer)
                if (stream.answer.completion.frames or stream.answer.usage) and not as_json:
                    print(cost_report(stream.answer, Style(options.color, sys.stderr)), file=sys.stderr)
        return stream.answer


def _print_rest(answer: motet.Answer[Any]) -> None:
    """Ends the line of the text, and prints the tool calls as JSON."""
    if answer.text and not answer.text.endswith("\n"):
        print()
    for call in answer.calls:
        print(json_text({"id": call.id, "name": call.name, "arguments": call.arguments}))
