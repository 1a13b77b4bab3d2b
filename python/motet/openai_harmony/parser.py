"""The streaming parser."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from motet import _core
from motet.openai_harmony.encoding import HarmonyEncoding, Mode, make_messages

if TYPE_CHECKING:
    from motet.openai_harmony.content import Message
    from motet.openai_harmony.role import Role

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

    `mode="tolerant"` (by default the mode of the encoding, which is `"exact"`): reads as `motet.StreamParser` does, and
    raises for no token. What does not follow the format is repaired and listed in `repairs`; `strict` has no effect.
    Text may be held for a few tokens, until it is certain that it is content. It is then part of the delta of the token
    that decides; if that token ends the message, `current_channel` and its like still show that message.
    """

    def __init__(
        self, encoding: HarmonyEncoding, role: Role | None, *, strict: bool = True, mode: Mode | None = None
    ) -> None:
        self._begin(encoding._inner, None if role is None else str(role.value), strict, mode or encoding.mode)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @property
    def messages(self) -> list[Message]:
        """The messages that have ended: a new list of new messages at each time."""
        return make_messages(self._messages)

    @property
    def state(self) -> StreamState:
        """Where the parser is."""
        return StreamState(self._state)
