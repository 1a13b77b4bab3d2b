"""The type of an answer, from the schema that is sent to the value that comes back."""

from __future__ import annotations

import asyncio
import pickle
import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

import motet
from motet.schema.output import Output
from tests.support.server_scripts import CALL, PLAIN, WEATHER, aask, asking, final


class Review(BaseModel):
    approved: bool
    issues: list[str]
    note: str | None = None


@dataclass
class Point:
    x: int
    y: int


class Place(TypedDict):
    city: str


VALUES = [
    (Review, '{"approved": false, "issues": ["typo"], "note": null}', Review(approved=False, issues=["typo"])),
    (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    (Place, '{"city": "Oslo"}', {"city": "Oslo"}),
    (list[int], '{"value": [1, 2]}', [1, 2]),
    (
        list[Review],
        '{"value": [{"approved": true, "issues": [], "note": "x"}]}',
        [Review(approved=True, issues=[], note="x")],
    ),
    (int, '{"value": 42}', 42),
    (bool, '{"value": true}', True),
    (dict[str, int], '{"a": 1}', {"a": 1}),
]


@pytest.mark.parametrize(("hint", "raw", "value"), VALUES, ids=lambda item: str(item)[:40])
@pytest.mark.parametrize(("style", "lane"), [("together", "chat"), ("vllm", "ids")])
def test_outputs_of_all_types(hint: Any, raw: str, value: Any, style: str, lane: str) -> None:
    with asking(lambda _: final(raw), style=style, lane=lane) as (atom, server):
        answer = atom.ask("Go", output=hint)
        assert answer.output == value
        body = server.requests[-1].body
        if lane == "chat":
            form = body["response_format"]["json_schema"]
            # Strict mode has no place for a dict of any keys.
            assert form.get("strict") is (None if hint == dict[str, int] else True)
            assert form["schema"]["type"] == "object"
            assert answer.response_format == "service"
        else:
            assert "# Response Formats" in motet.decode(body["prompt"])
            assert "structural_tag" in body["structured_outputs"]
            assert answer.response_format == "service"


def test_nested_schemas_are_strict() -> None:
    class Inner(BaseModel):
        default: int = 3

    class Outer(BaseModel):
        inner: Inner
        many: list[Inner] = []
        named: dict[str, Inner] = {}

    with asking(final('{"inner": {"default": 1}, "many": [], "named": {"k": {"default": 2}}}')) as (atom, server):
        assert atom.ask("Go", output=Outer).output == Outer(inner=Inner(default=1), named={"k": Inner(default=2)})
        schema = server.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["inner", "many", "named"]
    assert schema["additionalProperties"] is False
    inner = schema["$defs"]["Inner"]
    # A property that is named like a word of JSON Schema is still a property.
    assert inner["required"] == ["default"]
    assert "default" not in inner["properties"]["default"]
    assert schema["properties"]["named"]["additionalProperties"] == {"$ref": "#/$defs/Inner"}


def test_tools_and_output_type_combine() -> None:
    with asking(CALL, final('{"approved": true, "issues": [], "note": null}')) as (atom, server):
        first = atom.ask("Review", output=Review, tools=[WEATHER])
        assert first.output is None
        assert first.response_format == "prompt"
        second = atom.ask([motet.ToolResult(first.calls[0].id, "{}")], on=first, output=Review, tools=[WEATHER])
        assert second.output == Review(approved=True, issues=[])
        for request in server.requests:
            assert "response_format" not in request.body
            assert "# Response Formats" in request.body["messages"][0]["content"]
    assert "# Response Formats" not in second.episode.system


def test_untyped_output_is_the_text() -> None:
    with asking(final("null"), final('{"a": 1}')) as (atom, _):
        assert [atom.ask("Go").output, atom.ask("Go").output] == ["null", '{"a": 1}']


def test_json_in_a_code_fence_is_parsed_and_noted() -> None:
    with asking(final('Here:\n```json\n{"x": 1, "y": 2}\n```\n')) as (atom, _):
        answer = atom.ask("Go", output=Point)
        assert answer.output == Point(1, 2)
        assert any("fenced" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("script", "options", "error"),
    [
        (final("no JSON"), {"output": Review}, motet.InvalidJsonError),
        (final('{"approved": "perhaps"}'), {"output": Review}, motet.SchemaMismatchError),
        (final('{"approved": true, "issues": ["a'), {"output": Review, "max_tokens": 9}, motet.TruncatedOutputError),
        (PLAIN, {"max_tokens": 12}, motet.TruncatedOutputError),
        (CALL, {"max_tokens": 24, "tools": [WEATHER]}, motet.TruncatedOutputError),
        (final(""), {}, motet.EmptyOutputError),
        ("<|channel|>analysis<|message|>Hm.<|end|>", {}, motet.OutputError),
    ],
)
@pytest.mark.parametrize("how", ["ask", "aask", "stream", "astream", "limited"])
def test_mismatched_answer_raises_output_error(
    script: str, options: Any, error: type[motet.OutputError], how: str
) -> None:
    with asking(script) as (atom, _), pytest.raises(error) as caught:
        if how == "ask":
            atom.ask("Go", **options)
        elif how == "aask":
            asyncio.run(aask(atom, "Go", **options))
        elif how == "stream":
            with atom.stream("Go", **options) as stream:
                list(stream)
        elif how == "astream":
            asyncio.run(_drain(atom, options))
        else:
            atom.ask("Go", max_cost="1", **options)
    result = caught.value
    assert isinstance(result.partial, motet.Answer)
    assert result.partial.output is None
    assert result.raw == result.partial.text
    assert result.usage.output == result.partial.metrics.size.tokens.output
    assert result.cost == result.partial.metrics.cost.cash.total > 0
    assert result.request_id
    again = pickle.loads(pickle.dumps(result))
    assert (type(again), str(again), again.raw) == (type(result), str(result), result.raw)
    if error is motet.SchemaMismatchError:
        assert result.problems == (
            "approved: Input should be a valid boolean, unable to interpret input",
            "issues: Field required",
        )  # type: ignore[attr-defined]


async def _drain(atom: motet.Atom, options: Any) -> None:
    async with atom, atom.astream("Go", **options) as stream:
        async for _ in stream:
            pass


def test_output_type_without_schema_is_refused() -> None:
    with asking(PLAIN) as (atom, server):
        with pytest.raises(TypeError, match="JSON Schema"):
            atom.ask("Go", output=threading.Lock)
        assert server.requests == []


def test_optional_text_is_plain_text() -> None:
    with asking(final("Yes."), final("")) as (atom, server):
        assert atom.ask("Go", output=str | None).output == "Yes."
        assert atom.ask("Go", output=str | None).output is None
        assert all("response_format" not in request.body for request in server.requests)


def test_decimals_keep_their_digits() -> None:
    number = "0.1000000000000000055511151231257827"
    with asking(final(f'{{"value": {number}}}')) as (atom, _):
        assert str(atom.ask("Go", output=Decimal).output) == number


def test_schema_of_the_caller_is_sent_and_its_text_unread() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    output = Output.of_schema(schema, "a city!")
    with asking(final('{"town": 1}'), final("")) as (atom, server):
        assert atom.ask("Where?", output=output).output == '{"town": 1}'
        sent = server.requests[-1].body["response_format"]["json_schema"]
        assert (sent["name"], sent["schema"]) == ("a_city", schema)
        assert atom.ask("Where?", output=output).output is None
