"""Tools under names that headers cannot hold, as MCP servers publish them and models invent them."""

from __future__ import annotations

from typing import Any

import pytest

import motet
from motet.dialects.acceptable import ToolNames
from motet.message import Message, ToolResult
from tests.support.fake_backend import call
from tests.support.server_scripts import LANES, asking, final

USER: dict[str, Any] = {"role": "user", "content": "Go."}
DIALECTS = ["motet", "openai_harmony", "chat_template"]
NAMES = ["files/read", "Web Search", "Web/Search", "Web_Search", "天気", "x" * 80, "assistant"]
IN_PROMPTS = ["files_read", "Web_Search_2", "Web_Search_3", "Web_Search", "_", "x" * 64, "assistant_"]


def called(name: str, identifier: str = "call_1") -> list[dict[str, Any]]:
    """A call in the history, and its result."""
    function = {"name": name, "arguments": "{}"}
    return [
        {"role": "assistant", "content": None, "tool_calls": [{"id": identifier, "function": function}]},
        {"role": "tool", "tool_call_id": identifier, "content": "ok"},
    ]


def written(name: str) -> str:
    """A call as the model writes it behind the prompt."""
    return call(name).removeprefix("<|start|>assistant")


def result_of(completion: motet.Completion) -> Message:
    return Message("tool", (ToolResult(completion.tool_calls[0].id, "ok"),))


def rendered(messages: list[Any], dialect: Any = "motet", **options: Any) -> motet.Rendered:
    return motet.render(messages, dialect=dialect, current_date="2026-11-21", **options)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("name", "in_prompt"), list(zip(NAMES, IN_PROMPTS, strict=True)))
def test_declared_name_stands_in_its_valid_form(name: str, in_prompt: str, dialect: str) -> None:
    prompt = rendered([USER, *called(name)], dialect, tools=NAMES)
    assert f"type {in_prompt} = " in prompt.text
    assert f" to=functions.{in_prompt}" in prompt.text
    assert f"<|start|>functions.{in_prompt} to=assistant" in prompt.text
    codes = [note.code for note in prompt.notes if note.message_index == 1]
    assert codes == ([] if name == in_prompt else ["renamed_tool"])


@pytest.mark.parametrize("tools", [NAMES, [*NAMES, *[f"tool-{n}" for n in range(20)]]], ids=["few", "many"])
@pytest.mark.parametrize(("name", "in_prompt"), list(zip(NAMES, IN_PROMPTS, strict=True)))
def test_call_is_of_the_declared_tool(name: str, in_prompt: str, tools: list[str]) -> None:
    completion = motet.parse(motet.encode(written(in_prompt), special="token"), tools=tools, strict=True)
    assert [call.name for call in completion.tool_calls] == [name]
    assert completion.tool_calls[0].trusted
    stream = motet.StreamParser(tools=tools)
    events = [event for token in motet.encode(written(in_prompt), special="token") for event in stream.feed(token)]
    assert events[0].name == name
    # What the model wrote stands in the next prompt as it was.
    again = rendered([USER, completion.message, result_of(completion)], tools=tools)
    assert written(in_prompt) in again.text


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("name", "in_prompt"),
    [("天気 予報", "_"), ("get weather<|end|>", "get_weather_end_"), ("assistant", "assistant_"), ("a/b", "a/b")],
)
def test_invented_name_in_the_history_is_renamed(name: str, in_prompt: str, dialect: str) -> None:
    prompt = rendered([USER, *called(name)], dialect)
    assert f" to=functions.{in_prompt}" in prompt.text and f"<|start|>functions.{in_prompt} " in prompt.text
    assert [note.code for note in prompt.notes] == ([] if name == in_prompt else ["renamed_tool"])
    assert motet.parse_conversation(prompt.ids)
    if name != in_prompt:
        with pytest.raises(motet.RenderError, match="cannot stand in a header"):
            rendered([USER, *called(name)], dialect, strict=True)


def test_recipient_that_a_model_wrote_is_renamed() -> None:
    completion = motet.parse(
        "<|channel|>commentary to=functions.Web Search <|message|>{}<|call|>", tools=["Web Search"]
    )
    prompt = rendered([USER, completion.message, result_of(completion)])
    assert " to=functions.Web_Search" in prompt.text and "<|start|>functions.Web_Search " in prompt.text


def test_names_of_later_developer_messages_are_renamed() -> None:
    developer = Message("developer", (motet.DeveloperContent("", ["Web Search", "Web/Search"]),))
    prompt = rendered([USER, developer, *called("Web/Search")], tools=["Web_Search"])
    assert "type Web_Search = " in prompt.text and " to=functions.Web_Search_2" in prompt.text


def test_empty_names_are_refused_or_unknown() -> None:
    with pytest.raises(motet.RenderError, match="tool name"):
        rendered([USER], tools=[""])
    assert " to=functions.unknown_tool" in rendered([USER, *called("")]).text


def test_grammar_has_the_names_of_the_prompt() -> None:
    grammar = motet.grammar(NAMES, tool_choice="Web/Search")
    assert '" to=functions.Web_Search_3"' in grammar and '" to=functions.Web_Search"' not in grammar


def test_names_that_services_accept() -> None:
    names = ToolNames([{"name": "plain"}, {"type": "function", "function": {"name": "Web Search"}}])
    assert names.offered() == [{"name": "plain"}, {"type": "function", "function": {"name": "Web_Search"}}]
    assert names.chosen("auto") == "auto"
    choice = {"type": "function", "function": {"name": "Web Search"}}
    assert names.chosen(choice)["function"] == {"name": "Web_Search"}
    assert (names.accepted("Web Search"), names.accepted("Web/Search!")) == ("Web_Search", "Web_Search_")


@pytest.mark.parametrize(("style", "lane"), LANES)
def test_run_calls_a_tool_under_its_declared_name(style: str, lane: str) -> None:
    queries: list[str] = []

    def search(query: str) -> str:
        queries.append(query)
        return "found"

    tool = motet.tools_from(
        [{"name": "Web Search", "inputSchema": {"type": "object"}}], lambda _, arguments: search(**arguments)
    )
    script = [call("Web_Search", '{"query": "x"}').removeprefix("<|start|>assistant"), final("Done.")]
    with asking(*script, style=style, lane=lane) as (atom, server):
        run = atom.run("Go.", tools=tool, allow_text_calls=True)
    assert run.text == "Done." and queries == ["x"]
    assert run.steps[0].calls[0].call.name == "Web Search"
    if lane == "chat":
        body = server.requests[-1].body
        assert body["tools"][0]["function"]["name"] == "Web_Search"
        assert body["messages"][1]["tool_calls"][0]["function"]["name"] == "Web_Search"
