"""The command line, as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.testing import ScriptedServer
from tests.support.server_scripts import KEY

RAW = '<|channel|>analysis<|message|>think<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>'
BROKEN = "<|channel|>analysis<|message|>think<|end|><|channel|>final<|message|>Hi<|return|>"


def run(*arguments: str, given: str | bytes = b"", code: int = 0) -> str:
    data = given.encode() if isinstance(given, str) else given
    done = subprocess.run([sys.executable, "-m", "motet.cli", *arguments], input=data, capture_output=True, timeout=60)
    errors = done.stderr.decode()
    assert done.returncode == code, errors
    assert "Traceback" not in errors
    # An error is one line; what a strict parser refuses is shown in two more.
    assert errors.count("\n") == {1: 1, 4: 3}.get(code, errors.count("\n"))
    return done.stdout.decode() if code == 0 else errors


@pytest.mark.parametrize("form", ["text", "ids"])
def test_parse_prints_the_parts(form: str) -> None:
    given = RAW if form == "text" else json.dumps(motet.encode(RAW, special="token"))
    shape = json.loads(run("parse", "--json", given=given))
    assert shape["lane"] == form
    assert [part["type"] for part in shape["message"]["content"]] == ["reasoning", "tool_call"]
    assert shape["stop"] == "call"
    printed = run("parse", given=given)
    assert "think" in printed
    assert ("not trusted" in printed) == (form == "text")
    assert "\x1b" not in printed
    assert "\x1b[2;36mthink" in run("parse", "--color", "always", given=given)


def test_control_sequences_are_not_printed() -> None:
    printed = run("parse", given="<|channel|>final<|message|>\x1b[2J 👩\u200d💻 \u202e<|return|>")
    assert "\\x1b[2J 👩\u200d💻 \\x202e" in printed


def test_parse_streams_events() -> None:
    lines = [json.loads(line) for line in run("parse", "--stream", "--json", given=RAW).splitlines()]
    assert [line["type"] for line in lines] == ["start", "delta", "end", "start", "delta", "end"]
    assert lines[3] == {
        "type": "start",
        "index": 1,
        "kind": "tool_call",
        "role": "assistant",
        "channel": "commentary",
        "recipient": "functions.f",
        "content_type": "<|constrain|>json",
    }
    ids = json.dumps(motet.encode(BROKEN, special="token"))
    assert "missing_start" in run("parse", "--stream", given=ids)
    assert json.loads(run("parse", "--json", given="<|start|>assistant" + RAW))["repairs"] == []


def test_strict_parsing_exits_with_4() -> None:
    assert run("parse", "--strict", given=BROKEN, code=4).startswith("motet: missing_start at 42")
    run("parse", "--strict", given=RAW)


def test_explain_lists_each_token() -> None:
    rows = json.loads(run("explain", "--json", given=BROKEN))
    assert [row["id"] for row in rows] == motet.encode(BROKEN, special="token")
    assert rows[3]["kind"] == "reasoning"
    printed = run("explain", given=BROKEN)
    assert "reasoning begins (assistant analysis)" in printed
    assert "! missing_start" in printed
    assert "missing_start at 5 (start)" in run("explain", "--strict", given=BROKEN, code=4)


def test_explain_shows_repairs() -> None:
    stray = "<|channel|>analysis<|message|>x<|end|> well<|start|>assistant<|channel|>final<|message|>Hi"
    printed = run("explain", given=stray).splitlines()
    assert printed[5].split(maxsplit=2)[2] == "' well'        between frames"
    # Under the token that told, with the place that it is about.
    assert printed[7].split(maxsplit=4)[:4] == ["!", "stray_text", "at", "5"]
    assert printed[-1].strip() == "! truncated_content  the input ended before a stop token"


def test_explain_marks_what_strict_parsing_refuses() -> None:
    stray = "<|channel|>analysis<|message|>x<|end|> well<|start|>assistant<|channel|>final<|message|>Hi"
    command = [sys.executable, "-m", "motet.cli", "explain", "--strict", "--color", "always"]
    done = subprocess.run(command, input=stray.encode(), capture_output=True, timeout=60)
    assert done.returncode == 4
    strict = done.stdout.decode().splitlines()
    assert strict[5].startswith(">    5")
    assert "\x1b[1;31m' well'" in strict[5]
    assert strict[6].strip() == "\x1b[1;31m! stray_text\x1b[0m  ' well'  expected <|start|>"
    assert "not read" in strict[7]
    done = subprocess.run([*command, "--json"], input=stray.encode(), capture_output=True, timeout=60)
    assert len(json.loads(done.stdout)) == 6


def test_count_prints_token_counts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Hello world")
    assert run("count", given="Hello world") == "2\n"
    assert json.loads(run("count", "--json", str(tmp_path / "a.txt"), "-", given="<|end|>")) == {
        str(tmp_path / "a.txt"): 2,
        "-": motet.count("<|end|>"),
    }
    assert run("count", "--special", given="<|end|>") == "1\n"


def test_render_prints_prompts(tmp_path: Path) -> None:
    messages: list[Any] = [{"role": "user", "content": "Hi"}]
    prompt = motet.render(messages, reasoning_effort="high", tools=["f"])
    (tmp_path / "tools.json").write_text('["f"]')
    flags = ("--reasoning-effort", "high", "--tools", str(tmp_path / "tools.json"))
    assert run("render", *flags, given=json.dumps(messages)) == prompt.text + "\n"
    assert json.loads(run("render", "--ids", *flags, given=json.dumps(messages))) == prompt.ids
    whole = {"messages": messages, "tools": ["f"], "reasoning_effort": "high", "model": "ignored"}
    assert json.loads(run("render", "--json", given=json.dumps(whole)))["ids"] == prompt.ids
    assert run("render", "--color", "always", given=json.dumps(whole)).count("\x1b[90m<|start|>\x1b[0m") == 4


def test_invalid_utf8_is_parsed() -> None:
    shape = json.loads(run("parse", "--json", given=b"<|channel|>final<|message|>\xff<|return|>"))
    assert shape["message"]["content"][0]["text"] == "\ufffd"
    assert shape["repairs"][0]["code"] == "invalid_utf8"


def test_errors_are_one_line(tmp_path: Path) -> None:
    assert "no such file" in run("parse", "/nowhere/x", code=1).lower()
    assert "not a JSON list" in run("parse", "--ids", given="text", code=2)
    assert "not JSON" in run("render", given="{", code=2)
    assert "must be one of" in run("render", "--next-role", "robot", given="[]", code=1)
    assert "messages[0]['role']" in run("render", given='[{"role": "robot", "content": ""}]', code=1)
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    assert "is not JSON" in run("parse", "--tools", str(deep), given=RAW, code=2)
    assert "is not JSON" in run("render", str(deep), code=2)
    run("parse", "--nonsense", code=2)
    run(code=2)


def test_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text(RAW * 20_000)
    command = f"{sys.executable} -m motet.cli explain {tmp_path / 'raw.txt'} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, timeout=120)
    assert done.stderr == b""


def test_demo_renders_its_completion_back() -> None:
    printed = run("demo")
    assert printed.startswith("Scripted replay: ")
    assert "what the model wrote is identical." in printed
    assert printed.count("of the bill was not seen") == 2
    assert "\x1b" not in printed
    for word in ("reasoning", "preamble", "tool_call functions.get_forecast", "text"):
        assert word in printed


# Asking, against the scripted server.

HELLO = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello!<|return|>"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    with ScriptedServer(lambda _: HELLO) as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        yield server


def test_ask_prints_only_the_answer_without_a_terminal(service: ScriptedServer) -> None:
    assert run("ask", "Why", "is", "it?") == "Hello!\n"
    assert service.requests[-1].body["messages"] == [{"role": "user", "content": "Why is it?"}]
    assert run("ask", given="Why?\n") == "Hello!\n"
    assert service.requests[-1].body["messages"][0]["content"] == "Why?\n"
    assert "nothing to ask" in run("ask", code=2)


def test_ask_shows_channels_in_colour_and_the_bill(service: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "style.md").write_text("Be brief.")
    printed = run("ask", "Hi", "--color", "always", "-b", str(tmp_path / "style.md"), "--effort", "low")
    assert "\x1b[2;36mHm" in printed
    assert "\x1b[1;32mHello" in printed
    assert "\x1b[2;36mHm" not in run("ask", "Hi", "--color", "always", "--no-reasoning")
    assert service.requests[1].body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert service.requests[1].body["reasoning_effort"] == "low"


def test_ask_prints_json(service: ScriptedServer) -> None:
    shape = json.loads(run("ask", "Hi", "--json", "--lane", "chat"))
    assert shape["message"]["content"][-1] == {"type": "text", "text": "Hello!"}
    assert Decimal(shape["cash"]["total"]) > 0
    assert sum(shape["tokens"]["by_channel"].values()) == shape["tokens"]["output"]


def test_limit_has_its_own_exit_code(service: ScriptedServer) -> None:
    assert "max_cost" in run("ask", "Hi", "--max-cost", "0.0000001", code=3)
    assert "amount" in run("ask", "Hi", "--max-cost", "much", code=2)


def test_missing_key_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.delenv("TOGETHER_BASE_URL", raising=False)
    assert "TOGETHER_API_KEY is not set" in run("ask", "Hi", code=2)
    assert "did you mean together/gpt-oss/120b" in run("ask", "Hi", "-m", "together/gpt-oss/120", code=2)


def test_service_error_exits_with_1(service: ScriptedServer) -> None:
    assert "no such model" in run("ask", "Hi", "--base-url", service.url + "/elsewhere", code=1)


def test_chat_continues_and_sums_the_cost(service: ScriptedServer) -> None:
    printed = run("chat", "--lane", "chat", given="Hi\nAnd you?\n\n")
    assert printed.count("Hello!") == 2
    assert "the conversation has cost $0.0000" in printed
    assert [one["role"] for one in service.requests[-1].body["messages"]] == ["user", "assistant", "user"]


def test_estimate_sends_nothing(service: ScriptedServer) -> None:
    shape = json.loads(run("estimate", "Hi", "--json", "--lane", "chat", "--max-tokens", "100"))
    assert shape["exact"] is True
    assert Decimal(shape["cash"]["low"]) < Decimal(shape["cash"]["high"])
    assert "a prompt of" in run("estimate", "Hi")
    assert service.requests == []


def test_models_and_health(service: ScriptedServer) -> None:
    assert "together/gpt-oss/120b" in run("models")
    assert "together/gpt-oss/20b" not in run("models")
    assert "removed 2026-09-15, now together/gpt-oss/120b" in run("models", "--all")
    shape = next(one for one in json.loads(run("models", "--json", "--refresh")) if one["slug"].endswith("120b"))
    assert shape["price"] == {"input": "0.15", "cached": None, "output": "0.6"}
    assert "the service's list" in shape["sources"]["cost.cash.input"]["text"]
    assert "is served" in run("health")
    assert json.loads(run("health", "--json"))["ok"] is True
    done = subprocess.run([sys.executable, "-m", "motet.cli", "health", "-m", "some/model"], capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"not ok: the service answers, and has no some/model\n")


def test_serve_answers_with_files(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("<|channel|>final<|message|>One<|return|>\n")
    (tmp_path / "two.txt").write_text("<|channel|>final<|message|>Two<|return|>\n")
    command = [sys.executable, "-m", "motet.cli", "serve", "one.txt", "two.txt", "--port", "0", "--style", "vllm"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None
        url = server.stdout.readline().decode().split()[0]
        try:
            with motet.atom("together/gpt-oss/120b", base_url=url) as brain:
                assert [brain.ask("Hi").output for _ in range(3)] == ["One", "Two", "One"]
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=10)
        assert server.returncode == 130


def test_log_has_the_conversation_and_no_key(service: ScriptedServer, tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    run("--log", str(log), "ask", "What is the password?")
    written = log.read_text()
    assert "What is the password?" in written
    assert "tokens in" in written
    assert KEY not in written


def test_invalid_options_are_usage_errors(service: ScriptedServer) -> None:
    for wrong in (
        ("ask", "Hi", "--max-tokens", "0"),
        ("ask", "Hi", "--max-cost", "-1"),
        ("ask", "Hi", "--timeout", "-1"),
        ("run", "Hi", "--max-steps", "0"),
        ("serve", "--port", "99999"),
    ):
        assert "must be" in run(*wrong, code=2)
    assert service.requests == []


def test_models_come_from_the_given_base_url(service: ScriptedServer) -> None:
    run("models", "--base-url", service.url)
    assert [one.path for one in service.requests] == ["/v1/models"]


def said(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "motet.cli", *arguments], capture_output=True, text=True, timeout=60)


def test_truncated_empty_answer_has_a_cost(service: ScriptedServer) -> None:
    done = said("ask", "Hi", "--lane", "chat", "--max-tokens", "2")
    assert done.returncode == 1
    assert "$0.00" in done.stderr


def test_removed_model_is_reported_without_source_lines(service: ScriptedServer) -> None:
    errors = said("ask", "Hi", "--lane", "chat", "-m", "together/gpt-oss/20b").stderr
    assert "motet: together/gpt-oss/20b was removed" in errors
    assert "RemovedAtomWarning" not in errors
