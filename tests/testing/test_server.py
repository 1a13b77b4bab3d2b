"""What tests are tested with: the scripted server, cassettes, the fixture."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import itertools
import json
import re
import socket
import threading
from typing import Any

import httpx
import pytest

import motet
from motet.testing import FAULTS, Cassette, Fault, ScriptedServer, Turn
from tests.support.server_scripts import ANSWER, CALL, KEY, PLAIN, SLUG, THOUGHT, WEATHER, asking, final

HELLO: dict[str, Any] = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "Hi"}]}


def post(server: ScriptedServer, body: Any, path: str = "/v1/chat/completions", key: str = KEY) -> httpx.Response:
    with httpx.Client(verify=False) as client:
        return client.post(server.url + path, json=body, headers={"Authorization": f"Bearer {key}"})


def error_text(response: httpx.Response) -> str:
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
    ids=lambda value: str(value)[:60],
)
def test_invalid_request_is_refused_by_field(change: dict[str, Any], words: str) -> None:
    with ScriptedServer([PLAIN]) as server:
        refused = post(server, {**HELLO, **change})
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "bad_request"
        assert re.search(words, error_text(refused)), error_text(refused)
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
    ids=lambda value: str(value)[:60],
)
def test_documented_fields_are_accepted(change: dict[str, Any]) -> None:
    with ScriptedServer([PLAIN]) as server:
        assert post(server, {**HELLO, **change}).status_code == 200


def test_id_prompts_need_a_server_that_accepts_them() -> None:
    body = {"model": "m", "prompt": [1, 2, 3], "max_tokens": 50}
    for style, status in (("together", 400), ("vllm", 200), ("sglang", 200), ("llamacpp", 200)):
        with ScriptedServer(itertools.repeat(PLAIN), style=style) as server:  # type: ignore[arg-type]
            response = post(server, body, "/v1/completions")
            assert response.status_code == status
            assert status == 200 or "prompt: Input should be a valid string" in error_text(response)
            # The servers log keys that they do not know, and ignore them.
            extra = post(server, {**body, "prompt": "Hi", "skip_special_tokens": False}, "/v1/completions")
            assert extra.status_code == status
            assert status == 200 or "skip_special_tokens: Extra inputs" in error_text(extra)


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ({}, "Hi"),
        ({"preserved_tokens": ["<|return|>"]}, "Hi<|return|>"),
        ({"preserved_tokens": ["<|return|>"], "stop": ["<|return|>"]}, "Hi"),
    ],
)
def test_llama_cpp_keeps_markers_but_for_the_stop_token(keys: dict[str, Any], shown: str) -> None:
    with ScriptedServer([final("Hi")], face="llamacpp") as server:
        choice = post(server, {"model": "m", "prompt": "Hi", **keys}, "/v1/completions").json()["choices"][0]
    assert choice["text"] == f"<|channel|>final<|message|>{shown}"


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
        assert (ended.status_code, error_text(ended)) == (400, "the script has no more turns")
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
        asking(script) as (atom, server),
        pytest.raises(motet.InvalidRequestError, match="the script failed: AssertionError: the wrong question"),
    ):
        atom.ask("Hi")
    assert len(server.requests) == 1
    with ScriptedServer([None]) as server:  # type: ignore[list-item]
        assert "the script failed: TypeError: a completion must be" in error_text(post(server, HELLO))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ScriptedServer(PLAIN), TypeError, "not a single str"),
        (lambda: ScriptedServer(Turn()), TypeError, "not a single Turn"),
        (lambda: ScriptedServer(style="vlm"), ValueError, "face must be one of together, vllm"),
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
    (result,) = message["tool_calls"]
    assert (type(result["index"]), result["index"]) == (float, 0.0)
    assert result["function"] == {"name": "get_weather", "arguments": '{"city": "Zürich"}'}


def test_content_beside_a_lone_call_is_null() -> None:
    alone = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{}<|call|>"
    with ScriptedServer([alone]) as server:
        assert post(server, HELLO).json()["choices"][0]["message"]["content"] is None


def test_chunks_have_the_shape_of_the_service() -> None:
    body = {**HELLO, "tools": [WEATHER], "stream": True}
    with ScriptedServer([CALL]) as server:
        response = post(server, {**body, "stream_options": {"include_usage": True}})
    assert response.headers["content-type"].startswith("text/event-stream")
    received_chunks = chunks(response)
    assert {chunk["object"] for chunk in received_chunks} == {"chat.completion.chunk"}
    deltas = [chunk["choices"][0]["delta"] for chunk in received_chunks if chunk["choices"]]
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
    assert {(item["id"], item["type"], item["function"]["name"], type(item["index"])) for item in later} == {
        (None, None, None, float)
    }
    assert "".join([item["function"]["arguments"] for item in later]) == '{"city": "Zürich"}'
    assert [chunk["choices"][0]["finish_reason"] for chunk in received_chunks[-3:-1]] == [None, "tool_calls"]
    assert received_chunks[-1]["choices"] == []
    assert received_chunks[-1]["usage"]["completion_tokens"] == len(motet.encode(CALL, special="token"))


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
def test_stream_has_usage_only_on_request(options: Any) -> None:
    with ScriptedServer([PLAIN]) as server:
        received_chunks = chunks(post(server, {**HELLO, "stream": True, **options}))
    assert all(chunk["choices"] and "usage" not in chunk for chunk in received_chunks)


def test_raw_answers_have_ids_and_text_without_stop_token() -> None:
    body = {"model": "m", "prompt": "Hi", "return_token_ids": True, "skip_special_tokens": False, "max_tokens": 90}
    ids = motet.encode(PLAIN, special="token")
    with ScriptedServer([PLAIN, PLAIN, PLAIN], style="vllm") as server:
        whole = post(server, {**body, "stop_token_ids": [ids[-1]]}, "/v1/completions").json()["choices"][0]
        assert (whole["token_ids"], whole["text"]) == (ids, PLAIN.removesuffix("<|return|>"))
        assert (whole["finish_reason"], whole["stop_reason"]) == ("stop", ids[-1])
        received_chunks = chunks(post(server, {**body, "stream": True}, "/v1/completions"))
        assert [chunk["choices"][0]["token_ids"] for chunk in received_chunks] == [[token] for token in ids]
        assert "".join([chunk["choices"][0]["text"] for chunk in received_chunks]) == PLAIN.removesuffix("<|return|>")
        bare = post(server, {"model": "m", "prompt": "Hi"}, "/v1/completions").json()["choices"][0]
        assert "<|" not in bare["text"]
        assert "token_ids" not in bare


def test_generate_of_vllm_takes_and_returns_ids() -> None:
    ids, path = motet.encode(PLAIN, special="token"), "/inference/v1/generate"
    body: dict[str, Any] = {"token_ids": [1, 2, 3], "sampling_params": {"max_tokens": 100}}
    with ScriptedServer(lambda _: PLAIN, face="vllm") as server:
        whole = post(server, body, path).json()
        assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": len(ids), "total_tokens": 3 + len(ids)}
        choice = whole["choices"][0]
        assert (choice["token_ids"], choice["finish_reason"]) == (ids, "stop")
        assert motet.parse(choice["token_ids"]).text == ANSWER
        choice = post(server, {**body, "sampling_params": {}}, path).json()["choices"][0]
        assert (choice["token_ids"], choice["finish_reason"]) == (ids, "stop")
        choice = post(server, {**body, "sampling_params": {"max_tokens": 16}}, path).json()["choices"][0]
        assert (choice["token_ids"], choice["finish_reason"]) == (ids[:16], "length")
        received_chunks = chunks(
            post(server, {**body, "stream": True, "stream_options": {"include_usage": True}}, path)
        )
        *parts, last = received_chunks
        assert [token for part in parts for token in part["choices"][0]["token_ids"]] == ids
        assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": len(ids), "total_tokens": 3 + len(ids)}
        assert "token_ids: Input should be a valid list" in error_text(post(server, {**body, "token_ids": "Hi"}, path))
        with_context = {**body, "token_ids": [0] * 131_000}
        assert "maximum context length is 131072" in error_text(post(server, with_context, path))
    with ScriptedServer([PLAIN], face="sglang") as server:
        assert post(server, body, path).status_code == 404


def test_tokenize_of_vllm_counts_as_motet_does() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    with ScriptedServer([], face="vllm", context=4096) as server:
        plain = post(server, {"prompt": "Hi<|end|>"}, "/tokenize").json()
        assert plain == {"count": 2, "max_model_len": 4096, "tokens": motet.encode("Hi<|end|>", special="token")}
        chat = post(server, {"messages": messages, "tools": [WEATHER]}, "/tokenize").json()
        today = datetime.date.today()
        ids = motet.render(messages, tools=[WEATHER], current_date=today, dialect="chat_template").ids
        assert (chat["tokens"], chat["count"]) == (ids, len(ids))
        assert post(server, {"text": "Hi"}, "/tokenize").status_code == 400


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
    body = {**HELLO, "stream": True}
    with ScriptedServer([PLAIN, Turn(PLAIN, slice=size)]) as server:
        whole, sliced = post(server, body), post(server, body)
        assert [item["choices"] for item in chunks(whole)] == [item["choices"] for item in chunks(sliced)]
        server.add(Turn(PLAIN, slice=size))
        with motet.atom(SLUG, base_url=server.url, api_key=KEY) as atom, atom.stream("Hi", lane="chat") as stream:
            list(stream)
        assert stream.answer.output == ANSWER


def test_requests_are_recorded() -> None:
    with ScriptedServer([PLAIN]) as server:
        post(server, HELLO)
        httpx.get(f"{server.url}/v1/models", headers={"Authorization": "Bearer x"})
        assert [(request.method, request.path, request.body) for request in server.requests] == [
            ("POST", "/v1/chat/completions", HELLO),
            ("GET", "/v1/models", None),
        ]
        assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


# Connections that end.


@pytest.mark.parametrize(
    "turn", [Turn(PLAIN * 20, delay=0.005), Turn(PLAIN, delay=30), Fault("silence_before"), Fault("comments", after=1)]
)
def test_client_disconnect_is_recorded(turn: Any, caplog: pytest.LogCaptureFixture) -> None:
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
    assert not caplog.records


def test_client_that_sends_half_a_body_leaves_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer() as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
            while not server.connections:
                pass
        assert server.hung_up.wait(5)
    assert not caplog.records


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
