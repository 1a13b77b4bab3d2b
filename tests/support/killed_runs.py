"""Programs that are killed with SIGKILL at chosen moments, and run again until they end.

Run as `python -m tests.support.killed_runs FOLDER PROGRAMS SEED KILLS [URL]`, with the names of programs separated by
commas. Each round of a program begins in a folder of its own. A run is a fork of a process that has imported
everything, and is killed at one of its moments (see `kill_points`) or, with `MOTET_KILLS`, after some of the time that
a run takes; the next run continues, until one is not killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import motet
import motet.columns
from motet import batch
from motet.cli import main as motet_command
from motet.columns import _job, _source
from motet.together import Backend
from tests.support.completions import CALL, STRIPPED
from tests.support.fake_backend import FakeBackend
from tests.support.fake_clock import FakeClock
from tests.support.kill_points import KillingTransport, KillPoint
from tests.support.server_scripts import KEY, final
from tests.support.table_files import write_table

QUESTIONS = 12
TEXTS = [CALL, None, "plain", STRIPPED, '<|channel|>final<|message|>Hi é,\n"you"<|return|>'] * 12
PRICE = ("--price", "0.15,0.60")


def ask_table(folder: Path, point: KillPoint, url: str) -> None:
    """Asks rows with a checkpoint. Each question that reaches the model is noted in `asked`."""
    handle = os.open(folder / "asked", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def answer(messages: Any) -> str:
        question = messages[-1].content[0].text
        point.plain_write(handle, f"{question}\n".encode())
        point.tick()
        return final(f"You asked: {question}")

    atom = motet.atom("together/gpt-oss/120b", backend=FakeBackend(answer))
    table = [f"question {number}" for number in range(QUESTIONS)]
    rows = motet.columns.ask(table, atom, parallel=2, checkpoint=folder / "checkpoint.jsonl")
    assert rows["text"].to_pylist() == [f"You asked: {text}" for text in table]


def run_batch(folder: Path, point: KillPoint, url: str) -> None:
    """Builds, submits, watches, collects, asks once again what has no answer, and writes the answers and their rows of a ledger."""
    place = folder / "batch"
    backend = Backend(base_url=url, api_key=KEY, transport=KillingTransport(point))
    client = batch.BatchClient(backend, FakeClock())
    if not (place / "batch.json").exists():
        texts = [f"question {number}" for number in range(5)]
        batch.build(texts, place, max_requests=2, current_date="2026-11-26")

    def answers() -> batch.Results:
        client.submit(place)
        client.watch(place)
        return client.collect(place)

    if answers().summary.errors:
        batch.retry(place)
    results = answers()
    with motet.ledger(folder / "ledger.sqlite3"):
        results.write(folder / "answers.jsonl")


def table_command(name: str, suffix: str, *words: str) -> Callable[[Path, KillPoint, str], None]:
    """A command over a file that lies beside the folders of the rounds. Its output goes to `printed`."""

    def run(folder: Path, point: KillPoint, url: str) -> None:
        source = folder.parent / f"in{suffix}"
        output = str(folder / "out.parquet")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = motet_command([name, str(source), *words, "-o", output, "--json"])
        (folder / "printed").write_text(f"{printed.getvalue()}exit code {code}\n")

    return run


PROGRAMS: dict[str, Callable[[Path, KillPoint, str], None]] = {
    "ask_table": ask_table,
    "run_batch": run_batch,
    "parse_parquet": table_command("parse", ".parquet", "--column", "completion"),
    "parse_jsonl": table_command("parse", ".jsonl", "--column", "completion", "--keep", "number"),
    "parse_csv": table_command("parse", ".csv", "--column", "completion", "--no-tokens"),
    "count_jsonl": table_command("count", ".jsonl", "--column", "completion"),
    "count_parquet": table_command("count", ".parquet", "--column", "completion", "--keep", "number"),
    "cost_csv": table_command("cost", ".csv", "--prompt", "completion", "--completion", "completion", *PRICE),
}


def write_sources(folder: Path) -> None:
    """The files of the commands; that of JSON lines has some that are not JSON."""
    for suffix in (".parquet", ".jsonl", ".csv"):
        write_table(folder / f"in{suffix}", TEXTS, group=8)
    with (folder / "in.jsonl").open("a") as file:
        file.write("half {\n" * 3)


class Rounds:
    """A program's rounds: the first is not killed, each of the others until the kills are enough."""

    def __init__(self, program: str, folder: Path, seed: int, url: str) -> None:
        self._program, self._folder, self._url = program, folder, url
        self._random = random.Random(f"{program} {seed}")
        self._moments, self._seconds = 0, 0.0
        """Of a run that is not killed."""

    def run(self, kills: int) -> None:
        self._folder.mkdir()
        write_sources(self._folder)
        self._round(0, 0)
        number = 0
        while kills > 0:
            number += 1
            kills -= self._round(number, kills)

    def _round(self, number: int, max_kills: int) -> int:
        """The number of its kills."""
        folder = self._folder / f"{number:02}"
        folder.mkdir()
        kills = 0
        # In some rounds all kills are early, so that there are many until the end.
        share = self._random.choice((1.0, 0.25))
        while True:
            is_killed = self._one_run(folder, share if kills < max_kills else None)
            kills += is_killed
            self._report(number, folder, is_killed)
            if not is_killed:
                return kills

    def _one_run(self, folder: Path, share: float | None) -> bool:
        """Whether the run was killed. `share`: the part of a run in which it is; `None`: not at all."""
        is_timed = share is not None and "MOTET_KILLS" in os.environ and self._random.random() < 0.3
        moment = None
        if share is not None and not is_timed:
            moment = self._random.randrange(1, max(2, round(self._moments * share)))
        reader, writer = os.pipe()
        begin = time.monotonic()
        child = os.fork()
        if child == 0:
            self._child(folder, moment, writer)
        os.close(writer)
        if share is not None and is_timed:
            time.sleep(self._random.uniform(0, self._seconds * share))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reader) as file:
            count = file.read()
        if os.WIFSIGNALED(status):
            return True
        if status != 0:
            sys.exit(f"{self._program} ended with the status {status} in {folder}")
        if share is None and not self._moments:
            self._moments, self._seconds = int(count), time.monotonic() - begin
        return False

    def _child(self, folder: Path, moment: int | None, writer: int) -> None:
        point = KillPoint(moment)
        try:
            with point.watching_files():
                PROGRAMS[self._program](folder, point, self._url)
            point.plain_write(writer, str(point.count).encode())
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def _report(self, number: int, folder: Path, is_killed: bool) -> None:
        """Prints a run, with the files that it left behind."""
        files = {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        asked, saved = whole_lines(folder / "asked"), whole_lines(folder / "checkpoint.jsonl")
        texts = [json.loads(line)["text"].removeprefix("You asked: ") for line in saved]
        shape = {"program": self._program, "round": number, "killed": is_killed, "files": files}
        print(json.dumps({**shape, "asked": len(asked), "saved": texts}), flush=True)


def whole_lines(path: Path) -> list[str]:
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].decode().splitlines()


def main(folder: Path, programs: str, seed: int, kills: int, url: str = "") -> None:
    """Prints each run as a line of JSON."""
    _source.UNIT_BYTES, _source.BATCH_BYTES, _job.GROUP_BYTES = 4000, 1500, 1500
    assert threading.active_count() == 1
    for program in programs.split(","):
        Rounds(program, folder / program, seed, url).run(kills)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5]), *sys.argv[5:])
