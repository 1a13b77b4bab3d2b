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
        kept = Examples(Path(folder) / "a.jsonl")
        ids = {example.id for example in first}
        assert kept.add(first) == len(ids)
        assert kept.add(*second, first) == len({example.id for example in second} - ids)
        assert [one.id for one in kept] == list(dict.fromkeys([one.id for one in [*first, *second]]))
        assert {*kept} <= {*first, *second}


def test_examples_are_found_and_removed_by_id_prefix(tmp_path: Path) -> None:
    kept = Examples(tmp_path / "a.jsonl")
    made = [Example.of(f"Q{n}", "A") for n in range(40)]
    kept.add(made)
    assert kept.get(made[7].id) == kept.get(made[7].id[:12]) == made[7]
    for prefix in ("", "x", *{one.id[0] for one in made if sum(two.id[0] == one.id[0] for two in made) > 1}):
        with pytest.raises(motet.DataError, match="begins with"):
            kept.get(prefix)
    assert kept.remove(made[7].id[:12], made[9].id) == 2
    assert [*kept] == [*made[:7], made[8], *made[10:]]
    with pytest.raises(motet.DataError, match="no example"):
        kept.remove(made[3].id, made[7].id)
    assert made[3] in [*kept]
    # What was removed may come back.
    assert kept.add(made) == 2


def test_corrupt_line_is_reported_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    kept = Examples(path)
    one, two = Example.of("1", "A"), Example.of("2", "A")
    kept.add(one)
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
    assert kept.add(Example.of("3", "A"), one) == 1
    found = [found for _, found in kept.scan()]
    assert [problem.line for problem in found if isinstance(problem, CorruptLine)] == list(range(2, 2 + len(bad)))
    with pytest.raises(motet.DataError, match="line 2: ") as caught:
        list(kept)
    assert caught.value.line == 2 and caught.value.path == str(path)
    assert kept.remove(one.id) == 1
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[: len(bad)] == bad and len(lines) == len(bad) + 2


def test_torn_last_line_is_mended_or_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    kept = Examples(path)
    one, two, three = [Example.of(str(n), "A") for n in range(3)]
    kept.add(one, two)
    path.write_bytes(path.read_bytes()[:-1])
    assert [*kept] == [one, two]
    assert kept.add(two, three) == 1
    assert [*kept] == [one, two, three]
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert [*kept] == [one, two]
    assert [found.torn for _, found in kept.scan() if isinstance(found, CorruptLine)] == [True]
    assert Examples(path).add(three) == 1
    assert path.read_bytes() == whole
    assert (tmp_path / "a.jsonl.torn").read_bytes() == whole.splitlines(keepends=True)[2][:-10] + b"\n"


def test_statistics_and_filters(tmp_path: Path) -> None:
    kept = Examples(tmp_path / "a.jsonl")
    good = Example.of("1", "A", quality=0.9, tags=["x", "y"], thinking="T")
    fair = Example.of("2", "A", quality=0.5, tags=["x"], rejected="B")
    kept.add(good, fair, Example.of("3", "A"), Example.plain("T"))
    assert [*kept.select(min_quality=0.5)] == [good, fair]
    assert [*kept.select(min_quality=0.6, tags=["x"])] == [good]
    assert [*kept.select(tags=["x", "y"])] == [good]
    assert len([*kept.select()]) == 4
    statistics = json.loads(data_command(tmp_path, "list", "-f", "a.jsonl", "--stats", "--json"))["statistics"]
    assert statistics["examples"] == 4
    assert statistics["formats"] == {"conversational": 2, "preference": 1, "text": 1}
    assert statistics["tags"] == {"x": 2, "y": 1}
    assert (statistics["with_quality"], statistics["mean_quality"], statistics["with_reasoning"]) == (2, 0.7, 1)
