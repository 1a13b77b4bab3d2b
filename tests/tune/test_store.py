"""The file of examples: each once, corrupt and torn lines included."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet.tune import Example, Examples
from motet.tune.store import CorruptLine
from tests.support.training_examples import data_command, examples


@given(st.lists(examples, min_size=1, max_size=3), st.lists(examples, max_size=2))
def test_store_keeps_each_example_once(first: list[Example], second: list[Example]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").exists() else None) as folder:
        log_path = Examples(Path(folder) / "a.jsonl")
        ids = {example.id for example in first}
        assert log_path.add(first) == len(ids)
        assert log_path.add(*second, first) == len({example.id for example in second} - ids)
        assert [item.id for item in log_path] == list(dict.fromkeys([item.id for item in [*first, *second]]))
        assert {*log_path} <= {*first, *second}


def test_examples_are_found_and_removed_by_id_prefix(tmp_path: Path) -> None:
    examples = Examples(tmp_path / "a.jsonl")
    added = [Example.of(f"Q{n}", "A") for n in range(40)]
    examples.add(added)
    assert examples.get(added[7].id) == examples.get(added[7].id[:12]) == added[7]
    for prefix in (
        "",
        "x",
        *{example.id[0] for example in added if sum(two.id[0] == example.id[0] for two in added) > 1},
    ):
        with pytest.raises(motet.DataError, match="begins with"):
            examples.get(prefix)
    assert examples.remove(added[7].id[:12], added[9].id) == 2
    assert [*examples] == [*added[:7], added[8], *added[10:]]
    with pytest.raises(motet.DataError, match="no example"):
        examples.remove(added[3].id, added[7].id)
    assert added[3] in [*examples]
    # What was removed may come back.
    assert examples.add(added) == 2


def test_corrupt_line_is_reported_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    examples = Examples(path)
    item, two = Example.of("1", "A"), Example.of("2", "A")
    examples.add(item)
    bad = [
        b'{"id": "' + b"0" * 32 + b'", "messages": [\n',
        b'{"id": "0", "text": "T"}\n',
        b'{"text": "T"}\n',
        b"\xff\n",
        b'{"id": "1", "txt": "T"}\n',
        b"[]\n",
        json.dumps({**two.to_dict(), "messages": 3}).encode() + b"\n",
        json.dumps({**two.to_dict(), "quality": 7}).encode() + b"\n",
    ]
    with path.open("ab") as file:
        file.write(b"".join(bad) + b"\n")
    assert examples.add(Example.of("3", "A"), item) == 1
    items = [items for _, items in examples.scan()]
    assert [problem.line for problem in items if isinstance(problem, CorruptLine)] == list(range(2, 2 + len(bad)))
    with pytest.raises(motet.DataError, match="line 2: ") as caught:
        list(examples)
    assert caught.value.line == 2 and caught.value.path == str(path)
    assert examples.remove(item.id) == 1
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[: len(bad)] == bad and len(lines) == len(bad) + 2


def test_torn_last_line_is_mended_or_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    examples = Examples(path)
    item, two, three = [Example.of(str(n), "A") for n in range(3)]
    examples.add(item, two)
    path.write_bytes(path.read_bytes()[:-1])
    assert [*examples] == [item, two]
    assert examples.add(two, three) == 1
    assert [*examples] == [item, two, three]
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert [*examples] == [item, two]
    assert [example.torn for _, example in examples.scan() if isinstance(example, CorruptLine)] == [True]
    assert Examples(path).add(three) == 1
    assert path.read_bytes() == whole
    assert (tmp_path / "a.jsonl.torn").read_bytes() == whole.splitlines(keepends=True)[2][:-10] + b"\n"


def test_statistics_and_filters(tmp_path: Path) -> None:
    examples = Examples(tmp_path / "a.jsonl")
    good = Example.of("1", "A", quality=0.9, tags=["x", "y"], thinking="T")
    fair = Example.of("2", "A", quality=0.5, tags=["x"], rejected="B")
    examples.add(good, fair, Example.of("3", "A"), Example.plain("T"))
    assert [*examples.select(min_quality=0.5)] == [good, fair]
    assert [*examples.select(min_quality=0.6, tags=["x"])] == [good]
    assert [*examples.select(tags=["x", "y"])] == [good]
    assert len([*examples.select()]) == 4
    statistics = json.loads(data_command(tmp_path, "list", "-f", "a.jsonl", "--stats", "--json"))["statistics"]
    assert statistics["examples"] == 4
    assert statistics["formats"] == {"conversational": 2, "preference": 1, "text": 1}
    assert statistics["tags"] == {"x": 2, "y": 1}
    assert (statistics["with_quality"], statistics["mean_quality"], statistics["with_reasoning"]) == (2, 0.7, 1)
