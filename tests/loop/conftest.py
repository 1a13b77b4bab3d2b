"""Servers that the tests of a module share, and every lane."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.loop_tools import LANES, WAKE, House


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    servers = House()
    yield servers
    servers.close()


@pytest.fixture(params=[lane for _, lane in LANES])
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session", autouse=True)
def hanging_tools_end() -> Iterator[None]:
    """Ends the threads of hanging tools after the last test: later modules use the same tools."""
    yield
    WAKE.set()
