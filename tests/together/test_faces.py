"""Every service: each face of the scripted server, with every kind of request over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import motet
from motet.testing import Fault, Turn
from motet.testing.server.faces import FACES
from tests.support.face_servers import ASKED, LANES, MODEL, RUN, FaceServers, completion_requests
from tests.support.fault_cases import check_error
from tests.support.server_scripts import ANSWER, CALL, PLAIN, THOUGHT, final

pytestmark = pytest.mark.usefixtures("quick")

CALL_OUTPUT = '{"city": "Zürich"}'


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Replaces the search of all logs for the key, which takes half the time; other tests of this folder do it."""


@pytest.fixture(scope="module")
def servers() -> Iterator[FaceServers]:
    servers = FaceServers()
    yield servers
    servers.close()


def get_weather(city: str) -> str:
    """The weather now."""
    return f"rain in {city}"


def tokens_of(*completions: str) -> list[int]:
    return [len(motet.encode(completion, special="token")) for completion in completions]


# The whole matrix.


CELLS = [
    *[(face, "auto") for face in FACES],
    *[(face, "chat") for face in ("vllm", "sglang", "llamacpp")],
    *[(face, "text") for face in ("vllm", "sglang")],
    ("llamacpp", "ids"),
]
"""Each face with the lane that it gets by itself, and with the others that it has."""


@pytest.mark.parametrize("how", ASKED)
@pytest.mark.parametrize(("face", "lane"), CELLS)
def test_answer_is_whole(face: str, lane: str, how: str, servers: FaceServers) -> None:
    atom, server = servers.asking(face, PLAIN, lane=lane)
    found = servers.ask(atom, how)
    assert found.error is None
    answer = found.answer
    assert answer is not None
    assert (answer.reasoning, answer.output, answer.finish) == (THOUGHT, ANSWER, "stop")
    assert how.endswith("ask") or found.received == (THOUGHT, ANSWER)
    assert answer.lane == (LANES[face] if lane == "auto" else lane)
    # In the chat lane SGLang's count of no reasoning contradicts what it sends.
    contradicts = (face, lane) == ("sglang", "chat")
    assert len(answer.notes) == contradicts
    assert answer.usage is not None
    assert [answer.usage.output] == tokens_of(PLAIN)
    # The prompt is counted before it is sent, as the server counts it.
    assert answer.usage.input == atom.estimate("Why is the sky blue?").tokens.input
    assert answer.metrics.cost.cash.total
    assert len(completion_requests(server)) == 1


@pytest.mark.parametrize("how", RUN)
@pytest.mark.parametrize(("face", "lane"), CELLS)
def test_tool_loop_ends_with_the_answer(face: str, lane: str, how: str, servers: FaceServers) -> None:
    atom, server = servers.asking(face, CALL, PLAIN, lane=lane)
    run = servers.run(atom, how, [get_weather])
    assert (run.output, run.done) == (ANSWER, True)
    assert [record.content for step in run.steps for record in step.calls] == ["rain in Zürich"]
    assert [step.metrics.size.tokens.output for step in run.steps] == tokens_of(CALL, PLAIN)
    _, second = completion_requests(server)
    if "messages" in second:
        message = second["messages"][1]
        assert message["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": CALL_OUTPUT}
        # Reasoning goes back under a key that the service reads.
        (sent,) = {"reasoning", "reasoning_content"} & set(message)
        assert message[sent] == "I need the weather."
        assert sent in FACES[face].history_keys


@pytest.mark.parametrize("face", ["llamacpp", "vllm"])
def test_tool_loop_of_the_chat_lane_on_own_servers(face: str, servers: FaceServers) -> None:
    atom, server = servers.asking(face, CALL, PLAIN, lane="chat")
    assert servers.run(atom, "run", [get_weather]).output == ANSWER
    message = completion_requests(server)[1]["messages"][1]
    # The published chat template refuses text and reasoning beside calls.
    assert ("content" in message) == (face == "vllm")
    assert {"reasoning", "reasoning_content"} & set(message) == {FACES[face].reasoning_key}


def test_text_that_is_not_sent_is_noted(servers: FaceServers) -> None:
    atom, _ = servers.asking("llamacpp", CALL, PLAIN, lane="chat")
    first = atom.ask("How is the weather?", tools=[get_weather])
    assert first.completion.preamble == "Let me look."
    answer = atom.ask([motet.ToolResult(first.calls[0].id, "rain")], on=first, tools=[get_weather])
    assert any("not sent: 1" in note for note in answer.notes)
    # The prompt is counted as it was sent.
    assert answer.usage is not None
    assert not any("against motet's own count" in note for note in answer.metrics.notes)


# Faults, in the shapes of each service.

STATUSES: list[tuple[int, type[motet.ApiError]]] = [
    (400, motet.InvalidRequestError),
    (404, motet.NotFoundError),
    (429, motet.RateLimitError),
    (500, motet.ServerError),
    (503, motet.OverloadedError),
]


@pytest.mark.parametrize("face", FACES)
def test_error_body_is_read(face: str, servers: FaceServers) -> None:
    for place, (status, kind) in enumerate(STATUSES):
        how = ASKED[(list(FACES).index(face) + place) % len(ASKED)]
        atom, _ = servers.asking(face, *[Fault("status", status=status)] * 3)
        error = check_error(servers.ask(atom, how).error, kind, status=status, partial=None)
        # The text of the message, not the JSON around it.
        assert (
            str(error)
            .partition(f"(HTTP {status}): ")[2]
            .startswith(
                "Provider returned error; provider: Scripted; raw: scripted"
                if face == "openrouter"
                else "scripted to fail"
            )
        )
        assert "{" not in error.raw
        assert len(error.attempts) == (3 if kind.__mro__[1] is not motet.InvalidRequestError and status > 404 else 1)


@pytest.mark.parametrize("face", FACES)
def test_error_with_status_200_is_read(face: str, servers: FaceServers) -> None:
    for how in ("ask", "astream"):
        atom, _ = servers.asking(face, Fault("error_body"))
        # LM Studio sends a text alone, which names no kind.
        kind = motet.ApiError if face == "lmstudio" else motet.ServerError
        error = check_error(servers.ask(atom, how).error, kind, status=200, partial=None)
        assert "the engine broke down" in str(error)
        assert "the engine broke down" in error.raw


CUTS = ("error_data", "reset", "close", "half_event")


@pytest.mark.parametrize("kind", CUTS)
@pytest.mark.parametrize("how", ["stream", "astream"])
@pytest.mark.parametrize("face", FACES)
def test_cut_stream_keeps_what_arrived(face: str, how: str, kind: str, servers: FaceServers) -> None:
    # Ollama sends an empty chunk in place of an error, and LM Studio and Groq one without a kind.
    is_error = kind == "error_data" and face != "ollama"
    kinds = (motet.ServerError, motet.ApiError) if is_error else (motet.StreamTruncatedError,)
    for place in (0, 6, 9):
        atom, _ = servers.asking(face, Turn(PLAIN, fault=Fault(kind, after=place)))
        answer = servers.ask(atom, how)
        error: Any = answer.error
        assert type(error) in kinds or (type(error) is motet.BadPayloadError and place == 0 and not is_error)
        reasoning, text = answer.received
        assert (THOUGHT + ANSWER).startswith(reasoning + text)
        assert bool(reasoning) == (place > 0)
        partial = error.partial
        assert (partial is not None) == bool(reasoning)
        if partial is not None:
            assert (partial.reasoning, partial.text) == (reasoning, text)
            assert error.cost > 0
        if is_error:
            assert "the engine broke down" in str(error)


@pytest.mark.parametrize("how", ["ask", "astream"])
@pytest.mark.parametrize("face", FACES)
def test_missing_usage_is_unknown_not_zero(face: str, how: str, servers: FaceServers) -> None:
    atom, _ = servers.asking(face, Turn(PLAIN, fault=Fault("no_usage")))
    answer = servers.ask(atom, how).answer
    assert answer is not None
    assert (answer.output, answer.usage, answer.metrics.cost.cash.total) == (ANSWER, None, None)
    assert any("no usage" in note for note in answer.notes)


CUT_REASONS = {
    "length": motet.TruncatedOutputError,
    "max_tokens": motet.TruncatedOutputError,
    "MAX_TOKENS": motet.TruncatedOutputError,
    "model_length": motet.TruncatedOutputError,
    "content_filter": motet.StreamTruncatedError,
    "abort": motet.StreamTruncatedError,
    "insufficient_system_resource": motet.StreamTruncatedError,
    "error": motet.ServerError,
    "an_unknown_reason": motet.TruncatedOutputError,
}
HALF_CALL = CALL.removesuffix('ürich"}<|call|>')


@pytest.mark.parametrize("reason", CUT_REASONS)
@pytest.mark.parametrize(("face", "lane"), CELLS)
def test_cut_call_is_never_run(face: str, lane: str, reason: str, servers: FaceServers) -> None:
    called: list[str] = []

    def get_weather(city: str = "Bern") -> str:
        called.append(city)
        return "rain"

    # Over faces and reasons, each way meets each completion.
    place = CELLS.index((face, lane)) + list(CUT_REASONS).index(reason)
    completion = (CALL, HALF_CALL, CALL.replace(CALL_OUTPUT, ""))[place % 3]
    atom, server = servers.asking(face, Turn(completion, finish=reason), PLAIN, lane=lane)
    with pytest.raises(CUT_REASONS[reason]) as caught:
        servers.run(atom, RUN[place % 4], [get_weather])
    assert called == []
    assert len(completion_requests(server)) == 1
    assert caught.value.partial.reasoning == "I need the weather."


@pytest.mark.parametrize("reason", [reason for reason in CUT_REASONS if reason != "an_unknown_reason"])
@pytest.mark.parametrize("face", FACES)
def test_cut_answer_is_an_error_with_the_partial(face: str, reason: str, servers: FaceServers) -> None:
    how = ASKED[(list(FACES).index(face) + list(CUT_REASONS).index(reason)) % len(ASKED)]
    atom, _ = servers.asking(face, Turn(PLAIN.removesuffix(" 青い.<|return|>"), finish=reason))
    error = check_error(servers.ask(atom, how).error, CUT_REASONS[reason])
    assert (error.partial.reasoning, error.partial.text) == (THOUGHT, ANSWER.removesuffix(" 青い."))
    assert error.cost > 0


# What each service refuses.

BROKEN_CALLS = [
    ("get_weather", '{"city": "Zür'),
    ("get_weather", "Zürich"),
    ("get_weather", "[1]"),
    ("look up!", "{}"),
    ("weather.now", "{}"),
]


@pytest.mark.parametrize("how", ["run", "arun_stream"])
@pytest.mark.parametrize("face", [face for face in FACES if face != "groq"])
def test_broken_call_of_the_model_does_not_end_the_run(face: str, how: str, servers: FaceServers) -> None:
    for name, arguments in BROKEN_CALLS:
        call = f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"
        atom, server = servers.asking(face, call, PLAIN)
        run = servers.run(atom, how, [get_weather])
        assert run.output == ANSWER
        # The record keeps what the model wrote.
        assert run.steps[0].calls[0].call.arguments == arguments
        assert len(completion_requests(server)) == 2


@pytest.mark.parametrize("face", ["llamacpp", "ollama", "openrouter"])
def test_resumed_run_has_a_history_that_servers_accept(face: str, servers: FaceServers) -> None:
    call = "<|channel|>commentary to=functions.weather.now! <|constrain|>json<|message|>{'city': <|call|>"
    atom, server = servers.asking(face, call, PLAIN, lane="chat")
    with pytest.raises(motet.MaxStepsError) as caught:
        servers.run(atom, "run", [get_weather], max_steps=1)
    assert atom.resume(caught.value.state, tools=[get_weather], max_steps=5).output == ANSWER
    (sent,) = completion_requests(server)[-1]["messages"][1]["tool_calls"]
    assert isinstance(json.loads(sent["function"]["arguments"]), dict)


@pytest.mark.parametrize("how", ["ask", "astream"])
def test_groq_quotes_the_call_that_it_refuses(how: str, servers: FaceServers) -> None:
    call = "<|channel|>commentary to=functions.find_city <|constrain|>json<|message|>{}<|call|>"
    atom, _ = servers.asking("groq", call)
    error = check_error(servers.ask(atom, how).error, motet.InvalidRequestError, status=400)
    for text in (str(error), error.raw):
        assert "attempted to call tool 'find_city'" in text
        assert "tool_use_failed" in text
        assert "to=functions.find_city" in text


@pytest.mark.parametrize("how", ["run", "arun"])
@pytest.mark.parametrize("face", FACES)
def test_rules_for_tool_names(face: str, how: str, servers: FaceServers) -> None:
    tool = motet.tool(get_weather, name="weather.now")
    atom, _ = servers.asking(face, PLAIN)
    if FACES[face].accepts_name("weather.now"):
        assert servers.run(atom, how, [tool]).output == ANSWER
        return
    with pytest.raises(motet.InvalidRequestError, match=r"function name 'weather\.now' must match"):
        servers.run(atom, how, [tool])


@pytest.mark.parametrize("how", ["ask", "astream"])
@pytest.mark.parametrize("face", FACES)
def test_prompt_beyond_the_context(face: str, how: str, servers: FaceServers) -> None:
    atom, server = servers.asking(face, PLAIN)
    with servers.context(server, 200):
        answer = servers.ask(atom, how, "word " * 300)
    error = check_error(answer.error, motet.ContextOverflowError, status=400, partial=None)
    # Groq's message has no numbers.
    assert error.limit == (None if face == "groq" else 200)
    assert error.tokens is None or error.tokens > 300


def test_ollama_drops_the_oldest_messages_without_an_error(servers: FaceServers) -> None:
    history = [
        {"role": role, "content": "word " * 100} for role in ("system", "user", "assistant", "user", "assistant")
    ]
    atom, server = servers.asking("ollama", PLAIN)
    with servers.context(server, 440):
        answer = atom.ask([*history, {"role": "user", "content": "Hi"}])
    assert answer.output == ANSWER
    # Only its usage shows it.
    assert answer.usage is not None
    assert answer.usage.input is not None
    assert answer.usage.input < 440
    assert any("against motet's own count" in note for note in answer.metrics.notes)


@pytest.mark.parametrize("how", ["ask", "astream"])
@pytest.mark.parametrize("face", FACES)
def test_plain_question_is_not_cut(face: str, how: str, servers: FaceServers) -> None:
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    atom, server = servers.asking(face, final(words))
    answer = servers.ask(atom, how)
    assert answer.answer is not None
    assert answer.answer.output == words
    (body,) = completion_requests(server)
    if face in ("vllm", "sglang"):
        # What the context leaves, from the list of models: these servers cut at 16 tokens by default.
        spare = 128 if face == "sglang" else 0
        assert body["max_tokens"] == FACES[face].context - len(body["prompt"]) - spare
    else:
        assert "max_tokens" not in body


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("face", FACES)
def test_models_are_listed(face: str, how: str, servers: FaceServers) -> None:
    atom, _ = servers.asking(face)
    backend = atom.backend
    listed = (
        backend.list_models(refresh=True) if how == "sync" else servers.runner.run(backend.alist_models(refresh=True))
    )
    (model,) = listed
    assert model.id == MODEL
    health = atom.health() if how == "sync" else servers.runner.run(atom.ahealth())
    assert (health.ok, health.serves, health.key_valid) == (True, True, True)
    contexts = {"vllm": 131072, "sglang": 131072, "groq": 131072, "openrouter": 131072, "together": 131072}
    assert model.context == contexts.get(face)
    prices = {"together": ("0.15", "0.6"), "openrouter": ("0.1", "0.5")}.get(face)
    assert (model.price.input, model.price.output) == (tuple(map(Decimal, prices)) if prices else (None, None))
