"""A report of a check for people: as text, and as one HTML file that needs nothing else."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable

from motet._plot import Bar, Line, bars_svg, bars_text, lines_svg, lines_text
from motet.tune.data_check import Report
from motet.tune.finding import Finding
from motet.tune.job_states import Point

__all__ = ["bins_of", "curve", "svg", "to_html", "to_text"]

_SHOWN = 1000
_BARS = 24


def to_text(report: Report) -> str:
    """What was checked, what was found how often, and how long the sequences are."""
    lines = [
        f"{report.path}: {'may be trained on' if report.ok else 'must not be trained on'}",
        f"  format    {report.format or 'unknown'}",
        f"  rows      {report.rows:,} in {report.bytes:,} bytes",
        f"  tokens    {_tokens(report)}",
    ]
    if report.lengths:
        lines.append(f"  lengths   {_lengths(report)}")
    lines.append(f"  found     {report.errors:,} errors, {report.warnings:,} warnings")
    lines += [f"  {times:>9,} {code}" for code, times in report.counts.most_common()]
    if report.lengths:
        lines += ["", *[f"  {line}" for line in bars_text(_bars(report.lengths, 16))]]
    return "\n".join(lines)


def _tokens(report: Report) -> str:
    if report.tokens is not None:
        return f"{report.tokens:,}"
    return f"unknown: {report.uncounted:,} rows cannot be counted"


def _lengths(report: Report) -> str:
    shares = {"shortest": 0.0, "median": 0.5, "9 of 10 up to": 0.9, "99 of 100 up to": 0.99, "longest": 1.0}
    return ", ".join([f"{name} {report.percentile(share):,}" for name, share in shares.items()])


def bins_of(lengths: Counter[int], most: int) -> list[tuple[int, int, int]]:
    """At most so many ranges of the same width, from the shortest to the longest: first, last, how many."""
    low, high = min(lengths), max(lengths)
    width = next(step for step in _steps() if (high // step) - (low // step) < most)
    counts: Counter[int] = Counter()
    for length, times in lengths.items():
        counts[length // width] += times
    return [(at * width, at * width + width - 1, counts[at]) for at in range(low // width, high // width + 1)]


def _steps() -> list[int]:
    """Widths that people like: 1, 2, 5, 10, 20, ..."""
    return [digit * 10**zeros for zeros in range(12) for digit in (1, 2, 5)]


def _bars(lengths: Counter[int], most: int) -> list[Bar]:
    """A histogram of lengths."""
    bins = bins_of(lengths, most)
    return [Bar(n, f"{low:,}" if low == high else f"{low:,} to {high:,}", f"{n:,}") for low, high, n in bins]


def to_html(report: Report) -> str:
    """A page with the histogram of lengths and the first thousand findings."""
    title = html.escape(f"{report.path}: {'may be trained on' if report.ok else 'must not be trained on'}")
    facts = {
        "Format": report.format or "unknown",
        "Rows": f"{report.rows:,}",
        "Bytes": f"{report.bytes:,}",
        "Tokens": _tokens(report),
        "Lengths": _lengths(report) if report.lengths else "none",
        "SHA-256": report.sha256 or "unknown",
        "Found": f"{report.errors:,} errors, {report.warnings:,} warnings",
    }
    rows = "".join([f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in facts.items()])
    counts = "".join([f"<tr><td class=n>{n:,}</td><td>{code}</td></tr>" for code, n in report.counts.most_common()])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{_STYLE}</style></head><body>
<h1 class="{"good" if report.ok else "bad"}">{title}</h1>
<table class="facts">{rows}</table>
{_histogram(report.lengths) if report.lengths else ""}
{f"<h2>How often</h2><table class=counts>{counts}</table>" if counts else ""}
{_findings(report)}
</body></html>
"""


def _findings(report: Report) -> str:
    if not report.findings:
        return "<p>Nothing was found.</p>"
    shown = report.findings[:_SHOWN]
    more = report.errors + report.warnings - len(shown)
    rest = f"<p>{more:,} more are not shown; <code>motet data check</code> prints all.</p>" if more else ""
    head = "<tr><th>Line</th><th>Where</th><th>What</th><th>How to mend it</th></tr>"
    return f"<h2>Findings</h2><table class=findings>{head}{''.join([_row(found) for found in shown])}</table>{rest}"


def _row(finding: Finding) -> str:
    line = "" if finding.line is None else f"{finding.line:,}"
    cells = (f"<code>{html.escape(finding.path)}</code>", html.escape(finding.message), html.escape(finding.mend))
    joined = "".join([f"<td>{cell}</td>" for cell in cells])
    return f'<tr class="{finding.severity}"><td class=n>{line}</td>{joined}</tr>'


def _histogram(lengths: Counter[int]) -> str:
    return bars_svg([("", _bars(lengths, _BARS))], title="Tokens of each sequence", background=None)


_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bar:#3b6ea5;--bad:#b3261e;--good:#1f7a3a;--warn:#8a6100}
@media(prefers-color-scheme:dark){:root{--bar:#7fb2e5;--bad:#ff8a80;--good:#7ddc98;--warn:#e6c15a}}
body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin-top:2rem}
.good{color:var(--good)}.bad{color:var(--bad)}
table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;
border-bottom:1px solid var(--line);overflow-wrap:anywhere}.facts th{font-weight:600;white-space:nowrap}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.findings{width:100%}
.error .n{color:var(--bad);font-weight:600}.warning .n{color:var(--warn)}
svg{max-width:100%;height:auto}rect{fill:var(--bar)}text{fill:currentColor}
"""


_MAX_LOSS = 1e6
"""Larger losses are left out: beside them no other could be seen."""


def _lines(points: Iterable[Point]) -> list[Line]:
    """The validation and the training loss. NaN and infinity are left out."""
    train: list[tuple[float, float]] = []
    validation: list[tuple[float, float]] = []
    for point in points:
        for series, loss in ((train, point.loss), (validation, point.eval_loss)):
            if loss is not None and abs(loss) < _MAX_LOSS:
                series.append((point.step, loss))
    return [Line("validation", sorted(validation), "#d1495b", marked=True), Line("training", sorted(train))]


def curve(points: Iterable[Point], *, width: int = 72, height: int = 10) -> str:
    """The losses as lines of text: braille dots for the training, `o` for the validation.

    `width` and `height` in characters, axes included. Empty if no loss is known.
    """
    return lines_text(_lines(points), x_name="step", width=width, height=height)


def svg(points: Iterable[Point], *, title: str = "Loss") -> str:
    """The losses as an SVG of 720 by 400 that loads nothing: no script, no font."""
    return lines_svg(_lines(points), title=title, x_name="step", empty="no losses yet")
