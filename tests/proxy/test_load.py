"""Many streams at once: none is lost or mixed, and the first token of each is sent at once."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import Any

import httpx
import pytest

from motet.proxy import server
from motet.testing import Turn
from tests.support.proxies import MODEL, PATHS, proxied
from tests.support.server_scripts import prompt_text

STREAMS = 50


def story(number: int) -> str:
    """The text of a stream, as no other one has it."""
    return " ".join([f"word{number}.{place}" for place in range(10)])


def answer(body: Any) -> Turn:
    """The story of the number in the question; some come in pieces that end anywhere."""
    match = re.search(r"Story (\d+)\.", prompt_text(body))
    assert match is not None
    text = f"<|channel|>final<|message|>{story(int(match[1]))}<|return|>"
    return Turn(text, slice=100 if int(match[1]) % 3 == 0 else None)


def test_streams_at_once_are_not_mixed() -> None:
    async def text_of(client: httpx.AsyncClient, number: int) -> str:
        messages = [{"role": "user", "content": f"Story {number}."}]
        body = {"model": MODEL, "messages": messages, "stream": True}
        texts = []
        async with client.stream("POST", PATHS["chat"], json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    texts += [choice["delta"].get("content") or "" for choice in json.loads(line[6:])["choices"]]
        return "".join(texts)

    async def ask(url: str) -> list[str]:
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_connections=STREAMS)) as client:
            return await asyncio.gather(*[text_of(client, number) for number in range(STREAMS)])

    with proxied(answer) as (url, _):
        assert asyncio.run(ask(url)) == [story(number) for number in range(STREAMS)]
        assert "motet_requests_running 0" in httpx.get(f"{url}/metrics").text


def test_first_token_does_not_wait_for_an_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_run", lambda make_app, listener: None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.serve(lambda: None, listener)  # type: ignore[arg-type, return-value]
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
