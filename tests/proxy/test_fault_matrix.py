"""Each fault of an upstream, at several points, through each API: an answer, or an error that the API's clients see."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from motet.proxy import Upstream as Server
from motet.proxy.sqlite_state import SqliteState
from motet.testing import FAULTS, Fault, ScriptedServer, Turn
from tests.support.proxies import PATHS, body_of, proxied
from tests.support.server_scripts import ANSWER, PLAIN, THOUGHT

HARMLESS = {"bom", "crlf", "no_done", "no_usage", "after_done", "null_choice", "pings"}
ENDLESS = {"silence_before", "silence", "comments"}
"""They end by a time limit; `test_silent_upstreams_end_in_time` has one."""
FACES = {"ids": "vllm", "chat": "together"}
STREAM_END = {"chat": "[DONE]", "responses": "response.completed", "anthropic": "message_stop"}


class Upstream:
    """A proxy before a server with a fault that is set for each request."""

    def __init__(self, url: str, faults: list[Fault], client: httpx.Client) -> None:
        self._url = url
        self._faults = faults
        self._client = client

    def post(self, api: str, fault: Fault, *, stream: bool) -> httpx.Response:
        self._faults[:] = [fault]
        return self._client.post(self._url + PATHS[api], json=body_of(api, stream=stream))


@pytest.fixture(scope="module", params=FACES)
def upstream(request: pytest.FixtureRequest) -> Iterator[Upstream]:
    faults: list[Fault] = []
    with (
        proxied(lambda _: Turn(PLAIN, fault=faults[0]), face=FACES[request.param]) as (url, _),
        httpx.Client(timeout=30) as client,
    ):
        yield Upstream(url, faults, client)


def data_of(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text_in(events: list[dict[str, Any]]) -> str:
    text = ""
    for event in events:
        delta = event["choices"][0]["delta"] if event.get("choices") else event.get("delta", {})
        if isinstance(delta, dict):
            text += delta.get("content") or delta.get("text") or ""
        elif event["type"] == "response.output_text.delta":
            text += delta
    return text


@pytest.mark.parametrize("kind", sorted(FAULTS.keys() - ENDLESS))
def test_streams_end_whole_or_with_an_error(upstream: Upstream, kind: str) -> None:
    for api in PATHS:
        for after in (0, 6):
            response = upstream.post(api, Fault(kind, after=after), stream=True)
            if response.status_code != 200:
                assert response.json()["error"]["message"], kind
                assert kind not in HARMLESS
                continue
            events = data_of(response)
            ended = STREAM_END[api] in response.text.splitlines()[-4:] or events[-1].get("type") == STREAM_END[api]
            ended = ended or "data: [DONE]" in response.text
            failed = "error" in events[-1] or events[-1].get("type") == "response.failed"
            assert ended != failed, (kind, api, after)
            assert ended or kind not in HARMLESS, (kind, api, after)
            text = text_in(events)
            # A service may send an event twice, which no reader can know.
            assert kind == "duplicate" or ANSWER.startswith(text), (kind, api, after)
            assert not ended or kind == "duplicate" or text == ANSWER, (kind, api, after)


async def money_of(state: SqliteState) -> tuple[Decimal, Decimal]:
    """What the client has spent, and what is reserved for it."""
    funds = await state.reserve("alice", "probe", limit=Decimal(0), least=Decimal(1), most=None, seconds=60)
    return funds.spent, funds.reserved


@pytest.mark.parametrize("stream", [False, True])
def test_each_request_is_sent_and_billed_once(stream: bool) -> None:
    """A harmless fault comes first: what its answer costs bounds what others may cost."""
    faults: list[Fault] = []
    state = SqliteState()
    with ScriptedServer(lambda _: Turn(PLAIN, fault=faults[0]), face="vllm") as server:
        upstream = Server(url=server.url, price={"input": 1, "output": 1})
        settings: dict[str, Any] = {"keys": ["alice:key-of-alice:1000"], "state": state}
        with (
            proxied(upstream=upstream, **settings) as (url, _),
            httpx.Client(timeout=30, headers={"authorization": "Bearer key-of-alice"}) as client,
        ):
            whole: Decimal | None = None
            # The APIs take turns: they differ in words, and not in what is sent and billed.
            for kind, api in zip(["pings", *sorted(FAULTS.keys() - ENDLESS)], itertools.cycle(PATHS), strict=False):
                faults[:] = [Fault(kind, after=6)]
                count = len([request for request in server.requests if request.method == "POST"])
                before, _ = asyncio.run(money_of(state))
                response = client.post(url + PATHS[api], json=body_of(api, stream=stream))
                after, reserved = asyncio.run(money_of(state))
                whole = whole or after - before
                assert len([request for request in server.requests if request.method == "POST"]) == count + 1, kind
                assert reserved == 0, (kind, api)
                assert 0 <= after - before < 1.5 * float(whole), (kind, api)
                shown = response.headers.get("x-motet-cost")
                assert shown is None or Decimal(shown) == after - before, (kind, api)


@pytest.mark.parametrize("kind", sorted(FAULTS.keys() - ENDLESS))
def test_answers_are_whole_or_errors(upstream: Upstream, kind: str) -> None:
    for api in PATHS:
        response = upstream.post(api, Fault(kind), stream=False)
        if response.status_code == 200:
            assert ANSWER[:20] in response.json().__repr__(), (kind, api)
        else:
            assert response.json()["error"]["message"]
            assert THOUGHT not in response.text
            assert kind not in HARMLESS


def test_silent_upstreams_end_in_time() -> None:
    with proxied(Fault("silence_before"), Turn(PLAIN, fault=Fault("silence", after=5)), timeout=0.5) as (url, _):
        response = httpx.post(url + PATHS["chat"], json=body_of("chat"), timeout=30)
        assert response.status_code == 504
        streamed = httpx.post(url + PATHS["chat"], json=body_of("chat", stream=True), timeout=30)
        assert "error" in data_of(streamed)[-1]
