"""Replies of the Responses API: events of streams, response objects and their items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from motet._core import Event
from motet.dialects.replies import ApiFailure, ReplyEnd, ReplyUsage, Shape, named_event
from motet.dialects.responses_requests import ENCRYPTED_REASONING
from motet.dialects.responses_tools import OfferedTool, custom_input, offered_tools
from motet.dialects.sealed import seal

__all__ = ["ResponsesWriter", "responses_usage"]

_INCOMPLETE: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ERROR_CODES: Mapping[int, str] = {429: "rate_limit_exceeded"}
_Status = Literal["in_progress", "completed", "incomplete"]


def responses_usage(usage: ReplyUsage) -> Shape:
    """The usage object."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


class ResponsesWriter:
    """A reply as events with sequence numbers, and as one response.

    - `id`: `resp_` and further characters; `created`: seconds since 1970.
    - `settings`: the checked fields of the request, which the response repeats.
    """

    def __init__(self, id: str, created: int, model: str, settings: Mapping[str, Any]) -> None:
        self._id = id
        self._sequence_number = 0
        self._items: dict[int, _Item] = {}
        """By the index of their frames, in their order."""
        self._seals = ENCRYPTED_REASONING in settings.get("include", ())
        self._tools = offered_tools(settings.get("tools", ()))
        reasoning = settings.get("reasoning", {})
        self._summarises = bool(reasoning.get("summary") or reasoning.get("generate_summary"))
        self._response = {
            "id": id,
            "object": "response",
            "created_at": created,
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": settings.get("instructions"),
            "max_output_tokens": settings.get("max_output_tokens"),
            "max_tool_calls": settings.get("max_tool_calls"),
            "metadata": settings.get("metadata", {}),
            "model": model,
            "output": [],
            "parallel_tool_calls": settings.get("parallel_tool_calls", True),
            "previous_response_id": settings.get("previous_response_id"),
            "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
            "service_tier": "default",
            "store": settings.get("store", True),
            "temperature": settings.get("temperature"),
            "text": {"format": {"type": "text"}, **settings.get("text", {})},
            "tool_choice": settings.get("tool_choice", "auto"),
            "tools": settings.get("tools", []),
            "top_p": settings.get("top_p"),
            "truncation": "disabled",
            "usage": None,
            "user": settings.get("user"),
        }

    def _event(self, type: str, **fields: Any) -> Shape:
        event = {"type": type, "sequence_number": self._sequence_number, **fields}
        self._sequence_number += 1
        return event

    def start(self) -> list[Shape]:
        """The events before the first item."""
        names = ("response.created", "response.in_progress")
        return [self._event(name, response=dict(self._response)) for name in names]

    def feed(self, event: Event) -> list[Shape]:
        """The events of an event."""
        item = self._items.get(event.index)
        events: list[_NamedEvent] = []
        if item is None:
            if event.kind == "preamble" and event.type != "delta":
                # Agents take a message, even an empty one, for the end of the turn.
                return []
            item = self._items[event.index] = self._item(event)
            events += item.start()
        if event.type != "start":
            events += item.delta(event.delta) if event.type == "delta" else item.finish("completed")
        return [self._event(name, **fields) for name, fields in events]

    def _item(self, event: Event) -> _Item:
        place, suffix = len(self._items), self._id.removeprefix("resp_")
        match event.kind:
            case "reasoning":
                return _ReasoningItem(f"rs_{suffix}_{place}", place, self._summarises, self._seals)
            case "tool_call":
                name = event.name or ""
                tool = self._tools.get(name, OfferedTool(name))
                kind, prefix = (_CustomCallItem, "ctc") if tool.is_custom else (_CallItem, "fc")
                return kind(f"{prefix}_{suffix}_{place}", place, event.call_id or "", tool)
        phase = "commentary" if event.kind == "preamble" else "final_answer"
        return _MessageItem(f"msg_{suffix}_{place}", place, phase)

    def end(self, end: ReplyEnd) -> list[Shape]:
        """The events that end open items, and the one with the response."""
        reason = _INCOMPLETE.get(end.finish)
        status: Literal["completed", "incomplete"] = "completed" if reason is None else "incomplete"
        events = self._finish_items(status)
        self._response |= {"status": status, "output": self.output, "usage": responses_usage(end.usage)}
        if reason is not None:
            self._response["incomplete_details"] = {"reason": reason}
        return [*events, self._event(f"response.{status}", response=self.whole)]

    def _finish_items(self, status: Literal["completed", "incomplete"]) -> list[Shape]:
        unfinished = [item for item in self._items.values() if item.status == "in_progress"]
        return [self._event(name, **fields) for item in unfinished for name, fields in item.finish(status)]

    def fail(self, failure: ApiFailure) -> list[Shape]:
        """The event that says that the response broke off, with the items so far."""
        events = self._finish_items("incomplete")
        error = {"code": _ERROR_CODES.get(failure.status, "server_error"), "message": failure.message}
        self._response |= {"status": "failed", "error": error, "output": self.output}
        return [*events, self._event("response.failed", response=self.whole)]

    @property
    def output(self) -> list[Shape]:
        """The items so far."""
        return [item.whole for item in self._items.values()]

    @property
    def whole(self) -> Shape:
        """The response."""
        return dict(self._response)

    @staticmethod
    def encode(shape: Shape) -> bytes:
        """An event of the stream."""
        return named_event(shape)

    @property
    def trailer(self) -> bytes:
        """Nothing: the event with the response is the last."""
        return b""


_NamedEvent = tuple[str, Shape]


class _Item:
    """An item of the output while its text arrives."""

    def __init__(self, id: str, place: int) -> None:
        self.id = id
        self.place = place
        self.status: _Status = "in_progress"
        self.fragments: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.fragments)

    @property
    def whole(self) -> Shape:
        raise NotImplementedError

    def at(self, **fields: Any) -> Shape:
        """The position of an event of this item."""
        return {"item_id": self.id, "output_index": self.place, **fields}

    def start(self) -> list[_NamedEvent]:
        return [("response.output_item.added", {"output_index": self.place, "item": self.whole})]

    def delta(self, text: str) -> list[_NamedEvent]:
        self.fragments.append(text)
        return self.delta_events(text)

    def delta_events(self, text: str) -> list[_NamedEvent]:
        raise NotImplementedError

    def finish(self, status: Literal["completed", "incomplete"]) -> list[_NamedEvent]:
        events = self.finish_events()
        self.status = status
        return [*events, ("response.output_item.done", {"output_index": self.place, "item": self.whole})]

    def finish_events(self) -> list[_NamedEvent]:
        raise NotImplementedError


class _MessageItem(_Item):
    def __init__(self, id: str, place: int, phase: str) -> None:
        super().__init__(id, place)
        self._phase = phase
        self._has_part = False

    def _part(self, text: str) -> Shape:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def start(self) -> list[_NamedEvent]:
        events = super().start()
        self._has_part = True
        return [*events, ("response.content_part.added", self.at(content_index=0, part=self._part("")))]

    def delta_events(self, text: str) -> list[_NamedEvent]:
        return [("response.output_text.delta", self.at(content_index=0, delta=text, logprobs=[]))]

    def finish_events(self) -> list[_NamedEvent]:
        return [
            ("response.output_text.done", self.at(content_index=0, text=self.text, logprobs=[])),
            ("response.content_part.done", self.at(content_index=0, part=self._part(self.text))),
        ]

    @property
    def whole(self) -> Shape:
        content = [self._part(self.text)] if self._has_part else []
        return {
            "type": "message",
            "id": self.id,
            "status": self.status,
            "role": "assistant",
            "phase": self._phase,
            "content": content,
        }


class _ReasoningItem(_Item):
    def __init__(self, id: str, place: int, summarises: bool, seals: bool) -> None:
        super().__init__(id, place)
        self._summarises = summarises
        self._seals = seals
        self._has_part = False

    def start(self) -> list[_NamedEvent]:
        events = super().start()
        self._has_part = True
        part = {"type": "reasoning_text", "text": ""}
        events.append(("response.content_part.added", self.at(content_index=0, part=part)))
        if self._summarises:
            part = {"type": "summary_text", "text": ""}
            events.append(("response.reasoning_summary_part.added", self.at(summary_index=0, part=part)))
        return events

    def delta_events(self, text: str) -> list[_NamedEvent]:
        events = [("response.reasoning_text.delta", self.at(content_index=0, delta=text))]
        if self._summarises:
            # There is no model that shortens it: the reasoning is its own summary.
            events.append(("response.reasoning_summary_text.delta", self.at(summary_index=0, delta=text)))
        return events

    def finish_events(self) -> list[_NamedEvent]:
        text = self.text
        part = {"type": "reasoning_text", "text": text}
        events: list[_NamedEvent] = [
            ("response.reasoning_text.done", self.at(content_index=0, text=text)),
            ("response.content_part.done", self.at(content_index=0, part=part)),
        ]
        if self._summarises:
            part = {"type": "summary_text", "text": text}
            events += [
                ("response.reasoning_summary_text.done", self.at(summary_index=0, text=text)),
                ("response.reasoning_summary_part.done", self.at(summary_index=0, part=part)),
            ]
        return events

    @property
    def whole(self) -> Shape:
        text = self.text
        has_summary = self._summarises and self._has_part
        return {
            "type": "reasoning",
            "id": self.id,
            "status": self.status,
            "summary": [{"type": "summary_text", "text": text}] if has_summary else [],
            "content": [{"type": "reasoning_text", "text": text}] if self._has_part else [],
            "encrypted_content": seal(text) if self._seals and self.status != "in_progress" else None,
        }


class _CallItem(_Item):
    def __init__(self, id: str, place: int, call_id: str, tool: OfferedTool) -> None:
        super().__init__(id, place)
        names = {"name": tool.name} if tool.namespace is None else {"name": tool.name, "namespace": tool.namespace}
        self.head: Shape = {"call_id": call_id, **names}

    def delta_events(self, text: str) -> list[_NamedEvent]:
        return [("response.function_call_arguments.delta", self.at(delta=text))]

    def finish_events(self) -> list[_NamedEvent]:
        done = self.at(arguments=self.text, name=self.head["name"])
        return [("response.function_call_arguments.done", done)]

    @property
    def whole(self) -> Shape:
        return {
            "type": "function_call",
            "id": self.id,
            "status": self.status,
            **self.head,
            "arguments": self.text,
        }


class _CustomCallItem(_CallItem):
    """A call of a tool with free text, which is within JSON, and so sent when it is whole."""

    def delta_events(self, text: str) -> list[_NamedEvent]:
        return []

    def finish_events(self) -> list[_NamedEvent]:
        text = custom_input(self.text)
        return [
            ("response.custom_tool_call_input.delta", self.at(delta=text)),
            ("response.custom_tool_call_input.done", self.at(input=text)),
        ]

    @property
    def whole(self) -> Shape:
        text = "" if self.status == "in_progress" else custom_input(self.text)
        return {"type": "custom_tool_call", "id": self.id, **self.head, "input": text}
