"""Cassettes: exchanges that are recorded and replayed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.testing import Cassette, CassetteMissError, Fault, ScriptedServer, Turn
from motet.testing.cassette import Cassette as _Cassette
from tests.support.server_scripts import CALL, KEY, PLAIN, SLUG, WEATHER, asking, final


def recorded(path: Path, ask: Any, *script: Any, **settings: Any) -> Any:
    """The result of `ask` over a server, with a recording cassette."""
    with asking(*script, transport=Cassette(path, mode="record"), **settings) as (atom, _):
        return ask(atom)


def replayed(path: Path, ask: Any, mode: Any = "replay", **settings: Any) -> Any:
    """The result of `ask` without the server."""
    with motet.atom(SLUG, base_url="http://127.0.0.1:9", transport=Cassette(path, mode=mode), **settings) as atom:
        return ask(atom)


def stream_all(atom: motet.Atom, prompt: str = "Why?", **options: Any) -> Any:
    with atom.stream(prompt, **options) as stream:
        events = [(event.type, event.kind, event.delta) for event in stream]
        return events, stream.answer.completion, stream.answer.usage


def ask(atom: motet.Atom, prompt: str = "Why?", **options: Any) -> Any:
    answer = atom.ask(prompt, **options)
    return answer.completion, answer.usage, answer.metrics.cost.cash, answer.request_id


@pytest.mark.parametrize("how", [ask, stream_all], ids=["ask", "stream"])
@pytest.mark.parametrize("script", [PLAIN, CALL], ids=["plain", "call"])
def test_exchange_is_recorded_and_replayed(how: Any, script: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "cassette.jsonl"
    before = recorded(path, lambda atom: how(atom, tools=[WEATHER]), script)
    assert len(path.read_text().splitlines()) == 1
    assert replayed(path, lambda atom: how(atom, tools=[WEATHER]), lane="chat") == before


@pytest.mark.parametrize(("style", "lane"), [("vllm", "ids"), ("llamacpp", "text")])
def test_raw_lanes_replay_on_another_day(style: str, lane: str, tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    settings: Any = {"current_date": "2026-11-21", "lane": lane}
    before = recorded(path, lambda atom: stream_all(atom, **settings), PLAIN, style=style)
    assert replayed(path, lambda atom: stream_all(atom, **settings)) == before
    with pytest.raises(CassetteMissError):
        replayed(path, lambda atom: stream_all(atom, current_date="2026-11-22", lane=lane))


def test_async_exchange_is_recorded_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    async def main(atom: motet.Atom) -> Any:
        async with atom:
            answer = await atom.aask("Why?")
            async with atom.astream("How?") as stream:
                events = [event.delta async for event in stream]
            return answer.completion, events, stream.answer.completion, stream.answer.usage

    with asking(PLAIN, CALL, async_transport=Cassette(path, mode="record")) as (atom, _):
        before = asyncio.run(main(atom))
    again = motet.atom(SLUG, base_url="http://127.0.0.1:9", async_transport=Cassette(path), lane="chat")
    assert asyncio.run(main(again)) == before
    # What was recorded with await is played back without it.
    assert replayed(path, ask, lane="chat")[0] == before[0]


def test_recording_has_no_key_and_no_request_headers(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    echo = Fault("status", status=401, body={"error": {"message": f"the key {KEY} is not known"}})
    secret = {"X-Team": "secret-team"}

    def asks(atom: motet.Atom) -> None:
        ask(atom)
        with pytest.raises(motet.AuthenticationError, match=r"the key \[key\] is not known"):
            ask(atom, "And?")
        ask(atom, f"My key is {KEY}.")

    recorded(path, asks, PLAIN, echo, PLAIN, headers=secret)
    text = path.read_text()
    assert len(text.splitlines()) == 3
    for word in (KEY, "secret-team", "Authorization", "authorization", "Bearer", "Stainless", "User-Agent", "127.0.0"):
        assert word not in text
    replayed(path, asks, lane="chat", api_key=KEY)


@pytest.mark.parametrize("key", ["none", "test", "stop"])
def test_key_equal_to_a_word_redacts_only_the_key(key: str, tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    with (
        ScriptedServer([final("none: test, stop.")]) as server,
        motet.atom(SLUG, base_url=server.url, api_key=key, transport=Cassette(path, mode="record")) as atom,
    ):
        before = ask(atom, "Say none, test, stop.", lane="chat")
    assert before[0].text == "none: test, stop."
    assert replayed(path, lambda atom: ask(atom, "Say none, test, stop.", lane="chat")) == before


def test_cassette_miss_shows_the_request(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    recorded(path, ask, PLAIN)

    def misses(atom: motet.Atom) -> None:
        for how in (ask, stream_all):
            with pytest.raises(CassetteMissError, match=r"POST /v1/chat/completions with .*Why not\?") as caught:
                how(atom, "Why not?")
            assert not caught.value.retryable
            assert str(path) in str(caught.value)
            assert "record it with mode='auto'" in str(caught.value)
            assert caught.value.__cause__ is None

    replayed(path, misses, lane="chat", max_retries=5)

    async def main() -> None:
        async with motet.atom(SLUG, base_url="http://127.0.0.1:9", lane="chat", async_transport=Cassette(path)) as atom:
            with pytest.raises(CassetteMissError, match=r"Why not\?"):
                await atom.aask("Why not?")

    asyncio.run(main())
    with pytest.raises(CassetteMissError, match=r"there is no cassette .*none\.jsonl"):
        Cassette(tmp_path / "none.jsonl")


def test_replay_needs_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.delenv("TOGETHER_BASE_URL", raising=False)
    path = tmp_path / "cassette.jsonl"
    before = recorded(path, ask, PLAIN)
    with motet.atom(SLUG, transport=Cassette(path)) as atom:
        assert ask(atom) == before
    with motet.atom(SLUG, transport=Cassette(path, mode="auto")) as atom, pytest.raises(motet.MissingKeyError):
        ask(atom)


def test_auto_mode_records_missing_exchanges(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    with asking(final("one"), final("two"), transport=Cassette(path, mode="auto")) as (atom, server):
        first = [ask(atom, prompt)[0].text for prompt in ("1?", "2?", "1?")]
        assert first == ["one", "two", "one"]
        assert len(server.requests) == 2
    with asking(final("three"), transport=Cassette(path, mode="auto")) as (atom, server):
        assert [ask(atom, prompt)[0].text for prompt in ("2?", "3?")] == ["two", "three"]
        assert len(server.requests) == 1
    assert len(path.read_text().splitlines()) == 3
    # To record is to begin anew.
    recorded(path, ask, PLAIN)
    assert len(path.read_text().splitlines()) == 1


def test_repeated_request_is_recorded_twice(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    def thrice(atom: motet.Atom) -> list[str]:
        return [ask(atom)[0].text for _ in range(3)]

    assert recorded(path, thrice, final("one"), final("two"), final("three")) == ["one", "two", "three"]
    assert replayed(path, thrice, lane="chat") == ["one", "two", "three"]
    # The last one stays.
    assert replayed(path, lambda atom: [*thrice(atom), *thrice(atom)], lane="chat")[2:] == ["three"] * 4


def test_retries_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    busy = Fault("status", status=429, headers={"retry-after": "0"})

    def attempts(atom: motet.Atom) -> list[str]:
        return [attempt.outcome for attempt in atom.ask("Hi").attempts]

    assert recorded(path, attempts, busy, PLAIN) == replayed(path, attempts, lane="chat") == ["429", "200"]


def test_abandoned_stream_is_recorded_as_far_as_read(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    def limited(atom: motet.Atom) -> str:
        with pytest.raises(motet.MaxTokensError) as caught:
            atom.ask("Why?", max_reasoning_tokens=3)
        return str(caught.value.partial.reasoning)

    before = recorded(path, limited, Turn(PLAIN, delay=0.001))
    assert replayed(path, limited, lane="chat") == before
    with pytest.raises(motet.StreamTruncatedError):
        replayed(path, stream_all, lane="chat")


def test_broken_connection_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    def broken(atom: motet.Atom) -> None:
        with pytest.raises(motet.MotetError):
            stream_all(atom)

    recorded(path, broken, Turn(PLAIN, fault=Fault("reset", after=3)))
    assert path.read_text() == ""


def test_binary_bodies_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    def broken(atom: motet.Atom) -> str:
        with pytest.raises(motet.BadPayloadError, match="UTF-8") as caught:
            stream_all(atom)
        return str(caught.value)

    before = recorded(path, broken, Turn(PLAIN, fault=Fault("bad_utf8", after=3)))
    assert replayed(path, broken, lane="chat") == before


def test_compressed_answers_are_recorded_readably(tmp_path: Path) -> None:
    import gzip

    from aiohttp import web

    class Zipping(ScriptedServer):
        async def _whole(self, request: Any, turn: Any, shape: Any) -> Any:
            data = gzip.compress(json.dumps(shape).encode())
            return web.Response(body=data, headers={"Content-Encoding": "gzip"}, content_type="application/json")

    path = tmp_path / "cassette.jsonl"
    with (
        Zipping([PLAIN]) as server,
        motet.atom(SLUG, base_url=server.url, lane="chat", transport=Cassette(path, mode="record")) as atom,
    ):
        before = ask(atom)
    assert "Rayleigh" in path.read_text()
    assert replayed(path, ask, lane="chat") == before


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "5",
        "{}",
        '{"request": {}}',
        '{"request": {}, "response": 5}',
        '{"request": {}, "response": {"status": 200, "headers": {}, "body": 5}}',
    ],
)
def test_broken_cassette_line_is_named_by_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    recorded(path, ask, PLAIN)
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(motet.ConfigError, match=r"line 2 of the cassette .*cassette\.jsonl cannot be read"):
        Cassette(path)


def test_cassette_is_a_reusable_context_manager(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    with Cassette(path, mode="auto") as cassette:
        for text in ("one", "two"):
            with asking(final(text), transport=cassette) as (atom, _):
                assert ask(atom, text)[0].text == text
    assert isinstance(cassette, _Cassette)
    assert len(path.read_text().splitlines()) == 2
