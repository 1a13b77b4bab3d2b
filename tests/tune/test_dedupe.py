"""The table of rows that were seen, and what counts as the same row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from motet.tune.seen import Seen, fingerprint, normalised


@given(st.lists(st.integers(1, 2**64 - 1) | st.integers(1, 50), max_size=300))
def test_seen_behaves_like_a_dictionary(keys: list[int]) -> None:
    seen, known = Seen(), dict[int, int]()
    for number, key in enumerate(keys):
        assert (key in seen) == (key in known)
        assert seen.add(key, number) == known.get(key)
        known.setdefault(key, number)
    assert len(seen) == len(known)


def test_seen_grows() -> None:
    seen = Seen()
    keys = [fingerprint(str(number).encode()) for number in range(20_000)]
    assert [seen.add(key, number) for number, key in enumerate(keys)] == [None] * len(keys)
    assert [seen.add(key, 0) for key in keys] == list(range(len(keys)))


def test_normalised_rows_are_equal() -> None:
    same = [
        {"a": "Hello  World\n", "b": 1},
        {"b": 1, "a": "hello\tworld"},
        {"a": " ﬁ".replace("ﬁ", "") + "HELLO WORLD", "b": 1},
    ]
    assert len({normalised(value) for value in same}) == 1
    assert normalised({"a": "é"}) == normalised({"a": "e\u0301"})
    assert len({normalised(value) for value in ({"a": "b c"}, {"a": "bc"}, {"a": ["b", "c"]}, {"b": "a"})}) == 4
