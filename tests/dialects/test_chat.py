"""Chat dicts to messages and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import DeveloperContent, Message, Preamble, Reasoning, Text, ToolCall, ToolResult, to_chat, to_messages

CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "2"}, {"type": "text", "text": "+2?"}], "name": "alice"},
    {
        "role": "assistant",
        "content": "Let me see.",
        "reasoning_content": "add",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "functions.add", "arguments": {"a": 2}}}],
        "refusal": None,
    },
    {"role": "tool", "tool_call_id": "c1", "content": {"sum": 4}},
    {"role": "assistant", "content": "4"},
]
MESSAGES = [
    Message("developer", (DeveloperContent("Be brief."),)),
    Message("user", (Text("2"), Text("+2?")), "alice"),
    Message("assistant", (Reasoning("add"), Preamble("Let me see."), ToolCall("add", '{"a":2}', "c1"))),
    Message("tool", (ToolResult("c1", '{"sum":4}'),)),
    Message("assistant", (Text("4"),)),
]


def test_chat_dicts_become_messages() -> None:
    assert to_messages(CHAT) == MESSAGES
    assert to_messages([CHAT[0], *MESSAGES[1:]]) == MESSAGES
    assert to_messages([message.to_dict() for message in MESSAGES]) == MESSAGES


def test_messages_become_chat_dicts() -> None:
    assert to_messages(to_chat(MESSAGES)) == [
        Message("user", (Text("2+2?"),), "alice") if message.role == "user" else message for message in MESSAGES
    ]
    assert to_chat(MESSAGES)[2] == {
        "role": "assistant",
        "content": "Let me see.",
        "reasoning": "add",
        "tool_calls": [{"type": "function", "id": "c1", "function": {"name": "add", "arguments": '{"a":2}'}}],
    }
    assert to_chat(MESSAGES)[3] == {"role": "tool", "tool_call_id": "c1", "content": '{"sum":4}'}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"role": "robot", "content": "x"}, r"messages\[0\]\['role'\] must be"),
        ({"role": "user"}, r"messages\[0\]\['content'\] must be str or a list of text parts, not NoneType"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "gpt-oss reads text only"),
        ({"role": "assistant"}, r"\['content'\] is missing"),
        ({"role": "assistant", "tool_calls": [{"id": "x"}]}, r"tool_calls\[0\]"),
        ({"role": "assistant", "tool_calls": "x"}, "tool_calls.*list"),
        ({"role": "assistant", "reasoning": 3}, "reasoning"),
        ({"role": "tool", "content": "x"}, "needs a tool_call_id or a name"),
        ({"role": "tool", "name": "f", "content": {"x": float("nan")}}, "is not JSON"),
        ({"role": "user", "content": [{"type": "reasoning"}]}, "not the dict"),
        ({"role": "user", "content": [{"type": []}]}, "gpt-oss reads text only"),
        ({"role": "tool", "tool_call_id": "c"}, r"\['content'\] is missing"),
        ({"role": "assistant", "content": 0}, "content.*str"),
        ({"role": "assistant", "tool_calls": [{"id": 5, "function": {"name": "f"}}]}, r"\.id.*str, not int"),
    ],
)
def test_invalid_dict_is_reported_with_its_path(item: dict[str, Any], message: str) -> None:
    with pytest.raises(motet.RenderError, match=message) as caught:
        to_messages([item])
    assert caught.value.message_index == 0


@pytest.mark.parametrize("wrong", ["text", {"role": "user", "content": "x"}, [3], Message("user", "hi")])  # type: ignore[arg-type]
def test_non_lists_of_messages_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="messages"):
        to_messages(wrong)


def test_tool_result_takes_the_name_of_its_call() -> None:
    prompt = motet.render(CHAT[:4])
    assert "<|start|>functions.add to=assistant<|channel|>commentary<|message|>" in prompt.text
    with pytest.raises(motet.RenderError, match=r'messages\[1\]: no tool call before it has the id "c1"'):
        motet.render([CHAT[1], CHAT[3]])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([], "[]"),
        ([{"type": "row", "v": 1}], '[{"type":"row","v":1}]'),
        ([{"type": "text", "text": "a"}], "a"),
        ("", ""),
        (0, "0"),
    ],
)
def test_tool_result_of_any_shape_becomes_text(content: Any, text: str) -> None:
    message = to_messages([{"role": "tool", "name": "f", "content": content}])[0]
    assert message.content == (ToolResult("", text, "f"),)
    part = message.content[0]
    assert isinstance(part, ToolResult)
    assert part.is_json == (text not in ("", "a"))


def test_call_without_arguments_has_an_empty_object() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": None}}
    assert to_messages([{"role": "assistant", "tool_calls": [call]}])[0].tool_calls[0].arguments == "{}"


@given(st.text(), st.text(), st.text(max_size=8))
def test_any_assistant_message_survives_the_dict(reasoning: str, text: str, identifier: str) -> None:
    parts = [Reasoning(reasoning or "-"), Preamble(text or "-"), ToolCall("f", text or "{}", identifier)]
    message = Message("assistant", tuple(parts))
    assert to_messages(to_chat([message])) == [message]


def test_tools_of_a_developer_message_are_kept() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    developer = motet.Message("developer", (motet.DeveloperContent("Be brief.", tools),))
    [shape] = motet.to_chat([developer])
    assert shape == {"role": "developer", "content": "Be brief.", "tools": tools}
    assert motet.to_messages([shape]) == [developer]
