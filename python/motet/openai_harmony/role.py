"""The roles of messages."""

from __future__ import annotations

from enum import Enum

__all__ = ["Role"]


class Role(str, Enum):  # noqa: UP042  # `str()` of a member is `Role.USER`, as there.
    """Who writes a message."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    DEVELOPER = "developer"
    TOOL = "tool"

    @classmethod
    def _missing_(cls, value: object) -> Role:
        raise ValueError(f"Unknown role: {value!r}")
