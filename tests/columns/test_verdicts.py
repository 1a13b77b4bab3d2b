"""A table classified by a guard: the columns of verdicts, and the checkpoint by policy and labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import motet
import motet.columns
from motet.testing import ScriptedServer
from tests.support.server_scripts import KEY, final

ask = motet.columns.ask
CONTENTS = ["gold", "a question", "bad", "watches"]
PRICE = {"input": "0.1", "output": "0.3"}
VERDICT = ["label", "reason", "confidence", "rules"]


def label(content: str) -> str:
    return "ok" if content == "a question" else "spam"


def answer(body: Any) -> str:
    content = body["messages"][-1]["content"]
    if content == "bad":
        return final("Hm.")
    return final(
        json.dumps({"label": label(content), "rules": ["SP1"], "confidence": "high", "rationale": "It offers."})
    )


def guarding(server: ScriptedServer, policy: str = "SP1: offers are spam.", **settings: Any) -> motet.Guard:
    settings = {"confidence": True, "rules": True, **settings}
    labels = settings.pop("labels", ("spam", "ok"))
    atom = motet.atom("openai/gpt-oss-safeguard-20b", base_url=server.url, api_key=KEY, lane="chat", price=PRICE)
    return motet.guard(policy, labels, atom=atom, **settings)


def test_verdicts_are_columns() -> None:
    rows: list[Any] = []
    with ScriptedServer(answer) as server, guarding(server) as guard:
        table = ask(CONTENTS, guard, parallel=2, reasoning_effort="low", on_row=rows.append)
        verdict = guard.check("gold")
        systems = [request.body["messages"][0]["content"] for request in server.requests]
        assert server.requests[0].body["reasoning_effort"] == "low"
    assert set(systems) == {guard.brief}
    assert table.column_names[-4:] == VERDICT
    good = {"label": "spam", "reason": "It offers.", "confidence": "high", "rules": ["SP1"]}
    expected = [good, {**good, "label": "ok"}, dict.fromkeys(VERDICT), good]
    assert table.select(VERDICT).to_pylist() == expected
    assert [row["label"] for row in sorted(rows, key=lambda row: row["row"])] == ["spam", "ok", None, "spam"]
    assert table["error_type"].to_pylist() == [None, None, "InvalidJsonError", None]
    assert (table["text"][0].as_py(), table["cost"][0].as_py()) == (verdict.answer.text, verdict.cost)
    assert table["text"][2].as_py() == "Hm."
    assert all(cost > 0 for cost in table["cost"].to_pylist())


def test_bare_labels_are_columns() -> None:
    with ScriptedServer([final("1")]) as server:
        guard = guarding(server, labels=("0", "1"), form="label", confidence=False, rules=False)
        [row] = ask([{"messages": [{"role": "user", "content": "gold"}]}], guard).to_pylist()
        content = server.requests[-1].body["messages"][-1]["content"]
    assert json.loads(content) == [{"role": "user", "content": "gold"}]
    assert [row[name] for name in VERDICT] == ["1", None, None, []]


def test_checkpoint_tells_policies_and_labels_apart(tmp_path: Path) -> None:
    path, texts = tmp_path / "c.jsonl", ["gold", "a question"]
    with ScriptedServer(answer) as server:
        guard = guarding(server)
        first = ask(texts, guard, checkpoint=path)
        again = ask(["new", *texts], guard, checkpoint=path)
        assert again.select(VERDICT).to_pylist()[1:] == first.select(VERDICT).to_pylist()
        assert len(server.requests) == 3
        for other in (guarding(server, "SP1: nothing is spam."), guarding(server, labels=("spam", "ok", "unclear"))):
            ask(texts, other, checkpoint=path)
        ask(texts, guard.atom, checkpoint=path)
        assert len(server.requests) == 9
        # The same policy and labels are the same guard.
        ask(texts, guarding(server), checkpoint=path)
        assert len(server.requests) == 9


def test_options_that_a_guard_refuses_are_one_error() -> None:
    with ScriptedServer(answer) as server:
        guard = guarding(server)
        with pytest.raises(TypeError, match="a guard sets briefs itself"):
            ask(CONTENTS, guard, briefs=["Be kind."])
        with pytest.raises(TypeError, match="a guard sets output itself"):
            ask(CONTENTS, guard, output=dict)
        with pytest.raises(TypeError, match="unknown option temprature"):
            ask(CONTENTS, guard, temprature=1)
        with pytest.raises(TypeError, match="an atom, a guard or an object with `ask` is needed, not 'a/slug'"):
            ask(CONTENTS, "a/slug")
        assert server.requests == []
