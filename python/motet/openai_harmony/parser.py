"""The streaming parser."""

from __future__ import annotations

from enum import Enum
from typing import NoReturn

from motet import _core
from motet.openai_harmony.content import Message, Role
from motet.openai_harmony.encoding import HarmonyEncoding, make_message

__all__ = ["StreamState", "StreamableParser"]


class StreamState(Enum):
    """Where a parser is."""

    EXPECT_START = "ExpectStart"
    HEADER = "Header"
    CONTENT = "Content"


class StreamableParser(_core._StreamableParser):
    """Reads a completion, one token at a time.

    `role`: that with which the prompt ended; `None`: the tokens begin with `<|start|>`. `strict=False`: a stop token
    within a header ends a message of the header's text. Raises `HarmonyError` for tokens that do not follow the format,
    and can be used after it.
    """

    def __init__(self, encoding: HarmonyEncoding, role: Role | None, *, strict: bool = True) -> None:
        self._begin(encoding._inner, None if role is None else str(role.value), strict)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @property
    def messages(self) -> list[Message]:
        """The messages that have ended: a new list of new messages at each time."""
        return list(map(make_message, self._messages))

    @property
    def state(self) -> StreamState:
        """Where the parser is."""
        return StreamState(self._state)
