"""Programs that are killed with SIGKILL at chosen moments, and run again until they end.

Run as `python -m tests.support.killed_runs PROGRAM FOLDER SEED KILLS [URL]`. A moment is a write, a rename or a flush of
a file (before it, and in the middle of a write), or a request (before it is sent, and when its response is there). Each
run is a fork of a process that has imported everything.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

import motet
import motet.columns
from motet import batch
from motet.together import Backend
from tests.support.fake_backend import FakeBackend
from tests.support.fake_clock import FakeClock
from tests.support.server_scripts import KEY, final

MOMENTS = 24
"""The latest moment of a run at which it is killed."""
ROWS = 12


class KillPoint:
    """Kills the process at the n-th moment."""

    def __init__(self, moment: int | None) -> None:
        self._left = moment

    def tick(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch_files(self) -> None:
        write, replace = os.write, os.replace

        def killing_write(handle: int, data: bytes) -> int:
            self.tick()
            half = len(data) // 2
            written = write(handle, data[:half])
            self.tick()
            return written + write(handle, data[half:])

        def killing_replace(*names: Any) -> None:
            self.tick()
            replace(*names)

        os.write, os.replace = killing_write, killing_replace  # type: ignore[assignment]
        os.fsync = lambda handle: self.tick()


class KillingTransport(httpx.HTTPTransport):
    """Real requests, with a moment before each and one behind it."""

    def __init__(self, point: KillPoint) -> None:
        super().__init__(verify=False)
        self._point = point

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._point.tick()
        response = super().handle_request(request)
        self._point.tick()
        return response


def ask_table(folder: Path, point: KillPoint, url: str) -> None:
    """Asks rows with a checkpoint. Each question that reaches the model is noted in `asked`."""
    handle = os.open(folder / "asked", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    note = os.write

    def answer(messages: Any) -> str:
        question = messages[-1].content[0].text
        note(handle, f"{question}\n".encode())
        point.tick()
        return final(f"You asked: {question}")

    point.watch_files()
    atom = motet.atom("together/gpt-oss/120b", backend=FakeBackend(answer))
    table = [f"question {number}" for number in range(ROWS)]
    rows = motet.columns.ask(table, atom, parallel=2, checkpoint=folder / "checkpoint.jsonl")
    assert rows["text"].to_pylist() == [f"You asked: {text}" for text in table]


def run_batch(folder: Path, point: KillPoint, url: str) -> None:
    """Submits, watches, collects and writes a batch."""
    point.watch_files()
    backend = Backend(base_url=url, api_key=KEY, transport=KillingTransport(point))
    client = batch.BatchClient(backend, FakeClock())
    client.submit(folder / "batch")
    client.watch(folder / "batch")
    client.collect(folder / "batch").write(folder / "answers.jsonl")


PROGRAMS: dict[str, Callable[[Path, KillPoint, str], None]] = {"ask_table": ask_table, "run_batch": run_batch}


def whole_lines(path: Path) -> list[str]:
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].decode().splitlines()


def main(program: str, folder: Path, seed: int, kills: int, url: str = "") -> None:
    """Prints, for each run, whether it was killed, the questions that were asked so far, and the rows that were saved."""
    choose = random.Random(seed)
    for number in range(kills + 1):
        moment = None if number == kills else choose.randrange(1, MOMENTS)
        child = os.fork()
        if child == 0:
            try:
                PROGRAMS[program](folder, KillPoint(moment), url)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        asked, saved = whole_lines(folder / "asked"), whole_lines(folder / "checkpoint.jsonl")
        texts = [json.loads(line)["text"].removeprefix("You asked: ") for line in saved]
        print(json.dumps({"killed": os.WIFSIGNALED(status), "status": status, "asked": len(asked), "saved": texts}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5]), *sys.argv[5:])
