"""Where tokens lie in their text, and texts that are cut at tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet

TEXTS = st.lists(
    st.text(st.sampled_from("aBzéſ中ा́\u03011٣ \t\r\n'./<|😀👩🏽\u200d🤌"), max_size=20)
    | st.text(max_size=8)
    | st.sampled_from(["<|end|>", "<|reserved_200018|>", "\ud83d", "\ude00"]),
    max_size=6,
).map("".join)


def joined(text: str) -> str:
    """The text as the tokenizer reads it: pairs of surrogates joined, lone ones replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@given(TEXTS, st.sampled_from(["text", "token"]))
def test_byte_offsets_split_the_bytes_of_the_text(text: str, special: Any) -> None:
    ids, offsets = motet.encode_with_offsets(text, special=special, unit="byte")
    assert ids == motet.encode(text, special=special)
    parts = [joined(text).encode()[start:end] for start, end in offsets]
    assert b"".join(parts) == joined(text).encode()
    for token, part in zip(ids, parts, strict=True):
        assert part == motet.decode_bytes([token]) or part == b"<|reserved_200018|>"


@given(TEXTS, st.sampled_from(["text", "token"]))
def test_characters_of_a_token_hold_its_bytes(text: str, special: Any) -> None:
    ids, offsets = motet.encode_with_offsets(text, special=special)
    for token, (start, end) in zip(ids, offsets, strict=True):
        part = joined(text[start:end])
        assert motet.decode_bytes([token]) in part.encode() or part == "<|reserved_200018|>"
    starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
    assert starts == sorted(starts)
    assert ends == sorted(ends)
    assert (starts[:1], ends[-1:]) == (([0], [len(text)]) if ids else ([], []))


@given(st.lists(st.integers(0, 600) | st.integers(0, 201_087), max_size=20))
def test_offsets_of_ids_lie_in_the_decoded_text(ids: list[int]) -> None:
    text, offsets = motet.decode_with_offsets(ids)
    assert text == motet.decode(ids)
    for token, (start, end) in zip(ids, offsets, strict=True):
        alone = motet.decode([token])
        assert "\ufffd" in alone or text[start:end] == alone
    whole, spans = motet.decode_with_offsets(ids, unit="byte")
    assert whole == text
    assert [motet.decode_bytes(ids)[start:end] for start, end in spans] == [
        motet.decode_bytes([token]) for token in ids
    ]


@given(TEXTS, st.integers(0, 12), st.sampled_from(["left", "right"]), st.sampled_from(["text", "token"]))
def test_truncated_text_has_at_most_the_tokens(text: str, max_tokens: int, side: Any, special: Any) -> None:
    part = motet.truncate(text, max_tokens, side=side, special=special)
    ids = motet.encode(text, special=special)
    assert motet.count(part, special=special) <= max_tokens
    assert text.startswith(part) if side == "right" else text.endswith(part)
    if len(ids) <= max_tokens:
        assert part == text
    # More tokens are kept by no cut between characters whose part has few enough tokens by itself.
    _, offsets = motet.encode_with_offsets(text, special=special)
    for index, (start, end) in enumerate(offsets):
        is_border = all(other == (start, end) or other[1] <= start or end <= other[0] for other in offsets)
        rest, other = (index + 1, text[:end]) if side == "right" else (len(ids) - index, text[start:])
        if is_border and offsets.count((start, end)) == 1 and rest <= max_tokens and len(other) > len(part):
            assert motet.count(other, special=special) > max_tokens


def test_truncation_cuts_the_named_side() -> None:
    text = "We'll sing motets, 12345 of them."
    assert motet.truncate(text, 4) == "We'll sing motets"
    assert motet.truncate(text, 4, side="left") == "45 of them."
    assert motet.truncate("a🤌", 2) == "a"
    assert motet.truncate(text, 0) == motet.truncate(text, 0, side="left") == ""
    assert motet.truncate(text * 50_000, 3) == "We'll sing mot"
    assert motet.truncate("a<|end|>b", 2, special="token") == "a<|end|>"


def test_wrong_arguments_of_offsets_are_named() -> None:
    wrong: Any = "word"
    with pytest.raises(ValueError, match="unit must be 'char' or 'byte', not"):
        motet.encode_with_offsets("a", unit=wrong)
    with pytest.raises(ValueError, match="side must be 'left' or 'right', not"):
        motet.truncate("a", 1, side=wrong)
    with pytest.raises(ValueError, match="max_tokens must be at least 0, not -1"):
        motet.truncate("a", -1)
    with pytest.raises(ValueError, match=r"ids\[0\] is 201088"):
        motet.decode_with_offsets([201_088])
