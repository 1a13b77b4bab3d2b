"""Conversations of every kind as the service wants them in training data; and one that is cut into several.

Thinking goes to `reasoning`, the developer becomes the system, calls and their results get ids that belong together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from motet.dialects.chat import to_chat, to_messages
from motet.message import DeveloperContent, Message, SystemContent
from motet.tune.plain import is_plain

__all__ = ["service_messages", "split_answers", "tools_in"]


def service_messages(items: Iterable[Message | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages as rows have them, from `Message`s and OpenAI chat dicts; the `weight` of a chat dict is kept.

    The system text that motet renders itself is left out: the service's template writes its own. Raises `RenderError`
    that says which key of which message is wrong.
    """
    given = list(items)
    if is_plain(given):
        return [{key: item[key] for key in _ORDER if key in item} for item in given if isinstance(item, Mapping)]
    rows: list[dict[str, Any]] = []
    for item, message in zip(given, to_messages(given, unnamed_results=True), strict=True):
        parts = tuple([part for part in message.content if not isinstance(part, SystemContent)])
        shapes = to_chat([Message(message.role, parts, message.name)]) if parts else []
        if isinstance(item, Mapping) and "weight" in item and shapes:
            shapes[-1]["weight"] = item["weight"]
        # A developer who only listed tools says nothing here.
        rows += [_as_service(shape) for shape in shapes if shape["role"] != "developer" or shape["content"]]
    _name_calls(rows)
    return rows


def _as_service(shape: dict[str, Any]) -> dict[str, Any]:
    if shape["role"] == "developer":
        shape["role"] = "system"
    if shape.get("content") is None:
        shape.pop("content", None)
        if shape["role"] == "assistant" and "tool_calls" not in shape:
            # It thought, and said nothing.
            shape["content"] = ""
    return {key: shape[key] for key in _ORDER if key in shape}


_ORDER = ("role", "reasoning", "content", "tool_calls", "tool_call_id", "name", "weight")
"""Reasoning before the answer, as the model writes it."""


def _name_calls(rows: list[dict[str, Any]]) -> None:
    """Gives ids to calls that have none, and to each result the id of its call: by name, else by order."""
    count = 0
    open_calls: list[dict[str, Any]] = []
    for row in rows:
        if row["role"] != "tool":
            open_calls = []
            for call in row.get("tool_calls", ()):
                identifier = call.get("id") or f"call_{count}"
                open_calls.append({"id": identifier, "type": "function", "function": call["function"]})
                count += 1
            if open_calls:
                row["tool_calls"] = list(open_calls)
            continue
        name = row.pop("name", None)
        mine = [call for call in open_calls if call["id"] == row.get("tool_call_id")]
        if not mine and not row.get("tool_call_id"):
            mine = [call for call in open_calls if name is None or call["function"]["name"] == name]
        if mine:
            open_calls.remove(mine[0])
            row["tool_call_id"] = mine[0]["id"]


def tools_in(items: Iterable[Message]) -> list[Any]:
    """The tools that developer messages list."""
    parts = [part for message in items for part in message.content if isinstance(part, DeveloperContent)]
    return [tool for part in parts for tool in part.tools or ()]


def split_answers(messages: Sequence[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """A conversation for each answer of the assistant's, which is its last message: the service trains reasoning
    models on that one only. Answers of the weight 0 are none.

    What was thought in turns that are over is left out, as the model does not see it then either; within the running
    turn, between calls and results, it is kept. The other answers have the weight 0: each is learned once.
    """
    for end, message in enumerate(messages):
        if message["role"] != "assistant" or message.get("weight") == 0:
            continue
        running = max([index for index in range(end) if messages[index]["role"] == "user"], default=-1)
        before = [_as_context(one, over=index < running) for index, one in enumerate(messages[:end])]
        yield [*before, {key: value for key, value in message.items() if key != "weight"}]


def _as_context(message: Mapping[str, Any], *, over: bool) -> dict[str, Any]:
    left_out = ("weight", "reasoning") if over else ("weight",)
    kept = {key: value for key, value in message.items() if key not in left_out}
    return {**kept, "weight": 0} if message["role"] == "assistant" else kept
