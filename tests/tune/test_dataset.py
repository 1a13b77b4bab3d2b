"""Data sets that are made of examples."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from together.lib.utils import check_file

import motet
from motet.tune import Built, Example, Examples, build, check
from tests.support.training_examples import TOOL, data_command, examples
from tests.support.training_rows import SECRETS

CALL = {
    "role": "assistant",
    "reasoning": "T",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "3"}


def message(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, **more, "content": content}


def built_rows(folder: Path, *samples: Example, **options: Any) -> tuple[Built, list[dict[str, Any]]]:
    built = build(samples, folder / "train.jsonl", **options)
    return built, [json.loads(line) for line in (folder / "train.jsonl").read_bytes().splitlines()]


def test_each_format_takes_the_examples_that_fit(tmp_path: Path) -> None:
    plain = Example.of("Q", "A")
    thinking = Example.of("Q2", "A", thinking="T")
    pair = Example.of("Q3", "A", rejected="B")
    tools = Example.conversation([message("user", "Q4"), CALL, RESULT, message("assistant", "A")], tools=[TOOL])
    text = Example.plain("T")
    all_of_them = (plain, thinking, pair, tools, text)

    built, rows = built_rows(tmp_path, *all_of_them, split_answers="none")
    assert rows[:3] == [{"messages": list(example.messages)} for example in (plain, thinking, pair)]
    assert rows[3] == {"messages": list(tools.messages), "tools": [TOOL]}
    assert built.left_out == {"format": 1} and built.cases[0].id == text.id

    built, rows = built_rows(tmp_path, *all_of_them, format="instruction")
    assert rows == [{"prompt": "Q", "completion": "A"}, {"prompt": "Q3", "completion": "A"}]
    assert built.left_out == {"format": 3}

    built, rows = built_rows(tmp_path, *all_of_them, format="preference")
    outputs = {"preferred_output": [message("assistant", "A")], "non_preferred_output": [message("assistant", "B")]}
    assert rows == [{"input": {"messages": [message("user", "Q3")]}, **outputs}]

    built, rows = built_rows(tmp_path, *all_of_them, format="text")
    assert rows == [{"text": "T"}]


def test_each_answer_with_reasoning_ends_its_own_row(tmp_path: Path) -> None:
    conversation = [
        message("system", "S"),
        message("user", "Q1"),
        CALL,
        RESULT,
        message("assistant", "A1", reasoning="T1"),
        message("user", "Q2"),
        message("assistant", "A2", reasoning="T2"),
    ]
    example = Example.conversation(conversation, tools=[TOOL])
    built, rows = built_rows(tmp_path, example)
    assert (built.split, built.train.rows) == (1, 3)
    assert [row["messages"][-1] for row in rows] == [example.messages[2], example.messages[4], example.messages[6]]
    # Within the running turn the model sees what it thought; of turns that are over, it does not.
    assert [[one.get("reasoning") for one in row["messages"] if one["role"] == "assistant"] for row in rows] == [
        ["T"],
        ["T", "T1"],
        [None, None, "T2"],
    ]
    # Each answer is learned once.
    assert [[one.get("weight") for one in row["messages"] if one["role"] == "assistant"] for row in rows] == [
        [None],
        [0, None],
        [0, 0, None],
    ]
    for row in rows:
        # Leaving it out changes nothing of what the model is shown.
        whole = list(example.messages)[: len(row["messages"])]
        ids = [
            motet.render_training(one, tools=[TOOL], dialect="chat_template").ids for one in (row["messages"], whole)
        ]
        assert ids[0] == ids[1]
    report = check(tmp_path / "train.jsonl")
    assert report.ok and not report.findings
    assert len(built_rows(tmp_path, example, split_answers="none")[1]) == 1
    bare = Example.conversation([message("user", "Q"), message("assistant", "A")] * 2)
    assert [len(built_rows(tmp_path, bare, split_answers=how)[1]) for how in ("reasoning", "all", "none")] == [1, 2, 1]


def test_answers_of_weight_0_are_not_trained_on(tmp_path: Path) -> None:
    conversation = [
        message("user", "Q1"),
        message("assistant", "A1", reasoning="T1", weight=0),
        message("user", "Q2"),
        message("assistant", "A2", reasoning="T2", weight=1),
    ]
    _, rows = built_rows(tmp_path, Example.conversation(conversation))
    assert [row["messages"][-1]["content"] for row in rows] == ["A2"]


@pytest.mark.parametrize(("dedupe", "rows"), [("none", 4), ("exact", 3), ("normalised", 2)])
def test_duplicates_are_dropped(dedupe: Any, rows: int, tmp_path: Path) -> None:
    samples = [
        Example.of("Is Paris  warm?", "Yes.\n"),
        Example.of("Is Paris  warm?", "Yes.\n", rejected="No."),
        Example.of("is paris warm?", " YES."),
        Example.of("is paris warm?", "No."),
    ]
    built, _ = built_rows(tmp_path, *samples, dedupe=dedupe)
    assert built.train.rows == rows
    assert built.left_out["duplicate"] == 4 - rows


def test_filters(tmp_path: Path) -> None:
    samples = [Example.of(f"Q{n}", "A", quality=n / 10, tags=["x"] if n % 2 else []) for n in range(10)]
    samples.append(Example.of("Q", "A"))
    built, rows = built_rows(tmp_path, *samples, min_quality=0.5, tags=["x"])
    assert [row["messages"][0]["content"] for row in rows] == ["Q5", "Q7", "Q9"]
    assert built.left_out == {"filter": 8} and built.examples == 11


def test_rows_above_the_length_limit_are_dropped(tmp_path: Path) -> None:
    short, long = Example.of("Q", "A"), Example.of("Q", "A " * 50)
    built, _ = built_rows(tmp_path, short, long)
    most = max(built.train.lengths)
    whole = motet.render_training(long.messages, dialect="chat_template")
    assert most == len(whole.ids)
    assert built_rows(tmp_path, short, long, max_tokens=most)[0].train.rows == 2
    built, _ = built_rows(tmp_path, short, long, max_tokens=most - 1)
    assert built.train.rows == 1
    assert [(case.id, case.reason) for case in built.cases] == [(long.id, "too_long")]
    assert built.cases[0].message.startswith(f"{most} tokens, of {most - 1} at most")


def test_secrets_are_refused_unless_they_are_allowed(tmp_path: Path) -> None:
    samples = [Example.of("Q", f"It is {SECRETS['aws'][0]}."), Example.of("Q", "A", thinking=SECRETS["together"][0])]
    path = tmp_path / "train.jsonl"
    path.write_text("old")
    with pytest.raises(motet.SecretsError) as caught:
        build(samples, path)
    assert path.read_text() == "old" and len([*tmp_path.iterdir()]) == 1
    assert [samples[0].id in finding.path for finding in caught.value.findings] == [True, False]
    assert "messages[1].content" in caught.value.findings[0].path
    assert not any(secret[0] in str(caught.value) for secret in SECRETS.values())
    with pytest.raises(motet.SecretsError, match="together"):
        build(samples, path, allow=["aws"])
    assert build(samples, path, allow=["aws", "together"]).train.rows == 2


def questions(path: Path) -> set[str]:
    return {json.loads(line)["messages"][0]["content"] for line in path.read_bytes().splitlines()}


def test_split_is_stable_and_separates_questions(tmp_path: Path) -> None:
    train, validation = tmp_path / "t.jsonl", tmp_path / "v.jsonl"
    samples = [Example.of(f"Question {n % 400}?", f"Answer {n}.") for n in range(800)]
    build(samples[:500], train, validation, fraction=0.2)
    before = questions(validation)
    built = build(samples, train, validation, fraction=0.2)
    assert built.validation is not None
    assert built.train.rows + built.validation.rows == 800
    assert before <= questions(validation) and not questions(validation) & questions(train)
    assert 0.14 < built.validation.rows / 800 < 0.26
    # A larger share only adds to it, and the order of the examples does not matter.
    build([*reversed(samples)], train, validation, fraction=0.3)
    assert before <= questions(validation)


def test_empty_data_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    for few, least in (([], None), ([Example.of("Q", "A")], 0.5), ([Example.plain("T")], None)):
        with pytest.raises(motet.DataError, match="nothing to train on"):
            build(few, path, min_quality=least)
    with pytest.raises(motet.DataError, match="another fraction"):
        build([Example.of("Q", "A")], path, tmp_path / "v.jsonl", fraction=0.5)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("options", [{"fraction": 0}, {"fraction": 1}, {"format": "csv"}, {"allow": ["x"]}])
def test_wrong_options_are_refused(options: Any, tmp_path: Path) -> None:
    with pytest.raises(motet.ConfigError):
        build([Example.of("Q", "A")], tmp_path / "t.jsonl", **options)
    with pytest.raises(motet.ConfigError, match="one file"):
        build([Example.of("Q", "A")], tmp_path / "t.jsonl", tmp_path / "." / "t.jsonl")


@given(
    st.lists(examples, min_size=1, max_size=4), st.sampled_from(["conversational", "preference", "text", "instruction"])
)
def test_built_files_pass_here_and_in_the_sdk(drawn: list[Example], form: Any) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").exists() else None) as folder:
        train = Path(folder) / "t.jsonl"
        try:
            built = build(drawn, train, format=form, allow=["all"])
        except motet.DataError as error:
            assert "nothing to train on" in str(error)
            return
        report = check(train, allow=["all"])
        assert report.ok and check_file(train)["is_check_passed"]
        assert not {"duplicate", "untrained_reasoning", "crlf", "no_final_newline", "bom"} & {*report.counts}
        assert (report.rows, report.bytes, report.tokens) == (built.train.rows, built.train.bytes, built.train.tokens)
        assert report.lengths == built.train.lengths
        assert report.sha256 == built.train.sha256 == hashlib.sha256(train.read_bytes()).hexdigest()
        first = train.read_bytes()
        build(iter(drawn), train, format=form, allow=["all"])
        assert train.read_bytes() == first


BIG = """
import resource, sys
from pathlib import Path
from motet.tune import Example, Examples, build, check
folder, rows = Path(sys.argv[1]), int(sys.argv[2])
Examples(folder / "e.jsonl").add(Example.of(f"Question {n}?", f"Answer {n}. " * 600) for n in range(rows))
build(folder / "e.jsonl", folder / "t.jsonl", folder / "v.jsonl", workers=1)
check(folder / "t.jsonl", workers=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(folder: Path, rows: int) -> int:
    """KiB."""
    done = subprocess.run(
        [sys.executable, "-c", BIG, str(folder), str(rows)], capture_output=True, text=True, check=True
    )
    return int(done.stdout) // (1024 if sys.platform == "darwin" else 1)


def test_memory_does_not_grow_with_the_file(quick_path: Path) -> None:
    small = quick_path / "small"
    large = quick_path / "large"
    small.mkdir()
    large.mkdir()
    grown = peak(large, 1200) - peak(small, 240)
    assert (large / "e.jsonl").stat().st_size > 8_000_000
    # What is kept of a row is its fingerprint; the file itself would be eight megabytes.
    assert grown < 4096


def test_build_from_the_command_line(tmp_path: Path) -> None:
    store = Examples(tmp_path / "examples.jsonl")
    store.add(Example.of(f"Q{n}", "A", thinking="T") for n in range(60))
    store.add(Example.plain("T"), Example.of("q1 ", "a", thinking="t"))
    shape = json.loads(data_command(tmp_path, "build", "--validation", "v.jsonl", "--fraction", "0.2", "--json"))
    assert shape["train"]["rows"] + shape["validation"]["rows"] == 60
    assert shape["left_out"] == {"format": 1, "duplicate": 1}
    printed = data_command(tmp_path, "build", "--max-tokens", "20", code=1)
    assert "nothing to train on: 62 examples, all left out: too_long 61, format 1" in printed
    assert "rows" in data_command(tmp_path, "check", "train.jsonl", "--html", "report.html")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    bad = '{"messages": [{"role": "alien", "content": "x"}]}\n'
    output = data_command(tmp_path, "check", stdin=bad, code=1)
    assert "error unknown_role line 1: messages[0].role" in output
    report = data_command(tmp_path, "check", "--json", "-", stdin=bad, code=1)
    shape = json.loads(report)
    assert (shape["findings"][0]["path"], shape["ok"]) == ("messages[0].role", False)
    data_command(tmp_path, "check", "train.jsonl", "--allow", "nothing", code=2)
    store.add(Example.of("Q", SECRETS["github"][0]))
    assert "github" in data_command(tmp_path, "build", code=1)
    assert data_command(tmp_path, "build", "--allow", "github")
