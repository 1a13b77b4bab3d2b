"""What may be spent: the limits of a loop, and budgets over atoms, threads and tasks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

import motet
from motet import limits
from motet.testing import Fault, Turn
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.server_scripts import PLAIN, asking, final

LONG = final("word " * 200)
PRICE = Decimal("0.6") / 1_000_000
"""Of a token that gpt-oss-120b writes."""


def text() -> str:
    return "as it is"


WAKE = threading.Event()


@pytest.fixture(scope="module", autouse=True)
def napping_tools_end() -> Iterator[None]:
    yield
    WAKE.set()


def nap() -> str:
    """Takes longer than any limit of these tests."""
    WAKE.wait(60)
    return "slept"


def one_chunk_more(limit: Decimal) -> Decimal:
    return limit + 16 * PRICE


# The limits of a loop.


def talk(*answers: Any) -> Any:
    """A script indexed by the conversation's answers. Of a list, each turn is used once and the last repeatedly."""
    left = [list(choices) if isinstance(choices, list) else [choices] for choices in answers]

    def script(body: Any) -> Any:
        choices = left[sum(message["role"] == "assistant" for message in body["messages"])]
        return choices.pop(0) if len(choices) > 1 else choices[0]

    return script


CALL = calls("text")
STEPS = (CALL, CALL, final("A"))
THINKS = Turn(calls("text", thought="think " * 60), delay=0.001)
CASES: list[tuple[str, Any, Any, tuple[Any, ...], type[motet.LimitError], int, bool]] = [
    # The limit, what it is, and later; what the model says; the error, the steps that were done by then, and whether
    # an answer was cut.
    ("max_steps", 2, 3, STEPS, motet.MaxStepsError, 2, False),
    ("max_tokens", 60, 4000, (CALL, [LONG, final("A")]), motet.MaxTokensError, 1, True),
    ("max_tokens", 23, 4000, STEPS, motet.MaxTokensError, 0, True),
    ("max_reasoning_tokens", 30, 4000, (CALL, THINKS, final("A")), motet.MaxTokensError, 1, True),
    ("max_cost", "0.00008", "1", (CALL, [Turn(LONG, delay=0.001), final("A")]), motet.MaxCostError, 1, True),
    ("max_time", 1.0, 60, (CALL, [Turn(final("A"), delay=2), final("A")]), motet.MaxTimeError, 1, False),
    ("max_time", 1.0, 60, (calls("nap"), final("A")), motet.MaxTimeError, 1, False),
    ("max_repeats", 2, 9, (CALL, CALL, CALL, final("A")), motet.RepeatedCallError, 3, False),
]


@pytest.mark.parametrize(
    ("name", "limit", "later", "words", "error", "steps", "cut"),
    CASES,
    ids=[f"{case[0]}-{case[1]}-{number}" for number, case in enumerate(CASES)],
)
@pytest.mark.parametrize("how", ["run", "arun", "stream"])
def test_each_limit_ends_the_run_and_its_state_resumes(
    name: str, limit: Any, later: Any, words: Any, error: type[motet.LimitError], steps: int, cut: bool, how: str
) -> None:
    async def main(atom: motet.Atom) -> None:
        async with atom:
            await atom.arun("Go.", **options)

    options: Any = {"tools": [text, nap], name: limit}
    with asking(talk(*words)) as (atom, server):
        with pytest.raises(error) as caught:
            if how == "arun":
                asyncio.run(main(atom))
            else:
                atom.run("Go.", **options) if how == "run" else atom.run("Go.", stream=True, **options).finish()
        result = caught.value
        assert (result.option, str(result.limit)) == (name, str(limit))
        assert f"the run has reached {name}={limit} after {steps} steps" in str(result)
        assert (len(result.state.steps), result.state.done) == (steps, False)
        assert result.cost == result.state.metrics.cost.cash.total
        assert bool(result.state.aborted) is cut
        if cut:
            assert result.state.aborted == (result.partial.metrics,)
            assert result.partial.metrics.size.tokens.output > 0
        assert name != "max_cost" or result.cost < one_chunk_more(Decimal(limit))
        if name != "max_time":
            # Nothing has changed, so nothing more is spent.
            count = len(server.requests)
            with pytest.raises(error):
                atom.resume(result.state, tools=[text, nap])
            assert len(server.requests) == count or name == "max_cost"
        run = atom.resume(result.state, tools=[text, nap], **{name: later})
        assert run.text == "A"
        total = sum([item.cost.cash.total for item in [*[step.metrics for step in run.steps], *run.aborted]])
        assert run.metrics.cost.cash.total == total


def test_time_limit_ends_a_stream() -> None:
    with asking(talk(CALL, [Turn(LONG, delay=0.02), final("A")])) as (atom, server):
        with pytest.raises(motet.MaxTimeError) as caught:
            atom.run("Go.", tools=[text], max_time=1.0, stream=True).finish()
        assert server.hung_up.wait(5), "the connection is still open"
        assert 0 < caught.value.state.aborted[0].size.tokens.output < 150
        assert atom.resume(caught.value.state, tools=[text]).text == "A"


def test_prompt_above_the_remaining_budget_is_not_sent() -> None:
    with asking(talk(*STEPS)) as (atom, server):
        with pytest.raises(motet.MaxCostError) as caught:
            atom.run("word " * 300, tools=[text], max_cost="0.0001")
        assert len(server.requests) == len(caught.value.state.steps) == 1
        assert atom.resume(caught.value.state, tools=[text], max_cost="1").text == "A"


def test_time_limit_during_a_tool_is_reported_on_resume() -> None:
    atom, _ = fake_atom(turns(calls("nap", "text"), final("A")))
    with pytest.raises(motet.MaxTimeError) as caught:
        atom.run("Go.", tools=[nap, text], max_time=1.0)
    assert [call.signal for call in caught.value.state.steps[0].calls] == ["error:malfunction", "success"]
    assert "the tool may still be at work" in caught.value.state.steps[0].calls[0].content
    with pytest.raises(motet.MaxTimeError) as caught:
        atom.run("Go.", tools=[nap, text], max_time=1.0, parallel=False)
    # The second one was never begun.
    assert [call.signal for call in caught.value.state.steps[0].calls] == ["error:malfunction", None]
    assert caught.value.state.unfinished == ()
    assert atom.resume(caught.value.state, tools=[nap, text]).text == "A"


def test_call_limit_ignores_whitespace_in_arguments() -> None:
    repeated_calls = [calls(("echo", written)) for written in ('{"a": 1, "b": 2}', '{"b":2,"a":1}', ' {"a":1,"b":2}')]

    def echo(a: int, b: int) -> int:
        return a

    atom, _ = fake_atom(turns(*repeated_calls, final("A")))
    with pytest.raises(motet.RepeatedCallError):
        atom.run("Go.", tools=[echo], max_repeats=2)
    other = [calls(("echo", f'{{"a": {n}, "b": 2}}')) for n in range(9)]
    atom, _ = fake_atom(turns(*other, final("A")))
    assert atom.run("Go.", tools=[echo], max_repeats=2).text == "A"


def test_answer_without_usage_costs_its_reservation() -> None:
    silent = Turn(calls("text"), fault=Fault("no_usage"))
    with asking(silent, final("A")) as (atom, server):
        with pytest.raises(motet.MaxCostError, match=r"max_cost=0\.05 after 1 steps") as caught:
            atom.run("Go.", tools=[text], max_cost="0.05")
        assert len(server.requests) == 1
        assert caught.value.state.metrics.cost.cash.total is None
        # 131,072 tokens at 0.6 dollars a million are 0.0786 dollars.
        assert atom.resume(caught.value.state, tools=[text], max_cost="0.08").text == "A"
    with asking(silent, silent, final("A")) as (atom, _), pytest.raises(motet.MaxTokensError) as tokens:
        atom.run("Go.", tools=[text], max_tokens=10)
    assert len(tokens.value.state.steps) + len(tokens.value.state.aborted) == 1
    with (
        asking(silent, slug="some/model", price={"input": 1, "output": 2}) as (atom, _),
        pytest.raises(motet.ConfigError, match="the worst case of some/model is not known"),
    ):
        atom.run("Go.", tools=[text], max_cost="1")


def test_output_limit_of_the_service_is_not_the_run_limit() -> None:
    cut = calls("text").removesuffix("<|call|>")
    with asking(cut) as (atom, _), pytest.raises(motet.TruncatedOutputError) as caught:
        atom.run("Go.", tools=[text], max_tokens=4000)
    assert len(caught.value.state.aborted) == 1  # type: ignore[attr-defined]
    slow = Fault("status", status=408)
    with asking(*[slow] * 9, max_retries=0) as (atom, _), pytest.raises(motet.RequestTimeoutError):
        atom.run("Go.", tools=[text], max_time=60)


# Budgets.


def spend(atom: motet.Atom, prompt: str, **options: Any) -> tuple[bool, Decimal]:
    """Whether the answer arrived, and its cost."""
    try:
        answer = atom.ask(prompt, **options)
    except motet.MaxCostError as error:
        assert error.option == "budget"
        return False, Decimal(0) if error.partial is None else error.partial.metrics.cost.cash.total or Decimal(0)
    assert answer.metrics.cost.cash.total is not None
    return True, answer.metrics.cost.cash.total


async def aspend(atom: motet.Atom, prompt: str, **options: Any) -> tuple[bool, Decimal]:
    try:
        answer = await atom.aask(prompt, **options)
    except motet.MaxCostError as error:
        return False, Decimal(0) if error.partial is None else error.partial.metrics.cost.cash.total or Decimal(0)
    assert answer.metrics.cost.cash.total is not None
    return True, answer.metrics.cost.cash.total


def settled(budget: limits.Budget) -> bool:
    return not budget._reservations


@pytest.mark.parametrize(
    "script",
    [LONG, PLAIN, calls("text", "get_weather_of_a_city", ("text", '{"a": "b"}'))],
    ids=["final", "plain", "calls"],
)
def test_threads_never_exceed_a_budget(script: str) -> None:
    with asking(lambda _: script) as (atom, _), asking(lambda _: script, slug="together/gpt-oss/120b") as (other, _):
        tools: Any = ["text", "get_weather_of_a_city"]
        alone = atom.ask("Go.", tools=tools).metrics.cost.cash.total
        assert alone is not None
        limit = (alone * Decimal("20.5")).quantize(Decimal("1e-9"))
        with motet.budget(limit) as budget, ThreadPoolExecutor(32) as pool:
            ended = list(pool.map(lambda n: spend((atom, other)[n % 2], "Go.", tools=tools), range(64)))
        assert budget.spent == sum(cost for _, cost in ended)
        assert settled(budget)
        assert budget.spent <= limit
        assert 0 < sum(done for done, _ in ended) < 64
        assert budget.left == limit - budget.spent
        assert repr(budget) == f"Budget({limit}, spent={budget.spent})"


def test_tasks_never_exceed_a_budget() -> None:
    async def main(atom: motet.Atom, limit: Decimal) -> tuple[limits.Budget, list[tuple[bool, Decimal]]]:
        async with atom:
            with motet.budget(limit) as budget:
                return budget, await asyncio.gather(*[aspend(atom, f"Go {n}.") for n in range(200)])

    with asking(lambda _: PLAIN) as (atom, server):
        alone = atom.ask("Go.").metrics.cost.cash.total
        assert alone is not None
        budget, ended = asyncio.run(main(atom, alone * 50))
        assert budget.spent == sum(cost for _, cost in ended) <= budget.limit
        assert settled(budget)
        assert 0 < sum(done for done, _ in ended) <= 52
        # Most of them were not even sent.
        assert len(server.requests) < 150


def test_nested_budgets() -> None:
    with asking(lambda _: PLAIN) as (atom, server):
        with motet.budget("1") as outer:
            alone = spend(atom, "Go.")[1]
            with motet.budget(alone) as inner:
                assert not spend(atom, "Go, but with some more words.")[0]
                assert len(server.requests) in (1, 2)
            assert inner.spent <= alone
            assert spend(atom, "Go.") == (True, alone)
            assert outer.spent == 2 * alone + inner.spent
        with motet.budget(alone / 2) as small, motet.budget("1") as wide:
            assert not spend(atom, "Go.")[0]
        assert small.spent == wide.spent <= small.limit
        assert settled(outer) and settled(inner) and settled(small) and settled(wide)
        assert limits.active() == ()


def test_budget_passed_as_an_argument() -> None:
    own_budget = motet.budget("1")
    with asking(lambda _: PLAIN) as (atom, _), motet.budget("1") as around:
        cost = spend(atom, "Go.", budget=own_budget)[1]
        spend(atom, "Go.", budget=around)
        assert (own_budget.spent, around.spent) == (cost, 2 * cost)
        run = atom.run("Go.", tools=[text], budget=own_budget)
        assert own_budget.spent == cost + run.metrics.cost.cash.total  # type: ignore[operator]
        assert "budget" not in run.options


def test_budget_of_a_loop_covers_its_tools() -> None:
    inner, _ = fake_atom(turns(final("inner")))

    def asks() -> str:
        return inner.ask("Go.").text

    async def asks_async() -> str:
        return (await inner.aask("Go.")).text

    atom, _ = fake_atom(turns(calls("asks", "asks_async"), final("A")))
    answer = inner.ask("Go.").metrics.cost.cash.total
    assert answer is not None
    for how in ("run", "arun"):
        # Another budget, beside this one: only the context tells which of them it is.
        with motet.budget("1") as budget, ThreadPoolExecutor(1) as pool:
            entered, done = threading.Event(), threading.Event()

            def beside(entered: threading.Event = entered, done: threading.Event = done) -> limits.Budget:
                with motet.budget("1") as other:
                    entered.set()
                    done.wait(30)
                    return other

            other = contextvars.Context().run(pool.submit, beside)
            entered.wait(30)
            run = (
                atom.run("Go.", tools=[asks, asks_async])
                if how == "run"
                else asyncio.run(atom.arun("Go.", tools=[asks, asks_async]))
            )
            done.set()
            assert other.result().spent == 0
        assert budget.spent == 2 * answer + run.metrics.cost.cash.total  # type: ignore[operator]


@pytest.mark.parametrize("how", ["never begun", "first event", "break", "close", "iterator"])
def test_abandoned_stream_costs_what_arrived(how: str) -> None:
    with asking(Turn(LONG, delay=0.001)) as (atom, server), motet.budget("1") as budget:
        stream = atom.stream("Go.")
        if how == "iterator":
            for event in stream:
                if event.delta.strip() == "word":
                    break
            del event
            stream._events.close()
        elif how != "never begun":
            with stream:
                for event in stream:
                    if how == "first event" or event.delta.strip() == "word":
                        break
        stream.close()
        assert settled(budget)
        if how == "never begun":
            assert (budget.spent, server.requests) == (0, [])
        elif how == "first event":
            assert 0 < budget.spent < 200 * PRICE
        else:
            assert budget.spent == stream.answer.metrics.cost.cash.total
            assert 0 < budget.spent < 100 * PRICE


@pytest.mark.parametrize(
    ("fault", "paid"),
    [
        (Fault("status", status=400), False),
        (Fault("status", status=429), False),
        (Fault("status", status=500), False),
        (Fault("error_data", after=0), True),
        (Fault("reset", after=0), True),
        (Fault("reset", after=40), True),
        (Fault("silence_before"), True),
    ],
    ids=lambda value: f"{getattr(value, 'kind', value)}",
)
def test_failed_request_releases_its_reservation(fault: Fault, paid: bool) -> None:
    timeout = 0.3 if fault.kind == "silence_before" else 30

    async def main(atom: motet.Atom) -> None:
        async with atom:
            await atom.aask("Go.", timeout=timeout)

    for how in ("ask", "aask"):
        with asking(Turn(LONG, fault=fault), max_retries=0) as (atom, _), motet.budget("1") as budget:
            with pytest.raises(motet.MotetError):
                asyncio.run(main(atom)) if how == "aask" else atom.ask("Go.", timeout=timeout)
            assert settled(budget)
            assert (budget.spent > 0) is paid
            assert budget.spent < 200 * PRICE


def test_exhausted_budget_sends_nothing() -> None:
    with asking(PLAIN) as (atom, server), motet.budget("0.00000001") as budget:
        with pytest.raises(motet.MaxCostError, match="is used up") as caught:
            atom.ask("Go.")
        assert (server.requests, budget.spent, caught.value.cost, caught.value.option) == ([], 0, 0, "budget")
        with pytest.raises(motet.MaxCostError) as caught:
            atom.run("Go.", tools=[text])
        assert caught.value.state.steps == ()


def test_budgets_of_threads_are_independent() -> None:
    with asking(lambda _: PLAIN) as (atom, _):
        meet = threading.Barrier(2)

        def spends(times: int) -> tuple[Decimal, Decimal]:
            with motet.budget("1") as budget:
                meet.wait(30)
                cost = sum([spend(atom, "Go.")[1] for _ in range(times)], Decimal(0))
                meet.wait(30)
                return budget.spent, cost

        with ThreadPoolExecutor(2) as pool:
            for spent, cost in pool.map(spends, (3, 7)):
                assert spent == cost > 0


def test_threads_can_share_one_budget() -> None:
    budget = motet.budget("1")
    with asking(lambda _: PLAIN) as (atom, _):
        meet = threading.Barrier(8)

        def spends(_: int) -> Decimal:
            with budget:
                meet.wait(30)
                cost = spend(atom, "Go.")[1]
                meet.wait(30)
            return cost

        with ThreadPoolExecutor(8) as pool:
            costs = list(pool.map(spends, range(8)))

        async def main() -> list[Decimal]:
            async def spends() -> Decimal:
                with budget:
                    await asyncio.sleep(0.01)
                    return (await aspend(atom, "Go."))[1]

            async with atom:
                return list(await asyncio.gather(*[spends() for _ in range(8)]))

        costs += asyncio.run(main())
    assert budget.spent == sum(costs)
    assert (limits._scope._entered, limits.active()) == ([], ())


def active_in_a_thread() -> tuple[limits.Budget, ...]:
    budgets: list[tuple[limits.Budget, ...]] = []
    thread = threading.Thread(target=lambda: budgets.append(limits.active()))
    contextvars.Context().run(thread.start)
    thread.join()
    return budgets[0]


def test_new_thread_inherits_the_active_budgets() -> None:
    assert active_in_a_thread() == ()
    with motet.budget("1") as outer:
        assert active_in_a_thread() == (outer,)
        with motet.budget("1") as inner:
            assert active_in_a_thread() == (outer, inner)
        assert active_in_a_thread() == (outer,)

        async def main() -> None:
            async def within() -> None:
                with motet.budget("1"):
                    await meet.wait()
                    # Neither of the two inner budgets belongs to the thread more than the other.
                    assert active_in_a_thread() == (outer,)
                    await meet.wait()

            meet = asyncio.Barrier(2)
            await asyncio.gather(within(), within())

        asyncio.run(main())
    assert (limits._scope._entered, active_in_a_thread()) == ([], ())


@pytest.mark.parametrize(
    ("wrong", "error"), [(b"1", TypeError), ("much", ValueError), (-1, ValueError), (None, TypeError)]
)
def test_budget_is_an_exact_amount(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="budget must be"):
        motet.budget(wrong)
