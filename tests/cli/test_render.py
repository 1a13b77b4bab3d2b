"""`motet render`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import motet
from tests.support.command_line import command


def test_render_prints_prompts(tmp_path: Path) -> None:
    messages: list[Any] = [{"role": "user", "content": "Hi"}]
    prompt = motet.render(messages, reasoning_effort="high", tools=["f"])
    (tmp_path / "tools.json").write_text('["f"]')
    flags = ("--reasoning-effort", "high", "--tools", str(tmp_path / "tools.json"))
    assert command("render", *flags, stdin=json.dumps(messages)) == prompt.text + "\n"
    assert json.loads(command("render", "--ids", *flags, stdin=json.dumps(messages))) == prompt.ids
    whole = {"messages": messages, "tools": ["f"], "reasoning_effort": "high", "model": "ignored"}
    assert json.loads(command("render", "--json", stdin=json.dumps(whole)))["ids"] == prompt.ids
    assert command("render", "--color", "always", stdin=json.dumps(whole)).count("\x1b[90m<|start|>\x1b[0m") == 4
