"""Connections serve one request after the other."""

from __future__ import annotations

import asyncio

import motet
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.server_scripts import KEY, PLAIN

MODEL = "openai/gpt-oss-120b"


def test_streams_share_a_connection() -> None:
    with (
        ScriptedServer([PLAIN] * 3, face="vllm") as server,
        motet.atom(MODEL, base_url=server.url, api_key=KEY) as atom,
    ):
        for _ in range(3):
            with atom.stream("Why is the sky blue?") as stream:
                for _event in stream:
                    pass
        assert server.connections == 1


def test_awaited_streams_share_a_connection() -> None:
    async def ask(server: ScriptedServer) -> int:
        async with motet.atom(MODEL, base_url=server.url, api_key=KEY) as atom:
            for _ in range(3):
                async with atom.astream("Why is the sky blue?") as stream:
                    async for _event in stream:
                        pass
            return await asyncio.to_thread(lambda: server.connections)

    with ScriptedServer([PLAIN] * 3, face="vllm") as server:
        assert asyncio.run(ask(server)) == 1


def test_endless_rest_is_not_awaited() -> None:
    """A server that goes on behind the answer: its connection is closed."""
    turn = Turn(PLAIN, fault=Fault("comments", after=1000))
    with ScriptedServer([turn], face="vllm") as server, motet.atom(MODEL, base_url=server.url, api_key=KEY) as atom:
        with atom.stream("Why is the sky blue?") as stream:
            for _event in stream:
                pass
        assert stream.answer.text
        assert server.hung_up.wait(30)
