"""JSON as models write it: what is read, what is said about it, and that JSON itself is read as `json` reads it."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import motet
from motet.tolerant_json import repaired_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
styles = st.sampled_from(
    [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"indent": "\t", "ensure_ascii": False}]
)
texts = st.builds(lambda value, style: json.dumps(value, **style), values, styles)
SIGNS = [*"{}[]\"':,\\ \n\t", "{{", "}}", "```", "```json\n", "//", "/*", "*/", "#", "True", "None", "null", "NaN"]
SIGNS += ["-", "1", "2.5", "1e", "0", "\\u", "\\ud83d", "\\ude00", "\\x4", "json", "key", "é", "\ufeff", "\x00"]
junk = st.lists(st.sampled_from(SIGNS) | st.text(max_size=3), max_size=20).map("".join)


@given(texts)
def test_valid_json_parses_as_in_the_standard_library(text: str) -> None:
    reading = repaired_json(text)
    assert (reading.value, reading.changes, reading.complete) == (json.loads(text), (), True)
    assert repr(reading.value) == repr(json.loads(text))
    call = motet.ToolCall("f", text)
    assert call.repaired_args() == reading
    assert repr(call.args()) == repr(reading.value)


@pytest.mark.parametrize("text", ['"\\ud83d"', '"\\ud83d\\u0041"', '"\\ude00"', "[1e999]", '{"a":1,"a":2}', " null\n"])
def test_unusual_json_parses_as_in_the_standard_library(text: str) -> None:
    # Once by `json` itself, and once by the reader, behind a word that makes it look further.
    assert repaired_json(text) == motet.JsonReading(json.loads(text))
    wrapped = repaired_json(f"x[{text}]")
    assert (wrapped.value, len(wrapped.changes)) == ([json.loads(text)], 1)


@given(texts)
def test_tolerant_parser_agrees_with_json(text: str) -> None:
    reading = repaired_json(f"json[{text}]")
    assert repr(reading.value) == repr([json.loads(text)])
    assert reading.changes == ("'json' at 0, before the value, is left out",)
    assert reading.complete


@example("1.")
@example("[1 2]")
@example("{'a': '\\x4")
@given(junk)
def test_any_text_parses_or_is_refused(text: str) -> None:
    for read in (repaired_json, motet.partial_json):
        try:
            reading = read(text)
        except motet.InvalidArgumentsError as error:
            assert error.raw == text
            assert "cannot be read at" in str(error)
        else:
            json.dumps(reading.value)
            valid = is_json(text)
            assert not (read is repaired_json and valid and reading.changes)
            assert valid or reading.changes or not reading.complete or read is motet.partial_json


def is_json(text: str) -> bool:
    try:
        motet.ToolCall("f", text).args()
    except motet.InvalidArgumentsError:
        return False
    return True


def goes_on(early: Any, late: Any) -> bool:
    """Whether a partial value is a prefix of the other."""
    if isinstance(early, str) and isinstance(late, str):
        return late.startswith(early)
    if isinstance(early, list) and isinstance(late, list):
        return len(early) <= len(late) and all(
            same(item, other) if at + 1 < len(early) else goes_on(item, other)
            for at, (item, other) in enumerate(zip(early, late, strict=False))
        )
    if isinstance(early, dict) and isinstance(late, dict):
        keys = list(early)
        return keys == list(late)[: len(keys)] and all(
            same(early[key], late[key]) if key != keys[-1] else goes_on(early[key], late[key]) for key in keys
        )
    return same(early, late)


def same(first: Any, other: Any) -> bool:
    return repr(first) == repr(other)


@given(texts)
def test_growing_text_gives_growing_values(text: str) -> None:
    last: Any = None
    for end in range(len(text) + 1):
        reading = motet.partial_json(text[:end])
        assert reading.changes == ()
        assert last is None or goes_on(last, reading.value), (text[:end], last, reading.value)
        last = reading.value
    final = json.loads(text)
    assert last is None or goes_on(last, final)
    if isinstance(final, dict | list | str):
        assert reading.complete
        assert same(last, final)


@given(texts)
def test_truncated_text_keeps_its_complete_values(text: str) -> None:
    final = json.loads(text)
    for end in range(len(text)):
        cut = text[:end]
        try:
            reading = repaired_json(cut)
        except motet.InvalidArgumentsError:
            assert not cut.strip() or not isinstance(final, dict | list | str)
            continue
        if isinstance(final, dict | list) and not is_json(cut):
            assert not reading.complete
            assert "ends too early" in reading.changes[-1]
            partial = motet.partial_json(cut).value
            # It may end in a number that was longer, and in a word that can only be one.
            assert goes_on(partial, reading.value) or partial in ([], {})


# What models send, what is read, and a piece of what is said.
CASES: list[tuple[str, Any, list[str]]] = [
    ("{'city': 'Paris'}", {"city": "Paris"}, ["the string at 1 is in single quotes", "the string at 9"]),
    ("""{'it': 'it\\'s', "b": "don't"}""", {"it": "it's", "b": "don't"}, ["at 1 ", "at 7", "`\\'` at 10"]),
    ('{"a": [1, 2,], "b": 3,}', {"a": [1, 2], "b": 3}, ["the comma at 11 has nothing behind", "the comma at 21"]),
    ('{"a": "one\ntwo\tthree"}', {"a": "one\ntwo\tthree"}, ["2 line breaks or tabs in the string at 6"]),
    ('{"a": "one\r"}', {"a": "one\r"}, ["a line break or tab in the string at 6 is not"]),
    ('{"a": True, "b": [False, None]}', {"a": True, "b": [False, None]}, ["`True` at 6", "`False`", "`None`"]),
    ('{city: "Paris", unit-1: 2, 3: 4}', {"city": "Paris", "unit-1": 2, "3": 4}, ["'city' at 1", "'unit-1'", "'3'"]),
    ('```json\n{"a": 1}\n```', {"a": 1}, ["the code fence at 0 is taken off"]),
    ('```\n[1]', [1], ["the code fence at 0"]),
    ('{"a": 1, // one\n "b": 2 /* two */, # three\n"c": 3}', {"a": 1, "b": 2, "c": 3}, ["comment at 9", "at 24", "at 35"]),
    ('{"url": "http://x#y"}', {"url": "http://x#y"}, []),
    ('{"a": {"b": [1, "x', {"a": {"b": [1, "x"]}}, ["closed: the string at 16, the list at 12, the object at 6 and 1 more"]),
    ('{"a": 1', {"a": 1}, ["ends in the number at 6; it may", "closed: the object at 0"]),
    ('{"a": tru', {"a": True}, ["`tru` at 6 is cut; it is read as true", "closed"]),
    ('{"a": 1, "b', {"a": 1}, ["the key '\"b' at 9 is cut; it is left out", "closed"]),
    ('{"a": 1, "b":', {"a": 1}, ["the key 'b' at 9 has no value; it is left out", "closed"]),
    ('{"a": "x\\', {"a": "x"}, ["at 8 is cut; it is left out", "closed"]),
    ('{"a": "x\\u00e', {"a": "x"}, ["at 8 is cut", "closed"]),
    ('{"a": 1.', {}, ["the number '1.' at 6 is cut", "the key 'a'", "closed"]),
    ('{{"city": "Paris"}}', {"city": "Paris"}, ["the braces at 0 are doubled"]),
    ('{{"a": {{"b": 1}}, "c": {}}}', {"a": {"b": 1}, "c": {}}, ["the braces at 0", "the braces at 7"]),
    ('json{"a": 1}', {"a": 1}, ["'json' at 0, before the value, is left out"]),
    ('functions.f({"a": 1})', {"a": 1}, ["'functions.f(' at 0", "')' at 20, behind the value"]),
    ('{"a": 1}\n\nThat is the call.', {"a": 1}, ["'That is the call.' at 10"]),
    ('{"path": "a", "x": 1]}', {"path": "a", "x": 1}, ["the `]` at 20 closes nothing"]),
    ('{"a": [1, 2}', {"a": [1, 2]}, ["the list at 6 is closed by the `}` at 11"]),
    ('{"a": [{"b": 1]}', {"a": [{"b": 1}]}, ["the object at 7 is closed by the `]`"]),
    ('{"a": 1 "b": 2}', {"a": 1, "b": 2}, ["a comma is missing at 8"]),
    ('[{"a": 1}{"b": 2}\n3]', [{"a": 1}, {"b": 2}, 3], ["a comma is missing at 9", "at 18"]),
    ('[1,, 2]', [1, 2], ["the comma at 3 has nothing before it"]),
    ('{"a": , "b": }', {}, ["the key 'a' at 1 has no value", "the key 'b' at 8"]),
    ('{"a": "C:\\dir \\u12 \\x"}', {"a": "C:\\dir \\u12 \\x"}, ["'\\\\d' at 9 is an invalid escape", "'\\\\u' at 14", "'\\\\x' at 19"]),
    ("{'a': '\\x41'}", {"a": "A"}, ["at 1 ", "at 6 ", "`\\x41` at 7"]),
    ('{"a": .5, "b": 5., "c": +1, "d": -.5e1}', {"a": 0.5, "b": 5.0, "c": 1, "d": -5.0}, [".5 at 6", "5. at", "+1", "-.5e1"]),
    ('\ufeff{"a":\u00a01}', {"a": 1}, ["the white space '\\ufeff' at 0", "'\\xa0' at 6"]),
    ('{"a": "x\x00y"}', {"a": "x\x00y"}, ["a line break or tab"]),
    ("'x'", "x", ["the string at 0"]),
    ("None", None, ["`None` at 0"]),
    ('"x', "x", ["closed: the string at 0"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value", "changes"), CASES, ids=lambda value: repr(value)[:30])
def test_deviations_of_models_are_parsed_and_reported(text: str, value: Any, changes: list[str]) -> None:
    reading = motet.ToolCall("f", text).repaired_args()
    assert same(reading.value, value)
    assert len(reading.changes) == len(changes), reading.changes
    for change, piece in zip(reading.changes, changes, strict=True):
        assert piece in change


def test_invalid_numbers_are_reported() -> None:
    reading = repaired_json('{"a": NaN, "b": [Infinity, -Infinity]}')
    assert math.isnan(reading.value["a"])
    assert reading.value["b"] == [math.inf, -math.inf]
    assert [change.split()[0] for change in reading.changes] == ["`NaN`", "`Infinity`", "`-Infinity`"]
    with pytest.raises(motet.InvalidArgumentsError, match="NaN is not valid JSON"):
        motet.ToolCall("f", '{"a": NaN}').args()


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "Paris", "print(1)", '{"a": Paris}', '{"a": "say "hi" now"}', '{"a" 1}', '{"a"}', "{'a', 'b'}", "tru"),
        *('{"a": 007}', '{"a": 1_000}', '{"a": (1, 2)}', "1 apple", '"a" b', '{"a": 1 = 2}', "{:1}", "[:]", "[1:2]"),
        *('["a "true" b"]', '{"a": - 1}', '{"a": 1-2}', '{"a": undefined}', "{\"a\": 'it's'}", "[" * 501, "1" * 5000),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_ambiguous_json_is_refused(text: str) -> None:
    with pytest.raises(motet.InvalidArgumentsError, match="arguments of 'f' cannot be read at") as caught:
        motet.ToolCall("f", text).repaired_args()
    assert caught.value.raw == text


def test_wrong_types_of_json_are_named() -> None:
    with pytest.raises(TypeError, match="text must be str, not bytes"):
        motet.partial_json(b"{}")  # type: ignore[arg-type]


def test_depth_is_bounded_and_time_is_linear() -> None:
    with pytest.raises(motet.InvalidArgumentsError, match="nested deeper than 500"):
        repaired_json('{"a":' * 100_000)
    assert json.loads("[" * 400 + "]" * 400) == repaired_json("[" * 400 + "]" * 400).value
    assert repaired_json("x" + "[" * 499 + "]" * 499).complete
    shapes = [
        "[",
        '{"a":',
        '"\n',
        "'a' ",
        "[1 ",
        '{"a":1 ',
        "/**/",
        "//",
        "\\",
        '["\\u',
        "{{",
        "]",
        "}",
        ",",
        "#",
        "-",
        "1",
    ]
    shapes += ['{"a": "\\ud83d', "```", "json", '[""', " ", "\u00a0", '{"a', "[1,", '["a",', '"', "'", "[NaN,", "_"]
    for shape in shapes:
        for start in ("", "[", '["', "{"):
            text = start + shape * (100_000 // len(shape))
            began = time.thread_time()
            for read in (repaired_json, motet.partial_json):
                with contextlib.suppress(motet.InvalidArgumentsError):
                    read(text)
            # Milliseconds in linear time, minutes in quadratic time.
            assert time.thread_time() - began < 5, shape


def test_arguments_are_parsed_while_they_arrive() -> None:
    parser = motet.StreamParser(tools=["write"])
    parser.feed("<|channel|>commentary to=functions.write <|constrain|>json<|message|>")
    values = []
    for piece in ['{"path": "no', 'tes.txt", "lines": [1', '2, 3], "text"', ': "Hel', 'lo"}']:
        parser.feed(piece)
        values.append(motet.partial_json(parser.completion.tool_calls[-1].arguments))
    assert [reading.value for reading in values] == [
        {"path": "no"},
        {"path": "notes.txt", "lines": []},
        {"path": "notes.txt", "lines": [12, 3]},
        {"path": "notes.txt", "lines": [12, 3], "text": "Hel"},
        {"path": "notes.txt", "lines": [12, 3], "text": "Hello"},
    ]
    assert [reading.complete for reading in values] == [False, False, False, False, True]
