"""How long a row is: the tokens of what the service makes of it for the training."""

from __future__ import annotations

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
    # As many as `render_training` gives, whose last token is another, without making the ids.
    return len(render(messages, tools=tools or (), dialect="chat_template", next_role=None, current_date=_DATE))
