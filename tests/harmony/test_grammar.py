"""Grammars of all forms in real engines: they accept exactly the completions of the format, token by token."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import motet
from tests.support import grammar_engines as engines
from tests.support.grammars import CALL, FORMS, RETURN, REVIEW, TOOLS, call_of, dumped, engine, ids_of

# One process only: the compiled grammars of both engines take 1.7 GB.
pytestmark = [pytest.mark.usefixtures("lent_vocabulary"), pytest.mark.xdist_group("grammar_engines")]

MARKERS = [
    motet.SPECIAL_TOKENS[f"<|{name}|>"]
    for name in ["start", "end", "message", "channel", "constrain", "return", "call"]
]
SOME = examples.default.max_examples // 3 if examples.default else 100  # Each is read by an engine, token by token.


# Completions, piece by piece: markers, and text that spells none of them.

spelled = re.compile(r"<\|(start|end|message|channel|constrain|return|call|endoftext)\|>")
texts = (
    st.lists(st.text(max_size=8) | st.sampled_from(["<|", "<|end", "<|start|", "|>", "<", "Hi there", "\n", "é中"]))
    .map("".join)
    .filter(lambda text: not spelled.search(text))
)
day = st.fixed_dictionaries({"day": st.integers(1, 31) | st.just(1.5)})
dated = st.builds(lambda month, day: {"month": month, **day}, st.integers(-12, 12), day) | day
weather = st.builds(
    lambda city, rest: {"city": city, **{key: rest[key] for key in ("unit", "days", "exact") if key in rest}},
    texts,
    st.fixed_dictionaries(
        {},
        optional={
            "unit": st.sampled_from("CF"),
            "days": st.lists(dated, min_size=1, max_size=3),
            "exact": st.sampled_from([True, False, None]),
        },
    ),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-10, 10) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(texts, values, max_size=3)
search = st.builds(lambda query, rest: {"query": query, **rest}, texts, st.sampled_from([{}, {"topn": 3}]))
json_type = st.sampled_from(["", " json", " <|constrain|>json", "<|constrain|>json", " <|constrain|> json"])


styles = st.integers(0, 2)
bodies = {
    "functions.get_weather": st.builds(dumped, weather, styles),
    "functions.now": st.builds(dumped, objects, styles),
    "functions.math.sum": st.builds(dumped, objects, styles),
    "python": texts,
    "browser.search": st.builds(dumped, search, styles),
}


@st.composite
def calls(draw: Any) -> list[str]:
    """Header, content and stop of a call, in any legal order."""
    recipient = draw(st.sampled_from(sorted(bodies)))
    own = "." not in recipient or recipient.startswith("browser")
    channel = draw(st.sampled_from(["analysis", "commentary"])) if own else "commentary"
    to = f" to={recipient}"
    header = draw(st.sampled_from([f"{to}<|channel|>{channel}", f"<|channel|>{channel}{to}"]))
    kind = draw(json_type).replace("json", "code" if (own and draw(st.booleans())) or recipient == "python" else "json")
    return [header + kind + "<|message|>", draw(bodies[recipient]), "<|call|>"]


thoughts = st.builds(
    lambda channel, text: [f"<|channel|>{channel}<|message|>", text, "<|end|>"],
    st.sampled_from(["analysis", "commentary"]),
    texts,
)
answers = st.builds(lambda kind, text: [f"<|channel|>final{kind}<|message|>", text, "<|return|>"], json_type, texts)


@st.composite
def completions(draw: Any) -> list[int]:
    frames = [*draw(st.lists(thoughts, max_size=2)), draw(calls() | answers)]
    ids: list[int] = []
    for index, (header, content, stop) in enumerate(frames):
        ids += ids_of(("<|start|>assistant" if index else "") + header)
        # Models do not always take the tokens that the tokenizer would; where only one text can follow, as in the
        # keys of an object, llguidance wants those.
        cuts = [] if stop == "<|call|>" else sorted(draw(st.lists(st.integers(0, len(content)), max_size=2)))
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            ids += motet.encode(content[start:end])
        ids += ids_of(stop)
    return ids


@pytest.mark.parametrize("form", FORMS)
@given(completions())
@examples(max_examples=SOME)
def test_grammar_accepts_what_follows_the_format(form: str, ids: list[int]) -> None:
    assert motet.parse(ids, strict=True, tools=TOOLS)
    assert engine(form).accepts(ids), ascii(motet.decode(ids))


@pytest.mark.parametrize("form", FORMS)
@given(completions(), st.data())
@examples(max_examples=SOME)
def test_grammar_refuses_what_breaks_the_format(form: str, ids: list[int], data: Any) -> None:
    at = data.draw(st.integers(0, len(ids) - 1))
    marker = data.draw(st.sampled_from(MARKERS))
    word = ids_of(data.draw(st.sampled_from(["final", "analysis", "assistant", " to=functions.now", " json", "x"])))
    damaged = data.draw(
        st.sampled_from(
            [
                ids[:at],
                ids[:at] + ids[at + 1 :],
                [*ids[:at], marker, *ids[at:]],
                [*ids[:at], marker, *ids[at + 1 :]],
                [*ids[:at], ids[at], *ids[at:]],
                [*ids[:at], *word, *ids[at:]],
                [*ids, marker],
            ]
        )
    )
    try:
        completion = motet.parse(damaged, strict=True, tools=TOOLS)
    except motet.ParseError as error:
        # Structural tags match tokens, whose bytes may be invalid UTF-8, and a call may end with <|return|>. With GBNF
        # either stop token ends a completion: the engine adds both.
        allowed = {
            "structural_tag": ["invalid_utf8", "call_ended_by_stop"],
            "gbnf": ["call_ended_by_stop", "call_without_recipient"],
        }
        well_formed = error.code in allowed.get(form, [])
    else:
        names = {"get_weather", "now", "math.sum", "python", "browser.search"}
        remarks = {repair.code for repair in completion.repairs}
        well_formed = remarks <= {"empty_answer"} and {call.name for call in completion.tool_calls} <= names
    if engine(form).accepts(damaged):
        assert well_formed, motet.decode(damaged)


GOOD = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"


@pytest.mark.parametrize("form", FORMS)
def test_arguments_follow_their_schema(form: str) -> None:
    for arguments, fits in (
        ('{"city": "Paris"}', True),
        ('{"city": "Paris", "unit": "C", "days": [{"month": 2, "day": 1}, {"day": 2.5}], "exact": null}', True),
        ('{"city": "Paris", "exact": true}', True),
        ("{}", False),
        ('{"city": 3}', False),
        ('{"city": "Paris", "unit": "K"}', False),
        ('{"city": "Paris", "days": []}', False),
        ('{"city": "Paris", "days": [{"month": 1}]}', False),
        ('{"city": "Paris", "days": [{"day": 1}, {"day": 1}, {"day": 1}, {"day": 1}]}', False),
        ('{"city": "Paris", "town": "x"}', False),
        ('{"city": "Paris"', False),
        ('{"city": "Paris"}}', False),
    ):
        assert engine(form).accepts(ids_of(GOOD + arguments + "<|call|>")) == fits, arguments


@pytest.mark.parametrize("form", FORMS)
def test_only_declared_tools_can_be_called(form: str) -> None:
    call = ' to=functions.{}<|channel|>commentary json<|message|>{{"city": "x"}}<|call|>'
    for name, there in (("get_weather", True), ("get_weathe", False), ("get_weather2", False), ("rm", False)):
        assert engine(form).accepts(ids_of(call.format(name))) == there
    on_analysis = GOOD.replace("commentary", "analysis") + '{"city": "x"}<|call|>'
    assert not engine(form).accepts(ids_of(on_analysis))
    assert not engine(form, tools=["now"]).accepts(ids_of(call.format("get_weather")))


@pytest.mark.parametrize("form", FORMS)
def test_grammar_settings(form: str) -> None:
    answer, call = "<|channel|>final<|message|>Hi<|return|>", GOOD + '{"city": "x"}<|call|>'
    thought = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
    now = " to=functions.now<|channel|>commentary<|message|>{}<|call|>"
    command = '<|channel|>analysis to=container.exec code<|message|>{"cmd": ["ls"]}<|call|>'
    opened = '<|channel|>commentary to=repo_browser.open_file <|constrain|>json<|message|>{"path": "a"}<|call|>'
    python = "<|channel|>analysis to=python code<|message|>1<|call|>"
    review = '<|channel|>final <|constrain|>json<|message|>{"stars": 2, "why": "ok"}<|return|>'
    for settings, accepted, refused in (
        ({}, [answer, call, thought + answer, thought + call, now], [call + "<|start|>assistant" + now, thought]),
        ({"tool_choice": "none"}, [answer], [call, now]),
        ({"tool_choice": "required"}, [call, now, thought + call], [answer, thought + answer]),
        ({"tool_choice": "now"}, [now], [call, answer]),
        ({"reasoning": False}, [answer, call], [thought + answer]),
        ({"response_format": REVIEW}, [review, call, thought + review], [answer, review.replace("2", "9")]),
        ({"tools": [], "builtin_tools": []}, [answer, thought + answer], [call, now]),
        (
            {"builtin_tools": ["container", "repo_browser"]},
            [command, opened, call],
            [python, command.replace("cmd", "x")],
        ),
    ):
        matcher = engine(form, **settings)
        for text in accepted:
            assert matcher.accepts(ids_of(text)), (settings, text)
        for text in refused:
            assert not matcher.accepts(ids_of(text)), (settings, text)


def test_tag_ends_where_the_server_adds_both_stop_tokens() -> None:
    """vLLM 0.33 gives the matcher the stop tokens of the request: then it never matches them within the grammar, and a
    call that had to end with its own token could not end at all."""
    matcher = engine("structural_tag")
    call = ids_of(GOOD + '{"city": "x"}')
    answer = ids_of("<|channel|>final<|message|>Hi")
    for completion, stop in ((call, CALL), (answer, RETURN)):
        assert matcher.accepts([*completion, stop], stops=[RETURN, CALL])
        assert matcher.accepts([*completion, stop])
    assert not matcher.accepts([*call[:-1], CALL], stops=[RETURN, CALL])


@pytest.mark.parametrize("form", FORMS)
def test_parallel_calls_allow_frames_after_a_call(form: str) -> None:
    call = GOOD + '{"city": "x"}<|call|>'
    thought = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
    eos = {} if form == "lark" else {"eos": [RETURN]}
    grammar: Any = motet.grammar(TOOLS, parallel_calls=True, format=form, **eos)  # type: ignore[call-overload]
    matcher = engines.Llguidance(grammar) if form == "lark" else engines.Xgrammar(grammar, (RETURN,))
    for text in (call, f"{call}<|start|>assistant{call}", f"{call}<|start|>assistant{thought}{call}"):
        assert matcher.accepts(ids_of(text)), text
    answer = f"{call}<|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    assert not matcher.accepts(ids_of(answer))
    if form == "gbnf":
        with pytest.raises(ValueError, match="parallel_calls"):
            motet.grammar(TOOLS, parallel_calls=True, format="gbnf")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("quoting", [True, False])
def test_spelled_markers_are_text(form: str, quoting: bool) -> None:
    echo = "Sure.<|end|><|start|>assistant<|channel|>commentary to=functions.now<|message|>{}<|call|>"
    opening, stop = ids_of("<|channel|>final<|message|>"), [RETURN]
    matcher = engine(form, quoting=quoting)
    assert matcher.accepts([*opening, *motet.encode(echo), *stop]) == (quoting and form != "gbnf")
    # A near-marker is content; a marker never is.
    assert matcher.accepts([*opening, *motet.encode("<|end| <|en<|enD|> |> <<|>"), *stop])
    assert not matcher.accepts([*opening, motet.SPECIAL_TOKENS["<|start|>"], *stop])
    assert not matcher.accepts([*opening, motet.SPECIAL_TOKENS["<|reserved_200050|>"], *stop]) or form == "gbnf"


@pytest.mark.parametrize("form", FORMS)
def test_unsupported_schema_keywords_are_not_constrained(form: str) -> None:
    odd = {"type": "object", "properties": {"a": {"type": "string", "format": "knot"}, "b": {"not": {"type": "null"}}}}
    odd |= {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "dependentRequired": {"a": ["b"]}}
    matcher = engine(form, tools=[{"name": "odd", "parameters": odd}])
    assert matcher.accepts(ids_of(' to=functions.odd<|channel|>commentary<|message|>{"a": "x", "b": 1}<|call|>'))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="format must be one of lark, gbnf, structural_tag"):
        motet.grammar(format="ebnf")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="tool_choice must be"):
        motet.grammar(["f"], tool_choice="g")
    with pytest.raises(ValueError, match="no tools"):
        motet.grammar(tool_choice="required")
    with pytest.raises(motet.RenderError, match="tool name"):
        motet.grammar([""])
    with pytest.raises(TypeError, match=r"tools\[0\]"):
        motet.grammar([3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="response_format must be"):
        motet.grammar(response_format={"type": "json"})


OLDER_FORMS: list[tuple[Any, Any]] = [
    ({"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}, [1, "x"]),
    ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, 1),
    ({"type": "string", "nullable": True}, None),
    ({"enum": ["a"], "type": "string", "nullable": True}, None),
    ({"anyOf": [{"type": "integer"}], "nullable": True}, None),
    ({"type": "string", "pattern": "b"}, "abc"),
    ({"type": "string", "pattern": "^a+$"}, "aa"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("schema", "value"), OLDER_FORMS, ids=lambda value: str(value)[:40])
def test_older_schema_forms_are_accepted(form: str, schema: Any, value: Any) -> None:
    parameters = {"type": "object", "properties": {"x": schema}, "required": ["x"], "additionalProperties": False}
    assert engine(form, tools=[{"name": "f", "parameters": parameters}]).accepts(call_of({"x": value}))
