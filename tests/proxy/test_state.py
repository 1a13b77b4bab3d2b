"""The SQLite state: atomic, shared by processes, and private."""

from __future__ import annotations

import asyncio
import stat
import time
from array import array
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from motet.proxy import KeptTurn, StoredResponse
from motet.proxy.sqlite_state import SqliteState


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


def test_values_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "proxy.sqlite3"

    async def use() -> None:
        state = SqliteState(path)
        turn = KeptTurn(("Because \ud83d.", None), array("I", [200005, 35644]))
        await state.put_turn(b"key", turn)
        assert await state.get_turns([b"key", b"other"]) == {b"key": turn}
        await state.put_response(response("r1"))
        await state.put_response(response("r2", "r1"))
        assert await state.get_response("a", "r1") == response("r1")
        assert await state.get_response("b", "r1") is None
        assert [item.id for item in await state.get_conversation("a", "r2")] == ["r1", "r2"]
        await state.add_spent("a", Decimal("0.1"))
        await state.add_spent("a", Decimal("0.2"))
        await state.aclose()
        again = SqliteState(path)
        assert await again.spent("a") == Decimal("0.3")
        assert await again.spent("b") == 0
        assert await again.delete_response("a", "r1")
        assert not await again.delete_response("a", "r1")
        assert await again.get_conversation("a", "r2") == [], "one of the responses is gone"
        await again.aclose()

    asyncio.run(use())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    async def use() -> Decimal:
        states = [SqliteState(tmp_path / "proxy.sqlite3") for _ in range(2)]
        cent = Decimal("0.01")
        await asyncio.gather(*[state.add_spent("a", cent) for state in states for _ in range(20)])
        total = await states[0].spent("a")
        for state in states:
            await state.aclose()
        return total

    assert asyncio.run(use()) == Decimal("0.40")


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
