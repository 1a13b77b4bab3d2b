"""Transcripts as the JSON that OpenAI's viewer euphony reads: https://github.com/openai/euphony."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motet.view.frames import TranscriptFrame

__all__ = ["conversation"]


def conversation(title: str, frames: Iterable[TranscriptFrame], metadata: dict[str, Any]) -> dict[str, Any]:
    """A conversation with a message for each frame.

    The viewer shows `metadata` of conversations and messages: there are tokens, steps and repairs, for which it has no
    place of its own.
    """
    messages = [_message(frame) for frame in frames if frame.kind is not None]
    return {"id": title, "messages": messages, "metadata": metadata}


def _message(frame: TranscriptFrame) -> dict[str, Any]:
    content: dict[str, Any]
    if frame.kind == "tool_call":
        content = {"content_type": "code", "text": frame.content, "language": "json"}
    elif frame.kind == "developer_content":
        content = {"instructions": frame.content}
    elif frame.kind == "system_content":
        content = {"model_identity": frame.content}
    else:
        content = {"text": frame.content}
    metadata: dict[str, Any] = {"tokens": frame.tokens}
    if frame.step is not None:
        metadata["step"] = frame.step
    if frame.repairs:
        metadata["repairs"] = [{"code": repair.code, "message": repair.message} for repair in frame.repairs]
    optional = {
        "name": frame.name,
        "channel": frame.channel,
        "recipient": frame.recipient,
        "content_type": frame.content_type,
    }
    return {
        "role": frame.role,
        **{name: value for name, value in optional.items() if value is not None},
        "content": [content],
        "metadata": metadata,
    }
