"""`motet explain`."""

from __future__ import annotations

import json

import motet
from tests.support.command_line import BROKEN, command, run


def test_explain_lists_each_token() -> None:
    rows = json.loads(command("explain", "--json", stdin=BROKEN))
    assert [row["id"] for row in rows] == motet.encode(BROKEN, special="token")
    assert rows[3]["kind"] == "reasoning"
    printed = command("explain", stdin=BROKEN)
    assert "reasoning begins (assistant analysis)" in printed
    assert "! missing_start" in printed
    assert "missing_start at 5 (start)" in command("explain", "--strict", stdin=BROKEN, code=4)


def test_explain_shows_repairs() -> None:
    stray = "<|channel|>analysis<|message|>x<|end|> well<|start|>assistant<|channel|>final<|message|>Hi"
    printed = command("explain", stdin=stray).splitlines()
    assert printed[5].split(maxsplit=2)[2] == "' well'        between frames"
    # Under the token that shows it, with the position that it concerns.
    assert printed[7].split(maxsplit=4)[:4] == ["!", "stray_text", "at", "5"]
    assert printed[-1].strip() == "! truncated_content  the input ends before a stop token"


def test_explain_marks_what_strict_parsing_refuses() -> None:
    stray = "<|channel|>analysis<|message|>x<|end|> well<|start|>assistant<|channel|>final<|message|>Hi"
    done = run("explain", "--strict", "--color", "always", stdin=stray)
    assert done.code == 4
    strict = done.out.splitlines()
    assert strict[5].startswith(">    5")
    assert "\x1b[1;31m' well'" in strict[5]
    assert strict[6].strip() == "\x1b[1;31m! stray_text\x1b[0m  ' well'  expected <|start|>"
    assert "not read" in strict[7]
    done = run("explain", "--strict", "--color", "always", "--json", stdin=stray)
    assert len(json.loads(done.out)) == 6


def test_explain_knows_what_the_prompt_opened() -> None:
    rows = json.loads(command("explain", "--json", "--opened", "analysis", stdin="Hm.<|end|>"))
    assert [row["kind"] for row in rows] == ["reasoning", "reasoning", "markup"]
    assert rows[0]["meaning"].startswith("reasoning begins")
