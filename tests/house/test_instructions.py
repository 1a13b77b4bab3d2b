"""The comparison of instruction counts, with counts that no profiler made."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

# Not an import statement: the type checker does not find what benches import from their own folders.
instructions: Any = importlib.import_module("benches.instructions")

KEPT: dict[str, Any] = {"python": {"decode": 50.0}, "tokenizer": {"CJK": {"count": 300.0}}}


@pytest.mark.parametrize(
    ("python", "tokenizer", "named"),
    [
        ({"decode": 50.0}, {"CJK": {"count": 300.0}}, []),
        ({"decode": 52.5}, {"CJK": {"count": 315.0}}, []),
        ({"decode": 40.0}, {"CJK": {"count": 200.0}}, []),
        ({"decode": 53.2}, {"CJK": {"count": 300.0}}, ["decode: 53.2"]),
        ({"decode": 50.0}, {"CJK": {"count": 316.0}}, ["CJK, count: 316.0"]),
    ],
)
def test_a_count_above_the_tolerance_is_a_regression(
    python: dict[str, float], tokenizer: dict[str, dict[str, float]], named: list[str]
) -> None:
    lines = instructions.regressions(python, tokenizer, KEPT)
    assert [line.partition(" instructions")[0] for line in lines] == named


def test_a_cell_without_a_kept_count_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert instructions.regressions({"parse text": 9.0}, {"base64": {"count": 80.0}}, KEPT) == []
    assert "no count is kept of: parse text, base64" in capsys.readouterr().out


def test_a_byte_that_costs_more_in_a_larger_input_fails() -> None:
    assert instructions.superlinear({"flat": [100.0, 110.0], "falls": [100.0, 40.0]}) == []
    lines = instructions.superlinear({"poll frames": [100.0, 400.0]})
    assert lines == ["poll frames: 100.0 instructions a byte, and 400.0 of a larger input"]
