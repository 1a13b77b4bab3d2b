"""Rows of a table asked with a checkpoint, a budget and errors as a column."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import motet
import motet.columns
from motet.errors import AuthenticationError, ConfigError, MaxCostError
from motet.testing import Fault
from tests.support.fake_backend import FakeBackend
from tests.support.server_scripts import SLUG, asking, final

ask = motet.columns.ask


def fake(
    script: Callable[[str], str] = lambda question: final(f"You asked: {question}"),
) -> tuple[motet.Atom, list[str]]:
    """An atom that answers a question with a function, and the questions that reached it."""
    questions: list[str] = []

    def answer(messages: Any) -> str:
        question = messages[-1].content[0].text
        questions.append(question)
        return script(question)

    return motet.atom(SLUG, backend=FakeBackend(answer)), questions


def prompts(count: int) -> list[str]:
    return [f"question {number}" for number in range(count)]


def answers(count: int) -> list[str]:
    return [f"You asked: question {number}" for number in range(count)]


def test_rows_are_answered_in_their_order() -> None:
    atom, _ = fake()
    table = ask(prompts(40), atom, parallel=5)
    assert isinstance(table, pa.Table)
    assert table["text"].to_pylist() == answers(40)
    assert table["row"].to_pylist() == [*range(40)]
    assert table["error"].null_count == 40
    row = table.to_pylist()[0]
    assert sum(row["tokens"].values()) == row["output_tokens"]
    assert row["cost"] == (Decimal("0.15") * row["input_tokens"] + Decimal("0.60") * row["output_tokens"]) / 10**6


@pytest.mark.parametrize(
    "table",
    [
        [{"prompt": "question 0"}, {"prompt": "question 1"}],
        [{"messages": [{"role": "user", "content": text}]} for text in prompts(2)],
        [{"messages": json.dumps([{"role": "user", "content": text}])} for text in prompts(2)],
        pa.table({"text": prompts(2)}),
        pa.table({"id": [1, 2], "prompt": pa.chunked_array([["question 0"], ["question 1"]])}),
        pa.table({"messages": [[{"role": "user", "content": text, "name": None}] for text in prompts(2)]}),
    ],
    ids=["dicts", "chats", "json", "arrow", "chunked", "structs"],
)
def test_prompts_come_from_any_table(table: Any) -> None:
    atom, _ = fake()
    assert ask(table, atom)["text"].to_pylist() == answers(2)


def test_files_are_tables(tmp_path: Path) -> None:
    from pyarrow import csv, parquet

    atom, _ = fake()
    table = pa.table({"n": [1, 2], "prompt": prompts(2)})
    parquet.write_table(table, tmp_path / "t.parquet")
    csv.write_csv(table, tmp_path / "t.csv")
    (tmp_path / "t.jsonl").write_text("".join([json.dumps(row) + "\n" for row in table.to_pylist()]))
    for name in ("t.parquet", "t.csv", "t.jsonl"):
        assert ask(tmp_path / name, atom, column="prompt")["text"].to_pylist() == answers(2), name
    with pytest.raises(ConfigError, match=r"must end in one of .jsonl"):
        ask(tmp_path / "t.xlsx", atom)


def test_errors_are_a_column_and_other_rows_go_on() -> None:
    script = [final("one"), Fault("status", status=500), final("three")]
    with asking(*script, max_retries=0) as (atom, _):
        table = ask([*prompts(3), {"other": 1, "more": 2}], atom, parallel=1)
    assert table["text"].to_pylist() == ["one", None, "three", None]
    assert table["error_type"].to_pylist() == [None, "ServerError", None, "DataError"]
    assert "no column 'messages' or 'prompt': other, more" in table["error"].to_pylist()[3]


def test_cut_answer_has_its_text_and_cost() -> None:
    with asking("<|channel|>final<|message|>One two three four five six<|return|>") as (atom, _):
        (row,) = ask(prompts(1), atom, max_tokens=6).to_pylist()
    assert row["error_type"] == "TruncatedOutputError"
    assert row["text"].startswith("One")
    assert row["cost"] > 0


def test_typed_outputs_are_json() -> None:
    @dataclass
    class Verdict:
        safe: bool

    with asking(final('{"safe": true}'), final("no")) as (atom, _):
        rows = ask(prompts(2), atom, parallel=1, output=Verdict).to_pylist()
    assert [row["output"] for row in rows] == ['{"safe":true}', None]
    assert rows[1]["error_type"] == "InvalidJsonError"


def test_rows_of_the_checkpoint_are_not_asked_again(tmp_path: Path) -> None:
    atom, questions = fake()
    path = tmp_path / "c.jsonl"
    first = ask(prompts(3), atom, checkpoint=path)
    # Rows are known by their question: new ones may stand anywhere.
    table = ask(["new", *reversed(prompts(3)), "question 1"], atom, checkpoint=path)
    assert table["text"].to_pylist() == ["You asked: new", *reversed(answers(3)), "You asked: question 1"]
    assert sorted(questions) == sorted([*prompts(3), "new", "question 1"])
    assert table["cost"].to_pylist()[3] == first["cost"].to_pylist()[0]
    # Another option is another question.
    ask(prompts(1), atom, checkpoint=path, temperature=0.5)
    assert len(questions) == 6


def test_failed_rows_are_asked_again_where_that_may_help(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    script = [Fault("status", status=503), "<|channel|>final<|message|>One two three four five<|return|>", final("ok")]
    with asking(*script, max_retries=0) as (atom, server):
        table = ask(prompts(2), atom, parallel=1, checkpoint=path, max_tokens=6)
        assert table["error_type"].to_pylist() == ["OverloadedError", "TruncatedOutputError"]
        paid = table["cost"].to_pylist()[1]
        table = ask(prompts(2), atom, parallel=1, checkpoint=path, max_tokens=6)
        assert table["error_type"].to_pylist() == [None, "TruncatedOutputError"]
        assert len(server.requests) == 3
        server.add(final("fine"))
        table = ask(prompts(2), atom, parallel=1, checkpoint=path, max_tokens=6, retry_errors=True)
        assert table["text"].to_pylist() == ["ok", "fine"]
        # What the cut answer cost is not lost.
        assert table["cost"].to_pylist()[1] > paid


def test_budget_ends_the_questions_and_holds_for_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    atom, questions = fake()
    (cost,) = ask(prompts(1), atom)["cost"].to_pylist()
    questions.clear()
    limit = cost * 7 / 2
    table = ask(prompts(9), atom, parallel=1, budget=limit, checkpoint=path, max_tokens=20)
    done = [text for text in table["text"].to_pylist() if text is not None]
    assert 0 < len(done) < 9
    assert table["error_type"].to_pylist()[-1] == "MaxCostError"
    assert "not asked: the budget of" in table["error"].to_pylist()[-1]
    assert sum(cost for cost in table["cost"].to_pylist() if cost is not None) <= limit
    count = len(questions)
    again = ask(prompts(9), atom, parallel=1, budget=limit, checkpoint=path, max_tokens=20)
    assert (again["text"].to_pylist(), len(questions)) == (table["text"].to_pylist(), count)
    assert ask(prompts(9), atom, budget=1, checkpoint=path, max_tokens=20)["error"].null_count == 9
    with pytest.raises(MaxCostError), motet.budget("0.000001"):
        ask(["another"], atom, max_tokens=20)


def test_error_of_every_row_is_raised() -> None:
    with asking(final("x"), key="tgp_v1_another_0123456789") as (atom, server):
        with pytest.raises(AuthenticationError):
            ask(prompts(50), atom, parallel=2)
        assert len(server.requests) <= 2


def test_no_more_rows_than_parallel_are_asked_at_once() -> None:
    barrier, running, most = threading.Barrier(3), [0], [0]
    lock = threading.Lock()

    def script(question: str) -> str:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        barrier.wait(10)
        with lock:
            running[0] -= 1
        return final(question)

    atom, _ = fake(script)
    assert len(ask(prompts(9), atom, parallel=3)) == 9
    assert most == [3]


def test_interrupt_keeps_the_answers_that_arrive(tmp_path: Path) -> None:
    atom, questions = fake()
    seen: list[int] = []

    def interrupt(row: Any) -> None:
        seen.append(row["row"])
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(prompts(50), atom, parallel=2, checkpoint=tmp_path / "c.jsonl", on_row=interrupt)
    count = len(questions)
    assert count < 50
    assert ask(prompts(50), atom, checkpoint=tmp_path / "c.jsonl")["text"].to_pylist() == answers(50)
    assert len(questions) == 50


def test_foreign_file_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    atom, questions = fake()
    path = tmp_path / "notes.txt"
    for content in ("some notes", "some notes\n", '{"key": 1}\n'):
        path.write_text(content)
        with pytest.raises(ConfigError, match="choose another file"):
            ask(prompts(1), atom, checkpoint=path)
        assert path.read_text() == content
    assert questions == []


def test_torn_last_line_is_asked_again(tmp_path: Path) -> None:
    atom, questions = fake()
    path = tmp_path / "c.jsonl"
    ask(prompts(3), atom, checkpoint=path, parallel=1)
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    assert ask(prompts(3), atom, checkpoint=path)["text"].to_pylist() == answers(3)
    assert questions[3:] == ["question 2"]
    assert len(path.read_bytes().splitlines()) == 3


def test_object_whose_result_has_an_answer_is_asked() -> None:
    atom, _ = fake()

    class Guard:
        slug = "guard"

        def ask(self, prompt: Any, **options: Any) -> Any:
            answer = atom.ask(prompt, **options)

            @dataclass
            class Verdict:
                answer: Any
                violation: bool = False

            return Verdict(answer)

    (row,) = ask(prompts(1), Guard()).to_pylist()
    assert (row["output"], row["text"]) == ('{"violation": false}', "You asked: question 0")


def test_wrong_arguments_are_one_error() -> None:
    atom, _ = fake()
    with pytest.raises(TypeError, match="unknown option temprature"):
        ask(prompts(2), atom, temprature=1)
    with pytest.raises(ValueError, match="parallel must be a whole number from 1 on, not 0"):
        ask(prompts(2), atom, parallel=0)
    with pytest.raises(TypeError, match="a table must be"):
        ask(7, atom)
