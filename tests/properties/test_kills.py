"""SIGKILL at random moments: what is paid for is not lost, and nothing is asked twice. `MOTET_KILL_SEEDS=10` for more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from motet import batch
from motet.testing import BatchService, ScriptedServer, batch_stages
from tests.support.batch_service import echo
from tests.support.killed_runs import ROWS
from tests.support.processes import environment
from tests.support.server_scripts import KEY

KILLS = 5
SEEDS = range(int(os.environ.get("MOTET_KILL_SEEDS", "1")))
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forks")


def runs(program: str, folder: Path, seed: int, kills: int, url: str = "") -> list[dict[str, Any]]:
    """The runs that were killed, and the last, which was not."""
    command = [sys.executable, "-m", "tests.support.killed_runs", program, str(folder), str(seed), str(kills), url]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows, done.stderr
    assert rows[-1]["status"] == 0, done.stderr
    return rows


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_questions_continue_from_the_checkpoint(tmp_path: Path, seed: int) -> None:
    rows = runs("ask_table", tmp_path, seed, KILLS)
    asked = (tmp_path / "asked").read_text().splitlines()
    for row in rows:
        # What was on disk when a run was killed is not asked by a later one.
        assert not set(row["saved"]) & set(asked[row["asked"] :])
        assert len(set(row["saved"])) == len(row["saved"])
    # At most the two questions of the two threads are lost with a kill.
    assert len(asked) <= ROWS + 2 * sum(row["killed"] for row in rows)
    assert rows[0]["killed"]


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_batch_asks_each_request_once(tmp_path: Path, seed: int) -> None:
    texts = [f"question {number}" for number in range(5)]
    batch.build(texts, tmp_path / "batch", max_requests=2)
    service = BatchService(batch_stages)
    with ScriptedServer(echo, key=KEY, batches=service) as server:
        rows = runs("run_batch", tmp_path, seed, KILLS, server.url)
        assert rows[0]["killed"]
        assert len(service.jobs) == 3
        assert sorted(service.answered.values()) == [1] * 5
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [answer["text"] for answer in answers] == [f"You asked: {text}" for text in texts]
