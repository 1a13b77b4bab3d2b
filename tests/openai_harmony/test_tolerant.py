"""`mode="tolerant"`: motet's reading through openai-harmony's interface."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

import motet
from motet import openai_harmony as library
from tests.support.completions import CORPUS
from tests.support.harmony_streams import VALID, observed, token_streams, tokens_of
from tests.support.hypothesis_profiles import examples

ENCODING = library.load_harmony_encoding("HarmonyGptOss", mode="tolerant")
EXACT = library.load_harmony_encoding("HarmonyGptOss")


def read(tokens: list[int], role: library.Role | None = library.Role.ASSISTANT) -> tuple[Any, Any]:
    """The parser after all tokens, and the deltas with the headers that it showed beside them."""
    parser = library.StreamableParser(ENCODING, role)
    deltas = []
    for token in [*tokens, None]:
        assert (parser.process_eos() if token is None else parser.process(token)) is parser
        if parser.last_content_delta is not None:
            deltas.append((parser.current_channel, parser.current_recipient, parser.last_content_delta))
    return parser, deltas


def values(message: Any) -> tuple[Any, ...]:
    """A message or a frame as values."""
    if isinstance(message, motet.Frame):
        header = (message.role, message.name, message.channel, message.recipient, message.content_type)
        return (*header, message.content)
    header = (message.author.role.value, message.author.name, message.channel, message.recipient, message.content_type)
    return (*header, message.content[0].text)


def _with_texts_left_out(texts: list[str]) -> set[str]:
    """All texts joined, and joined without some of them."""
    joined = {""}
    for text in texts:
        joined |= {start + text for start in joined}
    return joined


@examples(200)
@given(token_streams())
def test_messages_are_the_frames_of_motet(tokens: list[int]) -> None:
    tokens = [token for token in tokens if 0 <= token < 2**32]
    parser, deltas = read(tokens)
    frames = motet.parse(tokens, stripped="never").frames
    assert [values(message) for message in parser.messages] == [values(frame) for frame in frames]
    assert parser.repairs == list(motet.parse(tokens, stripped="never").repairs)
    assert parser.tokens == tokens
    # A token that decides on the text of two messages shows that of the second.
    shown = "".join([delta for *_, delta in deltas])
    assert shown in _with_texts_left_out([frame.content for frame in frames])
    parsed = ENCODING.parse_messages_from_completion_tokens(tokens, library.Role.ASSISTANT)
    assert parsed == parser.messages


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_corpus_reads_without_an_error(path: Any) -> None:
    tokens = tokens_of(path.read_text().split("\n===\n")[1])
    deltas = read(tokens)[1]
    headers = [
        (frame.channel, frame.recipient) for frame in motet.parse(tokens, stripped="never").frames if frame.content
    ]
    shown = [delta[:2] for delta in deltas]
    assert [pair for at, pair in enumerate(shown) if at == 0 or pair != shown[at - 1]] == [
        pair for at, pair in enumerate(headers) if at == 0 or pair != headers[at - 1]
    ]


@pytest.mark.parametrize("at", range(len(VALID)))
def test_valid_messages_show_the_same_states(at: int) -> None:
    text = VALID[at]
    role = library.Role.ASSISTANT if text.startswith("<|channel|>") else None
    parsers = [library.StreamableParser(encoding, role) for encoding in (ENCODING, EXACT)]
    for token in tokens_of(text):
        ours, theirs = [observed(library, parser.process(token)) for parser in parsers]
        if not text.startswith("<|start|>functions.f"):
            assert ours == theirs


def test_mode_of_the_parser_wins_over_that_of_the_encoding() -> None:
    tokens = tokens_of("<|channel|>final<|end|>")
    parser = library.StreamableParser(ENCODING, library.Role.ASSISTANT, mode="exact")
    with pytest.raises(library.HarmonyError):
        for token in [*tokens, *tokens]:
            parser.process(token)
        parser.process_eos()
    assert EXACT.parse_messages_from_completion_tokens(tokens, library.Role.ASSISTANT, mode="tolerant") == []
    with pytest.raises(ValueError, match="mode must be"):
        library.StreamableParser(EXACT, None, mode="lenient")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode must be"):
        library.load_harmony_encoding("HarmonyGptOss", mode="lenient")  # type: ignore[arg-type]


def test_a_new_completion_begins_after_the_end() -> None:
    parser, _ = read(tokens_of("<|channel|>final<|message|>Hi"))
    assert parser.state is library.StreamState.EXPECT_START
    for token in tokens_of("<|start|>assistant<|channel|>final<|message|>there"):
        parser.process(token)
    assert (parser.current_channel, parser.current_content) == ("final", "there")
    assert [message.content[0].text for message in parser.process_eos().messages] == ["Hi", "there"]
