"""`motet run`: a tool loop from the terminal, that can be stopped and gone on with."""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import motet
from motet.cli.commands.ask import add_question, asked_of, atom_of, prompt_of
from motet.cli.commands.parse import EventPrinter
from motet.cli.cost_report import dollars
from motet.cli.style import Style, UsageError, positive, seconds

__all__ = ["register"]


def register(commands: Any) -> None:
    parser = commands.add_parser("run", help="a tool loop: ask, call the tools, until the model has answered")
    parser.add_argument("prompt", nargs="*", help="the question; standard input if there is none, or for -")
    add_question(parser, tools=False)
    parser.add_argument(
        "--tool", action="append", default=[], metavar="MODULE:FUNCTION", help="a function, or made with @motet.tool"
    )
    parser.add_argument("--checkpoint", metavar="FILE", help="keep the run here; go on with it if it is there")
    parser.add_argument(
        "--unfinished", choices=("raise", "rerun", "skip"), default="raise", help="what becomes of interrupted calls"
    )
    parser.add_argument("--max-steps", type=positive, default=20, metavar="N", help="how often the model is asked")
    parser.add_argument("--max-time", type=seconds, metavar="SECONDS", help="for the whole run")
    parser.add_argument("--tool-timeout", type=seconds, metavar="SECONDS", help="for a call")
    parser.add_argument("--allow-text-calls", action="store_true", help="run calls that are read from text, too")
    parser.add_argument("--json", action="store_true", help="print the run as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    style = Style(options.color, sys.stdout)
    settings: dict[str, Any] = {
        **asked_of(options),
        "tools": [_tool(name) for name in options.tool],
        "max_steps": options.max_steps,
        "max_time": options.max_time,
        "tool_timeout": options.tool_timeout,
        "allow_text_calls": options.allow_text_calls,
        "checkpoint": options.checkpoint,
    }
    with atom_of(options) as brain:
        if options.checkpoint and Path(options.checkpoint).exists():
            _check_same_question(options)
            # The options of the run stand, where none are given here.
            given = {name: value for name, value in settings.items() if value not in (None, (), [], False)}
            stream = brain.resume(options.checkpoint, unfinished=options.unfinished, stream=True, **given)
        else:
            stream = brain.run(prompt_of(options), stream=True, **settings)
        told = Style(options.color, sys.stderr)
        try:
            _listen(stream, style, told, options)
        except KeyboardInterrupt:
            kept = f"; go on with: {shlex.join(['motet', *sys.argv[1:]])}" if options.checkpoint else ""
            print(f"motet: stopped after {len(stream.run.steps)} steps{kept}", file=sys.stderr)
            raise
        except motet.UnfinishedCallError as error:
            names = ", ".join([f"{call.name}({call.arguments})" for call in error.calls])
            raise motet.MotetError(
                f"the run was interrupted within {names}, and whether that did its work is not known; "
                "say --unfinished rerun to run it again, or skip to tell the model so"
            ) from error
        finally:
            print(told("markup", _summary(stream.run)), file=sys.stderr)
    if options.json:
        shape = {**stream.run.to_dict(), "metrics": stream.run.metrics.to_dict()}
        print(json.dumps(shape, ensure_ascii=False, indent=2))


def _check_same_question(options: argparse.Namespace) -> None:
    """Nobody is to take the answer to an old question for the answer to a new one."""
    words = " ".join(options.prompt)
    asked = [message.text for message in motet.Run.load(options.checkpoint).asked if message.role == "user"]
    if words not in ("", "-", *asked):
        raise UsageError(
            f"{options.checkpoint} holds a run that was asked something else; "
            "leave the question out to go on with it, or give another file"
        )


def _listen(stream: motet.RunStream, style: Style, told: Style, options: argparse.Namespace) -> None:
    """Shows the run while it goes on: in colour where somebody looks, else nothing but the answer and, on standard
    error, each step when it is done."""
    printer = EventPrinter(style)
    shown = len(stream.run.steps)
    with stream:
        for event in stream:
            if style.on and not options.json:
                printer.show([event])
            for step in stream.run.steps[shown:]:
                if step.done and step.calls:
                    print(told("markup", _line(step)), file=sys.stderr)
                    shown += 1
    if not style.on and not options.json:
        print(stream.run.text)


def _line(step: motet.Step) -> str:
    made = [f"{record.call.name} ({record.signal}, {record.seconds:.2f} s)" for record in step.calls]
    return f"step {step.n}: {', '.join(made)}, {dollars(step.metrics.cost.cash.total)}"


def _summary(run: motet.Run) -> str:
    calls = [record for step in run.steps for record in step.calls]
    failed = sum(record.signal not in (None, "success") for record in calls)
    cost = dollars(run.metrics.cost.cash.total)
    return f"{len(run.steps)} steps, {len(calls)} calls ({failed} failed), {run.metrics.cost.time}, {cost}"


def _tool(name: str) -> Any:
    module, _, function = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"--tool {name}: {error}; give it as module:function") from error
    finally:
        sys.path.pop(0)
    return found
