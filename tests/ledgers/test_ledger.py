"""Ledgers: a row for each answer, whichever way it was asked for, and sums of the rows."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

import motet
import motet.columns
from motet import batch
from motet.ledgers.entry import LedgerEntry, timestamp
from motet.testing import Fault, Turn
from tests.support.batch_service import batch_server, prompts
from tests.support.command_line import command
from tests.support.proxies import PATHS, body_of, proxied
from tests.support.server_scripts import ANSWER, CALL, KEY, PLAIN, THOUGHT, WEATHER, aask, asking, final

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 20},
}


@pytest.fixture
def ledger(tmp_path: Path) -> motet.Ledger:
    return motet.ledger(tmp_path / "usage.db")


def rows(ledger: motet.Ledger) -> list[dict[str, Any]]:
    return list(ledger.rows())


def test_answer_is_a_row_with_tokens_and_exact_cash(ledger: motet.Ledger) -> None:
    with asking(Turn(PLAIN, usage=USAGE)) as (atom, _), ledger, motet.label(user=7):
        answer = atom.ask("Why is the sky blue?")
    [row] = rows(ledger)
    assert row["cash"] == answer.cost
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"], row["reasoning_tokens"]) == (
        100,
        40,
        50,
        20,
    )
    parts = ("reasoning", "preamble", "tool_call", "text", "markup")
    assert sum(row[f"{name}_tokens"] for name in parts) == 50
    assert sum(row[f"{name}_cash"] for name in (*parts, "prompt", "cached")) == row["cash"]
    assert (row["stop"], row["error"], row["attempts"], row["labels"]) == ("stop", None, 1, {"user": "7"})
    assert row["model"] == row["requested_model"] == "openai/gpt-oss-120b"
    assert row["service"] is not None
    assert row["service"].startswith("127.0.0.1:")
    assert row["content"] is None


def test_no_text_is_in_the_file_unless_asked_for(tmp_path: Path) -> None:
    for content in (False, True):
        path = tmp_path / f"{content}.db"
        with asking(PLAIN) as (atom, _), motet.ledger(path, content=content) as ledger:
            atom.ask("A secret question")
        ledger.close()
        data = path.read_bytes()
        assert (b"secret question" in data, THOUGHT.encode() in data) == (content, content)
    [row] = rows(ledger)
    assert row["content"]["output"]["content"][-1]["text"] == ANSWER


def test_commentary_is_divided_between_preamble_and_call(ledger: motet.Ledger) -> None:
    with asking(CALL) as (atom, _), ledger:
        atom.ask("Is Zürich warm?", tools=[WEATHER])
    [row] = rows(ledger)
    assert row["preamble_tokens"] == motet.count("Let me look.")
    assert row["tool_call_tokens"] > 0


def test_unknown_cost_is_null(ledger: motet.Ledger) -> None:
    with asking(PLAIN, Turn(PLAIN, usage={}), slug="some/model") as (atom, _), ledger:
        atom.ask("Hi")
        atom.ask("Hi")
    priced, uncounted = rows(ledger)
    assert (priced["cash"], priced["output_tokens"] is None) == (None, False)
    assert (uncounted["cash"], uncounted["output_tokens"], uncounted["cached_tokens"]) == (None, None, None)
    [total] = ledger.costs()
    assert (total.answers, total.cash, total.unknown) == (2, 0, 2)


def test_every_way_to_ask_writes_one_row_per_request(ledger: motet.Ledger) -> None:
    def weather(city: str) -> int:
        return 24

    weather.__name__ = "get_weather"
    with asking(CALL, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN) as (atom, server), ledger:
        atom.run("Is Zürich warm?", tools=[weather])
        with atom.stream("Hi") as stream:
            list(stream)
        motet.columns.ask(["Hi"], atom)
        asyncio.run(aask(atom, "Hi"))

        async def stream_async() -> None:
            async with atom, atom.astream("Hi") as events:
                async for _ in events:
                    pass

        asyncio.run(stream_async())
        assert len(rows(ledger)) == len(server.requests) == 6


def test_rejected_and_failed_requests_are_rows(ledger: motet.Ledger) -> None:
    with (
        asking(final("no number"), final("7"), Turn(fault=Fault("status", status=401)), final("no number")) as (
            atom,
            _,
        ),
        ledger,
    ):
        assert atom.ask("A number?", output=int, retries=1).output == 7
        with pytest.raises(motet.AuthenticationError):
            atom.ask("Hi")
        with pytest.raises(motet.OutputError) as caught:
            atom.ask("A number?", output=int)
    errors = [(row["error"], row["cash"]) for row in rows(ledger)]
    assert [name for name, _ in errors] == ["InvalidJsonError", None, "AuthenticationError", "InvalidJsonError"]
    # A refused request is free, and an invalid answer is paid for.
    assert [cash == 0 for _, cash in errors] == [False, False, True, False]
    assert caught.value.cost == errors[-1][1]


def test_closed_stream_is_a_row(ledger: motet.Ledger) -> None:
    with asking(Turn(final("word " * 50))) as (atom, _), ledger, atom.stream("Hi") as stream:
        next(iter(stream))
    [row] = rows(ledger)
    assert (row["stop"], row["cash"]) == ("closed", stream.answer.cost)


def test_request_that_is_not_sent_is_no_row(ledger: motet.Ledger) -> None:
    with asking(PLAIN) as (atom, _), ledger, motet.budget(0), pytest.raises(motet.MaxCostError):
        atom.ask("Hi")
    assert rows(ledger) == []


def test_variable_records_all_atoms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTET_LEDGER", str(tmp_path / "all.db"))
    with asking(PLAIN, PLAIN) as (atom, server):
        atom.ask("Hi")
        # The same file in a block is one row all the same.
        with motet.ledger():
            motet.atom("together/gpt-oss/120b", base_url=server.url, api_key=KEY, lane="chat").ask("Hi")
    assert len(rows(motet.ledger())) == 2
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setenv("MOTET_LEDGER", str(folder))
    with asking(PLAIN) as (atom, server):
        with pytest.raises(motet.ConfigError, match="folder"):
            atom.ask("Hi")
        assert server.requests == []


def test_enabled_ledger_records_threads_and_blocks_nest(ledger: motet.Ledger, tmp_path: Path) -> None:
    other = motet.ledger(tmp_path / "other.db")
    ledger.enable()
    try:
        with asking(PLAIN, PLAIN) as (atom, _):
            with other, motet.label(a=1, b=1), motet.label(b=2):
                atom.ask("Hi")
            atom.ask("Hi")
    finally:
        ledger.disable()
    assert [row["labels"] for row in rows(ledger)] == [{"a": "1", "b": "2"}, {}]
    assert len(rows(other)) == 1


def test_costs_by_model_label_and_channel(ledger: motet.Ledger) -> None:
    with asking(PLAIN, Turn(PLAIN, usage=USAGE), Turn(fault=Fault("status", status=401))) as (atom, _), ledger:
        with motet.label(job="a"):
            atom.ask("Hi")
        with motet.label(job="b"):
            answer = atom.ask("Hi")
            with pytest.raises(motet.AuthenticationError):
                atom.ask("Hi")
    [total] = ledger.costs(since="1h")
    by_job = ledger.costs(["day", "label:job"])
    assert [(row.group["label:job"], row.answers, row.errors) for row in by_job] == [("a", 1, 0), ("b", 2, 1)]
    assert by_job[1].cash == answer.cost
    assert by_job[1].tokens["cached"] == 40
    channels = ledger.costs("channel")
    assert [row.group["channel"] for row in channels][:3] == ["prompt", "cached", "reasoning"]
    assert sum(row.cash for row in channels) == total.cash == sum(row.cash for row in by_job)
    assert ledger.costs(until="2020-01-01") == []
    with pytest.raises(ValueError, match="by must be of"):
        ledger.costs("weather")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, and longer than the header of one" * 10)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE things (id)")
    connection.close()
    for name, words in (("text", "cannot be opened"), ("other.db", "another SQLite file")):
        with pytest.raises(motet.ConfigError, match=words):
            motet.ledger(tmp_path / name)


def test_unwritable_rows_are_kept_and_the_answer_too(ledger: motet.Ledger) -> None:
    blocker = sqlite3.connect(ledger.path)
    with asking(PLAIN, PLAIN) as (atom, _), ledger:
        atom.ask("Hi")
        # As where the disk is full: a trigger refuses the row.
        blocker.executescript("CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(FAIL, 'full'); END;")
        with pytest.warns(motet.LedgerWarning, match="full"):
            assert atom.ask("Hi").output == ANSWER
        blocker.executescript("DROP TRIGGER full;")
        blocker.close()
        assert len(rows(ledger)) == 2


def test_parquet_has_exact_money(ledger: motet.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with asking(PLAIN) as (atom, _), ledger, motet.label(user="x"):
        answer = atom.ask("Hi")
    # More rows than a row group.
    monkeypatch.setattr("motet.ledgers.ledger.ROWS_PER_BATCH", 2)
    entry = LedgerEntry(ended_at=timestamp(), requested_model="other")
    for commit in [ledger.add(entry) for _ in range(4)]:
        commit.result()
    ledger.to_parquet(tmp_path / "usage.parquet")
    [row, *others] = parquet.read_table(tmp_path / "usage.parquet").to_pylist()
    assert (row["cash"], row["labels"]) == (answer.cost, '{"user": "x"}')
    assert row["ended_at"].tzinfo is not None
    assert [other["cash"] for other in others] == [None] * 4


def test_budget_counts_the_rows_of_earlier_runs(ledger: motet.Ledger) -> None:
    with asking(lambda _: PLAIN) as (atom, server):
        with ledger:
            cost = atom.ask("Hi").cost
        high = atom.estimate("Hi", max_tokens=30).cash.high
        assert cost is not None
        with motet.budget(cost + high, per="day", ledger=ledger) as budget:
            assert (budget.spent, budget.reserved, budget.left) == (cost, 0, high)
            # Recorded by the budget's ledger, outside of the ledger's own block.
            atom.ask("Hi", max_tokens=30)
            with pytest.raises(motet.MaxCostError, match="for each day is used up"):
                atom.ask("Hi", max_tokens=30)
        assert (len(server.requests), len(rows(ledger)), budget.reserved) == (2, 2, 0)
        assert budget.spent == cost * 2


def test_budgets_of_one_ledger_reserve_once(ledger: motet.Ledger) -> None:
    with asking(lambda _: PLAIN) as (atom, _):
        day, month = [motet.budget("1", per=per, ledger=ledger) for per in ("day", "month")]  # type: ignore[arg-type]
        with day, month, atom.stream("Hi", max_tokens=30) as stream:
            next(iter(stream))
            high = atom.estimate("Hi", max_tokens=30).cash.high
            assert day.reserved == month.reserved == high
        assert day.reserved == 0
        assert day.spent == month.spent > 0


def test_uncounted_answer_counts_against_the_budget(ledger: motet.Ledger) -> None:
    with asking(Turn(PLAIN, usage={})) as (atom, _), motet.budget("1", ledger=ledger) as budget:
        atom.ask("Hi")
    [row] = rows(ledger)
    assert row["cash"] is None
    assert budget.spent == row["counted_cash"] > 0


def test_tasks_wait_for_room_in_a_ledger(ledger: motet.Ledger) -> None:
    async def main(atom: motet.Atom, limit: Decimal) -> None:
        async with atom:
            with motet.budget(limit, per="hour", ledger=ledger):
                await asyncio.gather(*[atom.aask("Hi", max_tokens=30) for _ in range(4)])

    with asking(lambda _: Turn(PLAIN, usage=USAGE)) as (atom, server):
        high = atom.estimate("Hi", max_tokens=30).cash.high
        asyncio.run(main(atom, Decimal(high) * 6))
        assert len(server.requests) == len(rows(ledger)) == 4


def test_wrong_arguments_of_a_budget_are_named(ledger: motet.Ledger) -> None:
    with pytest.raises(ValueError, match="per must be"):
        motet.budget(1, per="week", ledger=ledger)  # type: ignore[arg-type]
    with pytest.raises(motet.ConfigError, match="give ledger"):
        motet.budget(1, per="day")
    with pytest.raises(TypeError, match="made by motet"):
        motet.budget(1, ledger="usage.db")  # type: ignore[arg-type]


def test_batch_answers_are_rows_once(ledger: motet.Ledger, tmp_path: Path) -> None:
    batch.build(prompts(2), tmp_path / "b", current_date="2026-11-26")
    with batch_server() as it, ledger, motet.label(job="night"):
        it.client.submit(tmp_path / "b")
        it.client.watch(tmp_path / "b")
        results = it.client.collect(tmp_path / "b")
        costs = [row["cost"] for row in results]
        assert [row["cost"] for row in results] == costs
    assert [(row["cash"], row["labels"]) for row in rows(ledger)] == [(cost, {"job": "night"}) for cost in costs]


def test_proxy_labels_its_rows(ledger: motet.Ledger) -> None:
    ledger.enable()
    try:
        with proxied(PLAIN, PLAIN) as (url, _):
            for stream in (False, True):
                httpx.post(f"{url}{PATHS['chat']}", json=body_of("chat", stream=stream)).raise_for_status()
    finally:
        ledger.disable()
    assert [row["labels"] for row in rows(ledger)] == [{"api": "chat", "client": "client"}] * 2


def test_costs_command_prints_a_table_and_writes_files(ledger: motet.Ledger, tmp_path: Path) -> None:
    with asking(Turn(PLAIN, usage=USAGE), Turn(PLAIN, usage={})) as (atom, _), ledger:
        cost = atom.ask("Hi").cost
        atom.ask("Hi")
    name = str(ledger.path)
    out = command(
        "costs", name, "--by", "model,label:user", "--since", "1h", "--svg", "c.svg", "--plot", folder=tmp_path
    )
    assert "openai/gpt-oss-120b  -           2       0    100      40      50         20" in out
    assert "unknown: answers without" in out
    assert "█" in out
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    [row] = json.loads(command("costs", name, "--by", "", "--json"))
    assert (row["cash"], row["unknown"]) == (f"{cost:f}", 1)
    assert "prompt" in command("costs", name, "--by", "channel")
    assert "no such ledger" in command("costs", str(tmp_path / "none.db"), code=2)
    assert not (tmp_path / "none.db").exists()
    assert "by must be of" in command("costs", name, "--by", "weather", code=1)
