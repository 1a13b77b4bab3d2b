"""`motet run`: progress, limits, Ctrl-C, and how a run is resumed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.testing import Fault, ScriptedServer, Turn
from tests.support import command_line
from tests.support.fake_backend import calls
from tests.support.server_scripts import KEY, final

TOOLS = """
import pathlib, time
import motet

def get_weather(city: str) -> str:
    \"\"\"The weather now.\"\"\"
    with open("work", "a") as work:
        work.write(city + "\\n")
    while pathlib.Path("wait").exists():
        time.sleep(0.01)
    return city + ": 21 degrees"

class Desk:
    @motet.tool
    @staticmethod
    def note(text: str) -> str:
        return "noted"
"""
SAID: list[Any] = [
    calls(("get_weather", '{"city": "Zürich"}'), thought="Look."),
    calls(("get_weather", '{"city": "Bern"}'), ("nope", "{}"), thought="And there."),
    final("Sunny in both."),
]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A pure function of the conversation."""
    with ScriptedServer(
        lambda question: SAID[sum(message["role"] == "assistant" for message in question["messages"])]
    ) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tools, and the server that the environment names."""
    (tmp_path / "mytools.py").write_text(TOOLS)
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMON = ("--lane", "chat", "--tool", "mytools:get_weather")


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "motet.cli", "run", *COMMON, *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def run(*arguments: str, code: int = 0) -> tuple[str, str]:
    result = command_line.run("run", *COMMON, *arguments)
    assert result.code == code, result.err
    # Each folder has tools of its own under this name.
    sys.modules.pop("mytools", None)
    return result.out, result.err


def test_run_prints_the_answer_and_each_step(place: Path) -> None:
    out, err = run("Weather?")
    assert out == "Sunny in both.\n"
    first, second, last = err.splitlines()
    assert first.startswith("step 1: get_weather (success, 0.0")
    assert "nope (error:constraint" in second
    assert last.startswith("3 steps, 3 calls (1 failed), ")
    assert all("$0.000" in line for line in (first, second, last))


def test_run_shows_channels_on_a_terminal(place: Path) -> None:
    out, _ = run("Weather?", "--color", "always")
    for shown in ("\x1b[2;36mLook", "tool_call\x1b[0m functions.get_weather", "Zürich: 21 degrees", "\x1b[1;32mSunny"):
        assert shown in out
    shape = json.loads(run("Weather?", "--json")[0])
    assert [len(step["calls"]) for step in shape["steps"]] == [1, 2, 0]
    assert shape["metrics"]["cash"]["total"]


def test_limit_keeps_the_run(place: Path) -> None:
    _, err = run("Weather?", "--checkpoint", "run.json", "--max-steps", "1", code=3)
    assert "max_steps=1" in err
    assert (place / "work").read_text() == "Zürich\n"
    out, _ = run("--checkpoint", "run.json")
    assert out == "Sunny in both.\n"
    assert (place / "work").read_text() == "Zürich\nBern\n"
    # A finished run is printed again without a request.
    assert run("--checkpoint", "run.json", "--base-url", "http://127.0.0.1:9")[0] == out


def test_checkpoint_of_another_prompt_is_refused(place: Path) -> None:
    run("Weather?", "--checkpoint", "run.json")
    _, err = run("And tomorrow?", "--checkpoint", "run.json", code=2)
    assert "another prompt" in err
    assert run("Weather?", "--checkpoint", "run.json")[0] == "Sunny in both.\n"


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def wait_for(path: Path, text: str) -> None:
    wait_until(lambda: path.exists() and text in path.read_text())


def test_ctrl_c_in_a_tool_saves_and_prints_how_to_resume(place: Path) -> None:
    (place / "wait").touch()
    process = started("Weather?", "--checkpoint", "run.json")
    wait_for(place / "work", "Zürich\n")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "motet: stopped after 1 step; resume with: motet run" in err
    (place / "wait").unlink()
    # As it stands there; the tool may have done its work, and is not run again unless one says so.
    again = shlex.split(err.split("resume with: motet run ")[1].splitlines()[0])
    assert tuple(again[: len(COMMON)]) == COMMON
    again = again[len(COMMON) :]
    _, err = run(*again, code=1)
    assert "it is unknown whether the call did its work" in err
    assert "--unfinished rerun" in err
    assert run(*again, "--unfinished", "skip")[0] == "Sunny in both.\n"
    assert (place / "work").read_text() == "Zürich\nBern\n"


def test_ctrl_c_in_an_answer_saves_finished_steps(
    place: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "SAID", [SAID[0], Turn(SAID[1], fault=Fault("silence", 3)), SAID[2]])
    process = started("Weather?", "--checkpoint", "run.json")
    wait_for(place / "work", "Zürich\n")
    wait_for(place / "run.json", "21 degrees")
    wait_until(lambda: len(server.requests) == 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "resume with: motet run" in err
    run_so_far = motet.Run.load(place / "run.json")
    assert [step.done for step in run_so_far.steps] == [True]
    monkeypatch.setitem(globals(), "SAID", [SAID[0], *[SAID[1].completion], SAID[2]])
    assert run("--checkpoint", "run.json")[0] == "Sunny in both.\n"
    assert (place / "work").read_text() == "Zürich\nBern\n"


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ("nothing:here", "there is no module 'nothing'"),
        ("mytools:missing", "has no 'missing'"),
        ("mytools", "must be MODULE:FUNCTION"),
    ],
)
def test_missing_tool_is_a_usage_error(tool: str, text: str, place: Path) -> None:
    _, err = run("Weather?", "--tool", tool, code=2)
    assert text in err


def test_tool_can_be_a_dotted_name_in_a_module(place: Path) -> None:
    assert run("Weather?", "--tool", "mytools:Desk.note")[0] == "Sunny in both.\n"
