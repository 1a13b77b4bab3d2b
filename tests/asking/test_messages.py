"""What users read of limits and loops: `make snapshots` rewrites this file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from inline_snapshot import snapshot

import motet
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.messages import message_of
from tests.support.server_scripts import final

STEPS = (calls("text"), calls("text"), calls("text"), final("A"))


def text() -> str:
    return "as it is"


def run(**options: Any) -> motet.Run:
    return fake_atom(turns(*STEPS))[0].run("Go.", tools=[text], **options)


def ask(**options: Any) -> Any:
    return fake_atom(lambda _: final("word " * 50))[0].ask("Go.", **options)


LIMITS: dict[str, Callable[[], Any]] = {
    "max_steps": lambda: run(max_steps=2),
    "max_tokens": lambda: run(max_tokens=23),
    "max_cost": lambda: run(max_cost="0.00005"),
    "max_repeats": lambda: run(max_repeats=2),
    "max_output_tokens": lambda: ask(max_tokens=5, output=dict[str, int]),
    "max_cost of the prompt": lambda: ask(max_cost="0.0000001"),
}
LOOPS: dict[str, Callable[[], Any]] = {
    "steps": lambda: run(max_steps=0),
    "time": lambda: run(max_time=-1),
    "a tool": lambda: fake_atom(turns(*STEPS))[0].run("Go.", tools=[3]),
    "two tools of a name": lambda: fake_atom(turns(*STEPS))[0].run("Go.", tools=[text, text]),
    "an option": lambda: run(colour="red"),
}


def test_messages_of_limits() -> None:
    assert {name: message_of(call) for name, call in LIMITS.items()} == snapshot(
        {
            "max_steps": "MaxStepsError: the run has reached max_steps=2 after 2 steps; its state is in .state, and resume() goes on with it under a higher limit",
            "max_tokens": "MaxTokensError: the run has reached max_tokens=23 after 0 steps; its state is in .state, and resume() goes on with it under a higher limit",
            "max_cost": "MaxCostError: the run has reached max_cost=0.00005 after 1 steps; its state is in .state, and resume() goes on with it under a higher limit",
            "max_repeats": "RepeatedCallError: the run has reached max_repeats=2 after 3 steps; its state is in .state, and resume() goes on with it under a higher limit",
            "max_output_tokens": "TruncatedOutputError: the answer was cut at max_tokens=5; the received part is in .partial; give more",
            "max_cost of the prompt": "MaxCostError: the prompt alone costs 0.00001035 dollars, more than max_cost=1E-7; nothing was sent",
        }
    )


def test_messages_of_loops() -> None:
    assert {name: message_of(call) for name, call in LOOPS.items()} == snapshot(
        {
            "steps": "ValueError: max_steps must be a whole number from 1 on, not 0",
            "time": "ValueError: max_time must be seconds, more than 0, not -1",
            "a tool": "TypeError: a tool must be a function, or made with motet.tool or motet.tools_from, not 3",
            "two tools of a name": "ConfigError: two tools have the name text",
            "an option": "TypeError: unknown option colour; options are allow_text_calls, answer_at_limit, briefs, budget, builtin_tools, checkpoint, current_date, extra, fallbacks, first_token_timeout, lane, max_cost, max_reasoning_tokens, max_repeats, max_steps, max_time, max_tokens, on, on_limit, parallel, reasoning_effort, retries, sampling, seed, temperature, timeout, tool_choice, tool_timeout, tools, top_p",
        }
    )


def test_messages_of_checkpoints(tmp_path: Path) -> None:
    atom = fake_atom(turns(*STEPS))[0]
    path = tmp_path / "run.json"
    atom.run("Go.", tools=[text], checkpoint=path)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"version": 99}')
    calls: dict[str, Callable[[], Any]] = {
        "no file": lambda: atom.resume(tmp_path / "none.json"),
        "no JSON": lambda: atom.resume(tmp_path / "broken.json"),
        "an unknown version": lambda: atom.resume(tmp_path / "other.json"),
        "a policy": lambda: atom.resume(path, unfinished="again"),  # type: ignore[call-overload]
    }
    messages = {name: message_of(call).replace(str(tmp_path), "FOLDER") for name, call in calls.items()}
    assert messages == snapshot(
        {
            "no file": "ConfigError: FOLDER/none.json cannot be resumed: no such file or directory",
            "no JSON": "ConfigError: FOLDER/broken.json cannot be resumed: it is not JSON, from line 1, column 2; it may be cut or another file",
            "an unknown version": "ConfigError: FOLDER/other.json cannot be resumed: not a saved run: {'version': 99}",
            "a policy": "ValueError: unfinished must be 'raise', 'rerun', 'skip' or a function, not 'again'",
        }
    )
