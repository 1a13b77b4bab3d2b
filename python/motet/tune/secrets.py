"""Keys, passwords and card numbers in data that is going to be trained on: a model gives away what it learned.

Patterns of secrets that have a shape of their own, and nothing else: what looks like any other word is not found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from motet.tune.findings import Finding

__all__ = ["KINDS", "find_secrets", "may_hold_secret", "unknown_kinds"]


class _Kind(NamedTuple):
    pattern: re.Pattern[str]
    is_one: Callable[[str], bool]


def _card(text: str) -> bool:
    """Luhn's check digit, which a number has by chance once in ten times; so only numbers of real issuers count."""
    digits = [int(digit) for digit in text if digit.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and len({*digits}) > 2


def _random(text: str) -> bool:
    """Whether a value looks like a key, not like a word or a placeholder."""
    value = re.split(r"[=:\s\"']+", text)[-1] or text
    kinds = [any(test(c) for c in value) for test in (str.islower, str.isupper, str.isdecimal)]
    return sum(kinds) >= 2 and len({*value}) >= 10


_START = r"(?<![A-Za-z0-9])"
_TABLE: dict[str, tuple[str, str, Callable[[str], bool]]] = {
    # kind: traces, pattern, a further test
    "aws": ("akia asia", r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])", bool),
    "github": ("ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", r"(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{60,})", bool),
    "gitlab": ("glpat-", r"glpat-[\w-]{20,}", bool),
    "google": ("aiza", r"AIza[\w-]{35}(?![\w-])", bool),
    "huggingface": ("hf_", r"hf_[A-Za-z0-9]{30,}", _random),
    "npm": ("npm_", r"npm_[A-Za-z0-9]{36}", bool),
    "openai": ("sk-", r"sk-(?:proj-|svcacct-|ant-|or-)?[\w-]{20,}", _random),
    "pypi": ("pypi-", r"pypi-[\w-]{50,}", bool),
    "slack": ("xox", r"xox[abeoprs]-[\w-]{10,}", _random),
    "stripe": ("k_live_ k_test_", r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}", bool),
    "together": ("tgp_v1_", r"tgp_v1_[\w-]{20,}", bool),
    "jwt": ("eyj", r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}", bool),
    "private_key": ("-----begin", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----", bool),
    "url_password": (
        r":// :\/\/",
        r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>{}$]{1,80}:[^\s/@\"'<>{}$]{3,120}@[\w.-]",
        bool,
    ),
    "assigned": (
        "key secret token passw",
        r"(?i:api_?-?key|secret(?:_?-?key)?|access_?-?key|(?:auth_?-?|access_?-?)?token|passw(?:or)?d)"
        r"[\"']{0,2}\s{0,3}[:=]\s{0,3}[\"']?[A-Za-z0-9+/_.-]{20,200}={0,2}",
        _random,
    ),
    "card": (
        "",
        r"(?<![\d.-])(?:(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6011|65\d\d)([ -]?)\d{4}\1\d{4}\1\d{4}"
        r"|3[47]\d\d([ -]?)\d{6}\2\d{5})(?![\d-]|\.\d)",
        _card,
    ),
}
_CLOSER = {
    "assigned": r"(?:o?r?d)?(?:\\?[\"']){0,2}(?:\s|\\[nrt]){0,3}[:=](?:\s|\\[nrt]){0,3}(?:\\?[\"'])?"
    r"(?:\w|[+.-]|\\?/){20}",
    "url_password": r"[^\s/:@\"'<>{}$]{1,80}:[^\s/@\"'<>{}$]{3,120}@",
}
_KINDS = {
    name: _Kind(
        # Keys are ASCII; a password in a URL may be anything.
        re.compile(_START + pattern, re.NOFLAG if name == "url_password" else re.ASCII),
        test,
    )
    for name, (_, pattern, test) in _TABLE.items()
}
KINDS = tuple(_KINDS)
"""The kinds that are known, as `allow` names them."""

_TRACES = [(name, trace) for name, (traces, _, _) in _TABLE.items() for trace in traces.split()]
"""One of a kind's stands in every line with such a secret, in lower case: cheap to look for."""
_CLOSE = {trace: re.compile(re.escape(trace) + _CLOSER[name], re.ASCII) for name, trace in _TRACES if name in _CLOSER}
"""Each trace that is a common word, with what follows it in a secret. A pattern that begins with plain letters is found
fast; one that begins with a choice is not."""
_RUN = b"x" * 15
_AS_RUN = bytes([ord("x") if bytes([c]).isalnum() or c in b"+/_.-\\" else ord(" ") for c in range(256)])
_BEFORE = 32
"""What stands between the trace of a value that is assigned and the value, is no longer than this with the trace."""
_IN_RUNS = [(name, trace) for name, trace in _TRACES if name not in ("private_key", "url_password", "card")]
"""These kinds are a run of so many such letters, which prose seldom has, with a trace in it or close before it."""
_URLS = [trace for name, trace in _TRACES if name == "url_password"]
_AS_DIGITS = bytes([ord("0") if c in b"0123456789" else c for c in range(256)])
_ESCAPED = re.compile(rb"\\u00[0-7]")
"""JSON may write any letter so."""


def _suspects(lower: bytes) -> Iterator[str]:
    """The kinds of which traces stand in a text, in lower case and with or without JSON's escapes. Nearly always there
    are none, so this is mostly about seeing that fast."""
    runs = _runs(lower)
    if runs:
        for name, trace in _IN_RUNS:
            if trace in runs and (trace not in _CLOSE or _CLOSE[trace].search(runs)):
                yield name
    if b"-----begin" in lower:
        yield "private_key"
    if b"@" in lower and any(_CLOSE[trace].search(lower.decode("latin-1")) for trace in _URLS):
        yield "url_password"
    digits = lower.translate(_AS_DIGITS)
    if b"0000" in digits and (b"0000 0000" in digits or b"0000-0000" in digits or b"00000000" in digits):
        yield "card"


def _runs(lower: bytes) -> str:
    """The long runs of letters that keys are made of, each with what stands before it."""
    marked = lower.translate(_AS_RUN)
    start = marked.find(_RUN)
    if start < 0:
        return ""
    found = []
    while start >= 0:
        end = marked.find(b" ", start)
        end = len(lower) if end < 0 else end
        found.append(lower[max(0, start - _BEFORE) : end])
        start = marked.find(_RUN, end)
    # In a short text traces are found faster than in bytes.
    return b" ".join(found).decode("latin-1")


def unknown_kinds(allow: Collection[str]) -> list[str]:
    """What of `allow` is no kind; `all` is every kind."""
    return sorted({*allow} - {*KINDS, "all"})


def may_hold_secret(data: bytes, allow: Collection[str] = ()) -> bool:
    """Whether a line of JSON has the traces of a secret, so that it has to be looked at. Fast, and never wrongly
    `False`."""
    if "all" in allow:
        return False
    lower = data.lower()
    if _ESCAPED.search(lower):
        return True
    return any(name not in allow for name in _suspects(lower))


def find_secrets(value: Any, allow: Collection[str] = (), path: str = "") -> Iterator[Finding]:
    """The secrets in the strings of a JSON value, with their paths. What was found is not shown whole.

    `allow`: kinds that may be there.
    """
    if "all" in allow:
        return
    waiting: list[tuple[Any, str]] = [(value, path)]
    while waiting:
        one, where = waiting.pop()
        if isinstance(one, dict):
            waiting += [(inner, f"{where}.{key}" if where else str(key)) for key, inner in reversed(one.items())]
        elif isinstance(one, list | tuple):
            waiting += [(inner, f"{where}[{index}]") for index, inner in reversed([*enumerate(one)])]
        elif isinstance(one, str):
            yield from _in_text(one, allow, where)


def _in_text(text: str, allow: Collection[str], path: str) -> Iterator[Finding]:
    lower = text.lower().encode("utf-8", "replace")
    taken: list[tuple[int, int]] = []
    suspects = {*_suspects(lower)}
    for name, kind in _KINDS.items():
        if name not in suspects:
            continue
        for found in kind.pattern.finditer(text):
            start, end = found.span()
            if not kind.is_one(found[0]) or any(a < end and start < b for a, b in taken):
                continue
            taken.append((start, end))
            if name not in allow:
                shown = found[0][:4] + "…"
                yield Finding(
                    "secret",
                    f"what looks like a secret ({name}): {shown!r}, {end - start} characters",
                    f"take it out, and make it invalid if it was real; or allow {name!r}",
                    path,
                )
