"""Events that parsers share: frames with equal headers take over the events of ended ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import copy

import motet

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def fed(header: str, pieces: list[str]) -> list[motet.Event]:
    parser = motet.StreamParser()
    parser.feed(f"<|channel|>{header}<|message|>")
    events = [event for piece in pieces for event in parser.feed(piece)]
    parser.close()
    return events


def test_deltas_of_all_lengths_stay_apart() -> None:
    pieces = [LETTERS[:length] + end for length in range(20) for end in ("x", "y", "\0", "\0\0")]
    for _ in range(3):
        assert [event.delta for event in fed("analysis", pieces)] == pieces


def test_equal_headers_share_events_and_others_do_not() -> None:
    pieces = ["one ", "two ", "one "]
    first, second, final = fed("analysis", pieces), fed("analysis", pieces), fed("final", pieces)
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert [event.channel for event in final] == ["final"] * 3
    assert [event.delta for event in final] == pieces


def test_events_of_calls_keep_their_own_ids() -> None:
    header = "commentary to=functions.f <|constrain|>json"
    ids = set()
    for turn in range(4):
        parser = motet.StreamParser(turn=turn)
        parser.feed(f"<|channel|>{header}<|message|>")
        ids.update(event.call_id for piece in ("{", "}") for event in parser.feed(piece))
    assert len(ids) == 4


def test_frames_of_more_headers_than_are_kept() -> None:
    pieces = [f"{letter} " for letter in LETTERS]
    for _ in range(2):
        for number in range(30):
            events = fed(f"channel{number}", pieces)
            assert [(event.channel, event.delta) for event in events] == [(f"channel{number}", p) for p in pieces]


def test_threads_share_events_of_ended_frames() -> None:
    pieces = [f"{a}{b} " for a in LETTERS for b in LETTERS]
    with ThreadPoolExecutor(8) as threads:
        for events in threads.map(lambda number: fed(("analysis", "final")[number % 2], pieces), range(32)):
            assert [event.delta for event in events] == pieces


def test_a_copied_parser_goes_on_with_its_own_events() -> None:
    parser = motet.StreamParser()
    parser.feed("<|channel|>final<|message|>one ")
    before = parser.completion
    other = copy(parser)
    assert [event.delta for event in parser.feed("two ")] == ["two "]
    assert [event.delta for event in other.feed("three ")] == ["three "]
    assert (before.text, parser.completion.text, other.completion.text) == ("one ", "one two ", "one three ")
