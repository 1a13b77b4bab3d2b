"""What a client gets of an answer: pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from motet.asking.answer import Answer
from motet.dialects.replies import Finish, ReplyUsage
from motet.dialects.stop_strings import cut_message
from motet.errors import MaxTokensError, MotetError, OutputError, StreamTruncatedError
from motet.message import Message

__all__ = ["CALL_LEFT_OUT", "answer_in", "finish_of", "repairs_of", "seen_message", "usage_of"]

CALL_LEFT_OUT = "parallel_call_left_out"
"""Beside the codes of repairs: a further call, which the client does not take."""


def answer_in(error: MotetError) -> Answer[Any] | None:
    """The answer of an error that only says that it is cut, empty or withheld. `None`: the request failed."""
    if isinstance(error, MaxTokensError) and isinstance(error.partial, Answer):
        # Its reasoning was ended, and left no tokens for the answer.
        return replace(error.partial, finish="length")
    is_withheld = isinstance(error, StreamTruncatedError) and error.reason == "content_filter"
    if not isinstance(error.partial, Answer) or not (isinstance(error, OutputError) or is_withheld):
        return None
    return error.partial


def finish_of(answer: Answer[Any], stop: str | None) -> Finish:
    """Why the reply ended. `stop`: the client's stop string that ended it."""
    if answer.finish == "length" or answer.finish == "content_filter":
        return answer.finish  # type: ignore[return-value]
    return "tool_calls" if answer.calls and stop is None else "stop"


def usage_of(answer: Answer[Any], prompt_tokens: int) -> ReplyUsage:
    """The upstream's counts, and motet's own where it sent none."""
    if answer.interrupted is not None:
        counts = answer.metrics.size.tokens
        begun = usage_of(answer.interrupted, prompt_tokens)
        answered = usage_of(replace(answer, interrupted=None), begun.input + begun.output)
        output = answered.output if counts.output is None else counts.output
        reasoning = begun.reasoning + (0 if answer.usage is None else answer.usage.reasoning or 0)
        input_ = begun.input + answered.input if counts.input is None else counts.input
        return ReplyUsage(input_, output, begun.cached + answered.cached, min(reasoning, output))
    usage, tokens = answer.usage, answer.completion.tokens
    prompt = prompt_tokens if usage is None or usage.input is None else usage.input
    output = sum(tokens.values()) if usage is None or usage.output is None else usage.output
    reasoning = tokens["analysis"] if usage is None or usage.reasoning is None else usage.reasoning
    cached = 0 if usage is None or usage.cached is None else usage.cached
    return ReplyUsage(prompt, output, min(cached, prompt), min(reasoning, output))


def seen_message(message: Message, stops: Sequence[str], *, single_call: bool) -> Message:
    """The answer as the client sees it: up to a stop string, and with `single_call` without further calls."""
    message = cut_message(message, stops)
    if not single_call or len(message.tool_calls) < 2:
        return message
    first = message.tool_calls[0]
    content = [part for part in message.content if part.type != "tool_call" or part is first]
    return replace(message, content=tuple(content))


def repairs_of(answer: Answer[Any] | None, hidden_calls: int) -> dict[str, int]:
    """How often each deviation from the format was corrected, by its code."""
    counts: Counter[str] = Counter()
    for repair in () if answer is None else answer.completion.repairs:
        counts[repair.code] += repair.count
    if hidden_calls:
        counts[CALL_LEFT_OUT] = hidden_calls
    return dict(counts)
