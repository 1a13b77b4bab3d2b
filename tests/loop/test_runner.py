"""Tool loops over real HTTP, on every lane: results, streams, ids, types and cost."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.testing import Turn
from tests.support.fake_backend import calls, fake_atom, turns
from tests.support.loop_tools import (
    BEHAVIOURS,
    HOWS,
    HUGE,
    House,
    Weather,
    as_async,
    deltas_of,
    error_of,
    fails,
    good,
    ran,
    render_each_step,
    slow,
    sums,
    text,
)
from tests.support.server_scripts import asking, final, prompt_text


@pytest.mark.parametrize("how", ["run", "arun", "astream"])
@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_tool_results_keep_the_order_of_the_calls(
    house: House, lane: str, how: str, parallel: bool, flavour: str
) -> None:
    # The text lane has no way to send what looks like a marker; see below.
    behaviours = [item for item in BEHAVIOURS if lane != "text" or "<|" not in item[2][1]]
    functions = [item for item in dict.fromkeys(item for item, _, _ in behaviours) if callable(item)]
    tools: list[Any] = [as_async(item) if flavour == "async" else item for item in functions]
    tools = [motet.tool(timeout=0.1)(item) if item.__name__ == "hangs" else item for item in tools]
    tools_before = list(tools)
    requested = [(item if isinstance(item, str) else item.__name__, arguments) for item, arguments, _ in behaviours]
    atom, server = house.asking(lane, calls(*requested), final("done"))
    prompt = [{"role": "user", "content": "Do it all."}]
    run = ran(house, atom, how, prompt, tools=tools, parallel=parallel)
    assert (run.text, len(run.steps), len(server.requests)) == ("done", 2, 2)
    assert (tools, prompt) == (tools_before, [{"role": "user", "content": "Do it all."}])
    records = run.steps[0].calls
    assert [(item.call.name, item.call.arguments) for item in records] == requested
    for record, (_, _, (signal, words)) in zip(records, behaviours, strict=True):
        assert record.signal == signal, record
        assert words in record.content if signal != "success" or len(record.content) > 1000 else words == record.content
        assert record.full_content == (HUGE if record.call.name == "huge" else None)
    assert len({record.call.id for record in records}) == len(records)
    render_each_step(run)
    sums(run)
    body = server.requests[1].body
    if lane == "chat":
        reports = [message for message in body["messages"] if message["role"] == "tool"]
        assert [item["content"] for item in reports] == [record.content for record in records]
        assert [item["tool_call_id"] for item in reports] == [record.call.id for record in records]
    elif lane == "ids":
        # What a tool says cannot become structure: the only system frame is the first one.
        assert motet.decode(body["prompt"]).count("<|start|>system<|message|>") == 2
        assert sum(token == motet.SPECIAL_TOKENS["<|start|>"] for token in body["prompt"]) == 5 + 2 * len(requested)


@pytest.mark.parametrize("how", HOWS)
def test_run_arun_and_streams_give_the_same_run(house: House, lane: str, how: str) -> None:
    script = (calls(("good", '{"x": 1}'), ("slow", '{"x": 2}')), calls(("good", '{"x": 5}')), final("8"))
    atom, _ = house.asking(lane, *script)
    run = ran(house, atom, how, "Add.", tools=[good, slow], briefs=["Be brief."])
    summaries = [[(call.call.name, call.signal, call.content) for call in step.calls] for step in run.steps]
    atom, _ = house.asking(lane, *script)
    plain = atom.run("Add.", tools=[good, slow], briefs=["Be brief."], allow_text_calls=True)
    assert summaries == [[(call.call.name, call.signal, call.content) for call in step.calls] for step in plain.steps]
    assert [[part.type for part in message.content] for message in run.messages] == [
        [part.type for part in message.content] for message in plain.messages
    ]
    assert (run.text, run.output, run.done) == ("8", "8", True)
    assert run.metrics.size.tokens == plain.metrics.size.tokens
    assert [step.n for step in run.steps] == [1, 2, 3]
    assert len({call.call.id for step in run.steps for call in step.calls}) == 3
    assert "3 steps, done" in repr(run)
    sums(run)


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_stream_has_events_of_the_model_and_the_tools(house: House, lane: str, how: str) -> None:
    async def listened(atom: motet.Atom, **options: Any) -> list[Any]:
        async with atom.arun_stream("Add.", **options) as stream:
            return [event async for event in stream]

    atom, _ = house.asking(lane, calls(("good", '{"x": 1}'), ("fails", "{}")), final("2"))
    options: Any = {"tools": [good, fails], "allow_text_calls": True}
    if how == "stream":
        with atom.run("Add.", stream=True, **options) as stream:
            events = list(stream)
    else:
        events = house.wait(listened(atom, **options))
    assert deltas_of(events) == [
        ("reasoning", "I need a tool."),
        ("tool_call", '{"x": 1}'),
        ("tool_call", "{}"),
        ("tool_result", "2"),
        ("tool_result", error_of("malfunction", "ValueError: no such table")[1]),
        ("text", "2"),
    ]
    results = [event for event in events if event.kind == "tool_result" and event.type == "start"]
    assert [(result.role, result.name, result.recipient) for result in results] == [
        ("tool", "functions.good", "assistant"),
        ("tool", "functions.fails", "assistant"),
    ]
    assert [result.index for result in results] == [3, 4]


def test_reasoning_is_kept_between_calls_and_then_dropped(house: House, lane: str) -> None:
    atom, server = house.asking(
        lane, calls("text", thought="First thought."), calls("text", thought="Second."), final("A"), final("B")
    )
    run = atom.run("Go.", tools=[text], allow_text_calls=True)
    after = atom.run("And now?", tools=[text], on=run.episode, allow_text_calls=True)
    assert (run.text, after.text) == ("A", "B")
    bodies = [request.body for request in server.requests]
    if lane == "chat":
        thought = [
            [message.get("reasoning") for message in body["messages"] if message["role"] == "assistant"]
            for body in bodies
        ]
        assert thought == [[], ["First thought."], ["First thought.", "Second."], [None, None, None]]
    else:
        prompts = [prompt_text(body) for body in bodies]
        assert [("First thought." in request, "Second." in request) for request in prompts] == [
            (False, False),
            (True, False),
            (True, True),
            (False, False),
        ]
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(prompts[:3]))


def test_call_ids_are_unique_within_a_run(house: House) -> None:
    # Together counts from 0 in each answer.
    atom, server = house.asking("chat", *[calls("text", "text")] * 3, final("A"))
    run = atom.run("Go.", tools=[text])
    ids = [record.call.id for step in run.steps for record in step.calls]
    assert len(set(ids)) == 6
    last = server.requests[-1].body["messages"]
    assert [message["tool_call_id"] for message in last if message["role"] == "tool"] == ids
    assert [call["id"] for message in last for call in message.get("tool_calls", ())] == ids
    assert [record.content for step in run.steps for record in step.calls] == ["as it is"] * 6


def test_duplicate_call_ids_in_an_answer_are_renamed() -> None:
    twice = motet.Message(
        "assistant", (motet.ToolCall("good", '{"x": 1}', "c"), motet.ToolCall("good", '{"x": 5}', "c"))
    )
    atom, backend = fake_atom(turns(calls("text", "text"), final("A")))
    execute = backend.execute

    def equal(request: Any) -> Any:
        reply = execute(request)
        if reply.completion.tool_calls:
            object.__setattr__(reply.completion, "message", twice)
        return reply

    backend.execute = equal  # type: ignore[method-assign]
    run = atom.run("Go.", tools=[good])
    assert [(call.call.id, call.content) for call in run.steps[0].calls] == [("c", "2"), ("c-2", "6")]
    render_each_step(run)


def test_output_type_is_restored_after_a_crash(tmp_path: Path) -> None:
    atom, _ = fake_atom(turns(calls("text"), final('{"celsius": 20}')))
    path = tmp_path / "run.json"
    assert atom.run("Go.", tools=[text], output=Weather, checkpoint=path).output == Weather(celsius=20)
    assert motet.Run.load(path).output is None
    assert atom.resume(path, output=Weather).output == Weather(celsius=20)
    assert atom.resume(path).output == '{"celsius": 20}'
    with pytest.raises(motet.SchemaMismatchError):
        atom.resume(path, output=list[int])


def test_answer_of_the_wrong_type_is_not_a_step() -> None:
    answers = iter([calls("text"), final("no JSON"), final('{"celsius": 3}')])
    atom, _ = fake_atom(lambda messages: next(answers))
    with pytest.raises(motet.InvalidJsonError) as caught:
        atom.run("Go.", tools=[text], output=Weather)
    state = caught.value.state  # type: ignore[attr-defined]
    assert (len(state.steps), len(state.aborted)) == (1, 1)
    assert atom.resume(state, tools=[text], output=Weather).output == Weather(celsius=3)


def test_run_cost_is_the_sum_of_its_answers(house: House, lane: str) -> None:
    atom, _ = house.asking(lane, Turn(calls("text"), cached=10), final("A"))
    run = atom.run("Go.", tools=[text], allow_text_calls=True)
    assert run.metrics.cost.cash.total == sum(Decimal(step.metrics.cost.cash.total or 0) for step in run.steps)
    sums(run)


def test_step_is_priced_by_the_model_that_answered(house: House) -> None:
    with asking(Turn(calls("text"), model="openai/gpt-oss-20b"), final("A")) as (atom, _):
        run = atom.run("Go.", tools=[text])
    assert [step.model for step in run.steps] == ["openai/gpt-oss-20b", "openai/gpt-oss-120b"]
    sums(run)


def test_tool_with_max_calls_is_denied_beyond_them() -> None:
    effects: list[int] = []

    @motet.tool(max_calls=2)
    def search(x: int) -> int:
        effects.append(x)
        return x

    three = calls(*[("search", f'{{"x": {x}}}') for x in (1, 2, 3)])
    atom, _ = fake_atom(turns(three, calls(("search", '{"x": 4}')), final("A")))
    run = atom.run("Go.", tools=[search])
    assert effects == [1, 2]
    signals = [record.signal for step in run.steps for record in step.calls]
    assert signals == ["success", "success", "error:constraint", "error:constraint"]
    assert "limit of 2 calls" in run.steps[1].calls[0].content


def test_last_step_offers_no_tools_with_answer_at_limit() -> None:
    def search(x: int) -> int:
        return x

    atom, backend = fake_atom(turns(calls(("search", '{"x": 1}')), final("A")))
    assert atom.run("Go.", tools=[search], max_steps=2, answer_at_limit=True).text == "A"
    assert [bool(request.tools) for request in backend.requests] == [True, False]
