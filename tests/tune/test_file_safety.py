"""Files of examples and of training data when the disk fails, is full, or the process is killed: old or new, and whole
lines only."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motet
from motet import _atomic_files as files
from motet._atomic_files import atomic_write, write_whole
from motet.tune import Example, Examples, build

OLD = [Example.of(f"Question {n}?", "Answer. " * (5 + n % 7)) for n in range(12)]
NEW = [Example.of(f"Another {n}?", "Answer. " * (5 + n % 7)) for n in range(12)]


@dataclass
class Work:
    """An operation on files, repeated from the same state."""

    act: Callable[[Path], object]
    names: tuple[str, ...]
    """The files that the operation changes."""

    def begin(self, folder: Path) -> None:
        """The files before the operation, all present."""
        for path in folder.iterdir():
            if path.is_file():
                path.unlink()
        Examples(folder / "examples.jsonl").add(OLD)
        (folder / "train.jsonl").write_text('{"text": "old"}\n')
        (folder / "validation.jsonl").write_text('{"text": "old"}\n')

    def state(self, folder: Path) -> tuple[bytes, ...]:
        return tuple([(folder / name).read_bytes() for name in self.names])


WORKS = {
    "add": Work(lambda folder: Examples(folder / "examples.jsonl").add(NEW), ("examples.jsonl",)),
    "remove": Work(lambda folder: Examples(folder / "examples.jsonl").remove(OLD[3].id), ("examples.jsonl",)),
    "build": Work(
        lambda folder: build(
            folder / "examples.jsonl", folder / "train.jsonl", folder / "validation.jsonl", fraction=0.4
        ),
        ("train.jsonl", "validation.jsonl"),
    ),
    "write": Work(
        lambda folder: write_whole(folder / "train.jsonl", '{"text": "new"}\n' * 200),
        ("train.jsonl",),
    ),
}


class Disk:
    """Makes the n-th call of one kind fail: entirely, after half of it, or together with the calls that would undo it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.call, self.how, self.code = "", "", 0
        # Many writes instead of one, and nothing waits for a real disk.
        monkeypatch.setattr(files, "_CHUNK_BYTES", 150)
        real = {name: getattr(os, name) for name in ("write", "fsync", "replace", "ftruncate", "open")}
        real["fsync"] = lambda handle: None
        for name in real:
            monkeypatch.setattr(files.os, name, self._failing(name, real[name]))

    def _failing(self, name: str, real: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            if name == "ftruncate" and self.left == 0 and self.how == "and no way back":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            if name == self.call and self.left > 0:
                self.left -= 1
                if self.left == 0:
                    if name == "write" and self.how != "wholly":
                        half = real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                        if self.how == "half":
                            return half
                    raise OSError(self.code, os.strerror(self.code))
            return real(*arguments, **more)

        return call


FAULTS = [("write", "wholly"), ("write", "half"), ("write", "and no way back")]
FAULTS += [(call, "wholly") for call in ("fsync", "replace", "ftruncate", "open")]
# How often each piece of work writes at least, and how often it does the rest: more than 500 faults in all.
MIN_WRITES = {"add": 15, "remove": 20, "build": 18, "write": 20}
MIN_CALLS = {"fsync": 3, "replace": 1, "ftruncate": 1, "open": 3}


@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize(("call", "how"), FAULTS)
def test_files_are_old_or_new_after_any_fault(
    name: str, code: int, how: str, call: str, quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = WORKS[name]
    work.begin(quick_path)
    before = work.state(quick_path)
    work.act(quick_path)
    after = work.state(quick_path)
    disk = Disk(monkeypatch)
    for n in range(1, 200):
        disk.left, disk.call, disk.how, disk.code = -1, call, how, code
        work.begin(quick_path)
        disk.left = n
        try:
            work.act(quick_path)
        except OSError as error:
            # Half a write is what a full disk does, whatever it says.
            full = code == errno.ENOSPC or (call == "write" and how == "half")
            assert call == "open" or isinstance(error, motet.DiskFullError) == (full and name != "write")
        ended = disk.left > 0
        disk.left, disk.call = -1, ""
        state = work.state(quick_path)
        if how == "and no way back" and name == "add" and state not in (before, after):
            # If truncating back fails, too, a partial line stays at the end, and readers skip it.
            check_torn(quick_path, before[0], state[0])
            continue
        assert all(item in (old, new) for item, old, new in zip(state, before, after, strict=True))
        assert not list(quick_path.glob(".*.part")) or call == "open"
        if state != after:
            work.act(quick_path)
        assert work.state(quick_path) == after
        if ended:
            break
    assert ended or call in ("replace", "ftruncate")
    assert n >= (MIN_WRITES[name] if call == "write" else MIN_CALLS[call])


def check_torn(folder: Path, before: bytes, state: bytes) -> None:
    assert state.startswith(before)
    examples = Examples(folder / "examples.jsonl")
    whole = state[len(before) :].count(b"\n")
    assert [*examples] == [*OLD, *NEW[:whole]]
    assert examples.add(NEW) == len(NEW) - whole
    assert [*examples] == [*OLD, *NEW]
    tail = state.rpartition(b"\n")[2]
    torn = folder / "examples.jsonl.torn"
    assert not tail or torn.read_bytes() == tail + b"\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True) if sys.platform == "linux" else None
    if done is None or done.returncode:
        pytest.skip("no right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", WORKS)
def test_full_disk_leaves_the_old_files(name: str, small_disk: Path) -> None:
    work = WORKS[name]
    full = 0
    work.begin(small_disk)
    before = work.state(small_disk)
    work.act(small_disk)
    after = work.state(small_disk)
    for free in range(0, 64 * 1024, 4096):
        work.begin(small_disk)
        fill(small_disk, free)
        try:
            work.act(small_disk)
        except OSError as error:
            full += 1
            assert isinstance(error, motet.DiskFullError) == (name != "write")
            assert work.state(small_disk) == before
            assert not list(small_disk.glob(".*.part"))
            (small_disk / "ballast").unlink()
            work.act(small_disk)
        assert work.state(small_disk) == after
    assert full >= 1


def fill(folder: Path, free: int) -> None:
    left = os.statvfs(folder)
    with (folder / "ballast").open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, max(1, left.f_bavail * left.f_bsize - free))


fork = multiprocessing.get_context("fork")


def limited(folder: Path, name: str, size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        WORKS[name].act(folder)
    except OSError:
        os._exit(3)
    os._exit(0)


@pytest.mark.parametrize("name", WORKS)
def test_file_size_limit_leaves_the_old_file(name: str, quick_path: Path) -> None:
    work = WORKS[name]
    work.begin(quick_path)
    before = work.state(quick_path)
    work.act(quick_path)
    after = work.state(quick_path)
    refused = 0
    for size in range(100, max(map(len, after)) + 400, 400):
        work.begin(quick_path)
        process = fork.Process(target=limited, args=(quick_path, name, size))
        process.start()
        process.join(60)
        refused += process.exitcode == 3
        assert work.state(quick_path) == (before if process.exitcode else after)
        assert not list(quick_path.glob(".*.part"))
    assert refused >= 2


def adding(path: Path, reports: Any) -> None:
    examples, count = Examples(path), 0
    while True:
        batch = [Example.of(f"{os.getpid()} {count + n}?", "A" * 500) for n in range(20)]
        examples.add(batch)
        count += 20
        reports.send([example.id for example in batch])


def rebuilding(folder: Path, reports: Any) -> None:
    for count in range(1_000_000):
        build(folder / "examples.jsonl", folder / "train.jsonl", folder / "validation.jsonl", fraction=0.4)
        reports.send(count)


def removing(path: Path, reports: Any) -> None:
    examples = Examples(path)
    extra = [Example.of(f"Extra {n}?", "A" * 500) for n in range(40)]
    while True:
        examples.add(extra)
        for example in extra:
            examples.remove(example.id)
        reports.send([])


@pytest.mark.parametrize("work", [adding, removing, rebuilding])
def test_killed_process_leaves_whole_lines(work: Any, quick_path: Path) -> None:
    path = quick_path / "examples.jsonl"
    Examples(path).add(OLD)
    if work is rebuilding:
        build(path, quick_path / "train.jsonl", quick_path / "validation.jsonl", fraction=0.4)
        state = WORKS["build"].state(quick_path)
    seeded = random.Random(7)
    known_ids = {example.id for example in OLD}
    for _ in range(20 if "MOTET_KILLS" in os.environ else 7):
        mine, other = fork.Pipe(duplex=False)
        process = fork.Process(target=work, args=(quick_path if work is rebuilding else path, other))
        process.start()
        batches: list[Any] = [mine.recv()]
        time.sleep(seeded.uniform(0, 0.02))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        other.close()
        with contextlib.suppress(EOFError):
            while True:
                batches.append(mine.recv())
        # The next writer removes the temporary file.
        assert len([*quick_path.glob(".*.part")]) <= 2
        if work is rebuilding:
            assert WORKS["build"].state(quick_path) == state
            continue
        # What was acknowledged is there; what is there is whole.
        known_ids |= {token for ids in batches for token in ids}
        ids = [example.id for example in Examples(path)]
        assert known_ids <= {*ids} and len(ids) == len({*ids})
        for line in path.read_bytes().splitlines(keepends=True)[:-1]:
            json.loads(line)
        assert Examples(path).add(OLD) == 0
    assert all(result.__class__ is Example for _, result in Examples(path).scan()) or work is adding


def crowd(path: Path, own: int, ready: Any) -> None:
    ready.wait()
    examples = Examples(path)
    for start in range(0, 10_000, 250):
        mine = [Example.of(f"{own} {n}?", "A") for n in range(start, start + 250)]
        shared = [Example.of(f"both {n}?", "A") for n in range(start // 10, start // 10 + 25)]
        examples.add(mine + shared)


def test_concurrent_appends_lose_no_example(quick_path: Path) -> None:
    path = quick_path / "examples.jsonl"
    ready = fork.Barrier(3)
    processes = [fork.Process(target=crowd, args=(path, own, ready)) for own in range(2)]
    for process in processes:
        process.start()
    ready.wait()
    while any(process.is_alive() for process in processes):
        # A reader meanwhile sees whole examples only.
        if path.exists():
            assert all(result.__class__ is Example for _, result in Examples(path).scan())
        time.sleep(0.2)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    questions = [example.messages[0]["content"] for example in Examples(path)]
    assert len(questions) == 21_000
    assert {*questions} == {f"{own} {n}?" for own in range(2) for n in range(10_000)} | {
        f"both {n}?" for n in range(1000)
    }


def test_readers_see_a_snapshot(quick_path: Path) -> None:
    examples = Examples(quick_path / "examples.jsonl")
    examples.add(OLD)
    reading = iter(examples)
    first = next(reading)
    examples.remove(OLD[5].id)
    Examples(examples.path).add(NEW)
    assert [first, *reading] == OLD
    assert [*examples] == [*OLD[:5], *OLD[6:], *NEW]


def test_stale_temp_files_are_removed_and_active_ones_kept(tmp_path: Path) -> None:
    left = tmp_path / ".one.abc.part"
    left.write_text("half")
    other = tmp_path / ".two.abc.part"
    other.write_text("half")
    with atomic_write(tmp_path / "one") as (slow,):
        slow.write(b"slow")
        write_whole(tmp_path / "one", "fast")
        assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".part", ".part"]
    assert (tmp_path / "one").read_bytes() == b"slow"
    assert not left.exists() and other.exists()


def test_several_files_are_replaced_all_or_none(tmp_path: Path) -> None:
    item, two = tmp_path / "one", tmp_path / "two"
    item.write_text("old")
    link = tmp_path / "link"
    link.symlink_to(item)
    item.chmod(0o640)
    with pytest.raises(KeyError), atomic_write(link, two) as (first, second):
        first.write(b"new")
        second.write(b"new")
        raise KeyError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "one"]
    assert item.read_text() == "old"
    with atomic_write(link, two) as (first, second):
        first.write(b"new")
        second.write(b"new " * 200_000)
    assert item.read_text() == "new" and link.is_symlink()
    assert item.stat().st_mode & 0o777 == 0o640
    assert two.read_bytes() == b"new " * 200_000 and second.size == 800_000
