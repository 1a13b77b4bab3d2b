"""The results of a verification as JSON, as a page and as a badge."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import Any

from motet._core import __version__
from motet._visible_text import visible
from motet.verify.probe import Result, Verdict

__all__ = ["Report"]

_COLOURS = {"pass": "#1f7a3a", "fail": "#b3261e", "inconclusive": "#8a6100", "skipped": "#666666"}

_ORDER = {"fail": 0, "inconclusive": 1, "skipped": 2, "pass": 3}


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a verification."""

    url: str
    model: str
    results: tuple[Result, ...]
    seconds: float
    requests: int
    """How many requests were sent."""

    @property
    def ok(self) -> bool:
        """True if no probe failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Result, ...]:
        """The probes that failed."""
        return tuple([result for result in self.results if result.verdict == "fail"])

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many probes have each verdict."""
        counts = Counter([result.verdict for result in self.results])
        return {verdict: counts[verdict] for verdict in ("pass", "fail", "inconclusive", "skipped")}

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "url": self.url,
            "model": self.model,
            "motet": __version__,
            "ok": self.ok,
            "counts": self.counts,
            "requests": self.requests,
            "seconds": round(self.seconds, 1),
            "results": [
                {
                    "id": result.probe.id,
                    "title": result.probe.title,
                    "verdict": result.verdict,
                    "detail": result.detail,
                    "tries": result.tries,
                }
                for result in self.results
            ],
        }

    def to_html(self) -> str:
        """A page that loads nothing, failures first."""
        title = escape(f"harmony at {self.url}")
        counts = ", ".join([f"{count} {verdict}" for verdict, count in self.counts.items() if count])
        rows = "".join([_row(result) for result in sorted(self.results, key=lambda result: _ORDER[result.verdict])])
        return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{_STYLE}</style></head><body><main>
<h1>{title}</h1>
<p>Model <code>{escape(self.model)}</code>: {counts}, in {self.requests} requests. motet {escape(__version__)}.</p>
<table><thead><tr><th scope="col">Probe</th><th scope="col">Verdict</th><th scope="col">A server that passes</th>
<th scope="col">Detail</th></tr></thead><tbody>{rows}</tbody></table>
</main></body></html>
"""

    def to_badge(self) -> str:
        """An SVG for a README: how many of the decided probes passed."""
        counts = self.counts
        decided = counts["pass"] + counts["fail"]
        text = f"{counts['pass']}/{decided}" if decided else "unknown"
        colour = _COLOURS["skipped" if not decided else "pass" if self.ok else "fail"]
        left, right = 66, 14 + 7 * len(text)
        width = left + right
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" '
            f'font-family="Verdana, Geneva, sans-serif" font-size="11">\n'
            f"<title>harmony: {text} probes passed</title>\n"
            f'<rect width="{width}" height="20" rx="3" fill="#444"/>\n'
            f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right - 3}z" fill="{colour}"/>\n'
            f'<text x="{left / 2:g}" y="14" fill="#fff" text-anchor="middle">harmony</text>\n'
            f'<text x="{left + right / 2:g}" y="14" fill="#fff" text-anchor="middle">{text}</text>\n</svg>\n'
        )


def _row(result: Result) -> str:
    probe = result.probe
    title = escape(probe.title)
    if result.verdict == "fail":
        title += f"<br><small>otherwise {escape(probe.why)}</small>"
    cells = (
        f"<code>{escape(probe.id)}</code>",
        f'<span class="{result.verdict}">{result.verdict}</span>',
        title,
        escape(visible(result.detail)),
    )
    return f"<tr>{''.join([f'<td>{cell}</td>' for cell in cells])}</tr>\n"


_STYLE = """
:root{color-scheme:light dark;--line:#8884;--pass:#1f7a3a;--fail:#b3261e;--inconclusive:#8a6100;--skipped:#666}
@media(prefers-color-scheme:dark){:root{--pass:#7ddc98;--fail:#ff8a80;--inconclusive:#e6c15a;--skipped:#aaa}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line)}
td:last-child{overflow-wrap:anywhere}
@media(max-width:640px){thead{display:none}td{display:block;border:0;padding:0}tr{display:block;padding:.5rem 0;
border-bottom:1px solid var(--line)}}
td:first-child{white-space:nowrap}span{font-weight:600}
.pass{color:var(--pass)}.fail{color:var(--fail)}.inconclusive{color:var(--inconclusive)}.skipped{color:var(--skipped)}
"""
