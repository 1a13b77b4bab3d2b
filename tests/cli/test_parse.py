"""`motet parse`."""

from __future__ import annotations

import json

import pytest

import motet
from tests.support.command_line import BROKEN, RAW, command


@pytest.mark.parametrize("form", ["text", "ids"])
def test_parse_prints_the_parts(form: str) -> None:
    text = RAW if form == "text" else json.dumps(motet.encode(RAW, special="token"))
    shape = json.loads(command("parse", "--json", stdin=text))
    assert shape["lane"] == form
    assert [part["type"] for part in shape["message"]["content"]] == ["reasoning", "tool_call"]
    assert shape["stop"] == "call"
    printed = command("parse", stdin=text)
    assert "think" in printed
    assert ("not trusted" in printed) == (form == "text")
    assert "\x1b" not in printed
    assert "\x1b[2;36mthink" in command("parse", "--color", "always", stdin=text)


def test_control_sequences_are_not_printed() -> None:
    printed = command("parse", stdin="<|channel|>final<|message|>\x1b[2J 👩\u200d💻 \u202e<|return|>")
    assert "\\x1b[2J 👩\u200d💻 \\u202e" in printed


def test_parse_streams_events() -> None:
    lines = [json.loads(line) for line in command("parse", "--stream", "--json", stdin=RAW).splitlines()]
    assert [line["type"] for line in lines] == ["start", "delta", "end", "start", "delta", "end"]
    assert lines[3] == {
        "type": "start",
        "index": 1,
        "kind": "tool_call",
        "role": "assistant",
        "channel": "commentary",
        "recipient": "functions.f",
        "name": "f",
        "content_type": "<|constrain|>json",
    }
    ids = json.dumps(motet.encode(BROKEN, special="token"))
    assert "missing_start" in command("parse", "--stream", stdin=ids)
    assert json.loads(command("parse", "--json", stdin="<|start|>assistant" + RAW))["repairs"] == []


def test_strict_parsing_exits_with_4() -> None:
    assert command("parse", "--strict", stdin=BROKEN, code=4).startswith("motet: missing_start at 42")
    command("parse", "--strict", stdin=RAW)


def test_invalid_utf8_is_parsed() -> None:
    shape = json.loads(command("parse", "--json", stdin=b"<|channel|>final<|message|>\xff<|return|>"))
    assert shape["message"]["content"][0]["text"] == "\ufffd"
    assert shape["repairs"][0]["code"] == "invalid_utf8"


@pytest.mark.parametrize("flags", [[], ["--stream"]])
def test_prompt_may_have_opened_a_frame(flags: list[str]) -> None:
    printed = command("parse", *flags, "--opened", "analysis", stdin="Hm.<|end|>")
    assert "reasoning" in printed and "missing" not in printed
    assert "opened" in command("parse", *flags, "--opened", "<|call|>", stdin="Hm.", code=1)
