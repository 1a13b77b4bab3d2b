"""Work that processes share says the same as work that is done here."""

from __future__ import annotations

import io
import json
import operator
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.tune import Built, Example, Examples, Finding, build, check, crew, read_examples
from motet.tune.crew import each
from tests.support.training_rows import BAD_ROWS, GOOD, SECRETS, chat, line_of


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are started for little, and are given little at once."""
    monkeypatch.setattr(crew, "WORTH", 2000)
    monkeypatch.setattr(crew, "_BATCH", 1000)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    found: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            found.append(self)

    monkeypatch.setattr(crew.subprocess, "Popen", Noted)
    return found


def numbers(count: int, *bad: int) -> Iterator[str]:
    """As texts, which weigh as much as they are long; those that are bad are none."""
    return (f"{n:>100}" if n not in bad else "none" for n in range(count))


@pytest.mark.parametrize(("workers", "size"), [(1, 50_000), (2, None), (3, 50_000)])
def test_results_come_in_order_up_to_the_first_error(
    workers: int, size: int | None, eager: None, started: list[Any]
) -> None:
    assert [*each(int, numbers(500), len, size=size, workers=workers)] == [*range(500)]
    assert len(started) == (workers if workers > 1 else 0)
    results = each(int, numbers(500, 333, 400), len, size=size, workers=workers)
    assert [next(results) for _ in range(333)] == [*range(333)]
    with pytest.raises(ValueError, match="none"):
        next(results)
    assert all(process.returncode is not None for process in started)


def test_small_or_single_worker_input_starts_no_process(started: list[Any]) -> None:
    assert len([*each(int, numbers(1000), len)]) == 1000
    assert len([*each(int, numbers(1000), len, size=10**5, workers=4)]) == 1000
    assert len([*each(int, numbers(1000), len, size=10**9, workers=1)]) == 1000
    assert [*each(int, [], len, workers=2)] == []
    assert not started
    with pytest.raises(motet.ConfigError, match="workers"):
        next(each(int, [], len, workers=0))


def test_first_result_arrives_before_the_second_item(eager: None) -> None:
    asked: list[int] = []
    results = each(abs, (asked.append(n) or n for n in range(9)), operator.index, workers=2)
    assert (next(results), asked) == (0, [0])


def test_early_stop_leaves_no_process(eager: None, started: list[Any]) -> None:
    results = each(int, numbers(100_000), len, size=10**7, workers=2)
    assert next(results) == 0
    results.close()
    assert [process.returncode for process in started] == [-9, -9]


def quits(text: str) -> int:
    """Ends the process if it is not the first one."""
    if int(text) in (7, 200) and os.environ.get("MOTET_TEST_PID") != str(os.getpid()):
        os._exit(3)
    return int(text)


def test_work_of_a_dead_process_is_done_locally(
    eager: None, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTET_TEST_PID", str(os.getpid()))
    assert [*each(quits, numbers(500), len, size=50_000, workers=2)] == [*range(500)]
    assert sorted([process.returncode for process in started])[-1] == 3
    monkeypatch.setattr(sys, "executable", "/nothing/there")
    assert [*each(int, numbers(500), len, size=50_000, workers=2)] == [*range(500)]
    monkeypatch.setattr(sys, "executable", None)
    assert [*each(int, numbers(500), len, size=50_000, workers=2)] == [*range(500)]
    assert len(started) == 2


def all_of(data: bytes | Path, **options: Any) -> tuple[Any, list[Finding], list[Finding]]:
    heard: list[Finding] = []
    file = data if isinstance(data, Path) else io.BytesIO(data)
    report = check(file, on_finding=heard.append, **options)
    return report.to_dict(), report.findings, heard


def test_parallel_check_equals_the_serial_one(tmp_path: Path, eager: None, started: list[Any]) -> None:
    rows = [line_of(row) for row, _, _ in BAD_ROWS] + [line_of(row) for row in GOOD.values()]
    rows += [line_of({"text": secret}) for pair in SECRETS.values() for secret in pair]
    odd = [
        b"\n",
        b"{",
        b"\xff\n",
        b"\xef\xbb\xbf" + rows[-1],
        rows[-1][:-1] + b"\r\n",
        '{"text": "\u2028x"}\n'.encode(),
    ]
    data = b"".join([*rows, *odd, *rows, *odd]) + b'{"text": "no end"}'
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    for file, options in ((data, {}), (path, {"max_tokens": 80, "allow": ["jwt"]})):
        assert all_of(file, **options, workers=2) == all_of(file, **options, workers=1)
    assert len(started) == 4


def built(folder: Path, workers: int, **options: Any) -> Any:
    """What comes of building, the files included."""
    paths = (folder / "t.jsonl", folder / "v.jsonl")
    for path in paths:
        path.unlink(missing_ok=True)
    result: Built | str
    try:
        result = build(folder / "e.jsonl", *paths, workers=workers, **options)
    except motet.MotetError as error:
        result = str(error)
    return result, [path.read_bytes() for path in paths if path.exists()]


def test_parallel_build_equals_the_serial_one(tmp_path: Path, eager: None, started: list[Any]) -> None:
    asked = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A", "reasoning": "T"}]
    given = [Example.of(f"Question {n % 90}?", f"Answer {n % 97}. " * 9, quality=n / 200) for n in range(200)]
    given += [Example.conversation(asked * 3), Example.plain("T"), Example.of("Q", "a " * 200), Example.of("q", "a")]
    Examples(tmp_path / "e.jsonl").add(given)
    ways: list[dict[str, Any]] = [{"max_tokens": 120, "fraction": 0.3}, {"format": "instruction", "min_quality": 0.3}]
    for options in ways:
        result, files = built(tmp_path, 2, **options)
        assert isinstance(result, Built) and len(files) == 2
        assert built(tmp_path, 1, **options) == (result, files)
    Examples(tmp_path / "e.jsonl").add(Example.of("Q", SECRETS["github"][0]), Example.of("Q", SECRETS["jwt"][0]))
    refused = built(tmp_path, 2)
    assert "nothing was written" in refused[0] and not refused[1]
    assert built(tmp_path, 1) == refused
    with (tmp_path / "e.jsonl").open("ab") as file:
        file.write(b"{corrupt}\n")
    refused = built(tmp_path, 2)
    assert "line 207: no JSON" in refused[0] and not refused[1]
    assert built(tmp_path, 1) == refused
    assert len(started) == 8


def test_parallel_reading_equals_the_serial_one(tmp_path: Path, eager: None, started: list[Any]) -> None:
    @motet.tool
    def local(x: int) -> int:
        """What cannot be told to another process."""
        return x

    asked = {"role": "user", "content": "Q"}
    rows = [chat({**asked, "content": f"{n}?"}, {"role": "assistant", "content": "A " * 30}) for n in range(100)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([json.dumps(row) for row in rows]) + "\n")
    found = [[*read_examples(path, tools=[local], tags=["x"], workers=n)] for n in (1, 2)]
    assert found[0] == found[1] and found[0][99].tools[0]["function"]["name"] == "local"
    path.write_text("\n".join([json.dumps(row) for row in [*rows, {"messages": 3}, *rows]]) + "\n")
    for workers in (1, 2):
        kept = Examples(tmp_path / f"{workers}.jsonl")
        with pytest.raises(motet.DataError, match="line 101: ") as caught:
            kept.add(read_examples(path, workers=workers))
        assert caught.value.line == 101
    assert len(started) == 4


SCRIPT = """
import threading
from motet.tune import check, crew
crew.WORTH = crew._BATCH = 100
print("once")
thread = threading.Thread(target=lambda: print(check("a.jsonl", workers=2).rows))
thread.start()
other = check("a.jsonl", workers=2).rows
thread.join()
print(other)
"""


@pytest.mark.parametrize("how", ["script", "repl"])
def test_workers_need_no_main_guard(how: str, tmp_path: Path) -> None:
    """The main module is never imported again, and what stands where it was started is not taken for Python's own."""
    (tmp_path / "a.jsonl").write_bytes(line_of({"text": "T"}) * 50)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "pickle.py").write_text("raise SystemExit('this is not Python\\'s own')\n")
    env = {**os.environ, "PYTHONPATH": str(Path(motet.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-P", "script.py" if how == "script" else "-i"],
        cwd=tmp_path,
        env=env,
        input=SCRIPT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["once", "50", "50"]
