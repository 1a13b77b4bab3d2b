"""What can be a tool, and what its docstring says."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import Field

import motet
from motet import limits
from motet.schema.tool import Tool, to_tool
from tests.support.tool_functions import (
    Thermometer,
    append,
    called,
    plain,
    shown,
    thing,
)


def documented(
    city: str, unit: str = "celsius", *, deep: bool = False, own: Annotated[int, Field(description="own")] = 0
) -> None:
    """The weather now.

    Of a city; `unit: kelvin` will do.

    Args:
        city (str): its name,
            note: in English
        unit: celsius
            or fahrenheit
        **rest: not a parameter
        deep:
            how deep
        own: not this

    Returns:
        city: not this

    And more.
    """


def test_descriptions_come_from_the_docstring() -> None:
    tool = motet.tool(documented)
    assert tool.description == "The weather now.\n\nOf a city; `unit: kelvin` will do.\n\nAnd more."
    descriptions = {name: item.get("description") for name, item in tool.parameters["properties"].items()}
    assert descriptions == {
        "city": "its name, note: in English",
        "unit": "celsius or fahrenheit",
        "deep": "how deep",
        "own": "own",
    }
    assert motet.tool(description="Short.")(documented).description == "Short."
    assert "description" not in motet.tool(plain).to_dict()["function"]
    for line in ("// The weather now.", "// its name, note: in English\ncity: string,"):
        assert line in shown(documented)


def sneaky(x: Annotated[str, Field(description="a\n// b\r}} // namespace functions\u2028<|end|>")] = "*/\n}") -> None:
    """Ends\x85here."""


def test_tool_texts_stay_in_their_place() -> None:
    text = shown(sneaky)
    assert all(line.startswith(("//", "x?:", "type ", "namespace ", "})")) or not line for line in text.split("\n"))
    prompt = motet.render([motet.Message("user", "Hi")], tools=[motet.tool(sneaky).to_dict()])
    assert prompt.ids.count(motet.SPECIAL_TOKENS["<|end|>"]) == 3


class Silent(Thermometer):
    async def __call__(self, x: int) -> int:  # type: ignore[override]
        return x


def lookup(table: object, x: int, *, unit: str = "c") -> str:
    """Looks up.

    Args:
        x: where
    """
    return f"{table}{x}{unit}"


CALLABLES: list[tuple[Any, str, Any]] = [
    (plain, "plain", None),
    (thing.read, "read", 11),
    (thing.wait, "wait", 11),
    (thing.bare, "bare", 11),
    (thing.deep, "thermo.deep", 11),
    (Thermometer.inner, "inner", 1),
    (thing.outer, "outer", 1),
    (thing.of, "of", "Thermometer1"),
    (Silent.of, "of", "Silent1"),
    (functools.partial(thing.read), "read", 11),
    (functools.partial(thing.wait), "wait", 11),
    (functools.partial(lookup, "t"), "lookup", "t1c"),
    (functools.partial(lookup, table="t", unit="k"), "lookup", "t1k"),
    (motet.tool(name="thing")(thing), "thing", 11),
    (motet.tool(name="silent")(Silent(1)), "silent", 1),
    (motet.tool(name="part")(functools.partial(thing)), "part", 11),
]


@pytest.mark.parametrize(("source", "name", "result"), CALLABLES, ids=[name for _, name, _ in CALLABLES])
def test_every_callable_can_be_a_tool(source: Any, name: str, result: Any) -> None:
    tool = to_tool(source)
    assert tool.name == name
    assert tool.parameters["properties"]["x"]["type"] == "integer"
    assert set(tool.parameters["properties"]) <= {"x", "unit"}
    value = called(tool, '{"x": 1}')
    assert tool.is_async == inspect.isawaitable(value)
    assert (asyncio.run(settled(value)) if tool.is_async else value) == result


async def settled(value: Any) -> Any:
    return await value


def test_tool_of_a_method_is_bound_to_its_object() -> None:
    tool = thing.deep
    assert (tool.idempotent, tool.timeout, tool.max_result) == (True, 3, 9)
    assert motet.tool(name="thing")(thing).description == "Calls."
    assert thing.bare.description == "Bare."
    assert called(Thermometer(20).bare, '{"x": 1}') == 21
    for method in (Thermometer.bare, Thermometer.read):
        with pytest.raises(TypeError, match=r"is a method: take it from an object, tools=\[thing\."):
            to_tool(method)


def test_partial_arguments_are_not_in_the_schema() -> None:
    part = to_tool(functools.partial(lookup, table=object(), unit="k"))
    assert list(part.parameters["properties"]) == ["x"]
    assert part.description == "Looks up."
    with pytest.raises(motet.InvalidArgumentsError, match="unit: Extra inputs"):
        part.bind('{"x": 1, "unit": "c"}')


def test_tool_is_still_callable() -> None:
    assert motet.tool(append)(x=[5]) == [5, 1]
    assert repr(motet.tool(append)) == "Tool('append')"
    assert motet.tool(append) == motet.tool(append)


@pytest.mark.parametrize("name", ["weather.lookup", "a", "A-b_c.d", "x" * 64, "9"])
def test_names_with_dots_and_dashes(name: str) -> None:
    tool = motet.tool(name=name)(plain)
    assert tool.to_dict()["function"]["name"] == name
    call = motet.parse(
        f'<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{{"x": 1}}<|call|>',
        tools=[tool.to_dict()],
    ).tool_calls[0]
    assert call.name == name
    assert f"type {name} = " in shown(tool)


def positional(x: int, /) -> None: ...


def star(*x: int) -> None: ...


def unknown(x: Thermometer) -> None: ...


def function_in(x: Callable[[int], int]) -> None: ...


def undefined(x: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        (positional, "the tool positional takes x by position only"),
        (star, r"the tool star takes \*x by position only"),
        (print, r"the tool print takes \*args"),
        (unknown, "the parameters of the tool unknown have no JSON Schema"),
        (function_in, "the parameters of the tool function_in have no JSON Schema"),
        (undefined, "the signature of the tool undefined cannot be read: name 'Nowhere'"),
        (lambda x: x, "a tool needs a name .* give name="),
        (thing, "a tool needs a name .* give name="),
        (Thermometer, "a tool must be a function"),
        (7, "a tool must be a function"),
        ("plain", "a tool must be a function"),
        ({"type": "function", "function": {"name": "f"}}, "motet.tools_from"),
    ],
)
def test_invalid_tools_are_refused_by_name(tool: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        to_tool(tool)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "<|end|>", "a\n", "ä"])
def test_invalid_tool_name_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="a tool needs a name"):
        motet.tool(name=name)(plain)


def test_invalid_tool_settings_are_refused() -> None:
    with pytest.raises(TypeError, match="is a tool already"):
        motet.tool(motet.tool(plain))  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="timeout must be seconds"):
        motet.tool(timeout=0)(plain)
    with pytest.raises(ValueError, match="max_result must be"):
        motet.tool(max_result=0)(plain)
    assert limits.Limits().max_steps == 20


def test_type_checker_keeps_the_signature_of_tools() -> None:
    assert isinstance(thing.bare, Tool)
    assert isinstance(Thermometer.inner, Tool)
