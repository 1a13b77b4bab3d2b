"""Answers in the files of evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from motet.errors import DataError
from motet.integrations.evals import answer_of, clean_file

MARKED = "<|channel|>analysis<|message|>They ask.<|end|><|start|>assistant<|channel|>final<|message|>Paris<|return|>"
STRIPPED = "analysisThey ask.assistantfinalParis"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (MARKED, "Paris"),
        (STRIPPED, "Paris"),
        (MARKED.removesuffix("<|return|>"), "Paris"),
        ("<|channel|>analysis<|message|>They ask, and", ""),
        ("analysisThey ask, and", ""),
        ("Paris", "Paris"),
        ("Analysis: Paris", "Analysis: Paris"),
        ("", ""),
    ],
)
def test_answer_is_what_is_on_the_final_channel(text: str, answer: str) -> None:
    assert answer_of(text) == answer


def event(number: int, kind: str, **data: Any) -> dict[str, Any]:
    return {"run_id": "r", "event_id": number, "sample_id": f"s.{number}", "type": kind, "data": data}


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join([json.dumps(row) + "\n" for row in rows]))
    return path


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_log_is_scored_by_its_answers(tmp_path: Path) -> None:
    log = [
        {"spec": {"eval_name": "capitals.dev.v0"}},
        event(0, "sampling", prompt="France?", sampled=[MARKED]),
        event(1, "match", correct=False, expected="Paris", picked=None, sampled=MARKED),
        event(2, "match", correct=False, expected=["Paris", "paris"], picked=None, sampled=STRIPPED),
        event(3, "match", correct=True, expected="Rome", picked="Rome", sampled="Rome."),
        event(4, "match", correct=False, expected="Oslo", picked=None, sampled=STRIPPED),
        {"final_report": {"accuracy": 0.25, "boostrap_std": 0.1}},
    ]
    cleaned = clean_file(written(tmp_path / "log.jsonl", log), tmp_path / "clean.jsonl")
    rows = lines(tmp_path / "clean.jsonl")
    assert rows[1]["data"] == {"prompt": "France?", "sampled": ["Paris"]}
    assert [row["data"]["correct"] for row in rows[2:6]] == [True, True, True, False]
    assert rows[2]["data"] == {"correct": True, "expected": "Paris", "picked": "Paris", "sampled": "Paris"}
    assert rows[0] == log[0]
    assert rows[6] == {"final_report": {"accuracy": 0.75}}
    assert (cleaned.rows, cleaned.cleaned, cleaned.rescored) == (7, 4, 3)
    assert (cleaned.accuracy_before, cleaned.accuracy) == (0.25, 0.75)


def test_scores_of_other_rules_are_kept(tmp_path: Path) -> None:
    log = [event(0, "match", correct=True, expected="Paris", picked="x", sampled=MARKED)]
    clean_file(written(tmp_path / "log.jsonl", log), tmp_path / "log.jsonl")
    assert lines(tmp_path / "log.jsonl")[0]["data"]["correct"] is True


def test_rows_of_other_forms_are_cleaned(tmp_path: Path) -> None:
    rows = [
        {
            "item": {"q": "France?"},
            "sample": {"output_text": MARKED, "outputs": [{"role": "assistant", "content": STRIPPED}]},
        },
        {"input": "France?", "ideal": "Paris", "completion": STRIPPED},
        {"input": "France?", "response": "Paris"},
    ]
    cleaned = clean_file(written(tmp_path / "rows.jsonl", rows), tmp_path / "clean.jsonl")
    assert lines(tmp_path / "clean.jsonl") == [
        {
            "item": {"q": "France?"},
            "sample": {"output_text": "Paris", "outputs": [{"role": "assistant", "content": "Paris"}]},
        },
        {"input": "France?", "ideal": "Paris", "completion": "Paris"},
        rows[2],
    ]
    assert (cleaned.cleaned, cleaned.accuracy) == (2, None)


def test_broken_file_leaves_the_target(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"a": 1}\nhalf {\n')
    with pytest.raises(DataError, match=r"log.jsonl, line 2: not JSON"):
        clean_file(tmp_path / "log.jsonl", tmp_path / "clean.jsonl")
    assert not (tmp_path / "clean.jsonl").exists()
