"""Runs and episodes in the ids lane send back the ids that the model sampled."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import motet
from motet.asking.episode import Episode
from motet.loop.run import Run
from motet.testing import ScriptedServer
from motet.together.lanes.raw import RawLane
from tests.support.server_scripts import KEY, SLUG, asking, final


def wire(text: str) -> list[int]:
    return motet.encode(text, special="token")


def letters(text: str) -> list[int]:
    return [token for letter in text for token in motet.encode(letter)]


CALL = [
    *wire("<|channel|>analysis<|message|>"),
    *letters("weather"),
    *wire("<|end|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>"),
    *letters('{"city":"Paris"}'),
    *wire("<|call|>"),
]
ANSWER = [*wire("<|channel|>final<|message|>"), *letters("sunny"), *wire("<|return|>")]


def weather(city: str) -> str:
    return f"sunny in {city}"


def prompts(server: ScriptedServer) -> list[list[int]]:
    return [received.body["prompt"] for received in server.requests if "prompt" in (received.body or {})]


def of_run(atom: motet.Atom) -> list[int]:
    run = atom.run("Weather?", tools=[weather])
    again = Run.from_dict(json.loads(json.dumps(run.to_dict())))
    assert [step.sampled for step in again.steps] == [array("I", CALL), array("I", ANSWER)]
    return CALL


def of_steps(atom: motet.Atom) -> list[int]:
    with atom.steps("Weather?", tools=[weather]) as steps:
        for _ in steps:
            pass
    return CALL


def of_episode(atom: motet.Atom) -> list[int]:
    first = atom.ask("Weather?", tools=[weather])
    assert first.sampled == array("I", CALL)
    result = motet.ToolResult(first.calls[0].id, "sunny")
    episode = Episode.from_dict(json.loads(json.dumps(first.episode.to_dict())))
    atom.ask([motet.Message("tool", (result,))], on=episode, tools=[weather])
    return CALL


@pytest.mark.parametrize("ask", [of_run, of_steps, of_episode])
def test_next_prompt_begins_with_the_sampled_ids(ask: Callable[[motet.Atom], list[int]]) -> None:
    with asking(CALL, ANSWER, style="vllm", lane="ids") as (atom, server):
        sampled = ask(atom)
        first, second = prompts(server)
    assert second[: len(first) + len(sampled)] == first + sampled


def test_ended_turns_keep_the_ids_of_their_answers() -> None:
    with asking(ANSWER, ANSWER, style="vllm", lane="ids") as (atom, server):
        first = atom.ask("Weather?")
        atom.ask("And tomorrow?", on=first)
        prompt, again = prompts(server)
    assert again[: len(prompt) + len(ANSWER)] == prompt + ANSWER


def test_changed_calls_are_rendered_anew() -> None:
    with asking(CALL, ANSWER, style="vllm", lane="ids") as (atom, server):
        with atom.steps("Weather?", tools=[weather]) as steps:
            for step in steps:
                for call in step.calls:
                    call.replace({"city": "Oslo"})
        first, second = prompts(server)
    assert "Oslo" in motet.decode(second[len(first) :])
    assert second[: len(first) + len(CALL)] != first + CALL


@pytest.mark.parametrize("lane", ["text", "chat"])
def test_other_lanes_render_answers_from_their_messages(lane: Any) -> None:
    with asking(CALL, final("sunny"), style="vllm", lane="ids") as (atom, server):
        first = atom.ask("Weather?", tools=[weather])
        result = motet.Message("tool", (motet.ToolResult(first.calls[0].id, "sunny"),))
        with motet.atom(SLUG, base_url=server.url, api_key=KEY, lane=lane) as other:
            answer = other.ask([result], on=first, tools=[weather])
    assert answer.sampled is None


def test_numbers_outside_of_the_vocabulary_are_not_kept() -> None:
    for token in (motet.VOCAB_SIZE, -1, 2**40):
        lane = RawLane("ids", None)
        lane.read({"token_ids": [*ANSWER[:-1], token]})
        assert lane.sampled is None
    lane = RawLane("ids", None)
    lane.read({"token_ids": ANSWER[:-1]})
    lane.close("stop", None)
    assert lane.sampled == array("I", ANSWER)


def test_sampled_ids_of_saved_episodes_are_checked() -> None:
    exchange = motet.Exchange((), motet.Message("assistant", (motet.Text("Hi"),)), array("I", ANSWER))
    shape = Episode((exchange,)).to_dict()
    assert Episode.from_dict(shape).exchanges[0].sampled == exchange.sampled
    assert Episode.from_dict(shape).hash == Episode((replace(exchange, sampled=None),)).hash
    shape["exchanges"][0]["sampled"] = [-1]
    with pytest.raises(ValueError, match="not the dict of an episode"):
        Episode.from_dict(shape)
