"""Reports for people: a check as text and as one HTML page, the losses of a job as a chart."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable

from motet._plot import Bar, Line, bars_svg, bars_text, lines_svg, lines_text
from motet.tune.data_check import Report
from motet.tune.finding import Finding
from motet.tune.job_states import Point

__all__ = ["bins_of", "curve", "svg", "to_html", "to_text"]

_MAX_ROWS = 1000
_TEXT_BARS, _PAGE_BARS = 16, 24


def to_text(report: Report) -> str:
    """The result, the number of findings by code, and a histogram of lengths."""
    lines = [
        f"{report.path}: {'valid' if report.ok else 'invalid'}",
        f"  format    {report.format or 'unknown'}",
        f"  rows      {report.rows:,} in {report.bytes:,} bytes",
        f"  tokens    {_tokens(report)}",
    ]
    if report.lengths:
        lines.append(f"  lengths   {_lengths(report)}")
    lines.append(f"  findings  {report.errors:,} errors, {report.warnings:,} warnings")
    lines += [f"  {times:>9,} {code}" for code, times in report.counts.most_common()]
    if report.lengths:
        lines += ["", *[f"  {line}" for line in bars_text(_bars(report.lengths, _TEXT_BARS))]]
    return "\n".join(lines)


def _tokens(report: Report) -> str:
    if report.tokens is not None:
        return f"{report.tokens:,}"
    return f"unknown: {report.uncounted:,} rows cannot be counted"


def _lengths(report: Report) -> str:
    shares = {"min": 0.0, "median": 0.5, "90%": 0.9, "99%": 0.99, "max": 1.0}
    return ", ".join([f"{name} {report.percentile(share):,}" for name, share in shares.items()])


def _bars(lengths: Counter[int], most: int) -> list[Bar]:
    """A histogram of lengths."""
    bins = bins_of(lengths, most)
    return [Bar(n, f"{low:,}" if low == high else f"{low:,} to {high:,}", f"{n:,}") for low, high, n in bins]


def bins_of(lengths: Counter[int], most: int) -> list[tuple[int, int, int]]:
    """At most `most` ranges of one width, from the smallest length to the largest: first, last, count."""
    low, high = min(lengths), max(lengths)
    widths = (digit * 10**zeros for zeros in range(12) for digit in (1, 2, 5))
    width = next(width for width in widths if (high // width) - (low // width) < most)
    counts: Counter[int] = Counter()
    for length, times in lengths.items():
        counts[length // width] += times
    return [(at * width, at * width + width - 1, counts[at]) for at in range(low // width, high // width + 1)]


def to_html(report: Report) -> str:
    """A page that loads nothing: the facts, a histogram of lengths, and the first thousand findings."""
    title = html.escape(f"{report.path}: {'valid' if report.ok else 'invalid'}")
    facts = {
        "Format": report.format or "unknown",
        "Rows": f"{report.rows:,}",
        "Bytes": f"{report.bytes:,}",
        "Tokens": _tokens(report),
        "Lengths": _lengths(report) if report.lengths else "unknown",
        "SHA-256": report.sha256 or "unknown",
        "Findings": f"{report.errors:,} errors, {report.warnings:,} warnings",
    }
    rows = "".join([f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in facts.items()])
    counts = "".join([f"<tr><td class=n>{n:,}</td><td>{code}</td></tr>" for code, n in report.counts.most_common()])
    bars = [("", _bars(report.lengths, _PAGE_BARS))] if report.lengths else []
    histogram = bars_svg(bars, title="Tokens of each sequence", background=None) if bars else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{_STYLE}</style></head><body>
<h1 class="{"good" if report.ok else "bad"}">{title}</h1>
<table class="facts">{rows}</table>
{histogram}
{f"<h2>Findings by code</h2><table class=counts>{counts}</table>" if counts else ""}
{_findings(report)}
</body></html>
"""


def _findings(report: Report) -> str:
    if not report.findings:
        return "<p>No findings.</p>"
    shown = report.findings[:_MAX_ROWS]
    more = report.errors + report.warnings - len(shown)
    rest = f"<p>{more:,} more are not shown; <code>motet data check --json</code> prints all.</p>" if more else ""
    head = "".join([f"<th>{name}</th>" for name in ("Line", "Severity", "Code", "Path", "Problem", "Remedy")])
    rows = "".join([_row(finding) for finding in shown])
    return f"<h2>Findings</h2><table class=findings><tr>{head}</tr>{rows}</table>{rest}"


def _row(finding: Finding) -> str:
    line = "" if finding.line is None else f"{finding.line:,}"
    texts = (html.escape(finding.message), html.escape(finding.mend))
    cells = (finding.severity, f"<code>{finding.code}</code>", f"<code>{html.escape(finding.path)}</code>", *texts)
    joined = "".join([f"<td>{cell}</td>" for cell in cells])
    return f'<tr class="{finding.severity}"><td class=n>{line}</td>{joined}</tr>'


_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bar:#3b6ea5;--bad:#b3261e;--good:#1f7a3a;--warn:#8a6100}
@media(prefers-color-scheme:dark){:root{--bar:#7fb2e5;--bad:#ff8a80;--good:#7ddc98;--warn:#e6c15a}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem;overflow-wrap:break-word}h2{font-size:1.05rem;margin-top:2rem}
.good{color:var(--good)}.bad{color:var(--bad)}
table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;
border-bottom:1px solid var(--line);overflow-wrap:break-word}.facts th{font-weight:600;white-space:nowrap}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.findings{width:100%}
.error td:nth-child(2){color:var(--bad);font-weight:600}.warning td:nth-child(2){color:var(--warn)}
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
