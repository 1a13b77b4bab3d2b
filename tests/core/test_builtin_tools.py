"""The tools that gpt-oss was trained with, in prompts and completions."""

from __future__ import annotations

import re
import typing
from typing import Any

import pytest

import motet
from motet.schema.builtin_functions import BUILTIN_FUNCTIONS, BuiltinTool, functions_of

USER = {"role": "user", "content": "Hi"}
BUILTIN_TOOLS: Any = typing.get_args(BuiltinTool)


def system_text(*builtin: Any, **settings: Any) -> str:
    return motet.render([USER], builtin_tools=builtin, **settings).frames[0].content


@pytest.mark.parametrize("dialect", ["motet", "openai_harmony", "oss_harmony"])
def test_built_in_tools_are_described_by_their_names_order(dialect: str) -> None:
    text = system_text(*reversed(BUILTIN_TOOLS), dialect=dialect)
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == list(BUILTIN_TOOLS) == sorted(BUILTIN_TOOLS)
    assert text == system_text(*BUILTIN_TOOLS, dialect=dialect)


@pytest.mark.parametrize("builtin", [name for name in BUILTIN_TOOLS if name != "python"])
def test_described_arguments_are_those_of_calls(builtin: str) -> None:
    """The types in the prompt are the schemas of the grammar, apart from comments."""
    functions = [
        {"name": name.rpartition(".")[2], "parameters": BUILTIN_FUNCTIONS[name][1]} for name in functions_of(builtin)
    ]
    expected = motet.render([USER], tools=functions).frames[1].content.replace("functions", builtin)
    types = re.sub(r"^//.*\n| //.*", "", system_text(builtin), flags=re.MULTILINE)
    assert re.findall(r"^type .*?any;", types, re.MULTILINE | re.DOTALL) == re.findall(
        r"^type .*?any;", expected, re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize("builtin", ["container", "repo_browser"])
def test_chat_template_has_no_such_tool(builtin: Any) -> None:
    with pytest.raises(motet.RenderError, match=f"describes browser and python, not {builtin}"):
        motet.render([USER], builtin_tools=[builtin], dialect="chat_template")


@pytest.mark.parametrize("name", list(BUILTIN_FUNCTIONS))
@pytest.mark.parametrize("header", ["analysis to={} code", "commentary to={} <|constrain|>json"])
def test_calls_of_built_in_tools_are_parsed(name: str, header: str) -> None:
    completion = motet.parse(f"<|channel|>{header.format(name)}<|message|>{{}}<|call|>")
    assert [(call.name, call.arguments) for call in completion.tool_calls] == [(name, "{}")]
    assert completion.repairs == ()
    prompt = motet.render([USER, completion.message])
    assert f"to={name}" in prompt.text
    assert "functions." not in prompt.text


EXEC = {"type": "function", "function": {"name": "container.exec", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("tool", [EXEC, EXEC["function"], "functions.container.exec", "container.exec"], ids=str)
def test_function_named_as_a_built_in_one_is_no_repair(tool: Any) -> None:
    """A plain name is the built-in function."""
    completion = motet.parse(
        "<|channel|>commentary to=functions.container.exec <|constrain|>json<|message|>{}<|call|>", tools=[tool]
    )
    assert completion.tool_calls[0].name == "container.exec"
    assert [repair.code for repair in completion.repairs] == ["wrong_namespace"] * (tool == "container.exec")
