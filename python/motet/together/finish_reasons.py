"""Finish reasons of services, in OpenAI's words, and what they mean for the answer."""

from __future__ import annotations

from collections.abc import Mapping

from motet.errors import MotetError, ServerError, StreamTruncatedError

__all__ = ["cut_error", "normalised_finish"]

_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "end", "complete", "completed"), "stop"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use"), "tool_calls"),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "max_length", "model_length", "model_context_window_exceeded"),
        "length",
    ),
    **dict.fromkeys(("content_filter", "safety", "recitation", "blocklist", "prohibited_content"), "content_filter"),
    **dict.fromkeys(("abort", "aborted", "cancelled", "canceled", "insufficient_system_resource", "unload"), "abort"),
    **dict.fromkeys(("error", "malformed_function_call", "network_error"), "error"),
}
"""Reasons of OpenAI, vLLM, SGLang, Anthropic (`end_turn`, `max_tokens`), Gemini (`MAX_TOKENS`, `SAFETY`), Mistral
(`model_length`), DeepSeek (`insufficient_system_resource`), Z.ai (`network_error`), Ollama (`unload`)."""


def normalised_finish(reason: str) -> str:
    """A service's finish reason in OpenAI's words; an unknown one unchanged."""
    return _ALIASES.get(reason.lower(), reason)


def cut_error(reason: str) -> MotetError | None:
    """The error for an answer that the service ended early. `None`: the model stopped, the answer has the requested
    length, or the reason is unknown."""
    match normalised_finish(reason):
        case "content_filter":
            what, retryable = "the service withheld the rest of the answer", False
        case "abort" | "repetition":
            what, retryable = "the service ended the answer early", True
        case "error":
            return ServerError(f"the model failed (finish_reason {reason!r}); the received part is in .partial")
        case _:
            return None
    return StreamTruncatedError(
        f"{what} (finish_reason {reason!r}); the received part is in .partial",
        reason=normalised_finish(reason),
        retryable=retryable,
    )
