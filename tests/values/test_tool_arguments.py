"""Arguments that models write, as values of their types."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from tests.support.hypothesis_profiles import examples
from tests.support.tool_functions import (
    Color,
    Meta,
    Node,
    Place,
    called,
    plain,
)


def many(n: int, place: Place, when: datetime.date, color: Color = Color.RED, *, node: Node | None = None) -> Any:
    return n, place, when, color, node


def test_arguments_are_converted_to_their_types() -> None:
    arguments = (
        '{"n": 1, "place": {"city": "Oslo"}, "when": "2026-11-21", "color": "blue", "node": {"meta": {"key": 1}}}'
    )
    n, place, when, color, node = called(many, arguments)
    assert (n, place, when, color) == (1, {"city": "Oslo"}, datetime.date(2026, 11, 21), Color.BLUE)
    assert node == Node(meta=Meta(key=1))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"x": 1} and more', "trailing characters"),
        ('{"x": 1}{"x": 1}', "trailing characters"),
        ('{"x": ', "EOF while parsing"),
        ("x=1", "expected value"),
        ("[1]", "should be an object"),
        ("null", "should be an object"),
        ('"x"', "should be an object"),
        ('{"x": "one"}', "x: Input should be a valid integer"),
        ('{"x": null}', "x: Input should be a valid integer"),
        ('{"x": 1.5}', "x: Input should be a valid integer"),
        ('{"x": 1, "y": 2}', "y: Extra inputs are not permitted"),
        ("{}", "x: Field required"),
        ("", "x: Field required"),
        ('{"x": "\ud800"}', ""),
        ("[" * 10_000, ""),
    ],
)
def test_mismatched_arguments_are_listed_by_path(arguments: str, problem: str) -> None:
    with pytest.raises(motet.InvalidArgumentsError) as caught:
        motet.tool(plain).bind(arguments)
    assert "the arguments of plain are wrong: " in str(caught.value)
    assert problem in str(caught.value)
    assert caught.value.raw == arguments


@examples(60)
@given(
    st.text()
    | st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_any_arguments_are_bound_or_refused(arguments: str) -> None:
    for tool in (motet.tool(plain), *motet.tools_from([{"name": "f"}], lambda name, values: values)):
        try:
            tool.bind(arguments)
        except motet.InvalidArgumentsError as error:
            assert error.raw == arguments
