"""Judgments that several probes share."""

from __future__ import annotations

import re

from motet import _core
from motet.verify.exchange import Call, Exchange
from motet.verify.session import Doubt, Inconclusive, expect, require
from motet.verify.situations import UNICODE

__all__ = ["expect_no_markup", "expect_object", "find_markup", "judge_parallel", "judge_unicode", "require_finish"]

_LEAKED_HEADER = re.compile(r"^(assistant)?(analysis|commentary|final)(?=[A-Z<{ ]|to=)|assistantfinal|to=functions\.\w")


def find_markup(text: str) -> str | None:
    """Markers, or a header without them, in a text that a user would see."""
    for marker in _core.MARKERS.values():
        if marker in text:
            return marker
    match = _LEAKED_HEADER.search(text)
    return None if match is None else match.group()


def require_finish(exchange: Exchange, reason: str) -> None:
    """Raises `Failure` for another finish reason."""
    require(exchange.finish == reason, f"the finish reason is {exchange.finish!r}, not {reason!r}")


def expect_no_markup(exchange: Exchange) -> None:
    """Raises `Doubt` for markers or headers in the content."""
    expect(find_markup(exchange.content) is None, f"the content has markup: {exchange.content!r:.80}")


def expect_object(call: Call, what: str = "the arguments") -> None:
    """Raises `Doubt` for arguments that are not a JSON object."""
    expect(isinstance(call.value, dict), f"{what} are no JSON object: {call.arguments!r:.80}")


def judge_unicode(exchange: Exchange) -> str | None:
    """Whether characters arrive whole that take several tokens."""
    if "\ufffd" in exchange.content and UNICODE[2:6] in exchange.content:
        raise Doubt(f"characters are broken: {exchange.content!r:.80}")
    if UNICODE not in exchange.content:
        raise Inconclusive(f"the model wrote another text: {exchange.content!r:.60}")
    return None


def judge_parallel(exchange: Exchange) -> str | None:
    """Whether two calls of one turn stay apart."""
    first, second = exchange.calls[:2]
    require(first.id != second.id, f"two calls have the id {first.id!r}")
    for call in (first, second):
        expect_object(call)
    if [first.value, second.value] != [{"city": "Bern"}, {"city": "Rome"}]:
        raise Inconclusive(f"the model wrote other arguments: {first.arguments!r:.40}, {second.arguments!r:.40}")
    return None
