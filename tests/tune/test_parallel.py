"""Work that several processes share has the results of one process, in the same order."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.tune import Built, Example, Examples, Finding, build, check, parallel, read_examples
from motet.tune.lines import Line
from motet.tune.parallel import ordered_map
from tests.support.training_rows import BAD_ROWS, GOOD, SECRETS, chat, line_of


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_BATCH", 1000)


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The process pools that are created."""
    pools: list[Any] = []

    class Recorded(parallel.ProcessPoolExecutor):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            pools.append(self)

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Recorded)
    return pools


def numbers(count: int, *bad: int) -> Iterator[Line]:
    for n in range(count):
        data = b"%100d" % n if n not in bad else b"none"
        yield Line(n, data, len(data))


def number_on(line: Line) -> int:
    return int(line.data)


def dies(line: Line) -> int:
    """Ends its process at two lines, unless that is the process of the test."""
    number = int(line.data)
    if number in (7, 200) and os.environ["MOTET_TEST_PID"] != str(os.getpid()):
        os._exit(3)
    return number


def test_results_come_in_order_up_to_an_error(small_batches: None, pools: list[Any]) -> None:
    assert [*ordered_map(number_on, numbers(500), workers=2)] == [*range(500)]
    results = ordered_map(number_on, numbers(500, 333, 400), workers=2)
    assert [next(results) for _ in range(333)] == [*range(333)]
    with pytest.raises(ValueError, match="none"):
        next(results)
    assert len(pools) == 2


def test_short_work_starts_no_process(pools: list[Any]) -> None:
    for workers in (None, 1, 4):
        assert [*ordered_map(number_on, numbers(1000), workers)] == [*range(1000)]
    assert [*ordered_map(number_on, [], 2)] == []
    assert not pools
    with pytest.raises(motet.ConfigError, match="workers"):
        next(ordered_map(number_on, [], 0))


def test_lines_are_read_as_results_are_taken(small_batches: None) -> None:
    read: list[int] = []
    lines = (read.append(line.number) or line for line in numbers(100_000))
    assert next(ordered_map(number_on, lines)) == 0
    assert len(read) == 1
    results = ordered_map(number_on, lines, workers=2)
    assert next(results) == 1
    results.close()
    assert len(read) < 100


def test_work_of_a_dead_process_is_done_here(small_batches: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTET_TEST_PID", str(os.getpid()))
    assert [*ordered_map(dies, numbers(500), workers=2)] == [*range(500)]


def findings_of(file: bytes | Path, **options: Any) -> tuple[Any, list[Finding], list[Finding]]:
    findings: list[Finding] = []
    report = check(file if isinstance(file, Path) else io.BytesIO(file), on_finding=findings.append, **options)
    return report.to_dict(), report.findings, findings


def test_check_reports_the_same(tmp_path: Path, small_batches: None, pools: list[Any]) -> None:
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
    assert findings_of(data, workers=2) == findings_of(data)
    options: dict[str, Any] = {"max_tokens": 80, "allow": ["jwt"]}
    assert findings_of(path, **options, workers=2) == findings_of(path, **options)
    assert len(pools) == 2


def built(folder: Path, workers: int, **options: Any) -> Any:
    """The result of a build, with the bytes of its files."""
    paths = (folder / "t.jsonl", folder / "v.jsonl")
    for path in paths:
        path.unlink(missing_ok=True)
    result: Built | str
    try:
        result = build(folder / "e.jsonl", *paths, workers=workers, **options)
    except motet.MotetError as error:
        result = str(error)
    return result, [path.read_bytes() for path in paths if path.exists()]


def test_build_writes_the_same(tmp_path: Path, small_batches: None, pools: list[Any]) -> None:
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A", "reasoning": "T"}]
    examples = [Example.of(f"Question {n % 90}?", f"Answer {n % 97}. " * 9, quality=n / 200) for n in range(200)]
    examples += [Example.conversation(turns * 3), Example.plain("T"), Example.of("Q", "a " * 200), Example.of("q", "a")]
    Examples(tmp_path / "e.jsonl").add(examples)
    options: dict[str, Any] = {"max_tokens": 120, "fraction": 0.3}
    result, files = built(tmp_path, 2, **options)
    assert isinstance(result, Built) and len(files) == 2
    assert built(tmp_path, 1, **options) == (result, files)
    Examples(tmp_path / "e.jsonl").add(Example.of("Q", SECRETS["github"][0]), Example.of("Q", SECRETS["jwt"][0]))
    with (tmp_path / "e.jsonl").open("ab") as file:
        file.write(b"{corrupt}\n")
    refused = built(tmp_path, 2)
    assert "line 207: not valid JSON" in refused[0] and not refused[1]
    assert built(tmp_path, 1) == refused
    assert len(pools) == 2


def test_sources_give_the_same_examples(tmp_path: Path, small_batches: None, pools: list[Any]) -> None:
    @motet.tool
    def local(x: int) -> int:
        """A function that cannot be pickled."""
        return x

    user = {"role": "user", "content": "Q"}
    rows = [chat({**user, "content": f"{n}?"}, {"role": "assistant", "content": "A " * 30}) for n in range(100)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([json.dumps(row) for row in [*rows, {"messages": 3}, *rows]]) + "\n")
    stores = [Examples(tmp_path / f"{workers}.jsonl") for workers in (1, 2)]
    for workers, store in enumerate(stores, 1):
        with pytest.raises(motet.DataError, match="line 101: ") as caught:
            store.add(*read_examples(path, tools=[local], tags=["x"], workers=workers))
        assert caught.value.line == 101
        examples = read_examples(path, tools=[local], tags=["x"], workers=workers)
        store.add(next(examples) for _ in range(100))
    assert [*stores[0]] == [*stores[1]]
    assert [*stores[0]][99].tools[0]["function"]["name"] == "local"
    assert len(pools) == 2
