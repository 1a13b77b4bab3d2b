"""GBNF in xgrammar: keywords of JSON Schema that the other engines read themselves."""

from __future__ import annotations

import re
from typing import Any

import pytest

import motet
from tests.support import grammar_engines as engines
from tests.support.grammars import CALL, RETURN, call_of, dumped, engine, ids_of

# One process only: the compiled grammars of both engines take 1.7 GB.
pytestmark = [pytest.mark.usefixtures("lent_vocabulary"), pytest.mark.xdist_group("grammar_engines")]


SCHEMAS: list[tuple[Any, list[Any], list[Any]]] = [
    (True, [1, {"a": [None]}, "x"], []),
    ({"type": ["string", "null"]}, ["x", None], [1]),
    ({"const": {"a": [1, "x"], "b": {}}}, [{"a": [1, "x"], "b": {}}], [{"a": [1, "y"], "b": {}}]),
    ({"type": "array"}, [[], [1, "x"]], [{}]),
    ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, [[]], [[1]]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [[1, 2], [1, 2, 3]], [[], [1], [1, "x"]]),
    ({"type": "array", "prefixItems": [{"type": "integer"}]}, [[1], ["x"]], [1]),
    ({"type": "object", "properties": {}, "additionalProperties": False}, [{}], [{"a": 1}]),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1, "b": 2}], [{"a": "x"}]),
    (
        {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "additionalProperties": {"const": 0}},
        [{}, {"a": 1}, {"b": 1}, {"a": 1, "b": 2}, {"c": 0}, {"a": 1, "c": 0, "d": 0}],
        [{"b": 1, "a": 2}, {"a": "x"}],
    ),
    (
        {"properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}, "required": ["b"]},
        [{"b": 2}, {"a": 1, "b": 2}, {"b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3}],
        [{}, {"a": 1}, {"c": 3}, {"a": 1, "c": 3}],
    ),
    ({"allOf": [{"type": "integer"}]}, [1], ["x"]),
    ({"oneOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#"}}]}, [1, [1, [2]], []], ["x", ["x"]]),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "integer"}}}, [1], ["x"]),
    ({"$ref": "#/nowhere"}, [1, "x"], []),
    ({"$ref": "#"}, [1, "x"], []),
    ({"type": "string", "pattern": "^a$"}, ["a", "b"], [1]),
    ({"enum": ['quo"te', "line\nbreak", "é", "\U0001f600"]}, ['quo"te', "line\nbreak", "é", "\U0001f600"], ["x"]),
]


@pytest.mark.parametrize(("schema", "taken", "refused"), SCHEMAS, ids=lambda value: str(value)[:40])
def test_gbnf_constrains_supported_keywords(schema: Any, taken: list[Any], refused: list[Any]) -> None:
    entries = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    matcher = engines.Xgrammar(motet.grammar(response_format=entries, format="gbnf"), (RETURN, CALL))
    for value, fits in [*[(value, True) for value in taken], *[(value, False) for value in refused]]:
        for style in (0, 1, 2):
            text = f"<|channel|>final<|message|>{dumped(value, style)}<|return|>"
            assert matcher.accepts(ids_of(text)) == fits, text


@pytest.mark.parametrize("bound", ["minItems", "maxItems"])
def test_gbnf_repeats_no_more_than_llama_cpp_does(bound: str) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, bound: 5000}
    answer = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    grammar = motet.grammar(response_format=answer, format="gbnf")
    assert all(int(count) <= 1000 for count in re.findall(r"\d+(?=[,}])", grammar))


BRANCHES: list[tuple[Any, list[Any], list[Any]]] = [
    (
        {"properties": {"a": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"properties": {"b": {}}}]},
        [{"a": 1}, {"b": 2}, {"a": 1, "b": 2}],
        [{"a": "x"}],
    ),
    (
        {"properties": {"a": {}}, "allOf": [{"properties": {"b": {"type": "integer"}}, "required": ["b"]}]},
        [{"b": 1}, {"a": 0, "b": 1}],
        [{"a": 0}, {"b": "x"}],
    ),
    ({"properties": {"a": {}}, "allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {}}}, [{"a": 1, "z": 2}], [1]),
    ({"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False}, [{}, {"x1": 1}], [1]),
]


@pytest.mark.parametrize(("schema", "accepted", "refused"), BRANCHES, ids=lambda value: str(value)[:40])
def test_gbnf_accepts_properties_of_all_branches(schema: Any, accepted: list[Any], refused: list[Any]) -> None:
    matcher = engine("gbnf", tools=[{"name": "f", "parameters": {"type": "object", **schema}}])
    assert [matcher.accepts(call_of(value)) for value in accepted] == [True] * len(accepted)
    assert [matcher.accepts(call_of(value)) for value in refused] == [False] * len(refused)


@pytest.mark.parametrize(
    ("escape", "fits"),
    [
        (r"\u00e9", True),
        (r"\uD7FF", True),
        (r"\uffff", True),
        (r"\ud83e\udd95", True),
        (r"\ud83e", False),
        (r"\udd95", False),
        (r"\ud83e\u0041", False),
        (r"\ud83e\ud83e", False),
        (r"\ud83ex", False),
    ],
)
def test_gbnf_allows_no_half_of_a_surrogate_pair(escape: str, fits: bool) -> None:
    """Readers of JSON, such as pydantic's, refuse one."""
    text = f'<|channel|>final<|message|>"{escape}"<|return|>'
    answer = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string"}}}
    found = engines.Xgrammar(motet.grammar(response_format=answer, format="gbnf"), (RETURN, CALL))
    assert found.accepts(ids_of(text)) == fits


def test_gbnf_constants_may_hold_unprintable_characters() -> None:
    """xgrammar reads as many hexadecimal digits behind `\\x` as follow."""
    answer = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["\x7fa"]}}}
    matcher = engines.Xgrammar(motet.grammar(response_format=answer, format="gbnf"), (RETURN, CALL))
    assert matcher.accepts(ids_of('<|channel|>final<|message|>"\x7fa"<|return|>'))
