"""How long a row is: the tokens of what the service makes of it for the training."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from motet import _core
from motet.harmony import render
from motet.tune.rows import Format

__all__ = ["lengths_of"]

_DATE = "2025-06-28"
"""The template names the day of the training; each day has as many tokens."""


def lengths_of(row: Mapping[str, Any], form: Format) -> tuple[int, ...]:
    """The exact tokens of each sequence that a row gives: one; of a preference two, one with each output.

    Conversations are counted as gpt-oss's chat template renders them for training; an instruction is its two texts,
    a text itself, for these the template does not know. The row must be right: see `check_row`. Raises `RenderError`
    for what the template has no place for, such as a name of a tool.
    """
    match form:
        case "conversational":
            return (_conversation(row["messages"], row.get("tools")),)
        case "preference":
            given = row["input"]
            both = (row["preferred_output"], row["non_preferred_output"])
            return tuple([_conversation([*given["messages"], *output], given.get("tools")) for output in both])
        case "instruction":
            return (_core.count(row["prompt"]) + _core.count(row["completion"]),)
        case "text":
            return (_core.count(row["text"]),)


def _conversation(messages: list[Mapping[str, Any]], tools: Any) -> int:
    plain = None if tools else _plain(messages)
    return plain if plain is not None else _rendered(messages, tools)


def _rendered(messages: list[Mapping[str, Any]], tools: Any = None) -> int:
    # As many as `render_training` gives, whose last token is another, without making the ids.
    return len(render(messages, tools=tools or (), dialect="chat_template", next_role=None, current_date=_DATE))


def _plain(messages: list[Mapping[str, Any]]) -> int | None:
    """The tokens of a conversation of nothing but texts, without rendering it: those of its texts, and those around
    them, which are always the same. `None`: it has to be rendered."""
    head, user, answer, reasoned = _around()
    begin = 0
    if messages[0]["role"] == "system":
        text = messages[0].get("content")
        if not isinstance(text, str) or len(messages[0]) > 2:
            return None
        head, begin = _head(text) if len(text) <= _SHORT else _rendered(messages[:1]), 1
    total, last = head, len(messages) - 1
    for at in range(begin, len(messages)):
        message = messages[at]
        content, role = message.get("content"), message["role"]
        if not isinstance(content, str):
            return None
        if role == "user" and len(message) == 2:
            total += user + _core.count(content)
        elif role == "assistant" and message.keys() <= _TEXTS:
            reasoning = message.get("reasoning") or message.get("reasoning_content") or ""
            # The template refuses some markers, and `render` says how.
            if "<|channel|>" in content or "<|channel|>" in reasoning:
                return None
            total += answer + _core.count(content)
            if reasoning and at == last:
                total += reasoned + _core.count(reasoning)
        else:
            return None
    return total


_TEXTS = {"role", "content", "reasoning", "reasoning_content", "weight"}
_SHORT = 10_000
"""Characters of a system message that is worth remembering: it is often the same in all rows."""


@functools.lru_cache(maxsize=64)
def _head(system: str) -> int:
    """The tokens of what stands before the first message, with that system message."""
    return _rendered([{"role": "system", "content": system}])


@functools.cache
def _around() -> tuple[int, int, int, int]:
    """The tokens of what stands before the first message; and those around a user's text, an answer, and reasoning."""
    user, answer = {"role": "user", "content": ""}, {"role": "assistant", "content": ""}
    one, two, answered = _rendered([user]), _rendered([user, user]), _rendered([user, answer])
    reasoned = _rendered([user, {**answer, "reasoning": "a"}]) - _core.count("a")
    return 2 * one - two, two - one, answered - one, reasoned - answered
