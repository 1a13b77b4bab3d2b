"""Keys of requests that constrain decoding: which of them each server takes, and what it refuses in them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from motet.testing.server.faces import Face

__all__ = ["grammar_problems"]

_VLLM_KINDS = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
_SGLANG_KINDS = ("json_schema", "regex", "ebnf")
_RESPONSE_FORMATS = ("text", "json_object", "json_schema", "structural_tag")
_INNER = ("content", "format")
_INNER_LISTS = ("elements", "tags")
_TAG_TYPES = frozenset(
    (
        *("any_text", "any_tokens", "const_string", "dispatch", "exclude_token", "grammar", "json_schema", "optional"),
        *("or", "plus", "qwen_xml_parameter", "regex", "repeat", "sequence", "star", "tag", "tags_with_separator"),
        *("token", "token_dispatch", "token_triggered_tags", "triggered_tags"),
    )
)
"""`type` of the formats of a structural tag, as xgrammar 0.2 reads them."""
_GBNF_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|#[^\n]*|[A-Za-z][A-Za-z0-9-]*|::=|[()]')


def grammar_problems(body: Mapping[str, Any], face: Face) -> Iterator[str]:
    """The messages with which a server refuses the grammar of a request to `/v1/completions`."""
    if face.grammar == "vllm":
        yield from _vllm_problems(body)
    elif face.grammar == "sglang":
        yield from _sglang_problems(body)
    elif face.grammar == "llamacpp":
        yield from _llamacpp_problems(body)


def _vllm_problems(body: Mapping[str, Any]) -> Iterator[str]:
    limits = body.get("structured_outputs")
    if limits is not None and not isinstance(limits, Mapping):
        yield "structured_outputs: Input should be a dictionary or an instance of StructuredOutputsParams"
        return
    yield from _response_format_problems(body)
    kinds = [kind for kind in _VLLM_KINDS if limits and limits.get(kind) is not None]
    if limits is not None and not kinds:
        yield f"You must use one kind of structured outputs constraint but none are specified: {limits}"
    if len(kinds) + _has_format(body) > 1:
        yield f"You can only use one kind of structured outputs constraint but multiple are specified: {limits}"
    for kind in ("regex", "grammar", "structural_tag"):
        value = limits.get(kind) if limits else None
        if value is not None and not isinstance(value, str):
            yield f"structured_outputs.{kind}: Input should be a valid string"
        if isinstance(value, str) and kind != "regex" and not value.strip():
            yield f"structured_outputs.{kind} cannot be an empty string"
    tag = limits.get("structural_tag") if limits else None
    if isinstance(tag, str) and not _is_tag(_json(tag)):
        yield "Invalid structured_outputs structural_tag specification."
    if limits and limits.get("choice") == []:
        yield "Choice '[]' cannot be an empty list"


def _sglang_problems(body: Mapping[str, Any]) -> Iterator[str]:
    for kind in _SGLANG_KINDS:
        if body.get(kind) is not None and not isinstance(body[kind], str):
            yield f"{kind}: Input should be a valid string"
    yield from _response_format_problems(body)
    kinds = [kind for kind in _SGLANG_KINDS if body.get(kind) is not None]
    if len(kinds) + _has_format(body) > 1:
        yield "Only one of json_schema, regex, ebnf, or structural_tag can be set."


def _llamacpp_problems(body: Mapping[str, Any]) -> Iterator[str]:
    grammar = body.get("grammar")
    if grammar is not None and not (isinstance(grammar, str) and _is_gbnf(grammar)):
        yield "Failed to initialize samplers: failed to parse grammar"


def _response_format_problems(body: Mapping[str, Any]) -> Iterator[str]:
    form = body.get("response_format")
    if form is None:
        return
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind not in _RESPONSE_FORMATS:
        yield f"response_format.type: Input should be {', '.join(map(repr, _RESPONSE_FORMATS))}"
    elif kind == "json_schema" and not isinstance(form.get("json_schema"), Mapping):
        yield "When response_format type is 'json_schema', the 'json_schema' field must be provided."
    elif kind == "structural_tag" and not _is_tag(form):
        yield "Invalid response_format structural_tag specification."


def _has_format(body: Mapping[str, Any]) -> bool:
    form = body.get("response_format")
    return isinstance(form, Mapping) and form.get("type") not in (None, "text")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_tag(tag: object) -> bool:
    """True if a structural tag has the form of xgrammar 0.2, or the older one with `structures`."""
    if not isinstance(tag, Mapping) or tag.get("type") != "structural_tag":
        return False
    if "structures" in tag:
        return isinstance(tag["structures"], list) and isinstance(tag.get("triggers"), list)
    return _is_format(tag.get("format"))


def _is_format(form: object) -> bool:
    if not isinstance(form, Mapping) or form.get("type") not in _TAG_TYPES:
        return False
    inner = [form[key] for key in _INNER if key in form]
    for key in _INNER_LISTS:
        inner += form.get(key, ())
    return all(map(_is_format, inner))


def _is_gbnf(text: str) -> bool:
    """True if a text is GBNF with a rule `root`, closed brackets, and a rule for each name."""
    tokens = [token for token in _GBNF_TOKEN.findall(text) if not token.startswith("#")]
    names = {token for token, after in itertools.pairwise(tokens) if after == "::="}
    used = {token for token in tokens if token[0].isalpha()}
    return "root" in names and used <= names and tokens.count("(") == tokens.count(")")
