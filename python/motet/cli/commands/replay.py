"""`motet replay`: a recorded run step by step, without a key, with other tools or another prompt from a step on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import motet
from motet.cli.failure import InputError, UsageError, describe
from motet.cli.options import add_color, add_json, positive
from motet.cli.question import add_service, make_atom
from motet.cli.style import Style
from motet.cli.terminal import json_text
from motet.cli.tool_names import add_tools, tools_of
from motet.loop.replay import ReplayedCall, replay_steps
from motet.message import Message, Text

EXAMPLES = (
    "motet replay run.json",
    "motet replay run.json --tool weather:get_weather --from 3",
    'motet replay run.json --from 3 --prompt "Is Bern warm?" --live -o new.json',
)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="RUN", help="a saved run or a checkpoint")
    parser.add_argument(
        "--from", dest="start", type=positive, default=1, metavar="N", help="the first changed step (1)"
    )
    add_tools(parser, "run the calls of this tool again, and keep all other results")
    parser.add_argument("--prompt", metavar="TEXT", help="the last user message instead of the run's; needs --live")
    parser.add_argument(
        "--live",
        action="store_true",
        help="ask the model from the first step that differs on; by default the recorded answers go on",
    )
    parser.add_argument("--step", action="store_true", help="wait for the return key before each step")
    parser.add_argument("-o", "--output", metavar="FILE", help="save the replayed run")
    add_service(parser)
    add_json(parser, "print the replayed run as JSON")
    add_color(parser)


def run(options: argparse.Namespace) -> None:
    if options.prompt is not None and not options.live:
        raise UsageError("the recorded answers are to the recorded prompt: --prompt needs --live")
    try:
        recorded = motet.Run.load(options.file)
    except motet.ConfigError as error:
        raise InputError(describe(error)) from error
    if options.start > max(len(recorded.steps), 1):
        raise UsageError(f"--from {options.start}: the run has {len(recorded.steps)} steps")
    tools = tools_of(options)
    state, is_changed = _replayed(recorded, tools, options)
    if options.live and is_changed:
        # The model of the run, unless another is named.
        options.model = options.model or recorded.slug
        with make_atom(options) as atom:
            before = len(state.steps)
            state = atom.resume(state, tools=tools)
        _show_all(state.steps[before:], options)
    elif options.live:
        print("motet: nothing differs, so no model was asked", file=sys.stderr)
    if options.output:
        state.save(Path(options.output))
    if options.json:
        print(json_text(state.to_dict(), indent=2))


def _replayed(recorded: motet.Run, tools: list[motet.Tool], options: argparse.Namespace) -> tuple[motet.Run, bool]:
    """The run with the new results; with `--live`, up to the first step that differs, and true if one does."""
    if options.prompt is not None:
        kept = recorded.fork(options.start - 1)
        _show_all(kept.steps, options)
        return replace(kept, initial_messages=_with_prompt(kept.initial_messages, options.prompt)), True
    steps = []
    for step, calls in replay_steps(recorded, tools, start=options.start):
        steps.append(step)
        _show(step, calls, options)
        if options.live and not all(call.is_equal for call in calls):
            return replace(recorded, steps=tuple(steps), output=None), True
    return replace(recorded, steps=tuple(steps)), False


def _with_prompt(messages: tuple[Message, ...], prompt: str) -> tuple[Message, ...]:
    """The messages with another text of the last user message."""
    place = next((place for place in reversed(range(len(messages))) if messages[place].role == "user"), None)
    if place is None:
        raise UsageError("the run has no user message that --prompt could replace")
    return (*messages[:place], replace(messages[place], content=(Text(prompt),)), *messages[place + 1 :])


def _show_all(steps: tuple[motet.Step, ...], options: argparse.Namespace) -> None:
    for step in steps:
        _show(step, [], options)


def _show(step: motet.Step, calls: list[ReplayedCall], options: argparse.Namespace) -> None:
    if options.step and sys.stdin.isatty():
        input()
    if options.json:
        return
    style = Style(options.color, sys.stdout)
    for line in _lines(step, calls, style):
        print(line)


def _lines(step: motet.Step, calls: list[ReplayedCall], style: Style) -> Iterator[str]:
    yield style("title", f"step {step.n}")
    for kind, text in (("reasoning", step.message.reasoning), ("preamble", step.message.preamble)):
        if text:
            yield style(kind, text)
    again = {call.recorded.call.id: call for call in calls}
    for record in step.calls:
        yield style("tool_call", f"{record.call.name}({record.call.arguments})")
        call = again.get(record.call.id)
        mark = "recorded" if call is None else "the same again" if call.is_equal else "differs"
        yield f"  {mark}: {record.content if record.signal else 'no result'}"
        if call is not None and not call.is_equal:
            yield f"  recorded: {call.recorded.content}"
    if step.message.text:
        yield step.message.text
