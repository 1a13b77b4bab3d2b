"""Tools of several APIs: the same prompt, the same grammar, the same dict for a service."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from typing import Any

import pydantic
import pytest

import motet
from motet._core import tool_dicts
from motet.asking.options import PreparedOptions

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
OPENAI = {"type": "function", "function": {"name": "read", "description": "Reads a file.", "parameters": SCHEMA}}
COMMON = {"name": "read", "description": "Reads a file."}


class McpTool(pydantic.BaseModel):
    """The fields of MCP's SDK: those that a server did not send are `None`."""

    name: str
    title: str | None = None
    description: str | None = None
    inputSchema: dict[str, Any]
    outputSchema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None


class Function(pydantic.BaseModel):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class SdkTool(pydantic.BaseModel):
    type: str = "function"
    function: Function


FORMS: list[Any] = [
    OPENAI,
    OPENAI["function"],
    {"type": "function", **COMMON, "parameters": SCHEMA, "strict": True},
    {**COMMON, "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}, "outputSchema": {"type": "object"}},
    {**COMMON, "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}},
    {"type": "custom", **COMMON, "input_schema": SCHEMA},
    {**COMMON, "parameters": json.dumps(SCHEMA)},
    {"type": "function", "function": {**COMMON, "parameters": json.dumps(SCHEMA)}},
    types.MappingProxyType({**COMMON, "parameters": SCHEMA}),
    McpTool(**COMMON, inputSchema=SCHEMA),
    SdkTool(function=Function(**COMMON, parameters=SCHEMA)),
    {"type": "function", "function": Function(**COMMON, parameters=SCHEMA)},
]


@pytest.mark.parametrize("tool", FORMS, ids=range(len(FORMS)))
def test_each_form_of_a_tool_is_read(tool: Any) -> None:
    user = [motet.Message("user", "Hi")]  # type: ignore[arg-type]
    assert motet.render(user, tools=[tool]).text == motet.render(user, tools=[OPENAI]).text
    assert motet.grammar([tool]) == motet.grammar([OPENAI])
    function = tool_dicts([tool])[0]["function"]
    assert {key: function[key] for key in ("name", "description")} == COMMON
    assert PreparedOptions.of(None, {"tools": [tool]}).tools == (tool_dicts([tool])[0],)
    call = "<|channel|>commentary to=read <|constrain|>json<|message|>{}<|call|>"
    assert [call.name for call in motet.parse(call, tools=[tool]).tool_calls] == ["read"]


def test_openai_tool_dict_is_passed_on_unchanged() -> None:
    tool = {"type": "function", "function": {"name": "read", "parameters": SCHEMA, "strict": True}}
    assert tool_dicts([tool])[0] is tool
    converted = tool_dicts([{"name": "read", "inputSchema": SCHEMA, "strict": False}])
    assert converted == [{"type": "function", "function": {"name": "read", "parameters": SCHEMA, "strict": False}}]
    assert tool_dicts(["functions.read"]) == [{"type": "function", "function": {"name": "read"}}]


def test_tools_from_reads_each_form() -> None:
    calls: list[Any] = []
    for shape in FORMS:
        tool = motet.tools_from([shape], lambda name, arguments: calls.append((name, arguments)))[0]
        assert tool.parameters == SCHEMA
        tool.bind('{"path": "a"}')()
    assert calls == [("read", {"path": "a"})] * len(FORMS)


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ({"name": "f", "paramters": SCHEMA}, r'tools\[0\] has the unknown key "paramters": parameters are read from'),
        ({"name": "f", "schema": SCHEMA}, "unknown key"),
        ({"name": "f", "input_json_schema": json.dumps(SCHEMA)}, "unknown key"),
        ({"type": "function", "function": {"name": "f"}, "parameters": SCHEMA}, r'has "parameters" beside "function"'),
        ({"type": "web_search"}, "has the type 'web_search': only functions can be rendered"),
        ({"type": "bash_20250124", "name": "bash"}, "has the type 'bash_20250124'"),
        ({"type": "function", "function": 3}, r'tools\[0\]\["function"\] must be a dict'),
        ({"name": 3}, r'tools\[0\]\["name"\] must be str, not int'),
        ({"description": "x"}, "has no name"),
        (3, r"tools\[0\] must be a name, a tool dict or a tool, not int"),
        (McpTool, r"tools\[0\] must be a name, a tool dict or a tool"),
    ],
)
@pytest.mark.parametrize("reader", [lambda tools: motet.render([], tools=tools), motet.grammar, tool_dicts])
def test_tool_without_a_known_place_is_refused(reader: Callable[[Any], Any], tool: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        reader([tool])


@pytest.mark.parametrize("text", ['{"type": ', "[1]", "3"])
def test_parameters_that_are_not_json_objects_are_refused(text: str) -> None:
    with pytest.raises(motet.RenderError, match=r"tools\[0\]\.parameters (is text, but not JSON|must be the JSON of)"):
        motet.render([], tools=[{"name": "f", "parameters": text}])


@pytest.mark.parametrize(
    ("choice", "same"),
    [
        ({"type": "function", "function": {"name": "read"}}, "read"),
        ({"type": "function", "name": "functions.read"}, "read"),
        ({"type": "tool", "name": "read"}, "read"),
        ({"type": "any"}, "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
    ],
)
def test_tool_choice_of_the_apis_is_read(choice: dict[str, Any], same: str) -> None:
    tools = [OPENAI, {"name": "write"}]
    assert motet.grammar(tools, tool_choice=choice) == motet.grammar(tools, tool_choice=same)


@pytest.mark.parametrize("choice", [{"type": "function"}, {"type": "function", "function": {"name": "x"}}, {}, 3])
def test_invalid_tool_choice_is_refused(choice: Any) -> None:
    with pytest.raises(ValueError, match="tool_choice must be"):
        motet.grammar([OPENAI], tool_choice=choice)
