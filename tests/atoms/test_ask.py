"""One question: lanes, options, and many questions at once."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from typing import Any

import pytest

import motet
from motet.testing import Turn
from tests.support.server_scripts import ANSWER, CALL, LANES, PLAIN, THOUGHT, WEATHER, asking, final


@pytest.mark.parametrize(("style", "lane"), LANES)
def test_every_lane_gives_the_same_answer(style: str, lane: str) -> None:
    with asking(lambda _: PLAIN, style=style, lane=lane) as (atom, _):
        blocking_answer = atom.ask("Why is the sky blue?")
        with atom.stream("Why is the sky blue?") as stream:
            events = list(stream)
    for answer in (blocking_answer, stream.answer):
        assert (answer.output, answer.reasoning, answer.calls) == (ANSWER, THOUGHT, ())
        assert (answer.lane, answer.finish, answer.completion.stop) == (lane, "stop", "return")
        assert answer.metrics.drift == 0
        assert answer.completion.repairs == ()
    assert blocking_answer.completion == stream.answer.completion
    deltas = [(event.kind, event.delta) for event in events if event.type == "delta"]
    assert "".join([delta for kind, delta in deltas if kind == "reasoning"]) == THOUGHT
    assert "".join([delta for kind, delta in deltas if kind == "text"]) == ANSWER
    assert [event.type for event in events if event.type != "delta"] == ["start", "end", "start", "end"]


@pytest.mark.parametrize(("style", "lane"), LANES)
def test_every_lane_gives_the_same_call(style: str, lane: str) -> None:
    with asking(lambda _: CALL, style=style, lane=lane) as (atom, _):
        blocking_answer = atom.ask("Is Zürich warm?", tools=[WEATHER])
        with atom.stream("Is Zürich warm?", tools=[WEATHER]) as stream:
            events = list(stream)
    for answer in (blocking_answer, stream.answer):
        assert answer.output is None
        assert [(call.name, call.args()) for call in answer.calls] == [("get_weather", {"city": "Zürich"})]
        assert [part.type for part in answer.message.content] == ["reasoning", "preamble", "tool_call"]
        assert answer.completion.stop == "call"
        assert answer.calls[0].trusted is (lane != "text")
    arguments = "".join([event.delta for event in events if event.kind == "tool_call" and event.type == "delta"])
    assert arguments == '{"city": "Zürich"}'


def test_lane_is_chosen_from_the_server_capabilities() -> None:
    for style, lane in (("together", "chat"), ("vllm", "ids"), ("sglang", "ids"), ("llamacpp", "text")):
        with asking(lambda _: PLAIN, style=style, lane="auto") as (atom, server):
            answer = atom.ask("Why?")
            assert (answer.lane, len(server.requests)) == (lane, 2)
            assert style in answer.lane_reason.replace(".", "") or style == "together"
            atom.ask("Why?")
            assert [request.path for request in server.requests].count("/v1/models") == 1


def test_other_models_use_the_chat_lane() -> None:
    with asking(lambda _: final("Hi"), style="vllm", slug="together/kimi/k3", lane="auto") as (atom, server):
        assert atom.ask("Hello").lane == "chat"
        assert [request.path for request in server.requests] == ["/v1/chat/completions"]
        with pytest.raises(motet.ConfigError, match="does not speak harmony"):
            atom.ask("Hello", lane="ids")


def test_answers_pickle_and_compare() -> None:
    with asking(PLAIN) as (atom, _):
        answer = atom.ask("Why?")
    for travelled in (pickle.loads(pickle.dumps(answer)), copy.deepcopy(answer)):
        assert travelled == answer
    assert "It scatters" in repr(answer)
    assert answer.series is None


def test_concurrent_requests_get_their_own_answers() -> None:
    def echo(body: Any) -> Turn:
        return Turn(final(body["messages"][-1]["content"][::-1]), delay=0.05)

    async def main(atom: motet.Atom) -> list[Any]:
        pending = [atom.aask(f"question {n}") for n in range(200)]
        answers = await asyncio.gather(*pending)
        await atom.aclose()
        return [answer.output for answer in answers]

    with asking(echo) as (atom, server):
        assert asyncio.run(main(atom)) == [f"question {n}"[::-1] for n in range(200)]
        assert len(server.requests) == 200


def test_one_atom_is_shared_by_threads() -> None:
    def echo(body: Any) -> str:
        return final(body["messages"][-1]["content"][::-1])

    outputs: dict[int, Any] = {}
    with asking(echo) as (atom, _):
        threads = [
            threading.Thread(target=lambda n=n: outputs.__setitem__(n, atom.ask(f"q {n}").output)) for n in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outputs == {n: f"q {n}"[::-1] for n in range(40)}


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"lane": "fast"}, motet.ConfigError, "lane must be 'auto', 'chat', 'text' or 'ids', not 'fast'"),
        ({"current_date": "tomorrow"}, ValueError, "current_date must be a date as"),
        ({"current_date": "2025-6-1"}, ValueError, "current_date must be a date as"),
        ({"budget": 5}, TypeError, r"budget must be made by motet\.budget, not 5"),
        ({"sampling": 5}, TypeError, "sampling must be a dict, not int"),
        ({"extra": [1]}, TypeError, "extra must be a dict, not list"),
        ({"sampling": {"messages": []}}, TypeError, "sampling holds messages, which is set elsewhere"),
    ],
)
def test_invalid_options_are_refused_by_name(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with asking(PLAIN) as (atom, server):
        with pytest.raises(error, match=text):
            atom.ask("Hi", **options)
        assert server.requests == []


def test_tool_choice_of_an_unknown_tool_is_not_sent() -> None:
    named = {"type": "function", "function": {"name": "get_wether"}}
    with asking(CALL) as (atom, server):
        with pytest.raises(motet.UnknownToolError, match="names get_wether, and the tools are: get_weather") as caught:
            atom.ask("Hi", tools=[WEATHER], tool_choice=named)
        assert (caught.value.name, caught.value.known) == ("get_wether", ("get_weather",))
        with pytest.raises(motet.UnknownToolError, match="names always"):
            atom.ask("Hi", tools=[WEATHER], tool_choice="always")
        with pytest.raises(ValueError, match="tool_choice must be 'auto'"):
            atom.ask("Hi", tools=[WEATHER], tool_choice={"type": "function"})
        assert server.requests == []


def test_missing_ids_are_noted() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 900}
    with asking(Turn(PLAIN, usage=usage), PLAIN, style="vllm", lane="ids") as (atom, _):
        assert any("some text may be missing" in note for note in atom.ask("Hi").notes)
        assert atom.ask("Hi").notes == ()
