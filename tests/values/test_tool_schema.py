"""Functions as tools: their schema, the reading of arguments, the text of results."""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

import motet
from motet.schema.tool import to_tool
from tests.support.tool_functions import (
    INTEGER,
    META,
    POINT,
    Cat,
    Color,
    Dog,
    Meta,
    Node,
    Place,
    Point,
    append,
    called,
    field,
    nothing,
    plain,
    shape,
    shown,
)


def default(x: int = 3) -> None: ...
def optional(x: Optional[int] = None) -> None: ...  # noqa: UP045
def maybe(x: int | None) -> None: ...
def literal(x: Literal["a", "b"]) -> None: ...
def annotated(x: Annotated[int, Field(ge=1, description="How many.")] = 2) -> None: ...
def by_field(x: int = Field(3, le=5, description="How many.")) -> None: ...
def of_model(x: Meta) -> None: ...
def of_dataclass(x: Point) -> None: ...
def of_typed_dict(x: Place) -> None: ...
def of_enum(x: Color = Color.RED) -> None: ...
def of_date(x: datetime.date) -> None: ...
def of_list(x: list[Point]) -> None: ...
def of_dict(x: dict[str, int]) -> None: ...
def of_tuple(x: tuple[int, str]) -> None: ...
def of_either(x: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...
def untyped(x) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
def keyword(*, x: bool) -> None: ...


SCHEMAS: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (plain, INTEGER, "x: number,"),
    (default, {"default": 3, "type": "integer"}, "x?: number, // default: 3"),
    (optional, {"anyOf": [INTEGER, {"type": "null"}], "default": None}, "x?: number | null, // default: null"),
    (maybe, {"anyOf": [INTEGER, {"type": "null"}]}, "x: number | null,"),
    (literal, {"enum": ["a", "b"], "type": "string"}, 'x: "a" | "b",'),
    (
        annotated,
        {"default": 2, "description": "How many.", "minimum": 1, "type": "integer"},
        "// How many.\n// minimum: 1\nx?: number, // default: 2",
    ),
    (
        by_field,
        {"default": 3, "description": "How many.", "maximum": 5, "type": "integer"},
        "// How many.\n// maximum: 5\nx?: number, // default: 3",
    ),
    (of_model, META, "x: {\n    key: number,\n},"),
    (of_dataclass, POINT, "x: {\n    x: number,\n    y?: number, // default: 0\n},"),
    (
        of_typed_dict,
        {
            "type": "object",
            "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "x: {\n    city: string,\n    country?: string,\n},",
    ),
    (of_enum, {"default": "red", "enum": ["red", "blue"], "type": "string"}, 'x?: "red" | "blue", // default: "red"'),
    (of_date, {"format": "date", "type": "string"}, '// format: "date"\nx: string,'),
    (
        of_list,
        {"type": "array", "items": POINT},
        "x: {\n    x: number,\n    y?: number, // default: 0\n}[],",
    ),
    (of_dict, {"type": "object", "additionalProperties": INTEGER}, "x: {\n    [key: string]: number,\n},"),
    (
        of_tuple,
        {"type": "array", "prefixItems": [INTEGER, {"type": "string"}], "minItems": 2, "maxItems": 2},
        "// minItems: 2, maxItems: 2\nx: [number, string],",
    ),
    (
        of_either,
        {
            "discriminator": {"propertyName": "kind"},
            "oneOf": [
                {"type": "object", "properties": {"kind": {"const": name, "type": "string"}}, "required": ["kind"]}
                for name in ("cat", "dog")
            ],
        },
        'x: {\n    kind: "cat",\n} | {\n    kind: "dog",\n},',
    ),
    (untyped, {}, "x: any,"),
    (keyword, {"type": "boolean"}, "x: boolean,"),
]


@pytest.mark.parametrize(
    ("function", "schema", "typescript"), SCHEMAS, ids=lambda value: getattr(value, "__name__", "")
)
def test_parameter_schema_is_that_of_its_type(function: Callable[..., Any], schema: Any, typescript: str) -> None:
    assert field(function) == schema
    assert f"type {function.__name__} = (_: {{\n{typescript}\n}}) => any;" in shown(function)
    assert shape(function)["additionalProperties"] is False
    assert ("required" in shape(function)) == (inspect.signature(function).parameters["x"].default is inspect._empty)


def grow(node: Node, more: list[Node] | None = None) -> None: ...


def test_recursive_type_refs_resolve() -> None:
    schema = shape(grow)
    pointers = [item for item in json.dumps(schema).split('"') if item.startswith("#/$defs/")]
    assert set(pointers) == {"#/$defs/Node"}
    assert schema["$defs"]["Node"]["properties"]["meta"] == META
    assert schema["properties"]["node"]["properties"]["labels"]["default"] == {"title": "kept"}
    assert "title" not in schema["$defs"]["Node"]
    text = shown(grow)
    assert text.count("key: number") >= 3
    assert "// A node." in text


class Twice(BaseModel):
    a: Any = None


def test_infinitely_growing_types_are_refused() -> None:
    level: Any = Twice
    for number in range(20):
        level = dataclasses.make_dataclass(f"L{number}", [("a", level), ("b", level)])
    function = eval("lambda x: None")
    function.__annotations__ = {"x": level}
    function.__name__ = "wide"
    with pytest.raises(TypeError, match="the parameters of the tool wide have more than 20000 nested schemas"):
        motet.tool(function)


def odd(schema: int, json: int, self: int, _x: int, model_config: int, p0: int, **kwargs: int) -> dict[str, int]:
    return {"schema": schema, "json": json, "self": self, "_x": _x, "model_config": model_config, "p0": p0, **kwargs}


def test_any_parameter_name_is_allowed() -> None:
    arguments = {name: number for number, name in enumerate(["schema", "json", "self", "_x", "model_config", "p0"])}
    assert list(shape(odd)["properties"]) == list(arguments)
    assert called(odd, json.dumps(arguments)) == arguments
    assert called(odd, json.dumps({**arguments, "more": 9})) == {**arguments, "more": 9}
    assert shape(odd)["additionalProperties"] is True
    assert "_x: number" in shown(odd)


def renamed(kind: Annotated[str, Field(alias="class")]) -> str:
    return kind


def catching(kind: Annotated[str, Field(alias="class")], **rest: Any) -> Any:
    return kind, rest


def test_alias_is_the_name_in_the_schema() -> None:
    assert list(shape(renamed)["properties"]) == ["class"]
    assert called(renamed, '{"class": "a"}') == "a"
    with pytest.raises(motet.InvalidArgumentsError, match="kind: duplicate name"):
        to_tool(catching).bind('{"class": "a", "kind": "b"}')


def unsaid(x: object = object()) -> object:
    return x


def test_non_json_default_is_still_a_default() -> None:
    assert shape(unsaid) == {"type": "object", "properties": {"x": {}}, "additionalProperties": False}
    assert called(unsaid, "{}") is inspect.signature(unsaid).parameters["x"].default


def test_mutable_default_is_not_shared_by_calls() -> None:
    tool = motet.tool(append)
    assert [called(tool, "{}"), called(tool, "{}"), append.__defaults__] == [[1], [1], ([],)]


def test_tool_without_parameters() -> None:
    assert shape(nothing) == {"type": "object", "properties": {}, "additionalProperties": False}
    assert "// Says nothing.\ntype nothing = () => any;" in shown(nothing)
    assert [called(nothing, value) for value in ("", "{}")] == ["", ""]
