"""`motet run`: a tool loop that can be interrupted and resumed."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import motet
from motet.cli.cost_report import dollars
from motet.cli.event_printer import EventPrinter
from motet.cli.failure import InputError, UsageError, describe
from motet.cli.inputs import read_json
from motet.cli.options import add_json, positive, seconds
from motet.cli.question import add_prompt, add_question, ask_options, make_atom, prompt_of
from motet.cli.style import Style
from motet.cli.terminal import json_text
from motet.cli.tool_names import add_tools, tools_of

EXAMPLES = (
    'motet run "Is Paris warm?" --tool weather:get_weather --max-cost 0.05',
    'motet run "Is Paris warm?" --tool weather:get_weather --checkpoint run.json',
    "motet run --tool weather:get_weather --checkpoint run.json   # resumes",
)


def add(parser: argparse.ArgumentParser) -> None:
    add_prompt(parser)
    add_question(parser, tools=False)
    add_tools(parser, "a function of a module in this folder or of an installed package")
    parser.add_argument("--checkpoint", metavar="FILE", help="save the run here; resume it if the file exists")
    parser.add_argument(
        "--unfinished",
        choices=("raise", "rerun", "skip"),
        default="raise",
        help="on resuming: calls that were interrupted end the run (raise), run again, or are skipped",
    )
    parser.add_argument("--max-steps", type=positive, default=20, metavar="N", help="requests to the model (20)")
    parser.add_argument("--max-time", type=seconds, metavar="SECONDS", help="for the whole run")
    parser.add_argument("--tool-timeout", type=seconds, metavar="SECONDS", help="for each call")
    parser.add_argument(
        "--allow-text-calls", action="store_true", help="also run calls that were read from text, not from token ids"
    )
    add_json(parser, "print the run as JSON")


def run(options: argparse.Namespace) -> None:
    settings: dict[str, Any] = {
        **ask_options(options),
        "tools": tools_of(options),
        "max_steps": options.max_steps,
        "max_time": options.max_time,
        "tool_timeout": options.tool_timeout,
        "allow_text_calls": options.allow_text_calls,
        "checkpoint": options.checkpoint,
    }
    with make_atom(options) as atom:
        stream = _start(atom, options, settings)
        progress = Style(options.color, sys.stderr)
        try:
            _show(stream, Style(options.color, sys.stdout), progress, options)
        except KeyboardInterrupt:
            resume = f"; resume with: {shlex.join(['motet', *sys.argv[1:]])}" if options.checkpoint else ""
            print(f"motet: stopped after {_count(len(stream.run.steps), 'step')}{resume}", file=sys.stderr)
            raise
        except motet.UnfinishedCallError as error:
            names = ", ".join([f"{call.name}({call.arguments})" for call in error.calls])
            raise motet.MotetError(
                f"the run was interrupted within {names}, and it is unknown whether the call did its work; "
                "give --unfinished rerun to run it again, or skip to tell the model so"
            ) from error
        finally:
            if stream.run.steps:
                print(progress("markup", _summary(stream.run)), file=sys.stderr)
    if options.json:
        print(json_text({**stream.run.to_dict(), "metrics": stream.run.metrics.to_dict()}, indent=2))


def _start(atom: motet.Atom, options: argparse.Namespace, settings: dict[str, Any]) -> motet.RunStream:
    if not options.checkpoint or not Path(options.checkpoint).exists():
        return atom.run(prompt_of(options), stream=True, **settings)
    _check_same_prompt(options)
    # A resumed run keeps its own settings where the command line has none.
    changes = {name: value for name, value in settings.items() if value not in (None, (), [], False)}
    stream: motet.RunStream = atom.resume(options.checkpoint, unfinished=options.unfinished, stream=True, **changes)
    return stream


def _check_same_prompt(options: argparse.Namespace) -> None:
    """Refuses a prompt that differs from the checkpoint's: the answer would be that to the old one."""
    words = " ".join(options.prompt)
    read_json(options.checkpoint)
    try:
        saved = motet.Run.load(options.checkpoint)
    except motet.ConfigError as error:
        raise InputError(describe(error)) from error
    prompts = [message.text for message in saved.asked if message.role == "user"]
    if words not in ("", "-", *prompts):
        raise UsageError(
            f"{options.checkpoint} holds a run with another prompt; "
            "leave the prompt out to resume it, or give another file"
        )


def _show(stream: motet.RunStream, style: Style, progress: Style, options: argparse.Namespace) -> None:
    """Shows the run while it goes on: all channels in colour, else the answer alone; each step on standard error."""
    printer = EventPrinter(style)
    printed_steps = len(stream.run.steps)
    with stream:
        for event in stream:
            if style.on and not options.json:
                printer.show([event])
            for step in stream.run.steps[printed_steps:]:
                if step.done and step.calls:
                    print(progress("markup", _step_line(step)), file=sys.stderr)
                    printed_steps += 1
    if not style.on and not options.json:
        print(stream.run.text)


def _step_line(step: motet.Step) -> str:
    calls = [f"{record.call.name} ({record.signal}, {record.seconds:.2f} s)" for record in step.calls]
    return f"step {step.n}: {', '.join(calls)}, {dollars(step.metrics.cost.cash.total)}"


def _summary(run: motet.Run) -> str:
    calls = [record for step in run.steps for record in step.calls]
    failed = sum(record.signal not in (None, "success") for record in calls)
    steps, cost = _count(len(run.steps), "step"), dollars(run.metrics.cost.cash.total)
    return f"{steps}, {_count(len(calls), 'call')} ({failed} failed), {run.metrics.cost.time}, {cost}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
