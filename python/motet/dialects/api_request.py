"""A request to one of the three APIs after all checks, and the checks that their readers share.

A field that an API does not have, or whose value the model cannot be given, raises `FieldError`, which names it: no
part of a request is left out in silence.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from motet import _core
from motet.dialects.chat import to_messages
from motet.errors import RenderError
from motet.message import Message

__all__ = [
    "VERBOSITY",
    "ApiRequest",
    "Check",
    "FieldError",
    "boolean",
    "choice",
    "effort",
    "foreign_tool",
    "ignored",
    "mapping",
    "nested",
    "number",
    "read_fields",
    "read_messages",
    "read_tools",
    "refused",
    "text",
    "texts",
    "whole",
]

Check: TypeAlias = Callable[[Any, str], Any]
"""From the value of a field and its path to the value that is used. Raises `FieldError`."""

_EFFORTS: Mapping[str, Literal["low", "medium", "high"]] = {
    **dict.fromkeys(("none", "minimal", "low"), "low"),
    "medium": "medium",
    **dict.fromkeys(("high", "xhigh", "max"), "high"),
}
"""gpt-oss knows three efforts, and always reasons: other values of the APIs mean the nearest."""


class FieldError(ValueError):
    """A field of a request that cannot be read. `.param` is its path, as `tools[0].type`, and `.code` the API's word
    for the fault, if clients act on it."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request to one of the APIs, in motet's terms."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    """OpenAI tool dicts."""
    tool_choice: str | Mapping[str, Any] | None = None
    """As `motet.backend.Request.tool_choice`."""
    single_call: bool = False
    """True if the client accepts one call in an answer."""
    schema: Mapping[str, Any] | None = None
    schema_name: str = "answer"
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    max_tokens: int | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """`temperature`, `top_p`, `seed`, ... under the names of the Chat API."""
    stops: tuple[str, ...] = ()
    """Strings that end the reply, and do not occur in it."""
    stream: bool = False
    custom_tools: frozenset[str] = frozenset()
    """Names of the functions that stand for tools with free text."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The checked fields of the body by the API's own names, `None` left out."""


def read_fields(body: Any, checks: Mapping[str, Check], required: Sequence[str], path: str = "") -> dict[str, Any]:
    """The checked fields of an object. Raises `FieldError` for fields that have no check, and for missing ones."""
    if not isinstance(body, Mapping):
        raise FieldError(f"{path or 'the body'} must be an object, not {_kind(body)}", path or None)
    values: dict[str, Any] = {}
    for name, value in body.items():
        where = f"{path}.{name}" if path else str(name)
        if name not in checks:
            raise FieldError(f"unknown field {where!r}{_hint(str(name), checks)}", where)
        if value is not None and (checked := checks[name](value, where)) is not None:
            values[name] = checked
    for name in required:
        if values.get(name) is None:
            where = f"{path}.{name}" if path else name
            raise FieldError(f"{where} is required", where)
    return values


def _hint(name: str, checks: Mapping[str, Check]) -> str:
    matches = difflib.get_close_matches(name, checks, 1)
    return f"; {matches[0]!r} is known" if matches else ""


def _kind(value: object) -> str:
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def boolean(value: Any, path: str) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise FieldError(f"{path} must be a boolean, not {_kind(value)}", path)
    return value


def text(value: Any, path: str) -> str:
    """A string of valid Unicode."""
    if not isinstance(value, str):
        raise FieldError(f"{path} must be a string, not {_kind(value)}", path)
    return value


def mapping(value: Any, path: str) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, Mapping):
        raise FieldError(f"{path} must be an object, not {_kind(value)}", path)
    return value


def nested(checks: Mapping[str, Check], *required: str) -> Check:
    """An object with these fields."""
    return lambda value, path: read_fields(value, checks, required, path)


def number(low: float, high: float = math.inf) -> Check:
    """A number from `low` to `high`."""

    def check(value: Any, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FieldError(f"{path} must be a number, not {_kind(value)}", path)
        if not low <= value <= high or not math.isfinite(value):
            upper = f" to {high:g}" if math.isfinite(high) else ""
            raise FieldError(f"{path} must be from {low:g}{upper}: {value!r}", path)
        return value

    return check


def whole(low: int | None = None) -> Check:
    """A whole number, from `low`."""

    def check(value: Any, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise FieldError(f"{path} must be a whole number, not {value!r:.40}", path)
        if low is not None and value < low:
            raise FieldError(f"{path} must be from {low}: {value!r}", path)
        return value

    return check


def choice(*values: Any) -> Check:
    """One of the values."""

    def check(value: Any, path: str) -> Any:
        if not any(value is allowed or (type(value) is type(allowed) and value == allowed) for allowed in values):
            raise FieldError(f"{path} must be {' or '.join(map(repr, values))}: {value!r:.60}", path)
        return value

    return check


def texts(value: Any, path: str) -> list[str]:
    """A list of strings, or one."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise FieldError(f"{path} must be a string or an array of strings", path)
    return items


def effort(value: Any, path: str) -> str:
    """The effort of gpt-oss that is nearest to the API's."""
    if not isinstance(value, str) or value not in _EFFORTS:
        raise FieldError(f"{path} must be one of {', '.join(_EFFORTS)}: {value!r:.60}", path)
    return _EFFORTS[value]


def ignored(value: Any, path: str) -> Any:
    """A field without effect on the answer: names of users, hints for caches."""
    return value


def refused(reason: str, *allowed: Any) -> Check:
    """A field that is not supported, apart from the values that mean the default."""

    def check(value: Any, path: str) -> Any:
        if any(type(value) is type(default) and value == default for default in allowed):
            return None
        raise FieldError(f"{path} is not supported: {reason}", path)

    return check


VERBOSITY = choice("low", "medium", "high")
"""A wish for the length of answers. Without effect: gpt-oss has no such setting, and clients send it to every model."""


def foreign_tool(path: str, kinds: Sequence[str], kind: object) -> str:
    """Says that a tool of this type would have to run at a vendor."""
    hint = f" (--ignore-tool {kind} leaves such tools out)" if isinstance(kind, str) and kind.isidentifier() else ""
    expected = " or ".join(map(repr, kinds))
    return f"{path} must be {expected}, not {kind!r:.40}; gpt-oss calls functions only, and no tools run here{hint}"


def read_messages(items: Any, path: str) -> list[Message]:
    """The messages of a list of dicts. Raises `FieldError` with the path of the item that cannot be read."""
    if not isinstance(items, list):
        raise FieldError(f"{path} must be an array, not {_kind(items)}", path)
    try:
        return to_messages(items)
    except RenderError as error:
        index = error.message_index
        where = path if index is None else f"{path}[{index}]"
        raise FieldError(str(error).replace("messages[", f"{path}[", 1), where) from error
    except (TypeError, ValueError) as error:
        raise FieldError(str(error).replace("messages[", f"{path}[", 1), path) from error


def read_tools(tools: Sequence[Any], path: str) -> tuple[Mapping[str, Any], ...]:
    """OpenAI tool dicts. Raises `FieldError` for tools without a place for their parameters."""
    dicts: list[Mapping[str, Any]] = []
    for index, tool in enumerate(tools):
        try:
            dicts += _core.tool_dicts([tool])
        except (TypeError, ValueError) as error:
            raise FieldError(f"{path}[{index}] cannot be read: {error}", f"{path}[{index}]") from error
    names = [tool["function"]["name"] for tool in dicts]
    for index, name in enumerate(names):
        if not name or name in names[:index]:
            raise FieldError(f"{path}[{index}] must have a name of its own: {name!r}", f"{path}[{index}].name")
    return tuple(dicts)
