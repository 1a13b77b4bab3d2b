"""motet against llama.cpp's own server. Never run unless asked for: `make engine`, which builds it."""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

import motet
from motet import verify
from tests.support.llama_server import CONTEXT, MODEL, NAME, SERVER, likely, llama_server, post

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not SERVER or not MODEL, reason="needs what `make engine` builds"),
]

PROMPT = "What is the weather in Zürich, 青い空?"


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Day(Closed):
    month: int | None = None
    day: float


class Weather(Closed):
    city: str
    unit: Literal["C", "F"] = "C"
    days: list[Day] = Field(default=[], max_length=3)
    exact: bool | None = None


class Tree(Closed):
    """Refers to itself."""

    name: str
    children: list[Tree] = Field(default=[], max_length=2)


class Nothing(Closed):
    pass


class Labels(BaseModel):
    labels: dict[str, bool | None]


class Review(Closed):
    stars: Literal[1, 2, 3]
    why: str


ARGUMENTS: Mapping[str, type[BaseModel]] = {"weather": Weather, "tree": Tree, "now": Nothing, "labels": Labels}
TOOLS = [{"name": name, "parameters": model.model_json_schema()} for name, model in ARGUMENTS.items()]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with llama_server() as address:
        yield address


@pytest.fixture
def atom(url: str) -> Iterator[motet.Atom]:
    price = {"input": "0", "output": "0"}
    with motet.atom(NAME, base_url=url, context=CONTEXT, price=price) as opened:
        yield opened


def constrained(grammar: str, **weights: float) -> dict[str, Any]:
    # Without the cache, whose numbers differ a little, so that equal requests get equal answers.
    return {"grammar": grammar, "cache_prompt": False, **likely(**weights)}


def completed(url: str, **body: Any) -> dict[str, Any]:
    """The choice of a completion that is requested without motet's client."""
    response = post(url, "/v1/completions", {"model": NAME, **body})
    assert response.status_code == 200, response.text
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def whole_or_partial(asked: Callable[[], Any]) -> motet.Answer[Any]:
    """The answer, even if it is cut at the limit of tokens or empty."""
    try:
        answer: motet.Answer[Any] = asked()
    except (motet.TruncatedOutputError, motet.EmptyOutputError) as error:
        answer = error.partial
    return answer


def ask(atom: motet.Atom, **options: Any) -> motet.Answer[Any]:
    return whole_or_partial(lambda: atom.ask(PROMPT, **options))


# Tokens.

TEXTS = [
    PROMPT,
    "0123456789 1,234,567.89 ３٣",
    "naïve café — “quotes” …\r\n\r\n\ttabs  and   spaces \n",
    "مرحبا بالعالم שלום 你好，世界。안녕하세요",
    "👩‍👩‍👧‍👦🇨🇭 \u202e\u200b\ufeff",
    "don't I'LL we've HTMLParser camelCase SCREAMING_SNAKE x86_64",
    "<|im_start|> <|end <|endoftext <|startoftext",
    'fn main() { println!("{:?}", 1..=2); } // \\u00e9\n' * 3,
]


@pytest.mark.parametrize("text", TEXTS)
def test_token_ids_equal_the_servers(url: str, text: str) -> None:
    response = post(url, "/tokenize", {"content": text, "parse_special": False})
    assert response.json()["tokens"] == motet.encode(text)


def test_the_prompt_is_read_as_it_is_counted(url: str, atom: motet.Atom) -> None:
    prompt = motet.render([{"role": "user", "content": PROMPT}], tools=TOOLS)
    assert post(url, "/tokenize", {"content": prompt.text}).json()["tokens"] == prompt.ids
    # llama.cpp splits texts of these scripts at their vowel signs, and gets other ids than the model was trained with.
    for word in ("नमस्ते", "สวัสดี"):
        answer = atom.ask(word, extra=constrained('root ::= "<|channel|>final<|message|>Hi"'))
        assert answer.output == "Hi"
        assert answer.metrics.drift == 0


# Asking.


def test_the_server_is_recognised(atom: motet.Atom) -> None:
    health = atom.health()
    assert health.ok and health.serves


def test_an_answer_ends_at_the_limit(atom: motet.Atom) -> None:
    with pytest.raises(motet.TruncatedOutputError) as caught:
        atom.ask(PROMPT, max_tokens=12, seed=1)
    assert caught.value.partial is not None
    assert caught.value.partial.usage.output == 12


@pytest.mark.parametrize("marker", ["return", "call"])
def test_a_stop_token_ends_an_answer(url: str, marker: str) -> None:
    likely_marker = likely(**{marker: 100.0})
    choice = completed(url, prompt=motet.encode("a"), max_tokens=50, **likely_marker)
    assert (choice["text"], choice["finish_reason"]) == ("", "stop")


def test_the_text_has_markers_without_a_switch(url: str) -> None:
    """`--special` adds nothing: the server shows the markers within a completion, and `stop` leaves the last one out."""
    grammar = 'root ::= "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b"'
    choice = completed(url, prompt=motet.encode("a"), max_tokens=50, **constrained(grammar))
    assert choice["text"] == "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b"


@pytest.mark.parametrize("seed", range(3))
def test_a_stream_gives_the_same_answer(atom: motet.Atom, seed: int) -> None:
    grammar = motet.grammar(reasoning=False, format="gbnf")
    options: dict[str, Any] = {"seed": seed, "max_tokens": 300, "extra": constrained(grammar)}
    whole = ask(atom, **options)
    with atom.stream(PROMPT, **options) as stream:
        streamed = whole_or_partial(lambda: list(stream) and stream.answer)
    assert streamed.completion == whole.completion


def test_a_prompt_beyond_the_context_is_refused(atom: motet.Atom) -> None:
    with pytest.raises(motet.ContextOverflowError) as caught:
        atom.ask("word " * 5000)
    assert caught.value.limit == CONTEXT
    assert caught.value.tokens is not None and caught.value.tokens > 5000


def test_a_wrong_grammar_is_refused(atom: motet.Atom) -> None:
    with pytest.raises(motet.InvalidRequestError, match="grammar"):
        atom.ask(PROMPT, extra={"grammar": "root ::= ("})


# Constrained decoding. A completion that is longer than the limit is checked as far as it goes.


@pytest.fixture(scope="module")
def outcomes() -> collections.Counter[str]:
    """How many constrained completions were whole, and how many were cut."""
    return collections.Counter()


CHOICES: list[dict[str, Any]] = [
    {},
    {"tool_choice": "none"},
    {"tool_choice": "required"},
    {"tool_choice": "required", "reasoning": False},
    *[{"tool_choice": name} for name in ARGUMENTS],
    {"builtin_tools": ["python"], "tool_choice": "python"},
    {"builtin_tools": ["browser"], "tool_choice": "browser.open"},
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("choice", CHOICES, ids=json.dumps)
def test_constrained_answers_follow_the_format(
    atom: motet.Atom, outcomes: collections.Counter[str], choice: dict[str, Any], seed: int
) -> None:
    grammar = motet.grammar(TOOLS, **choice, format="gbnf")
    builtin_tools = choice.get("builtin_tools", ())
    answer = ask(atom, tools=TOOLS, builtin_tools=builtin_tools, seed=seed, max_tokens=300, extra=constrained(grammar))
    if not is_whole(answer, outcomes):
        return
    wanted = choice.get("tool_choice", "auto")
    assert not answer.calls if wanted == "none" else len(answer.calls) == 1 or wanted == "auto"
    for call in answer.calls:
        assert wanted in ("auto", "required", call.name)
        if call.name in ARGUMENTS:
            ARGUMENTS[call.name].model_validate_json(call.arguments)
        elif call.name != "python":
            assert isinstance(call.args(), dict)


OTHER_STOPS = {"call_without_recipient", "call_ended_by_stop"}
"""The engine ends a grammar with either stop token, and the lane of ids shows which one the noise took."""


def is_whole(answer: motet.Answer[Any], outcomes: collections.Counter[str]) -> bool:
    """False for a cut answer. A whole one must be parsed strictly, but for its stop token in the lane of ids."""
    cut = answer.finish == "length"
    outcomes["cut" if cut else "whole"] += 1
    codes = {repair.code for repair in answer.completion.repairs}
    if cut:
        assert codes <= {"truncated_content", "truncated_header"}
        return False
    if answer.lane == "ids" and codes & OTHER_STOPS:
        assert codes <= {"empty_answer", *OTHER_STOPS}
        return True
    assert codes <= {"empty_answer"}
    written = motet.render_frames(answer.completion.frames).text.removeprefix("<|start|>assistant")
    motet.parse(written, tools=TOOLS, strict=True)
    return True


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("output", [Review, Weather, Tree])
def test_constrained_answers_have_the_output_type(
    atom: motet.Atom, outcomes: collections.Counter[str], output: type[BaseModel], seed: int
) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": output.model_json_schema()}}
    grammar = motet.grammar(response_format=wanted, reasoning=False, format="gbnf")
    answer = ask(atom, output=output, seed=seed, max_tokens=300, extra=constrained(grammar))
    if is_whole(answer, outcomes):
        assert isinstance(answer.output, output)


FORCED: list[dict[str, Any]] = [
    {"tool_choice": "required"},
    *[{"tool_choice": name} for name in ARGUMENTS],
    {"tool_choice": "none"},
    {"builtin_tools": ["browser"], "tool_choice": "browser.find"},
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lane", ["text", "ids"])
@pytest.mark.parametrize("choice", FORCED, ids=json.dumps)
def test_forced_calls_are_made(
    atom: motet.Atom, outcomes: collections.Counter[str], choice: dict[str, Any], lane: Any, seed: int
) -> None:
    """The options alone: motet sends the grammar by itself."""
    extra = {"cache_prompt": False, **likely()}
    answer = ask(atom, tools=TOOLS, **choice, lane=lane, seed=seed, max_tokens=300, extra=extra)
    assert answer.lane == lane
    if not is_whole(answer, outcomes):
        return
    wanted = choice["tool_choice"]
    assert len(answer.calls) == (wanted != "none")
    for call in answer.calls:
        assert wanted in ("required", call.name)
        assert call.trusted == (lane == "ids")
        if call.name in ARGUMENTS:
            ARGUMENTS[call.name].model_validate_json(call.arguments)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lane", ["text", "ids"])
@pytest.mark.parametrize("output", [Review, Weather, Tree, list[int]])
def test_typed_outputs_are_written(
    atom: motet.Atom, outcomes: collections.Counter[str], output: Any, lane: Any, seed: int
) -> None:
    extra = {"cache_prompt": False, **likely()}
    answer = ask(atom, output=output, lane=lane, seed=seed, max_tokens=300, extra=extra)
    if is_whole(answer, outcomes):
        assert isinstance(answer.output, list if output == list[int] else output)
        assert answer.response_format == "service"
        assert not [repair for repair in answer.completion.repairs if repair.code.startswith("salvaged")]


OUTPUTS: list[tuple[dict[str, Any], str]] = [
    ({"regex": r"[a-z]{2,8}(-\d+)?"}, r"[a-z]{2,8}(-\d+)?"),
    ({"regex": r"[^\d\s]{1,5}\.(com|org)"}, r"[^\d\s]{1,5}\.(com|org)"),
    ({"choice": ["yes", 'say "so"\\', "né\n"]}, r'yes|say "so"\\|né\n'),
    (
        {"grammar": 'root ::= move ("," move)? # moves\nmove ::= [a-h] [1-8] | "O-O"'},
        r"([a-h][1-8]|O-O)(,([a-h][1-8]|O-O))?",
    ),
    ({"json_object": True}, r"(?s)\{.*\}"),
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("output", "pattern"), OUTPUTS)
def test_other_outputs_are_written(
    atom: motet.Atom, outcomes: collections.Counter[str], output: dict[str, Any], pattern: str, seed: int
) -> None:
    grammar = motet.grammar(output=output, format="gbnf")
    answer = ask(atom, seed=seed, max_tokens=300, extra=constrained(grammar))
    if is_whole(answer, outcomes):
        assert re.fullmatch(pattern, answer.text), answer.text


def test_grammar_continues_an_opened_frame(url: str) -> None:
    grammar = motet.grammar(opened="analysis", output={"choice": ["yes", "no"]}, format="gbnf")
    prompt = motet.render([{"role": "user", "content": PROMPT}])
    opened = [*prompt.ids, *motet.encode("<|channel|>analysis<|message|>", special="token")]
    choice = completed(url, prompt=opened, max_tokens=200, seed=1, **constrained(grammar))
    assert choice["finish_reason"] == "stop"
    assert motet.parse(choice["text"], opened="analysis").text in ("yes", "no")


def test_most_constrained_answers_are_whole(outcomes: collections.Counter[str]) -> None:
    print(dict(outcomes))
    assert outcomes["whole"] >= outcomes["cut"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lane", ["text", "ids"])
def test_a_run_calls_constrained_tools(atom: motet.Atom, lane: Literal["text", "ids"], seed: int) -> None:
    cities = []

    def weather(city: str) -> str:
        cities.append(city)
        return "Rain."

    grammar = motet.grammar([motet.tool(weather)], tool_choice="required", reasoning=False, format="gbnf")
    with pytest.raises((motet.LimitError, motet.TruncatedOutputError)) as caught:
        atom.run(
            PROMPT,
            tools=[weather],
            lane=lane,
            allow_text_calls=lane == "text",
            max_steps=3,
            seed=seed,
            max_tokens=200,
            extra=constrained(grammar, **{"return": -100.0}),
        )
    calls = [record for step in caught.value.state.steps for record in step.calls]
    assert [record.call.args()["city"] for record in calls] == cities
    assert all(record.call.trusted == (lane == "ids") for record in calls)


@pytest.mark.parametrize("seed", range(8))
def test_a_stream_of_ids_gives_the_same_text(atom: motet.Atom, seed: int) -> None:
    """Noise has many tokens that end within a character, which the stream leaves out."""
    # The limit is the server's own: noise has more tokens once it is encoded again, which motet would take for a fault.
    options: dict[str, Any] = {"seed": seed, "lane": "ids", "extra": {"n_predict": 500, "cache_prompt": False}}
    whole = ask(atom, **options)
    with atom.stream(PROMPT, **options) as stream:
        streamed = whole_or_partial(lambda: list(stream) and stream.answer)
    assert (streamed.lane, whole.lane) == ("ids", "ids")
    assert streamed.completion.text == whole.completion.text


def test_probes_judge_the_server_and_not_the_noise(url: str) -> None:
    """The model has no chat template of gpt-oss, which the counts show; noise calls nothing, which is no fault."""
    only = [
        "prompt.count",
        "prompt.stable",
        "history.null_content",
        "history.reasoning",
        "errors.json",
        "limits.context",
    ]
    report = verify.run(url, only=[*only, "models.list"])
    assert {result.probe.id for result in report.failures} == {"prompt.count", "history.reasoning", "errors.json"}
    assert verify.run(url, only=["tools.call"], tries=1).counts["inconclusive"] == 1
