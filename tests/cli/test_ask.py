"""`motet ask`, `chat` and `estimate`, against the scripted server."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from motet.testing import ScriptedServer
from tests.support.command_line import command, run


def test_ask_prints_only_the_answer_without_a_terminal(service: ScriptedServer) -> None:
    assert command("ask", "Why", "is", "it?") == "Hello!\n"
    assert service.requests[-1].body["messages"] == [{"role": "user", "content": "Why is it?"}]
    assert command("ask", stdin="Why?\n") == "Hello!\n"
    assert service.requests[-1].body["messages"][0]["content"] == "Why?"
    assert "the prompt is empty" in command("ask", code=2)


def test_ask_shows_channels_in_colour_and_the_bill(service: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "style.md").write_text("Be brief.")
    printed = command("ask", "Hi", "--color", "always", "-b", str(tmp_path / "style.md"), "--effort", "low")
    assert "\x1b[2;36mHm" in printed
    assert "\x1b[1;32mHello" in printed
    assert "\x1b[2;36mHm" not in command("ask", "Hi", "--color", "always", "--no-reasoning")
    assert service.requests[1].body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert service.requests[1].body["reasoning_effort"] == "low"


def test_ask_prints_json(service: ScriptedServer) -> None:
    shape = json.loads(command("ask", "Hi", "--json", "--lane", "chat"))
    assert shape["message"]["content"][-1] == {"type": "text", "text": "Hello!"}
    assert Decimal(shape["cash"]["total"]) > 0
    assert sum(shape["tokens"]["by_channel"].values()) == shape["tokens"]["output"]


def test_limit_has_its_own_exit_code(service: ScriptedServer) -> None:
    assert "max_cost" in command("ask", "Hi", "--max-cost", "0.0000001", code=3)
    assert "amount" in command("ask", "Hi", "--max-cost", "much", code=2)


def test_missing_key_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.delenv("TOGETHER_BASE_URL", raising=False)
    assert "TOGETHER_API_KEY is not set" in command("ask", "Hi", code=2)
    assert "did you mean together/gpt-oss/120b" in command("ask", "Hi", "-m", "together/gpt-oss/120", code=2)


def test_service_error_exits_with_1(service: ScriptedServer) -> None:
    assert "no such model" in command("ask", "Hi", "--base-url", service.url + "/elsewhere", code=1)


def test_chat_continues_and_sums_the_cost(service: ScriptedServer) -> None:
    printed = command("chat", "--lane", "chat", stdin="Hi\nAnd you?\n\n")
    assert printed.count("Hello!") == 2
    assert "the chat has cost $0.0000" in printed
    assert [request["role"] for request in service.requests[-1].body["messages"]] == ["user", "assistant", "user"]


def test_estimate_sends_nothing(service: ScriptedServer) -> None:
    shape = json.loads(command("estimate", "Hi", "--json", "--lane", "chat", "--max-tokens", "100"))
    assert shape["exact"] is True
    assert Decimal(shape["cash"]["low"]) < Decimal(shape["cash"]["high"])
    assert "a prompt of" in command("estimate", "Hi")
    assert service.requests == []


def test_truncated_empty_answer_has_a_cost(service: ScriptedServer) -> None:
    done = run("ask", "Hi", "--lane", "chat", "--max-tokens", "2")
    assert done.code == 1
    assert "$0.00" in done.err


def test_removed_model_is_reported_without_source_lines(service: ScriptedServer) -> None:
    errors = run("ask", "Hi", "--lane", "chat", "-m", "together/gpt-oss/20b").err
    assert "motet: together/gpt-oss/20b was removed" in errors
    assert "RemovedAtomWarning" not in errors
