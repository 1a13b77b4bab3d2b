"""`motet health`."""

from __future__ import annotations

import json

import pytest

from motet.testing import ScriptedServer
from tests.support.command_line import command, run


def test_health_tells_whether_the_model_is_served(service: ScriptedServer) -> None:
    assert "is served" in command("health")
    assert json.loads(command("health", "--json"))["ok"] is True
    expected = (1, "not ok: the server responds and does not serve some/model\n")
    assert run("health", "-m", "some/model")[:2] == expected


def test_missing_key_is_a_usage_error_of_health_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.delenv("TOGETHER_BASE_URL", raising=False)
    assert run("health").code == 2
