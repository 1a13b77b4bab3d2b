"""Other outputs than text and schemas, and prompts that end elsewhere than behind the role: in real engines."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import motet
from motet.harmony.grammar.regex import to_gbnf_expression
from tests.support import grammar_engines as engines
from tests.support.grammars import CALL, FORMS, RETURN, dumped, ids_of

# The engines share their compiled vocabulary with the other grammar tests.
pytestmark = [pytest.mark.usefixtures("lent_vocabulary"), pytest.mark.xdist_group("grammar_engines")]

HEADER = "<|channel|>final<|message|>"
GBNF = 'root ::= move ("," move)* # moves\nmove ::= [a-h] [1-8] | "O-O"\n'
LARK = 'start: MOVE ("," MOVE)*\nMOVE: /[a-h][1-8]/ | "O-O"'


def engine(form: str, **options: Any) -> engines.Engine:
    grammar: Any = motet.grammar(**options, format=form)  # type: ignore[call-overload]
    if form == "lark":
        return engines.Llguidance(grammar)
    return engines.Xgrammar(grammar, (RETURN, CALL) if form == "gbnf" else (RETURN,))


def accepted(matcher: engines.Engine, *texts: str) -> list[bool]:
    return [matcher.accepts([*ids_of(HEADER), *motet.encode(text), RETURN]) for text in texts]


@pytest.mark.parametrize("form", FORMS)
def test_answers_of_other_outputs(form: str) -> None:
    outputs: list[tuple[dict[str, Any], list[str], list[str]]] = [
        ({"choice": ["yes", "no", 'say "so"/\\']}, ["yes", 'say "so"/\\'], ["yesno", "y", ""]),
        ({"json_object": True}, ['{"a": [1, null]}', "{}"], ["[]", "1", "{"]),
        ({"json": {"type": "array", "items": {"type": "integer"}}}, ["[1, 2]"], ['["a"]', "{}"]),
        ({"regex": r"^\d{2,3}(/[a-z]+)?$"}, ["12", "123/ab"], ["1", "12/", "12/ab/", " 12"]),
        ({"grammar": LARK if form == "lark" else GBNF}, ["e4", "e4,O-O,a1"], ["e9", "e4,", ""]),
    ]
    for output, good, bad in outputs:
        matcher = engine(form, output=output)
        assert accepted(matcher, *good) == [True] * len(good), (output, good)
        assert accepted(matcher, *bad) == [False] * len(bad), (output, bad)
        thought = ids_of(f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant{HEADER}")
        assert matcher.accepts([*thought, *motet.encode(good[0]), RETURN])


@pytest.mark.parametrize("form", FORMS)
def test_outputs_stand_beside_calls(form: str) -> None:
    matcher = engine(form, tools=["now"], output={"choice": ["yes", "no"]})
    assert matcher.accepts(ids_of(" to=functions.now<|channel|>commentary<|message|>{}<|call|>"))
    assert accepted(matcher, "yes", "maybe") == [True, False]
    forced = engine(form, tools=["now"], tool_choice="required", output={"choice": ["yes", "no"]})
    assert accepted(forced, "yes") == [False]


@pytest.mark.parametrize("form", FORMS)
def test_no_output_spells_a_marker(form: str) -> None:
    """A special token has no place in an answer, whatever its pattern allows."""
    matcher = engine(form, output={"regex": r"(.|\n|[^a])*"})
    assert accepted(matcher, "b\n c") == [True]
    for marker in ("<|end|>", "<|call|>", "<|start|>"):
        assert not matcher.accepts([*ids_of(HEADER + "b" + marker), *motet.encode("b"), RETURN])


PATTERNS = [
    r"a|b|",
    r"(ab)+c?",
    r"[a-c_]{1,2}[^a-c]",
    r"\w+@\w+\.(com|org)",
    r"\$\d{1,3}(,\d{3})*\.\d\d",
    r"(?:x|yy){2}z*?",
    r"(?P<year>\d{4})-\d\d",
    r"[\]\-^\\]+",
    r"[-a]",
    r"[a-]",
    r"\x41\u00e9",
    r"\s\S\D\W",
    r'"[^"]*"',
    r"a.c",
    r"",
    r"{x",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(st.data())
@examples(max_examples=8, deadline=None)
def test_patterns_match_as_in_python(pattern: str, data: st.DataObject) -> None:
    matcher = _compiled(pattern)
    text = data.draw(st.from_regex(pattern, fullmatch=True) | st.text("abcxyz019 ,.-_$@é\n]\\^", max_size=6))
    if "<" in text or (not text.isascii() and "\\u" not in pattern):
        return
    assert matcher.accepts([*motet.encode(text), RETURN]) == (re.fullmatch(pattern, text, re.ASCII) is not None), text


_MATCHERS: dict[str, engines.Engine] = {}


def _compiled(pattern: str) -> engines.Engine:
    if pattern not in _MATCHERS:
        _MATCHERS[pattern] = engines.Xgrammar(f"root ::= {to_gbnf_expression(pattern)}\n", (RETURN, CALL))
    return _MATCHERS[pattern]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"regex": "(?=a)"}, "GBNF cannot express"),
        ({"regex": r"(a)\1"}, "GBNF cannot express"),
        ({"regex": r"a\b"}, "GBNF cannot express"),
        ({"regex": "(?i)a"}, "GBNF cannot express"),
        ({"regex": "a^b"}, "GBNF cannot express"),
        ({"regex": "("}, "not a regular expression"),
        ({"choice": []}, "output must be a dict with one of"),
        ({"choice": [1]}, "choice must be a list of texts"),
        ({"choice": ["<|end|>"]}, "cannot tell"),
        ({"regex": "a", "choice": ["b"]}, "output must be a dict with one of"),
        ({"grammar": LARK}, "grammar is in Lark; the form gbnf takes GBNF"),
        ({"grammar": "first ::= root"}, "needs a rule root"),
        ({"grammar": 'root ::= other "a"'}, "uses other, which is not defined"),
        ({"json_object": False}, "output must be a dict with one of"),
    ],
)
def test_wrong_outputs_are_named(output: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        motet.grammar(output=output, format="gbnf")


def test_output_and_response_format_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="give one of them"):
        motet.grammar(output={"json_object": True}, response_format={"type": "json_object"})
    with pytest.raises(ValueError, match="grammar is in GBNF; the form lark takes Lark"):
        motet.grammar(output={"grammar": GBNF})


# Where the prompt ends.

WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
CALLED = dumped({"city": "Paris"}, 0) + "<|call|>"


@pytest.mark.parametrize("form", FORMS)
def test_grammar_begins_where_the_prompt_ends(form: str) -> None:
    call = f"<|channel|>commentary to=functions.get_weather json<|message|>{CALLED}"
    answer = f"{HEADER}Hi<|return|>"
    prompts: list[tuple[dict[str, Any], list[str], list[str]]] = [
        ({}, [answer, call], ["Hi<|return|>"]),
        ({"role": None}, [f"<|start|>assistant{answer}", f"<|start|>assistant{call}"], [answer]),
        ({"opened": "final"}, ["Hi<|return|>"], [answer, "Hi<|end|>"]),
        ({"opened": "analysis"}, [f"hm<|end|><|start|>assistant{call}"], ["hm<|return|>", answer]),
        ({"opened": "<|channel|>commentary to=functions.get_weather json<|message|>"}, [CALLED], [call, "5<|call|>"]),
        (
            {"opened": "<|channel|>commentary<|message|>", "tool_choice": "required"},
            [f"So:<|end|><|start|>assistant{call}"],
            [answer],
        ),
    ]
    for where, good, bad in prompts:
        matcher = engine(form, tools=[WEATHER], **where)
        assert [matcher.accepts(ids_of(text)) for text in good] == [True] * len(good), (where, good)
        assert [matcher.accepts(ids_of(text)) for text in bad] == [False] * len(bad), (where, bad)


def test_grammar_fits_a_prompt_that_continues_a_message() -> None:
    messages: list[Any] = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}]
    prompt = motet.render(messages, continue_final_message=True)
    assert prompt.opened == HEADER
    assert engine("lark", opened=prompt.opened).accepts(ids_of("Hi<|return|>"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opened": "<|channel|>"}, "opened must be a channel or a header up to <|message|>"),
        ({"opened": "final", "tool_choice": "required"}, "the frame is an answer, and tool_choice asks for a call"),
        ({"opened": "<|channel|>commentary to=functions.other<|message|>"}, "which tools and tool_choice do not allow"),
    ],
)
def test_impossible_beginnings_are_named(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        motet.grammar([WEATHER], **options)
