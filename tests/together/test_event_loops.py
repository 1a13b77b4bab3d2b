"""One atom in several event loops: each request is sent once, and connections close with their loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import motet
from tests.support.fake_backend import calls
from tests.support.server_scripts import ANSWER, PLAIN, asking, final


def test_one_atom_in_loops_one_after_the_other() -> None:
    with asking(lambda _: PLAIN) as (atom, server):
        assert [asyncio.run(atom.aask("Hi")).output for _ in range(3)] == [ANSWER] * 3
        assert len(server.requests) == 3
        assert all(answer.attempts is not None for answer in [atom.ask("Hi")])


def test_one_atom_in_loops_of_many_threads() -> None:
    start = threading.Barrier(8)

    def ask(atom: motet.Atom) -> Any:
        async def asks() -> list[Any]:
            start.wait()
            return [answer.output for answer in await asyncio.gather(*[atom.aask("Hi") for _ in range(4)])]

        return asyncio.run(asks())

    with asking(lambda _: PLAIN, style="vllm", lane="auto") as (atom, server), ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(ask, [atom] * 8))
        assert outputs == [[ANSWER] * 4] * 8
        assert len([request for request in server.requests if request.method == "POST"]) == 32


def test_async_tool_of_a_sync_run_asks_its_atom() -> None:
    async def double(x: int) -> str:
        return str((await atom.aask("Hi")).output)

    def script(body: Any) -> str:
        if body["messages"][-1]["content"] == "Hi":
            return final("inner")
        answered = any(message["role"] == "tool" for message in body["messages"])
        return final("outer") if answered else calls(("double", '{"x": 1}'), ("double", '{"x": 2}'))

    with asking(script) as (atom, server):
        run = atom.run("Go.", tools=[double])
        assert (run.text, [record.content for record in run.steps[0].calls]) == ("outer", ["inner", "inner"])
        assert len(server.requests) == 4
