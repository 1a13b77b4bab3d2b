"""Replies of Anthropic's Messages API: events of streams, whole messages and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from motet._core import Event
from motet.dialects.acceptable import acceptable_arguments
from motet.dialects.replies import ApiFailure, Finish, ReplyEnd, ReplyUsage, Shape, error_type, named_event
from motet.dialects.sealed import seal

__all__ = ["AnthropicWriter", "anthropic_error", "anthropic_usage"]

_ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOP_REASONS: Mapping[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def anthropic_error(failure: ApiFailure, request_id: str | None = None) -> Shape:
    """An error. One for a prompt that is too long begins with Anthropic's words, from which clients read the counts."""
    message = failure.message
    if failure.tokens is not None and failure.limit is not None:
        message = f"prompt is too long: {failure.tokens} tokens > {failure.limit} maximum ({message})"
    error: Shape = {"type": error_type(failure.status, _ERROR_TYPES), "message": message}
    if failure.code is not None:
        error["details"] = {"error_code": failure.code, "unsupported": [failure.param] if failure.param else []}
    return {"type": "error", "error": error, "request_id": request_id}


def anthropic_usage(usage: ReplyUsage) -> Shape:
    """The usage object. Its `input_tokens` exclude cached ones."""
    return {
        "input_tokens": usage.input - usage.cached,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


class AnthropicWriter:
    """A reply as events, and as one message.

    - `thinking`: blocks with the reasoning; `omits_thinking`: only their signatures, which carry it sealed.
    - `eager_tools`: names of tools whose input is sent as the model writes it. That of others is sent when it is whole,
      as a JSON object: the API's clients fail on a broken one.
    - `prompt_tokens`: for the usage at the start.
    """

    def __init__(
        self,
        id: str,
        model: str,
        *,
        prompt_tokens: int = 0,
        thinking: bool = False,
        omits_thinking: bool = False,
        eager_tools: frozenset[str] = frozenset(),
    ) -> None:
        self._head: Shape = {"id": id, "type": "message", "role": "assistant", "model": model}
        self._prompt_tokens = prompt_tokens
        self._thinking = thinking
        self._omits_thinking = omits_thinking
        self._eager_tools = eager_tools
        self._blocks: list[Shape] = []
        """The blocks that have ended."""
        self._open: dict[int, _OpenBlock] = {}
        """By the index of their frames. One is on its way to the client, and those of later calls wait."""
        self._end: ReplyEnd | None = None

    def start(self) -> list[Shape]:
        """The message without content."""
        usage = anthropic_usage(ReplyUsage(self._prompt_tokens, 0))
        message = {**self._head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        return [{"type": "message_start", "message": message}, {"type": "ping"}]

    def feed(self, event: Event) -> list[Shape]:
        """The events of an event. Blocks follow each other: parallel calls that come interleaved are put in order."""
        if event.kind == "reasoning" and not self._thinking:
            return []
        if event.type == "start":
            self._open[event.index] = _OpenBlock(event, self._omits_thinking, event.name in self._eager_tools)
        elif event.type == "delta":
            self._open[event.index].add(event.delta)
        elif event.index in self._open:
            self._open[event.index].ended = True
        return self._flush()

    def _flush(self) -> list[Shape]:
        shapes: list[Shape] = []
        while self._open:
            index = next(iter(self._open))
            block = self._open[index]
            shapes += block.events(len(self._blocks))
            if not block.ended:
                break
            self._blocks += [block.whole] if block.started else []
            del self._open[index]
        return shapes

    def end(self, end: ReplyEnd) -> list[Shape]:
        """The stop reason and the usage."""
        shapes = self._close_blocks()
        self._end = end
        return [
            *shapes,
            {"type": "message_delta", "delta": self._stop(end), "usage": anthropic_usage(end.usage)},
            {"type": "message_stop"},
        ]

    def _close_blocks(self) -> list[Shape]:
        for block in self._open.values():
            block.ended = True
        return self._flush()

    @staticmethod
    def _stop(end: ReplyEnd) -> Shape:
        reason = "stop_sequence" if end.stop_sequence is not None else _STOP_REASONS[end.finish]
        return {"stop_reason": reason, "stop_sequence": end.stop_sequence}

    def fail(self, failure: ApiFailure) -> list[Shape]:
        """The error, as the last event."""
        return [anthropic_error(failure)]

    @property
    def whole(self) -> Shape:
        """The message. Raises `ValueError` before the end."""
        if self._end is None:
            raise ValueError("the reply has not ended")
        usage = anthropic_usage(self._end.usage)
        return {**self._head, "content": self._blocks, **self._stop(self._end), "usage": usage}

    @staticmethod
    def encode(shape: Shape) -> bytes:
        """An event of the stream."""
        return named_event(shape)

    @property
    def trailer(self) -> bytes:
        """Nothing: `message_stop` is the last event."""
        return b""


class _OpenBlock:
    """A content block while its text arrives."""

    def __init__(self, event: Event, omits_thinking: bool, is_eager: bool) -> None:
        self._kind = event.kind
        self._id, self._name = event.call_id, event.name
        self._omits_thinking = omits_thinking
        self._is_eager = is_eager
        self._fragments: list[str] = []
        self._sent = 0
        """Fragments that the client has."""
        self.started = False
        self.ended = False

    def add(self, text: str) -> None:
        self._fragments.append(text)

    def events(self, index: int) -> list[Shape]:
        """The events that are due, of the block with this number."""
        if not self._fragments and self._kind != "tool_call":
            # The API has no empty blocks.
            return []
        shapes: list[Shape] = []
        if not self.started:
            self.started = True
            shapes.append({"type": "content_block_start", "index": index, "content_block": self._empty})
        for delta in self._deltas():
            shapes.append({"type": "content_block_delta", "index": index, "delta": delta})
        if self.ended:
            shapes.append({"type": "content_block_stop", "index": index})
        return shapes

    def _deltas(self) -> list[Shape]:
        fragments = self._fragments[self._sent :]
        if self._kind == "tool_call" and not self._is_eager:
            return [{"type": "input_json_delta", "partial_json": self._arguments}] if self.ended else []
        self._sent = len(self._fragments)
        if self._kind == "tool_call":
            return [{"type": "input_json_delta", "partial_json": fragment} for fragment in fragments]
        if self._kind != "reasoning":
            return [{"type": "text_delta", "text": fragment} for fragment in fragments]
        shown = [] if self._omits_thinking else fragments
        deltas: list[Shape] = [{"type": "thinking_delta", "thinking": fragment} for fragment in shown]
        return [*deltas, {"type": "signature_delta", "signature": self._signature}] if self.ended else deltas

    @property
    def _text(self) -> str:
        return "".join(self._fragments)

    @property
    def _arguments(self) -> str:
        return acceptable_arguments(self._text)

    @property
    def _signature(self) -> str:
        # The text itself is in the block, unless it is omitted: the signature is then all that the client sends back.
        return seal(self._text if self._omits_thinking else "")

    @property
    def _empty(self) -> Shape:
        if self._kind == "tool_call":
            return {"type": "tool_use", "id": self._id, "name": self._name, "input": {}}
        if self._kind == "reasoning":
            return {"type": "thinking", "thinking": "", "signature": ""}
        return {"type": "text", "text": ""}

    @property
    def whole(self) -> Shape:
        if self._kind == "tool_call":
            arguments: Any = json.loads(self._arguments)
            return {**self._empty, "input": arguments}
        if self._kind == "reasoning":
            thinking = "" if self._omits_thinking else self._text
            return {"type": "thinking", "thinking": thinking, "signature": self._signature}
        return {"type": "text", "text": self._text}
