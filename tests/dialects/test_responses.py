"""Items of the Responses API as messages."""

from __future__ import annotations

from typing import Any

import pytest

import motet
from motet import DeveloperContent, Message, Preamble, Reasoning, Text, ToolCall, ToolResult, to_messages

ITEMS: list[dict[str, Any]] = [
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
    {"role": "user", "content": [{"type": "input_text", "text": "Is Paris warm?"}]},
    {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Look it up."}]},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
    },
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Paris"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "21 degrees"},
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]},
]
MESSAGES = [
    Message("developer", (DeveloperContent("Be brief."),)),
    Message("user", (Text("Is Paris warm?"),)),
    Message(
        "assistant",
        (Reasoning("Look it up."), Preamble("Let me see."), ToolCall("weather", '{"city":"Paris"}', "call_1")),
    ),
    Message("tool", (ToolResult("call_1", "21 degrees"),)),
    Message("assistant", (Text("Yes."),)),
]


def test_items_become_messages() -> None:
    assert to_messages(ITEMS) == MESSAGES
    assert motet.render(ITEMS).ids == motet.render(MESSAGES).ids


def test_turns_of_items_end_at_other_messages() -> None:
    user = {"role": "user", "content": "And Rome?"}
    assert to_messages([ITEMS[7], user, ITEMS[7]]) == [MESSAGES[4], Message("user", "And Rome?"), MESSAGES[4]]  # type: ignore[arg-type]
    assert to_messages([*ITEMS[2:5]])[-1] == MESSAGES[2]
    # An item that gives no message does not divide a turn.
    assert to_messages([ITEMS[2], ITEMS[6], ITEMS[4]]) == [
        Message("assistant", (Reasoning("Look it up."), ToolCall("weather", '{"city":"Paris"}', "call_1")))
    ]


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Short."}]}, Reasoning("Short.")),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}, ToolCall("f", "{}", "c")),
        ({"type": "custom_tool_call", "call_id": "c", "name": "run", "input": "ls"}, ToolCall("run", "ls", "c")),
        ({"type": "function_call_output", "call_id": "c", "output": ""}, ToolResult("c", "")),
        ({"type": "function_call_output", "call_id": "c", "output": {"a": 1}}, ToolResult("c", '{"a":1}')),
        (
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}]},
            ToolResult("c", "a"),
        ),
        ({"type": "message", "role": "assistant", "phase": "commentary", "content": "Hm."}, Preamble("Hm.")),
        ({"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, Text("No.")),
    ],
)
def test_each_item_gives_its_part(item: dict[str, Any], part: motet.Part) -> None:
    assert to_messages([item])[0].content == (part,)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"type": "item_reference", "id": "msg_1"}, r"messages\[0\]\['type'\] is 'item_reference'"),
        ({"type": "web_search_call", "id": "ws_1"}, "which is not text, a function call or its result"),
        ({"type": "message", "role": "robot", "content": "x"}, "role"),
        ({"type": "message", "role": "user", "content": [{"type": "input_image"}]}, "gpt-oss reads text only"),
        ({"type": "function_call", "call_id": "c", "arguments": "{}"}, r"function_call\.name.*must be str"),
        ({"type": "function_call_output", "output": "x"}, "call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "output.*is missing"),
        ({"type": "reasoning", "content": [3]}, "has a part without text"),
    ],
)
def test_invalid_item_is_reported_with_its_path(item: dict[str, Any], message: str) -> None:
    with pytest.raises(motet.RenderError, match=message):
        to_messages([item])
