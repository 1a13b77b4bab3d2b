"""Events that parsers share: frames with equal headers take over the events of ended ones."""

from __future__ import annotations

import inspect
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any

import pytest

import motet
from tests.support.completions import stream

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


def test_words_read_twice_are_read_as_whole_text() -> None:
    """A word whose event is known is read at once: not within a held character, a held role or a held marker."""
    content = "a b. b 😀 b<b is b.assis b {}assistant b a < b <|en b ü" * 3
    text = f"<|channel|>analysis<|message|>{content}<|end|><|start|>assistant<|channel|>final<|message|>{content}<|return|>"
    units = text.encode("utf-16-le")
    halves = [units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)]
    raws: list[list[Any]] = [motet.encode(text, special="token"), list(text), halves]
    for raw in raws:
        events, completion = stream(raw)
        assert completion == motet.parse(raw if isinstance(raw[0], int) else text)
        assert [frame.content for frame in completion.frames] == [content] * 2
        assert "".join([event.delta for event in events]) == content * 2


def test_strict_excerpts_show_words_read_twice() -> None:
    parser = motet.StreamParser(strict=True)
    for chunk in ["<|channel|>", "final", "<|message|>", " one", " one", " one", "<|end|>"]:
        parser.feed(chunk)
    with pytest.raises(motet.ParseError, match="one one one"):
        parser.feed("<|end|>")


def test_a_list_of_events_that_is_kept_or_changed_stays_so() -> None:
    parser = motet.StreamParser()
    parser.feed("<|channel|>final<|message|>")
    kept = [parser.feed("x") for _ in range(3)]
    assert len({id(events) for events in kept}) == 3
    events = parser.feed("y")
    events.append(events[0])
    assert [event.delta for event in parser.feed("z")] == ["z"]
    del events[:]
    assert ([event.delta for event in parser.feed("w")], events) == (["w"], [])
    changed = parser.feed("v")
    changed.clear()
    del changed
    assert [event.delta for event in parser.feed("u")] == ["u"]


def test_threads_feed_known_words_to_one_parser() -> None:
    parser = motet.StreamParser()
    parser.feed("<|channel|>final<|message|>")

    def feed(word: str) -> str:
        return "".join([event.delta for _ in range(3000) for event in parser.feed(word)])

    with ThreadPoolExecutor(4) as threads:
        deltas = list(threads.map(feed, ["w", "x", "y", "z"]))
    assert deltas == ["w" * 3000, "x" * 3000, "y" * 3000, "z" * 3000]
    assert sorted(parser.completion.text) == sorted("".join(deltas))


def test_feed_is_a_method_of_its_class_alone() -> None:
    feed: Any = motet.StreamParser.feed
    assert str(inspect.signature(feed)) == "(self, chunk, /)"
    for arguments in [(), (motet.StreamDecoder(), 64), (motet.StreamParser(),), (motet.StreamParser(), 64, 64)]:
        with pytest.raises(TypeError):
            feed(*arguments)
    parser, texts = motet.StreamParser(), ["<|channel|>final<|message|>", "x", "x"]
    assert [event.delta for text in texts for event in feed(parser, text)] == ["", "x", "x"]
    references = sys.getrefcount(parser), sys.getrefcount(texts)
    for _ in range(1000):
        feed(parser, "x")
        with pytest.raises(TypeError):
            parser.feed(texts)  # type: ignore[arg-type]
    assert (sys.getrefcount(parser), sys.getrefcount(texts)) == references


def test_a_word_as_a_subclass_of_text_or_int_is_read() -> None:
    class Word(str):
        __slots__ = ()

    class Id(int):
        pass

    head = "<|channel|>final<|message|>"
    for chunks in ([head, *[Word("x"), "x"] * 3], [motet.encode(head, special="token"), *[Id(87), 87] * 3]):
        events, completion = stream(chunks)
        assert completion.text == "x" * 6
        assert [event.delta for event in events if event.type == "delta"] == ["x"] * 6


def test_items_of_a_list_may_feed_its_parser() -> None:
    parser = motet.StreamParser()
    parser.feed(motet.encode("<|channel|>final<|message|>", special="token"))

    class Id:
        def __index__(self) -> int:
            parser.feed([64])
            return 65

    read: list[list[Any]] = [[66, Id()], [66, 67], [66] * 2000, [66, 2**40]]
    assert [[event.delta for event in parser.feed(ids)] for ids in read] == [
        ["cb"],
        ["cd"],
        ["c" * 2000],
        ["c", "", "\ufffd"],
    ]
    assert parser.completion.text == "acbcd" + "c" * 2001 + "\ufffd"
    with pytest.raises(TypeError, match=r"chunk\[1\] must be a token id"):
        parser.feed([66, "text"])
    parser.close()
    with pytest.raises(ValueError, match="closed"):
        parser.feed([66])
