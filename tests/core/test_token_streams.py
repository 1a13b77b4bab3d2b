"""`StreamEncoder` and `StreamDecoder`: text and ids that arrive in chunks."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet

CHUNKS = st.lists(
    st.text(st.sampled_from("aBzéſ中ा́\u03011 \t\r\n'./<|😀👩\u200d"), max_size=12)
    | st.text(max_size=6)
    | st.sampled_from(["\ud83d", "\ude00"]),
    max_size=8,
)


@given(CHUNKS, st.integers(0, 8))
def test_streamed_ids_equal_the_ids_of_the_whole(chunks: list[str], copied: int) -> None:
    encoder, ids, whole = motet.StreamEncoder(), [], motet.encode("".join(chunks))
    for index, chunk in enumerate(chunks):
        if index == copied:
            encoder = pickle.loads(pickle.dumps(encoder))
        ids += encoder.feed(chunk)
        assert ids == whole[: len(ids)]
        assert encoder.count == len(ids)
    for fork in (copy.copy(encoder), copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert ids + fork.close() == whole
        assert fork.count == len(whole)
    assert ids + encoder.close() == whole


@given(st.lists(st.lists(st.integers(0, 600) | st.integers(0, 201_087), max_size=4), max_size=8), st.integers(0, 8))
def test_streamed_text_equals_the_text_of_the_whole(chunks: list[list[int]], copied: int) -> None:
    decoder, text = motet.StreamDecoder(), ""
    for index, chunk in enumerate(chunks):
        if index == copied:
            decoder = pickle.loads(pickle.dumps(decoder))
        text += decoder.feed(chunk[0]) if len(chunk) == 1 else decoder.feed(chunk)
    whole = motet.decode(itertools.chain(*chunks))
    for fork in (copy.copy(decoder), copy.deepcopy(decoder), pickle.loads(pickle.dumps(decoder))):
        assert text + fork.close() == whole
        assert fork.pending == b""
    assert text + decoder.close() == whole


@given(st.text(max_size=12))
def test_characters_arrive_whole(text: str) -> None:
    decoder = motet.StreamDecoder(errors="strict")
    out = [decoder.feed(token) for token in motet.encode(text)]
    assert "".join(out) == text
    assert decoder.close() == decoder.pending.decode() == ""


def test_strict_decoders_raise_and_keep_their_state() -> None:
    first, *rest = motet.encode("🤌")
    decoder = motet.StreamDecoder(errors="strict")
    assert decoder.feed(first) == ""
    assert decoder.pending
    with pytest.raises(UnicodeDecodeError):
        decoder.feed(motet.encode("a"))
    with pytest.raises(UnicodeDecodeError):
        decoder.close()
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(pickle.dumps(decoder)).close()
    assert decoder.feed(rest) == "🤌"


def test_wrong_ids_and_options_are_named() -> None:
    decoder = motet.StreamDecoder()
    for ids, message in ((201_088, "is 201088"), ([1, -1], r"ids\[1\] is -1"), (2**40, "is 1099511627776")):
        with pytest.raises(ValueError, match=message):
            decoder.feed(ids)
    wrong: Any
    for wrong in ("a", None, 1.5, ["a"], True):
        with pytest.raises(TypeError):
            decoder.feed(wrong)
    with pytest.raises(ValueError, match="errors must be"):
        motet.StreamDecoder(errors="ignore")  # type: ignore[arg-type]
