"""Messages and their parts: the seven shapes, and that they behave as values."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import (
    DeveloperContent,
    Frame,
    Message,
    Preamble,
    Reasoning,
    Repair,
    SystemContent,
    Text,
    ToolCall,
    ToolResult,
)

SHAPES: list[tuple[motet.Part, dict[str, Any]]] = [
    (Preamble("before"), {"type": "preamble", "text": "before"}),
    (Reasoning("think"), {"type": "reasoning", "text": "think"}),
    (Text("answer"), {"type": "text", "text": "answer"}),
    (
        ToolCall("tool_name", '{"param":"value"}', "call_123"),
        {"type": "tool_call", "id": "call_123", "function": {"name": "tool_name", "arguments": '{"param":"value"}'}},
    ),
    (ToolResult("call_123", "4"), {"type": "tool_result", "tool_call_id": "call_123", "content": "4"}),
    (SystemContent("You are"), {"type": "system_content", "text": "You are"}),
    (DeveloperContent("Be brief"), {"type": "developer_content", "instructions": "Be brief"}),
    (
        DeveloperContent("", [{"name": "f"}]),
        {"type": "developer_content", "instructions": "", "tools": [{"name": "f"}]},
    ),
]

ROLE_OF: dict[type[motet.Part], motet.Role] = {
    **dict.fromkeys([Preamble, Reasoning, Text, ToolCall], "assistant"),
    ToolResult: "tool",
    SystemContent: "system",
    DeveloperContent: "developer",
}


@pytest.mark.parametrize(("part", "shape"), SHAPES, ids=lambda item: type(item).__name__)
def test_each_part_has_its_dict(part: motet.Part, shape: dict[str, Any]) -> None:
    assert part.to_dict() == shape
    assert type(part).from_dict(shape) == part
    with pytest.raises(ValueError, match="not the dict of a"):
        (Text if not isinstance(part, Text) else Reasoning).from_dict(shape)
    message = Message(ROLE_OF[type(part)], (part,))
    assert message.to_dict() == {"role": message.role, "content": [shape]}
    assert Message.from_dict(message.to_dict()) == message
    for copied in (pickle.loads(pickle.dumps(part)), copy.copy(part), copy.deepcopy(part), dataclasses.replace(part)):
        assert copied == part
        assert repr(copied) == repr(part)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(part, dataclasses.fields(part)[0].name, "other")


def test_messages_keep_name_and_order() -> None:
    message = Message("user", (Text("a"), Text("b")), "alice")
    assert message.to_dict() == {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "name": "alice",
    }
    assert Message.from_dict(message.to_dict()) == message
    assert hash(message) == hash(copy.copy(message))
    assert message.text == "ab"
    assert Message("user", "hi") == Message("user", [Text("hi")]) == Message("user", (Text("hi"),))  # type: ignore[arg-type]


def test_header_details_are_kept_but_not_compared() -> None:
    call = motet.parse("<|channel|>analysis to=functions.f code<|message|>{}<|call|>").tool_calls[0]
    assert (call.channel, call.content_type, call.recipient_at) == ("analysis", "code", "channel")
    assert call == ToolCall("f", "{}", call.id)
    assert dataclasses.replace(call, arguments="[]").channel == "analysis"


def test_repr_fits_on_a_line() -> None:
    text = repr(Message("assistant", (Reasoning("x" * 1000), ToolCall("f", "{}", "call_1"))))
    assert len(text) < 200
    assert "(1000 characters)" in text
    assert repr(Frame("user", "hi")) == "Frame(role='user', content='hi')"
    assert repr(Repair("stray_text", 3, "x", "why")).startswith("Repair(code='stray_text', position=3")


@pytest.mark.parametrize(
    "wrong", [{}, {"role": "robot", "content": []}, {"role": "user", "content": [{"type": "image"}]}, {"role": "user"}]
)
def test_unknown_dicts_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not the dict of a"):
        Message.from_dict(wrong)


def test_invalid_json_arguments_keep_their_text() -> None:
    with pytest.raises(motet.InvalidArgumentsError, match="arguments of 'f' are not JSON") as caught:
        ToolCall("f", '{"a": ').args()
    assert caught.value.raw == '{"a": '
    assert pickle.loads(pickle.dumps(caught.value)).raw == '{"a": '
    with pytest.raises(motet.InvalidArgumentsError):
        ToolCall("f", "[" * 100_000).args()


@given(st.text(), st.text(max_size=5))
def test_any_text_survives_the_dict(text: str, name: str) -> None:
    message = Message("assistant", (Reasoning(text), ToolCall(name, text, name), Text(text)))
    assert Message.from_dict(message.to_dict()) == message


@pytest.mark.parametrize("form", ["ids", "text"])
def test_completion_survives_its_json_form(form: str) -> None:
    raw = (
        "<|channel|>analysis<|message|>Hm.<|end|> stray"
        '<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{"a": 1}<|call|>'
    )
    completion = motet.parse(motet.encode(raw, special="token") if form == "ids" else raw)
    shape = json.loads(json.dumps(completion.to_dict()))
    again = motet.Completion.from_dict(shape)
    assert again == completion and completion.repairs
    assert again.tokens == completion.tokens
    # The fields of the wire, which comparisons leave out.
    assert again.to_dict() == shape
    assert again.tool_calls[0].trusted == (form == "ids")
    for wrong in ({}, {**shape, "stop": "halt"}, {**shape, "frames": [3]}, []):
        with pytest.raises(ValueError, match="not the dict of a completion"):
            motet.Completion.from_dict(wrong)  # type: ignore[arg-type]


def test_arguments_without_exceptions() -> None:
    good, bad = ToolCall("f", '{"a": 1}'), ToolCall("f", "{a")
    assert (good.args_or(), bad.args_or(), bad.args_or({})) == ({"a": 1}, None, {})


def test_calls_have_one_name_in_each_layer() -> None:
    completion = motet.parse("<|channel|>commentary to=functions.f<|message|>{}<|call|>")
    assert completion.calls == completion.tool_calls == completion.message.calls != ()
