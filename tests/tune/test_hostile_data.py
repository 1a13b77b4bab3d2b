"""Lines of training data that are made to cost memory or time: bounded, and refused as any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.tune import check, read_examples
from motet.tune.finding import MAX_FINDINGS
from tests.support.training_rows import ANSWER, USER, chat, line_of, report_of

MANY = 50_000


def text(value: str) -> bytes:
    return line_of({"text": value})


HOSTILE: dict[str, tuple[bytes, str]] = {
    "duplicate keys": (
        b'{"text": "T", ' + b", ".join([b'"%d": 1' % (n // 2) for n in range(MANY)]) + b"}\n",
        "duplicate_key",
    ),
    "lone surrogates": (b'{"text": "T", "x": [' + b", ".join([b'"\\ud800"'] * MANY) + b"]}\n", "half_character"),
    "empty messages": (line_of({"messages": [{}] * MANY}), "missing_key"),
    "unknown keys": (line_of({"text": 3, **{str(n): 1 for n in range(MANY)}}), "not_text"),
    "parts": (line_of(chat({**USER, "content": [{"type": "x"}] * MANY}, ANSWER)), "not_text"),
    "long keys": (line_of({"k" * 2_000_000: ["\ud800"] * 1000}), "half_character"),
    "secrets of two kinds": (text("ghp_" + "aB3" * 12 + " glpat-aB3-aB3-aB3-aB3-aB3- ") * 1, "secret"),
    "many secrets": (text(("ghp_" + "aB3" * 12 + " xoxb-2147483647-AbCdEfGhIj ") * 40_000), "secret"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_findings_of_a_line_are_bounded(name: str) -> None:
    data, code = HOSTILE[name]
    report = report_of(data)
    assert not report.ok and report.counts[code]
    assert len(report.findings) <= 4 * MAX_FINDINGS
    assert max([len(str(finding)) for finding in report.findings]) < 1000


@pytest.mark.parametrize(
    "value",
    [
        "-eyJaaaaaaaa" * 100_000,
        "-eyJaaaaaaaa.eyJ" + "a" * 3_000_000,
        "https://a" * 400_000,
        "-----BEGIN " + "A " * 1_000_000,
        "api_key" * 500_000,
        "4012-8888-8888-" * 200_000,
        "sk-" * 500_000,
    ],
    ids=["jwt", "long jwt", "url", "private key", "assigned", "card", "openai"],
)
def test_texts_near_secrets_are_scanned_in_linear_time(value: str) -> None:
    assert report_of(text(value)).lines == 1


def test_warnings_do_not_hide_an_error() -> None:
    row: Any = chat(USER, {**ANSWER, **{f"k{n}": 1 for n in range(1000)}}, {**ANSWER, "role": "alien"})
    report = report_of(json.dumps(row).encode() + b"\n")
    assert report.counts["unknown_key"] == MAX_FINDINGS
    assert report.counts["unknown_role"] == 1


@pytest.mark.parametrize("head", [b"[\n", b"Hello", b"{\n", b"x" * (9 << 20)], ids=["list", "text", "object", "line"])
def test_source_that_is_not_lines_is_bounded(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(1 << 28)
    with pytest.raises(motet.DataError, match="too large"):
        next(read_examples(path))


def test_files_that_are_no_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        check(tmp_path)
    assert not check("/dev/null").ok
