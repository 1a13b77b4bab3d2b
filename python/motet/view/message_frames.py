"""A message's parts as frames. Unlike a prompt, which leaves reasoning of earlier turns out, it has all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from motet import _core
from motet.message import (
    DeveloperContent,
    Frame,
    Message,
    Part,
    Preamble,
    Reasoning,
    SystemContent,
    Text,
    ToolCall,
    ToolResult,
)

__all__ = ["MessageFrame", "message_frames"]


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """A part and its frame."""

    part: Part
    frame: Frame


def message_frames(message: Message) -> Iterator[MessageFrame]:
    """The frame of each part. Headers are as the parts have them, and as prompts write them where they do not."""
    last = len(message.content) - 1
    for index, part in enumerate(message.content):
        yield MessageFrame(part, _frame(message, part, is_last=index == last))


def _frame(message: Message, part: Part, *, is_last: bool) -> Frame:
    match part:
        case Reasoning():
            return Frame("assistant", part.text, "analysis", content_type=part.content_type)
        case Preamble():
            return Frame("assistant", part.text, "commentary", content_type=part.content_type)
        case ToolCall():
            channel = "commentary" if part.channel is None else part.channel or None
            recipient = part.recipient or _core.recipient_of(part.name)
            content_type = (
                f"{_core.MARKERS['constrain']}json" if part.content_type is None else part.content_type or None
            )
            return Frame("assistant", part.arguments, channel, recipient, None, content_type, part.stop)
        case ToolResult():
            author = part.author or (_core.recipient_of(part.name) if part.name else None)
            addressee = "assistant" if part.recipient is None else part.recipient or None
            channel = "commentary" if part.channel is None else part.channel or None
            return Frame("tool", part.content, channel, addressee, author, part.content_type)
        case SystemContent():
            return Frame("system", part.text)
        case DeveloperContent():
            return Frame("developer", part.instructions if part.text is None else part.text)
        case Text() if message.role == "assistant":
            return Frame("assistant", part.text, "final", stop="return" if is_last else "end")
    return Frame(message.role, part.text, name=message.name)
