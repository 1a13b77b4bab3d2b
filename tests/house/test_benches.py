"""The benches start: their imports and options are those of the code that they measure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = Path(__file__).parents[2] / "benches"
SMALL = {
    "run.py": ["--only", "parse ids, 100 tokens", "--rounds", "2"],
    "drop_in.py": ["--only", "render, 1 message", "--rounds", "2"],
    "trainers.py": ["--only", "extend_ids", "--rounds", "2"],
    "tokenizer/exact.py": ["--megabytes", "0.01"],
    "agent.py": ["--turns", "3", "--rounds", "1"],
    "instructions.py": ["--help"],
    "memory.py": ["--gigabytes", "0.01", "--threads", "640", "--completions", "1000"],
    "parser/overhead.py": ["--chunks", "20", "--rounds", "2"],
    "dataset/speed.py": ["--gigabytes", "0.0001"],
    "tokenizer/compare.py": ["--help"],
    "columns.py": ["--help"],
    "columns_cluster.py": ["--help"],
    "proxy/compare.py": ["--help"],
    "proxy/load.py": ["--help"],
}


@pytest.mark.parametrize("script", SMALL)
def test_bench_runs_on_a_small_input(script: str, tmp_path: Path) -> None:
    if script == "memory.py" and sys.platform != "linux":
        pytest.skip("reads /proc")
    folder = ["--folder", str(tmp_path)] if script.startswith("dataset") else []
    command = [sys.executable, str(BENCHES / script), *SMALL[script], *folder]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout
