"""Something to learn from, as a value with an id of its content. The file of them is in examples.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from motet.errors import DataError
from motet.message import Message
from motet.schema.tool import Tool
from motet.tune.conversations import service_messages
from motet.tune.findings import Finding
from motet.tune.rows import Format, check_row

__all__ = ["Example"]


@dataclass(frozen=True, slots=True)
class Example:
    """Something to learn from: a conversation that ends as it should end, or a text. Made by `of`, `conversation` and
    `plain`, which say what is wrong with it."""

    messages: tuple[dict[str, Any], ...] = ()
    """As training data has them: `role`, `content`, `reasoning`, `tool_calls`, `tool_call_id`, `weight`."""
    tools: tuple[dict[str, Any], ...] = ()
    """OpenAI tool dicts."""
    rejected: dict[str, Any] | None = None
    """An answer that is worse than the last message. `None`: none is known, so it shows no preference."""
    text: str | None = None
    """A text that stands for itself; then there are no messages."""
    quality: float | None = None
    """From 0 to 1. `None`: nobody said."""
    tags: tuple[str, ...] = ()
    source: str | None = None
    """Where it is from."""
    id: str = field(init=False, default="")
    """32 hexadecimal digits, of what it teaches: messages, tools, the rejected answer, the text."""

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

        - `thinking`: what the model is to think before it answers.
        - `system`: the instructions that it is given.
        - `rejected`: a worse answer.
        - `tools`, `quality`, `tags`, `source`: as above.
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
        """A conversation, of `Message`s or OpenAI chat dicts, whose answers are to be learned.

        Raises `DataError` whose findings say what is wrong with it, and `RenderError` for what is no message.
        """
        if isinstance(rejected, str):
            rejected = {"role": "assistant", "content": rejected}
        worse = service_messages([rejected]) if rejected is not None else []
        made = cls(
            tuple(service_messages(messages)),
            tuple([tool.to_dict() if isinstance(tool, Tool) else tool for tool in tools]),
            worse[0] if worse else None,
            quality=quality,
            tags=tuple(dict.fromkeys(tags)),
            source=source,
        )
        return made.checked()

    @classmethod
    def plain(
        cls, text: str, *, quality: float | None = None, tags: Iterable[str] = (), source: str | None = None
    ) -> Self:
        """A text to go on writing like."""
        made = cls(text=text, quality=quality, tags=tuple(dict.fromkeys(tags)), source=source)
        return made.checked()

    @property
    def row(self) -> tuple[dict[str, Any], Format]:
        """It as a row of training data, in the format that holds all of it."""
        if self.text is not None:
            return {"text": self.text}, "text"
        tools = {"tools": list(self.tools)} if self.tools else {}
        if self.rejected is None:
            return {"messages": list(self.messages), **tools}, "conversational"
        given = {"messages": list(self.messages[:-1]), **tools}
        outputs = {"preferred_output": [self.messages[-1]], "non_preferred_output": [self.rejected]}
        return {"input": given, **outputs}, "preference"

    def __hash__(self) -> int:
        return hash(self.id)

    def checked(self) -> Self:
        """Itself. Raises `DataError` if something keeps it from being trained on."""
        findings = self.problems()
        if findings:
            shown = "; ".join([str(finding) for finding in findings[:3]])
            more = f"; and {len(findings) - 3} more" if len(findings) > 3 else ""
            raise DataError(f"nothing to learn from: {shown}{more}", findings=findings)
        return self

    def problems(self) -> tuple[Finding, ...]:
        """What keeps it from being trained on."""
        if (self.text is None) == (not self.messages):
            return (Finding("no_messages", "neither messages nor a text, or both", "give one of them"),)
        findings = [found for found in check_row(*self.row) if found.severity == "error"]
        if self.quality is not None and not (_is_number(self.quality) and 0 <= self.quality <= 1):
            findings.append(
                Finding("quality", f"a quality of {self.quality!r}", "give a number from 0 to 1", "quality")
            )
        if not all(isinstance(tag, str) and tag for tag in self.tags):
            findings.append(Finding("tags", f"tags are {self.tags!r}", "give texts", "tags"))
        return tuple(findings)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a file: what there is of it."""
        shape = {name: value for name in ("id", *_CONTENT, *_ABOUT) if (value := getattr(self, name)) not in (None, ())}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in shape.items()}

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises `ValueError` for anything else, and if the id is that of something else."""
        if unknown := {*shape} - {"id", *_CONTENT, *_ABOUT}:
            raise ValueError(f"an example has no {', '.join(sorted(unknown))}")
        given: dict[str, Any] = {name: shape[name] for name in (*_CONTENT, *_ABOUT) if name in shape}
        for name in ("messages", "tools", "tags"):
            if not isinstance(given.get(name, []), list):
                raise ValueError(f"{name} is no list")
            given[name] = tuple(given.get(name, ()))
        if not isinstance(shape.get("source"), str | None):
            raise ValueError("source is no text")
        made = cls(**given)
        if problems := made.problems():
            raise ValueError(str(problems[0]))
        if shape.get("id") != made.id:
            raise ValueError(f"its id is {shape.get('id')!r}, and its content is {made.id}'s; was it changed by hand?")
        return made


_CONTENT = ("messages", "tools", "rejected", "text")
_ABOUT = ("quality", "tags", "source")
# The order of keys is not part of what is taught.
_CANONICAL = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
