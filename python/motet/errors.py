"""Every exception that motet raises.

    MotetError
    ├── HarmonyError                 the format
    │   ├── ParseError               .position, .state, .expected, .found
    │   ├── RenderError (ValueError) .message_index
    │   └── SpecialTokenError        .token, .position
    └── ToolError                    a tool call
        └── InvalidArgumentsError    .raw

Wrong types raise `TypeError`, as everywhere in Python. All of them pickle.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "HarmonyError",
    "InvalidArgumentsError",
    "MotetError",
    "ParseError",
    "RenderError",
    "SpecialTokenError",
    "ToolError",
]


class MotetError(Exception):
    """The root of the tree."""

    def __init__(self, message: str, **known: Any) -> None:
        super().__init__(message)
        self.__dict__.update(known)

    def __reduce__(self) -> Any:
        return (_rebuild, (type(self), str(self), self.__dict__))


def _rebuild(cls: type[MotetError], message: str, known: dict[str, Any]) -> MotetError:
    return cls(message, **known)


class HarmonyError(MotetError):
    """Text or ids do not follow the harmony format, or a conversation cannot be put into it."""


class ParseError(HarmonyError, ValueError):
    """Strict parsing met something that the format does not allow."""

    code: str
    """The code of the repair that tolerant parsing would have made."""
    position: int
    """Where: an index into the ids, or a byte offset into the UTF-8 text."""
    state: str
    """What was being read: `start`, `header` or `content`."""
    expected: str
    """What the format allows there."""
    found: str
    """What stood there."""


class RenderError(HarmonyError, ValueError):
    """A conversation cannot be rendered: a header value, a name or a schema that the format has no place for."""

    message_index: int | None
    """The index of the message in the input, if one is to blame."""


class SpecialTokenError(HarmonyError, ValueError):
    """Text holds the spelling of a special token, and `special="error"` was asked for."""

    token: str
    """The spelling: `<|start|>`."""
    position: int
    """Its byte offset in the UTF-8 text."""


class ToolError(MotetError):
    """A tool call cannot be carried out."""


class InvalidArgumentsError(ToolError, ValueError):
    """The arguments of a call are not JSON, or not what the tool takes."""

    raw: str
    """The arguments as the model wrote them."""
