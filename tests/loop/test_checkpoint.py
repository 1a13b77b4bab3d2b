"""Checkpoints: the journal, unfinished calls, locks, full disks and killed processes."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.loop import checkpoint
from motet.loop.checkpoint import CheckpointStore
from motet.loop.run import Run
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.loop_tools import Fatal
from tests.support.processes import environment
from tests.support.saved_runs import SAID, Counter, interrupted, names
from tests.support.server_scripts import final


def policies(path: Path) -> dict[str, Callable[[], Any]]:
    return {"path": lambda: path, "str": lambda: str(path), "run": lambda: Run.load(path)}


@pytest.mark.parametrize("state", ["path", "str", "run"])
@pytest.mark.parametrize(
    ("policy", "effects", "content"),
    [
        ("rerun", [1, 5, 5, 7], "6"),
        ("skip", [1, 5, 7], "it is not known whether the tool did its work"),
        (lambda call: {"asked": call.args()}, [1, 5, 7], '{"asked":{"x":5}}'),
        (lambda call: b"bytes", [1, 5, 7], "the tool returned bytes"),
        (lambda call: 1 / 0, [1, 5, 7], "ZeroDivisionError: division by zero"),
    ],
)
def test_unfinished_policy_decides_about_open_calls(
    state: str, policy: Any, effects: list[int], content: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    atom, counter, add = interrupted(path)
    state_or_path = policies(path)[state]()
    with pytest.raises(motet.UnfinishedCallError, match=r'interrupted within add\(\{"x": 5\}\)') as caught:
        atom.resume(state_or_path, tools=[add])
    assert [(item.name, item.args()) for item in caught.value.calls] == [("add", {"x": 5})]
    assert caught.value.state.unfinished == caught.value.calls
    run = atom.resume(state_or_path, tools=[add], unfinished=policy)
    assert (run.text, sorted(counter.calls)) == ("A", sorted(effects))
    assert content in run.steps[0].calls[1].content
    assert run.steps[0].calls[0].content == "2"
    # What is in the error goes on as well as what is on the disk.
    if state == "run":
        assert atom.resume(caught.value.state, tools=[add], unfinished="skip").text == "A"


def test_idempotent_calls_are_repeated_on_resume(tmp_path: Path) -> None:
    atom, counter, add = interrupted(tmp_path / "run.json", idempotent=True)
    assert atom.resume(tmp_path / "run.json", tools=[add]).text == "A"
    assert sorted(counter.calls) == [1, 5, 5, 7]


def test_call_of_a_missing_tool_stays_unfinished(tmp_path: Path) -> None:
    atom, counter, _ = interrupted(tmp_path / "run.json")
    with pytest.raises(motet.UnfinishedCallError):
        atom.resume(tmp_path / "run.json", tools=[])
    run = atom.resume(tmp_path / "run.json", tools=[], unfinished="rerun")
    assert "there is no tool add" in run.steps[0].calls[1].content
    assert sorted(counter.calls) == [1, 5]


def test_journal_records_each_call_before_and_after(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    journals: list[list[str]] = []

    def look() -> None:
        lines = [json.loads(line) for line in (tmp_path / "run.json.journal").read_text().splitlines()]
        assert {line["of"] for line in lines} == {json.loads(path.read_text())["journal"]}
        journals.append(["begin" if "begin" in line else "end" for line in lines])
        assert [call.name for call in Run.load(path).unfinished] == ["look"]

    atom, _ = fake_atom(turns(calls("look", "look"), final("A")))
    atom.run("Go.", tools=[look], checkpoint=path, parallel=False)
    assert journals == [["begin"], ["begin", "end", "begin"]]
    assert names(tmp_path) == ["run.json"]
    assert (path.stat().st_mode & 0o777) == 0o600


def test_journal_has_the_untruncated_result(tmp_path: Path) -> None:
    path = tmp_path / "run.json"

    def huge() -> str:
        return "x" * 10_000_000

    def dies() -> None:
        raise Fatal

    atom, _ = fake_atom(turns(calls("huge", "dies"), final("A")))
    with pytest.raises(Fatal):
        atom.run("Go.", tools=[huge, dies], checkpoint=path, parallel=False)
    assert Run.load(path).steps[0].calls[0].full_content == "x" * 10_000_000


def test_journal_torn_at_any_byte_keeps_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    atom, _, add = interrupted(path)
    journal = path.with_name("run.json.journal")
    data, saved = journal.read_bytes(), path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    assert len(ends) == 3
    for size in range(len(data) + 1):
        journal.write_bytes(data[:size])
        path.write_bytes(saved)
        lines = [json.loads(line) for line in data[: max([end for end in ends if end <= size], default=0)].splitlines()]
        begun = {line["begin"] for line in lines if "begin" in line} - {line["end"] for line in lines if "end" in line}
        run = Run.load(path)
        assert {place for place, call in enumerate(run.steps[0].calls) if call.started} == begun
        if size % 20 == 0 or size in ends:
            # And it is written on: each call is made once more at most, and nothing is lost.
            assert atom.resume(path, tools=[add], unfinished="skip").text == "A"
            assert not journal.exists()


@pytest.mark.parametrize("line", [b"{}", b"[]", b"\x00\x00", b'{"of": 3', b"null"])
def test_journal_damaged_in_the_middle_is_refused(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    atom, _, add = interrupted(path)
    journal = path.with_name("run.json.journal")
    journal.write_bytes(line + b"\n" + journal.read_bytes())
    with pytest.raises(motet.ConfigError, match=r"line 1 of .*run\.json\.journal is damaged"):
        atom.resume(path, tools=[add])


def test_journal_of_another_run_is_ignored(tmp_path: Path) -> None:
    path, journal = tmp_path / "run.json", tmp_path / "run.json.journal"
    interrupted(path)
    left = journal.read_bytes()
    path.unlink()
    atom, counter, add = interrupted(path)
    journal.write_bytes(left)
    # The lines of the first one bear another key: what they say of the same place is of no account.
    assert Run.load(path).unfinished == ()
    run = atom.resume(path, tools=[add])
    assert (run.text, counter.calls[-3:].count(7)) == ("A", 1)


def test_unfinished_run_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    atom, counter, add = interrupted(path)
    content = path.read_bytes()
    with pytest.raises(motet.ConfigError, match=r"run\.json holds a run that is not done; resume it"):
        atom.run("Go.", tools=[add], checkpoint=path)
    assert path.read_bytes() == content
    assert len(counter.calls) == 2
    atom.resume(path, tools=[add], unfinished="skip")
    assert atom.run("Go.", tools=[add], checkpoint=path).done
    other = tmp_path / "notes.txt"
    other.write_text("my notes")
    with pytest.raises(motet.ConfigError, match="is not a run and is not overwritten"):
        atom.run("Go.", tools=[add], checkpoint=other)
    (tmp_path / "empty").touch()
    assert atom.run("Go.", tools=[add], checkpoint=tmp_path / "empty").done


def test_two_loops_cannot_resume_one_run(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    atom, _, add = interrupted(path)
    stream = atom.resume(path, tools=[add], unfinished="skip", stream=True)
    late = atom.resume(path, tools=[add], unfinished="skip", stream=True)
    with stream:
        next(iter(stream))
        with pytest.raises(motet.ConfigError, match=r"is locked by another loop in this or another process"):
            atom.resume(path, tools=[add], unfinished="skip")
    with pytest.raises(motet.ConfigError, match="has changed since it was loaded"):
        late.finish()
    assert atom.resume(path, tools=[add], unfinished="skip").text == "A"


def held_elsewhere(path: str, ready: Any, done: Any) -> None:
    store = CheckpointStore(path)
    store.open(fresh=False)
    ready.set()
    done.wait(30)
    os._exit(1)


def test_run_is_locked_until_its_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    atom, _, add = interrupted(path)
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=held_elsewhere, args=(str(path), ready, done))
    process.start()
    assert ready.wait(30)
    with pytest.raises(motet.ConfigError, match="is locked by another loop"):
        atom.resume(path, tools=[add], unfinished="skip")
    done.set()
    process.join(30)
    assert atom.resume(path, tools=[add], unfinished="skip").text == "A"


def test_resume_can_write_to_another_checkpoint(tmp_path: Path) -> None:
    atom, _, add = interrupted(tmp_path / "run.json")
    content = (tmp_path / "run.json").read_bytes()
    run = atom.resume(tmp_path / "run.json", tools=[add], unfinished="skip", checkpoint=tmp_path / "other.json")
    assert Run.load(tmp_path / "other.json").steps == run.steps
    assert (tmp_path / "run.json").read_bytes() == content
    state = Run.load(tmp_path / "run.json")
    assert atom.resume(state, tools=[add], unfinished="skip", checkpoint=tmp_path / "third.json").done
    assert Run.load(tmp_path / "third.json").done


class Disk:
    """Makes the n-th write or sync fail as on a full disk: entirely, or after half the bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, half: bool) -> None:
        self.left = -1
        self._real = getattr(os, call)
        self._half = half
        monkeypatch.setattr(checkpoint.os, call, self._fail)

    def _fail(self, *arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            if self._half and len(arguments) == 2:
                return self._real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._real(*arguments)


@pytest.mark.parametrize(("call", "half"), [("write", False), ("write", True), ("fsync", False), ("replace", False)])
@pytest.mark.parametrize("idempotent", [True, False])
def test_full_disk_ends_the_run_without_loss(
    call: str, half: bool, idempotent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, call, half)
    refused = 0
    for n in range(1, 60):
        path = tmp_path / f"{n}.json"
        counter = Counter()
        add = motet.tool(idempotent=idempotent)(counter.add)
        atom, _ = fake_atom(turns(*SAID))
        disk.left = n
        try:
            atom.run("Go.", tools=[add], checkpoint=path, parallel=bool(n % 2))
            assert disk.left > 0
            break
        except OSError as error:
            assert error.errno == errno.ENOSPC
            refused += 1
            state = error.state  # type: ignore[attr-defined]
        disk.left = -1
        if path.exists():
            # The file is the old one or the new one, and knows of each call that was made.
            loaded = Run.load(path)
            reported = [item for step in loaded.steps for item in step.calls if item.started or item.signal is not None]
            assert len(reported) >= len(counter.calls)
        count = len(counter.calls)
        # What is in the error knows all; what is on the disk, all but what it could not hold.
        run = atom.resume(state, tools=[add])
        assert (run.text, sorted(counter.calls)) == ("A", [1, 5, 7])
        if path.exists():
            del counter.calls[count:]
            run = atom.resume(path, tools=[add], unfinished="skip")
            assert run.text == "A"
            assert all(counter.calls.count(x) <= (2 if idempotent else 1) for x in (1, 5, 7))
            assert set(counter.calls) == {1, 5, 7} or not idempotent
    assert refused >= {"write": 6, "fsync": 10, "replace": 6}[call]
    assert not list(tmp_path.glob("*.part"))


SMALL = """
import resource, signal, sys, errno
from tests.support.fake_backend import *
from tests.support.server_scripts import final
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, *sizes = sys.argv[1:]
def big(n: int) -> str:
    print("made", n, flush=True)
    return "x" * n
atom, _ = fake_atom(turns(*[calls(("big", '{"n": %s}' % size)) for size in sizes], final("A")))
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))
try:
    atom.run("Go.", tools=[big], checkpoint=path)
except OSError as error:
    print(error.errno in (errno.ENOSPC, errno.EFBIG), len(error.state.steps), error.state.steps[-1].calls[0].signal)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print([one.name for one in motet.Run.load(path).unfinished])
print(atom.resume(path, tools=[big], unfinished=lambda call: "seen to").text)
"""


@pytest.mark.parametrize(
    ("sizes", "unfinished"),
    # A result that the journal cannot hold; results that the checkpoint cannot hold together.
    [(["10", "20000"], "['big']"), (["4000", "4001"], "[]")],
)
def test_file_size_limit_ends_the_run(sizes: list[str], unfinished: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL, tmp_path / "run.json", *sizes],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    lines = [f"made {size}" for size in sizes]
    assert done.stdout.splitlines() == [*lines, "True 2 success", unfinished, "A"], done.stderr


WRITES = """
import os, signal, sys
from tests.support.fake_backend import *
from tests.support.server_scripts import final
left = int(sys.argv[2])
def dying(name):
    real = getattr(os, name)
    def call(*arguments, **more):
        global left
        left -= 1
        if left == 0:
            if name == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)
    setattr(os, name, call)
for name in ("write", "fsync", "replace", "ftruncate", "unlink", "open"):
    dying(name)
def add(x: int = 1) -> int:
    with open(sys.argv[1] + ".made", "a") as file:
        file.write(f"{x}\\n")
    return x + 1
atom, _ = fake_atom(turns(calls("add", ("add", '{"x": 5}')), calls(("add", '{"x": 7}')), final("A")))
atom.run("Go.", tools=[add], checkpoint=sys.argv[1], parallel=False)
"""


@pytest.fixture(scope="module")
def forkserver() -> Iterator[Any]:
    yield multiprocessing.get_context("fork")


def killed(path: str, left: int) -> None:
    sys.argv = ["", path, str(left)]
    exec(compile(WRITES, "writes", "exec"), {"__name__": "writes"})
    os._exit(0)


def test_checkpoint_is_never_partial_after_a_kill(tmp_path: Path, forkserver: Any) -> None:
    """`MOTET_KILLS=1` kills at all points, and not at each third."""
    kills, step = 0, 1 if "MOTET_KILLS" in os.environ else 3
    for left in range(1, 200, step):
        path = tmp_path / f"{left}.json"
        process = forkserver.Process(target=killed, args=(str(path), left))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -9
        kills += 1
        log_path = Path(f"{path}.made")
        if not path.exists():
            assert not log_path.exists()
            continue
        counter = [int(line) for line in log_path.read_text().split()] if log_path.exists() else []

        after = Counter()
        atom, _ = fake_atom(turns(*SAID))
        reported: list[int] = []
        try:
            run = atom.resume(path, tools=[after.add])
        except motet.UnfinishedCallError as error:
            run = atom.resume(path, tools=[after.add], unfinished="skip")
            reported = [call.args().get("x", 1) for call in error.calls]
        assert run.text == "A"
        # Each call once; or not, or once, if it was reported.
        assert sorted({*counter, *after.calls, *reported}) == [1, 5, 7]
        assert len(counter) + len(after.calls) == len({*counter, *after.calls})
        assert not list(tmp_path.glob(f".{path.name}.*"))
    assert kills > 40 // step
