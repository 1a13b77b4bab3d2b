"""SIGKILL at random moments: what is paid for is not lost, nothing is asked twice, no row is lost or doubled.

`MOTET_KILLS=1` for 50 kills of each program, some of them by time; else three of four programs.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import motet
from motet.testing import BatchService, ScriptedServer, batch_stages
from tests.support.batch_service import echo
from tests.support.processes import environment
from tests.support.server_scripts import KEY

killed_runs = pytest.importorskip("tests.support.killed_runs", reason="needs pyarrow", exc_type=ImportError)

IS_LONG = "MOTET_KILLS" in os.environ
KILLS = 50 if IS_LONG else 3
COMMANDS = ["parse_jsonl", "cost_csv"]
if IS_LONG:
    COMMANDS += ["parse_parquet", "parse_csv", "count_parquet", "count_jsonl"]

# One process runs all programs, because its imports take longer than they.
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forks"),
    pytest.mark.xdist_group("kills"),
]

Run: TypeAlias = dict[str, Any]
"""What `killed_runs` prints of it."""


class KilledPrograms:
    """The rounds of each program, and the service that had its batches."""

    def __init__(self, folder: Path) -> None:
        # Of each batch the first job expires with half of its answers, and the rest is asked again.
        stages = map(batch_stages, itertools.cycle(("EXPIRED", "COMPLETED", "COMPLETED", "COMPLETED")))
        self.folder = folder
        self.service = BatchService(lambda: next(stages))
        with ScriptedServer(echo, key=KEY, batches=self.service) as server:
            words = [str(folder), ",".join(["ask_table", "run_batch", *COMMANDS]), "7", str(KILLS), server.url]
            command = [sys.executable, "-m", "tests.support.killed_runs", *words]
            done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        self._runs: list[Run] = [json.loads(line) for line in done.stdout.splitlines()]

    def rounds(self, program: str) -> list[tuple[Path, list[Run]]]:
        """The folder of each round, and its runs: some that were killed, and one that was not."""
        runs = [run for run in self._runs if run["program"] == program]
        assert sum(run["killed"] for run in runs) == KILLS
        groups = itertools.groupby(runs, lambda run: run["round"])
        return [(self.folder / program / f"{number:02}", list(group)) for number, group in groups]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> KilledPrograms:
    return KilledPrograms(tmp_path_factory.mktemp("kills"))


def test_killed_questions_continue_from_the_checkpoint(programs: KilledPrograms) -> None:
    for folder, runs in programs.rounds("ask_table"):
        asked = (folder / "asked").read_text().splitlines()
        for run in runs:
            # What was on disk when a run was killed is not asked by a later one.
            assert not set(run["saved"]) & set(asked[run["asked"] :])
            assert len(set(run["saved"])) == len(run["saved"])
        # At most the two questions of the two threads are lost with a kill.
        assert len(asked) <= killed_runs.QUESTIONS + 2 * sum(run["killed"] for run in runs)


def test_killed_batch_asks_each_request_once(programs: KilledPrograms) -> None:
    rounds = programs.rounds("run_batch")
    files = [job.shape["input_file_id"] for job in programs.service.jobs.values()]
    assert len(files) == len(set(files)) == 4 * len(rounds)
    assert sorted(programs.service.answered.values()) == [1] * 5 * len(rounds)
    answers = [(folder / "answers.jsonl").read_text() for folder, _ in rounds]
    texts = [json.loads(line)["text"] for line in answers[0].splitlines()]
    assert texts == [f"You asked: question {number}" for number in range(5)]
    assert set(answers) == {answers[0]}
    cost = sum([Decimal(json.loads(line)["cost"]) for line in answers[0].splitlines()])
    for folder, _ in rounds:
        [total] = motet.Ledger(folder / "ledger.sqlite3").costs()
        assert (total.answers, total.cash) == (5, cost)
    names = {tuple(runs[-1]["files"]) for _, runs in rounds}
    assert len(names) == 1 and not any(name.endswith(".part") for name in names.pop())


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_commands_write_each_row_once(programs: KilledPrograms, command: str) -> None:
    """The output, the report and the exit code are those of a command that is not killed, byte by byte."""
    (_, [whole]), *rounds = programs.rounds(command)
    assert [*whole["files"]] == ["out.parquet", "printed"]
    for _, runs in rounds:
        assert runs[-1]["files"] == whole["files"]
        # At any moment an output is there as a whole, or not yet.
        assert {run["files"]["out.parquet"] for run in runs if "out.parquet" in run["files"]} == {
            whole["files"]["out.parquet"]
        }
