"""How long a row is: the tokens of what the service makes of it for the training."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from motet import _core
from motet.harmony import render
from motet.tune.plain import is_plain
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


def _conversation(messages: Sequence[Mapping[str, Any]], tools: Any) -> int:
    return _rendered(messages, tools) if tools or not is_plain(messages) or _is_marked(messages) else _counted(messages)


def _is_marked(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the template may refuse a text; `render` says how."""
    texts = [text for one in messages for text in (one["content"], one.get("reasoning", ""))]
    return any(_MARKED.search(text) for text in texts)


_MARKED = re.compile(r"<\|channel\|>\w+<\|message\|>")


def _rendered(messages: Sequence[Mapping[str, Any]], tools: Any = None) -> int:
    # As many as `render_training` gives, whose last token is another, without making the ids.
    return len(render(messages, tools=tools or (), dialect="chat_template", next_role=None, current_date=_DATE))


def _counted(messages: Sequence[Mapping[str, Any]]) -> int:
    """The tokens of a plain conversation, without rendering it: those of its texts, and those around them, which are
    always the same."""
    total, user, answer, reasoned = _around()
    for message in messages:
        content, role = message["content"], message["role"]
        if role == "user":
            total += user + _core.count(content)
        elif role == "assistant":
            total += answer + _core.count(content)
        else:
            total = _head(content) if len(content) <= _SHORT else _rendered([message])
    # Of what was thought before the last answer nothing is rendered.
    thought = messages[-1].get("reasoning")
    return total if thought is None else total + reasoned + _core.count(thought)


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
