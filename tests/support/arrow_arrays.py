"""Arrow arrays of the same rows in every type and layout that holds them: views, slices, chunks, dictionaries,
run-end encoded ones."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pyarrow as pa

import motet

TEXT_TYPES = (
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
    pa.run_end_encoded(pa.int16(), pa.string()),
    pa.run_end_encoded(pa.int64(), pa.string_view()),
)
ID_TYPES = (
    pa.list_(pa.uint32()),
    pa.list_(pa.int64()),
    pa.list_(pa.int32()),
    pa.list_(pa.uint64()),
    pa.large_list(pa.uint32()),
    pa.large_list(pa.int32()),
    pa.list_view(pa.uint32()),
    pa.large_list_view(pa.int64()),
    pa.run_end_encoded(pa.int32(), pa.list_(pa.uint32())),
    pa.run_end_encoded(pa.int64(), pa.large_list_view(pa.uint32())),
)


def layout(rows: list[Any], kind: pa.DataType, chance: random.Random) -> pa.Array | pa.ChunkedArray:
    """The rows as an array of this type, at random as a slice of a longer one, and in several chunks."""

    def array(part: list[Any]) -> pa.Array:
        before, behind = chance.randrange(3), chance.randrange(3)
        padding = [row for row in rows if row is not None][:1] or [None]
        values = padding * before + part + padding * behind
        return _array(values, kind).slice(before, len(part))

    if chance.random() < 0.3:
        return array(rows)
    cuts = sorted(chance.randrange(len(rows) + 1) for _ in range(chance.randrange(4)))
    parts = [rows[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    return pa.chunked_array([array(part) for part in parts], kind)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_run_end_encoded(kind):
        return _run_end_encoded(values, kind)
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def _run_end_encoded(values: list[Any], kind: pa.DataType) -> pa.Array:
    runs = [(key, len(list(group))) for key, group in itertools.groupby(values)]
    ends = pa.array(itertools.accumulate(length for _, length in runs), kind.run_end_type)
    return pa.RunEndEncodedArray.from_arrays(ends, _array([value for value, _ in runs], kind.value_type), kind)


def parsed_row(raw: Any, **options: Any) -> dict[str, Any] | None:
    """The row of a completion, by `motet.parse`."""
    if raw is None:
        return None
    completion = motet.parse(raw, **options)
    calls = [
        {
            "id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "recipient": call.recipient,
            "trusted": call.trusted,
        }
        for call in completion.tool_calls
    ]
    repairs = [
        {
            "code": repair.code,
            "position": repair.position,
            "text": repair.text,
            "message": repair.message,
            "count": repair.count,
        }
        for repair in completion.repairs
    ]
    return {
        "reasoning": completion.reasoning,
        "preamble": completion.preamble,
        "text": completion.text,
        "tool_calls": calls,
        "stop": completion.stop,
        "repairs": repairs,
        "tokens": {"other": 0, **completion.tokens},
    }
