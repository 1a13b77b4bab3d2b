"""One request to a server and what came back, read without any repair."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["REASONING_KEYS", "REFUSED", "Call", "Exchange"]

REFUSED = frozenset(range(400, 500))
"""Statuses that blame the request."""
REASONING_KEYS = ("reasoning_content", "reasoning")
"""Under which servers write reasoning, and read that of a history."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call as the server sent it; in a stream, its fragments joined."""

    id: Any
    name: Any
    arguments: Any

    @property
    def value(self) -> Any:
        """The arguments as a value. `None`: they are not JSON."""
        try:
            return json.loads(self.arguments)
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A response. Fields that are missing, or of another type, read as empty."""

    status: int
    headers: Mapping[str, str]
    text: str
    """The body."""
    body: Any = None
    """Its JSON value. `None`: it is not JSON, or a stream."""
    events: Sequence[tuple[str, str]] = ()
    """The events of a stream, each with its name and its data."""
    chunks: Sequence[Mapping[str, Any]] = field(default=())
    """The events that are JSON objects."""

    @property
    def ok(self) -> bool:
        return self.status in _GOOD

    @property
    def refused(self) -> bool:
        """True if the server blames the request."""
        return self.status in REFUSED

    @property
    def is_stream(self) -> bool:
        return bool(self.events)

    @property
    def choices(self) -> list[Mapping[str, Any]]:
        """The first choice of the body or of each chunk."""
        shapes = self.chunks if self.is_stream else [_mapping(self.body)]
        lists = [shape.get("choices") for shape in shapes]
        return [_mapping(choices[0]) for choices in lists if isinstance(choices, list) and choices]

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """The message, or the deltas of a stream."""
        return [_mapping(choice.get("delta" if self.is_stream else "message")) for choice in self.choices]

    def _joined(self, *keys: str) -> str:
        parts = [
            next((text for key in keys if isinstance(text := message.get(key), str)), "") for message in self.messages
        ]
        return "".join(parts)

    @property
    def content(self) -> str:
        return self._joined("content")

    @property
    def reasoning(self) -> str:
        return self._joined(*REASONING_KEYS)

    @property
    def calls(self) -> list[Call]:
        if not self.is_stream:
            shapes = [_mapping(call) for message in self.messages for call in message.get("tool_calls") or ()]
            functions = [_mapping(shape.get("function")) for shape in shapes]
            return [
                Call(shape.get("id"), function.get("name"), function.get("arguments"))
                for shape, function in zip(shapes, functions, strict=True)
            ]
        calls: dict[Any, list[Any]] = {}
        for fragment in self.fragments:
            function = _mapping(fragment.get("function"))
            call = calls.setdefault(fragment.get("index"), [None, None, ""])
            call[0] = call[0] or fragment.get("id")
            call[1] = call[1] or function.get("name")
            call[2] += function.get("arguments") or ""
        return [Call(*call) for call in calls.values()]

    @property
    def fragments(self) -> list[Mapping[str, Any]]:
        """The fragments of calls in a stream."""
        return [_mapping(part) for message in self.messages for part in message.get("tool_calls") or ()]

    @property
    def finishes(self) -> list[Any]:
        """The finish reasons that are not null."""
        return [choice["finish_reason"] for choice in self.choices if choice.get("finish_reason") is not None]

    @property
    def finish(self) -> Any:
        """The last finish reason. `None`: there is none."""
        return self.finishes[-1] if self.finishes else None

    @property
    def usage(self) -> Mapping[str, Any]:
        shapes = self.chunks if self.is_stream else [_mapping(self.body)]
        usages = [_mapping(shape.get("usage")) for shape in shapes]
        return next((usage for usage in reversed(usages) if usage), {})

    def count(self, name: str, *details: str) -> int | None:
        """A count of the usage, or of an object in it. `None`: not sent."""
        shape: Any = self.usage
        for key in (*details, name):
            shape = _mapping(shape).get(key)
        return shape if isinstance(shape, int) and not isinstance(shape, bool) else None

    @property
    def prompt_tokens(self) -> int | None:
        return self.count("prompt_tokens")

    @property
    def error(self) -> Mapping[str, Any]:
        """The object `error` of the body."""
        return _mapping(_mapping(self.body).get("error"))


_GOOD = frozenset(range(200, 300))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
