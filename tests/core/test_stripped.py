"""Completions whose special tokens a server left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from tests.support.completions import STRIPPED, WORDS, cut, joined, stream


def test_frames_are_found_in_stripped_text() -> None:
    for raw in (STRIPPED, STRIPPED.encode(), motet.encode(STRIPPED)):
        completion = motet.parse(raw)
        assert completion.reasoning == "Need tool."
        assert [(call.name, call.arguments) for call in completion.tool_calls] == [("get_weather", '{"city":"Tokyo"}')]
        assert not completion.tool_calls[0].trusted
        assert [repair.code for repair in completion.repairs] == ["stripped_markers"] * 2
        assert completion.stop is None
    assert motet.parse(STRIPPED, stripped="never").text == STRIPPED
    assert [frame.content for frame in motet.frames(STRIPPED, role="assistant", stripped="never")] == [STRIPPED]
    assert len(motet.frames(STRIPPED, role="assistant")) == 2
    sample = "analysis of it.assistantfinalYes."
    assert motet.parse(sample).text == sample
    completion = motet.parse(sample, stripped="always")
    assert (completion.reasoning, completion.text) == (" of it.", "Yes.")
    assert stream(list(sample), stripped="always")[1] == completion
    with pytest.raises(ValueError, match="stripped must be"):
        motet.parse(sample, stripped="maybe")  # type: ignore[arg-type]
    with pytest.raises(motet.ParseError, match="stripped_markers at 0"):
        motet.parse(STRIPPED, strict=True)


@given(
    st.sampled_from(
        ["analysis", "commentary", "final", "assistant", "Analysis", "Final", "Finally", "finally", "finals"]
    ),
    st.sampled_from([" ", ": ", ", ", "-", "'s ", "/", ". ", "? ", "Result = ", "_score ", "() ", " of the "]),
    st.text(),
)
def test_plain_answers_with_header_words_stay_plain(word: str, behind: str, rest: str) -> None:
    completion = motet.parse(word + behind + rest.replace("<|", ""))
    assert completion.text == word + behind + rest.replace("<|", "")
    assert [repair.code for repair in completion.repairs] == ["no_markup"]


@given(
    st.lists(st.sampled_from([*WORDS, "analysis", "assistant", "final", "We need", "commentary"]), max_size=12),
    st.data(),
)
def test_stripped_text_parses_the_same_however_it_is_cut(words: list[str], data: Any) -> None:
    text = "".join(words)
    for stripped in ("auto", "always", "never"):
        events, whole = stream([text], stripped=stripped)
        assert motet.parse(text, stripped=stripped) == whole  # type: ignore[arg-type]
        cut_events, completion = stream(cut(data.draw, text), stripped=stripped)
        assert completion == whole
        assert joined(cut_events) == joined(events)
