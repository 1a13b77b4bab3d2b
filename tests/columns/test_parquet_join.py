"""Parquet files joined by their bytes, beside the same rows written at once."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet._atomic_files import atomic_write
from motet.columns._parquet_join import _encoded, _read_footer, join_files
from motet.errors import DataError
from tests.support.hypothesis_profiles import examples

NAMES = [f"field {number}" for number in range(20)]


def table(first: int, rows: int) -> pa.Table:
    """Nulls, lists, structs, dictionaries and more than 15 fields, for which the footer has other lengths."""
    numbers = range(first, first + rows)
    columns: dict[str, Any] = {
        "number": pa.array(numbers, pa.int64()),
        "text": pa.array(
            [None if number % 3 == 0 else f"é{number}" * (number % 5) for number in numbers], pa.large_string()
        ),
        "kind": pa.array(["ab"[number % 2] for number in numbers], pa.string()).dictionary_encode(),
        "day": pa.array([datetime.date(2026, 1, 1)] * rows, pa.date32()),
        "lists": pa.array(
            [[{"a": number, "b": None}] * (number % 4) for number in numbers],
            pa.list_(pa.struct({"a": pa.int64(), "b": pa.string()})),
        ),
        "wide": pa.array(
            [dict.fromkeys(NAMES, number / 2) for number in numbers], pa.struct(dict.fromkeys(NAMES, pa.float64()))
        ),
    }
    return pa.table(columns)


def join(folder: Path, parts: list[Path]) -> Path:
    output = folder / "joined.parquet"
    with atomic_write(output) as (file,):
        join_files(parts, file, b"sum", b"of all")
    return output


def write(folder: Path, tables: list[pa.Table], **options: Any) -> list[Path]:
    parts = [folder / f"{number}.parquet" for number in range(len(tables))]
    for number, (path, rows) in enumerate(zip(parts, tables, strict=True)):
        metadata = {**(rows.schema.metadata or {}), "sum": str(number), "job": "same"}
        pq.write_table(rows.replace_schema_metadata(metadata), path, row_group_size=9, **options)
    return parts


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zstd", "use_dictionary": False, "write_statistics": False},
        {"write_page_index": True, "data_page_version": "2.0", "write_page_checksum": True},
    ],
)
def test_joined_files_have_the_rows_of_all(tmp_path: Path, options: dict[str, Any]) -> None:
    tables = [table(0, 20), table(20, 0), table(20, 1), table(21, 50)]
    output = join(tmp_path, write(tmp_path, tables, **options))
    expected = pa.concat_tables([pq.read_table(part) for part in sorted(tmp_path.glob("?.parquet"))])
    with pq.ParquetFile(output, page_checksum_verification=True) as file:
        assert file.schema_arrow.equals(expected.schema)
        assert file.read().to_pylist() == expected.to_pylist()
        assert file.metadata.num_rows == 71
        assert file.metadata.num_row_groups >= 10
        assert file.metadata.metadata[b"sum"] == b"of all"
        assert file.metadata.metadata[b"job"] == b"same"
        assert file.read_row_group(file.metadata.num_row_groups - 1)["number"].to_pylist()[-1] == 70
    # By the statistics of row groups, if there are any.
    assert ds.dataset(output).to_table(filter=pc.field("number") == 30)["number"].to_pylist() == [30]


def test_joined_files_are_joined_again(tmp_path: Path) -> None:
    first = join(tmp_path, write(tmp_path, [table(0, 10), table(10, 10)]))
    again = first.rename(tmp_path / "again.parquet")
    assert pq.read_table(join(tmp_path, [again, again]))["number"].to_pylist() == [*range(20)] * 2


def test_files_of_other_types_are_not_joined(tmp_path: Path) -> None:
    parts = write(tmp_path, [pa.table({"a": [1]}), pa.table({"a": ["1"]})])
    with pytest.raises(
        DataError, match=r"rows of one file differ in their types: those of .*0\.parquet' and .*1\.parquet'"
    ):
        join(tmp_path, parts)
    assert not (tmp_path / "joined.parquet").exists()


@examples(60)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), max_size=40),
    st.dictionaries(st.text(max_size=200), st.text(max_size=300), max_size=20),
    st.booleans(),
)
def test_footers_are_written_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int | None], metadata: dict[str, str], index: bool
) -> None:
    path = tmp_path_factory.mktemp("footer") / "file.parquet"
    rows = pa.table({"a": pa.array(numbers, pa.int64()), "b": pa.array(map(str, numbers))})
    pq.write_table(rows.replace_schema_metadata(metadata), path, row_group_size=2, write_page_index=index)
    footer, start = _read_footer(path)
    assert _encoded(footer) == path.read_bytes()[start:-8]
