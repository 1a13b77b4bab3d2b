"""What the readers of all dialects share: positions in errors, SDK objects as dicts, content parts as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from motet import _core
from motet.errors import RenderError
from motet.message import Part, Preamble, Text, ToolCall

__all__ = [
    "MAPPINGS",
    "JsonPath",
    "as_dict",
    "joined_text",
    "read_arguments",
    "read_call",
    "read_texts",
    "to_json",
    "with_preambles",
]

_TEXT_KEYS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""Types of content parts that are text, in the Chat, Responses and Anthropic APIs, and the keys of their text."""


MAPPINGS = (dict, Mapping)
"""For `isinstance`: dicts first, as the check of the abstract class takes ten times as long as that of a class."""


class JsonPath:
    """A position in the input, for errors. `unnamed_results`: results without a name are allowed."""

    def __init__(self, index: int, unnamed_results: bool = False) -> None:
        self.index = index
        self.unnamed_results = unnamed_results

    def error(self, key: str, problem: str) -> RenderError:
        where = f"messages[{self.index}]" + (f"[{key!r}]" if key else "")
        return RenderError(f"{where} {problem}", message_index=self.index)

    def wrong(self, key: str, expected: str, value: object) -> RenderError:
        return self.error(key, f"must be {expected}, not {type(value).__name__}")


def as_dict(value: object) -> object:
    """The dict of an SDK's object, from its `model_dump`; any other value unchanged."""
    if isinstance(value, (*MAPPINGS, type)) or not callable(dump := getattr(value, "model_dump", None)):
        return value
    return dump()


def read_texts(content: object, path: JsonPath) -> Iterator[str]:
    """The texts of a `content`: a `str`, or a list of text parts."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Iterable) and not isinstance(content, Mapping | bytes):
        for item in content:
            part = as_dict(item)
            if isinstance(part, str):
                yield part
                continue
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            text = part.get(_TEXT_KEYS.get(kind, "")) if isinstance(part, Mapping) and isinstance(kind, str) else None
            if not isinstance(text, str):
                raise path.error("content", f"has a part {kind!r}: gpt-oss reads text only")
            yield text
    else:
        raise path.wrong("content", "str or a list of text parts", content)


def joined_text(content: object, path: JsonPath) -> str:
    """The texts of a `content` as one."""
    return content if isinstance(content, str) else "".join(read_texts(content, path))


def read_call(name: object, arguments: object, identifier: object, key: str, path: JsonPath) -> ToolCall:
    """A tool call of the Chat API, or of an API that names its fields in another way."""
    if not isinstance(name, str):
        raise path.wrong(f"{key}.name", "str", name)
    if identifier is not None and not isinstance(identifier, str):
        raise path.wrong(f"{key}.id", "str", identifier)
    return ToolCall(_core.name_of(name), read_arguments(arguments, f"{key}.arguments", path), identifier or "")


def read_arguments(arguments: object, key: str, path: JsonPath) -> str:
    """Arguments as text. Servers and SDKs write a call without arguments as `None` or as the empty string."""
    if arguments is None or arguments == "":
        return "{}"
    return arguments if isinstance(arguments, str) else to_json(arguments, key, path)


def to_json(value: object, key: str, path: JsonPath) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=as_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise path.error(key, f"is not JSON: {error}") from error


def as_plain(value: object) -> Any:
    """What `json.dumps` writes for an SDK's object."""
    plain = as_dict(value)
    if plain is value:
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return plain


def with_preambles(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts of one turn of an assistant: text that a call follows is a preamble."""
    last_call = max((index for index, part in enumerate(parts) if isinstance(part, ToolCall)), default=-1)
    return tuple(
        [
            Preamble(part.text) if isinstance(part, Text) and index < last_call else part
            for index, part in enumerate(parts)
        ]
    )
