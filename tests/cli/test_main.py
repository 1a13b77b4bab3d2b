"""What all commands share: errors in one line, exit codes, pipes and the log."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from motet.testing import ScriptedServer
from tests.support.command_line import RAW, command, process, run
from tests.support.server_scripts import KEY


def test_errors_are_one_line(tmp_path: Path) -> None:
    assert "no such file" in command("parse", "/nowhere/x", code=1).lower()
    assert "not a JSON list" in command("parse", "--ids", stdin="text", code=1)
    assert "not JSON" in command("render", stdin="{", code=1)
    assert "must be one of" in command("render", "--next-role", "robot", stdin="[]", code=2)
    assert "messages[0]['role']" in command("render", stdin='[{"role": "robot", "content": ""}]', code=1)
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    assert "is not JSON" in command("parse", "--tools", str(deep), stdin=RAW, code=1)
    assert "is not JSON" in command("render", str(deep), code=1)
    command("parse", "--nonsense", code=2)
    command(code=2)


def test_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text(RAW * 20_000)
    pipe = f"{sys.executable} -m motet.cli explain {tmp_path / 'raw.txt'} | head -1"
    done = subprocess.run(pipe, shell=True, capture_output=True, timeout=120)
    assert done.stderr == b""


def test_log_has_the_conversation_and_no_key(service: ScriptedServer, tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    assert process("--log", str(log), "ask", "What is the password?").returncode == 0
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
        assert "must be" in command(*wrong, code=2)
    assert service.requests == []


def test_error_of_a_library_is_a_fault_of_motet(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        textwrap.dedent(3)  # type: ignore[arg-type]

    monkeypatch.setattr("motet.parse", fails)
    result = run("parse", stdin="x")
    assert result.code == 1 and "internal error, please report it" in result.err
