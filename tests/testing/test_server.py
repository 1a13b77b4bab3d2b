"""What tests are tested with: the scripted server, cassettes, the fixture."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import threading
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
import pytest

import motet
from motet.testing import FAULTS, Cassette, CassetteMissError, Fault, ScriptedServer, Turn
from motet.testing.cassette import Cassette as _Cassette
from tests.support.server_scripts import ANSWER, CALL, KEY, PLAIN, SLUG, THOUGHT, WEATHER, asking, final

pytest_plugins = ["pytester"]

HELLO: dict[str, Any] = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "Hi"}]}


def post(server: ScriptedServer, body: Any, path: str = "/v1/chat/completions", key: str = KEY) -> httpx.Response:
    with httpx.Client(verify=False) as client:
        return client.post(server.url + path, json=body, headers={"Authorization": f"Bearer {key}"})


def said(response: httpx.Response) -> str:
    return str(response.json()["error"]["message"])


def chunks(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


# A wrong request is refused by name.

ASSISTANT = {"role": "assistant", "content": "Let me see."}
CALLING = {"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}
SCHEMA = {"name": "answer", "schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": [{"role": "developer", "content": "Be brief."}]}, "messages.0: .*'developer'"),
        ({"messages": []}, "messages: .*at least 1"),
        ({"messages": [{"role": "user"}]}, "messages.0.user.content: Field required"),
        ({"messages": [{**ASSISTANT, "content": None}]}, "messages.0.assistant.content: .*valid string"),
        ({"messages": [{**ASSISTANT, "tool_calls": [CALLING]}]}, "messages.0.assistant.tool_calls.0.index: Field req"),
        ({"messages": [{**ASSISTANT, "tool_calls": []}]}, "messages.0.assistant.tool_calls: .*at least 1"),
        ({"messages": [{**ASSISTANT, "thinking": "Hm."}]}, "messages.0.assistant.thinking: Extra inputs"),
        ({"messages": [{"role": "tool", "content": "{}"}]}, "messages.0.tool.tool_call_id: Field required"),
        ({"messages": [{"role": "tool", "content": {}, "tool_call_id": "c"}]}, "messages.0.tool.content: .*string"),
        ({"model": None}, "model: .*valid string"),
        ({"prompt_tokens": [1, 2]}, "prompt_tokens: Extra inputs"),
        ({"max_completion_tokens": 5}, "max_completion_tokens: Extra inputs"),
        ({"max_tokens": 0}, "max_tokens: .*greater than or equal to 1"),
        ({"max_tokens": "5"}, "max_tokens: .*valid integer"),
        ({"temperature": -1}, "temperature"),
        ({"n": 2}, "n: .*1"),
        ({"stop": "<|call|>"}, "stop: .*valid list"),
        ({"stream": "yes"}, "stream: .*valid boolean"),
        ({"stream_options": {"usage": True}}, "stream_options.include_usage: Field required"),
        ({"reasoning_effort": "xhigh"}, "reasoning_effort: .*'low', 'medium' or 'high'"),
        ({"tools": []}, "tools: .*at least 1"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name: Field required"),
        ({"tools": ["now"]}, "tools.0"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "json_schema.schema: Field req"),
        ({"response_format": {"type": "yaml"}}, "response_format: .*'yaml'"),
        ({"skip_special_tokens": False}, "skip_special_tokens: Extra inputs"),
    ],
    ids=lambda one: str(one)[:60],
)
def test_invalid_request_is_refused_by_field(change: dict[str, Any], words: str) -> None:
    with ScriptedServer([PLAIN]) as server:
        refused = post(server, {**HELLO, **change})
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "bad_request"
        assert re.search(words, said(refused)), said(refused)
        # The script waits for a request that is right.
        assert post(server, HELLO).json()["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "system", "content": "Be brief."}, *HELLO["messages"]]},
        {"messages": [*HELLO["messages"], {"role": "assistant", "tool_calls": [{**CALLING, "index": 0.0}]}]},
        {"messages": [{**ASSISTANT, "reasoning": "Hm."}, {"role": "tool", "content": "", "tool_call_id": "c"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"tools": [WEATHER], "tool_choice": "auto"},
        {"response_format": {"type": "json_schema", "json_schema": {**SCHEMA, "strict": True}}},
        {"temperature": 0, "top_p": 1, "seed": 7, "stop": ["a"], "reasoning_effort": "high", "max_tokens": 900},
    ],
    ids=lambda one: str(one)[:60],
)
def test_documented_fields_are_accepted(change: dict[str, Any]) -> None:
    with ScriptedServer([PLAIN]) as server:
        assert post(server, {**HELLO, **change}).status_code == 200


def test_id_prompts_need_a_server_that_accepts_them() -> None:
    body = {"model": "m", "prompt": [1, 2, 3], "max_tokens": 50}
    for style, status in (("together", 400), ("vllm", 200), ("sglang", 200), ("llamacpp", 200)):
        with ScriptedServer([PLAIN], style=style) as server:  # type: ignore[arg-type]
            response = post(server, body, "/v1/completions")
            assert response.status_code == status
            assert status == 200 or "prompt: Input should be a valid string" in said(response)
            wrong = post(server, {**body, "prompt": "Hi", "token_ids": True}, "/v1/completions")
            assert "token_ids: Extra inputs" in said(wrong)
            extra = post(server, {**body, "prompt": "Hi", "skip_special_tokens": False}, "/v1/completions")
            assert ("skip_special_tokens" in said(extra)) is (style == "together")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'"Hi"'])
def test_non_object_body_is_refused(content: bytes) -> None:
    with ScriptedServer([PLAIN]) as server:
        headers = {"Authorization": f"Bearer {KEY}"}
        refused = httpx.post(f"{server.url}/v1/chat/completions", content=content, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")


def test_key_is_checked() -> None:
    with ScriptedServer(lambda _: PLAIN, key=KEY) as server:
        assert [post(server, HELLO, key=key).status_code for key in (KEY, "wrong", f"{KEY}x")] == [200, 401, 401]
        assert httpx.post(f"{server.url}/v1/chat/completions", json=HELLO).status_code == 401
        assert httpx.get(f"{server.url}/v1/models").status_code == 401
    with ScriptedServer(lambda _: PLAIN) as server:
        assert post(server, HELLO, key="any").status_code == 200
        assert httpx.post(f"{server.url}/v1/chat/completions", json=HELLO).status_code == 401


# The script.


def test_script_can_be_a_list_or_a_function() -> None:
    with ScriptedServer([final("one"), motet.encode(final("two"), special="token")]) as server:
        server.add(Turn(final("three")))
        assert [answer_of(post(server, HELLO)) for _ in range(3)] == ["one", "two", "three"]
        ended = post(server, HELLO)
        assert (ended.status_code, said(ended)) == (400, "the script has no more turns")
        server.add(final("four"))
        assert answer_of(post(server, HELLO)) == "four"
    with ScriptedServer(lambda body: final(body["messages"][-1]["content"][::-1])) as server:
        assert answer_of(post(server, HELLO)) == "iH"
        with pytest.raises(ValueError, match="the script is a function"):
            server.add(PLAIN)
    with ScriptedServer(itertools.repeat(final("again"))) as server:
        server.add(PLAIN)
        assert [answer_of(post(server, HELLO)) for _ in range(3)] == ["again"] * 3


def answer_of(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


def test_failing_script_fails_the_test_without_retry() -> None:
    def script(body: Any) -> str:
        assert body["messages"][0]["content"] == "Hello", "the wrong question"
        return PLAIN

    with (
        asking(script) as (brain, server),
        pytest.raises(motet.InvalidRequestError, match="the script failed: AssertionError: the wrong question"),
    ):
        brain.ask("Hi")
    assert len(server.requests) == 1
    with ScriptedServer([None]) as server:  # type: ignore[list-item]
        assert "the script failed: TypeError: a completion must be" in said(post(server, HELLO))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ScriptedServer(PLAIN), TypeError, "not a single str"),
        (lambda: ScriptedServer(Turn()), TypeError, "not a single Turn"),
        (lambda: ScriptedServer(style="vlm"), ValueError, "style must be"),
        (lambda: Turn(["text"]), TypeError, "a completion must be a text or token ids"),
        (lambda: Turn(7), TypeError, "a completion must be a text or token ids"),
        (lambda: Turn(slice=0), ValueError, "slice must be"),
        (lambda: Fault("fire"), ValueError, "no fault is named 'fire'; known are status"),
        (lambda: Cassette("x", mode="play"), motet.ConfigError, "mode must be"),
    ],
)
def test_invalid_scripts_are_refused_at_once(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_turn_fields_are_in_the_answer() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    turns = [
        Turn(PLAIN, model="other/model", usage=usage),
        Turn(PLAIN, cached=5, reasoning_tokens=True),
        Turn(PLAIN),
        Turn("<|channel|>final<|message|>cut"),
    ]
    with ScriptedServer(turns) as server:
        shapes = [post(server, HELLO).json() for _ in turns]
        assert shapes[0]["model"] == "other/model"
        assert shapes[0]["usage"] == usage
        assert shapes[1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 5}
        thought = motet.count(THOUGHT)
        assert shapes[1]["usage"]["completion_tokens_details"] == {"reasoning_tokens": thought}
        assert set(shapes[2]["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}
        assert shapes[2]["usage"]["completion_tokens"] == len(motet.encode(PLAIN, special="token"))
        assert [shape["choices"][0]["finish_reason"] for shape in shapes] == ["stop"] * 3 + ["length"]


# The shapes of answers.


def test_whole_answer_has_the_shape_of_the_service() -> None:
    with ScriptedServer([PLAIN, CALL]) as server:
        plain, call = post(server, HELLO).json(), post(server, {**HELLO, "tools": [WEATHER]}).json()
    assert (plain["object"], plain["model"]) == ("chat.completion", HELLO["model"])
    assert plain["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER, "reasoning": THOUGHT, "tool_calls": []},
            "finish_reason": "stop",
            "seed": None,
        }
    ]
    message = call["choices"][0]["message"]
    assert call["choices"][0]["finish_reason"] == "tool_calls"
    assert message["content"] == "Let me look."
    (found,) = message["tool_calls"]
    assert (type(found["index"]), found["index"]) == (float, 0.0)
    assert found["function"] == {"name": "get_weather", "arguments": '{"city": "Zürich"}'}


def test_content_beside_a_lone_call_is_null() -> None:
    alone = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{}<|call|>"
    with ScriptedServer([alone]) as server:
        assert post(server, HELLO).json()["choices"][0]["message"]["content"] is None


def test_chunks_have_the_shape_of_the_service() -> None:
    asked = {**HELLO, "tools": [WEATHER], "stream": True}
    with ScriptedServer([CALL]) as server:
        response = post(server, {**asked, "stream_options": {"include_usage": True}})
    assert response.headers["content-type"].startswith("text/event-stream")
    found = chunks(response)
    assert {chunk["object"] for chunk in found} == {"chat.completion.chunk"}
    deltas = [chunk["choices"][0]["delta"] for chunk in found if chunk["choices"]]
    assert deltas[0] == {"role": "assistant", "content": "", "token_id": None}
    assert "".join([delta.get("reasoning", "") for delta in deltas]) == "I need the weather."
    first, *later = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert first == {
        "id": "call_0",
        "index": 0.0,
        "type": "function",
        "function": {"name": "get_weather", "arguments": ""},
    }
    assert type(first["index"]) is float
    # What came once does not come again.
    assert {(one["id"], one["type"], one["function"]["name"], type(one["index"])) for one in later} == {
        (None, None, None, float)
    }
    assert "".join([one["function"]["arguments"] for one in later]) == '{"city": "Zürich"}'
    assert [chunk["choices"][0]["finish_reason"] for chunk in found[-3:-1]] == [None, "tool_calls"]
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["completion_tokens"] == len(motet.encode(CALL, special="token"))


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
def test_stream_has_usage_only_on_request(options: Any) -> None:
    with ScriptedServer([PLAIN]) as server:
        found = chunks(post(server, {**HELLO, "stream": True, **options}))
    assert all(chunk["choices"] and "usage" not in chunk for chunk in found)


def test_raw_answers_have_ids_and_text_without_stop_token() -> None:
    body = {"model": "m", "prompt": "Hi", "return_token_ids": True, "skip_special_tokens": False}
    ids = motet.encode(PLAIN, special="token")
    with ScriptedServer([PLAIN, PLAIN, PLAIN], style="vllm") as server:
        whole = post(server, {**body, "stop_token_ids": [ids[-1]]}, "/v1/completions").json()["choices"][0]
        assert (whole["token_ids"], whole["text"]) == (ids, PLAIN.removesuffix("<|return|>"))
        assert (whole["finish_reason"], whole["stop_reason"]) == ("stop", ids[-1])
        found = chunks(post(server, {**body, "stream": True}, "/v1/completions"))
        assert [chunk["choices"][0]["token_ids"] for chunk in found] == [[token] for token in ids]
        assert "".join([chunk["choices"][0]["text"] for chunk in found]) == PLAIN.removesuffix("<|return|>")
        bare = post(server, {"model": "m", "prompt": "Hi"}, "/v1/completions").json()["choices"][0]
        assert "<|" not in bare["text"]
        assert "token_ids" not in bare


def test_equal_requests_get_equal_bytes() -> None:
    def bytes_of(style: Any, path: str, body: dict[str, Any]) -> list[bytes]:
        with ScriptedServer(lambda _: CALL, style=style) as server:
            return [post(server, {**body, "stream": stream}, path).content for stream in (False, True)]

    for style in ("together", "vllm"):
        raw: dict[str, Any] = {"model": "m", "prompt": "Hi"}
        for path, body in (("/v1/chat/completions", HELLO), ("/v1/completions", raw)):
            assert bytes_of(style, path, body) == bytes_of(style, path, body)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_answer_is_sent_in_slices(size: int) -> None:
    asked = {**HELLO, "stream": True}
    with ScriptedServer([PLAIN, Turn(PLAIN, slice=size)]) as server:
        whole, sliced = post(server, asked), post(server, asked)
        assert [one["choices"] for one in chunks(whole)] == [one["choices"] for one in chunks(sliced)]
        server.add(Turn(PLAIN, slice=size))
        with motet.atom(SLUG, base_url=server.url, api_key=KEY).stream("Hi", lane="chat") as stream:
            list(stream)
        assert stream.answer.output == ANSWER


def test_requests_are_recorded() -> None:
    with ScriptedServer([PLAIN]) as server:
        post(server, HELLO)
        httpx.get(f"{server.url}/v1/models", headers={"Authorization": "Bearer x"})
        assert [(one.method, one.path, one.body) for one in server.requests] == [
            ("POST", "/v1/chat/completions", HELLO),
            ("GET", "/v1/models", None),
        ]
        assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


# Connections that end.


@pytest.mark.parametrize("turn", [Turn(PLAIN * 20, delay=0.005), Turn(PLAIN, delay=30), Fault("silence_before")])
def test_client_disconnect_is_recorded(turn: Any) -> None:
    with ScriptedServer([turn]) as server:
        host, port = server.url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port))
        body = json.dumps({**HELLO, "stream": True})
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {KEY}"})
        while not server.requests:
            pass
        assert not server.hung_up.is_set()
        connection.sock.close()
        assert server.hung_up.wait(5)


@pytest.mark.parametrize("kind", ["reset", "close", "half_event", "reset_before", "close_before"])
def test_server_disconnect_is_not_a_client_disconnect(kind: str) -> None:
    with ScriptedServer([Turn(PLAIN, fault=Fault(kind, after=3))]) as server:
        with contextlib.suppress(httpx.HTTPError):
            post(server, {**HELLO, "stream": True})
        assert not server.hung_up.wait(0.1)


def test_every_fault_leaves_the_server_usable() -> None:
    with ScriptedServer(()) as server:
        for kind in FAULTS.keys() - {"silence", "silence_before", "comments"}:
            for stream in (False, True):
                server.add(Turn(PLAIN, fault=Fault(kind)), PLAIN)
                with contextlib.suppress(httpx.HTTPError):
                    post(server, {**HELLO, "stream": stream})
                assert answer_of(post(server, HELLO)) == ANSWER, kind


def test_port_in_use_is_an_error() -> None:
    with ScriptedServer() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            ScriptedServer(port=port).start()
    before = threading.active_count()
    with ScriptedServer():
        assert threading.active_count() > before
    assert threading.active_count() == before


# Cassettes.


def recorded(path: Path, ask: Any, *script: Any, **settings: Any) -> Any:
    """What `ask` gives over a server, with a cassette that records."""
    with asking(*script, transport=Cassette(path, mode="record"), **settings) as (brain, _):
        return ask(brain)


def replayed(path: Path, ask: Any, mode: Any = "replay", **settings: Any) -> Any:
    """What `ask` gives where there is no server any more."""
    with motet.atom(SLUG, base_url="http://127.0.0.1:9", transport=Cassette(path, mode=mode), **settings) as brain:
        return ask(brain)


def stream_all(brain: motet.Atom, prompt: str = "Why?", **options: Any) -> Any:
    with brain.stream(prompt, **options) as stream:
        events = [(event.type, event.kind, event.delta) for event in stream]
        return events, stream.answer.completion, stream.answer.usage


def ask(brain: motet.Atom, prompt: str = "Why?", **options: Any) -> Any:
    answer = brain.ask(prompt, **options)
    return answer.completion, answer.usage, answer.metrics.cost.cash, answer.request_id


@pytest.mark.parametrize("how", [ask, stream_all], ids=["ask", "stream"])
@pytest.mark.parametrize("script", [PLAIN, CALL], ids=["plain", "call"])
def test_exchange_is_recorded_and_replayed(how: Any, script: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "cassette.jsonl"
    before = recorded(path, lambda brain: how(brain, tools=[WEATHER]), script)
    assert len(path.read_text().splitlines()) == 1
    assert replayed(path, lambda brain: how(brain, tools=[WEATHER]), lane="chat") == before


@pytest.mark.parametrize(("style", "lane"), [("vllm", "ids"), ("llamacpp", "text")])
def test_raw_lanes_replay_on_another_day(style: str, lane: str, tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    settings: Any = {"current_date": "2026-11-21", "lane": lane}
    before = recorded(path, lambda brain: stream_all(brain, **settings), PLAIN, style=style)
    assert replayed(path, lambda brain: stream_all(brain, **settings)) == before
    with pytest.raises(CassetteMissError):
        replayed(path, lambda brain: stream_all(brain, current_date="2026-11-22", lane=lane))


def test_async_exchange_is_recorded_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    async def main(brain: motet.Atom) -> Any:
        async with brain:
            answer = await brain.aask("Why?")
            async with brain.astream("How?") as stream:
                events = [event.delta async for event in stream]
            return answer.completion, events, stream.answer.completion, stream.answer.usage

    with asking(PLAIN, CALL, async_transport=Cassette(path, mode="record")) as (brain, _):
        before = asyncio.run(main(brain))
    again = motet.atom(SLUG, base_url="http://127.0.0.1:9", async_transport=Cassette(path), lane="chat")
    assert asyncio.run(main(again)) == before
    # What was recorded with await is played back without it.
    assert replayed(path, ask, lane="chat")[0] == before[0]


def test_recording_has_no_key_and_no_request_headers(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    echo = Fault("status", status=401, body={"error": {"message": f"the key {KEY} is not known"}})
    secret = {"X-Team": "secret-team"}

    def asks(brain: motet.Atom) -> None:
        ask(brain)
        with pytest.raises(motet.AuthenticationError, match=r"the key \[key\] is not known"):
            ask(brain, "And?")
        ask(brain, f"My key is {KEY}.")

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
        motet.atom(SLUG, base_url=server.url, api_key=key, transport=Cassette(path, mode="record")) as brain,
    ):
        before = ask(brain, "Say none, test, stop.", lane="chat")
    assert before[0].text == "none: test, stop."
    assert replayed(path, lambda brain: ask(brain, "Say none, test, stop.", lane="chat")) == before


def test_cassette_miss_shows_the_request(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    recorded(path, ask, PLAIN)

    def misses(brain: motet.Atom) -> None:
        for how in (ask, stream_all):
            with pytest.raises(CassetteMissError, match=r"POST /v1/chat/completions with .*Why not\?") as caught:
                how(brain, "Why not?")
            assert not caught.value.retryable
            assert str(path) in str(caught.value)
            assert "record it with mode='auto'" in str(caught.value)
            assert caught.value.__cause__ is None

    replayed(path, misses, lane="chat", max_retries=5)

    async def main() -> None:
        async with motet.atom(
            SLUG, base_url="http://127.0.0.1:9", lane="chat", async_transport=Cassette(path)
        ) as brain:
            with pytest.raises(CassetteMissError, match=r"Why not\?"):
                await brain.aask("Why not?")

    asyncio.run(main())
    with pytest.raises(CassetteMissError, match=r"there is no cassette .*none\.jsonl"):
        Cassette(tmp_path / "none.jsonl")


def test_replay_needs_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.delenv("TOGETHER_BASE_URL", raising=False)
    path = tmp_path / "cassette.jsonl"
    before = recorded(path, ask, PLAIN)
    with motet.atom(SLUG, transport=Cassette(path)) as brain:
        assert ask(brain) == before
    with motet.atom(SLUG, transport=Cassette(path, mode="auto")) as brain, pytest.raises(motet.MissingKeyError):
        ask(brain)


def test_auto_mode_records_missing_exchanges(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    with asking(final("one"), final("two"), transport=Cassette(path, mode="auto")) as (brain, server):
        first = [ask(brain, prompt)[0].text for prompt in ("1?", "2?", "1?")]
        assert first == ["one", "two", "one"]
        assert len(server.requests) == 2
    with asking(final("three"), transport=Cassette(path, mode="auto")) as (brain, server):
        assert [ask(brain, prompt)[0].text for prompt in ("2?", "3?")] == ["two", "three"]
        assert len(server.requests) == 1
    assert len(path.read_text().splitlines()) == 3
    # To record is to begin anew.
    recorded(path, ask, PLAIN)
    assert len(path.read_text().splitlines()) == 1


def test_repeated_request_is_recorded_twice(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    def thrice(brain: motet.Atom) -> list[str]:
        return [ask(brain)[0].text for _ in range(3)]

    assert recorded(path, thrice, final("one"), final("two"), final("three")) == ["one", "two", "three"]
    assert replayed(path, thrice, lane="chat") == ["one", "two", "three"]
    # The last one stays.
    assert replayed(path, lambda brain: [*thrice(brain), *thrice(brain)], lane="chat")[2:] == ["three"] * 4


def test_retries_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    busy = Fault("status", status=429, headers={"retry-after": "0"})

    def attempts(brain: motet.Atom) -> list[str]:
        return [attempt.outcome for attempt in brain.ask("Hi").attempts]

    assert recorded(path, attempts, busy, PLAIN) == replayed(path, attempts, lane="chat") == ["429", "200"]


def test_abandoned_stream_is_recorded_as_far_as_read(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    def limited(brain: motet.Atom) -> str:
        with pytest.raises(motet.MaxTokensError) as caught:
            brain.ask("Why?", max_reasoning_tokens=3)
        return str(caught.value.partial.reasoning)

    before = recorded(path, limited, Turn(PLAIN, delay=0.001))
    assert replayed(path, limited, lane="chat") == before
    with pytest.raises(motet.StreamTruncatedError):
        replayed(path, stream_all, lane="chat")


def test_broken_connection_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    def broken(brain: motet.Atom) -> None:
        with pytest.raises(motet.MotetError):
            stream_all(brain)

    recorded(path, broken, Turn(PLAIN, fault=Fault("reset", after=3)))
    assert path.read_text() == ""


def test_binary_bodies_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"

    def broken(brain: motet.Atom) -> str:
        with pytest.raises(motet.BadPayloadError, match="UTF-8") as caught:
            stream_all(brain)
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
        motet.atom(SLUG, base_url=server.url, lane="chat", transport=Cassette(path, mode="record")) as brain,
    ):
        before = ask(brain)
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
            with asking(final(text), transport=cassette) as (brain, _):
                assert ask(brain, text)[0].text == text
    assert isinstance(cassette, _Cassette)
    assert len(path.read_text().splitlines()) == 2


# pytest.


def test_fixture_starts_and_stops_servers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import httpx, motet, pytest

        urls = []

        def test_asking(motet_server):
            answers = "<|channel|>final<|message|>Hi!<|return|>"
            for server in (motet_server([answers]), motet_server(lambda _: answers, style="vllm")):
                urls.append(server.url)
                assert motet.atom("together/gpt-oss/120b", base_url=server.url).ask("Hello").output == "Hi!"

        def test_they_have_ended():
            assert len(urls) == 2
            for url in urls:
                with pytest.raises(httpx.ConnectError):
                    httpx.get(url)
        """
    )
    known = {one.value for one in entry_points(group="pytest11")}
    plugin = [] if "motet.testing.plugin" in known else ["-p", "motet.testing.plugin"]
    pytester.runpytest_subprocess("-W", "error", *plugin).assert_outcomes(passed=2)


def test_plugin_is_registered_with_pytest() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"motet": "motet.testing.plugin"}


def test_plugin_works_without_its_extra() -> None:
    """pytest loads it for everybody who has motet."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(motet.__file__).parent.parent)!r})
for name in ("aiohttp", "httpx", "pydantic", "together"):
    sys.modules[name] = None
import motet.testing.plugin, motet
assert motet.testing.plugin.motet_server
from motet.testing import Fault, Turn
try:
    motet.testing.ScriptedServer
except motet.ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("motet.testing needs its extra: pip install 'motet[together]'", "")


def test_names_of_the_package_exist() -> None:
    import motet.testing

    for name in motet.testing.__all__:
        assert getattr(motet.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        motet.testing.Nothing  # noqa: B018
