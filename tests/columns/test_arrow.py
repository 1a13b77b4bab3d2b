"""Columns beside the functions for one input: row by row the same, in every layout of an array."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import columns
from tests.support.arrow_arrays import ID_TYPES, TEXT_TYPES, layout, parsed_row
from tests.support.completions import CALL, wild_ids, wild_text

randoms = st.randoms(use_true_random=False)


def as_list(column: columns.Column) -> list[Any]:
    """The rows, which both ways of the PyCapsule interface give."""
    array = pa.array(column)
    array.validate(full=True)
    assert pa.chunked_array(column).to_pylist() == array.to_pylist()
    return array.to_pylist()


@given(st.lists(st.none() | wild_text, max_size=8), st.sampled_from(TEXT_TYPES), randoms)
def test_parsed_text_equals_parse(rows: list[str | None], kind: pa.DataType, chance: random.Random) -> None:
    column = columns.parse(layout(rows, kind, chance), ["get_weather"], threads=chance.randrange(1, 4))
    assert as_list(column) == [parsed_row(row, tools=["get_weather"]) for row in rows]


headers = st.sampled_from(
    [
        "<|channel|>analysis",
        "<|channel|>final",
        "<|channel|>commentary",
        "<|channel|>commentary to=functions.get_weather <|constrain|>json",
        " to=get_weather<|channel|>commentary json",
        "<|channel|>analysis to=python code",
        "<|channel|>final<|constrain|>yaml",
    ]
)
contents = st.sampled_from(["", "Hm.", "{}", '{"city": "Tōkyō"}', "done.assistant", "a <| b <|x|> c", "<|end"])
stops = st.sampled_from(["<|end|>", "<|end|>", "<|call|>", "<|return|>", ""])
frames = st.builds("{}<|message|>{}{}".format, headers, contents, stops)
usual_text = st.lists(frames, max_size=4).map("<|start|>assistant".join)


@given(st.lists(st.none() | usual_text, max_size=8), st.sampled_from(["auto", "always"]), st.sampled_from([0, 2]))
def test_parsed_frames_of_the_format_equal_parse(rows: list[str | None], stripped: Any, turn: int) -> None:
    options = {"tools": ["get_weather"], "stripped": stripped, "turn": turn}
    assert as_list(columns.parse(pa.array(rows, pa.string()), **options)) == [
        parsed_row(row, **options) for row in rows
    ]
    whole = [row if row is None else f"<|start|>assistant{row}" for row in rows]
    assert as_list(columns.parse(pa.array(whole, pa.string()), role=None)) == [
        parsed_row(row, role=None) for row in whole
    ]


@given(st.lists(st.none() | wild_ids, max_size=8), st.sampled_from(ID_TYPES), randoms)
def test_parsed_ids_equal_parse(rows: list[list[int] | None], kind: pa.DataType, chance: random.Random) -> None:
    limit = 2**31 if "int32" in str(kind) else 2**32
    rows = [row if row is None else [number % limit for number in row] for row in rows]
    assert as_list(columns.parse(layout(rows, kind, chance))) == [parsed_row(row) for row in rows]


@given(st.lists(st.none() | st.text() | wild_text, max_size=8), st.sampled_from(TEXT_TYPES), randoms)
def test_tokens_equal_count_encode_and_decode(rows: list[str | None], kind: pa.DataType, chance: random.Random) -> None:
    array = layout(rows, kind, chance)
    for special in ("text", "token"):
        ids = [row if row is None else motet.encode(row, special=special) for row in rows]
        encoded = columns.encode(array, special=special)
        assert as_list(encoded) == ids
        counts = [row if row is None else len(row) for row in ids]
        assert as_list(columns.count(array, special=special)) == as_list(columns.count(encoded)) == counts
        assert as_list(columns.decode(layout(ids, chance.choice(ID_TYPES), chance))) == rows


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_invalid_utf8_reads_as_replacement_characters(rows: list[bytes]) -> None:
    # Strings whose producer has not checked them.
    for array in (pa.array(rows, pa.binary()), pa.array(rows, pa.binary()).view(pa.string())):
        assert as_list(columns.parse(array)) == [parsed_row(row) for row in rows]
        texts = [row.decode(errors="replace") for row in rows]
        assert as_list(columns.count(array)) == list(map(motet.count, texts))
        assert as_list(columns.encode(array)) == list(map(motet.encode, texts))


def test_numbers_that_are_not_ids_are_repaired() -> None:
    rows = [[1, -1, 2**40, None, 5]]
    [row] = as_list(columns.parse(pa.array(rows)))
    assert [(repair["code"], repair["text"]) for repair in row["repairs"]][:3] == [
        ("invalid_id", "-1"),
        ("invalid_id", "1099511627776"),
        ("invalid_id", "null"),
    ]
    assert as_list(columns.decode(pa.array(rows))) == [motet.decode([1]) + "\ufffd" * 3 + motet.decode([5])]
    with pytest.raises(ValueError, match=r"array\[0\]: -1 is not a token id"):
        columns.decode(pa.array(rows), errors="strict")


def test_calls_of_ids_are_trusted_and_those_of_text_are_not() -> None:
    for raw, trusted in ((CALL, False), (motet.encode(CALL, special="token"), True)):
        [row] = as_list(columns.parse(pa.array([raw])))
        assert [call["trusted"] for call in row["tool_calls"]] == [trusted]


def test_tokens_of_text_are_counted_on_request() -> None:
    text, ids = pa.array([CALL]), pa.array([motet.encode(CALL, special="token")])
    [row] = as_list(columns.parse(text, tokens=False))
    assert row["tokens"] is None
    [row] = as_list(columns.parse(ids, tokens=False))
    assert row["tokens"] == parsed_row(CALL)["tokens"]  # type: ignore[index]


def test_many_rows_are_divided_into_blocks() -> None:
    rows = [None if number % 7 == 0 else f"<|channel|>final<|message|>{number}<|return|>" for number in range(5000)]
    column = columns.parse(pa.array(rows), threads=3)
    assert column.num_chunks > 1
    assert len(column) == len(rows)
    texts = pa.array(column).field("text").to_pylist()
    assert texts == [None if number % 7 == 0 else str(number) for number in range(5000)]


def test_fields_of_null_rows_are_null() -> None:
    row = pa.array(columns.parse(pa.array([None, "a"])))
    assert all(row.field(index)[0].as_py() is None for index in range(row.type.num_fields))


def test_columns_without_rows_have_their_type() -> None:
    for array in (pa.array([], pa.string()), pa.chunked_array([], pa.string())):
        assert pa.array(columns.parse(array)).type == pa.array(columns.parse(pa.array(["a"]))).type
        assert as_list(columns.encode(array)) == []
    assert as_list(columns.count(pa.nulls(2))) == [None, None]
    assert repr(columns.count(pa.nulls(2))) == "Column(2 rows, Int64)"


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match=r"array of text or token ids is needed, not one of Float64"):
        columns.parse(pa.array([1.5]))
    with pytest.raises(TypeError, match=r"array of text or token ids is needed, not one of List\(Utf8\)"):
        columns.count(pa.array([["a"]]))
    with pytest.raises(TypeError, match=r"array of text is needed"):
        columns.encode(pa.array([[1]]))
    with pytest.raises(TypeError, match=r"array of token ids is needed"):
        columns.decode(pa.array(["a"]))
    with pytest.raises(TypeError, match=r"array must be an Arrow array .*, not list"):
        columns.parse(["a"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        columns.parse(pa.array(["a"]), threads=0)


def test_special_tokens_raise_with_their_row() -> None:
    array = pa.chunked_array([["a"], ["b", "c<|end|>"]])
    with pytest.raises(motet.SpecialTokenError, match=r"array\[2\] holds the special token"):
        columns.encode(array, special="error")


def test_failing_producers_raise_their_error() -> None:
    def batches() -> Any:
        yield pa.record_batch({"a": ["x"]})
        raise OSError("the disk is gone")

    reader = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.string()}), batches())
    with pytest.raises(ValueError, match="the disk is gone"):
        columns.parse(reader)
