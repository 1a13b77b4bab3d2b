"""The tokenizer, beside tiktoken's `o200k_harmony`."""

from __future__ import annotations

import random
import sys
import threading
import time
from array import array
from typing import Any

import numpy
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

import motet

# Characters of every class of the split pattern, and those that fold or join in unusual ways.
ODD = "aBzéßſKDžʰ中ا́́अ्12٣½ \t\n\r    '’./!_-<|>😀👩‍👩‍👧🇩🇪\x00\x7f\x85᫏"
mixed = st.text(st.sampled_from(ODD), max_size=60) | st.text(max_size=60)


def corpora() -> dict[str, str]:
    rng = random.Random(7)
    words = [
        "the",
        "of",
        "and",
        "weather",
        "tomorrow",
        "it's",
        "we'll",
        "Paris",
        "THEY'RE",
        "naïve",
        "co-operate",
        "3.14",
        "10,000",
    ]
    scripts = {"cjk": (0x4E00, 0x9FFF), "arabic": (0x621, 0x64A), "hindi": (0x905, 0x939), "hangul": (0xAC00, 0xD7A3)}
    samples = {
        name: "".join([" " if rng.random() < 0.15 else chr(rng.randint(*span)) for _ in range(4000)])
        for name, span in scripts.items()
    }
    bytes_as_text = bytes(rng.randrange(256) for _ in range(8000)).decode("utf-8", "replace")
    return samples | {
        "english": " ".join([rng.choice(words) for _ in range(5000)]),
        "code": "\n\n".join([f"def f{i}(a, b=None):\n\treturn a[{i}] + b // 2  # {i * i}\r" for i in range(400)]),
        "json": '[{"name": "get_weather", "arguments": {"city": "Zürich", "n": 12}}, null]\n' * 200,
        "emoji": "".join([rng.choice("👩‍👩‍👧 🇩🇪 ❤️ 👍🏽 a") for _ in range(4000)]),
        "bytes": bytes_as_text,
        "markers": "<|start|>assistant<|channel|>final<|message|>Hi<|return|><|endofprompt|><|reserved_200099|>" * 50,
        **{f"run of {c!r}": c * 20_000 for c in "a -\n_中😀Aé'1"},
        "crlf": "\r\n" * 10_000,
        "one word": "abcdefghij" * 3000,
    }


@pytest.mark.parametrize("name", corpora())
def test_ids_equal_tiktoken(peer_tokenizer: tiktoken.Encoding, name: str) -> None:
    text = corpora()[name]
    ids = motet.encode(text)
    assert ids == peer_tokenizer.encode_ordinary(text)
    assert list(motet.encode_array(text)) == ids
    assert [list(item) for item in motet.encode_batch([text, "", text])] == [ids, [], ids]
    assert motet.count(text) == len(ids)
    assert motet.decode(ids) == text
    assert motet.decode_bytes(ids) == text.encode()


@given(mixed)
def test_any_text_encodes_as_in_tiktoken(peer_tokenizer: tiktoken.Encoding, text: str) -> None:
    assert motet.encode(text) == peer_tokenizer.encode_ordinary(text)
    assert motet.encode(text, special="token") == peer_tokenizer.encode(text, allowed_special="all")


@pytest.mark.parametrize("plane", range(17))
def test_every_code_point_encodes_as_in_tiktoken(peer_tokenizer: tiktoken.Encoding, plane: int) -> None:
    points = [chr(c) for c in range(plane << 16, plane + 1 << 16) if not 0xD800 <= c < 0xE000]
    texts = [f"{c} a{c}B{c}1{c}'S" for c in points]
    # One by one: tiktoken's threads take six times as long for texts of this length.
    expected = [peer_tokenizer.encode_ordinary(text) for text in texts]
    assert [list(ids) for ids in motet.encode_batch(texts)] == expected


def test_every_token_decodes_as_in_tiktoken(peer_tokenizer: tiktoken.Encoding) -> None:
    for token in range(motet.VOCAB_SIZE):
        assert motet.decode_bytes([token]) == peer_tokenizer.decode_bytes([token])
    assert dict(motet.SPECIAL_TOKENS) == peer_tokenizer._special_tokens
    assert peer_tokenizer.n_vocab == motet.VOCAB_SIZE
    assert motet.decode([200018]) == "<|endofprompt|>"


@given(st.lists(st.integers(0, motet.VOCAB_SIZE - 1), max_size=40))
def test_any_ids_decode_as_in_tiktoken(peer_tokenizer: tiktoken.Encoding, ids: list[int]) -> None:
    assert motet.decode(ids) == peer_tokenizer.decode(ids)
    assert motet.decode_bytes(ids) == peer_tokenizer.decode_bytes(ids)
    assert motet.decode(array("I", ids)) == motet.decode(numpy.array(ids, "int64")) == motet.decode(tuple(ids))


def test_special_tokens_in_text_follow_the_policy() -> None:
    assert motet.encode("<|end|>", special="token") == [200007]
    assert 200007 not in motet.encode("<|end|>")
    with pytest.raises(motet.SpecialTokenError, match=r"<\|end\|>.*byte 3") as caught:
        motet.encode("é <|end|>", special="error")
    assert (caught.value.token, caught.value.position) == ("<|end|>", 3)
    assert motet.encode("a<|b|>", special="error") == motet.encode("a<|b|>")


def test_sets_of_special_tokens_count_alone() -> None:
    text = "<|start|>user<|message|>a<|end|>"
    ids = motet.encode(text, special={"<|end|>", "<|start|>"})
    assert [token for token in ids if token >= 199_998] == [200006, 200007]
    assert motet.decode(ids) == text
    for special in ("text", "token", ["<|end|>"], motet.SPECIAL_TOKENS):
        expected = motet.encode(text, special=special)
        assert list(motet.encode_array(text, special=special)) == expected
        assert [list(item) for item in motet.encode_batch([text, ""], special=special)] == [expected, []]
        assert motet.count(text, special=special) == len(expected)
    assert motet.encode(text, special=()) == motet.encode(text)


def test_refused_special_tokens_are_named() -> None:
    for function in (motet.encode, motet.count, motet.encode_with_offsets):
        with pytest.raises(motet.SpecialTokenError, match="text holds the special token"):
            function("<|end|>", special="error")
    with pytest.raises(motet.SpecialTokenError, match=r"texts\[1\] holds .* at byte 1"):
        motet.encode_batch(["a", "a<|end|>"], special="error")
    for special in ({"<|nope|>"}, ["<|end|>", "\ud800"]):
        with pytest.raises(ValueError, match="unknown special token in special: "):
            motet.encode("a", special=special)
    for wrong in (None, 5, [5], b"text"):
        with pytest.raises(TypeError, match="special must be"):
            motet.encode("a", special=wrong)  # type: ignore[arg-type]


@given(st.lists(mixed | st.sampled_from(["\ud83d", "\ude00", "\udfff", "\ud800"]), max_size=6).map("".join))
def test_surrogates_encode_as_in_tiktoken(peer_tokenizer: tiktoken.Encoding, text: str) -> None:
    expected = peer_tokenizer.encode(text, allowed_special="all")
    assert motet.encode(text, special="token") == expected
    assert list(motet.encode_array(text, special="token")) == expected
    assert [list(ids) for ids in motet.encode_batch([text], special="token")] == [expected]
    assert motet.encode_with_offsets(text, special="token")[0] == expected
    assert motet.count(text, special="token") == len(expected)


@pytest.mark.parametrize("function", [motet.encode, motet.encode_array, motet.count, motet.StreamEncoder().feed])
def test_non_text_is_refused(function: Any) -> None:
    for wrong in (None, 1, b"bytes", ["a"]):
        with pytest.raises(TypeError, match="text must be str, not"):
            function(wrong)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="special must be"):
        motet.encode("a", special="all")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"texts\[1\] must be str, not int"):
        motet.encode_batch(["a", 1])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="texts must be a list"):
        motet.encode_batch("abc")
    with pytest.raises(ValueError, match="threads"):
        motet.encode_batch(["a"], threads=0)
    for ids, message in (
        ([1, 201088], r"ids\[1\] is 201088"),
        ([-1], r"ids\[0\] is -1"),
        ([2**40], "is 1099511627776"),
    ):
        with pytest.raises(ValueError, match=message):
            motet.decode(ids)
    for wrong in (["a"], [1.0], [None], [True], "text", 5):
        with pytest.raises(TypeError, match="ids"):
            motet.decode(wrong)  # type: ignore[arg-type]
    lone = next(token for token in range(256) if motet.decode_bytes([token]) == b"\xff")
    assert motet.decode([lone]) == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        motet.decode([lone], errors="strict")


@pytest.mark.parametrize("character", "a -中😀\n")
def test_long_run_of_a_character_releases_the_gil(character: str) -> None:
    text, gate, others = character * 1_000_000, threading.Lock(), list[str]()
    assert motet.decode(motet.encode_array(text)) == text

    def wait() -> None:
        with gate:
            others.append("ran")

    gate.acquire()
    other = threading.Thread(target=wait)
    other.start()
    interval = sys.getswitchinterval()
    # So long that the other thread runs only if a call releases the GIL.
    sys.setswitchinterval(1_000)
    try:
        gate.release()
        give_up = time.monotonic() + 60
        while not others and time.monotonic() < give_up:
            motet.encode_array(text)
        assert others == ["ran"]
    finally:
        sys.setswitchinterval(interval)
        other.join()
