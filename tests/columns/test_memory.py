"""Memory of the commands over files of rows, which does not grow with the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from motet.columns import _job, _source
from tests.support.command_line import command
from tests.support.processes import environment

MEGABYTES = int(os.environ.get("MOTET_MEMORY", "0"))
"""Text in a file: ten times what the command may allocate for it."""
TEXT = (
    f"<|channel|>analysis<|message|>{'thought ' * 200}<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>"
)

LIMITED = """
import contextlib, io, re, resource, sys
from pathlib import Path
from motet.cli import main
def run(path):
    with contextlib.redirect_stdout(io.StringIO()):
        words = ["parse", path, "--column", "completion", "--keep", "", "--no-tokens", "-o", path + ".out.parquet"]
        assert main(words) == 0
run(sys.argv[2])
data = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
limit = data + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
run(sys.argv[3])
"""
"""A small file, then a large one with a limit of what is allocated for it beyond the memory of the small one."""


def write(path: Path, rows: int) -> None:
    """Rows in the column `completion`; those of Parquet are in one row group, where the dictionary has the text once."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"completion": [TEXT] * rows}), path, row_group_size=rows)
    else:
        line = TEXT if path.suffix == ".csv" else json.dumps({"completion": TEXT})
        with path.open("w") as file:
            file.writelines(["completion\n"] if path.suffix == ".csv" else [])
            file.writelines(f"{line}\n" for _ in range(rows))


@pytest.mark.skipif(
    not MEGABYTES, reason="`make tables`: MOTET_MEMORY=1000 parses 1000 MB of each kind, which takes minutes"
)
@pytest.mark.skipif(sys.platform != "linux", reason="Linux limits the private memory of a process")
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_files_of_ten_times_the_memory_are_parsed(tmp_path: Path, suffix: str) -> None:
    small, large = tmp_path / f"small{suffix}", tmp_path / f"large{suffix}"
    rows = MEGABYTES * 1_000_000 // len(TEXT)
    write(small, rows // 20)
    write(large, rows)
    program = [sys.executable, "-c", LIMITED, str(MEGABYTES * 100_000), str(small), str(large)]
    # Arrow's other allocators reserve a gigabyte of address space at once, which counts as allocated.
    variables = {**environment(), "ARROW_DEFAULT_MEMORY_POOL": "system"}
    subprocess.run(program, env=variables, check=True)
    assert pq.read_metadata(f"{large}.out.parquet").num_rows == rows


def test_batches_have_the_size_of_their_values(tmp_path: Path) -> None:
    """A value that a dictionary has once has its size in each row of a batch."""
    path = tmp_path / "in.parquet"
    write(path, 3 * _source.BATCH_BYTES // len(TEXT))
    assert path.stat().st_size < _source.BATCH_BYTES // 100
    batches = [batch for unit in _source.open_source(path, ["completion"]).units(0) for batch in unit.batches]
    assert [round(batch.nbytes / _source.BATCH_BYTES, 1) for batch in batches] == [1.0, 1.0, 0.9]
    assert {value for batch in batches for value in batch["completion"].unique().to_pylist()} == {TEXT}


def test_small_batches_share_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata of a row group is in memory until the file is complete."""
    monkeypatch.setattr(_source, "BATCH_BYTES", 4 * len(TEXT))
    monkeypatch.setattr(_source, "READ_ROWS", 4)
    monkeypatch.setattr(_job, "GROUP_BYTES", 80 * len(TEXT))
    write(tmp_path / "in.parquet", 100)
    command("parse", "in.parquet", "--column", "completion", "--no-tokens", "-o", "out.parquet", folder=tmp_path)
    metadata = pq.read_metadata(tmp_path / "out.parquet")
    # The text of a row is there twice: as the completion and as what it was parsed to.
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == [44, 44, 12]
