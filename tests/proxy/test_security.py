"""Keys, budgets, limits and attacks on a proxy."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from motet import ConfigError
from motet.proxy import ClientKey, Upstream, app
from motet.proxy.sqlite_state import SqliteState
from tests.support.fake_backend import FakeBackend
from tests.support.proxies import HI, MODEL, PATHS, AsgiResponse, body_of, call, proxied
from tests.support.server_scripts import PLAIN

KEY, OTHER_KEY = "client-key-0123456789", "other-key-0123456789"
PRICE = {"input": "1000", "output": "1000"}


def application(script: Any = lambda _: PLAIN, **settings: Any) -> Any:
    return app(Upstream(backend=FakeBackend(script), price=PRICE), **settings)


def send(application: Any, api: str = "chat", body: Any = None, **headers: str) -> AsgiResponse:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(call(application, "POST", PATHS[api], body_of(api) if body is None else body, fields))


def test_keys_are_required_and_hidden(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    proxy = application(keys=[f"alice:{KEY}", ClientKey(OTHER_KEY, "bob")])
    assert send(proxy, authorization=f"Bearer {KEY}").status == 200
    assert send(proxy, "anthropic", x_api_key=OTHER_KEY).status == 200
    for headers in ({}, {"authorization": "Bearer wrong-key-012345"}, {"authorization": KEY}, {"x_api_key": "é"}):
        response = send(proxy, **headers)
        assert (response.status, response.json["error"]["code"]) == (401, "invalid_api_key")
    assert send(proxy, "anthropic").json["error"]["type"] == "authentication_error"
    for path, status in (("/health", 200), ("/metrics", 401), ("/v1/models", 401), ("/v1/responses/x", 401)):
        assert asyncio.run(call(proxy, "GET", path)).status == status
    assert "client=alice" in caplog.text
    assert KEY not in caplog.text and OTHER_KEY not in caplog.text
    assert KEY not in repr(ClientKey.of(f"alice:{KEY}:1"))


def test_keys_of_upstreams_and_clients_stay_apart() -> None:
    with proxied(PLAIN, face="together", keys=[KEY]) as (url, server):
        import httpx

        headers = {"authorization": f"Bearer {KEY}"}
        response = httpx.post(url + PATHS["chat"], json=body_of("chat"), headers=headers, timeout=10)
        assert response.status_code == 200
        received = [str(request.headers) for request in server.requests]
        assert all("upstream-key" in text and KEY not in text for text in received)


def test_without_keys_only_local_pages_are_answered() -> None:
    proxy = application()
    assert send(proxy, host="localhost:8000").status == 200
    assert send(proxy, host="127.0.0.1").status == 200
    assert send(proxy, host="[::1]:8000", origin="http://localhost:3000").status == 200
    assert send(proxy, host="attacker.example").status == 403
    assert send(proxy, host="localhost", origin="https://attacker.example").status == 403
    assert send(proxy, host="localhost", origin="null").status == 403
    assert send(proxy, content_type="text/plain").status == 415


async def spent_of(client: str, path: Path) -> Decimal:
    state = SqliteState(path)
    spent = await state.spent(client)
    await state.aclose()
    return spent


def test_budgets_are_kept_between_processes(tmp_path: Path) -> None:
    path = tmp_path / "proxy.sqlite3"
    spent = []
    for _ in range(2):
        proxy = application(keys=[f"alice:{KEY}:0.15"], state=path)
        response = send(proxy, authorization=f"Bearer {KEY}")
        if response.status == 200:
            spent.append(Decimal(response.headers["x-motet-cost"]))
    assert response.status == 402
    assert response.json["error"]["code"] == "budget_exceeded"
    assert "the budget of" in response.json["error"]["message"]
    assert asyncio.run(spent_of("alice", path)) == sum(spent) == spent[0]


def test_proxies_of_one_state_keep_a_budget_together(tmp_path: Path) -> None:
    body = body_of("chat", max_tokens=100)

    async def use() -> list[AsgiResponse]:
        proxies = [application(keys=[f"alice:{KEY}:0.2"], state=tmp_path / "proxy.sqlite3") for _ in range(2)]
        headers = {"authorization": f"Bearer {KEY}"}
        replies = [call(proxy, "POST", PATHS["chat"], body, headers) for proxy in proxies for _ in range(3)]
        return await asyncio.gather(*replies)

    replies = asyncio.run(use())
    costs = [Decimal(reply.headers["x-motet-cost"]) for reply in replies if reply.status == 200]
    assert len(costs) >= 1 and [reply.status for reply in replies].count(402) == 6 - len(costs)
    assert asyncio.run(spent_of("alice", tmp_path / "proxy.sqlite3")) == sum(costs) <= Decimal("0.2")


def test_requests_of_a_budget_run_side_by_side(tmp_path: Path) -> None:
    """They do although they set no `max_tokens`, and the server's context is not known."""
    both = threading.Barrier(2, timeout=10)
    backend = FakeBackend(lambda _: PLAIN)
    backend.before = both.wait  # type: ignore[assignment]
    upstream = Upstream(backend=backend, price={"input": "1", "output": "1"}, harmony=True)
    headers = {"authorization": "Bearer correct-horse"}

    def ask() -> int:
        proxy = app(upstream, keys=["a:correct-horse:5"], state=tmp_path / "state")
        return asyncio.run(call(proxy, "POST", PATHS["chat"], body_of("chat", model="local"), headers)).status

    with ThreadPoolExecutor(2) as pool:
        assert [future.result() for future in [pool.submit(ask) for _ in range(2)]] == [200, 200]


def test_costs_are_in_the_figures() -> None:
    proxy = application(keys=[f"alice:{KEY}"])
    whole = send(proxy, authorization=f"Bearer {KEY}")
    streamed = send(proxy, body=body_of("chat", stream=True), authorization=f"Bearer {KEY}")
    cost = Decimal(whole.headers["x-motet-cost"])
    assert f": x-motet-cost: {cost}\n" in streamed.body.decode()
    figures = asyncio.run(call(proxy, "GET", "/metrics", headers={"authorization": f"Bearer {KEY}"})).body.decode()
    assert f'motet_cost_dollars_total{{model="{MODEL}",client="alice"}} {2 * cost}' in figures
    assert f'motet_requests_total{{api="chat",model="{MODEL}",status="200"}} 2' in figures
    assert "motet_first_token_seconds_count 1" in figures
    assert KEY not in figures


def test_budget_without_a_price_is_refused() -> None:
    proxy = app(Upstream(backend=FakeBackend(lambda _: PLAIN)), keys=[f"alice:{KEY}:5"])
    body = {**body_of("chat"), "model": "gpt-oss-of-mine"}
    response = send(proxy, body=body, authorization=f"Bearer {KEY}")
    assert response.status == 400
    assert "cost of an answer cannot be limited" in response.json["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"null", 400),
        (b'{"temperature": NaN}', 400),
        (b"[" * 100_000, 400),
        (b'{"model": "' + b"x" * 3000 + b'"}', 413),
    ],
)
def test_hostile_bodies_are_refused(body: bytes, status: int) -> None:
    proxy = application(max_body_bytes=200_000 if body.startswith(b"[") else 2000)
    for api in PATHS:
        assert send(proxy, api, body).status == status


def test_half_characters_are_replaced() -> None:
    backend = FakeBackend(lambda _: PLAIN)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "cut \ud83d, whole \ud83d\ude00"}]}
    assert send(app(Upstream(backend=backend)), body=body).status == 200
    assert backend.requests[0].messages[0].text == "cut \ufffd, whole 😀"


@pytest.mark.parametrize("name", ["http://attacker.example/v1", "../../etc/passwd", "a b\r\nX-Evil: 1", "", "😀" * 50])
def test_names_of_models_reach_no_address(name: str) -> None:
    with proxied(PLAIN, PLAIN) as (url, server):
        import httpx

        response = httpx.post(url + PATHS["chat"], json=body_of("chat") | {"model": name}, timeout=10)
        assert response.status_code < 500
        assert all(request.body is None or request.body.get("model") == name for request in server.requests)


def test_unknown_addresses_have_the_shape_of_the_api() -> None:
    proxy = application()
    response = asyncio.run(call(proxy, "POST", "/v1/embeddings", {}))
    assert response.status == 404
    assert "the proxy has no POST /v1/embeddings" in response.json["error"]["message"]
    assert asyncio.run(call(proxy, "GET", "/v1/messages")).json["type"] == "error"
    assert asyncio.run(call(proxy, "GET", "/v1/chat/completions")).status == 405


def test_faults_of_the_proxy_hide_their_details(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Any) -> str:
        raise RuntimeError("a secret of the host")

    response = send(application(fail))
    assert response.status == 500
    assert "secret" not in response.body.decode()
    assert "a secret of the host" in caplog.text


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="needs an upstream"):
        app()
    with pytest.raises(ConfigError, match="unknown setting max_bytes"):
        application(max_bytes=1)
    with pytest.raises(ConfigError, match="a name of its own"):
        application(keys=[KEY, OTHER_KEY])
    for text in ("short", "a:b:c:d", f"name:{KEY}:lots", f":{KEY}", "key with blanks"):
        with pytest.raises(ConfigError):
            ClientKey.of(text)
    with pytest.raises(ConfigError):
        Upstream()


def test_models_have_upstreams_of_their_own() -> None:
    own, other = FakeBackend(lambda _: PLAIN), FakeBackend(lambda _: PLAIN)
    proxy = app(models={"mine": Upstream(backend=own, model=MODEL), "gpt-oss-2": Upstream(backend=other)})
    assert send(proxy, body={"model": "mine", "messages": HI}).json["model"] == "mine"
    assert own.requests[0].model == MODEL and not other.requests
    response = send(proxy, body={"model": "unknown", "messages": HI})
    assert response.status == 404
    assert "known are mine, gpt-oss-2" in response.json["error"]["message"]
    listed = asyncio.run(call(proxy, "GET", "/v1/models")).json
    assert [model["id"] for model in listed["data"]] == ["mine", "gpt-oss-2"]
