"""Chat messages as clients and servers write them, beside what the API reference says."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

import motet
from motet import DeveloperContent, Preamble, Reasoning, Text, ToolCall, ToolResult, to_messages

FUNCTION = {"name": "f", "arguments": "{}"}


class Function(pydantic.BaseModel):
    name: str
    arguments: str


class Call(pydantic.BaseModel):
    id: str
    function: Function
    type: str = "function"


class Reply(pydantic.BaseModel):
    """As the SDKs of OpenAI and Together return: keys that were not sent are `None`."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    function_call: Function | None = None
    tool_calls: list[Call] | None = None


class Block(pydantic.BaseModel):
    type: str
    text: str


CALL = Call(id="c", function=Function(name="f", arguments="{}"))


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        (Reply(content="Hi", reasoning="short"), (Reasoning("short"), Text("Hi"))),
        (Reply(tool_calls=[CALL]), (ToolCall("f", "{}", "c"),)),
        ({"role": "assistant", "content": None, "tool_calls": [CALL]}, (ToolCall("f", "{}", "c"),)),
        ({"role": "assistant", "content": [Block(type="text", text="Hi")]}, (Text("Hi"),)),
        (Reply(refusal="I cannot."), (Text("I cannot."),)),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, (Text("No."),)),
        (Reply(function_call=Function(name="f", arguments="")), (ToolCall("f", "{}"),)),
        ({"role": "assistant", "content": "", "function_call": FUNCTION}, (ToolCall("f", "{}"),)),
        ({"role": "assistant", "content": "So.", "function_call": FUNCTION}, (Preamble("So."), ToolCall("f", "{}"))),
        ({"role": "assistant", "content": []}, (Text(""),)),
        ({"role": "assistant", "content": [], "tool_calls": [{"function": FUNCTION}]}, (ToolCall("f", "{}"),)),
        ({"role": "user", "content": []}, (Text(""),)),
        ({"role": "system", "content": ""}, ()),
        ({"role": "system", "content": None}, ()),
        ({"role": "system", "content": [{"type": "text", "text": "Hi"}]}, (DeveloperContent("Hi"),)),
        ({"role": "tool", "tool_name": "f", "content": "x"}, (ToolResult("", "x", "f"),)),
        ({"role": "function", "name": "f", "content": "x"}, (ToolResult("", "x", "f"),)),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "custom": {"name": "run", "input": "ls"}}]},
            (ToolCall("run", "ls", "c"),),
        ),
    ],
)
def test_messages_of_clients_are_read(item: Any, parts: tuple[motet.Part, ...]) -> None:
    message = to_messages([item])[0]
    assert message.content == parts


@pytest.mark.parametrize("dialect", ["motet", "openai_harmony", "chat_template"])
def test_empty_system_text_renders_nothing(dialect: Any) -> None:
    user = {"role": "user", "content": "Hi"}
    for item in ({"role": "system", "content": ""}, {"role": "developer", "content": []}):
        assert motet.render([item, user], dialect=dialect).ids == motet.render([user], dialect=dialect).ids
        tools = {"tools": [{"name": "f"}], "instructions": "Be brief."}
        with_item = motet.render([item, user], dialect=dialect, **tools)
        assert with_item.ids == motet.render([user], dialect=dialect, **tools).ids


def test_tool_result_of_a_nameless_legacy_call_finds_it() -> None:
    turn = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "function_call": FUNCTION},
        {"role": "function", "name": "f", "content": "x"},
    ]
    assert "<|start|>functions.f to=assistant<|channel|>commentary<|message|>x<|end|>" in motet.render(turn).text
