"""Pictures and pages of results."""

from __future__ import annotations

import math
import xml.etree.ElementTree
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from motet import tune
from motet.tune import Report
from motet.tune.job_states import Point
from motet.tune.report import bins_of, to_html
from tests.support.training_rows import (
    ANSWER,
    USER,
    T,
    U,
    chat,
    line_of,
    report_of,
)


def points(*losses: float, every: int = 1) -> tuple[Point, ...]:
    return tuple([Point(1 + step * every, {"train/loss": loss}) for step, loss in enumerate(losses)])


def test_curve_is_drawn_as_text() -> None:
    assert tune.curve(()) == ""
    drawn = tune.curve([*points(2.0, 1.5, 1.2, 1.1), Point(4, {"eval/loss": 1.3})], width=40, height=8)
    lines = drawn.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("   2 ┤")
    assert "o" in drawn
    assert lines[-1].split() == ["step", "1", "4"]
    assert tune.curve(points(1.0)).count("⠂") + tune.curve(points(1.0)).count("┤") >= 9
    assert tune.curve(points(math.nan, math.inf)) == ""


def test_svg_is_valid_and_self_contained() -> None:
    picture = tune.svg([*points(2.0, 1.5, math.nan, 1.1), Point(4, {"eval/loss": 1.3})], title='<b>&"x"')
    root = xml.etree.ElementTree.fromstring(picture)
    name = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{name}title") == '<b>&"x"'
    assert [len(line.attrib["points"].split()) for line in root.iter(f"{name}polyline")] == [1, 3]
    assert "nan" not in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "no losses yet" in tune.svg(())


@given(st.dictionaries(st.integers(0, 200_000), st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 50))
def test_bins_hold_all_lengths(lengths: dict[int, int], most: int) -> None:
    bins = bins_of(Counter(lengths), most)
    assert len(bins) <= most
    assert sum([times for _, _, times in bins]) == sum(lengths.values())
    for first, last, times in bins:
        assert times == sum([n for length, n in lengths.items() if first <= length <= last])


def test_percentiles_are_lengths_that_are_there() -> None:
    report = Report("x", lengths=Counter({1: 50, 2: 40, 3: 9, 100: 1}))
    assert [report.percentile(share) for share in (0, 0.5, 0.51, 0.9, 0.99, 1)] == [1, 1, 2, 2, 3, 100]
    assert Report("x").percentile(0.5) is None


def test_report_page_is_self_contained_and_escaped() -> None:
    row = chat({**USER, "role": "<script>alert(1)</script>"}, ANSWER)
    page = to_html(report_of(T + U + line_of(row))).replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not any(trace in page for trace in ("http:", "https:", "src=", "@import", "url("))
    assert page.count("<rect ") >= 1 and page.count("<title>") >= 2
    assert "No findings" in to_html(report_of(T))


def test_report_page_says_severity_and_code_in_words() -> None:
    page = to_html(report_of(T + T + line_of({"foo": 1})))
    assert "<td>error</td><td><code>unknown_format</code></td>" in page
    assert "<td>warning</td><td><code>duplicate</code></td>" in page


def test_report_page_breaks_no_words() -> None:
    assert "anywhere" not in to_html(report_of(T))
