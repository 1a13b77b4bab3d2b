"""`motet count`."""

from __future__ import annotations

import json
from pathlib import Path

import motet
from tests.support.command_line import command


def test_count_prints_token_counts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Hello world")
    assert command("count", stdin="Hello world") == "2\n"
    assert json.loads(command("count", "--json", str(tmp_path / "a.txt"), "-", stdin="<|end|>")) == {
        str(tmp_path / "a.txt"): 2,
        "-": motet.count("<|end|>"),
    }
    assert command("count", "--special", stdin="<|end|>") == "1\n"
