"""`motet ask`, `motet chat` and `motet estimate`: a model, asked from the terminal."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import motet
from motet.catalog import to_money
from motet.cli.commands.parse import EventPrinter
from motet.cli.cost_report import bill, bill_dict, dollars
from motet.cli.style import Style, UsageError, positive, seconds, tool_list, visible

__all__ = ["add_question", "add_service", "asked_of", "atom_of", "prompt_of", "register"]

DEFAULT_ATOM = "together/gpt-oss/120b"


def register(commands: Any) -> None:
    ask = commands.add_parser("ask", help="ask a model; the answer on standard output, what it cost on standard error")
    _add_prompt(ask)
    add_question(ask)
    ask.add_argument("--no-reasoning", action="store_true", help="do not show what the model thinks")
    ask.add_argument("--json", action="store_true", help="print the answer and its bill as JSON")
    ask.set_defaults(run=run_ask)

    chat = commands.add_parser("chat", help="a conversation in the terminal, with the cost of each answer")
    add_question(chat)
    chat.set_defaults(run=run_chat)

    estimate = commands.add_parser("estimate", help="what an answer would cost; nothing is sent")
    _add_prompt(estimate)
    add_question(estimate)
    estimate.add_argument("--json", action="store_true", help="print JSON")
    estimate.set_defaults(run=run_estimate)


def add_service(parser: argparse.ArgumentParser) -> None:
    """The options that say whom to ask."""
    parser.add_argument(
        "-m", "--model", metavar="SLUG", help=f"slug or model id; by default $MOTET_MODEL, else {DEFAULT_ATOM}"
    )
    parser.add_argument("--base-url", metavar="URL", help="by default $TOGETHER_BASE_URL, else Together's")


def _add_prompt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", nargs="*", help="the question; standard input if there is none, or for -")


def add_question(parser: argparse.ArgumentParser, *, tools: bool = True) -> None:
    """The options of an asking."""
    add_service(parser)
    parser.add_argument("-b", "--brief", action="append", default=[], metavar="FILE", help="for the system side")
    if tools:
        parser.add_argument("--tools", metavar="FILE", help="a JSON list of tools that the model may call")
    parser.add_argument("--effort", choices=("low", "medium", "high"), help="how much the model is to think")
    parser.add_argument("--max-tokens", type=positive, metavar="N", help="of an answer, reasoning included")
    parser.add_argument("--max-cost", metavar="USD", help="an answer is ended before it costs more (exit code 3)")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="for a whole answer")
    parser.add_argument("--lane", choices=("auto", "chat", "text", "ids"), default="auto")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")


def atom_of(options: argparse.Namespace) -> motet.Atom:
    """The atom that the options name."""
    service = {"base_url": options.base_url} if options.base_url else {}
    if getattr(options, "lane", None):
        service["lane"] = options.lane
    return motet.atom(options.model or os.environ.get("MOTET_MODEL") or DEFAULT_ATOM, **service)


def asked_of(options: argparse.Namespace) -> dict[str, Any]:
    """The options as `ask` takes them."""
    try:
        max_cost = None if options.max_cost is None else to_money(options.max_cost, "--max-cost")
    except ValueError as error:
        raise UsageError(str(error)) from None
    return {
        "briefs": [Path(name) for name in options.brief],
        "tools": tool_list(getattr(options, "tools", None)) or (),
        "reasoning_effort": options.effort,
        "max_tokens": options.max_tokens,
        "max_cost": max_cost,
        "timeout": options.timeout,
    }


def prompt_of(options: argparse.Namespace) -> str:
    """The question: the words of the command, or standard input."""
    words = " ".join(options.prompt)
    if words not in ("", "-"):
        return words
    text = sys.stdin.read()
    if not text.strip():
        raise UsageError("there is nothing to ask: give a prompt, or text on standard input")
    return text


def run_ask(options: argparse.Namespace) -> None:
    style = Style(options.color, sys.stdout)
    with atom_of(options) as brain, _explained(options):
        answer = _ask(brain, prompt_of(options), asked_of(options), options, style)
    if options.json:
        shape = {"message": answer.message.to_dict(), "model": answer.model, "lane": answer.lane, **bill_dict(answer)}
        print(json.dumps(shape, ensure_ascii=False, indent=2))


def _ask(
    brain: motet.Atom, prompt: str, asked: dict[str, Any], options: argparse.Namespace, style: Style
) -> motet.Answer[Any]:
    """Asks, and shows the answer while it arrives: in colour where somebody looks, else nothing but the answer."""
    printer = EventPrinter(style)
    watched = style.on and not getattr(options, "json", False)
    plain = not watched and not getattr(options, "json", False)
    with brain.stream(prompt, **asked) as stream:
        try:
            for event in stream:
                if watched and not (event.kind == "reasoning" and getattr(options, "no_reasoning", False)):
                    printer.show([event])
                elif plain and event.type == "delta" and event.kind == "text":
                    print(event.delta, end="", flush=True)
        finally:
            with contextlib.suppress(ValueError):
                if plain:
                    _finish_plain(stream.answer)
                if (stream.answer.completion.frames or stream.answer.usage) and not getattr(options, "json", False):
                    print(bill(stream.answer, Style(options.color, sys.stderr)), file=sys.stderr)
        return stream.answer


def _finish_plain(answer: motet.Answer[Any]) -> None:
    for call in answer.calls:
        print(json.dumps({"id": call.id, "name": call.name, "arguments": call.arguments}, ensure_ascii=False))
    if answer.text and not answer.text.endswith("\n"):
        print()


@contextlib.contextmanager
def _explained(options: argparse.Namespace) -> Any:
    """With JSON, what arrived before an error is printed, too."""
    try:
        yield
    except motet.MotetError as error:
        if getattr(options, "json", False) and isinstance(error.partial, motet.Answer):
            shape = {"error": type(error).__name__, "message": error.partial.message.to_dict()}
            print(json.dumps({**shape, **bill_dict(error.partial)}, ensure_ascii=False, indent=2))
        raise


def run_chat(options: argparse.Namespace) -> int:
    style = Style(options.color, sys.stdout)
    asked = asked_of(options)
    spent: Decimal | None = Decimal(0)
    last: motet.Answer[Any] | None = None
    with atom_of(options) as brain:
        print(style("markup", f"{brain.slug}. An empty line or Ctrl-D ends it, Ctrl-C an answer."))
        while True:
            try:
                line = input("> ")
            except EOFError:
                print()
                return 0
            if not line.strip():
                return 0
            try:
                turn = {**asked, "briefs": asked["briefs"] if last is None else ()}
                answer = _ask(brain, line, {**turn, "on": last}, options, style)
                last = answer
            except KeyboardInterrupt:
                print(style("repair", "\n(ended; it is not part of the conversation)"))
                continue
            except motet.MotetError as error:
                print(style("repair", f"\n{visible(str(error))}"), file=sys.stderr)
                answer_or_none = error.partial
                if not isinstance(answer_or_none, motet.Answer):
                    continue
                answer = answer_or_none
            cost = answer.metrics.cost.cash.total
            spent = None if spent is None or cost is None else spent + cost
            print(style("markup", f"the conversation has cost {dollars(spent)}"))


def run_estimate(options: argparse.Namespace) -> None:
    with atom_of(options) as brain:
        estimate = brain.estimate(prompt_of(options), **asked_of(options))
    length, cash = estimate.tokens.output, estimate.cash
    if options.json:
        shape = {
            "model": brain.slug,
            "exact": estimate.exact,
            "tokens": {
                "input": estimate.tokens.input,
                "output": {"low": length.low, "expected": length.expected, "high": length.high},
            },
            "cash": {
                name: None if amount is None else f"{amount:f}"
                for name, amount in (("low", cash.low), ("expected", cash.expected), ("high", cash.high))
            },
            "notes": list(estimate.notes),
        }
        print(json.dumps(shape, ensure_ascii=False))
        return
    about = "" if estimate.exact else "about "
    print(f"{brain.slug}: a prompt of {about}{estimate.tokens.input} tokens")
    print(f"{'':<10} {'answer':>9}  {'cash':>12}")
    for name in ("low", "expected", "high"):
        tokens = getattr(length, name)
        print(f"{name:<10} {'?' if tokens is None else tokens:>9}  {dollars(getattr(cash, name)):>12}")
    style = Style(options.color, sys.stdout)
    for note in estimate.notes:
        print(style("markup", note))
