"""`motet.tiktoken` beside tiktoken itself."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy
import pytest
import tiktoken as peer
from hypothesis import given
from hypothesis import strategies as st

from motet import tiktoken

NAMES = ["o200k_base", "o200k_harmony"]
TEXTS = st.lists(
    st.sampled_from(["<|end|>", "<|endoftext|>", "<|endofprompt|>", "<|reserved_200018|>", "<|start|>", "<|", "|>"])
    | st.text(st.characters(codec=None), max_size=8)
    | st.sampled_from([" ", "a", "'s", "\ud83d", "\ude00", "12345", "\n"]),
    max_size=8,
).map("".join)
SPECIALS = st.sampled_from(
    [
        "all",
        frozenset(),
        frozenset({"<|end|>"}),
        frozenset({"<|endoftext|>", "<|start|>"}),
        frozenset({"<|nope|>", "a"}),
    ]
)


@pytest.fixture(params=NAMES)
def pair(request: pytest.FixtureRequest, lent_vocabulary: Path) -> tuple[Any, Any]:
    """Encodings of one name: motet's, and tiktoken's."""
    return tiktoken.get_encoding(request.param), peer.get_encoding(request.param)


def outcome(function: Any, *arguments: Any, **options: Any) -> Any:
    """The result, or the type of the exception."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        return type(error) if not isinstance(error, ValueError) else ValueError


@given(TEXTS, SPECIALS, SPECIALS)
def test_any_text_encodes_as_in_tiktoken(lent_vocabulary: Path, text: str, allowed: Any, disallowed: Any) -> None:
    for name in NAMES:
        ours, theirs = tiktoken.get_encoding(name), peer.get_encoding(name)
        options = {"allowed_special": allowed, "disallowed_special": disallowed}
        assert outcome(ours.encode, text, **options) == outcome(theirs.encode, text, **options)
        assert outcome(ours.encode_batch, [text, "a"], **options) == outcome(
            theirs.encode_batch, [text, "a"], **options
        )
        assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)
        assert outcome(ours.encode, text) == outcome(theirs.encode, text)


@given(st.lists(st.integers(0, 201_200), max_size=8) | TEXTS.map(lambda text: list(text.encode("utf-8", "replace"))))
def test_any_ids_decode_as_in_tiktoken(lent_vocabulary: Path, ids: list[int]) -> None:
    for name in NAMES:
        ours, theirs = tiktoken.get_encoding(name), peer.get_encoding(name)
        for method in ("decode", "decode_bytes", "decode_tokens_bytes", "decode_with_offsets"):
            assert outcome(getattr(ours, method), ids) == outcome(getattr(theirs, method), ids), method
        for errors in ("strict", "ignore", "backslashreplace"):
            assert outcome(ours.decode, ids, errors) == outcome(theirs.decode, ids, errors)


@given(st.text(max_size=30))
def test_offsets_equal_those_of_tiktoken(lent_vocabulary: Path, text: str) -> None:
    ours, theirs = tiktoken.get_encoding("o200k_base"), peer.get_encoding("o200k_base")
    ids = theirs.encode_ordinary(text)
    assert ours.decode_with_offsets(ids) == theirs.decode_with_offsets(ids)


def test_constants_equal_those_of_tiktoken(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    for name in ("name", "n_vocab", "max_token_value", "eot_token", "special_tokens_set"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert repr(ours) == repr(theirs)
    assert ours.token_byte_values() == theirs.token_byte_values()
    for token in range(199_990, 201_100):
        assert ours.is_special_token(token) == theirs.is_special_token(token)


def test_single_tokens_equal_those_of_tiktoken(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    for token in [*range(0, 199_998, 97), *range(199_990, 201_100), -1, 1 << 40]:
        assert outcome(ours.decode_single_token_bytes, token) == outcome(theirs.decode_single_token_bytes, token)
    values = ["a", "", " the", "no token", "<|end|>", "<|endofprompt|>", "<|reserved_200018|>", b"\xff", b"\xe4\xb8"]
    for value in values:
        assert outcome(ours.encode_single_token, value) == outcome(theirs.encode_single_token, value), value


def test_batches_and_arrays_equal_those_of_tiktoken(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    texts = ["Hello world", "", "naïve 中文", "<|end|>"]
    assert ours.encode_ordinary_batch(texts) == theirs.encode_ordinary_batch(texts)
    ids = [theirs.encode_ordinary(text) for text in texts]
    assert ours.decode_batch(ids) == theirs.decode_batch(ids)
    assert ours.decode_bytes_batch(ids) == theirs.decode_bytes_batch(ids)
    array, expected = ours.encode_to_numpy("Hello world"), theirs.encode_to_numpy("Hello world")
    assert array.dtype == expected.dtype == numpy.uint32
    assert (array == expected).all()
    assert ours.decode(array) == "Hello world"


def test_wrong_arguments_raise_as_in_tiktoken(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    for ids in ([300_000], [-1], [1 << 40], ["a"], [1.5]):
        assert outcome(ours.decode, ids) is outcome(theirs.decode, ids), ids
    for text in (5, None):
        assert outcome(ours.encode_ordinary, text) is outcome(theirs.encode_ordinary, text)
    with pytest.raises(ValueError, match=r"disallowed special token '<.endoftext.>'"):
        ours.encode("<|endoftext|>")
    with pytest.raises(ValueError, match="allowed_special must be 'all' or a set"):
        ours.encode("a", allowed_special="none")


def test_signatures_have_the_parameters_of_tiktoken() -> None:
    for name, method in inspect.getmembers(tiktoken.Encoding, inspect.isfunction):
        if name.startswith("_"):
            continue
        expected = inspect.signature(getattr(peer.Encoding, name)).parameters
        assert list(inspect.signature(method).parameters) == list(expected), name
    public = {name for name in vars(peer.Encoding) if not name.startswith("_")} - {"encode_with_unstable"}
    assert public <= {*vars(tiktoken.Encoding), "name"}


def test_models_have_the_encodings_of_tiktoken() -> None:
    assert tiktoken.list_encoding_names() == NAMES
    models = [*peer.model.MODEL_TO_ENCODING, *(f"{prefix}x" for prefix in peer.model.MODEL_PREFIX_TO_ENCODING), "other"]
    for model in models:
        expected = outcome(peer.encoding_name_for_model, model)
        assert outcome(tiktoken.encoding_name_for_model, model) == (expected if expected in NAMES else KeyError)
    assert tiktoken.encoding_for_model("gpt-oss-120b").name == "o200k_harmony"
    with pytest.raises(ValueError, match="unknown encoding: 'cl100k_base'"):
        tiktoken.get_encoding("cl100k_base")


def test_names_with_underscores_equal_those_of_tiktoken(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    assert ours._pat_str == theirs._pat_str
    assert ours._mergeable_ranks == theirs._mergeable_ranks
    assert ours._special_tokens == theirs._special_tokens
    for piece in (" hello", b"hello", b"\xf0\x9f", b"  \n", "zzqx"):
        assert ours._encode_single_piece(piece) == theirs._encode_single_piece(piece)
    assert ours._encode_only_native_bpe("Hello world") == theirs._encode_only_native_bpe("Hello world")


@given(st.lists(st.binary(max_size=4) | st.sampled_from([b" ", b"\n", b"\t ", b"the", "실".encode()]), max_size=6))
def test_bytes_encode_as_in_tiktoken(lent_vocabulary: Path, chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    ours, theirs = tiktoken.get_encoding("o200k_harmony"), peer.get_encoding("o200k_harmony")
    assert ours._encode_bytes(data) == theirs._encode_bytes(data)
    assert ours.decode_bytes(ours._encode_bytes(data)) == data


def test_copies_are_the_same_encoding() -> None:
    encoding = tiktoken.get_encoding("o200k_harmony")
    assert copy.copy(encoding) is copy.deepcopy(encoding) is pickle.loads(pickle.dumps(encoding)) is encoding
