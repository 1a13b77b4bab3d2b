"""How near an answer comes to what it should have been: four plain measures, each from 0 to 1.

- **exact**: the same text, but for white space around it.
- **normalised**: the same words: compatibility forms, case, punctuation and white space do not count.
- **f1**: of the words of both, how many they share: the harmonic mean of precision and recall.
- **calls**: the same tool calls: names and arguments as JSON values, in any order.
"""

from __future__ import annotations

import collections
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Scores", "score", "words"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one answer, from 0 to 1. `None`: there is nothing to hold it against."""

    exact: float | None = None
    normalised: float | None = None
    f1: float | None = None
    calls: float | None = None


# A word is a run of letters and digits; of scripts that put no spaces, each sign is one.
_WORD = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\u3040-\u30ff\U00020000-\U0003ffff]|[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text, without case, punctuation and forms of the same sign."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def score(
    text: str, calls: Iterable[Mapping[str, Any]], expected: str | None, expected_calls: Iterable[Mapping[str, Any]]
) -> Scores:
    """An answer held against a reference. `calls`: dicts of `name` and `arguments`, which are JSON.

    A reference that is only calls says nothing of the text, and one without calls expects none.
    """
    wanted = list(expected_calls)
    if expected is None and not wanted:
        return Scores()
    same_calls = float(_canonical(calls) == _canonical(wanted))
    if not expected:
        return Scores(calls=same_calls)
    got, meant = words(text), words(expected)
    return Scores(
        float(text.strip() == expected.strip()),
        # Where there are no words at all, the signs are what there is.
        float(got == meant if meant else text.strip() == expected.strip()),
        _f1(got, meant) if meant else float(text.strip() == expected.strip()),
        same_calls if wanted or list(calls) else None,
    )


def _f1(got: list[str], meant: list[str]) -> float:
    shared = sum((collections.Counter(got) & collections.Counter(meant)).values())
    return 2 * shared / (len(got) + len(meant))


def _canonical(calls: Iterable[Mapping[str, Any]]) -> list[str]:
    """Calls in a form that can be compared: arguments by value, not by how they are written."""
    return sorted([json.dumps([call["name"], _value(call["arguments"])], sort_keys=True) for call in calls])


def _value(arguments: object) -> object:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments
