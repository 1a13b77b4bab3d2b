"""Keys, passwords and card numbers in training data: a model may repeat what it was trained on.

Only secrets with a shape of their own are found. Speed on 0.9 MB of JSONL, one thread: `may_hold_secret` alone 36.6
MB/s; a trace and a pattern for each kind 8.3; the patterns alone 2.1; detect-secrets 0.086, with 8,610 findings in
200 kB of documentation. So lines are filtered by traces, and only suspect ones are searched.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from motet.errors import ConfigError
from motet.tune.finding import MAX_FINDINGS, Finding, shortened

__all__ = ["KINDS", "check_kinds", "find_secrets", "may_hold_secret", "scan_line"]


class _Kind(NamedTuple):
    traces: tuple[str, ...]
    """One of them is in every line with such a secret, in lower case."""
    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool]
    """A further test of what the pattern matches."""


def _is_card(text: str) -> bool:
    """Luhn's check digit. One random number in ten passes, so the pattern takes real issuers' numbers only."""
    digits = [int(digit) for digit in text if digit.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and len({*digits}) > 2


def _is_random(text: str) -> bool:
    """Whether a value looks like a key, not like a word or a placeholder."""
    value = re.split(r"[=:\s\"']+", text)[-1] or text
    kinds = [any(test(c) for c in value) for test in (str.islower, str.isupper, str.isdecimal)]
    return sum(kinds) >= 2 and len({*value}) >= 10


def _is_password(url: str) -> bool:
    """Whether the password of a URL is a real one: not a placeholder, nor a default account of a local server."""
    user, _, rest = url.partition("://")[2].partition(":")
    password, _, host = rest.rpartition("@")
    host = host.rstrip(".-").casefold()
    is_local = "." not in host or host.startswith("127.") or host == "0.0.0.0"
    is_default = is_local and password.casefold() == user.casefold()
    return not (re.fullmatch(_PLACEHOLDER, password) or len({*password}) == 1 or is_default)


_PLACEHOLDER = re.compile(
    r"(?:my|your|the|db|user)?[-_.]?(?:pass|passwd|password|passwort|pwd|secret|token|key|changeme|change[-_]me|example)"
    r"|user(?:name)?|login",
    re.IGNORECASE,
)
_START = r"(?<![A-Za-z0-9])"
_TABLE: dict[str, tuple[str, str, Callable[[str], bool]]] = {
    # kind: traces, pattern, further test
    "aws": ("akia asia", r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])", bool),
    "github": ("ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", r"(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{60,})", bool),
    "gitlab": ("glpat-", r"glpat-[\w-]{20,}", bool),
    "google": ("aiza", r"AIza[\w-]{35}(?![\w-])", bool),
    "huggingface": ("hf_", r"hf_[A-Za-z0-9]{30,}", _is_random),
    "npm": ("npm_", r"npm_[A-Za-z0-9]{36}", bool),
    "openai": ("sk-", r"sk-(?:proj-|svcacct-|ant-|or-)?[\w-]{20,}", _is_random),
    "pypi": ("pypi-", r"pypi-[\w-]{50,}", bool),
    "slack": ("xox", r"xox[abeoprs]-[\w-]{10,}", _is_random),
    "stripe": ("k_live_ k_test_", r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}", bool),
    "together": ("tgp_v1_", r"tgp_v1_[\w-]{20,}", bool),
    "jwt": ("eyj", r"eyJ[\w-]{8,600}\.eyJ[\w-]{8,20000}\.[\w-]{16,}", bool),
    "private_key": ("-----begin", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----", bool),
    "url_password": (
        r":// :\/\/",
        r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>{}$]{1,80}:[^\s/@\"'<>{}$]{3,120}@[\w.-]+",
        _is_password,
    ),
    "assigned": (
        "key secret token passw",
        r"(?i:api_?-?key|secret(?:_?-?key)?|access_?-?key|(?:auth_?-?|access_?-?)?token|passw(?:or)?d)"
        r"[\"']{0,2}\s{0,3}[:=]\s{0,3}[\"']?[A-Za-z0-9+/_.-]{20,200}={0,2}",
        _is_random,
    ),
    "card": (
        "",
        r"(?<![\d.-])(?:(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6011|65\d\d)([ -]?)\d{4}\1\d{4}\1\d{4}"
        r"|3[47]\d\d([ -]?)\d{6}\2\d{5})(?![\d-]|\.\d)",
        _is_card,
    ),
}
_KINDS = {
    name: _Kind(
        tuple(traces.split()),
        # Keys are ASCII; a password in a URL may be any text.
        re.compile(_START + pattern, re.NOFLAG if name == "url_password" else re.ASCII),
        is_secret,
    )
    for name, (traces, pattern, is_secret) in _TABLE.items()
}
KINDS = tuple(_KINDS)
"""The kinds of secrets, as `allow` names them."""

_AFTER_TRACE = {
    "assigned": r"(?:o?r?d)?(?:\\?[\"']){0,2}(?:\s|\\[nrt]){0,3}[:=](?:\s|\\[nrt]){0,3}(?:\\?[\"'])?"
    r"(?:\w|[+.-]|\\?/){20}",
    "url_password": r"[^\s/:@\"'<>{}$]{1,80}:[^\s/@\"'<>{}$]{3,120}@",
}
_COMMON_TRACES = {
    trace: re.compile(re.escape(trace) + after, re.ASCII)
    for name, after in _AFTER_TRACE.items()
    for trace in _KINDS[name].traces
}
"""Traces that are common words, with what follows them in a secret. Each is a pattern of its own: patterns that begin
with literal text are searched fast, those that begin with a choice are not."""
_RUN_TRACES = [
    (name, trace)
    for name, kind in _KINDS.items()
    for trace in kind.traces
    if name not in ("private_key", "url_password", "card")
]
"""Secrets of these kinds have a run of at least 15 of the characters below, which prose seldom has, and the trace in it
or at most `_BEFORE_RUN` bytes before it."""
_RUN = b"x" * 15
_RUN_CLASS = bytes([ord("x") if bytes([c]).isalnum() or c in b"+/_.-\\" else ord(" ") for c in range(256)])
_BEFORE_RUN = 32
_DIGIT_CLASS = bytes([ord("0") if c in b"0123456789" else c for c in range(256)])
_ESCAPED_ASCII = re.compile(rb"\\u00[0-7]")
"""JSON may escape any letter, which hides it from the traces."""


def _suspects(lower: bytes) -> Iterator[str]:
    """The kinds with traces in a text in lower case, with or without JSON's escapes. Most texts have none, so this is
    optimised for finding none."""
    runs = _runs(lower)
    if runs:
        for name, trace in _RUN_TRACES:
            if trace in runs and (trace not in _COMMON_TRACES or _COMMON_TRACES[trace].search(runs)):
                yield name
    if b"-----begin" in lower:
        yield "private_key"
    if b"@" in lower:
        text = lower.decode("latin-1")
        if any(_COMMON_TRACES[trace].search(text) for trace in _KINDS["url_password"].traces):
            yield "url_password"
    digits = lower.translate(_DIGIT_CLASS)
    if b"0000" in digits and (b"0000 0000" in digits or b"0000-0000" in digits or b"00000000" in digits):
        yield "card"


def _runs(lower: bytes) -> str:
    """The long runs of key characters, each with the bytes before it. `str`: short texts are searched faster."""
    classes = lower.translate(_RUN_CLASS)
    start = classes.find(_RUN)
    runs = []
    while start >= 0:
        end = classes.find(b" ", start)
        end = len(lower) if end < 0 else end
        runs.append(lower[max(0, start - _BEFORE_RUN) : end])
        start = classes.find(_RUN, end)
    return b" ".join(runs).decode("latin-1")


def check_kinds(allow: Collection[str]) -> frozenset[str]:
    """`allow` as a set. Raises `ConfigError` for names that are neither in `KINDS` nor `all`."""
    if unknown := sorted({*allow} - {*KINDS, "all"}):
        raise ConfigError(f"unknown kind of secret: {', '.join(unknown)}; known are {', '.join(KINDS)} and all")
    return frozenset(allow)


def may_hold_secret(data: bytes, allow: Collection[str] = ()) -> bool:
    """Whether a line of JSON has traces of a secret. Fast; `False` is never wrong."""
    if "all" in allow:
        return False
    lower = data.lower()
    return bool(_ESCAPED_ASCII.search(lower)) or any(name not in allow for name in _suspects(lower))


def scan_line(data: bytes, value: Any, allow: Collection[str] = (), path: str = "") -> list[Finding]:
    """The secrets in a line of JSON and its value. `path`: the place of the value."""
    return [*itertools.islice(find_secrets(value, allow, path), MAX_FINDINGS)] if may_hold_secret(data, allow) else []


def find_secrets(value: Any, allow: Collection[str] = (), path: str = "") -> Iterator[Finding]:
    """The secrets in the strings of a JSON value, with their paths. Messages show their first characters only.

    `allow`: kinds that are not reported.
    """
    if "all" in allow:
        return
    stack: list[tuple[Any, str]] = [(value, path)]
    while stack:
        item, where = stack.pop()
        if isinstance(item, dict):
            named = [(shortened(str(key)), inner) for key, inner in reversed(item.items())]
            stack += [(inner, f"{where}.{key}" if where else key) for key, inner in named]
        elif isinstance(item, list | tuple):
            stack += [(inner, f"{where}[{index}]") for index, inner in reversed([*enumerate(item)])]
        elif isinstance(item, str):
            yield from _in_text(item, allow, where)


def _in_text(text: str, allow: Collection[str], path: str) -> Iterator[Finding]:
    suspects = {*_suspects(text.lower().encode("utf-8", "replace"))}
    spans: list[tuple[int, int]] = []
    """Those of the kinds before, sorted: a text is of one kind."""
    for name in filter(suspects.__contains__, KINDS):
        own_spans = []
        for match in _KINDS[name].pattern.finditer(text):
            start, end = match.span()
            index = bisect.bisect(spans, (start, end))
            neighbours = spans[max(index - 1, 0) : index + 1]
            if not _KINDS[name].is_secret(match[0]) or any(a < end and start < b for a, b in neighbours):
                continue
            own_spans.append((start, end))
            if name not in allow:
                message = f"a possible secret ({name}): {match[0][:4] + '…'!r}, {end - start} characters"
                mend = f"take it out, and revoke it if it is real; or allow {name!r}"
                yield Finding("secret", message, mend, path)
        spans = sorted(spans + own_spans)
