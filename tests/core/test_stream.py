"""Streaming: any chunk boundaries, and snapshots at any time."""

from __future__ import annotations

import copy
import itertools
import operator
import pickle
import threading
from array import array
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import Event
from tests.support.completions import CALL, STRIPPED, cut, joined, stream, wild_ids, wild_text


@given(wild_text, st.data(), st.sampled_from(["assistant", None]))
def test_text_parses_the_same_however_it_is_cut(text: str, data: Any, role: Any) -> None:
    whole = motet.parse(text, role=role)
    events, streamed = stream([text], role=role)
    assert streamed == whole
    for form in (text, text.encode()):
        cut_events, completion = stream(cut(data.draw, form), role=role)
        assert completion == whole
        assert joined(cut_events) == joined(events)
    assert motet.parse(text.encode(), role=role) == motet.parse(bytearray(text.encode()), role=role) == whole


@given(wild_ids, st.data(), st.sampled_from(["assistant", None]))
def test_ids_parse_the_same_however_they_are_cut(ids: list[int], data: Any, role: Any) -> None:
    whole = motet.parse(ids, role=role)
    events, streamed = stream(ids, role=role)
    assert streamed == whole
    assert streamed.tokens == whole.tokens
    cut_events, completion = stream(cut(data.draw, ids), role=role)
    assert completion == whole
    assert completion.tokens == whole.tokens
    assert joined(cut_events) == joined(events)
    assert sum(whole.tokens.values()) == len(ids)
    for form in (array("I", ids), array("q", ids), numpy.array(ids, "uint32"), numpy.array(ids, "int64"), tuple(ids)):
        assert motet.parse(form, role=role) == whole


@given(wild_ids | wild_text)
def test_deltas_join_to_the_contents(raw: Any) -> None:
    events, completion = stream([raw])
    contents = [
        "".join([e.delta for e in events if e.index == at and e.type == "delta"])
        for at in range(len(completion.frames))
    ]
    assert contents == [frame.content for frame in completion.frames]
    assert [e.type for e in events if e.type in ("start", "end")] == ["start", "end"] * len(completion.frames)


def test_events_are_values() -> None:
    events, _ = stream(["<|channel|>final<|message|>Hi<|end|><|end|>"])
    for event in events:
        assert pickle.loads(pickle.dumps(event)) == copy.copy(event) == copy.deepcopy(event) == event
        assert hash(copy.copy(event)) == hash(event)
        assert len(repr(event)) < 200
    assert len(set(events)) == len(events) == 4
    assert events[0] != "start"
    match events[1]:
        case Event("delta", "text", 0, "Hi"):
            pass
        case other:
            pytest.fail(f"{other}")


def test_threads_share_a_parser_without_losing_a_token() -> None:
    parser = motet.StreamParser()
    parser.feed("<|channel|>final<|message|>")
    deltas: list[str] = []

    def feed() -> None:
        for _ in range(2000):
            deltas.extend([event.delta for event in parser.feed("ab")])

    threads = [threading.Thread(target=feed) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert parser.completion.text == "ab" * 16_000 == "".join(deltas)


def test_completion_is_a_snapshot() -> None:
    ids = motet.encode(CALL, special="token")
    raws: list[list[Any]] = [ids, list(CALL), list(STRIPPED), [200007] * 20 + ids, ids + ids]
    for raw in raws:
        parser, polled, expected = motet.StreamParser(), [], []
        for number, chunk in enumerate(raw):
            parser.feed(chunk)
            polled.append(parser.completion)
            copied = copy.copy(parser).completion
            expected.append((copied.message, copied.frames, copied.repairs, copied.stop, copied.tokens))
            if number % 3 == 0:
                assert polled[-1] == copied
        parser.close()
        last = parser.completion
        parser.reset()
        parser.feed(raw[0])
        for completion, values in zip(polled, expected, strict=True):
            assert values == (
                completion.message,
                completion.frames,
                completion.repairs,
                completion.stop,
                completion.tokens,
            )
        assert last == motet.parse(raw if isinstance(raw[0], int) else "".join([str(piece) for piece in raw]))
        assert pickle.loads(pickle.dumps(polled[-1])) == copy.deepcopy(polled[-1]) == polled[-1]


def test_polled_repairs_stay_as_they_were() -> None:
    """Behind the first thousand, repairs are added to those of their code: snapshots keep what was counted then."""
    parser, polled, expected = motet.StreamParser(), [], []
    parser.feed(motet.encode("<|channel|>final<|message|>", special="token"))
    for number in range(1100):
        parser.feed([64, 1_000_000 + number if number % 7 else motet.SPECIAL_TOKENS["<|constrain|>"]])
        polled.append(parser.completion)
        expected.append(copy.copy(parser).completion.repairs)
    assert [repair.count > 1 for repair in expected[-1][1000:]] == [True, True]
    assert [completion.repairs for completion in polled] == expected


def test_polling_makes_finished_objects_once() -> None:
    parser = motet.StreamParser()
    polled = []
    for chunk in [*CALL, *"<|start|>assistant<|channel|>final<|message|>Hi<|end|>" * 3, "<|end|>"]:
        parser.feed(chunk)
        polled.append(parser.completion)
        _ = polled[-1].frames, polled[-1].message, polled[-1].tool_calls, polled[-1].repairs, polled[-1].reasoning
    last = polled[-1]
    for before, after in itertools.pairwise(polled):
        settled = [frame.stop is not None for frame in before.frames].count(True)
        assert all(map(operator.is_, before.frames[:settled], last.frames))
        if [frame.channel for frame in before.frames[-1:]] == ["final"]:
            assert before.reasoning is after.reasoning
            assert before.tool_calls is after.tool_calls


@given(wild_text | wild_ids, st.data())
def test_polled_texts_are_those_of_the_message(raw: Any, data: Any) -> None:
    parser, polled = motet.StreamParser(), []
    for chunk in cut(data.draw, raw):
        parser.feed(chunk)
        completion = parser.completion
        polled.append((completion, completion.text, completion.reasoning, completion.preamble, completion.tool_calls))
    for completion, *joined_fields in data.draw(st.permutations(polled)):
        message = completion.message
        assert joined_fields == [message.text, message.reasoning, message.preamble, message.tool_calls]
        assert joined_fields == [completion.text, completion.reasoning, completion.preamble, completion.tool_calls]


def test_copied_parser_is_independent() -> None:
    parser = motet.StreamParser()
    parser.feed("<|channel|>final<|message|>one")
    fork = copy.copy(parser)
    parser.feed(" two")
    fork.feed(" three")
    assert (parser.completion.text, fork.completion.text) == ("one two", "one three")
    assert copy.deepcopy(parser).completion == parser.completion


def test_start_event_has_tool_name_and_call_id() -> None:
    raw = "<|channel|>commentary to=functions.GetWeather <|constrain|>json<|message|>{}<|call|>"
    for chunks in ([raw], list(raw), motet.encode(raw, special="token")):
        events, completion = stream(chunks, tools=["getweather"])
        [call] = completion.tool_calls
        of_frame = [event for event in events if event.type != "repair"]
        assert {(event.name, event.call_id) for event in of_frame} == {("getweather", call.id)}
        assert (call.name, call.recipient) == ("getweather", "functions.GetWeather")
        assert call.id == motet.parse(raw, tools=["getweather"]).tool_calls[0].id


def test_call_ids_differ_between_calls_and_turns() -> None:
    call = "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>"
    transcript = motet.parse_conversation(f"{call}<|start|>user<|message|>Again<|end|>{call}{call}")
    ids = [part.id for message in transcript for part in message.tool_calls]
    ids += [motet.parse(call, turn=turn).tool_calls[0].id for turn in range(3)]
    assert len(set(ids)) in (5, 6) and len(set(ids[3:])) == 3


@pytest.mark.parametrize(
    ("raw", "tools", "trusted"),
    [
        ("<|channel|>final to=functions.f<|message|>{}<|call|>", None, True),
        ("<|channel|>commentary <|constrain|>functions.f<|message|>{}<|call|>", None, True),
        ("<|channel|>final <|constrain|>functions.f<|message|>{}<|call|>", None, False),
        ("<|channel|>final <|constrain|>functions.f<|message|>{}<|call|>", ["f"], True),
        ("<|channel|>functions.f{}<|call|>", None, False),
        ("<|channel|>functions.f{}<|call|>", ["f"], True),
        ("<|start|>bash<|channel|>commentary<|message|>ls<|call|>", None, False),
        ("commentary functions.f{}", ["f"], False),
        ("analysisWe call.assistantcommentary to=functions.f json{}", ["f"], False),
    ],
)
def test_calls_from_words_are_trusted_only_if_known(raw: str, tools: Any, trusted: bool) -> None:
    [call] = motet.parse(motet.encode(raw, special="token"), tools=tools).tool_calls
    assert call.trusted is trusted
    assert not motet.parse(raw, tools=tools).tool_calls[0].trusted


@pytest.mark.parametrize("opened", ["", "We think", "<|channel|>final<|message|>Hi", "<|end|>"])
def test_opened_must_be_the_end_of_a_prompt(opened: str) -> None:
    with pytest.raises(ValueError, match="opened is not the header that a prompt ends with"):
        motet.StreamParser(opened=opened)
