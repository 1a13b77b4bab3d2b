"""The proxy's page: what it shows, to which clients, and what a browser lets it do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from motet.proxy import Upstream, app
from motet.proxy.activity import Activity, RequestRow
from tests.support.fake_backend import FakeBackend
from tests.support.proxies import PATHS, TOOLS, body_of, call, proxied
from tests.support.server_scripts import ANSWER, CALL, PLAIN, THOUGHT


def test_page_is_off_unless_asked() -> None:
    proxy = app(Upstream(backend=FakeBackend(lambda _: PLAIN)))
    assert asyncio.run(call(proxy, "GET", "/")).status == 404
    assert asyncio.run(call(proxy, "GET", "/activity")).status == 404


@pytest.mark.parametrize("api", list(PATHS))
@pytest.mark.parametrize("stream", [True, False])
def test_rows_have_figures_and_no_content(api: str, stream: bool) -> None:
    price = {"input": "1", "output": "2"}
    proxy = app(Upstream(backend=FakeBackend(lambda _: PLAIN), price=price), page=True)

    async def run() -> object:
        await call(proxy, "POST", PATHS[api], body_of(api, stream=stream, tools=TOOLS[api]))
        return (await call(proxy, "GET", "/activity")).json

    look = asyncio.run(run())
    (row,) = look["rows"]
    assert (row["api"], row["status"], row["client"], row["is_streamed"]) == (api, 200, "client", stream)
    assert row["tokens"]["analysis"] > 0 and row["tokens"]["final"] > 0
    assert look["totals"]["output"] >= row["tokens"]["analysis"] + row["tokens"]["final"]
    assert (look["totals"]["requests"], look["totals"]["running"]) == (1, 0)
    shown = json.dumps(look, ensure_ascii=False)
    assert all(words not in shown for words in (THOUGHT, ANSWER, "How is the weather", "get_weather"))


def test_running_request_shows_its_tokens_so_far() -> None:
    proxy = app(Upstream(backend=FakeBackend(lambda _: PLAIN)), page=True)
    rows: list[dict[str, Any]] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def look_and_send(message: Any) -> None:
            rows.extend((await call(proxy, "GET", "/activity")).json["rows"])
            await send(message)

        await proxy(scope, receive, look_and_send)

    asyncio.run(call(watched, "POST", PATHS["chat"], body_of("chat", stream=True)))
    assert rows[1]["status"] is None
    assert rows[-1]["tokens"]["final"] > 0
    counts = [sum(row["tokens"].values()) for row in rows]
    assert counts == sorted(counts)
    assert counts[1] < counts[-1]
    assert all(row["seconds"] >= row["first_token_seconds"] for row in rows)


def test_refused_and_repaired_requests_are_told_apart() -> None:
    proxy = app(Upstream(backend=FakeBackend(lambda _: CALL.replace("commentary to", "comentary to"))), page=True)

    async def run() -> object:
        await call(proxy, "POST", PATHS["chat"], body_of("chat", n=3))
        await call(proxy, "POST", PATHS["chat"], body_of("chat", tools=TOOLS["chat"]))
        return (await call(proxy, "GET", "/activity")).json

    look = asyncio.run(run())
    assert [row["status"] for row in look["rows"]] == [200], "a refused request never reaches an upstream"
    assert look["rows"][0]["repairs"] == look["totals"]["repairs"] != {}
    assert look["totals"]["failed"] == 1


def test_figures_need_a_key_and_the_page_does_not() -> None:
    proxy = app(Upstream(backend=FakeBackend(lambda _: PLAIN)), keys=["alice:key-of-alice"], page=True)
    assert asyncio.run(call(proxy, "GET", "/")).status == 200
    assert asyncio.run(call(proxy, "GET", "/activity")).status == 401
    with_key = call(proxy, "GET", "/activity", headers={"authorization": "Bearer key-of-alice"})
    assert asyncio.run(with_key).status == 200


def test_policy_allows_the_own_script_alone() -> None:
    response = asyncio.run(call(app(Upstream(backend=FakeBackend(lambda _: PLAIN)), page=True), "GET", "/"))
    policy, html = response.headers["content-security-policy"], response.body.decode()
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    # Names of models are written by clients: none of them becomes markup.
    assert "innerHTML" not in html and "insertAdjacentHTML" not in html
    assert not re.search(r'(?:src|href)="(?!data:)', html), "the page loads nothing from elsewhere"


class _Running:
    """A request, which runs unless it has a status."""

    def __init__(self, id: str, started: float, status: int | None = None) -> None:
        self.id = id
        self.started = started
        self.status = status

    def row(self) -> RequestRow:
        """Its figures."""
        return RequestRow(
            id=self.id, started=self.started, api="chat", model="m", client="c", is_streamed=True, status=self.status,
            seconds=1.0, first_token_seconds=None, input=None, cached=None, tokens={}, repairs={}, cost=None, error=None,
        )  # fmt: skip


def test_processes_show_the_rows_of_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Activity(tmp_path)
    parent = os.getppid()
    monkeypatch.setattr(os, "getpid", lambda: parent)
    other = Activity(tmp_path)
    here.begin(_Running("a", 1.0))
    other.begin(_Running("b", 2.0))
    other.write()
    (tmp_path / "2.rows").write_text("[{", "utf-8")
    assert [row["id"] for row in here.rows()] == ["b", "a"]
    here.write()
    assert [row["id"] for row in other.rows()] == ["b", "a"]


def test_requests_of_a_killed_process_do_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(60)
    here = Activity(tmp_path)
    monkeypatch.setattr(os, "getpid", lambda: process.pid)
    killed = Activity(tmp_path)
    ended = _Running("ended", 1.0, status=200)
    killed.begin(ended)
    killed.end(ended)
    killed.begin(_Running("cut", 2.0))
    killed.write()
    assert [row["id"] for row in here.rows()] == ["ended"]


def test_rows_of_ended_requests_are_bounded() -> None:
    activity = Activity()
    for number in range(1000):
        request = _Running(str(number), float(number))
        activity.begin(request)
        activity.end(request)
    assert [row["id"] for row in activity.rows()] == [str(number) for number in range(999, 799, -1)]


@pytest.mark.skipif("MOTET_BROWSER" not in os.environ, reason="MOTET_BROWSER is not set")
def test_browser_draws_hostile_names_as_text() -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser is not None
    name = "<img src=x onerror=document.title='broken'>"
    with proxied(PLAIN, page=True) as (url, _):
        import httpx

        httpx.post(f"{url}{PATHS['chat']}", json=body_of("chat"))
        httpx.post(f"{url}{PATHS['chat']}", json={**body_of("chat"), "model": name})
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
        dom = subprocess.run([*command, f"{url}/"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "<title>motet proxy</title>" in dom
    assert "&lt;img src=x" in dom and "<img" not in dom
    assert dom.count("<tr>") == 3
