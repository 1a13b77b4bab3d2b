"""`motet models`, `health` and `serve`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import motet
from motet.testing import ScriptedServer
from tests.support.command_line import command, run


def test_models_and_health(service: ScriptedServer) -> None:
    assert "together/gpt-oss/120b" in command("models")
    assert "together/gpt-oss/20b" not in command("models")
    assert "removed 2026-09-15, now together/gpt-oss/120b" in command("models", "--all")
    shape = next(one for one in json.loads(command("models", "--json", "--refresh")) if one["slug"].endswith("120b"))
    assert shape["price"] == {"input": "0.15", "cached": None, "output": "0.6"}
    assert "the service's list" in shape["sources"]["cost.cash.input"]["text"]
    assert "is served" in command("health")
    assert json.loads(command("health", "--json"))["ok"] is True
    assert run("health", "-m", "some/model")[:2] == (1, "not ok: the service answers, and has no some/model\n")


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


def test_models_come_from_the_given_base_url(service: ScriptedServer) -> None:
    command("models", "--base-url", service.url)
    assert [one.path for one in service.requests] == ["/v1/models"]
