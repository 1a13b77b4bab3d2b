"""Replies of the Chat Completions API: chunks of streams, whole completions and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from motet._core import Event
from motet.dialects.replies import ApiFailure, ReplyEnd, ReplyUsage, Shape, compact_json, error_type

__all__ = ["OPENAI_ERROR_TYPES", "ChatWriter", "chat_error", "chat_usage"]

OPENAI_ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def chat_error(failure: ApiFailure) -> Shape:
    """An error of OpenAI's APIs."""
    kind = error_type(failure.status, OPENAI_ERROR_TYPES)
    return {"error": {"message": failure.message, "type": kind, "param": failure.param, "code": failure.code}}


def chat_usage(usage: ReplyUsage) -> Shape:
    """The usage object."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


class ChatWriter:
    """A reply as chunks, and as one completion.

    - `id`, `created`, `model`: of the completion; `created` in seconds since 1970.
    - `include_usage`: a chunk with the usage at the end of the stream.
    - `reasoning_key`: the key of the reasoning, which OpenAI's API has no place for: vLLM, OpenRouter and Groq name it
      `reasoning`, DeepSeek, SGLang and llama.cpp `reasoning_content`.
    """

    def __init__(
        self,
        id: str,
        created: int,
        model: str,
        *,
        include_usage: bool = False,
        reasoning_key: Literal["reasoning", "reasoning_content"] = "reasoning_content",
    ) -> None:
        self._head = {"id": id, "created": created, "model": model}
        self._include_usage = include_usage
        self._reasoning_key = reasoning_key
        self._texts: dict[str, list[str]] = {"content": [], reasoning_key: []}
        self._calls: dict[int, Shape] = {}
        """By the index of their frames, in their order."""
        self._end: ReplyEnd | None = None

    def start(self) -> list[Shape]:
        """The chunk with the role."""
        return [self._chunk({"role": "assistant", "content": ""})]

    def feed(self, event: Event) -> list[Shape]:
        """The chunks of an event."""
        if event.kind == "tool_call":
            return self._feed_call(event)
        if event.type != "delta":
            return []
        key = self._reasoning_key if event.kind == "reasoning" else "content"
        self._texts[key].append(event.delta)
        return [self._chunk({key: event.delta})]

    def _feed_call(self, event: Event) -> list[Shape]:
        number = self._calls[event.index]["index"] if event.index in self._calls else len(self._calls)
        if event.type == "start":
            call = {"id": event.call_id, "type": "function", "function": {"name": event.name, "arguments": ""}}
            self._calls[event.index] = {"index": number, **call, "fragments": []}
            return [self._chunk({"tool_calls": [{"index": number, **call}]})]
        if event.type != "delta":
            return []
        self._calls[event.index]["fragments"].append(event.delta)
        return [self._chunk({"tool_calls": [{"index": number, "function": {"arguments": event.delta}}]})]

    def end(self, end: ReplyEnd) -> list[Shape]:
        """The chunk with the finish reason, and the one with the usage."""
        self._end = end
        chunks = [self._chunk({}, end.finish)]
        if self._include_usage:
            chunks.append({**self._chunk({}), "choices": [], "usage": chat_usage(end.usage)})
        return chunks

    def fail(self, failure: ApiFailure) -> list[Shape]:
        """The error, as the last event."""
        return [chat_error(failure)]

    @property
    def whole(self) -> Shape:
        """The completion. Raises `ValueError` before the end."""
        if self._end is None:
            raise ValueError("the reply has not ended")
        content, reasoning = ("".join(self._texts[key]) for key in ("content", self._reasoning_key))
        calls = [_whole_call(call) for call in self._calls.values()]
        message: Shape = {"role": "assistant", "content": None if calls and not content else content, "refusal": None}
        if reasoning:
            message[self._reasoning_key] = reasoning
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._end.finish}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": chat_usage(self._end.usage)}

    def _chunk(self, delta: Shape, finish: str | None = None) -> Shape:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        return {**chunk, "usage": None} if self._include_usage else chunk

    @staticmethod
    def encode(shape: Shape) -> bytes:
        """An event of the stream."""
        return f"data: {compact_json(shape)}\n\n".encode()

    @property
    def trailer(self) -> bytes:
        """The mark of a stream that did not break off."""
        return b"data: [DONE]\n\n" if self._end is not None else b""


def _whole_call(call: Mapping[str, Any]) -> Shape:
    function = {**call["function"], "arguments": "".join(call["fragments"])}
    return {"id": call["id"], "type": "function", "function": function}
