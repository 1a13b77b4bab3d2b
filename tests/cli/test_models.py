"""`motet models`."""

from __future__ import annotations

import json

from motet.testing import ScriptedServer
from tests.support.command_line import command


def test_models_lists_the_catalogue(service: ScriptedServer) -> None:
    assert "together/gpt-oss/120b" in command("models")
    assert "together/gpt-oss/20b" not in command("models")
    assert "removed 2026-09-15, now together/gpt-oss/120b" in command("models", "--all")
    shape = next(item for item in json.loads(command("models", "--json", "--refresh")) if item["slug"].endswith("120b"))
    assert shape["price"] == {"input": "0.15", "cached": None, "output": "0.6"}
    assert "the service's list" in shape["sources"]["cost.cash.input"]["text"]


def test_models_come_from_the_given_base_url(service: ScriptedServer) -> None:
    command("models", "--base-url", service.url)
    assert [request.path for request in service.requests] == ["/v1/models"]
