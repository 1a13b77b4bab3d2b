"""`motet replay`: a recorded run without a key, with another tool, and with a model from the first difference on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import motet
from motet.testing import ScriptedServer
from tests.support import command_line
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.server_scripts import KEY, final

SAID = [calls(("add", '{"x": 1}')), calls(("add", '{"x": 2}')), final("Three.")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run and tools."""

    def add(x: int) -> int:
        """Adds one."""
        return x + 1

    atom, _ = fake_atom(turns(*SAID))
    atom.run("Go.", tools=[add]).save(tmp_path / "run.json")
    (tmp_path / "tools.py").write_text(
        'import motet\n\ndef add(x: int) -> int:\n    """Adds one."""\n    return x + 1\n\n'
        "@motet.tool(name='add')\ndef double(x: int) -> int:\n    return x * 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    return tmp_path


def test_recorded_run_is_shown_step_by_step(place: Path) -> None:
    result = command_line.run("replay", "run.json")
    assert result.code == 0, result.err
    assert result.out.count("I need a tool.") == 2
    assert result.out.endswith("step 3\nThree.\n")
    assert "recorded: 2" in result.out


def test_other_tool_shows_both_results(place: Path) -> None:
    result = command_line.run("replay", "run.json", "--tool", "tools:double", "--from", "2", "-o", "new.json")
    assert result.code == 0, result.err
    assert "recorded: 2" in result.out, "the first step is before --from"
    assert "differs: 6\n  recorded: 3" in result.out
    assert [step.calls[0].content for step in motet.Run.load("new.json").steps[:2]] == ["2", "6"]
    same = command_line.run("replay", "run.json", "--tool", "tools:add")
    assert same.out.count("the same again") == 2


def test_model_is_asked_from_the_first_difference_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([final("Live.")]) as server:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        words = ["--live", "--base-url", server.base_url, "--json"]
        same = command_line.run("replay", "run.json", "--tool", "tools:add", *words)
        assert (same.code, len(server.requests)) == (0, 0)
        assert "nothing differs" in same.err
        result = command_line.run("replay", "run.json", "--tool", "tools:double", *words)
        assert result.code == 0, result.err
        run = json.loads(result.out)
        assert len(run["steps"]) == 2
        assert server.requests[-1].body["messages"][-1]["content"] == "3"


def test_other_prompt_is_asked_from_a_step_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([final("Live.")]) as server:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        words = ["--prompt", "Go slowly.", "--from", "3", "--live", "--base-url", server.base_url]
        result = command_line.run("replay", "run.json", *words)
        assert result.code == 0, result.err
        messages = server.requests[-1].body["messages"]
    assert [message["content"] for message in messages if message["role"] == "user"] == ["Go slowly."]
    assert sum(message["role"] == "tool" for message in messages) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompt", "x"], "--prompt needs --live"),
        (["--from", "9"], "the run has 3 steps"),
        (["--tool", "tools"], "MODULE:FUNCTION"),
        (["--tool", "json:dumps"], "no call from step 1 on has the name dumps"),
    ],
)
def test_wrong_use_is_described(place: Path, words: list[str], message: str) -> None:
    result = command_line.run("replay", "run.json", *words)
    assert result.code in (1, 2)
    assert message in result.err
