"""Workers of a proxy that are killed under load: what a client has got stays, and nothing is kept by half.

`MOTET_KILLS=1` for 50 kills in each store; `make test` has two in SQLite.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from motet.proxy.stores import open_state
from motet.testing import ScriptedServer
from tests.support.child_processes import children
from tests.support.proxies import MODEL, PATHS, body_of
from tests.support.server_scripts import ANSWER, PLAIN
from tests.support.state_servers import postgresql_server, redis_server

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked"),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc is missing"),
]

IS_LONG = "MOTET_KILLS" in os.environ
KILLS = 50 if IS_LONG else 2
KEY = "key-of-alice"
HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture(params=["sqlite", "redis", "postgresql"] if IS_LONG else ["sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the state is kept."""
    if request.param == "sqlite":
        yield str(tmp_path / "proxy.sqlite3")
    else:
        with redis_server() if request.param == "redis" else postgresql_server() as address:
            yield address


@contextlib.contextmanager
def running_proxy(upstream: str, place: str) -> Iterator[tuple[str, int]]:
    """The address of a proxy with two workers, and the process that replaces them."""
    words = ["proxy", "--upstream", upstream, "--port", "0", "--workers", "2", "--state", place, "--price", "1,2"]
    command = [sys.executable, "-m", "motet", *words, "--key", f"alice:{KEY}:1000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0], process.pid
    finally:
        process.terminate()
        process.communicate(timeout=60)


async def spent_of(client: str, place: str) -> Decimal:
    """US dollars in the state."""
    state = open_state(place)
    try:
        return await state.spent(client)
    finally:
        await state.aclose()


def test_workers_killed_under_load_keep_what_was_confirmed(place: str) -> None:
    confirmed: dict[str, tuple[str | None, Decimal]] = {}
    """By the id of each response that a client has got: the id of the one before it, and its cost."""
    is_over = threading.Event()

    def ask(url: str) -> None:
        previous: str | None = None
        while not is_over.is_set():
            fields = {} if previous is None else {"previous_response_id": previous}
            # A killed worker breaks the connection off.
            with contextlib.suppress(httpx.HTTPError):
                reply = httpx.post(url + PATHS["responses"], json=body_of("responses", **fields), headers=HEADERS)
                if reply.status_code == 200:
                    confirmed[reply.json()["id"]] = previous, Decimal(reply.headers["x-motet-cost"])
                    previous = reply.json()["id"] if len(confirmed) % 5 else None

    seeded = random.Random(11)
    with ScriptedServer(lambda _: PLAIN, face="vllm", models=[MODEL]) as server:
        with running_proxy(server.url, place) as (url, parent):
            threads = [threading.Thread(target=ask, args=(url,)) for _ in range(6)]
            for thread in threads:
                thread.start()
            for _ in range(KILLS):
                count = len(confirmed)
                while len(confirmed) < count + 6:
                    time.sleep(0.01)
                time.sleep(seeded.uniform(0, 0.05))
                os.kill(seeded.choice(children(parent)), signal.SIGKILL)
            is_over.set()
            for thread in threads:
                thread.join(60)
            billed = sum([request.path == "/v1/completions" for request in server.requests])
        with running_proxy(server.url, place) as (url, _), httpx.Client(headers=HEADERS, base_url=url) as client:
            for id, (previous, _) in confirmed.items():
                kept = client.get(f"{PATHS['responses']}/{id}").json()
                assert kept["status"] == "completed" and kept["previous_response_id"] == previous
                assert kept["output"][-1]["content"][0]["text"] == ANSWER
        spent = asyncio.run(spent_of("alice", place))
    costs = [cost for _, cost in confirmed.values()]
    assert 6 * KILLS <= len(costs) <= billed
    # An answer that a kill kept from its client is billed, or is not; none is billed twice.
    assert sum(costs) <= spent <= sum(costs) + (billed - len(costs)) * max(costs)
