"""Arrow arrays of the same rows in every type and layout that holds them: views, slices, chunks, dictionaries."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa

TEXT_TYPES = (
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
)
ID_TYPES = (
    pa.list_(pa.uint32()),
    pa.list_(pa.int64()),
    pa.list_(pa.int32()),
    pa.list_(pa.uint64()),
    pa.large_list(pa.uint32()),
    pa.large_list(pa.int32()),
)


def layout(rows: list[Any], kind: pa.DataType, chance: random.Random) -> pa.Array | pa.ChunkedArray:
    """The rows as an array of this type, at random as a slice of a longer one, and in several chunks."""

    def array(part: list[Any]) -> pa.Array:
        before, behind = chance.randrange(3), chance.randrange(3)
        padding = [row for row in rows if row is not None][:1] or [None]
        values = padding * before + part + padding * behind
        encoded = pa.types.is_dictionary(kind)
        whole = pa.array(values, kind.value_type).dictionary_encode() if encoded else pa.array(values, kind)
        return whole.cast(kind).slice(before, len(part))

    if chance.random() < 0.3:
        return array(rows)
    cuts = sorted(chance.randrange(len(rows) + 1) for _ in range(chance.randrange(4)))
    parts = [rows[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    return pa.chunked_array([array(part) for part in parts], kind)
