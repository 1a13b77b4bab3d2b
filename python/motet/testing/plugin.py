"""A pytest fixture, available wherever motet is installed: `motet_server` starts scripted servers.

def test_my_agent(motet_server):
    server = motet_server(["<|channel|>final<|message|>Hi!<|return|>"])
    assert motet.atom("together/gpt-oss/120b", base_url=server.url).ask("Hello").output == "Hi!"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from motet.testing.server.app import ScriptedServer

__all__ = ["motet_server"]


@pytest.fixture
def motet_server() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts a `motet.testing.ScriptedServer` with the given arguments, and closes it after the test."""
    from motet.testing.server.app import ScriptedServer

    with ExitStack() as stack:

        def start(*script: Any, **settings: Any) -> ScriptedServer:
            return stack.enter_context(ScriptedServer(*script, **settings))

        yield start
