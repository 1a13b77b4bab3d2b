"""The tokens of training samples: exact, and without rendering conversations of the simplest form."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from motet import _core
from motet.harmony import render

__all__ = ["count_conversation", "count_text"]

_DATE = "2025-06-28"
"""The chat template writes the current date; every date has the same number of tokens."""
_MAX_CACHED_SYSTEM = 10_000
"""Characters of system messages whose counts are cached: many rows share them."""

count_text = _core.count


def count_conversation(messages: Sequence[Mapping[str, Any]], tools: Any = None, *, plain: bool = False) -> int:
    """The tokens of a conversation as gpt-oss's chat template renders it for training.

    `plain`: it is as `is_plain` of `rows` wants it. Raises `RenderError` for what the template cannot render.
    """
    if plain and not tools and not _may_be_refused(messages):
        return _count_plain(messages)
    return _count_rendered(messages, tools)


def _may_be_refused(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a text may hold a frame's header, for which the template raises an error."""
    texts = [text for message in messages for text in (message["content"], message.get("reasoning", ""))]
    return any("<|" in text and _HEADER.search(text) for text in texts)


_HEADER = re.compile(r"<\|\w+\|>\w+<\|")


def _count_rendered(messages: Sequence[Mapping[str, Any]], tools: Any = None) -> int:
    # `render_training` gives as many, with another last token; here no ids are made.
    return len(render(messages, tools=tools or (), dialect="chat_template", next_role=None, current_date=_DATE))


def _count_plain(messages: Sequence[Mapping[str, Any]]) -> int:
    """The tokens of the texts, and of the markup around them, which is constant for each role."""
    total, user, answer, reasoning = _markup()
    for message in messages:
        content, role = message["content"], message["role"]
        if role == "user":
            total += user + count_text(content)
        elif role == "assistant":
            total += answer + count_text(content)
        else:
            total = _head(content) if len(content) <= _MAX_CACHED_SYSTEM else _count_rendered([message])
    # The template renders the reasoning of the last answer only.
    last = messages[-1].get("reasoning")
    return total if last is None else total + reasoning + count_text(last)


@functools.lru_cache(maxsize=64)
def _head(system: str) -> int:
    """The tokens before the first user message, with that system message."""
    return _count_rendered([{"role": "system", "content": system}])


@functools.cache
def _markup() -> tuple[int, int, int, int]:
    """The tokens before the first message; around a user message, an answer, and the reasoning of an answer."""
    user, answer = {"role": "user", "content": ""}, {"role": "assistant", "content": ""}
    single, double = _count_rendered([user]), _count_rendered([user, user])
    answered = _count_rendered([user, answer])
    reasoned = _count_rendered([user, {**answer, "reasoning": "a"}]) - count_text("a")
    return 2 * single - double, double - single, answered - single, reasoned - answered
