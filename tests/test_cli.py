"""The command line, as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import motet

RAW = '<|channel|>analysis<|message|>think<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>'
BROKEN = "<|channel|>analysis<|message|>think<|end|><|channel|>final<|message|>Hi<|return|>"


def run(*arguments: str, given: str | bytes = b"", code: int = 0) -> str:
    data = given.encode() if isinstance(given, str) else given
    done = subprocess.run([sys.executable, "-m", "motet.cli", *arguments], input=data, capture_output=True, timeout=60)
    errors = done.stderr.decode()
    assert done.returncode == code, errors
    assert "Traceback" not in errors
    assert (errors.count("\n") == 1) if code == 1 or code == 4 else True
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


def test_what_a_terminal_would_obey_is_not_printed() -> None:
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


def test_explain_goes_token_by_token() -> None:
    rows = json.loads(run("explain", "--json", given=BROKEN))
    assert [row["id"] for row in rows] == motet.encode(BROKEN, special="token")
    assert rows[3]["kind"] == "reasoning"
    printed = run("explain", given=BROKEN)
    assert "reasoning begins (assistant analysis)" in printed
    assert "! missing_start" in printed
    assert "missing_start at 5 (start)" in run("explain", "--strict", given=BROKEN, code=4)


def test_count_counts(tmp_path: Path) -> None:
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


def test_bytes_that_are_no_utf8_are_parsed() -> None:
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


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text(RAW * 20_000)
    command = f"{sys.executable} -m motet.cli explain {tmp_path / 'raw.txt'} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, timeout=120)
    assert done.stderr == b""


def test_the_demo_renders_back_what_it_parsed() -> None:
    printed = run("demo")
    assert "identical, id for id" in printed
    assert "\x1b" not in printed
    for word in ("reasoning", "preamble", "tool_call functions.get_forecast", "text"):
        assert word in printed
