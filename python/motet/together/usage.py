"""The usage of a response: where services put it, and counts that contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from motet.message import Completion
from motet.metrics import Usage

__all__ = ["consistent_usage", "read_usage"]


def read_usage(shape: Mapping[str, Any]) -> Usage | None:
    """The usage in a response, a chunk or a choice. `None`: it has none.

    Under `usage`; in the last chunk of Groq's streams under `x_groq`; llama.cpp sends `timings` even where no usage was
    requested.
    """
    own, groq, timings = shape.get("usage"), shape.get("x_groq"), shape.get("timings")
    if own is None and groq is None and timings is None:
        # Every chunk of a stream but the last.
        return None
    for place in (own, groq.get("usage") if isinstance(groq, Mapping) else None):
        if isinstance(place, Mapping) and (usage := Usage.read(place)) != Usage():
            return usage
    if isinstance(timings, Mapping) and "predicted_n" in timings:
        # `prompt_n` counts what was processed, without the cached tokens.
        counts = Usage.read(
            {
                "prompt_tokens": timings.get("prompt_n"),
                "completion_tokens": timings.get("predicted_n"),
                "cached_tokens": timings.get("cache_n"),
            }
        )
        if counts.input is not None and counts.cached is not None:
            return replace(counts, input=counts.input + counts.cached)
    return None


def consistent_usage(usage: Usage, completion: Completion) -> tuple[Usage, list[str]]:
    """The usage with contradictory counts as unknown, and notes on what was changed."""
    prompt, output, total, reasoning = usage.input, usage.output, usage.total, usage.reasoning
    notes: list[str] = []
    if total and prompt is not None and output is not None and total != prompt + output:
        if reasoning and total == prompt + output + reasoning:
            notes.append("the service counted the reasoning outside of its count of the output: it was added")
            output += reasoning
        else:
            notes.append(f"the service counted {prompt} + {output} = {total} tokens: its counts are taken as unknown")
            # A larger total has tokens beside the prompt and the output: reasoning that is not listed, in most cases.
            prompt, output = (prompt if total > prompt + output else None), None
    if output is not None and reasoning is not None and reasoning > output:
        notes.append(f"the service counted {reasoning} tokens of reasoning in an output of {output}: taken as unknown")
        # A total that fits confirms the count of the output.
        output, reasoning = (None if total is None else output), None
    has_content = any(frame.content for frame in completion.frames)
    if has_content and (prompt == 0 or output == 0):
        notes.append("the service counted zero tokens beside an answer: taken as unknown")
        prompt, output = prompt or None, output or None
    if reasoning == 0 and completion.reasoning:
        # In the raw lanes the service does not tell reasoning from text: SGLang counts none there.
        if completion.lane == "chat":
            notes.append("the service counted no reasoning, and sent some: its count of reasoning is taken as unknown")
        reasoning = None
    return replace(usage, input=prompt, output=output, reasoning=reasoning), notes
