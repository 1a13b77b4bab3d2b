"""The states of a proxy, in SQLite and in real Redis and PostgreSQL servers: atomic, shared by processes, and private."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
import time
import uuid
from array import array
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from motet.errors import ConfigError
from motet.proxy import KeptTurn, State, StoredResponse, Upstream, app
from motet.proxy.sqlite_state import SqliteState
from motet.proxy.state import Funds
from motet.proxy.stores import open_state
from tests.support.fake_backend import FakeBackend
from tests.support.proxies import PATHS, AsgiResponse, body_of, call
from tests.support.server_scripts import PLAIN
from tests.support.state_servers import postgresql_server, redis_server


def response(id: str, previous_id: str | None = None, client: str = "a") -> StoredResponse:
    return StoredResponse(
        id=id,
        client=client,
        previous_id=previous_id,
        created=int(time.time()),
        response={"id": id, "text": "Zürich"},
        input=[{"type": "message"}],
        messages=[{"role": "user", "content": []}],
    )


async def reserve(
    state: State, client: str, id: str, least: str, most: str | None = None, seconds: float = 60
) -> Decimal | None:
    """What a request of a client with one dollar gets."""
    bound = None if most is None else Decimal(most)
    funds = await state.reserve(client, id, limit=Decimal(1), least=Decimal(least), most=bound, seconds=seconds)
    return funds.granted


async def spend(state: State, client: str, *costs: str) -> None:
    """Requests of these costs, one after another."""
    for cost in costs:
        id = uuid.uuid4().hex
        await state.reserve(client, id, limit=Decimal(9), least=Decimal(0), most=Decimal(0), seconds=60)
        await state.settle(client, id, Decimal(cost))


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """The addresses of servers that run, by their kind."""
    with contextlib.ExitStack() as servers:
        started: dict[str, str] = {}

        class Addresses(dict[str, str]):
            def __missing__(self, kind: str) -> str:
                server = redis_server() if kind == "redis" else postgresql_server()
                started[kind] = self[kind] = servers.enter_context(server)
                return self[kind]

        yield Addresses()


@pytest.fixture(params=["sqlite", "redis", "postgresql"])
def place(request: pytest.FixtureRequest, addresses: dict[str, str], tmp_path: Path) -> str:
    """Where a state is kept."""
    return str(tmp_path / "folder" / "proxy.sqlite3") if request.param == "sqlite" else addresses[request.param]


def test_values_are_read_back(place: str) -> None:
    client = uuid.uuid4().hex

    async def use() -> None:
        state = open_state(place)
        turn = KeptTurn(("Because \ud83d.\0", None), array("I", [200005, 35644]))
        await state.put_turn(b"key", turn)
        await state.put_turn(b"bare", KeptTurn((None,)))
        assert await state.get_turns([b"key", b"other", b"bare"]) == {b"key": turn, b"bare": KeptTurn((None,))}
        await state.put_response(response("r1", client=client))
        await state.put_response(response("r2", "r1", client=client))
        assert await state.get_response(client, "r1") == response("r1", client=client)
        assert await state.get_response("b", "r1") is None
        assert await state.get_response(client, "r1\0") is None
        assert [item.id for item in await state.get_conversation(client, "r2")] == ["r1", "r2"]
        await spend(state, client, "0.1", "0.2", "1E-16")
        await state.aclose()
        again = open_state(place)
        assert await again.spent(client) == Decimal("0.3000000000000001")
        assert await again.spent("b") == 0
        assert await again.delete_response(client, "r1")
        assert not await again.delete_response(client, "r1")
        assert not await again.delete_response(client, "r1\0")
        assert await again.get_conversation(client, "r2") == [], "one of the responses is gone"
        await again.aclose()

    asyncio.run(use())


def test_file_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    async def use() -> None:
        state = SqliteState(tmp_path / "folder" / "proxy.sqlite3")
        await state.spent("a")
        await state.aclose()

    asyncio.run(use())
    assert stat.S_IMODE((tmp_path / "folder" / "proxy.sqlite3").stat().st_mode) == 0o600


def test_processes_share_a_state(place: str) -> None:
    client = uuid.uuid4().hex

    async def use() -> Decimal:
        states = [open_state(place) for _ in range(2)]
        await asyncio.gather(*[spend(state, client, *["0.01"] * 10) for state in states for _ in range(2)])
        total = await states[0].spent(client)
        for state in states:
            await state.aclose()
        return total

    assert asyncio.run(use()) == Decimal("0.40")


def test_requests_are_billed_once(place: str) -> None:
    client = uuid.uuid4().hex

    async def use() -> None:
        async with contextlib.aclosing(open_state(place)) as state:
            assert await reserve(state, client, "q1", "0.3", "0.3") == Decimal("0.3")
            await state.settle(client, "q1", Decimal("0.1"))
            await state.settle(client, "q1", Decimal("0.1"))
            await state.settle(client, "unknown", Decimal(5))
            assert await state.spent(client) == Decimal("0.1")

    asyncio.run(use())


def test_reservations_keep_the_limit(place: str) -> None:
    client = uuid.uuid4().hex

    async def use() -> None:
        async with contextlib.aclosing(open_state(place)) as state, contextlib.aclosing(open_state(place)) as other:
            assert await reserve(state, client, "q1", "0.1", "0.6") == Decimal("0.6")
            assert await reserve(state, client, "q1", "0.1", "0.6") == Decimal("0.6"), "the same request again"
            assert await reserve(other, client, "q2", "0.1", "0.6") is None
            assert await reserve(other, client, "q3", "0.1") is None
            assert await reserve(other, client, "q4", "0.4", "0.4") == Decimal("0.4")
            await other.settle(client, "q4", Decimal("0.4"))
            await state.settle(client, "q1", Decimal("0.1"))
            assert await reserve(other, client, "q5", "0.1") == Decimal("0.5"), "all that is left"
            await other.settle(client, "q5", Decimal("0.5"))
            funds = await state.reserve(client, "q6", limit=Decimal(1), least=Decimal("0.01"), most=None, seconds=60)
            assert funds == Funds(None, Decimal(1), Decimal(0))

    asyncio.run(use())


def test_proxies_never_reserve_more_than_the_limit(place: str) -> None:
    client = uuid.uuid4().hex

    async def use() -> list[Decimal | None]:
        async with contextlib.aclosing(open_state(place)) as state, contextlib.aclosing(open_state(place)) as other:
            requests = [reserve(one, client, uuid.uuid4().hex, "0.1", "0.1") for one in (state, other) * 15]
            return await asyncio.gather(*requests)

    granted = asyncio.run(use())
    assert (granted.count(Decimal("0.1")), granted.count(None)) == (10, 20)


def test_reservations_of_killed_proxies_expire(place: str) -> None:
    client = uuid.uuid4().hex

    async def use() -> None:
        async with contextlib.aclosing(open_state(place)) as state:
            await reserve(state, client, "q1", "1", "1", seconds=-1)
            assert await reserve(state, client, "q2", "0.5", "0.5") == Decimal("0.5")
            await state.settle(client, "q2", Decimal("0.5"))
            await state.settle(client, "q1", Decimal("0.25"))
            assert await state.spent(client) == Decimal("0.75"), "a late request is billed as well"
            await reserve(state, client, "q3", "0.25", "0.25", seconds=-1)
            await state.renew(client, "q3", 60)
            assert await reserve(state, client, "q4", "0.25", "0.25") is None
            await state.renew(client, "unknown", 60)

    asyncio.run(use())


def test_entries_expire_in_redis(addresses: dict[str, str]) -> None:
    async def use() -> list[int]:
        from redis.asyncio import Redis

        state = open_state(addresses["redis"])
        await state.put_turn(b"expiring", KeptTurn(("a",)))
        await state.put_response(response("expiring"))
        await spend(state, "expiring", "1")
        await state.aclose()
        async with Redis.from_url(addresses["redis"]) as redis:
            keys = sorted(await redis.keys("*expiring*"))
            turn = await redis.keys(f"*{b'expiring'.hex()}*")
            return [await redis.ttl(key) for key in [*keys, *turn]]

    for_response, for_spent, for_turn = asyncio.run(use())
    assert 29 * 86_400 < for_response <= 30 * 86_400
    assert 6 * 86_400 < for_turn <= 7 * 86_400
    assert for_spent == -1, "what was spent stays"


def test_old_entries_are_removed_in_postgresql(addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> tuple[Any, Any]:
        import psycopg

        state = open_state(addresses["postgresql"])
        await state.put_turn(b"old", KeptTurn(("a",)))
        await state.put_response(response("old"))
        async with await psycopg.AsyncConnection.connect(addresses["postgresql"], autocommit=True) as connection:
            await connection.execute("UPDATE motet_turns SET at = now() - interval '8 days' WHERE key = 'old'")
            await connection.execute("UPDATE motet_responses SET at = now() - interval '8 days' WHERE id = 'old'")
        monkeypatch.setattr("motet.proxy.postgresql_state.WRITES_PER_CLEANING", 1)
        await state.put_turn(b"new", KeptTurn(("a",)))
        turns, kept = await state.get_turns([b"old"]), await state.get_response("a", "old")
        await state.aclose()
        return turns, kept

    turns, kept = asyncio.run(use())
    assert turns == {} and kept is not None


@pytest.mark.parametrize(
    "place", ["unix:///nowhere/redis.sock", "postgresql://motet:secret@/postgres?host=/nowhere&connect_timeout=1"]
)
def test_missing_server_is_503_without_its_address(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.proxy.postgresql_state.WAIT_SECONDS", 0.2)
    proxy = app(Upstream(backend=FakeBackend(lambda _: PLAIN)), state=place)
    answer = asyncio.run(call(proxy, "POST", PATHS["responses"], body_of("responses", previous_response_id="r1")))
    assert answer.status == 503
    assert "state of the proxy" in answer.json["error"]["message"]
    assert "nowhere" not in answer.body.decode() and "secret" not in answer.body.decode()


@pytest.mark.parametrize("stream", [True, False])
def test_answer_that_cannot_be_kept_is_sent(stream: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "proxy.sqlite3"
    proxy = app(Upstream(backend=FakeBackend(lambda _: PLAIN)), state=path)

    async def use() -> list[AsgiResponse]:
        first = await call(proxy, "POST", PATHS["responses"], body_of("responses"))
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE responses")
        return [first, await call(proxy, "POST", PATHS["responses"], body_of("responses", stream=stream))]

    first, second = asyncio.run(use())
    assert (first.status, second.status) == (200, 200)
    reply = second.events[-1]["response"] if stream else second.json
    assert reply["status"] == "completed"
    assert "answered and not kept" in caplog.text


@pytest.mark.parametrize("place", ["mysql://host", "postgresql://[", "redis://host:port"])
def test_wrong_address_is_refused_at_the_start(place: str) -> None:
    with pytest.raises(ConfigError) as raised:
        app(Upstream(backend=FakeBackend(lambda _: PLAIN)), state=place)
    assert "postgresql://" in str(raised.value) or "redis" in str(raised.value).lower()


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    async def use() -> None:
        state = SqliteState(tmp_path / "proxy.sqlite3")

        def fail(connection: Any) -> None:
            connection.execute("INSERT INTO spending VALUES ('a', '5')")
            raise RuntimeError("the process is interrupted")

        with pytest.raises(RuntimeError):
            await state._write(fail)
        assert await state.spent("a") == 0
        await state.aclose()

    asyncio.run(use())


def test_old_entries_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> None:
        path = tmp_path / "proxy.sqlite3"
        state = SqliteState(path)
        await state.put_turn(b"key", KeptTurn(("a",)))
        await state.put_response(response("r1"))
        await state.aclose()
        now = time.time()
        monkeypatch.setattr("motet.proxy.sqlite_state.time.time", lambda: now + 8 * 86_400)
        state = SqliteState(path)
        assert await state.get_turns([b"key"]) == {}
        assert await state.get_response("a", "r1") is not None
        await state.aclose()

    asyncio.run(use())


def test_memory_keeps_the_last_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.proxy.sqlite_state.MAX_IN_MEMORY", 3)
    monkeypatch.setattr("motet.proxy.sqlite_state.WRITES_PER_CLEANING", 5)
    times = iter(range(1_000_000, 2_000_000))
    monkeypatch.setattr("motet.proxy.sqlite_state.time.time", lambda: float(next(times)))

    async def use() -> set[bytes]:
        state = SqliteState()
        keys = [bytes([number]) for number in range(10)]
        for key in keys:
            await state.put_turn(key, KeptTurn(("a",)))
        turns = await state.get_turns(keys)
        await state.aclose()
        return set(turns)

    kept = asyncio.run(use())
    assert bytes([9]) in kept and bytes([0]) not in kept
    assert len(kept) <= 5
