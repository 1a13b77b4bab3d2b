"""The meter's count of a text that arrives in chunks."""

from __future__ import annotations

import pytest

import motet
from motet.asking.usage_meter import TokenCounter


@pytest.mark.parametrize("text", ["G" * 20_000, "哈" * 20_000, "!" * 20_000, " " * 20_000])
def test_word_without_an_end_is_counted(text: str) -> None:
    counter = TokenCounter()
    for start in range(0, len(text), 4):
        counter.feed(text[start : start + 4])
    # Counted when it was a quarter shorter.
    assert motet.count(text) * 3 // 4 <= counter.count <= motet.count(text)


def test_words_are_counted_as_they_end() -> None:
    counter = TokenCounter()
    for word in ["So", "many", "roads", "lead", "there,", "and", "none", "leads", "back."]:
        counter.feed(word + " ")
    assert counter.count == motet.count("So many roads lead there, and none leads back.")
