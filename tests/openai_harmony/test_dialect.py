"""`motet.render(dialect="oss_harmony")` beside oss-harmony 0.0.11, and the headers that it writes otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import Message, ToolCall, ToolResult, openai_harmony, oss_harmony
from tests.support import oss_harmony as oss_peer
from tests.support.conversations import conversations, tools
from tests.support.hypothesis_profiles import examples


@pytest.fixture(scope="module")
def peer_encoding() -> Any:
    return oss_peer.load().load_harmony_encoding("HarmonyGptOss")


@examples(60)
@given(conversations(), tools, st.booleans())
def test_ids_equal_oss_harmony(peer_encoding: Any, conversation: Any, tools: Any, drop: bool) -> None:
    library = oss_peer.load()
    ours, theirs = conversation
    prompt = motet.render(ours, tools=tools, keep_analysis="openai_harmony" if drop else "all", dialect="oss_harmony")
    make = library.Message.from_role_and_content
    messages = [make(library.Role.SYSTEM, library.SystemContent.new())]
    if tools:
        described = [
            library.ToolDescription.new(tool["name"], tool["description"], tool.get("parameters")) for tool in tools
        ]
        messages.append(make(library.Role.DEVELOPER, library.DeveloperContent.new().with_function_tools(described)))
    messages += [library.Message.from_dict(message.to_dict()) for message in theirs]
    config = library.RenderConversationConfig(auto_drop_analysis=drop)
    whole = library.Conversation.from_messages(messages)
    assert prompt.ids == peer_encoding.render_conversation_for_completion(whole, library.Role.ASSISTANT, config)


def test_recipients_stand_behind_commentary_alone() -> None:
    messages = [
        Message("assistant", (ToolCall("f", "{}", "c1"), ToolCall("python", "1", "c2"))),
        Message("tool", (ToolResult("c1", "4"),)),
    ]
    text = motet.render(messages, dialect="oss_harmony", next_role=None).text
    assert text.partition("<|end|>")[2] == (
        "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>"
        "<|start|>assistant to=python<|channel|>analysis <|constrain|>code<|message|>1<|call|>"
        "<|start|>functions.f<|channel|>commentary to=assistant<|message|>4<|end|>"
    )


def test_large_numbers_have_a_sign_in_their_exponent() -> None:
    library = oss_harmony
    schema = {"type": "object", "properties": {"n": {"type": "number", "default": 1e20}}}
    developer = library.DeveloperContent().with_function_tools([library.ToolDescription.new("f", "", schema)])
    message = library.Message.from_role_and_content(library.Role.DEVELOPER, developer)
    written = []
    for module in (oss_harmony, openai_harmony):
        encoding = module.load_harmony_encoding("HarmonyGptOss")
        written.append(encoding.decode(encoding.render(message)).partition("default: ")[2].partition("\n")[0])
    tools = [{"name": "f", "description": "", "parameters": schema}]
    assert written == ["1e+20", "1e20"]
    assert "default: 1e+20\n" in motet.render([], tools=tools, dialect="oss_harmony").text


def test_channels_after_the_first_are_ignored() -> None:
    encoding = oss_harmony.load_harmony_encoding("HarmonyGptOss")
    text = "<|channel|>commentary to=functions.f<|channel|>commentary json<|message|>{}<|call|>"
    tokens = encoding.encode(text, allowed_special="all")
    [message] = encoding.parse_messages_from_completion_tokens(tokens, oss_harmony.Role.ASSISTANT)
    assert (message.channel, message.recipient, message.content_type) == ("commentary", "functions.f", "json")
    exact = openai_harmony.load_harmony_encoding("HarmonyGptOss")
    [message] = exact.parse_messages_from_completion_tokens(tokens, oss_harmony.Role.ASSISTANT)
    assert message.recipient == "functions.f<|channel|>commentary"
