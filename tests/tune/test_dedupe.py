"""What counts as the same row."""

from __future__ import annotations

from motet.tune.lines import normalised


def test_normalised_rows_are_equal() -> None:
    same = [
        {"a": "Hello  World\n", "b": 1},
        {"b": 1, "a": "hello\tworld"},
        {"a": " ﬁ".replace("ﬁ", "") + "HELLO WORLD", "b": 1},
    ]
    assert len({normalised(value) for value in same}) == 1
    assert normalised({"a": "é"}) == normalised({"a": "e\u0301"})
    assert len({normalised(value) for value in ({"a": "b c"}, {"a": "bc"}, {"a": ["b", "c"]}, {"b": "a"})}) == 4
