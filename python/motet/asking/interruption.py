"""Answers that are ended within their reasoning, and what of the next reply is new."""

from __future__ import annotations

from typing import Any

from motet import _core
from motet.asking.answer import Answer
from motet.backend import Reply
from motet.metrics import Chars

__all__ = ["in_reasoning", "own_chars"]


def in_reasoning(reply: Reply) -> bool:
    """True if an answer that is still arriving is in the middle of its reasoning."""
    frame = reply.completion.frames[-1] if reply.completion.frames else None
    if reply.finish is not None or frame is None or frame.stop is not None:
        return False
    if frame.channel != "analysis" or frame.recipient is not None:
        return False
    # A marker at the end may begin another frame.
    if reply.sampled is not None:
        return reply.sampled[-1] not in _MARKER_IDS
    return reply.raw_text is None or not reply.raw_text.endswith("|>")


_MARKER_IDS = frozenset(_core.SPECIAL_TOKENS.values())


def own_chars(chars: Chars, first: Answer[Any]) -> Chars:
    """The characters of an answer without those of its beginning, which stand in the prompt."""
    beginning = first.metrics.size.chars
    by_channel = {name: count - beginning.by_channel[name] for name, count in chars.by_channel.items()}
    return Chars(chars.input + beginning.output, sum(by_channel.values()), by_channel)
