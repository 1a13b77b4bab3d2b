"""Messages of Anthropic's Messages API as messages."""

from __future__ import annotations

from typing import Any

import pytest

import motet
from motet import Message, Preamble, Reasoning, Text, ToolCall, ToolResult, to_messages

CONVERSATION: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "Is Paris warm?", "cache_control": {"type": "ephemeral"}}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Look it up.", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "21 degrees"}]},
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
            {"type": "text", "text": "In Fahrenheit, please."},
        ],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "70."}]},
]
MESSAGES = [
    Message("user", (Text("Is Paris warm?"),)),
    Message(
        "assistant",
        (
            Reasoning("Look it up."),
            Preamble("Let me see."),
            ToolCall("weather", '{"city":"Paris"}', "toolu_1"),
            ToolCall("now", "{}", "toolu_2"),
        ),
    ),
    Message("tool", (ToolResult("toolu_1", "21 degrees"), ToolResult("toolu_2", ""))),
    Message("user", (Text("In Fahrenheit, please."),)),
    Message("assistant", (Text("70."),)),
]


def test_blocks_become_messages() -> None:
    assert to_messages(CONVERSATION) == MESSAGES
    assert motet.render(CONVERSATION).ids == motet.render(MESSAGES).ids


def test_whole_reply_is_read_as_its_message() -> None:
    reply = {"id": "msg_1", "type": "message", "model": "m", "stop_reason": "tool_use", "usage": {}, **CONVERSATION[1]}
    assert to_messages([reply]) == [MESSAGES[1]]


@pytest.mark.parametrize(
    ("role", "block", "message"),
    [
        ("assistant", {"type": "tool_use", "id": "t", "input": {}}, r"content\[0\]\.name.*must be str"),
        ("user", {"type": "tool_use", "id": "t", "name": "f", "input": {}}, "gpt-oss reads text only"),
        ("user", {"type": "thinking", "thinking": "x"}, "gpt-oss reads text only"),
        ("assistant", {"type": "tool_result", "tool_use_id": "t", "content": "x"}, "gpt-oss reads text only"),
        ("user", {"type": "tool_result", "tool_use_id": 5, "content": "x"}, "tool_use_id"),
        ("user", {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}, "reads text only"),
        ("system", {"type": "tool_use", "id": "t", "name": "f", "input": {}}, "role"),
    ],
)
def test_invalid_block_is_reported_with_its_path(role: str, block: dict[str, Any], message: str) -> None:
    with pytest.raises(motet.RenderError, match=message):
        to_messages([{"role": role, "content": [block]}])
