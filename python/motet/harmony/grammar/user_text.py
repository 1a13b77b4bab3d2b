"""Grammars that users bring as text: which form they have, and their rules under other names."""

from __future__ import annotations

import re

__all__ = ["is_gbnf", "renamed_rules"]

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|#[^\n]*|<[^>\n]*>|[A-Za-z][A-Za-z0-9_-]*|::=|.|\n')


def is_gbnf(text: str) -> bool:
    """True for GBNF (`root ::= ...`), False for Lark (`start: ...`)."""
    return any(token == "::=" for token in _TOKEN.findall(text))


def renamed_rules(text: str, prefix: str) -> dict[str, str]:
    """The rules of a GBNF text by name, each name with a prefix. Raises `ValueError` for a text without `root`, or with
    a rule that is not defined."""
    tokens = [token for token in _TOKEN.findall(text) if not token.startswith("#")]
    places = [at for at, token in enumerate(tokens) if token == "::="]
    heads = [_name_before(tokens, at) for at in places]
    names = {tokens[head] for head in heads}
    if "root" not in names:
        raise ValueError("a grammar in GBNF needs a rule root ::= ...")
    rules = {}
    for index, (place, head) in enumerate(zip(places, heads, strict=True)):
        end = heads[index + 1] if index + 1 < len(heads) else len(tokens)
        body = tokens[place + 1 : end]
        if undefined := [token for token in body if _is_name(token) and token not in names]:
            raise ValueError(f"the rule {tokens[head]} of the grammar uses {undefined[0]}, which is not defined")
        renamed = "".join([f"{prefix}{token}" if _is_name(token) else token for token in body])
        rules[f"{prefix}{tokens[head]}"] = " ".join(renamed.split("\n")).strip()
    return rules


def _is_name(token: str) -> bool:
    return token[0].isalpha()


def _name_before(tokens: list[str], place: int) -> int:
    """The index of the name before `::=`."""
    at = place - 1
    while at >= 0 and tokens[at].isspace():
        at -= 1
    if at < 0 or not _is_name(tokens[at]):
        raise ValueError("a rule of the grammar has no name")
    return at
