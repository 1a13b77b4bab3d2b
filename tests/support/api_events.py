"""The SDKs' types of events and replies, without their tolerance, and the order of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter


class PingEvent(BaseModel):
    """Anthropic's SDK has no type for it, and skips it."""

    type: Literal["ping"]


class ErrorDetails(BaseModel):
    type: str
    message: str


class ErrorEvent(BaseModel):
    """Anthropic's SDK raises it."""

    type: Literal["error"]
    error: ErrorDetails
    request_id: str | None


EVENTS: Mapping[str, TypeAdapter[Any]] = {
    "chat": TypeAdapter(ChatCompletionChunk),
    "responses": TypeAdapter(ResponseStreamEvent),
    "anthropic": TypeAdapter(RawMessageStreamEvent | PingEvent | ErrorEvent),
}
REPLIES: Mapping[str, TypeAdapter[Any]] = {
    "chat": TypeAdapter(ChatCompletion),
    "responses": TypeAdapter(Response),
    "anthropic": TypeAdapter(AnthropicMessage),
}


def unknown_fields(value: object, path: str = "") -> Iterator[str]:
    """The paths of fields that the SDK's type of a validated value does not have."""
    if isinstance(value, BaseModel):
        yield from [f"{path}.{name}" for name in value.model_extra or ()]
        for name in type(value).model_fields:
            yield from unknown_fields(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_fields(item, f"{path}[{index}]")


UNTYPED: Mapping[str, tuple[str, ...]] = {
    # The reasoning of Chat has no place in OpenAI's types.
    "chat": (".reasoning_content",),
    # Responses of OpenAI's service repeat `store`; version 2 of the SDK requires the name where version 3 has none.
    "responses": (".store", "response.function_call_arguments.done.name"),
    "anthropic": (),
}


def check_shape(adapter: TypeAdapter[Any], shape: Mapping[str, Any], api: str) -> None:
    """Fails for a missing field, a value of another type, and a field that the type does not have."""
    paths = unknown_fields(adapter.validate_python(shape), shape.get("type", ""))
    unknown = [path for path in paths if not path.endswith(UNTYPED[api])]
    assert not unknown, (unknown, shape)


def check_responses_order(events: list[dict[str, Any]]) -> None:
    """Items follow each other, each within its `added` and `done`, each part and text within its item."""
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    open_items: dict[int, list[str]] = {}
    for event in events[2:-1]:
        kind, place = event["type"].removeprefix("response."), event["output_index"]
        if kind == "output_item.added":
            assert place == len(open_items)
            open_items[place] = []
        opened = open_items[place]
        if kind.endswith((".added", ".delta", ".done")):
            assert "closed" not in opened
        stem = kind.rpartition(".")[0]
        if kind.endswith(".added"):
            opened.append(stem)
        elif kind.endswith("part.done") or kind == "output_item.done":
            opened.remove(stem)
            opened += ["closed"] if kind == "output_item.done" else []
    assert all(opened == ["closed"] for opened in open_items.values())
    last = events[-1]
    assert last["type"] in ("response.completed", "response.incomplete", "response.failed")
    assert last["type"] == f"response.{last['response']['status']}"
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == last["response"]["output"]


def check_anthropic_order(events: list[dict[str, Any]]) -> None:
    """Blocks follow each other, then the stop reason, then the end; or an error after any event."""
    names = [event["type"] for event in events if event["type"] != "ping"]
    assert names.pop(0) == "message_start"
    broken = names[-1] == "error"
    if broken:
        names.pop()
    else:
        assert names[-2:] == ["message_delta", "message_stop"]
        names = names[:-2]
    current: int | None = None
    following = 0
    for event in [event for event in events if event["type"].startswith("content_block")]:
        if event["type"] == "content_block_start":
            assert current is None and event["index"] == following
            current = following
            following += 1
        assert event["index"] == current
        if event["type"] == "content_block_stop":
            current = None
    assert broken or current is None
    assert all(name.startswith("content_block") for name in names)
