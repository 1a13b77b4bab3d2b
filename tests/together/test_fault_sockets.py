"""The matrix of faults on real sockets: connections that end, reset, hang and trickle, and when they are closed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

import motet
from motet.testing import Fault, ScriptedServer, Turn
from motet.testing.server.faces import FACES
from tests.support.fault_cases import (
    HOWS,
    LANES,
    SHORT,
    WHOLE,
    Cases,
    Outcome,
    aoutcome,
    check_error,
    check_partial,
    chunks_of,
    finished,
    outcome,
    text_in,
    whole_of,
)
from tests.support.jumping_clock import TIMEOUT, jumping_clock
from tests.support.server_scripts import KEY, SLUG
from tests.support.trickling import TRICKLES, Trickle, trickling

SILENCE = 2.0
"""Seconds after which the HTTP client takes a service for gone, in place of sixty."""
LATE = 15.0
"""Seconds that a busy machine may take longer."""


@dataclass
class Bench:
    """A server, an atom that asks it, and a loop to await in."""

    server: ScriptedServer
    cases: Cases
    atom: motet.Atom
    patient_atom: motet.Atom
    """Whose HTTP client waits for as long as it does by default."""
    runner: asyncio.Runner

    def ask_all(
        self, how: str, requests: Sequence[tuple[str, dict[str, Any]]], atom: motet.Atom | None = None
    ) -> list[Outcome]:
        """The outcomes of prompts with options, all at once."""
        atom = atom or self.atom
        if how in ("ask", "stream"):
            with ThreadPoolExecutor(32) as pool:
                return list(pool.map(lambda value: outcome(atom, how, value[0], **value[1]), requests))

        async def all_of_them() -> list[Outcome]:
            return await asyncio.gather(*[aoutcome(atom, how, prompt, **options) for prompt, options in requests])

        return self.runner.run(all_of_them())

    def ask_past_deadlines(
        self,
        how: str,
        requests: Sequence[tuple[str, dict[str, Any]]],
        is_reached: Callable[[], bool] = lambda: True,
    ) -> list[Outcome]:
        """The outcomes where all deadlines pass as soon as the server has all requests, and the condition holds."""
        prompts = [prompt for prompt, _ in requests]
        with (
            jumping_clock(self.runner) as clock,
            clock.jump_when(lambda: all(self.cases.requests[prompt] for prompt in prompts) and is_reached()),
        ):
            return self.ask_all(how, requests, self.patient_atom)

    def check_closed(self) -> None:
        """Asserts that only idle connections are open."""
        backends: list[Any] = [self.atom.backend, self.patient_atom.backend]

        async def clients_of_the_loop() -> list[Any]:
            return [backend.async_client for backend in backends]

        clients = [*(backend.client for backend in backends), *self.runner.run(clients_of_the_loop())]
        pools = [client._client._transport._pool for client in clients]
        ends = time.monotonic() + 5
        while True:
            idle = [connection.is_idle() for pool in pools for connection in pool.connections]
            if all(idle) and self.server.connections == len(idle):
                return
            assert time.monotonic() < ends, (idle, self.server.connections)
            # The loop closes what was closed in its next turn.
            self.runner.run(asyncio.sleep(0.005))


@pytest.fixture(scope="module", autouse=True)
def one_ssl_context() -> Iterator[None]:
    """Skips reading the certificates, which takes longer than a test: nothing here is encrypted."""
    context = ssl.create_default_context()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", lambda **_: context)
        yield


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    cases = Cases()
    with (
        pytest.MonkeyPatch.context() as patch,
        asyncio.Runner() as runner,
        ScriptedServer(cases, style="vllm") as server,
    ):
        patient_atom = built(motet.atom(SLUG, base_url=server.url, api_key=KEY))
        runner.run(patient_atom.aask(cases.add(SHORT), lane="chat"))
        patch.setattr("motet.together.client.READ_TIMEOUT", SILENCE)
        patch.setattr("motet.together.transport.request_machine.FIRST_WAIT", 0.001)
        atom = motet.atom(SLUG, base_url=server.url, api_key=KEY)
        # What the server is, is asked once; and the SDK loads most of itself with the first request.
        atom.ask(cases.add(SHORT), lane="ids")
        runner.run(atom.aask(cases.add(SHORT), lane="chat"))
        yield Bench(server, cases, atom, patient_atom, runner)
        runner.run(atom.aclose())
        runner.run(patient_atom.aclose())


# Within a stream.

BREAKS: dict[str, tuple[type[motet.MotetError], dict[str, Any], dict[str, Any]]] = {
    "reset": (motet.StreamTruncatedError, {"reason": "reset"}, {}),
    "close": (motet.StreamTruncatedError, {"reason": "reset"}, {}),
    "half_event": (motet.StreamTruncatedError, {"reason": "half_event"}, {}),
    "silence": (motet.StreamTruncatedError, {"reason": "silence"}, {}),
    "silence, with a deadline": (motet.RequestTimeoutError, {"status": 200}, {"timeout": TIMEOUT}),
    "comments": (motet.RequestTimeoutError, {"status": 200}, {"timeout": TIMEOUT}),
    "bad_json": (motet.BadPayloadError, {"status": 200}, {}),
    "bad_utf8": (motet.BadPayloadError, {"status": 200}, {}),
    "html_event": (motet.BadPayloadError, {"status": 200}, {}),
    "huge_event": (motet.BadPayloadError, {"status": 200}, {}),
    "error_data": (motet.ServerError, {"status": 200}, {}),
    "error_event": (motet.OverloadedError, {"status": 200}, {}),
}
SAID = {"bad_json", "bad_utf8", "html_event", "huge_event", "error_data", "error_event"}
"""What the service says, in whatever way, is heard after the answer too."""


@pytest.mark.parametrize("kind", BREAKS)
@pytest.mark.parametrize("how", ["stream", "astream"])
def test_stream_breaks_off(how: str, kind: str, bench: Bench) -> None:
    error, expected, options = BREAKS[kind]
    cells: list[tuple[str, int, str]] = []
    for lane in LANES:
        # On the chat lane at all places, on the others at one in three: there an event is a token.
        step = 8 if kind == "huge_event" else 1 if lane == "chat" else 3
        for place in range(0, len(chunks_of(lane)) + 1, step):
            fault = Fault(kind.partition(",")[0], place)
            cells.append((lane, place, bench.cases.add(Turn(SHORT.completion, fault=fault))))
    began = time.monotonic()
    if options:
        outcomes = [Outcome() for _ in cells]
        requests = [
            (prompt, {"lane": lane, "result": result, **options})
            for (lane, _, prompt), result in zip(cells, outcomes, strict=True)
        ]
        texts = [text_in(lane, chunks_of(lane)[:place]) for lane, place, _ in cells]
        bench.ask_past_deadlines(how, requests, lambda: [result.received for result in outcomes] == texts)
    else:
        outcomes = bench.ask_all(how, [(prompt, {"lane": lane}) for lane, _, prompt in cells])
    assert time.monotonic() - began < SILENCE + LATE
    for (lane, place, prompt), result in zip(cells, outcomes, strict=True):
        assert bench.cases.requests[prompt] == 1, "there are no retries once an answer has begun"
        sent = chunks_of(lane)[:place]
        if finished(sent) and kind not in SAID:
            assert result.error is None
            assert result.answer is not None
            assert result.received == (result.answer.reasoning, result.answer.text) == WHOLE
            assert (result.answer.usage is None) == all(chunk["choices"] for chunk in sent)
            continue
        check_error(result.error, error, **expected)
        check_partial(result, text_in(lane, sent))
        assert [attempt.outcome for attempt in result.error.attempts] == ["200"]  # type: ignore[union-attr]
    bench.check_closed()


@pytest.mark.parametrize(
    "kind", ["bom", "crlf", "no_done", "no_usage", "after_done", "null_choice", "pings", "json_body"]
)
@pytest.mark.parametrize("how", HOWS)
def test_unusual_complete_answers_are_read(how: str, kind: str, bench: Bench) -> None:
    turns = [Turn(SHORT.completion, fault=Fault(kind, 3), slice=size) for size in (None, 11)]
    cells = [(bench.cases.add(turn), {"lane": lane}) for turn in turns for lane in LANES]
    for result in bench.ask_all(how, cells):
        assert result.error is None
        assert result.answer is not None
        assert (result.answer.reasoning, result.answer.text) == WHOLE
        assert (result.answer.usage is None) == (kind == "no_usage") == (result.answer.metrics.cost.cash.total is None)
    bench.check_closed()


@pytest.mark.parametrize("kind", ["no_finish", "no_choices"])
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_answer_without_an_end(how: str, lane: str, kind: str, bench: Bench) -> None:
    prompt = bench.cases.add(Turn(SHORT.completion, fault=Fault(kind)))
    (result,) = bench.ask_all(how, [(prompt, {"lane": lane})])
    if kind == "no_choices" and not how.endswith("stream"):
        check_error(result.error, motet.BadPayloadError, partial=None)
    else:
        error = check_error(result.error, motet.StreamTruncatedError, reason="no_finish")
        assert error.usage.output == len(SHORT.ids)
        if kind == "no_finish":
            assert (error.partial.reasoning, error.partial.text) == WHOLE
            assert error.cost > 0
    assert bench.cases.requests[prompt] == 1


# Before an answer.

BEFORE: dict[str, tuple[Fault, type[motet.MotetError], int, dict[str, Any]]] = {
    "reset": (Fault("reset_before"), motet.ConnectionFailedError, 3, {}),
    "close": (Fault("close_before"), motet.ConnectionFailedError, 3, {}),
    "silence": (Fault("silence_before"), motet.RequestTimeoutError, 1, {}),
    "silence, with a deadline": (Fault("silence_before"), motet.RequestTimeoutError, 1, {"timeout": TIMEOUT}),
    "silence, for a token": (Fault("silence_before"), motet.RequestTimeoutError, 1, {"first_token_timeout": TIMEOUT}),
    "redirect": (Fault("redirect"), motet.ApiError, 1, {}),
    "html": (Fault("html"), motet.BadPayloadError, 1, {}),
    "empty": (Fault("empty"), motet.BadPayloadError, 1, {}),
    "null": (Fault("null"), motet.BadPayloadError, 1, {}),
    "list": (Fault("list"), motet.BadPayloadError, 1, {}),
    "not_json": (Fault("not_json"), motet.BadPayloadError, 1, {}),
    "wrong_types": (Fault("wrong_types"), motet.BadPayloadError, 1, {}),
    "error_body": (Fault("error_body"), motet.ServerError, 1, {}),
    "401": (Fault("status", status=401, body={"error": KEY}), motet.AuthenticationError, 1, {}),
    "429": (Fault("status", status=429, body=KEY, headers={"retry-after": "0.001"}), motet.RateLimitError, 3, {}),
    "429, for an hour": (Fault("status", status=429, headers={"retry-after": "3600"}), motet.RateLimitError, 1, {}),
    "500": (Fault("status", status=500, body={"message": KEY}), motet.ServerError, 3, {}),
    "503": (Fault("status", status=503), motet.OverloadedError, 3, {}),
}


@pytest.mark.parametrize("kind", BEFORE)
@pytest.mark.parametrize("how", HOWS)
def test_no_answer(how: str, kind: str, bench: Bench) -> None:
    fault, _, _, options = BEFORE[kind]
    cells = [(lane, bench.cases.add(fault), bench.cases.add(fault, SHORT)) for lane in LANES]
    requests = [(prompt, {"lane": lane, **options}) for lane, *prompts in cells for prompt in prompts]
    began = time.monotonic()
    outcomes = bench.ask_past_deadlines(how, requests) if options else bench.ask_all(how, requests)
    assert time.monotonic() - began < SILENCE + LATE
    for number, (_, lasting, passing) in enumerate(cells):
        check_no_answer(kind, lasting, passing, *outcomes[2 * number : 2 * number + 2], bench)
    bench.check_closed()


def check_no_answer(kind: str, lasting: str, passing: str, failed: Outcome, asked_again: Outcome, bench: Bench) -> None:
    _, error, attempts, options = BEFORE[kind]
    checked_error = check_error(failed.error, error, partial=None, cost=None, usage=None)
    for name, limit in options.items():
        assert f"{name}={limit:g} s" in str(checked_error)
    assert len(checked_error.attempts) == bench.cases.requests[lasting] == attempts
    if attempts == 1:
        check_error(asked_again.error, error)
    else:
        assert asked_again.answer is not None
        assert (asked_again.answer.reasoning, asked_again.answer.text) == WHOLE
        assert asked_again.answer.attempts[0] == checked_error.attempts[0] or kind in ("reset", "close", "500", "503")
        assert [attempt.outcome for attempt in asked_again.answer.attempts] == [
            checked_error.attempts[0].outcome,
            "200",
        ]
    assert bench.cases.requests[passing] == min(attempts, 2)
    unsure = kind.startswith(("reset", "close", "silence"))
    assert {attempt.may_be_billed for attempt in checked_error.attempts} == {unsure}


@pytest.mark.parametrize("kind", ["reset", "close", "silence", "silence, with a deadline"])
@pytest.mark.parametrize("how", ["ask", "aask"])
def test_whole_answer_breaks_off(how: str, kind: str, bench: Bench) -> None:
    options = {"timeout": TIMEOUT} if "," in kind else {}
    cells: list[tuple[int, str, dict[str, Any]]] = []
    for lane in LANES:
        size = len(whole_of(lane, face=FACES["vllm"]))
        for place in (0, 1, size // 4, size // 2, size - 1):
            fault = Fault(kind.partition(",")[0], place)
            cells.append((place, bench.cases.add(Turn(SHORT.completion, fault=fault)), {"lane": lane, **options}))
    ask_all = bench.ask_past_deadlines if options else bench.ask_all
    outcomes = ask_all(how, [(prompt, value) for _, prompt, value in cells])
    for (place, prompt, _), result in zip(cells, outcomes, strict=True):
        if "," in kind or (kind == "silence" and place == 0):
            error = check_error(result.error, motet.RequestTimeoutError, partial=None, cost=None)
            assert not options or f"timeout={TIMEOUT:g} s" in str(error)
        elif place == 0:
            check_error(result.error, motet.ConnectionFailedError, partial=None, cost=None)
        else:
            reason = "silence" if kind == "silence" else "reset"
            check_error(result.error, motet.StreamTruncatedError, reason=reason, partial=None, cost=None)
        assert bench.cases.requests[prompt] == 1
    bench.check_closed()


# Bytes that come one by one.


@pytest.mark.parametrize("limit", ["timeout", "first_token_timeout"])
@pytest.mark.parametrize("how", HOWS)
def test_deadline_holds_while_bytes_trickle_in(how: str, limit: str, bench: Bench) -> None:
    options: Any = {limit: TIMEOUT}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(trickling(*heads, drop=drop)) for heads, drop in TRICKLES.values()]
        urls = [server.url for server in servers]
        atoms = [built(motet.atom(SLUG, base_url=url, api_key=KEY, lane="chat", max_retries=0)) for url in urls]
        began = time.monotonic()
        with past_deadline(bench.runner, *servers):
            outcomes = ask_each(how, atoms, bench.runner, **options)
        assert time.monotonic() - began < LATE
        for kind, result, server in zip(TRICKLES, outcomes, servers, strict=True):
            if kind == "a refusal":
                # Its status came in time; the client that blocks can say so.
                assert isinstance(result.error, motet.RequestTimeoutError | motet.ServerError)
            else:
                error = check_error(result.error, motet.RequestTimeoutError, partial=None, cost=None)
                assert f"{limit}={TIMEOUT:g} s" in str(error)
            assert server.hung_up.wait(LATE), f"the connection is still open: {kind}"
        for atom in atoms:
            bench.runner.run(atom.aclose())


@contextlib.contextmanager
def past_deadline(runner: asyncio.Runner, *servers: Trickle) -> Iterator[None]:
    """Within the block, deadlines pass as soon as each server has sent several drops."""
    with jumping_clock(runner) as clock, clock.jump_when(lambda: all(server.is_trickling() for server in servers)):
        yield


def built(atom: motet.Atom) -> motet.Atom:
    """The atom with its clients, which take the time limits that are set at this moment."""
    backend: Any = atom.backend
    assert backend.client.api_key == backend.async_client.api_key
    return atom


def ask_each(how: str, atoms: Sequence[motet.Atom], runner: asyncio.Runner, **options: Any) -> list[Outcome]:
    if how in ("ask", "stream"):
        with ThreadPoolExecutor(len(atoms)) as pool:
            return list(pool.map(lambda atom: outcome(atom, how, **options), atoms))

    async def each() -> list[Outcome]:
        answers = await asyncio.gather(*[aoutcome(atom, how, **options) for atom in atoms])
        # What was closed, the loop closes in its next turn.
        await asyncio.sleep(0.01)
        return answers

    return runner.run(each())


def test_deadline_holds_with_a_given_client(bench: Bench) -> None:
    import together

    for heads, drop in (TRICKLES["a header"], TRICKLES["a comment"]):
        with trickling(*heads, drop=drop) as server, together.Together(api_key=KEY, base_url=server.url) as client:
            atom = motet.atom(SLUG, client=client, lane="chat")
            began = time.monotonic()
            with past_deadline(bench.runner, server):
                check_error(outcome(atom, "stream", timeout=TIMEOUT).error, motet.RequestTimeoutError)
            assert time.monotonic() - began < LATE
            assert server.hung_up.wait(LATE)


@pytest.mark.parametrize("how", HOWS)
def test_first_token_timeout_applies_to_the_first_only(how: str, bench: Bench) -> None:
    slow = bench.cases.add(Turn("<|channel|>final<|message|>Hi there.<|return|>", delay=0.15))
    silent = bench.cases.add(Turn(SHORT.completion, fault=Fault("comments", 2)))
    limits = {"first_token_timeout": 0.6, "lane": "chat"}
    whole, broken = bench.ask_all(how, [(slow, limits), (silent, {**limits, "timeout": 0.9})])
    assert whole.answer is not None
    assert whole.answer.metrics.cost.time.total > 0.7
    assert "timeout=0.9" in str(check_error(broken.error, motet.RequestTimeoutError))
    bench.check_closed()


@pytest.mark.parametrize("how", HOWS)
def test_lane_detection_counts_toward_the_timeout(how: str, bench: Bench) -> None:
    with trickling(*TRICKLES["a header"][0], drop=b"x") as server:
        atom = built(motet.atom(SLUG, base_url=server.url, api_key=KEY))
        began = time.monotonic()
        with (
            jumping_clock(bench.runner) as clock,
            clock.jump_when(server.is_trickling, TIMEOUT / 2),
            clock.jump_when(lambda: server.is_trickling(connections=2)),
        ):
            result = outcome(atom, how, timeout=TIMEOUT, runner=bench.runner)
        error = check_error(result.error, motet.RequestTimeoutError)
        assert time.monotonic() - began < LATE
        assert len(error.attempts) == 1, "there was time left for the answer itself"
        bench.runner.run(atom.aclose())


# Streams that are closed early.

LONG = Turn("<|channel|>analysis<|message|>" + "word " * 400 + "<|end|>", delay=0.002)


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_streams_abandoned_at_random_close_connections(how: str, bench: Bench) -> None:
    rng = random.Random(7)
    leave = [
        (rng.choice(LANES), rng.randrange(60), rng.choice(["break", "close", "raise", "forget"])) for _ in range(100)
    ]

    def left(lane: str, after: int, way: str) -> None:
        stream = bench.atom.stream(bench.cases.add(LONG), lane=lane)
        with contextlib.suppress(ZeroDivisionError), stream if way != "forget" else contextlib.nullcontext():
            for number, _ in enumerate(stream):
                if number == after:
                    if way == "close":
                        stream.close()
                    elif way == "raise":
                        raise ZeroDivisionError
                    break
        check_left(stream, after)

    async def aleft(lane: str, after: int, way: str) -> None:
        stream = bench.atom.astream(bench.cases.add(LONG), lane=lane)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(contextlib.suppress(ZeroDivisionError))
            if way != "forget":
                await stack.enter_async_context(stream)
            number = 0
            async for _ in stream:
                if number == after:
                    if way == "close":
                        await stream.aclose()
                    elif way == "raise":
                        raise ZeroDivisionError
                    break
                number += 1
        check_left(stream, after)

    def check_left(stream: Any, after: int) -> None:
        answer = stream.answer
        assert answer.finish is None
        assert answer.reasoning in "word " * 400
        assert len(answer.reasoning) >= 5 * (after - 1)
        assert answer.metrics.cost.cash.total > 0

    if how == "stream":
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda value: left(*value), leave))
    else:

        async def all_of_them() -> None:
            for start in range(0, len(leave), 16):
                await asyncio.gather(*[aleft(*value) for value in leave[start : start + 16]])

        bench.runner.run(all_of_them())
    # What was forgotten is closed when it is found, and taken out of the pool with the next request.
    gc.collect()
    assert bench.atom.ask(bench.cases.add(SHORT)).text == WHOLE[1]
    bench.check_closed()


@pytest.mark.parametrize("lane", LANES)
def test_collected_stream_does_not_wait_for_a_lock(lane: str, bench: Bench) -> None:
    """Garbage collection can run while the HTTP client's lock is held."""
    pool: Any = bench.atom.backend
    pool = pool.client._client._transport._pool
    stream = bench.atom.stream(bench.cases.add(LONG), lane=lane)
    next(iter(stream))
    cycle: list[Any] = [stream]
    cycle.append(cycle)
    gc.collect()
    del stream, cycle

    def collect() -> None:
        with pool._optional_thread_lock:
            gc.collect()

    bench.server.hung_up.clear()
    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits for the lock that its own thread holds"
    assert bench.server.hung_up.wait(10), "the service is still writing"
    assert bench.atom.ask(bench.cases.add(SHORT), lane=lane).text == WHOLE[1]
    bench.check_closed()


@pytest.mark.parametrize("how", ["aask", "astream"])
def test_tasks_cancelled_at_random_close_connections(how: str, bench: Bench) -> None:
    rng = random.Random(7)
    quiet = [
        LONG,
        Turn(SHORT.completion, fault=Fault("silence_before")),
        Turn(SHORT.completion, fault=Fault("silence", 2)),
    ]
    prompts = [bench.cases.add(rng.choice(quiet)) for _ in range(60)]

    async def cancelled(prompt: str) -> None:
        task = asyncio.create_task(aoutcome(bench.atom, how, prompt, lane=rng.choice(LANES), timeout=30))
        await asyncio.sleep(rng.random() * 0.3)
        cancelled_in_time = task.cancel()
        result = await task
        assert isinstance(result.error, asyncio.CancelledError) or not cancelled_in_time

    async def all_of_them() -> None:
        before = asyncio.all_tasks()
        for start in range(0, len(prompts), 16):
            await asyncio.gather(*[cancelled(prompt) for prompt in prompts[start : start + 16]])
        gc.collect()
        ends = time.monotonic() + 5
        # Those of earlier tests may end meanwhile.
        while asyncio.all_tasks() - before and time.monotonic() < ends:
            await asyncio.sleep(0.01)
        assert asyncio.all_tasks() <= before, "a task was left behind"

    bench.runner.run(all_of_them())
    bench.check_closed()


def test_asyncio_timeout_of_the_caller_passes_through(bench: Bench) -> None:
    """asyncio.timeout cancels; motet neither swallows that nor takes it for its own deadline."""
    prompt = bench.cases.add(Fault("silence_before"))

    async def main() -> None:
        async with asyncio.timeout(0.1):
            await bench.atom.aask(prompt, lane="chat", timeout=30)

    with pytest.raises(TimeoutError) as caught:
        bench.runner.run(main())
    assert type(caught.value) is TimeoutError
    assert bench.cases.requests[prompt] <= 1
    bench.check_closed()


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", ["stream", "astream"])
def test_interrupt_keeps_the_partial_answer(how: str, lane: str, bench: Bench) -> None:
    """D25: Ctrl-C while a service is silent within its answer."""
    chunks = chunks_of(lane)
    place = len(chunks) // 2
    prompt = bench.cases.add(Turn(SHORT.completion, fault=Fault("silence", place)))
    events: list[motet.Event] = []
    stream: Any = None

    def interrupt() -> None:
        while "".join([event.delta for event in events]) != "".join(text_in(lane, chunks[:place])):
            time.sleep(0.005)
        time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    async def main() -> None:
        nonlocal stream
        async with bench.atom.astream(prompt, lane=lane) as stream:
            async for event in stream:
                events.append(event)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        if how == "astream":
            bench.runner.run(main())
        else:
            with bench.atom.stream(prompt, lane=lane) as stream:
                for event in stream:
                    events.append(event)
    assert KEY not in str(caught.getrepr(style="short"))
    answer = stream.answer
    assert (answer.reasoning, answer.text) == text_in(lane, chunks[:place])
    assert answer.finish is None
    assert answer.metrics.cost.cash.total > 0
    assert bench.cases.requests[prompt] == 1
    bench.runner.run(asyncio.sleep(0))
    bench.check_closed()
