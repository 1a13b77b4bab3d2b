"""Tools of a real MCP server, over stdio and HTTP, in tool loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

import motet
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.server_scripts import final

SERVER = str(Path(__file__).parents[1] / "support/mcp_server.py")
STDIO = [sys.executable, SERVER]
STEPS = turns(
    calls(("add", '{"a": 2, "b": 3}'), ("Web_Search_v2", '{"query": "x"}'), "fail", "picture"), final("Done.")
)


@contextlib.contextmanager
def http_server() -> Iterator[str]:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    process = subprocess.Popen([*STDIO, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None and time.monotonic() < deadline, "the server does not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http_server() as address:
        yield address


def check(run: motet.Run) -> None:
    results = {record.call.name: (record.signal, record.content) for record in run.steps[0].calls}
    assert run.text == "Done."
    assert results["add"] == ("success", "5")
    # The server's own name, which headers cannot hold.
    assert results["Web Search/v2"] == ("success", "found x")
    assert results["fail"][0] == "error:constraint" and "no such file" in results["fail"][1]
    assert results["picture"] == ("success", "[image: image/png, which has no text]")


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_run_calls_tools_of_a_server(transport: str, url: str) -> None:
    atom, backend = fake_atom(STEPS)
    with motet.tools_from_mcp(STDIO if transport == "stdio" else url) as tools:
        check(atom.run("Go.", tools=tools))
    offered = [tool["function"] for tool in backend.requests[0].tools]
    assert [tool["name"] for tool in offered] == ["add", "Web Search/v2", "fail", "picture"]
    assert offered[0]["description"] == "Adds two numbers."
    assert set(offered[0]["parameters"]["properties"]) == {"a", "b"}


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_async_run_calls_tools_of_a_server(transport: str, url: str) -> None:
    async def main() -> motet.Run:
        async with motet.tools_from_mcp({"url": url} if transport == "http" else STDIO) as tools:
            return await fake_atom(STEPS)[0].arun("Go.", tools=tools)

    check(asyncio.run(main()))


def test_tools_are_chosen_and_prefixed(url: str) -> None:
    with (
        motet.tools_from_mcp(url, names=["add"], prefix="math.") as first,
        motet.tools_from_mcp({"command": sys.executable, "args": [SERVER]}, names=["fail"], timeout=5) as second,
    ):
        assert [tool.name for tool in (*first, *second)] == ["math.add", "fail"]
        assert (first[0].timeout, second[0].timeout, len(first)) == (None, 5, 1)


def test_server_that_cannot_be_used_is_named(url: str) -> None:
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (["/nowhere/server"], {}, "'/nowhere/server' cannot be used"),
        (["/bin/false"], {}, "'/bin/false' cannot be used"),
        ("http://127.0.0.1:9/mcp", {}, "127.0.0.1:9/mcp cannot be used"),
        (url, {"names": ["add", "divide"]}, "has no tool divide"),
    ]
    for server, options, message in cases:
        with pytest.raises(motet.ConfigError, match=message), motet.tools_from_mcp(server, **options):
            pass
    with pytest.raises(TypeError, match="an MCP server must be"), motet.tools_from_mcp("server.py"):
        pass


def test_tools_belong_to_their_block(url: str) -> None:
    connection = motet.tools_from_mcp(url)
    with pytest.raises(motet.ConfigError, match="within a `with` block"):
        list(connection)
    with connection as tools:
        (add, *_) = tools
    run = fake_atom(turns(calls(("add", '{"a": 1, "b": 1}')), final("Done.")))[0].run("Go.", tools=[add])
    assert "not connected any more" in run.steps[0].calls[0].content
