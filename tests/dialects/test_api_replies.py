"""Writers of replies: order and types of the events, and what the SDKs' accumulators make of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

import motet
from motet import Event
from motet.dialects.anthropic_replies import AnthropicWriter, anthropic_error
from motet.dialects.chat_replies import ChatWriter, chat_error
from motet.dialects.replies import ApiFailure, ReplyEnd, ReplyUsage, ReplyWriter, VisibleEvents, message_events
from motet.dialects.responses_replies import ResponsesWriter
from motet.dialects.sealed import seal, unseal

THOUGHT, PREAMBLE = "I need the weather.", "Let me look."
ARGUMENTS = '{"city": "Zürich 青"}'
WITH_CALL = (
    f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"
    f"<|start|>assistant<|channel|>commentary<|message|>{PREAMBLE}<|end|>"
    f"<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{ARGUMENTS}<|call|>"
)
END = ReplyEnd("tool_calls", ReplyUsage(70, 30, cached=20, reasoning=5))
RESPONSE_EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ANTHROPIC_EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def events(completion: str) -> list[Event]:
    parser = motet.StreamParser()
    found = [event for token in motet.encode(completion, special="token") for event in parser.feed(token)]
    shown = VisibleEvents(single_call=False)
    return [event for event in [*found, *parser.close()] if shown.shows(event)]


def written(writer: ReplyWriter, completion: str = WITH_CALL, end: ReplyEnd = END) -> list[dict[str, Any]]:
    shapes = writer.start()
    for event in events(completion):
        shapes += writer.feed(event)
    return [*shapes, *writer.end(end)]


def names(shapes: list[dict[str, Any]]) -> list[str]:
    """The types of the events, those of deltas once in a row."""
    kinds = [shape["type"] for shape in shapes]
    return [kind for place, kind in enumerate(kinds) if "delta" not in kind or kinds[place - 1 : place] != [kind]]


def test_chat_chunks_give_the_completion() -> None:
    writer = ChatWriter("chatcmpl-1", 1_750_000_000, "m", include_usage=True)
    chunks = written(writer)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    calls = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks[:-2] if "tool_calls" in str(chunk)]
    assert calls[0]["id"] and calls[0]["function"] == {"name": "get_weather", "arguments": ""}
    assert all(set(call) == {"index", "function"} for call in calls[1:])
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    snapshot = state.get_final_completion()
    message = snapshot.choices[0].message
    assert message.content == PREAMBLE
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == ARGUMENTS
    assert snapshot.choices[0].finish_reason == "tool_calls"
    whole = ChatCompletion.model_validate(writer.whole)
    assert whole.usage == snapshot.usage
    assert whole.choices[0].message.content == PREAMBLE
    assert whole.choices[0].message.model_extra == {"reasoning_content": THOUGHT}
    assert writer.trailer == b"data: [DONE]\n\n"


def test_response_events_follow_the_order_of_the_api() -> None:
    settings = {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    writer = ResponsesWriter("resp_1", 1_750_000_000, "m", settings)
    shapes = written(writer)
    assert names(shapes) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_summary_part.added",
        *["response.reasoning_text.delta", "response.reasoning_summary_text.delta"] * THOUGHT.count(" "),
        *["response.reasoning_text.delta", "response.reasoning_summary_text.delta"] * 2,
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [shape["sequence_number"] for shape in shapes] == list(range(len(shapes)))
    for shape in shapes:
        RESPONSE_EVENTS.validate_python(shape, strict=True)
    response = Response.model_validate(writer.whole)
    reasoning, preamble, call = [item.to_dict() for item in response.output]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": THOUGHT}]
    assert unseal(reasoning["encrypted_content"]) == THOUGHT
    assert preamble["phase"] == "commentary"
    assert call["arguments"] == ARGUMENTS
    assert response.usage is not None and response.usage.input_tokens_details.cached_tokens == 20


def test_cut_response_is_incomplete() -> None:
    writer = ResponsesWriter("resp_1", 1, "m", {})
    shapes = written(writer, "<|channel|>final<|message|>The sky", ReplyEnd("length", ReplyUsage(7, 3)))
    assert shapes[-1]["type"] == "response.incomplete"
    response = RESPONSE_EVENTS.validate_python(shapes[-1]).response
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == "The sky"


def test_broken_response_fails_with_what_arrived() -> None:
    writer = ResponsesWriter("resp_1", 1, "m", {})
    shapes = writer.start()
    for event in events("<|channel|>final<|message|>The sky")[:-1]:
        shapes += writer.feed(event)
    shapes += writer.fail(ApiFailure(502, "the stream was cut"))
    assert names(shapes)[-2:] == ["response.output_item.done", "response.failed"]
    failed = RESPONSE_EVENTS.validate_python(shapes[-1]).response
    assert failed.error.message == "the stream was cut"
    assert failed.output[0].status == "incomplete"


def accumulated(shapes: list[dict[str, Any]]) -> Any:
    snapshot, buffers = None, {}
    for shape in shapes:
        if shape["type"] != "ping":
            event = ANTHROPIC_EVENTS.validate_python(shape)
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    return snapshot


def test_anthropic_events_give_the_message() -> None:
    writer = AnthropicWriter("msg_1", "m", prompt_tokens=70, thinking=True)
    shapes = written(writer)
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert names(shapes) == ["message_start", "ping", *block * 3, "message_delta", "message_stop"]
    snapshot = accumulated(shapes)
    whole = AnthropicMessage.model_validate(writer.whole)
    assert [item.to_dict() for item in snapshot.content] == [item.to_dict() for item in whole.content]
    thinking, text, call = whole.content
    assert thinking.type == "thinking" and thinking.thinking == THOUGHT and thinking.signature
    assert text.type == "text" and text.text == PREAMBLE
    assert call.type == "tool_use" and call.input == json.loads(ARGUMENTS)
    assert snapshot.stop_reason == whole.stop_reason == "tool_use"
    assert (whole.usage.input_tokens, whole.usage.cache_read_input_tokens, whole.usage.output_tokens) == (50, 20, 30)
    assert snapshot.usage.output_tokens == 30


def test_thinking_blocks_are_left_out_unless_requested() -> None:
    writer = AnthropicWriter("msg_1", "m")
    assert [block["type"] for block in accumulated(written(writer)).to_dict()["content"]] == ["text", "tool_use"]


def test_omitted_thinking_is_in_the_signature() -> None:
    writer = AnthropicWriter("msg_1", "m", thinking=True, omits_thinking=True)
    block = accumulated(written(writer)).content[0]
    assert block.thinking == ""
    assert unseal(block.signature) == THOUGHT


@pytest.mark.parametrize("name", ["get_weather", "another"])
def test_broken_arguments_reach_anthropic_clients_as_json(name: str) -> None:
    """Its SDK raises at the first delta that is not JSON, unless the tool asks for input as it is written."""
    broken = WITH_CALL.replace(ARGUMENTS, "{'city': 'Zürich', days: 3")
    writer = AnthropicWriter("msg_1", "m", eager_tools=frozenset([name]))
    shapes = written(writer, broken)
    deltas = [shape["delta"]["partial_json"] for shape in shapes if "partial_json" in str(shape)]
    if name == "get_weather":
        assert "".join(deltas) == "{'city': 'Zürich', days: 3"
    else:
        assert accumulated(shapes).content[-1].input == {"city": "Zürich", "days": 3}
        assert len(deltas) == 1
    assert writer.whole["content"][-1]["input"] == {"city": "Zürich", "days": 3}


def test_interleaved_calls_are_blocks_in_order() -> None:
    def call(type: str, index: int, delta: str = "") -> Event:
        name = f"tool_{index}"
        return Event(type, "tool_call", index, delta, "assistant", name, "commentary", None, None, None, None, name)

    writer = AnthropicWriter("msg_1", "m")
    shapes = writer.start()
    for event in [call("start", 0), call("start", 1), call("delta", 1, "{}"), call("delta", 0, '{"a": 1}')]:
        shapes += writer.feed(event)
    shapes += [*writer.feed(call("end", 1)), *writer.feed(call("end", 0)), *writer.end(END)]
    assert [block.input for block in accumulated(shapes).content] == [{"a": 1}, {}]
    assert [shape["index"] for shape in shapes if "index" in shape] == [0, 0, 0, 1, 1, 1]


def test_one_call_is_shown_where_clients_take_one() -> None:
    calls = WITH_CALL.replace("<|call|>", "<|end|><|start|>") + WITH_CALL[WITH_CALL.index("assistant<|channel|>c") :]
    shown = VisibleEvents(single_call=True)
    message = motet.parse(calls).message
    assert len(message.tool_calls) == 2
    kept = [event for event in message_events(message) if shown.shows(event)]
    assert {event.index for event in kept if event.kind == "tool_call"} == {2}
    assert shown.hidden_calls == 1


def test_events_of_a_message_are_those_of_its_stream() -> None:
    writers = [ChatWriter("chatcmpl-1", 1, "m"), ChatWriter("chatcmpl-1", 1, "m")]
    written(writers[0])
    for event in message_events(motet.parse(WITH_CALL).message):
        writers[1].feed(event)
    writers[1].end(END)
    assert writers[0].whole == writers[1].whole


def test_errors_have_the_shape_of_their_api() -> None:
    failure = ApiFailure(400, "too long", code="context_length_exceeded", tokens=9000, limit=8192)
    assert chat_error(failure)["error"] == {
        "message": "too long",
        "type": "invalid_request_error",
        "param": None,
        "code": "context_length_exceeded",
    }
    error = anthropic_error(failure, "req_1")
    assert error["error"]["message"] == "prompt is too long: 9000 tokens > 8192 maximum (too long)"
    assert error["request_id"] == "req_1"
    assert anthropic_error(ApiFailure(529, "busy"))["error"]["type"] == "overloaded_error"
    assert anthropic_error(ApiFailure(418, "teapot"))["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("text", ["", "Zürich 青", "half \ud83d", "a" * 100_000])
def test_sealed_text_is_read_back(text: str) -> None:
    assert unseal(seal(text)) == text
    assert seal(text).isascii()


def test_foreign_and_hostile_seals_are_not_read() -> None:
    assert unseal("gAAAAABo") is None
    assert unseal(None) is None
    assert unseal(seal("text")[:-5]) is None
    assert unseal(seal("a" * 5_000_000)) is None, "text that unpacks to more than a context"


def test_empty_preamble_is_no_item() -> None:
    """A message without text ends the turn for some agents, although a call follows."""
    writer = ResponsesWriter("resp_1", 1_750_000_000, "m", {})
    shapes = written(writer, WITH_CALL.replace(PREAMBLE, ""))
    assert [item["type"] for item in writer.whole["output"]] == ["reasoning", "function_call"]
    assert [shape["output_index"] for shape in shapes if shape["type"] == "response.output_item.done"] == [0, 1]
