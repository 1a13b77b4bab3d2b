"""Strict parsing: where it raises, and what the error shows."""

from __future__ import annotations

import pickle
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import motet
from tests.support.completions import CORPUS, cut, wild_ids, wild_text


def test_strict_error_has_position_and_expectation() -> None:
    with pytest.raises(motet.ParseError) as caught:
        motet.parse("<|channel|>analysis<|message|>think<|end|><|channel|>final<|message|>Hi<|return|>", strict=True)
    error = caught.value
    assert (error.code, error.position, error.state) == ("missing_start", 42, "start")
    assert error.expected == "<|start|>"
    assert "missing_start at 42" in str(error)
    assert isinstance(error, ValueError)
    assert error.context.splitlines() == [
        "    <|channel|>analysis<|message|>think<|end|><|channel|>final<|message|>Hi<|return|>",
        "                                              ^^^^^^^^^^^",
    ]
    assert str(error).endswith(error.context)
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.position) == (str(error), 42)


def _spelled(ids: list[int]) -> str:
    """The text of ids as the parser reads them: invalid UTF-8 and unknown ids are replacement characters."""
    token_bytes = [motet.decode_bytes([t]) if 0 <= t < motet.VOCAB_SIZE else "\ufffd".encode() for t in ids]
    return b"".join(token_bytes).decode("utf-8", "replace")


def _escaped(text: str) -> str:
    """Without line breaks and other control characters."""
    short = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return "".join(
        [
            short.get(c, f"\\u{{{ord(c):x}}}") if unicodedata.category(c) == "Cc" or c in "\u2028\u2029" else c
            for c in text
        ]
    )


@example(' json to=functions.f{"a": 1}', None)
@example("\x7f" * 60 + "<|message|>", None)
@given(wild_text | wild_ids, st.data())
def test_excerpt_underlines_the_fault(raw: Any, data: Any) -> None:
    """For any chunk boundaries, the line holds the 48 characters before the position, and the underlined part begins
    there, or behind blanks that a token has before its word."""
    for chunks in ([raw], cut(data.draw, raw) if data else [raw[:5], raw[5:]]):
        parser, read = motet.StreamParser(strict=True), raw[:0]
        try:
            for chunk in chunks:
                read += chunk
                parser.feed(chunk)
            parser.close()
        except motet.ParseError as error:
            _check_excerpt(error, read)


def _check_excerpt(error: motet.ParseError, read: Any) -> None:
    line, marks = error.context.splitlines()
    assert set(marks.strip()) == {"^"}
    start = len(marks) - len(marks.lstrip())
    shown, wrong = line[4:start], line[start:]
    if isinstance(read, str):
        encoded = read.encode()
        before, rest = encoded[: error.position].decode(), encoded[error.position :].decode()
    else:
        before, rest = _spelled(read[: error.position]), _spelled(read[error.position :])
    word = rest.lstrip()
    blank = rest[: len(rest) - len(word)]
    ellipsis = "…" if len(before) > 48 or error.position > 192 else ""
    assert shown in [ellipsis + _escaped(before[-48:] + between) for between in ("", blank)]
    assert any(_escaped(text).startswith(wrong.removesuffix("…")) for text in (rest, word))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_strict_raises_at_the_first_fault_of_tolerant(path: Path) -> None:
    raw = path.read_text().split("===\n", 2)[1].removesuffix("\n")
    remarks = {
        *("missing_channel", "unknown_channel", "unknown_content_type", "tool_call_on_analysis", "tool_call_on_final"),
        *(
            "bare_recipient",
            "wrong_namespace",
            "odd_tool_name",
            "glued_content_type",
            "empty_function_name",
            "empty_arguments",
        ),
        *("invalid_json", "multiple_finals", "empty_answer"),
    }
    faults = [repair for repair in motet.parse(raw).repairs if repair.code not in remarks]
    try:
        completion = motet.parse(raw, strict=True)
    except motet.ParseError as error:
        assert (error.code, error.position) == (faults[0].code, faults[0].position)
    else:
        assert faults == []
        assert completion == motet.parse(raw)
