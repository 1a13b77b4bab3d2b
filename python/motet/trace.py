"""OpenTelemetry spans of answers, by its conventions for generative models. Off until `enable` is called.

Each answer has a span with the requested and the answering model, token counts, the finish reason, and the error if
there is one. Content is left out by default.
"""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self, TypeVar

from motet._core import __version__
from motet.backend import Request
from motet.errors import ConfigError
from motet.message import DeveloperContent, Message, Part, Reasoning, ToolCall, ToolResult

__all__ = ["Span", "disable", "enable"]

T = TypeVar("T")

_tracer: Any = None
_content = False


def enable(*, tracer_provider: Any = None, content: bool = False) -> None:
    """Turns spans on. `tracer_provider`: default: OpenTelemetry's global one.

    `content=True` records the conversation and the answer in full. Needs `pip install 'motet[otel]'`; raises
    `ConfigError` without it.
    """
    global _tracer, _content
    try:
        from opentelemetry import trace as otel
    except ImportError as error:
        raise ConfigError("traces need OpenTelemetry: pip install 'motet[otel]'") from error
    _tracer = otel.get_tracer("motet", __version__, tracer_provider)
    _content = content


def disable() -> None:
    """Makes no more spans."""
    global _tracer
    _tracer = None


class Span:
    """One answer. Does nothing while traces are off."""

    def __init__(self, request: Request) -> None:
        self._span: Any = None
        if _tracer is None:
            return
        from opentelemetry.trace import SpanKind

        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "together",
            "gen_ai.request.model": request.model,
            "gen_ai.output.type": "text" if request.schema is None else "json",
        }
        if request.max_tokens is not None:
            attributes["gen_ai.request.max_tokens"] = request.max_tokens
        for name in ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"):
            if name in request.sampling:
                attributes[f"gen_ai.request.{name}"] = request.sampling[name]
        if _content:
            attributes["gen_ai.input.messages"] = _json([_shape(message) for message in request.messages])
            if request.tools:
                attributes["gen_ai.tool.definitions"] = _json(request.tools)
        self._span = _tracer.start_span(f"chat {request.model}", kind=SpanKind.CLIENT, attributes=attributes)

    def record(self, answer: T) -> T:
        """Records an answer, ends the span, and returns the answer."""
        if self._span is not None:
            self._note(answer)
            self.end()
        return answer

    def _note(self, answer: Any) -> None:
        tokens = answer.metrics.size.tokens
        noted = {
            "gen_ai.response.model": answer.model,
            "gen_ai.response.id": answer.request_id,
            "gen_ai.usage.input_tokens": tokens.input,
            "gen_ai.usage.output_tokens": tokens.output,
            "gen_ai.usage.cache_read.input_tokens": tokens.cache.get,
            "gen_ai.usage.reasoning.output_tokens": (tokens.by_channel or {}).get("analysis"),
            "gen_ai.response.time_to_first_chunk": answer.metrics.cost.time.first_token,
        }
        for name, value in noted.items():
            if value is not None:
                self._span.set_attribute(name, value)
        if answer.finish is not None:
            self._span.set_attribute("gen_ai.response.finish_reasons", [answer.finish])
        if _content:
            reason = {"tool_calls": "tool_call", None: "error"}.get(answer.finish, answer.finish)
            output_messages = [{**_shape(answer.message), "finish_reason": reason}]
            self._span.set_attribute("gen_ai.output.messages", _json(output_messages))

    def failed(self, error: BaseException) -> None:
        """Records an error and its partial answer, and ends the span."""
        if self._span is None:
            return
        from opentelemetry.trace import StatusCode

        partial = getattr(error, "partial", None)
        if hasattr(partial, "metrics"):
            self._note(partial)
        self._span.set_attribute("error.type", type(error).__name__)
        self._span.set_status(StatusCode.ERROR, str(error) if _content else type(error).__name__)
        self.end()

    def end(self) -> None:
        """Ends the span unless it has ended."""
        if self._span is not None:
            self._span.end()
            self._span = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.failed(error)
        self.end()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _shape(message: Message) -> dict[str, Any]:
    """A message as the conventions write one. They know no developer."""
    role = "system" if message.role == "developer" else message.role
    return {"role": role, "parts": [_part(part) for part in message.content]}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Reasoning():
            return {"type": "reasoning", "content": part.text}
        case ToolCall():
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": part.arguments}
        case ToolResult():
            return {"type": "tool_call_response", "id": part.tool_call_id, "response": part.content}
        case DeveloperContent():
            return {"type": "text", "content": part.instructions}
        case _:
            return {"type": "text", "content": part.text}
