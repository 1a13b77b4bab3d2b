"""`motet tune`, as a process against the scripted server; and as a person sees it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from motet import tune
from motet.cli import main
from motet.cli.commands import training as shown
from motet.testing import Fault, ScriptedServer, Stage, Storage, stages
from tests.support.server_scripts import KEY
from tests.support.tune_service import BIG, MODEL, TuneService, answering, rows, service, written


@pytest.fixture
def it(monkeypatch: pytest.MonkeyPatch) -> Iterator[TuneService]:
    """The service that the environment names, with a fake clock for waits."""
    with service(answering) as results:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", results.server.url)
        monkeypatch.setattr(tune.Clock, "sleep", lambda _, seconds: results.clock.sleep(seconds))
        monkeypatch.setattr(tune.Clock, "now", lambda _: results.clock.now())
        yield results


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(written(tmp_path / "train.jsonl"))


def ids(it: TuneService) -> list[str]:
    return list(it.training.jobs)


def start(it: TuneService, data: str, *more: str) -> str:
    assert main(["tune", "start", data, "-m", MODEL, "--no-check", "--yes", *more]) == 0
    return ids(it)[-1]


class Out:
    """The standard output."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self) -> tuple[str, str]:
        read = self._capsys.readouterr()
        return read.out, read.err

    def json(self) -> Any:
        return json.loads(self()[0])


@pytest.fixture
def out(capsys: pytest.CaptureFixture[str]) -> Out:
    return Out(capsys)


def test_estimate_prints_and_starts_no_job(it: TuneService, data: str, out: Out) -> None:
    held = str(written(Path(data).with_name("held.jsonl"), rows(2)))
    arguments = [
        "tune",
        "estimate",
        data,
        "-m",
        "together/gpt-oss/120b",
        "--no-check",
        "--validation",
        held,
        "--epochs",
        "2",
    ]
    assert main(arguments) == 0
    printed, _ = out()
    assert re.search(r"training file +file-\w+-5c1d, 6 examples\n", printed)
    assert re.search(r"price +about \$0\.000\d+\n", printed)
    assert main([*arguments, "--json"]) == 0
    shape = out.json()
    assert shape["price"] in printed
    assert shape["tokens"]["eval"] > 0
    assert not it.training.jobs
    assert {request.body["model"] for request in it.server.requests if request.path.endswith("price")} == {MODEL}


def test_unknown_price_is_printed_as_unknown(it: TuneService, data: str, out: Out) -> None:
    it.training.price = None
    assert main(["tune", "estimate", data, "-m", MODEL, "--no-check"]) == 0
    assert "price            unknown: the service gives no price for data with images" in out()[0]
    assert main(["tune", "start", data, "-m", MODEL, "--no-check", "--max-cost", "100"]) == 3
    assert "is unknown" in out()[1]
    assert not it.training.jobs


def test_settings_are_checked_before_sending(it: TuneService, data: str, out: Out) -> None:
    assert (
        main(["tune", "start", data, "-m", MODEL, "--yes", "--epochs", "99", "--lora-rank", "999", "--suffix", "$(x)"])
        == 2
    )
    assert "n_epochs must be between 1 and 20: 99" in out()[1]
    assert not it.request_lines("POST")


def test_start_without_a_terminal_needs_yes(
    it: TuneService, data: str, out: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["tune", "start", data, "-m", MODEL]) == 2
    assert "give --max-cost USD, or --yes" in out()[1]
    assert it.server.requests == []
    assert main(["tune", "start", data, "-m", MODEL, "--max-cost", "lots"]) == 2
    assert main(["tune", "start", data, "-m", MODEL, "--no-check", "--max-cost", "0.000000001"]) == 3
    assert "nothing was started" in out()[1]
    assert not it.training.jobs
    assert main(["tune", "start", data, "-m", MODEL, "--no-check", "--max-cost", "1", "--json"]) == 0
    assert out.json()["id"] in it.training.jobs


class Terminal:
    """An interactive standard input."""

    def __init__(self, *answers: str) -> None:
        self.answers = [*answers]

    def isatty(self) -> bool:
        return True

    def readline(self, *_: int) -> str:
        return self.answers.pop(0) + "\n" if self.answers else ""

    def fileno(self) -> int:
        raise OSError


@pytest.mark.parametrize(("answer", "started"), [("y", 1), ("YES", 1), ("", 0), ("n", 0), ("what?", 0), (None, 0)])
def test_start_asks_for_confirmation(
    it: TuneService, data: str, out: Out, monkeypatch: pytest.MonkeyPatch, answer: str | None, started: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(*([] if answer is None else [answer])))
    assert main(["tune", "start", data, "-m", MODEL, "--no-check"]) == 1 - started
    printed, errors = out()
    assert re.search(r"Start for \$0\.000\d+\? \[y/N\]", printed)
    assert len(it.training.jobs) == started
    assert ("nothing was started" in errors) == (not started)
    it.training.price = None
    monkeypatch.setattr("sys.stdin", Terminal("y"))
    assert main(["tune", "start", data, "-m", MODEL, "--no-check"]) == 0
    assert "The price is unknown. Start anyway?" in out()[0]


def test_price_rise_after_confirmation_is_refused(
    it: TuneService, data: str, out: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dearer(Terminal):
        def readline(self, *_: int) -> str:
            it.training.price = "48"
            return "y\n"

    monkeypatch.setattr("sys.stdin", Dearer())
    assert main(["tune", "start", data, "-m", MODEL, "--no-check"]) == 3
    assert not it.training.jobs


def test_watch_prints_line_by_line(it: TuneService, data: str, out: Out, tmp_path: Path) -> None:
    name = start(it, data)
    out()
    assert main(["tune", "watch", name, "--svg", str(tmp_path / "loss.svg")]) == 0
    printed, _ = out()
    lines = printed.splitlines()
    assert f"{name} running, step 10 of 20, loss 1.065 (validation 1.215), 30 s left" in lines
    assert re.search(r"Z Training start$", printed, re.M)
    assert "completed, step 20 of 20" in lines[-1]
    assert "the model is scripted/gpt-oss-120b-00000001" in lines[-1]
    assert len(lines) == len(set(lines))
    assert (tmp_path / "loss.svg").read_text().count("polyline") == 2
    assert main(["tune", "watch", name, "--json"]) == 0
    assert out.json()["phase"] == "completed"


@pytest.mark.parametrize(("end", "code"), [("completed", 0), ("error", 1), ("user_error", 1), ("cancelled", 1)])
def test_final_state_is_the_exit_code(it: TuneService, data: str, out: Out, end: str, code: int) -> None:
    it.training.stages = lambda: stages(4, end=end)
    name = start(it, data)
    assert main(["tune", "watch", name]) == code
    assert end in out()[0]
    it.training.stages = lambda: (Stage("queued"),)
    assert main(["tune", "watch", start(it, data, "--suffix", "b"), "--timeout", "60"]) == 3
    assert "it goes on" in out()[1]


def test_control_sequences_are_not_printed(it: TuneService, data: str, out: Out) -> None:
    it.training.stages = lambda: (
        Stage("run\x1b[2Jning", events=("job_start",), message="\x1b]0;x\x07"),
        Stage("error", 1, ("job_error",), "\x1b[31m"),
    )
    name = start(it, data)
    it.training.jobs[name].shape["model_output_name"] = "a\x1b[1mb"
    out()
    assert main(["tune", "watch", name]) == 1
    assert main(["tune", "list"]) == 0
    printed, errors = out()
    assert "\x1b" not in printed + errors
    assert "\\x1b" in printed


def test_training_continues_from_a_checkpoint(it: TuneService, data: str, out: Out) -> None:
    words = ["tune", "start", data, "--from-checkpoint", "ft-1:10", "--method", "dpo", "--no-check", "--yes"]
    assert main(words) == 0
    assert it.server.requests[-1].body["from_checkpoint"] == "ft-1:10"
    assert main([*words, "-m", MODEL]) == 2


def test_jobs_are_listed(it: TuneService, data: str, out: Out) -> None:
    assert main(["tune", "list"]) == 0
    assert "no jobs yet" in out()[0]
    name = start(it, data, "--suffix", "a")
    out()
    assert main(["tune", "list"]) == 0
    printed = out()[0]
    head, _, line, models = printed.splitlines()
    assert head.split() == ["job", "status", "price", "created", "base", "model"]
    assert line.split()[:2] == [name, "pending"]
    assert line.split()[-1] == MODEL
    assert models.strip() == "scripted/gpt-oss-120b-a-00000001"
    assert max(map(len, printed.splitlines())) <= 80
    assert main(["tune", "list", "--json"]) == 0
    assert out.json()[0]["id"] == name


def test_cancel_cancels_the_job(it: TuneService, data: str, out: Out) -> None:
    name = start(it, data)
    assert main(["tune", "cancel", name]) == 0
    assert "cancelled" in out()[0]
    it.training.stages = lambda: (Stage("completed", 1),)
    other = start(it, data, "--suffix", "b")
    assert main(["tune", "watch", other]) == 0
    assert main(["tune", "cancel", other]) == 1
    assert "was not cancelled: it had ended before" in out()[1]
    assert main(["tune", "cancel", "ft-none"]) == 1
    assert main(["tune", "cancel", "../files"]) == 2


def test_download_writes_the_model(it: TuneService, data: str, out: Out, tmp_path: Path) -> None:
    name = start(it, data)
    assert main(["tune", "download", name, "-o", str(tmp_path)]) == 2
    assert "has no model yet" in out()[1]
    assert main(["tune", "watch", name]) == 0
    it.training.faults["download"] = [Fault("reset", after=100)]
    out()
    assert main(["tune", "download", name, "-o", f"{tmp_path}/m/", "--extract", "--kind", "adapter"]) == 0
    printed, _ = out()
    assert "checksum verified" in printed
    assert "adapter_config.json" in printed
    assert main(["tune", "download", name, "-o", str(tmp_path / "x"), "--json"]) == 0
    shape = out.json()
    assert (shape["path"], shape["verified"]) == (str(tmp_path / "x"), "sha256")
    assert main(["tune", "download", name, "-o", str(tmp_path / "y"), "--sha256", "0" * 64]) == 1
    assert "nothing was replaced" in out()[1]


def test_test_compares_model_and_base(it: TuneService, data: str, out: Out) -> None:
    name = start(it, data)
    assert main(["tune", "watch", name]) == 0
    out()
    assert main(["tune", "test", name, data, "--price", "0.15/0.60", "--max-tokens", "200"]) == 0
    printed = out()[0]
    table = {line[:13].strip(): line[13:].split() for line in printed.splitlines()}
    assert table[""] == ["base", "tuned"]
    assert printed.startswith(f"base   {MODEL}\ntuned  scripted/gpt-oss-120b-00000001\n\n")
    assert table["same text"] == ["0.0%", "100.0%"]
    assert [cost[0] for cost in table["cost"]] == ["$", "$"]
    assert main(["tune", "test", name, data, "--json", "--limit", "2"]) == 0
    assert [model["cost"] is None for model in out.json()["models"]] == [False, True]
    assert main(["tune", "test", MODEL, data, "--max-cost", "0.0001", "--parallel", "1"]) == 3
    assert "the rest was not asked" in out()[1]
    assert main(["tune", "test", MODEL, data, "--price", "0.15"]) == 2
    assert main(["tune", "test", "some/model", data, "--limit", "1"]) == 0
    assert "the price of some/model is not known: give --price INPUT,OUTPUT" in out()[0]


def test_missing_key_is_a_usage_error(out: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.delenv("TOGETHER_BASE_URL", raising=False)
    assert main(["tune", "list"]) == 2
    assert "TOGETHER_API_KEY is not set" in out()[1]


def test_job_details_are_printed() -> None:
    style = shown.Style("never", sys.stdout)
    job = tune.Job("ft-1", "running", step=3, total_steps=9, seconds_left=3725, trouble="HTTP 500")
    line = shown.job_line(job, style)
    assert line == "ft-1 running, step 3 of 9, 1 h 2 min left, not reached just now: HTTP 500"
    odd = shown.job_line(tune.Job("ft-1", "defragmenting", seconds_left=61), style)
    assert odd == "ft-1 defragmenting, 1 min 1 s left, a state that motet does not know; it is looked at again"
    nan = tune.Job("ft-1", "running", points=(tune.Point(1, {"train/loss": float("nan")}),))
    assert json.loads(json.dumps(shown.job_dict(nan), allow_nan=False))["loss"] is None


# As a person sees it, in a terminal.


def on_a_terminal(server: ScriptedServer, *arguments: str, until: str, then: int | None = None) -> tuple[int, str]:
    """Runs a command on a pseudo-terminal until it prints something; then sends a signal, or waits for the end."""
    environment = {
        **os.environ,
        "TOGETHER_API_KEY": KEY,
        "TOGETHER_BASE_URL": server.url,
        "TERM": "xterm",
        "COLUMNS": "100",
        "LINES": "40",
    }
    environment.pop("NO_COLOR", None)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "motet.cli", *arguments]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        late = threading.Timer(60, process.kill)
        late.start()
        printed = b""
        while piece := _some(master):
            printed += piece
            if then is not None and until.encode() in printed:
                process.send_signal(then)
                then = None
        late.cancel()
    os.close(master)
    return process.returncode, printed.decode("utf-8", "replace")


def _some(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except OSError:
        return b""


def test_watch_on_a_terminal_shows_bar_and_curve(data: str) -> None:
    with service(stages=[Stage("completed", 20, ("job_complete",))]) as it:
        job = it.job(Path(data))
        code, printed = on_a_terminal(it.server, "tune", "watch", job.id, until="completed")
    assert code == 0
    assert "━" in printed
    assert re.search("[\u2801-\u28ff]", printed)
    assert "Job complete" in printed
    assert "Traceback" not in printed


def test_ctrl_c_leaves_the_job_running(data: str) -> None:
    with service(stages=(Stage("running", 5),)) as it:
        job = it.job(Path(data))
        code, printed = on_a_terminal(
            it.server, "tune", "watch", job.id, until="leaves the job running", then=signal.SIGINT
        )
        assert code == 130
        assert f"{job.id} goes on; watch it again with: motet tune watch {job.id}" in printed
        assert "Traceback" not in printed
        assert it.training.jobs[job.id].shape["status"] == "running"
        assert not it.request_lines("POST", "cancel")


# Killed, and begun again.


def killed(server: ScriptedServer, *arguments: str, when: Callable[[], bool]) -> None:
    """Runs a command until a condition holds, then kills it."""
    environment = {**os.environ, "TOGETHER_API_KEY": KEY, "TOGETHER_BASE_URL": server.url}
    with subprocess.Popen([sys.executable, "-m", "motet.cli", *arguments], env=environment) as process:
        ends = time.monotonic() + 60
        while not when() and time.monotonic() < ends:
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("checksums", [True, False])
def test_killed_upload_restarts(data: str, checksums: bool) -> None:
    hanging = Fault("silence", after=10)
    with service(faults={"put": [hanging]}, storage=Storage(knows_checksums=checksums)) as it:
        arguments = ["tune", "estimate", data, "-m", MODEL, "--no-check"]
        killed(it.server, *arguments, when=lambda: bool(it.request_lines("PUT")))
        (torn,) = it.storage.files
        file = it.file(Path(data))
        assert list(it.storage.files) == [file.id] != [torn]
        assert it.storage.files[file.id].data == Path(data).read_bytes()


def test_killed_download_resumes(data: str, tmp_path: Path) -> None:
    with service(faults={"download": [Fault("silence", after=50_000)]}, archive=BIG) as it:
        job = tune.watch(it.job(Path(data)), **it.how)
        part = tmp_path / "m.part"
        arguments = ["tune", "download", job.id, "-o", str(tmp_path / "m")]
        killed(it.server, *arguments, when=lambda: part.exists() and part.stat().st_size > 0)
        here = part.stat().st_size
        assert not (tmp_path / "m").exists()
        download = tune.download(job, tmp_path / "m", **it.how)
        assert (download.path.read_bytes(), download.resumed_at) == (BIG, here)


def test_watch_says_that_the_service_is_not_reached(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        # Bound and not listening: connections are refused.
        monkeypatch.setenv("TOGETHER_BASE_URL", f"http://127.0.0.1:{reserved.getsockname()[1]}")
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        assert main(["tune", "watch", "ft-1", "--timeout", "0.01"]) == 3
    assert "asked again until it answers" in capsys.readouterr().err
