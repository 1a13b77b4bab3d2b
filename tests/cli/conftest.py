"""A scripted server that the environment names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from motet.testing import ScriptedServer
from tests.support.server_scripts import KEY

HELLO = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello!<|return|>"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    with ScriptedServer(lambda _: HELLO) as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        yield server
