"""Shapes of chat answers as services send them: calls in fragments, reasoning in other keys, counts that differ."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

import motet
from motet import catalog
from motet.together.lanes.chat_reader import ChatLane
from tests.support.fault_cases import DONE, InMemoryService, sse
from tests.support.server_scripts import KEY, WEATHER

TIME = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}
USAGE = {"prompt_tokens": 70, "completion_tokens": 9, "total_tokens": 79}


def stream_of(*deltas: dict[str, Any], finish: str = "stop", usage: Any = USAGE, **settings: Any) -> motet.Answer[Any]:
    """The answer to a stream of these deltas; its events have the same text and the same calls."""
    service = InMemoryService()
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": usage})
    service.tell(*map(sse, chunks), DONE)
    with service.atom(**settings).stream("Hi", tools=[WEATHER, TIME]) as stream:
        events = list(stream)
    answer = stream.answer
    for kind, text in (("reasoning", answer.reasoning), ("text", answer.completion.text or answer.completion.preamble)):
        assert "".join([event.delta for event in events if event.kind == kind and event.type == "delta"]) == text
    for index, call in enumerate(answer.calls):
        begun = [event for event in events if event.kind == "tool_call" and event.type == "start"][index]
        of_call = [event for event in events if event.index == begun.index]
        assert "".join([event.delta for event in of_call]) == call.arguments
        # The name and the id stand in the start event already, and stay.
        recipient = f"functions.{call.name}"
        assert {(event.name, event.call_id, event.recipient) for event in of_call} == {(call.name, call.id, recipient)}
    return answer


def fragment(index: Any = None, id: str | None = None, name: str | None = None, arguments: Any = None) -> Any:
    """A fragment of a call, without the keys that are `None`."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {key: value for key, value in (("index", index), ("id", id), ("function", function)) if value is not None}


def calls_in(*fragments: Any) -> list[tuple[str, str]]:
    answer = stream_of(
        *[{"tool_calls": [item] if isinstance(item, dict) else item} for item in fragments], finish="tool_calls"
    )
    assert len({call.id for call in answer.calls}) == len(answer.calls)
    return [(call.name, call.arguments) for call in answer.calls]


BOTH = [("get_weather", '{"city": "Bern"}'), ("get_time", "{}")]


@pytest.mark.parametrize(
    "fragments",
    [
        # One index for all.
        [fragment(0, "a", "get_weather", '{"city": "Bern"}'), fragment(0, "b", "get_time", "{}")],
        [
            fragment(0, "a", "get_weather", '{"city": '),
            fragment(0, None, None, '"Bern"}'),
            fragment(0, "b", "get_time", ""),
            fragment(0, None, None, "{}"),
        ],
        # No index.
        [fragment(None, "a", "get_weather", '{"city": "Bern"}'), fragment(None, "b", "get_time", "{}")],
        [fragment(None, None, "get_weather", '{"city": "Bern"}'), fragment(None, None, "get_time", "{}")],
        [
            fragment(None, "a", "get_weather", '{"city"'),
            fragment(None, None, None, ': "Bern"}'),
            fragment(None, "b", "get_time", "{}"),
        ],
        # In one list, without index and id.
        [[fragment(None, None, "get_weather", '{"city": "Bern"}'), fragment(None, None, "get_time", "{}")]],
        # As documented, and mixed.
        [
            fragment(0, "a", "get_weather", ""),
            fragment(1, "b", "get_time", ""),
            fragment(0, None, None, '{"city": "Bern"}'),
            fragment(1, None, None, "{}"),
        ],
        # The id again in each fragment; an empty name in later ones.
        [
            fragment(0, "a", "get_weather", '{"city": '),
            fragment(0, "a", "", '"Bern"}'),
            fragment(1, "b", "get_time", "{}"),
        ],
    ],
)
def test_parallel_calls_stay_apart(fragments: list[Any]) -> None:
    assert calls_in(*fragments) == BOTH


WHOLE = '{"city": "Bern"}'


@pytest.mark.parametrize(
    ("fragments", "arguments"),
    [
        # An event that arrives twice, and arguments that grow from one fragment to the next.
        ([fragment(0, "a", "get_weather", WHOLE)] * 2, WHOLE),
        ([fragment(0, "a", "get_weather", WHOLE[:size]) for size in (2, 9, 9, 16)], WHOLE),
        ([fragment(0, "a", "get_weather", "[["), fragment(0, "a", "get_weather", "[]]]")], "[[[]]]"),
        ([fragment(0, "a", "get_weather", part) for part in ('{"city"', ': "Bern"', "}")], WHOLE),
        # Values other than text.
        ([fragment("0", "a", "get_weather", WHOLE)], WHOLE),
        ([fragment(0, "a", "get_weather", {"city": "Bern"})], WHOLE),
        ([fragment(0, "a", "get_weather", 5)], "5"),
        ([fragment(0, "a", "get_weather", False)], "false"),
    ],
)
def test_arguments_are_read_once_and_whole(fragments: list[Any], arguments: str) -> None:
    assert calls_in(*fragments) == [("get_weather", arguments)]


def test_fragments_of_the_deprecated_function_call_are_joined() -> None:
    deltas = [{"function_call": {"name": "get_weather", "arguments": ""}}]
    deltas += [{"function_call": {"arguments": part}} for part in ('{"city"', ': "Bern"}')]
    answer = stream_of(*deltas, finish="function_call")
    assert [(call.name, call.arguments) for call in answer.calls] == [("get_weather", WHOLE)]


def test_missing_call_is_noted() -> None:
    answer = stream_of({"content": "Warm."}, finish="tool_calls")
    assert answer.output == "Warm."
    assert any("sent no call" in note for note in answer.notes)


def test_fragment_without_a_name_begins_no_call() -> None:
    assert calls_in(
        fragment(0, "a", "get_weather", '{"city": "Bern"}'), fragment(0, "a", None, ""), fragment(None, None, None, " ")
    ) == [("get_weather", '{"city": "Bern"} ')]


@pytest.mark.parametrize(
    "names",
    [
        ["get_", "weather"],
        ["get_weather", "get_weather"],
        ["get", "get_weather"],
        ["functions.get_weather"],
        ["get_weather<|channel|>commentary"],
        ["get_weather <|constrain|>json"],
        ["get_weatherjson"],
    ],
    ids=str,
)
def test_names_of_calls_are_whole(names: list[str]) -> None:
    fragments = [fragment(0, "a" if not place else None, name) for place, name in enumerate(names)]
    assert calls_in(*fragments, fragment(0, None, None, "{}")) == [("get_weather", "{}")]


def test_call_without_a_name_is_an_error_to_the_model() -> None:
    service = InMemoryService()
    call = {"id": "a", "type": "function", "function": {"name": "", "arguments": "{}"}}
    bodies = []
    for text in (None, "Done."):
        message = {"content": text} if text else {"tool_calls": [call]}
        reason = "stop" if text else "tool_calls"
        bodies.append({"choices": [{"message": message, "finish_reason": reason}], "usage": USAGE})
    atom = service.atom()
    service.script = [httpx.Response(200, json=body) for body in bodies]
    run = atom.run("Hi", tools=[get_time])
    assert run.text == "Done."
    (record,) = run.steps[0].calls
    assert record.signal == "error:constraint"
    assert "get_time" in record.content


def get_time() -> str:
    """The time now."""
    return "noon"


def test_whole_message_in_the_last_chunk_is_read_once() -> None:
    service = InMemoryService()
    message = {"role": "assistant", "content": "It is warm.", "reasoning": "Hm."}
    chunks: list[Any] = [
        {"delta": {"reasoning": "Hm."}},
        {"delta": {"content": "It is "}},
        {"delta": {"content": "warm."}},
    ]
    chunks.append({"delta": {}, "message": message, "finish_reason": "stop"})
    service.tell(*[sse({"choices": [chunk]}) for chunk in chunks], DONE)
    with service.atom().stream("Hi") as stream:
        text = "".join([event.delta for event in stream if event.kind == "text"])
    assert (text, stream.answer.output, stream.answer.reasoning) == ("It is warm.", "It is warm.", "Hm.")
    # A stream of nothing but whole messages.
    service.tell(sse({"choices": [{"message": message, "finish_reason": "stop"}]}), DONE)
    with service.atom().stream("Hi") as stream:
        list(stream)
    assert (stream.answer.output, stream.answer.reasoning) == ("It is warm.", "Hm.")


@pytest.mark.parametrize(
    "deltas",
    [
        [{"reasoning": "Let me "}, {"reasoning": "see."}, {"content": "Warm."}],
        [{"reasoning_content": "Let me see."}, {"content": "Warm."}],
        [{"reasoning": "Let me see.", "reasoning_content": "Let me see."}, {"content": "Warm."}],
        [{"reasoning_details": [{"type": "reasoning.text", "text": "Let me see."}]}, {"content": "Warm."}],
        [{"reasoning_details": [{"type": "reasoning.summary", "summary": "Let me see."}]}, {"content": "Warm."}],
        [
            {"reasoning": "Let me see.", "reasoning_details": [{"type": "reasoning.text", "text": "Let me see."}]},
            {"content": "Warm."},
        ],
        [
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]}]},
            {"content": "Warm."},
        ],
        [{"content": [{"type": "thinking", "thinking": "Let me see."}, {"type": "text", "text": "Warm."}]}],
    ],
)
def test_reasoning_is_read_wherever_it_stands(deltas: list[Any]) -> None:
    answer = stream_of(*deltas)
    assert (answer.reasoning, answer.output) == ("Let me see.", "Warm.")


def test_refusal_is_heard_and_noted() -> None:
    for delta in ({"refusal": "I cannot help."}, {"content": [{"type": "refusal", "refusal": "I cannot help."}]}):
        answer = stream_of(delta)
        assert answer.output == "I cannot help."
    assert any("refusal" in note for note in stream_of({"refusal": "No."}).notes)


def test_call_ids_differ_between_turns_and_not_between_cuts() -> None:
    deltas = [[fragment(0, None, "get_weather", '{"city": "Bern"}')]]
    deltas += [[fragment(0, None, "get_weather", ""), *[fragment(0, None, None, char) for char in '{"city": "Bern"}']]]
    answers = [stream_of(*[{"tool_calls": [item]} for item in cut], finish="tool_calls") for cut in deltas]
    assert answers[0].calls == answers[1].calls
    ids = []
    for history in ([], [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]):
        lane = ChatLane(tools=[WEATHER], turn=len(history) + 1)
        lane.read({"delta": {"tool_calls": deltas[0]}})
        lane.close("tool_calls", None)
        ids.append(lane.completion.tool_calls[0].id)
    assert len(set(ids)) == 2


# Think tags.


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("content", "think_tags", "reasoning", "text"),
    [
        ("<think>\nHm.\n</think>\n\nWarm.", True, "Hm.\n", "Warm."),
        ("<think></think>Warm.", True, "", "Warm."),
        ("Warm, <think>not</think>.", True, "", "Warm, <think>not</think>."),
        ("Hm.</think>\nWarm.", "opened", "Hm.", "Warm."),
        ("<thin air>", True, "", "<thin air>"),
        ("<think>Hm.</think>Warm.", False, "", "<think>Hm.</think>Warm."),
    ],
)
def test_think_tags_are_split_on_request(content: str, think_tags: Any, reasoning: str, text: str, size: int) -> None:
    deltas = [{"content": content[place : place + size]} for place in range(0, len(content), size)]
    answer = stream_of(*deltas, service={"think_tags": think_tags})
    assert (answer.reasoning, answer.output) == (reasoning, text)


@pytest.mark.filterwarnings("ignore::motet.asking.request.RemovedAtomWarning")
def test_think_tags_of_a_catalogued_model_are_split() -> None:
    service = InMemoryService()
    body = {"choices": [{"message": {"content": "<think>Hm.</think>Warm."}, "finish_reason": "stop"}]}
    service.script = [httpx.Response(200, json=body) for _ in range(2)]
    transport = httpx.MockTransport(service)
    model = {"base_url": "http://service.test", "api_key": KEY, "transport": transport}
    motet.register_atom("mine/r1", model="deepseek-ai/DeepSeek-R1", price={"input": "3", "output": "7"})
    try:
        for slug, reasoning in (("together/deepseek/r1", "Hm."), ("mine/r1", "")):
            answer = motet.atom(slug, **model).ask("Hi", max_tokens=100)
            assert answer.reasoning == reasoning
    finally:
        catalog.forget()
