"""`motet chat`: its commands, and its exit code."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from motet.testing import ScriptedServer
from tests.support.command_line import command, run


def test_commands_are_not_sent(service: ScriptedServer) -> None:
    printed = command("chat", "--lane", "chat", stdin="/help\n/nope\n//etc is what?\n/cost\n/exit\nnever\n")
    assert "/new    begin another conversation" in printed
    assert "unknown command: '/nope'" in printed
    sent = [request.body["messages"][-1]["content"] for request in service.requests]
    assert sent == ["/etc is what?"]


def test_new_forgets_the_conversation(service: ScriptedServer) -> None:
    command("chat", "--lane", "chat", "--system", "Be brief.", stdin="Hi\n/new\nHo\n")
    assert [message["content"] for message in service.requests[-1].body["messages"]] == ["Be brief.", "Ho"]


def test_failed_answer_decides_the_exit_code(service: ScriptedServer) -> None:
    assert run("chat", "--lane", "chat", "--base-url", service.url + "/elsewhere", stdin="Hi\n").code == 1
    assert run("chat", "--lane", "chat", "--max-cost", "0.0000001", stdin="Hi\n").code == 3
    assert run("chat", "--lane", "chat", "--max-cost", "0.0000001", stdin="").code == 0


def test_terminal_lines_are_edited_and_recalled(service: ScriptedServer) -> None:
    pytest.importorskip("readline")
    controller, terminal = pty.openpty()
    words = [sys.executable, "-m", "motet", "chat", "--lane", "chat"]
    env = {**os.environ, "TERM": "xterm", "PYTHONPATH": ":".join(sys.path), "INPUTRC": "/dev/null"}
    process = subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    try:
        _read_prompt(controller)
        # "Hx", a backspace, "i"; then the arrow up, which recalls the line.
        for keys in (b"Hx\x7fi\r", b"\x1b[A\r"):
            os.write(controller, keys)
            _read_prompt(controller)
    finally:
        process.kill()
        process.wait()
        os.close(controller)
    assert [request.body["messages"][-1]["content"] for request in service.requests] == ["Hi", "Hi"]


def _read_prompt(controller: int) -> None:
    output = b""
    while not output.endswith(b"\n> "):
        output += os.read(controller, 4096)
