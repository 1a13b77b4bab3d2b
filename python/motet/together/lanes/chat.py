"""The chat lane: messages as chat dicts out, the service's chat objects back as events.

The service has parsed the model's harmony: reasoning, text and calls arrive as `reasoning`, `content` and `tool_calls`,
in fragments when they are streamed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from motet import _core
from motet._core import Event
from motet.backend import Request
from motet.dialects.acceptable import make_acceptable
from motet.dialects.chat import to_chat
from motet.message import (
    Completion,
    DeveloperContent,
    Frame,
    Kind,
    Message,
    Part,
    Preamble,
    Reasoning,
    Stop,
    Text,
    ToolCall,
)

__all__ = ["ChatLane", "body"]


def body(request: Request) -> tuple[dict[str, Any], bool]:
    """The body of a request to `/v1/chat/completions`, and True if the schema stands in the prompt."""
    messages = list(request.messages)
    # Servers that constrain the answer to a schema cannot let the model call a tool instead.
    schema_in_prompt = request.schema is not None and bool(request.tools)
    if schema_in_prompt:
        messages = _with_schema(messages, request)
    body: dict[str, Any] = {"model": request.model, "messages": _chat_dicts(messages), **request.sampling}
    if request.tools:
        body["tools"] = list(request.tools)
    if request.tool_choice is not None:
        body["tool_choice"] = request.tool_choice
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.schema is not None and not schema_in_prompt:
        schema = {"name": request.schema_name, "schema": request.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body, schema_in_prompt


def _with_schema(messages: list[Message], request: Request) -> list[Message]:
    """The messages with the schema of the answer in the instructions, in the form of gpt-oss's training data."""
    schema = json.dumps(request.schema, ensure_ascii=False)
    rule = "Answer, when no tool is needed, with nothing but JSON of this schema:"
    text = f"# Response Formats\n\n## {request.schema_name}\n\n{rule}\n\n{schema}"
    first = messages[0] if messages else None
    if first is not None and first.role == "developer" and isinstance(first.content[0], DeveloperContent):
        part = first.content[0]
        instructions = replace(part, instructions=f"{part.instructions}\n\n{text}")
        return [replace(first, content=(instructions, *first.content[1:])), *messages[1:]]
    return [Message("developer", (DeveloperContent(text),)), *messages]


def _chat_dicts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Chat dicts as the service's schema wants them: no `developer`, numbered calls, no `null` content, and reasoning
    within the running turn only."""
    # Servers take tools beside the messages only.
    shapes = [{key: value for key, value in shape.items() if key != "tools"} for shape in to_chat(messages)]
    last_end = max([i for i, shape in enumerate(shapes) if _ends_turn(shape)], default=-1)
    for index, shape in enumerate(shapes):
        make_acceptable(shape)
        if shape["role"] == "developer":
            shape["role"] = "system"
        if index <= last_end:
            shape.pop("reasoning", None)
        if shape.get("content") is None:
            shape.pop("content", None)
        if shape["role"] == "assistant" and "content" not in shape and "tool_calls" not in shape:
            shape["content"] = ""
        for number, call in enumerate(shape.get("tool_calls", ())):
            call["index"] = number
    return shapes


def _ends_turn(shape: Mapping[str, Any]) -> bool:
    """True if the messages before it belong to finished turns: it is a user's message or an answer."""
    is_answer = shape["role"] == "assistant" and bool(shape.get("content")) and "tool_calls" not in shape
    return shape["role"] == "user" or is_answer


class _OpenFrame:
    """A frame while its text arrives."""

    __slots__ = ("channel", "half", "index", "kind", "recipient", "text")

    def __init__(self, index: int, kind: Kind, channel: str, recipient: str | None = None) -> None:
        self.index = index
        self.kind = kind
        self.channel = channel
        self.recipient = recipient
        self.text: list[str] = []
        self.half = ""
        """A high surrogate at the end of the last fragment."""


class _OpenCall:
    """A tool call while its fragments arrive."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.pending: list[str] = []
        """Arguments that arrived before the name."""
        self.frame: _OpenFrame | None = None


class ChatLane:
    """Reads choices of chat objects, complete or in fragments."""

    def __init__(self) -> None:
        self._frames: list[_OpenFrame] = []
        self._said: _OpenFrame | None = None
        """The open frame of reasoning or text; calls have frames of their own, several at once."""
        self._calls: dict[int, _OpenCall] = {}
        self._stop: Stop | None = None
        self._closed = False
        self.notes: list[str] = []

    def read(self, choice: Mapping[str, Any]) -> list[Event]:
        """The events of a choice. Raises `ValueError`, which names the wrong field."""
        shape = choice.get("delta")
        shape = choice.get("message") if shape is None else shape
        if shape is None:
            return []
        if not isinstance(shape, Mapping):
            raise ValueError(f"message or delta must be an object, not {type(shape).__name__}")
        events: list[Event] = []
        # Some servers send the same reasoning under both names.
        reasoning = _text(shape, "reasoning") or _text(shape, "reasoning_content")
        if reasoning:
            self._add_text("reasoning", "analysis", reasoning, events)
        content = _text(shape, "content")
        if content:
            self._add_text("text", "final", content, events)
        calls = shape.get("tool_calls")
        if calls is None and isinstance(shape.get("function_call"), Mapping):
            calls = [{"index": 0, "function": shape["function_call"]}]
        if calls is not None and not isinstance(calls, list):
            raise ValueError(f"tool_calls must be a list, not {type(calls).__name__}")
        for place, call in enumerate(calls or ()):
            self._add_call(place, call, events)
        return events

    def _add_text(self, kind: Kind, channel: str, text: str, events: list[Event]) -> None:
        if self._said is None or self._said.kind != kind:
            self._end_said(events)
            self._said = self._begin(kind, channel, None, events)
        self._extend(self._said, text, events)

    def _begin(self, kind: Kind, channel: str, recipient: str | None, events: list[Event]) -> _OpenFrame:
        frame = _OpenFrame(len(self._frames), kind, channel, recipient)
        self._frames.append(frame)
        events.append(Event("start", kind, frame.index, "", "assistant", None, channel, recipient))
        return frame

    @staticmethod
    def _extend(frame: _OpenFrame, text: str, events: list[Event]) -> None:
        if frame.half or not _is_unicode(text):
            # Services in JavaScript may split a character between its two UTF-16 surrogates.
            text = frame.half + text
            frame.half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
            text = _joined_surrogates(text.removesuffix(frame.half))
        if not text:
            return
        frame.text.append(text)
        events.append(Event("delta", frame.kind, frame.index, text, "assistant", None, frame.channel, frame.recipient))

    @classmethod
    def _end(cls, frame: _OpenFrame, stop: Stop | None, events: list[Event]) -> None:
        if frame.half:
            frame.half = ""
            cls._extend(frame, "\ufffd", events)
        header = ("assistant", None, frame.channel, frame.recipient, None)
        events.append(Event("end", frame.kind, frame.index, "", *header, stop))

    def _end_said(self, events: list[Event], stop: Stop | None = "end") -> None:
        if self._said is not None:
            self._end(self._said, stop, events)
        self._said = None

    def _add_call(self, place: int, fragment: object, events: list[Event]) -> None:
        if not isinstance(fragment, Mapping):
            raise ValueError(f"tool_calls[{place}] must be an object, not {type(fragment).__name__}")
        function = fragment.get("function") or {}
        index = fragment.get("index", place)
        if not isinstance(function, Mapping) or not _is_index(index):
            raise ValueError(f"tool_calls[{place}] must have a function and a number as its index")
        # The index may be a float, and only the first fragment has an id and a name.
        call = self._calls.setdefault(place if index is None else int(index), _OpenCall())
        call.id = call.id or _joined_surrogates(_text(fragment, "id") or "")
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping | list):
            arguments = json.dumps(arguments, ensure_ascii=False)
        call.pending.append(arguments if isinstance(arguments, str) else "")
        if call.frame is None:
            call.name += _joined_surrogates(_text(function, "name") or "")
            if not call.name:
                return
            self._end_said(events)
            recipient = _core.function_recipient(_core.name_of(call.name))
            call.frame = self._begin("tool_call", "commentary", recipient, events)
        text = "".join(call.pending)
        call.pending.clear()
        if text:
            self._extend(call.frame, text, events)

    def close(self, finish: str | None, stop_reason: object) -> list[Event]:
        """The events of the end. Raises `ValueError` for a call without a name."""
        events: list[Event] = []
        self._closed = True
        nameless = [index for index, call in self._calls.items() if call.frame is None]
        complete = finish is not None and finish != "length"
        self._stop = None if not complete else "call" if self._calls else "return"
        if self._said is not None:
            self._end_said(events, None if not complete else "return" if not self._calls else "end")
        for call in self._calls.values():
            if call.frame is not None:
                self._end(call.frame, "call" if complete else None, events)
        if nameless and complete:
            raise ValueError(f"the tool call with the index {nameless[0]} came without a name")
        text = "".join(["".join(frame.text) for frame in self._frames if frame.kind == "text"])
        if any(marker in text for marker in _HEADER_MARKERS):
            self.notes.append("the service left markers of the format in the answer; it is kept as it came")
        return events

    @property
    def completion(self) -> Completion:
        """The completion so far, as one message. Text beside calls is a preamble."""
        parts: list[Part] = []
        frames: list[Frame] = []
        calls = {call.frame.index: call for call in self._calls.values() if call.frame is not None}
        for frame in self._frames:
            text = "".join(frame.text)
            is_last = frame.index == len(self._frames) - 1
            stop: Stop | None = "call" if frame.index in calls else "end"
            if self._closed and (is_last or frame.index in calls):
                stop = self._stop
            elif is_last:
                stop = None
            if frame.index in calls:
                parts.append(_tool_call(calls[frame.index], text, frame.index, stop))
            elif frame.kind == "reasoning":
                parts.append(Reasoning(text))
            else:
                parts.append(Preamble(text) if self._calls else Text(text))
            channel = "commentary" if isinstance(parts[-1], Preamble) else frame.channel
            frames.append(Frame("assistant", text, channel, frame.recipient, stop=stop))
        return Completion(Message("assistant", tuple(parts)), self._stop, tuple(frames), (), "chat")


_HEADER_MARKERS = [marker for marker in _core.SPECIAL_TOKENS if marker.strip("<|>") in ("channel", "message")]


def _tool_call(call: _OpenCall, arguments: str, index: int, stop: Stop | None) -> ToolCall:
    name = _core.name_of(call.name)
    # A call without an id gets one from its place and content, so that equal responses give equal messages.
    digest = hashlib.sha256(f"{index}\0{name}\0{arguments}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return ToolCall(name, arguments, call.id or f"call_{digest}", stop=stop)


def _is_index(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**31)


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _joined_surrogates(text: str) -> str:
    """The text with pairs of surrogates as characters, and lone ones replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _text(shape: Mapping[str, Any], name: str) -> str | None:
    value = shape.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, Mapping) for part in value):
        return "".join([part["text"] for part in value if isinstance(part.get("text"), str)])
    raise ValueError(f"{name} must be a text, not {type(value).__name__}")
