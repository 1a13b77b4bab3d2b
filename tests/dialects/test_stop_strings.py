"""Stop strings in the texts of a reply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import Event
from motet.dialects.replies import message_events
from motet.dialects.stop_strings import StopStrings, cut_message


def shown(chunks: list[str], stops: list[str]) -> tuple[str, str | None]:
    filter_ = StopStrings(stops)
    events = [Event("start", "text"), *[Event("delta", "text", 0, chunk) for chunk in chunks], Event("end", "text")]
    text = ""
    for event in events:
        text += "".join([part.delta for part in filter_.feed(event)])
        if filter_.match is not None:
            break
    return text, filter_.match


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one\nObservation: two", ["\nObservation:"], ("one", "\nObservation:")),
        ("no stop here", ["\n\n"], ("no stop here", None)),
        ("ends with \nObs", ["\nObservation:"], ("ends with \nObs", None)),
        ("abcabd", ["abd"], ("abc", "abd")),
        ("aXbY", ["Y", "X"], ("a", "X")),
        ("abc", ["b", "bc"], ("a", "b")),
        ("abc", [""], ("abc", None)),
        ("END", ["END"], ("", "END")),
    ],
)
def test_text_ends_before_the_first_stop_string(text: str, stops: list[str], expected: tuple[str, str | None]) -> None:
    assert shown([text], stops) == expected
    assert shown(list(text), stops) == expected
    assert cut_message(motet.Message("assistant", (motet.Text(text),)), stops).text == expected[0]


@given(st.lists(st.text("ab", max_size=3), max_size=8), st.lists(st.text("ab", max_size=3), max_size=3))
def test_cuts_between_chunks_do_not_matter(chunks: list[str], stops: list[str]) -> None:
    text = "".join(chunks)
    assert shown(chunks, stops) == shown([text], stops) == shown(list(text), stops)
    assert cut_message(motet.Message("assistant", (motet.Text(text),)), stops).text == shown(chunks, stops)[0]
    assert (shown(chunks, stops)[1] is None) == (not any(stop and stop in text for stop in stops))


def test_reasoning_and_calls_are_not_searched() -> None:
    call = motet.ToolCall("f", '{"a": "STOP"}')
    message = motet.Message("assistant", (motet.Reasoning("STOP"), motet.Preamble("go"), call))
    filter_ = StopStrings(["STOP"])
    events = [part for event in message_events(message) for part in filter_.feed(event)]
    assert events == list(message_events(message))
    assert cut_message(message, ["STOP"]) == message


def test_message_ends_at_the_stop_string() -> None:
    message = motet.Message("assistant", (motet.Reasoning("Hm."), motet.Text("a STOP b"), motet.Text("c")))
    cut = cut_message(message, ["STOP"])
    assert [part.type for part in cut.content] == ["reasoning", "text"]
    assert cut.text == "a "
