"""Messages of Anthropic's Messages API become messages. Pure functions; nothing is rendered or sent here.

The blocks are those of the API reference: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from motet.dialects._reading import JsonPath, as_dict, read_call, read_texts, with_preambles
from motet.message import Message, Part, Reasoning, Text, ToolResult

__all__ = ["has_blocks", "read_message"]


def has_blocks(shape: Mapping[str, Any]) -> bool:
    """Whether a dict's content holds blocks that the other APIs do not have; `text` blocks they have, too."""
    content = shape.get("content")
    if isinstance(content, str) or not isinstance(content, list | tuple):
        return False
    blocks = [as_dict(block) for block in content]
    return any(_is_own(block) for block in blocks if isinstance(block, Mapping))


def _is_own(block: Mapping[str, Any]) -> bool:
    match block:
        case {"type": "tool_use" | "thinking" | "redacted_thinking"}:
            return True
        case {"type": "tool_result", "tool_use_id": _}:
            return True
    return False


def read_message(shape: Mapping[str, Any], path: JsonPath) -> list[Message]:
    """The messages of a dict with blocks. A user's message with results and text gives one message for each kind.

    Thinking that is encrypted (`redacted_thinking`) has no text and is left out. Raises `RenderError` for blocks that
    are not text, thinking, calls or results.
    """
    blocks = [as_dict(block) for block in shape["content"]]
    match shape.get("role"):
        case "assistant":
            parts = [part for index, block in enumerate(blocks) for part in _assistant_parts(block, index, path)]
            return [Message("assistant", with_preambles(parts))]
        case "user":
            return list(_user_messages(blocks, path))
    raise path.error("role", f"must be user or assistant, not {shape.get('role')!r}")


def _assistant_parts(block: object, index: int, path: JsonPath) -> Iterator[Part]:
    match block:
        case {"type": "thinking", "thinking": str(text)}:
            yield Reasoning(text)
        case {"type": "redacted_thinking"}:
            return
        case {"type": "tool_use", **fields}:
            yield read_call(fields.get("name"), fields.get("input"), fields.get("id"), f"content[{index}]", path)
        case _:
            yield from map(Text, read_texts([block], path))


def _user_messages(blocks: list[object], path: JsonPath) -> Iterator[Message]:
    """Results and texts in their order; those of one kind that follow each other are one message."""
    results: list[Part] = []
    texts: list[Part] = []
    for block in blocks:
        if isinstance(block, Mapping) and block.get("type") == "tool_result":
            if texts:
                yield Message("user", tuple(texts))
                texts = []
            results.append(_tool_result(block, path))
        else:
            if results:
                yield Message("tool", tuple(results))
                results = []
            texts += map(Text, read_texts([block], path))
    if results:
        yield Message("tool", tuple(results))
    if texts:
        yield Message("user", tuple(texts))


def _tool_result(block: Mapping[str, Any], path: JsonPath) -> ToolResult:
    call = block.get("tool_use_id")
    if not isinstance(call, str):
        raise path.wrong("tool_use_id", "str", call)
    return ToolResult(call, "".join(read_texts(block.get("content") or "", path)))
