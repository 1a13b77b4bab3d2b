"""Runs, episodes and answers of the ids lane as sequences of token ids with masks and log-probabilities."""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

import pytest

import motet
from motet.backend import TokenTrace
from motet.loop.run import Run
from motet.testing.server.wire_shapes import logprob_of
from motet.together.lanes.raw import RawLane
from tests.support.server_scripts import asking, final


def wire(text: str) -> list[int]:
    return motet.encode(text, special="token")


def letters(text: str) -> list[int]:
    return [token for letter in text for token in motet.encode(letter)]


CALL = [
    *wire("<|channel|>analysis<|message|>"),
    *letters("weather"),
    *wire(
        '<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city":"Oslo"}<|call|>'
    ),
]
ANSWER = [*wire("<|channel|>final<|message|>"), *letters("sunny"), *wire("<|return|>")]
LOGPROBS: dict[str, Any] = {"sampling": {"logprobs": 0}}


def weather(city: str) -> str:
    return f"sunny in {city}"


@pytest.mark.parametrize("style", ["vllm", "sglang"])
def test_run_is_one_sequence_of_what_was_sent_and_sampled(style: Any) -> None:
    with asking(CALL, ANSWER, style=style, lane="ids") as (atom, server):
        run = atom.run("Weather?", tools=[weather], **LOGPROBS)
        first, second = [received.body["prompt"] for received in server.requests if "prompt" in (received.body or {})]
    (trajectory,) = motet.trajectories(run)
    assert trajectory.prompt_ids == first
    assert trajectory.prompt_ids + trajectory.response_ids == second + ANSWER
    between = second[len(first + CALL) :]
    assert trajectory.response_mask == [1] * len(CALL) + [0] * len(between) + [1] * len(ANSWER)
    sampled, scaffold = [logprob_of(token) for token in CALL], [0.0] * len(between)
    assert trajectory.response_logprobs == sampled + scaffold + [logprob_of(token) for token in ANSWER]
    assert trajectory.answers == 2
    assert motet.trajectories(run.episode) == [trajectory]


def test_turns_with_other_prompts_are_other_sequences() -> None:
    thought = [*wire("<|channel|>analysis<|message|>hm<|end|><|start|>assistant"), *ANSWER]
    with asking(thought, ANSWER, ANSWER, style="vllm", lane="ids") as (atom, _):
        first = atom.ask("Weather?")
        second = atom.ask("And tomorrow?", on=first)
        third = atom.ask("And then?", on=second)
    # The reasoning of the first turn is dropped from the second prompt, and the third one continues the second.
    assert [each.answers for each in motet.trajectories(third.episode)] == [1, 2]
    (alone,) = motet.trajectories(first)
    assert (alone.response_ids, alone.response_mask) == (thought, [1] * len(thought))
    assert alone.response_logprobs is None


def test_changed_calls_begin_another_sequence() -> None:
    with asking(CALL, ANSWER, style="vllm", lane="ids") as (atom, _):
        with atom.steps("Weather?", tools=[weather]) as steps:
            for step in steps:
                for call in step.calls:
                    call.replace({"city": "Bergen"})
        run = steps.run
    assert [each.response_ids for each in motet.trajectories(run)] == [CALL, ANSWER]


def test_answers_without_ids_are_refused() -> None:
    with asking(final("sunny"), style="vllm", lane="chat") as (atom, _):
        answer = atom.ask("Weather?", tools=[weather])
    assert answer.token_trace is None
    with pytest.raises(motet.ConfigError, match="the token ids of answer 1 are not known: ask with lane='ids'"):
        motet.trajectories(answer)
    with asking(ANSWER, style="vllm", lane="ids") as (atom, _):
        run = atom.run("Weather?")
    with pytest.raises(motet.ConfigError, match="answer 1 are not known"):
        motet.trajectories(Run.from_dict(json.loads(json.dumps(run.to_dict()))))
    with pytest.raises(TypeError, match="Run, an Episode or an Answer, not str"):
        motet.trajectories("run")  # type: ignore[arg-type]


def test_unknown_logprobs_are_not_numbers() -> None:
    lane = RawLane("ids", None)
    shapes: list[Any] = [
        {"token_logprobs": [-0.5, None]},
        {"content": [{"logprob": -9999.0}, {"logprob": -0.25}]},
        None,
        {"token_logprobs": [-0.5]},
        {"token_logprobs": [True, "x"]},
    ]
    for shape in shapes:
        lane.read({"token_ids": ANSWER[:2], "logprobs": shape})
    assert lane.logprobs is not None
    known = [value for value in lane.logprobs if not math.isnan(value)]
    assert (len(lane.logprobs), known) == (10, [-0.5, -0.25])
    assert len([note for note in lane.notes if "log-probabilities" in note]) == 1
    late = RawLane("ids", None)
    late.read({"token_ids": ANSWER[:-1]})
    late.close("stop", None)
    assert late.logprobs is None


def test_unknown_logprobs_stay_unknown_in_sequences() -> None:
    trace = TokenTrace(array("I", [1, 2]), array("I", [3]), array("d", [-0.5]))
    other = TokenTrace(array("I", [1, 2, 3, 4]), array("I", [5]))
    episode = motet.Episode(
        tuple([motet.Exchange((), motet.Message("assistant", ()), None, each) for each in (trace, other)])
    )
    (trajectory,) = motet.trajectories(episode)
    assert (trajectory.response_ids, trajectory.response_mask) == ([3, 4, 5], [1, 0, 1])
    assert trajectory.response_logprobs is None
