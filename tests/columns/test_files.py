"""Files of rows through the command line: each format, what is wrong in it, and kills at any moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import motet
from motet.columns import _job, _source
from tests.support.command_line import command, run
from tests.support.completions import CALL, STRIPPED
from tests.support.processes import environment
from tests.support.table_files import write_table

TEXTS = [CALL, None, "plain", STRIPPED, '<|channel|>final<|message|>Hi é,\n"you"<|return|>'] * 30
PARSED = [None if row is None else motet.parse(row).text for row in TEXTS]
OUTPUT = "out.parquet"


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_source, "UNIT_BYTES", 4000)
    monkeypatch.setattr(_source, "BATCH_BYTES", 1500)
    monkeypatch.setattr(_job, "GROUP_BYTES", 1500)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_parse_writes_a_row_for_each_row(tmp_path: Path, suffix: str) -> None:
    source, rows = tmp_path / f"in{suffix}", TEXTS
    write_table(source, rows)
    report = command("parse", str(source), "--column", "completion", "-o", OUTPUT, folder=tmp_path)
    table = pq.read_table(tmp_path / OUTPUT)
    # An empty field of CSV is an empty text.
    expected = PARSED if suffix != ".csv" else [text or "" for text in PARSED]
    assert [row and row["text"] for row in table["parsed"].to_pylist()] == expected
    assert table["completion"].to_pylist() == (rows if suffix != ".csv" else [row or "" for row in rows])
    first = {".parquet": 0, ".jsonl": 1, ".csv": "0"}[suffix]
    assert table.column(0)[0].as_py() == first
    assert "150  rows" in report
    assert "30  repair no_markup" in report
    assert [path.name for path in tmp_path.iterdir() if path != source] == [OUTPUT]


def test_finished_jobs_are_not_repeated(tmp_path: Path) -> None:
    write_table(tmp_path / "in.parquet", TEXTS)
    words = ("parse", "in.parquet", "--column", "completion", "-o", OUTPUT, "--json")
    report = command(*words, folder=tmp_path)
    written = (tmp_path / OUTPUT).stat().st_mtime_ns
    assert command(*words, folder=tmp_path) == report
    assert (tmp_path / OUTPUT).stat().st_mtime_ns == written
    other = (*words, "--no-tokens")
    assert "the file exists: 'out.parquet'" in command(*other, folder=tmp_path, code=2)
    command(*other, "--force", folder=tmp_path)
    assert pq.read_table(tmp_path / OUTPUT)["parsed"][0]["tokens"].as_py() is None


def test_columns_to_keep_are_chosen(tmp_path: Path) -> None:
    write_table(tmp_path / "in.parquet", TEXTS)
    command("parse", "in.parquet", "--column", "completion", "--keep", "", "-o", OUTPUT, folder=tmp_path)
    assert pq.read_schema(tmp_path / OUTPUT).names == ["completion", "parsed"]
    write_table(tmp_path / "in.jsonl", TEXTS)
    command("count", "in.jsonl", "--column", "completion", "--keep", "number", "-o", "n.parquet", folder=tmp_path)
    table = pq.read_table(tmp_path / "n.parquet")
    assert table.schema.names == ["line", "completion", "number", "tokens"]
    assert table["number"][7].as_py() == "7"


def test_ids_in_text_files_need_the_option(tmp_path: Path) -> None:
    ids = motet.encode(CALL, special="token")
    for name in ("in.jsonl", "in.csv"):
        write_table(tmp_path / name, [ids, ids])
        command("parse", name, "--ids", "--column", "completion", "-o", f"{name}.parquet", folder=tmp_path)
        [row, _] = pq.read_table(tmp_path / f"{name}.parquet")["parsed"].to_pylist()
        assert row["tool_calls"][0]["trusted"]
    words = ("parse", "in.jsonl", "--column", "completion", "-o", OUTPUT)
    assert "line 1 has token ids in 'completion': give --ids" in command(*words, folder=tmp_path, code=1)
    assert not (tmp_path / OUTPUT).exists()


def test_unreadable_lines_keep_their_rows(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{"completion": "a"}\nno\n\n[1]\n{"other": 1}\n{"completion": {"a": "\\ud800"}}\n'
    )
    result = run("parse", "in.jsonl", "--column", "completion", "-o", OUTPUT, folder=tmp_path)
    assert result.code == 1
    assert "2  unreadable" in result.out
    table = pq.read_table(tmp_path / OUTPUT)
    assert table["line"].to_pylist() == [1, 2, 4, 5, 6]
    assert table["completion"].to_pylist() == ["a", None, None, None, '{"a": "?"}']


def test_files_without_rows_have_the_columns(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n\n")
    (tmp_path / "in.csv").write_text("completion\n")
    # A row group without rows.
    pq.write_table(pa.table({"completion": pa.array([], pa.string())}), tmp_path / "in.parquet")
    for name in ("in.jsonl", "in.csv", "in.parquet"):
        command("parse", name, "--column", "completion", "-o", OUTPUT, "--force", folder=tmp_path)
        table = pq.read_table(tmp_path / OUTPUT)
        assert table.num_rows == 0
        assert table.schema.names[-2:] == ["completion", "parsed"]


def test_wrong_tables_are_refused_before_any_work(tmp_path: Path) -> None:
    write_table(tmp_path / "in.parquet", TEXTS)
    write_table(tmp_path / "in.jsonl", TEXTS)
    pq.write_table(pa.table({"completion": ["a"], "parsed": [1]}), tmp_path / "taken.parquet")
    for words, message in (
        (("in.parquet", "--column", "x", "-o", OUTPUT), "no column 'x'; its columns are number, completion"),
        (("in.jsonl", "--column", "x", "-o", OUTPUT), "lines 1 to 16 have no column 'x'"),
        (("in.txt", "--column", "x", "-o", OUTPUT), "must end in one of .parquet, .jsonl, .ndjson, .csv"),
        (("in.parquet", "--column", "completion", "-o", "out.csv"), "the output must end in .parquet"),
        (("in.parquet", "--column", "completion", "-o", "in.parquet"), "the output is the input"),
        (("in.parquet", "--column", "completion"), "a table needs both --column and --output"),
        (("taken.parquet", "--column", "completion", "-o", OUTPUT), "has a column 'parsed' already"),
    ):
        result = run("parse", *words, folder=tmp_path)
        assert result.code in (1, 2)
        assert message in result.err
        assert not (tmp_path / OUTPUT).exists()


def test_count_and_cost_report_without_output(tmp_path: Path) -> None:
    write_table(tmp_path / "in.parquet", TEXTS)
    counted = json.loads(command("count", "in.parquet", "--column", "completion", "--json", folder=tmp_path))
    tokens = sum(motet.count(row) for row in TEXTS if row is not None)
    assert counted["tokens"] == {"completion": tokens}
    assert counted["nulls"] == 30
    (tmp_path / "in.csv").write_text("in,out,cached\n1000,10,500\n2000,20,\n,5,\nx,5,\n")
    words = ("--prompt-tokens", "in", "--completion-tokens", "out", "--cached-tokens", "cached", "--price", "0.15,0.60")
    shape = json.loads(command("cost", "in.csv", *words, "--json", "-o", OUTPUT, folder=tmp_path))
    assert Decimal(shape["cost"]["total"]) == Decimal("0.000468")
    assert shape["unpriced"] == 2
    totals = [row["total"] for row in pq.read_table(tmp_path / OUTPUT)["cost"].to_pylist()]
    assert totals == [Decimal("0.000156"), Decimal("0.000312"), None, None]


def test_cost_renders_and_counts(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "Hi"}]
    (tmp_path / "in.jsonl").write_text(json.dumps({"messages": chat, "completion": CALL}) + "\n")
    words = ("--messages", "messages", "--completion", "completion", "--model", "together/gpt-oss/120b")
    shape = json.loads(command("cost", "in.jsonl", *words, "--json", folder=tmp_path))
    expected = {"prompt": len(motet.render(chat)), "completion": len(motet.encode(CALL, special="token"))}
    assert shape["tokens"] == expected


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
from motet.columns import _job, _source
_source.UNIT_BYTES, _source.BATCH_BYTES, _job.GROUP_BYTES = 4000, 1500, 1500
left = int(sys.argv[1])
def counted(function):
    def call(*arguments, **keywords):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **keywords)
    return call
Path.replace, os.fsync, os.mkdir = counted(Path.replace), counted(os.fsync), counted(os.mkdir)
pq.ParquetWriter.write_table = counted(pq.ParquetWriter.write_table)
pq.ParquetWriter.close, os.unlink = counted(pq.ParquetWriter.close), counted(os.unlink)
from motet.cli import main
sys.exit(main(sys.argv[2:]))
"""
"""A command that is killed before the call of this number that changes files."""


@pytest.mark.skipif("MOTET_KILLS" not in os.environ, reason="MOTET_KILLS=1 steps through all moments, for a minute")
def test_kills_lose_no_row_and_double_none(tmp_path: Path) -> None:
    write_table(tmp_path / "in.parquet", TEXTS, group=10)
    words = ("parse", "in.parquet", "--column", "completion", "-o", OUTPUT, "--no-tokens")
    code, kills = -9, 0
    while code == -9:
        # Each run is killed later than the one before, and goes on where that one stopped.
        kills += 1
        program = [sys.executable, "-c", KILLED, str(kills), *words]
        code = subprocess.run(program, cwd=tmp_path, env=environment(), capture_output=True, timeout=60).returncode
    assert code == 0
    assert kills > 1
    table = pq.read_table(tmp_path / OUTPUT)
    assert table["number"].to_pylist() == list(range(len(TEXTS)))
    assert [row and row["text"] for row in table["parsed"].to_pylist()] == PARSED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", OUTPUT]


def test_parts_of_a_changed_source_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "in.parquet", TEXTS, group=10)
    words = ("parse", "in.parquet", "--column", "completion", "-o", OUTPUT)
    program = [sys.executable, "-c", KILLED, "20", *words]
    subprocess.run(program, cwd=tmp_path, env=environment(), capture_output=True, timeout=60)
    write_table(tmp_path / "in.parquet", TEXTS[1:], group=10)
    assert "or the source has changed" in command(*words, folder=tmp_path, code=2)
