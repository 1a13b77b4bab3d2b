"""What an answer may be: any text, JSON of a schema, a regular expression, one of several texts, a grammar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motet._core import MARKERS
from motet.harmony import read_response_format
from motet.harmony.grammar.json_schema import normalised
from motet.harmony.grammar.nodes import AnyText, Choice, FixedText, JsonValue, Node, Pattern, UserGrammar
from motet.harmony.grammar.regex import to_gbnf_expression
from motet.harmony.grammar.user_text import is_gbnf

__all__ = ["answer_node"]

_NAME = "answer"
_KINDS = ("json", "json_object", "regex", "choice", "grammar")


def answer_node(response_format: Mapping[str, Any] | None, output: Mapping[str, Any] | None, form: str) -> Node:
    """The content of an answer. Raises `ValueError` for an output that the form cannot express, or both arguments."""
    if output is None:
        form_schema = read_response_format(response_format)
        return JsonValue(normalised(form_schema[2]), _NAME) if form_schema else AnyText()
    if response_format is not None:
        raise ValueError("output and response_format both say what an answer is; give one of them")
    match dict(output):
        case {"json": Mapping() | bool() as schema, **more} if not more:
            return JsonValue(normalised(schema), _NAME)
        case {"json_object": True, **more} if not more:
            return JsonValue({"type": "object"}, _NAME)
        case {"regex": str(pattern), **more} if not more:
            # One set of patterns in all forms, so that a grammar does not depend on the engine.
            to_gbnf_expression(pattern)
            return Pattern(pattern)
        case {"choice": list() | tuple() as texts, **more} if texts and not more:
            return Choice(tuple([FixedText(_choice(text, form)) for text in texts]))
        case {"grammar": str(text), **more} if not more:
            return UserGrammar(_checked(text, form), _NAME)
    raise ValueError(f"output must be a dict with one of {', '.join(_KINDS)}, not {output!r:.200}")


def _choice(text: Any, form: str) -> str:
    if not isinstance(text, str):
        raise ValueError(f"choice must be a list of texts: {text!r:.80}")
    if form != "lark" and any(marker in text for marker in MARKERS.values()):
        raise ValueError(f"choice: the form {form} cannot tell the text {text!r:.80} from a marker")
    return text


def _checked(text: str, form: str) -> str:
    if is_gbnf(text) == (form == "lark"):
        names = {True: "GBNF", False: "Lark"}
        raise ValueError(f"grammar is in {names[is_gbnf(text)]}; the form {form} takes {names[form != 'lark']}")
    return text
