"""Secrets in training data: found, not shown, and allowed on request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet.tune.lines import dumps
from motet.tune.secret_scan import KINDS, find_secrets, may_hold_secret
from tests.support.training_rows import (
    ANSWER,
    SECRETS,
    USER,
    T,
    chat,
    report_of,
    texts,
)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_secret_is_found_hidden_and_allowable(kind: str) -> None:
    real, not_one = SECRETS[kind]
    for row in (chat(USER, {**ANSWER, "content": f"It is {real}."}), chat({**USER, "content": f'"{real}"'}, ANSWER)):
        for data in (dumps(row), json.dumps(row).replace("/", "\\/").encode() + b"\n"):
            report = report_of(data)
            assert [finding.code for finding in report.findings] == ["secret"], report.findings
            assert f"({kind})" in report.findings[0].message
            assert report.findings[0].path in ("messages[0].content", "messages[1].content")
            assert real not in str(report.findings) and not report.ok
            assert report_of(data, allow=[kind]).ok and report_of(data, allow=["all"]).ok
            assert not report_of(data, allow=[other for other in KINDS if other != kind]).ok
    assert report_of(dumps(chat(USER, {**ANSWER, "content": f"It is {not_one}."}))).ok
    with pytest.raises(motet.ConfigError, match="nothing_like_it"):
        report_of(T, allow=["nothing_like_it"])


@given(st.sampled_from(KINDS), texts, texts, st.booleans())
def test_prefilter_passes_every_secret(kind: str, before: str, after: str, escaped: bool) -> None:
    row = {"text": f"{before} {SECRETS[kind][0]} {after}"}
    data = json.dumps(row, ensure_ascii=escaped).encode()
    assert may_hold_secret(data)
    hidden = data.replace(b"A", b"\\u0041").replace(b"s", b"\\u0073")
    assert may_hold_secret(hidden) and [*find_secrets(json.loads(hidden))]


@pytest.mark.parametrize("kind", KINDS)
def test_secret_ends_at_other_scripts(kind: str) -> None:
    """Findings do not depend on the rest of the line."""
    for text in (f"é{SECRETS[kind][0]} é", f"鍵{SECRETS[kind][0]}鍵"):
        for more in ("", " a_long_run_of_letters_that_keys_are_made_of"):
            row = {"text": text + more}
            (finding,) = find_secrets(row)
            assert f"({kind})" in finding.message
            assert may_hold_secret(dumps(row)) and may_hold_secret(json.dumps(row).encode())
    assert not [*find_secrets({"text": "sk-2024年のЖизньЖизньЖизньЖизнь a_long_run_of_letters"})]


@pytest.mark.parametrize(
    ("url", "is_secret"),
    [
        ("postgres://user:password@localhost:5432/db", False),
        ("postgresql://postgres:postgres@localhost/app", False),
        ("amqp://guest:guest@127.0.0.1:5672", False),
        ("redis://default:YOUR_PASSWORD@redis.example.com", False),
        ("mysql://root:root@db/app", False),
        ("https://user:xxxx@example.com", False),
        ("mongodb://user:pass@cluster0.example.net", False),
        ("postgres://admin:admin@db.example.com", True),
        ("postgres://app:s3cr3t-9f@localhost", True),
        ("https://bot:hunter2@example.com/", True),
    ],
)
def test_placeholder_passwords_are_not_secrets(url: str, is_secret: bool) -> None:
    for text in (url, f"Connect to {url}.", f"URL='{url}'"):
        assert bool([*find_secrets({"text": text})]) == is_secret
