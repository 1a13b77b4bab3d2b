"""`motet data`: examples and data sets from the command line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

from motet import tune
from motet.cli.progress import ProgressLine
from tests.support.training_examples import data_command


def test_data_command_starts(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "motet.cli", "data", "add", "--from", "-"]
    done = subprocess.run(words, cwd=tmp_path, input='{"text": "T"}\n', capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 new of 1 in examples.jsonl: ")


def test_data_commands_end_to_end(tmp_path: Path) -> None:
    words = ("add", "--response", "Yes.", "--thinking", "24 degrees.", "--quality", "0.9", "--tag", "weather", "--json")
    added = json.loads(data_command(tmp_path, *words, "--request", "-", stdin="Is Paris warm?"))
    assert (added["read"], added["new"]) == (1, 1)
    assert json.loads(data_command(tmp_path, *words, "--request", "Is Paris warm?"))["new"] == 0
    (tmp_path / "raw.txt").write_text(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>No.<|return|>"
    )
    assert data_command(tmp_path, "add", "--request", "Is Oslo warm?", "--completion", "raw.txt").startswith(
        "1 new of 1 in "
    )
    rows = "".join([json.dumps({"prompt": f"P{n}", "completion": "C"}) + "\n" for n in range(30)])
    assert data_command(tmp_path, "add", "--from", "-", stdin=rows).startswith("30 new of 30")
    listed = data_command(tmp_path, "list")
    assert "Is Paris warm?  weather" in listed and "32 examples" in listed
    assert "Is Oslo" not in data_command(tmp_path, "list", "--min-quality", "0.5")
    shown = data_command(tmp_path, "show", added["ids"][0][:10])
    assert "24 degrees." in shown and "Yes." in shown
    assert json.loads(data_command(tmp_path, "show", added["ids"][0], "--json"))["quality"] == 0.9
    assert data_command(tmp_path, "remove", added["ids"][0]) == "1 removed from examples.jsonl\n"
    assert "no example" in data_command(tmp_path, "show", added["ids"][0], code=1)
    assert data_command(tmp_path, "build").startswith("train.jsonl: 31 rows, ")
    assert "train.jsonl: valid" in data_command(tmp_path, "check", "train.jsonl")


def test_wrong_usage_and_corrupt_files_are_reported(tmp_path: Path) -> None:
    data_command(tmp_path, "add", code=2)
    data_command(tmp_path, "add", "--request", "Q", code=2)
    data_command(tmp_path, "add", "--request", "Q", "--response", "A", "--from", "x", code=2)
    data_command(tmp_path, "add", "--request", "Q", "--response", "A", "--quality", "2", code=2)
    data_command(tmp_path, "list", code=1)
    path = tmp_path / "examples.jsonl"
    path.write_text("{corrupt}\n")
    before = path.read_bytes()
    assert "line 1: not valid JSON" in data_command(tmp_path, "list", code=1)
    assert "line 1" in data_command(tmp_path, "build", code=1)
    assert data_command(tmp_path, "add", "--request", "Q", "--response", "A").startswith("1 new")
    assert path.read_bytes().startswith(before)


def test_findings_are_limited_and_the_rest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"foo": 1}\n' * 250)
    printed = data_command(tmp_path, "check", "bad.jsonl", code=1)
    assert len([line for line in printed.splitlines() if line.startswith(("error ", "warning "))]) == 100
    assert "and 399 more findings; --max-findings N prints N of them, --json all" in printed
    printed = data_command(tmp_path, "check", "bad.jsonl", "--max-findings", "499", code=1)
    assert printed.count("error unknown_format line") == 250 and "more findings" not in printed
    shape = json.loads(data_command(tmp_path, "check", "bad.jsonl", "--json", code=1))
    assert len(shape["findings"]) == 499


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_terminals_and_cleared() -> None:
    times = iter([0.0, 0.1, 0.3, 0.4, 0.6])
    terminal = Terminal()
    with ProgressLine("checking", stream=terminal, clock=lambda: next(times)) as line:
        for done in (100, 200, 300, 400):
            line.show(done * 10**6, 10**9)
    assert terminal.getvalue().split("\r")[1::2] == [
        "checking: 200 of 1,000 MB, 20%",
        "checking: 400 of 1,000 MB, 40%",
        " " * 30,
    ]
    pipe = io.StringIO()
    with ProgressLine("checking", stream=pipe, clock=lambda: 9.0) as line:
        line.show(1, None)
    assert pipe.getvalue() == ""


def test_check_reports_its_progress(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(('{"text": "' + "a " * 200_000 + '"}\n') * 9)
    progress: list[tuple[int, int | None]] = []
    tune.check(path, on_progress=lambda done, total: progress.append((done, total)))
    assert progress and {total for _, total in progress} == {path.stat().st_size}
    assert [done for done, _ in progress] == sorted({done for done, _ in progress})
