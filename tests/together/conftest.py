"""What the tests of the service share: short waits, an event loop, and a look at the logs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.fault_cases import no_key_in_logs


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a millisecond between retries."""
    monkeypatch.setattr("motet.together.transport.request_machine.FIRST_WAIT", 0.001)
    monkeypatch.setattr("motet.together.transport.request_machine.LAST_WAIT", 0.001)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Fails if a log has the key."""
    with no_key_in_logs():
        yield


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner
