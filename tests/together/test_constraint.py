"""`tool_choice` and typed outputs in the raw lanes: the grammar that each server receives, and where it takes none."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import motet
from motet.backend import Request
from motet.testing.server.faces import FACES
from motet.testing.server.request_schema import problem
from motet.together import Service
from motet.together.constraint import constraint
from tests.support.server_scripts import CALL, PLAIN, WEATHER, asking, final

NAMED = {"type": "function", "function": {"name": "get_weather"}}
OWN_SERVERS: Any = [("vllm", "ids"), ("vllm", "text"), ("sglang", "ids"), ("llamacpp", "text"), ("llamacpp", "ids")]


class Review(BaseModel):
    stars: int


def sent_grammar(body: dict[str, Any]) -> str:
    """The grammar of a request in the form that its server reads, as text."""
    if "structured_outputs" in body:
        return str(body["structured_outputs"]["structural_tag"])
    return json.dumps(body["response_format"]) if "response_format" in body else str(body.get("grammar", ""))


@pytest.mark.parametrize(("face", "lane"), OWN_SERVERS)
@pytest.mark.parametrize("choice", ["required", NAMED, "get_weather", "none"])
def test_choice_is_sent_as_a_grammar(face: Any, lane: Any, choice: Any) -> None:
    with asking(PLAIN if choice == "none" else CALL, style=face, lane=lane) as (atom, server):
        answer = atom.ask("Is it warm?", tools=[WEATHER, "now"], tool_choice=choice)
        body = server.requests[-1].body
        assert server.requests[-1].path.endswith("/completions") and "tool_choice" not in body
        grammar = sent_grammar(body)
        assert ("to=functions.get_weather" in grammar) == (choice != "none")
        assert ("to=functions.now" in grammar) == (choice == "required")
        assert ("final" in grammar) == (choice == "none")
        assert "analysis" in grammar
        assert [call.name for call in answer.calls] == ([] if choice == "none" else ["get_weather"])
        assert not any("enforced" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("face", "page", "key"),
    [("vllm", "/inference/v1/generate", "structured_outputs"), ("sglang", "/generate", "structural_tag")],
)
def test_choice_is_sent_to_pages_of_ids(face: Any, page: str, key: str) -> None:
    with asking(CALL, style=face, lane="ids", service={"ids_page": page}) as (atom, server):
        answer = atom.ask("Is it warm?", tools=[WEATHER], tool_choice="required")
        assert server.requests[-1].path == page
        assert "to=functions.get_weather" in json.dumps(server.requests[-1].body["sampling_params"][key])
        assert [call.name for call in answer.calls] == ["get_weather"]


@pytest.mark.parametrize(("face", "lane"), OWN_SERVERS)
def test_output_type_is_sent_as_a_grammar(face: Any, lane: Any) -> None:
    with asking(final('{"stars": 3}'), style=face, lane=lane) as (atom, server):
        answer = atom.ask("Review it.", output=Review)
        body = server.requests[-1].body
        grammar = sent_grammar(body)
        assert "stars" in grammar and "analysis" in grammar
        prompt = body["prompt"] if isinstance(body["prompt"], str) else motet.decode(body["prompt"])
        assert "# Response Formats\n\n## Review\n\n" in prompt
        assert (answer.output, answer.response_format) == (Review(stars=3), "service")


@pytest.mark.parametrize(("face", "lane"), OWN_SERVERS)
def test_forced_answers_cost_what_the_service_counts(face: Any, lane: Any) -> None:
    with asking(CALL, style=face, lane=lane, price={"input": "1", "output": "2"}) as (atom, server):
        options: Any = {"tools": [WEATHER], "tool_choice": "required"}
        answer = atom.ask("Is it warm?", **options)
        estimate = atom.estimate("Is it warm?", **options)
        prompt = server.requests[-1].body["prompt"]
    assert answer.usage is not None and answer.usage.output is not None
    assert answer.usage.input == len(prompt) == estimate.tokens.input and estimate.exact
    assert answer.cost == (Decimal(len(prompt)) + 2 * Decimal(answer.usage.output)) / 1_000_000
    assert sum(answer.metrics.size.tokens.by_channel.values()) == answer.usage.output


@pytest.mark.parametrize(("face", "lane"), OWN_SERVERS)
def test_free_answers_get_no_grammar(face: Any, lane: Any) -> None:
    with asking(PLAIN, PLAIN, PLAIN, style=face, lane=lane) as (atom, server):
        atom.ask("Is it warm?", tools=[WEATHER])
        atom.ask("Is it warm?", tools=[WEATHER], tool_choice="auto")
        atom.ask("Is it warm?", tool_choice="none")
        assert [sent_grammar(request.body) for request in server.requests[-3:]] == ["", "", ""]


@pytest.mark.parametrize("face", ["vllm", "sglang", "llamacpp"])
def test_choice_does_not_change_the_lane(face: Any) -> None:
    with asking(PLAIN, CALL, style=face, lane="auto") as (atom, _):
        lanes = [atom.ask("Is it warm?", tools=[WEATHER], tool_choice=choice).lane for choice in ("auto", "required")]
        assert lanes[0] == lanes[1] != "chat"


def test_choice_asks_the_chat_lane_where_no_grammar_is_taken() -> None:
    with asking(CALL, style="ollama", lane="auto") as (atom, server):
        answer = atom.ask("Is it warm?", tools=[WEATHER], tool_choice="required")
        assert (answer.lane, server.requests[-1].body["tool_choice"]) == ("chat", "required")
        assert "tool_choice" in answer.lane_reason


def test_unenforced_choice_is_a_note() -> None:
    service = {"grammar_key": None}
    with asking(CALL, style="vllm", lane="ids", service=service) as (atom, server):
        answer = atom.ask("Is it warm?", tools=[WEATHER], tool_choice="required")
        assert sent_grammar(server.requests[-1].body) == ""
        assert [note for note in answer.notes if "tool_choice='required' is not enforced" in note]


def test_forbidden_tools_are_not_shown_where_no_grammar_is_taken() -> None:
    with asking(PLAIN, style="vllm", lane="ids", service={"grammar_key": None}) as (atom, server):
        answer = atom.ask("Is it warm?", tools=[WEATHER], builtin_tools=["python"], tool_choice="none")
        prompt = motet.decode(server.requests[-1].body["prompt"])
        assert "get_weather" not in prompt and "python" not in prompt
        assert [note for note in answer.notes if "the prompt has no tools" in note]


def test_built_in_function_can_be_chosen() -> None:
    call = '<|channel|>analysis to=browser.search code<|message|>{"query": "x"}<|call|>'
    with asking(call, style="vllm", lane="ids") as (atom, server):
        answer = atom.ask("Search.", builtin_tools=["browser"], tool_choice="browser.search")
        grammar = sent_grammar(server.requests[-1].body)
        assert "to=browser.search" in grammar and "to=browser.open" not in grammar
        assert [call.name for call in answer.calls] == ["browser.search"]


def test_own_grammar_replaces_the_one_of_the_options() -> None:
    own = {"structured_outputs": {"regex": "a+"}}
    with asking(final("a"), style="vllm", lane="ids") as (atom, server):
        atom.ask("Go.", tools=[WEATHER], tool_choice="none", extra=own)
        assert server.requests[-1].body["structured_outputs"] == {"regex": "a+"}


@pytest.mark.parametrize(
    ("key", "form", "field"),
    [
        ("structured_outputs", "lark", "structured_outputs"),
        ("structured_outputs", "gbnf", "structured_outputs"),
        ("ebnf", "lark", "ebnf"),
        ("grammar", "lark", "grammar"),
    ],
)
def test_other_grammar_engines_are_set_by_hand(key: Any, form: Any, field: str) -> None:
    request = Request.of("gpt-oss-20b", [{"role": "user", "content": "Hi"}], tools=(WEATHER,), tool_choice="required")
    fields = constraint(request, "ids", Service(grammar_key=key, grammar_format=form))
    text = fields[field]["grammar"] if field == "structured_outputs" else fields[field]
    assert ("%llguidance" in text) == (form == "lark")


def test_impossible_choices_are_refused_before_sending() -> None:
    request = Request.of("gpt-oss-20b", [{"role": "user", "content": "Hi"}], tool_choice="required")
    with pytest.raises(motet.ConfigError, match="a call is required, but there are no tools"):
        constraint(request, "ids", Service(grammar_key="structured_outputs"))
    with pytest.raises(motet.ConfigError, match="response_format of a service takes no grammar in the form 'gbnf'"):
        Service(grammar_key="response_format", grammar_format="gbnf")


TAG = {"type": "structural_tag", "format": {"type": "any_text"}}
PROBLEMS: list[tuple[Literal["vllm", "sglang", "llamacpp"], dict[str, Any], str]] = [
    ("vllm", {"structured_outputs": {"regex": "a", "choice": ["b"]}}, "only use one kind"),
    ("vllm", {"structured_outputs": {}}, "none are specified"),
    ("vllm", {"structured_outputs": {"structural_tag": TAG}}, "should be a valid string"),
    ("vllm", {"structured_outputs": {"structural_tag": "{}"}}, "Invalid structured_outputs structural_tag"),
    ("vllm", {"structured_outputs": {"grammar": " "}}, "cannot be an empty string"),
    ("vllm", {"structured_outputs": {"choice": []}}, "cannot be an empty list"),
    ("vllm", {"structured_outputs": "root"}, "should be a dictionary"),
    ("vllm", {"response_format": {"type": "json"}}, "response_format.type"),
    ("vllm", {"response_format": TAG, "structured_outputs": {"regex": "a"}}, "only use one kind"),
    ("vllm", {"response_format": {"type": "json_schema"}}, "must be provided"),
    ("sglang", {"response_format": {**TAG, "format": {"type": "magic"}}}, "Invalid response_format structural_tag"),
    ("sglang", {"ebnf": {"root": "a"}}, "ebnf: Input should be a valid string"),
    ("sglang", {"ebnf": 'root ::= "a"', "regex": "a"}, "Only one of"),
    ("llamacpp", {"grammar": "root ::= ("}, "failed to parse grammar"),
    ("llamacpp", {"grammar": "root ::= other"}, "failed to parse grammar"),
    ("llamacpp", {"grammar": {"root": "a"}}, "failed to parse grammar"),
]


@pytest.mark.parametrize(("face", "fields", "message"), PROBLEMS)
def test_scripted_server_refuses_what_the_server_refuses(face: str, fields: dict[str, Any], message: str) -> None:
    body = {"model": "gpt-oss-20b", "prompt": [1], **fields}
    assert message in (problem("completions", body, FACES[face]) or "")


def test_scripted_server_takes_what_the_server_takes() -> None:
    for face, fields in (
        ("vllm", {"structured_outputs": {"structural_tag": json.dumps(TAG)}}),
        ("vllm", {"response_format": TAG}),
        ("sglang", {"response_format": {"type": "structural_tag", "structures": [], "triggers": []}}),
        ("sglang", {"ebnf": 'root ::= "a"'}),
        ("llamacpp", {"grammar": 'root ::= "(" [^)"] a # a comment\na ::= "b"'}),
        ("ollama", {"grammar": 3}),
    ):
        prompt: Any = "Hi" if face == "ollama" else [1]
        assert problem("completions", {"model": "gpt-oss-20b", "prompt": prompt, **fields}, FACES[face]) is None
