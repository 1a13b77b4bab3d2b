"""Faults of upstreams and clients that leave: statuses, words, broken streams, and ended requests."""

from __future__ import annotations

import asyncio
import json
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx
import openai
import pytest

from motet.proxy import Upstream
from motet.proxy.sqlite_state import SqliteState
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.proxies import HI, MODEL, PATHS, body_of, proxied
from tests.support.server_scripts import PLAIN


def post(url: str, api: str, **fields: Any) -> httpx.Response:
    return httpx.post(url + PATHS[api], json=body_of(api, **fields), timeout=30)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", PATHS)
def test_upstream_faults_keep_status_words_and_wait(api: str, stream: bool) -> None:
    statuses = [(429, {"retry-after": "7"}), (503, {"retry-after": "2"}), (400, {}), (404, {}), (422, {}), (500, {})]
    faults = [Fault("status", status=status, headers=headers) for status, headers in statuses]
    with proxied(*faults) as (url, server):
        for status, headers in statuses:
            response = post(url, api, stream=stream)
            assert response.status_code == status
            assert "scripted to fail" in response.json()["error"]["message"]
            assert response.headers.get("retry-after") == headers.get("retry-after")
            assert response.headers["x-request-id"]
            assert (response.json().get("type") == "error") is (api == "anthropic")
        assert len([request for request in server.requests if request.method == "POST"]) == len(statuses)


@pytest.mark.parametrize("kind", ["close_before", "redirect", "html", "empty", "not_json", "error_body", "wrong_types"])
def test_unreadable_upstreams_are_bad_gateways(kind: str) -> None:
    with proxied(Fault(kind), face="together") as (url, _):
        response = post(url, "chat")
        assert response.status_code in (500, 502), response.text
        assert response.json()["error"]["type"] == "server_error"


def test_unreachable_upstream_is_a_bad_gateway() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with proxied(upstream=closed) as (url, _):
            assert post(url, "chat").status_code == 502
            assert httpx.get(f"{url}/v1/models").status_code == 502
            assert httpx.get(f"{url}/health").json()["status"] == "ok"


def test_too_long_prompts_have_the_words_of_each_api() -> None:
    with proxied(server={"context": 64}) as (url, _):
        error = post(url, "chat").json()["error"]
        assert error["code"] == "context_length_exceeded"
        error = post(url, "anthropic").json()["error"]
        assert error["message"].startswith("prompt is too long: ")


@pytest.mark.parametrize("kind", ["reset", "close", "half_event", "bad_json", "error_data"])
def test_broken_streams_say_so(kind: str) -> None:
    with (
        proxied(lambda _: Turn(PLAIN, fault=Fault(kind, after=4)), face="vllm") as (url, _),
        openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client,
        anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0) as messages,
    ):
        with pytest.raises(openai.APIError):
            for _ in client.chat.completions.create(model=MODEL, messages=HI, stream=True):
                pass
        events = list(client.responses.create(model=MODEL, input="Hi", stream=True))
        assert events[-1].type == "response.failed"
        assert events[-1].response.error.code == "server_error"
        assert events[-1].response.output[0].content[0].text
        with (
            pytest.raises(anthropic.APIStatusError),
            messages.messages.stream(model=MODEL, messages=HI, max_tokens=99) as stream,
        ):
            stream.get_final_message()
        raw = post(url, "chat", stream=True).text
        assert "[DONE]" not in raw and '"error"' in raw


@pytest.mark.parametrize("stream", [False, True])
def test_client_that_hangs_up_ends_the_upstream_request(stream: bool) -> None:
    turn = Turn(PLAIN, delay=0.2) if stream else Fault("silence_before")
    with proxied(turn) as (url, server):
        address = urlsplit(url)
        body = json.dumps(body_of("chat", stream=stream)).encode()
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            if stream:
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
            else:
                while not any(request.method == "POST" for request in server.requests):
                    assert not server.hung_up.wait(0.01)
        assert server.hung_up.wait(30), "the upstream's connection was closed"
        figures = httpx.get(f"{url}/metrics").text
        while "motet_hung_up_total 1" not in figures or "motet_requests_running 0" not in figures:
            figures = httpx.get(f"{url}/metrics").text


def test_silent_streams_have_heartbeats() -> None:
    with proxied(lambda _: Turn(PLAIN, delay=0.04), heartbeat=0.01) as (url, _):
        assert ": waiting" in post(url, "chat", stream=True, max_tokens=4).text
        assert post(url, "anthropic", stream=True, max_tokens=4).text.count("event: ping") > 1


def test_answers_that_break_off_are_paid_for(tmp_path: Path) -> None:
    path, price = tmp_path / "proxy.sqlite3", {"input": "1000", "output": "1000"}
    with ScriptedServer([Turn(PLAIN, fault=Fault("reset", after=9)), Turn(PLAIN, delay=0.1)], face="vllm") as server:
        upstream = Upstream(url=server.url, price=price)
        with proxied(upstream=upstream, keys=["alice:key-of-alice:5"], state=path) as (url, _):
            headers = {"authorization": "Bearer key-of-alice"}
            settings: dict[str, Any] = {"json": body_of("chat", stream=True), "headers": headers, "timeout": 30}
            assert '"error"' in httpx.post(url + PATHS["chat"], **settings).text
            with httpx.stream("POST", url + PATHS["chat"], **settings) as response:
                next(response.iter_text())
            assert server.hung_up.wait(30)
            figures = ""
            while 'status="499"' not in figures:
                figures = httpx.get(f"{url}/metrics", headers=headers).text
    spent = asyncio.run(spent_by("alice", path))
    assert Decimal("0.14") < spent < Decimal("0.3"), "two prompts of 72 tokens and some of the answers"


async def spent_by(client: str, path: Path) -> Decimal:
    state = SqliteState(path)
    spent = await state.spent(client)
    await state.aclose()
    return spent
