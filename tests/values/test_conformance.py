"""Which values follow a JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from motet.schema.conformance import conforms, declares

LIST = {"type": "object", "properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}, "required": ["n"]}
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    ({"type": "integer"}, [1, -2, 3.0], [1.5, True, "1", None]),
    ({"type": "number"}, [1, 2.5], [False, "2"]),
    ({"type": ["string", "null"]}, ["", None], [0]),
    ({"type": "string", "nullable": True}, [None, "a"], [1]),
    ({"enum": [1, "a", None]}, [1, 1.0, "a", None], [True, "b"]),
    ({"const": {"a": [1]}}, [{"a": [1]}, {"a": [1.0]}], [{"a": [True]}, {"a": 1}]),
    ({"type": "string", "minLength": 1, "maxLength": 2, "pattern": "^a"}, ["a", "ab"], ["", "abc", "b"]),
    ({"type": "string", "pattern": "(?<bad"}, ["a"], [1]),
    ({"minimum": 1, "exclusiveMaximum": 3}, [1, 2.9, "x"], [0, 3]),
    ({"minimum": 1, "exclusiveMinimum": True}, [1.1], [1]),
    (
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        [[1], [1, 2]],
        [[], [1, 2, 3], ["a"]],
    ),
    ({"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, [[1], [1, "a"]], [["a"], [1, 2]]),
    ({"items": [{"type": "integer"}], "additionalItems": False}, [[1], []], [["a"], [1, 2]]),
    ({"type": "object", "required": ["a"]}, [{"a": 1}, {"a": 1, "b": 2}], [{}, []]),
    ({"properties": {"a": {"type": "string"}}, "additionalProperties": False}, [{}, {"a": ""}], [{"a": 1}, {"b": 1}]),
    ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "1"}]),
    (
        {"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False},
        [{"x1": 1}],
        [{"x": ""}, {"y": 1}],
    ),
    ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [1.5]),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, [1.5], [1, "a"]),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1, 2], [0, 3]),
    ({"not": {"type": "null"}}, [1], [None]),
    (LIST, [{"n": 1, "next": {"n": 2}}], [{"n": 1, "next": {}}, {"n": 1, "next": {"n": "2"}}]),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "integer"}}}, [1], ["1"]),
    ({"$ref": "https://example.org/other"}, [1, "a"], []),
    ({"$ref": "#"}, [], [1]),
    (True, [1], []),
    (False, [], [1]),
]


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES, ids=lambda value: str(value)[:40])
def test_values_that_follow_a_schema(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    assert [value for value in valid if not conforms(value, schema)] == []
    assert [value for value in invalid if conforms(value, schema)] == []


def test_deep_values_do_not_conform() -> None:
    value: Any = {"n": 1}
    for _ in range(200):
        value = {"n": 1, "next": value}
    assert not conforms(value, LIST)


def test_declared_properties() -> None:
    closed = {"properties": {"a": {}}, "allOf": [{"properties": {"b": {}}}, {"$ref": "#/$defs/c"}]}
    closed |= {"$defs": {"c": {"properties": {"c": {}}}}}
    assert declares({"a": 1, "b": 2, "c": 3}, closed)
    assert not declares({"a": 1, "d": 2}, closed)
    assert declares({"x": 1}, {"properties": {}, "additionalProperties": True})
    assert not declares({"x": 1}, {"type": "object"})


@pytest.mark.parametrize(
    "page", sorted(Path(__file__).parents[1].joinpath("schemas").glob("*.json")), ids=lambda page: page.stem
)
def test_schemas_of_published_tools_can_be_checked(page: Path) -> None:
    for tool in json.loads(page.read_text()):
        schema = (tool.get("function") or tool).get("parameters") or tool.get("inputSchema") or {}
        assert isinstance(conforms({"path": "a", "id": 1, "items": [None]}, schema), bool)
