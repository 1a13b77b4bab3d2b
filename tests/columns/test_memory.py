"""Memory of the command over files of different sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.processes import environment

MEGABYTES = int(os.environ.get("MOTET_MEMORY_MEGABYTES", "40"))
"""Text in the larger file; the smaller one has a tenth of it."""
TEXT = (
    f"<|channel|>analysis<|message|>{'thought ' * 200}<|end|><|start|>assistant<|channel|>final<|message|>%d<|return|>"
)
ROWS = MEGABYTES * 1_000_000 // len(TEXT)

MEASURED = """
import contextlib, io, re, sys
from pathlib import Path
from motet.columns import _source
from motet.cli import main
_source.UNIT_BYTES, _source.BATCH_BYTES = 4 << 20, 1 << 20
def run(path):
    with contextlib.redirect_stdout(io.StringIO()):
        words = ["parse", path, "--column", "completion", "--no-tokens", "-o", path + ".out.parquet"]
        assert main(words) == 0
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(run(sys.argv[1]), run(sys.argv[2]))
"""
"""Prints the peak of resident memory after each of two files."""


def write(path: Path, rows: int) -> None:
    """All rows of a Parquet file are in one row group."""
    if path.suffix == ".parquet":
        table = pa.table({"completion": [TEXT % number for number in range(rows)]})
        pq.write_table(table, path, row_group_size=rows, use_dictionary=False, compression="none")
    else:
        with path.open("w") as file:
            file.writelines(json.dumps({"completion": TEXT % number}) + "\n" for number in range(rows))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    small, large = tmp_path / f"small{suffix}", tmp_path / f"large{suffix}"
    write(small, ROWS // 10)
    write(large, ROWS)
    program = [sys.executable, "-c", MEASURED, str(small), str(large)]
    printed = subprocess.run(program, env=environment(), capture_output=True, text=True, check=True).stdout
    first, second = map(int, printed.split())
    assert second - first < MEGABYTES * 1_000_000 // 5
    assert pq.read_metadata(f"{large}.out.parquet").num_rows == ROWS
