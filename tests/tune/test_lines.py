"""Strict JSON lines: any bytes, and back."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from motet.tune.lines import Line, dumps, parse, read_lines
from motet.tune.report import to_html, to_text
from tests.support.training_rows import (
    report_of,
    texts,
)


@given(st.binary())
def test_any_bytes_can_be_checked(data: bytes) -> None:
    report = report_of(data)
    assert report.bytes == len(data)
    assert report.lines == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    to_text(report)
    to_html(report)
    json.dumps(report.to_dict())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
        max_leaves=8,
    )
)
def test_written_lines_are_read_back(value: Any) -> None:
    data = dumps({"x": value})
    assert data.count(b"\n") == 1 and not {0x2028, 0x2029, 0x85} & set(map(ord, data.decode()))
    shape, findings = parse(Line(1, data, len(data)))
    assert shape == {"x": value} and not findings


@given(st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\n", b""))), st.integers(0, 200))
def test_lines_end_at_newlines_only(lines: list[bytes], size: int) -> None:
    data = b"\n".join(lines)
    for limit in (None, min(size, len(data))):
        read = list(read_lines(io.BytesIO(data), limit))
        assert b"".join([line.data for line in read]) == data[:limit]
        assert [line.number for line in read] == list(range(1, len(read) + 1))
        assert all(line.size == len(line.data) for line in read)


def test_nan_is_shown_by_its_name() -> None:
    findings = report_of(b'{"text": NaN}\n').findings
    assert [finding.message for finding in findings] == ["NaN is not JSON", 'must be a string: "NaN"']
