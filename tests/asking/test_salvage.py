"""Calls and typed outputs that a model wrote elsewhere: how many are read, what never is, and what reading them keeps."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import motet
from motet.asking.salvage import CALL_MESSAGE, OUTPUT_MESSAGE, salvage
from motet.schema.output import Output
from tests.support.missed_calls import CASES, READ, REVIEW, WEATHER, Case, final, thought
from tests.support.server_scripts import asking

RIGHT = 191
"""Of the 200 cases, those that end right: docs/concepts/malformed-input.md says the number."""
MISSED = {"answer_doubt", "key_value_lines", "missing_brace"}
"""Ways that are not read: refusing words before a call, arguments without JSON, JSON that may be cut."""
CITY = '{"city": "Paris"}'
PRICE = {"input": "1", "output": "2"}


def is_right(case: Case, completion: motet.Completion) -> bool:
    codes = [repair.code for repair in completion.repairs if repair.code.startswith("salvaged")]
    if case.is_negative:
        return not completion.tool_calls and not codes
    if case.calls:
        calls = tuple([(call.name, call.args_or()) for call in completion.tool_calls])
        is_trusted = any(call.trusted for call in completion.tool_calls)
        return calls == case.calls and codes == ["salvaged_call"] and not is_trusted
    try:
        # In the chat lane a preamble is the answer.
        return bool(json.loads(completion.text) == case.value) and codes in ([], ["salvaged_output"])
    except ValueError:
        return False


def salvaged(text: str, choice: Any = "required", **options: Any) -> motet.Completion:
    options = {"tools": [WEATHER, READ], "tool_choice": choice, **options}
    return salvage(motet.parse(motet.encode(text, special="token"), tools=options["tools"]), **options)


def test_number_of_missed_calls_that_end_right() -> None:
    assert len(CASES) == 200
    completions = [salvaged(case.completion, case.tool_choice, tools=case.tools, schema=case.schema) for case in CASES]
    wrong = [case for case, completion in zip(CASES, completions, strict=True) if not is_right(case, completion)]
    assert {case.way for case in wrong} == MISSED
    assert len(CASES) - len(wrong) == RIGHT


@pytest.mark.parametrize(("style", "lane", "cases"), [("together", "chat", CASES[::4]), ("vllm", "ids", CASES[::2])])
def test_missed_calls_end_right_over_http(style: str, lane: str, cases: tuple[Case, ...]) -> None:
    """The server enforces nothing: it answers as scripted."""
    script = [case.completion for case in cases]
    wrong = set()
    with asking(*script, style=style, lane=lane, service={"grammar_key": None}) as (atom, _):
        for case in cases:
            output = str if case.schema is None else Output.of_schema(case.schema, "Answer")
            options = {"tools": case.tools, "tool_choice": case.tool_choice} if case.tools else {}
            try:
                completion = atom.ask("Go.", output=output, **options).completion
            except motet.EmptyOutputError as error:
                completion = error.partial.completion
            wrong |= set() if is_right(case, completion) else {case.way}
    assert wrong <= MISSED


def test_repairs_are_documented() -> None:
    page = Path(__file__).parents[2].joinpath("docs/reference/repairs.md").read_text()
    assert f"- `salvaged_call`: {CALL_MESSAGE}\n- `salvaged_output`: {OUTPUT_MESSAGE}\n" in page


def test_call_in_the_answer_is_untrusted_and_reported() -> None:
    completion = salvaged(final(f"Grüezi. I look:\n```json\n{CITY}\n```"), turn=3)
    preamble, call = completion.message.content
    assert preamble == motet.Preamble("Grüezi. I look:")
    assert isinstance(call, motet.ToolCall) and not call.trusted
    repair = completion.repairs[-1]
    assert (repair.code, repair.text, repair.message) == ("salvaged_call", CITY, CALL_MESSAGE)
    assert repair.position == len("Grüezi. I look:\n```json\n".encode())
    assert call.id != salvaged(final(CITY), turn=4).tool_calls[0].id


def test_what_the_model_wrote_is_kept() -> None:
    text = thought(f"We call get_weather with {CITY}.", "One moment.")
    before = motet.parse(motet.encode(text, special="token"))
    after = salvage(before, tools=[WEATHER], tool_choice="required")
    kinds = [type(part).__name__ for part in after.message.content]
    assert kinds == ["Reasoning", "Preamble", "ToolCall"]
    assert (after.frames, after.tokens, after.stop, after.lane) == (
        before.frames,
        before.tokens,
        before.stop,
        before.lane,
    )
    assert motet.Completion.from_dict(after.to_dict()) == after


@pytest.mark.parametrize("choice", [None, "auto", "none", {"type": "auto"}])
def test_nothing_is_read_where_no_call_is_asked_for(choice: Any) -> None:
    completion = motet.parse(final(CITY))
    assert salvage(completion, tools=[WEATHER], tool_choice=choice) is completion


@pytest.mark.parametrize(
    "choice",
    [
        "get_weather",
        {"type": "function", "function": {"name": "get_weather"}},
        {"type": "tool", "name": "get_weather"},
        {"type": "any"},
    ],
)
def test_choices_of_all_apis_ask_for_a_call(choice: Any) -> None:
    assert [call.name for call in salvaged(final(CITY), choice).tool_calls] == ["get_weather"]


def test_unknown_escapes_of_python_are_no_warning() -> None:
    """Warnings are errors in tests."""
    call = salvaged(final(r"read_file(path='C:\data\\new')")).tool_calls[0]
    assert call.args() == {"path": r"C:\data\new"}


def test_pages_about_calls_have_none() -> None:
    """This project's own pages, by paragraph and by block of code, quote calls and make none."""
    root = Path(__file__).parents[2]
    for page in [root / "README.md", *sorted(root.joinpath("docs").rglob("*.md"))]:
        text = page.read_text()
        for piece in {*text.split("\n\n"), *re.findall(r"```.*?```", text, re.DOTALL)}:
            completion = motet.Completion(motet.Message("assistant", (motet.Text(piece),)), "return", (), (), "chat")
            assert salvage(completion, tools=[WEATHER, READ], tool_choice="required") is completion, piece


def test_a_call_that_was_made_is_not_replaced() -> None:
    call = '<|channel|>commentary to=functions.read_file json<|message|>{"path": "a"}<|call|>'
    assert [call.name for call in salvaged(call, "get_weather").tool_calls] == ["read_file"]


def test_answer_of_the_schema_is_not_changed() -> None:
    completion = motet.parse(final(' {"stars": 4, "why": "a"} '))
    assert salvage(completion, schema=REVIEW) is completion


@given(st.text(st.sampled_from("{}[]()<>\"'\\:,=/ \nab1get_weathercity|`."), max_size=60))
def test_any_text_is_read_or_left(text: str) -> None:
    """What is read is said, is not trusted, and fits the tool."""
    completion = motet.parse(motet.encode(final(""), special="token"))
    content = (motet.Reasoning(text), motet.Text(text))
    completion = dataclasses.replace(completion, message=motet.Message("assistant", content))
    result = salvage(completion, tools=[WEATHER, READ, "now"], tool_choice="required", schema=REVIEW)
    if result is not completion:
        assert result.repairs[-1].code == "salvaged_call"
        assert all(isinstance(call.args(), dict) and not call.trusted for call in result.tool_calls)


@pytest.mark.parametrize("piece", ["[", "{", '{"a":', "get_weather(", "<tool_call>", "'", '{"a": "'])
def test_hostile_texts_take_no_longer_than_their_length(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    completion = motet.parse(final(text))
    assert salvage(completion, tools=[WEATHER], tool_choice="required", schema=REVIEW) is completion


# In answers.


class Review(BaseModel):
    stars: int
    why: str


REVIEWED = '{"stars": 4, "why": "ok"}'


@pytest.mark.parametrize(("style", "lane"), [("together", "chat"), ("vllm", "ids"), ("llamacpp", "text")])
def test_output_in_the_thought_becomes_the_value(style: str, lane: str) -> None:
    script = thought(f"The review is {REVIEWED}")
    with asking(script, style=style, lane=lane, price=PRICE) as (atom, _):
        answer = atom.ask("Review it.", output=Review, retries=2)
    assert answer.output == Review(stars=4, why="ok")
    assert answer.rejected == ()
    assert [repair.message for repair in answer.completion.repairs if repair.code == "salvaged_output"] == [
        OUTPUT_MESSAGE
    ]
    assert [note for note in answer.notes if note.startswith("salvaged_output: ")]


def test_output_that_can_be_read_is_left_as_it_is() -> None:
    with asking(final(f"Here:\n```json\n{REVIEWED}\n```")) as (atom, _):
        answer = atom.ask("Review it.", output=Review)
    assert answer.output == Review(stars=4, why="ok")
    assert answer.completion.repairs == ()


def test_salvaged_answers_cost_what_the_service_counts() -> None:
    script = thought(f"We call get_weather with {CITY}.")
    with asking(script, style="vllm", lane="ids", price=PRICE) as (atom, _):
        answer = atom.ask("Is it warm?", tools=[WEATHER], tool_choice="required")
        again = atom.estimate("Is it warm?", tools=[WEATHER], tool_choice="required")
    assert answer.usage is not None and answer.usage.output == len(motet.encode(script, special="token"))
    assert answer.cost == (Decimal(answer.usage.input or 0) + 2 * Decimal(answer.usage.output)) / 1_000_000
    assert sum(answer.metrics.size.tokens.by_channel.values()) == answer.usage.output
    assert again.exact and again.tokens.input == answer.usage.input


@pytest.mark.parametrize("how", ["ask", "aask", "stream", "astream"])
def test_every_way_of_asking_reads_the_call(how: str) -> None:
    options: Any = {"tools": [WEATHER], "tool_choice": "get_weather"}

    async def ask(atom: motet.Atom) -> motet.Answer[Any]:
        async with atom:
            if how == "aask":
                return await atom.aask("Is it warm?", **options)
            async with atom.astream("Is it warm?", **options) as stream:
                kinds.extend([event.kind async for event in stream if event.type == "start"])
            return stream.answer

    kinds: list[Any] = []
    with asking(thought(f"We call get_weather with {CITY}.", "One moment."), style="sglang", lane="ids") as (atom, _):
        if how.startswith("a") and how != "ask":
            answer = asyncio.run(ask(atom))
        elif how == "ask":
            answer = atom.ask("Is it warm?", **options)
        else:
            with atom.stream("Is it warm?", **options) as stream:
                kinds.extend([event.kind for event in stream if event.type == "start"])
            answer = stream.answer
    assert [(call.name, call.args(), call.trusted) for call in answer.calls] == [
        ("get_weather", {"city": "Paris"}, False)
    ]
    # The events are those of the model.
    assert kinds in ([], ["reasoning", "text"])


def test_next_prompt_has_the_salvaged_call_in_the_format() -> None:
    """The ids of the answer have no call, so a result behind them would answer nothing."""
    with asking(final(CITY), final("Warm."), style="vllm", lane="ids") as (atom, server):
        first = atom.ask("Is it warm?", tools=[WEATHER], tool_choice="required", lane="ids")
        assert first.sampled is not None
        atom.ask([motet.ToolResult(first.calls[0].id, "24")], on=first, tools=[WEATHER])
        prompt = motet.decode(server.requests[-1].body["prompt"])
    header = (
        '<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}'
    )
    assert header in prompt and "<|channel|>final" not in prompt


def test_runs_execute_salvaged_calls_only_on_request() -> None:
    cities: list[str] = []

    def get_weather(city: str) -> str:
        cities.append(city)
        return "24"

    for allowed in (False, True):
        with asking(final(CITY), final("Done."), style="vllm", lane="ids") as (atom, server):
            run = atom.run(
                "Is it warm?", tools=[get_weather], tool_choice="required", allow_text_calls=allowed, max_steps=2
            )
            assert run.text == "Done."
            assert cities == (["Paris"] if allowed else [])
            assert "to=functions.get_weather" in motet.decode(server.requests[-1].body["prompt"])


def test_cut_answers_are_not_searched() -> None:
    cut = motet.testing.Turn(final(CITY), finish="content_filter")
    with asking(cut) as (atom, _):
        answer: Any = None
        try:
            answer = atom.ask("Is it warm?", tools=[WEATHER], tool_choice="required")
        except motet.MotetError as error:
            answer = error.partial
    assert answer.calls == ()
