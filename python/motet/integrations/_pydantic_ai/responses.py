"""An answer, as the parts, the usage and the finish reason of pydantic-ai."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_ai.messages import FinishReason, ModelResponsePart, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.usage import RequestUsage

from motet.asking.answer import Answer
from motet.integrations import _asking
from motet.message import Reasoning, ToolCall

__all__ = ["to_finish_reason", "to_parts", "to_usage"]


def to_parts(answer: Answer[Any]) -> Iterator[ModelResponsePart]:
    for part in answer.message.content:
        match part:
            case Reasoning():
                yield ThinkingPart(part.text)
            case ToolCall():
                yield ToolCallPart(part.name, part.arguments, part.id)
            case _ if text := getattr(part, "text", ""):
                yield TextPart(text)


def to_usage(answer: Answer[Any]) -> RequestUsage:
    tokens = answer.metrics.size.tokens
    by_channel = tokens.by_channel or {}
    unmeasured = tokens.input is None or tokens.output is None
    return RequestUsage(
        input_tokens=tokens.input or 0,
        output_tokens=tokens.output or 0,
        cache_read_tokens=tokens.cache.get or 0,
        output_reasoning_tokens=_asking.reasoning_tokens(answer) or 0,
        unmeasured_requests=int(unmeasured),
        cost=answer.cost,
        details={f"{channel}_tokens": count for channel, count in by_channel.items()},
    )


def to_finish_reason(answer: Answer[Any]) -> FinishReason | None:
    if answer.calls and not _asking.is_cut(answer):
        return "tool_call"
    reasons: Mapping[str | None, FinishReason] = {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_call",
        "function_call": "tool_call",
        "content_filter": "content_filter",
    }
    return reasons.get(answer.finish)
