"""Tables of the command line: aligned, and no wider than the terminal."""

from __future__ import annotations

import pytest

from motet.cli import main
from motet.cli.table import aligned, table

ROWS = [["a", "1.5", "long text"], ["bb", "10", ""]]
HEAD = ["name", "n", "note"]


def test_columns_are_aligned() -> None:
    assert aligned(ROWS, "<.<") == [["a ", " 1.5", "long text"], ["bb", "10  ", "         "]]
    assert aligned(ROWS, ">>>")[1] == ["bb", " 10", "         "]


def test_wide_rows_continue_on_a_second_line() -> None:
    assert table(ROWS, "<><", head=HEAD, width=80) == ["name    n  note", "a     1.5  long text", "bb     10"]
    assert table(ROWS, "<><", head=HEAD, width=12) == [
        "name    n",
        "  note",
        "a     1.5",
        "  long text",
        "bb     10",
    ]
    assert table(ROWS, "<><", head=HEAD, width=1)[:2] == ["name", "    n  note"]


def test_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    assert len(table(ROWS, "<><", head=HEAD)) == 5


def test_cells_are_painted_after_they_are_aligned() -> None:
    lines = table(
        ROWS, "<><", head=HEAD, width=80, paint=lambda row, column, text: f"{row}{text}" if not column else text
    )
    assert lines[:2] == ["-1name    n  note", "0a     1.5  long text"]


def test_models_fit_80_columns_and_lose_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in (["models"], ["models", "--all"]):
        assert main(words) == 0
        printed = capsys.readouterr().out
        assert max(map(len, printed.splitlines())) <= 80
        assert "$0.15" in printed and "131,072" in printed
    assert "removed 2026-09-15, now together/gpt-oss/120b" in printed
