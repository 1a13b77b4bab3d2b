"""An example to train on, as a value with an id of its content; and chat messages in the form of training data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from motet.dialects.chat import to_chat, to_messages
from motet.errors import DataError
from motet.message import Message, SystemContent
from motet.schema.tool import Tool
from motet.tune.finding import Finding
from motet.tune.rows import Format, RowReport, inspect_row, is_plain

__all__ = ["Example", "service_messages"]


@dataclass(frozen=True, slots=True)
class Example:
    """Something to learn from: a conversation that ends as it should end, or a text.

    `of`, `conversation` and `plain` make examples, and refuse what nothing can be learned from.
    """

    messages: tuple[dict[str, Any], ...] = ()
    """As in training data: `role`, `content`, `reasoning`, `tool_calls`, `tool_call_id`, `weight`."""
    tools: tuple[dict[str, Any], ...] = ()
    """OpenAI tool dicts."""
    rejected: dict[str, Any] | None = None
    """A worse answer than the last message, for preference training. `None`: unknown."""
    text: str | None = None
    """A text to continue, in place of messages."""
    quality: float | None = None
    """From 0 to 1. `None`: not rated."""
    tags: tuple[str, ...] = ()
    source: str | None = None
    """The file or program that it comes from."""
    id: str = field(init=False, default="")
    """32 hexadecimal digits: the SHA-256 of messages, tools, rejected answer and text, cut."""
    _report: RowReport | None = field(init=False, default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        content = {name: value for name in _CONTENT if (value := getattr(self, name))}
        object.__setattr__(self, "id", hashlib.sha256(_CANONICAL.encode(content).encode()).hexdigest()[:32])

    @classmethod
    def of(
        cls,
        request: str,
        response: str,
        *,
        thinking: str | None = None,
        system: str | None = None,
        rejected: str | None = None,
        **more: Any,
    ) -> Self:
        """A question and its answer.

        - `thinking`: the reasoning before the answer.
        - `system`: the instructions.
        - `rejected`: a worse answer.
        - `tools`, `quality`, `tags`, `source`: as in `conversation`.

        Raises `DataError`.
        """
        answer = {"role": "assistant", "content": response} | ({"reasoning": thinking} if thinking else {})
        messages = [{"role": "system", "content": system}] if system else []
        messages += [{"role": "user", "content": request}, answer]
        return cls.conversation(messages, rejected=rejected, **more)

    @classmethod
    def conversation(
        cls,
        messages: Iterable[Message | Mapping[str, Any]],
        *,
        tools: Iterable[Any] = (),
        rejected: str | Message | Mapping[str, Any] | None = None,
        quality: float | None = None,
        tags: Iterable[str] = (),
        source: str | None = None,
    ) -> Self:
        """A conversation of `Message`s or OpenAI chat dicts, whose answers are to be learned.

        - `tools`: the tools that the model had, as tools or OpenAI tool dicts.
        - `rejected`: a worse answer than the last one, for preference training.
        - `quality`: from 0 to 1.

        Raises `DataError` with the findings, and `RenderError` for what is not a message.
        """
        if isinstance(rejected, str):
            rejected = {"role": "assistant", "content": rejected}
        worse = service_messages([rejected]) if rejected is not None else []
        return cls(
            tuple(service_messages(messages)),
            tuple([tool.to_dict() if isinstance(tool, Tool) else tool for tool in tools]),
            worse[0] if worse else None,
            quality=quality,
            tags=tuple(dict.fromkeys(tags)),
            source=source,
        ).checked()

    @classmethod
    def plain(
        cls, text: str, *, quality: float | None = None, tags: Iterable[str] = (), source: str | None = None
    ) -> Self:
        """A text to learn to continue. Raises `DataError`."""
        return cls(text=text, quality=quality, tags=tuple(dict.fromkeys(tags)), source=source).checked()

    @property
    def report(self) -> RowReport:
        """The inspection of `row`, made once."""
        if self._report is None:
            object.__setattr__(self, "_report", inspect_row(*self.row))
        assert self._report is not None
        return self._report

    @property
    def row(self) -> tuple[dict[str, Any], Format]:
        """The example as a row of training data, in the format that holds all of it."""
        if self.text is not None:
            return {"text": self.text}, "text"
        tools = {"tools": list(self.tools)} if self.tools else {}
        if self.rejected is None:
            return {"messages": list(self.messages), **tools}, "conversational"
        prompt = {"messages": list(self.messages[:-1]), **tools}
        outputs = {"preferred_output": [self.messages[-1]], "non_preferred_output": [self.rejected]}
        return {"input": prompt, **outputs}, "preference"

    def __hash__(self) -> int:
        return hash(self.id)

    def checked(self) -> Self:
        """The example itself. Raises `DataError` if it cannot be trained on."""
        findings = self.problems()
        if findings:
            shown = "; ".join([str(finding) for finding in findings[:3]])
            more = f"; and {len(findings) - 3} more" if len(findings) > 3 else ""
            raise DataError(f"nothing to learn from: {shown}{more}", findings=findings)
        return self

    def problems(self) -> tuple[Finding, ...]:
        """What keeps it from being trained on."""
        if (self.text is None) == (not self.messages):
            return (Finding("no_messages", "an example has either messages or a text", "give one of them"),)
        findings = [*self.report.errors]
        quality = self.quality
        if quality is not None and not (type(quality) in (int, float) and 0 <= quality <= 1):
            findings.append(Finding("quality", f"quality must be from 0 to 1: {quality!r}", "give a number", "quality"))
        if not all(isinstance(tag, str) and tag for tag in self.tags):
            findings.append(Finding("tags", f"tags must be texts: {self.tags!r}", "give texts", "tags"))
        return tuple(findings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without empty fields."""
        shape = {name: value for name in _FIELDS if (value := getattr(self, name)) not in (None, ())}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in shape.items()}

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises `ValueError` for anything else, and for an id of other content."""
        if unknown := sorted({*shape} - {*_FIELDS}):
            raise ValueError(f"an example has no field {', '.join(unknown)}")
        fields: dict[str, Any] = {name: shape[name] for name in _FIELDS if name in shape and name != "id"}
        for name in ("messages", "tools", "tags"):
            value = fields.get(name, [])
            if not isinstance(value, list):
                raise ValueError(f"{name} must be a list")
            fields[name] = tuple(value)
        if not isinstance(shape.get("source"), str | None):
            raise ValueError("source must be a text")
        example = cls(**fields)
        if problems := example.problems():
            raise ValueError(str(problems[0]))
        if shape.get("id") != example.id:
            raise ValueError(f"the id {shape.get('id')!r} is not that of the content, {example.id}: was it edited?")
        return example


_CONTENT = ("messages", "tools", "rejected", "text")
_FIELDS = ("id", *_CONTENT, "quality", "tags", "source")
# Equal for equal content, whatever the order of keys.
_CANONICAL = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def service_messages(items: Iterable[Message | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages in the form of training data, from `Message`s and OpenAI chat dicts.

    Reasoning is in `reasoning`, a developer message becomes a system message, and calls and results get matching ids.
    The `weight` of a chat dict is kept. System texts that motet renders are left out: the service's template writes
    its own. Raises `RenderError` with the message and the key that are wrong.
    """
    items = list(items)
    if is_plain(items):
        return [{key: item[key] for key in _KEY_ORDER if key in item} for item in items if isinstance(item, Mapping)]
    rows: list[dict[str, Any]] = []
    messages = to_messages(items, unnamed_results=True)
    # Items of other APIs than Chat give fewer or more messages, and have no weights.
    sources = items if len(items) == len(messages) else [None] * len(messages)
    for item, message in zip(sources, messages, strict=True):
        parts = tuple([part for part in message.content if not isinstance(part, SystemContent)])
        shapes = to_chat([Message(message.role, parts, message.name)]) if parts else []
        if isinstance(item, Mapping) and item.get("weight") is not None and shapes:
            shapes[-1]["weight"] = item["weight"]
        # A developer message that only lists tools has no text.
        rows += [_service_message(shape) for shape in shapes if shape["role"] != "developer" or shape["content"]]
    _match_calls(rows)
    return rows


_KEY_ORDER = ("role", "reasoning", "content", "tool_calls", "tool_call_id", "name", "weight")
"""Reasoning before the answer, as the model writes it."""


def _service_message(shape: dict[str, Any]) -> dict[str, Any]:
    if shape["role"] == "developer":
        shape["role"] = "system"
    if shape.get("content") is None:
        shape.pop("content", None)
        if shape["role"] == "assistant" and "tool_calls" not in shape:
            # Reasoning without an answer.
            shape["content"] = ""
    return {key: shape[key] for key in _KEY_ORDER if key in shape}


def _match_calls(rows: list[dict[str, Any]]) -> None:
    """Gives ids to calls without one, and to each result the id of its call: by name, else by order."""
    count = 0
    open_calls: list[dict[str, Any]] = []
    for row in rows:
        if row["role"] != "tool":
            open_calls = []
            for call in row.get("tool_calls", ()):
                call_id = call.get("id") or f"call_{count}"
                open_calls.append({"id": call_id, "type": "function", "function": call["function"]})
                count += 1
            if open_calls:
                row["tool_calls"] = list(open_calls)
            continue
        name = row.pop("name", None)
        matches = [call for call in open_calls if call["id"] == row.get("tool_call_id")]
        if not matches and not row.get("tool_call_id"):
            matches = [call for call in open_calls if name is None or call["function"]["name"] == name]
        if matches:
            open_calls.remove(matches[0])
            row["tool_call_id"] = matches[0]["id"]
