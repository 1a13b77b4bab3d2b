"""`motet verify`: how a server treats harmony."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from motet._atomic_files import write_whole
from motet.cli.failure import FAILURE, OK, UsageError
from motet.cli.options import add_color, add_json, positive, seconds, url
from motet.cli.progress import ProgressLine
from motet.cli.style import Style
from motet.cli.table import table
from motet.cli.terminal import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from motet.verify import Report

EXAMPLES = (
    "motet verify http://localhost:8000",
    "motet verify https://api.together.xyz/v1 --key-env TOGETHER_API_KEY -m openai/gpt-oss-120b",
    "motet verify http://localhost:8000 --only tools stream.call_index",
    "motet verify http://localhost:8000 --html report.html --badge harmony.svg",
)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", type=url, help="the server's address; one without a path gets /v1")
    parser.add_argument(
        "-m", "--model", metavar="NAME", help="the model to ask (default: a gpt-oss of the server's list)"
    )
    parser.add_argument(
        "--key-env",
        metavar="NAME",
        default="MOTET_VERIFY_KEY",
        help="the variable with the key (default: MOTET_VERIFY_KEY)",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="PROBE", default=(), help="groups and probes, as tools stream.done"
    )
    parser.add_argument(
        "--tries", type=positive, default=3, help="tries where the model does not do what a probe needs"
    )
    parser.add_argument("--timeout", type=seconds, default=120.0, help="seconds for each request (default: 120)")
    parser.add_argument("--strict", action="store_true", help="exit code 1 for inconclusive probes, too")
    parser.add_argument("--list", action="store_true", help="print the probes; nothing is sent")
    parser.add_argument("--all", action="store_true", help="print the probes that pass, too")
    add_json(parser)
    parser.add_argument("--html", metavar="FILE", help="write the report as a page")
    parser.add_argument("--badge", metavar="FILE", help="write an SVG with the number of passed probes")
    add_color(parser)


def run(options: argparse.Namespace) -> int:
    # Imported here: the HTTP client takes longer to import than most commands to run.
    from motet import verify

    if options.list:
        rows = [[probe.id, probe.title, f"otherwise {probe.why}"] for probe in verify.PROBES]
        print("\n".join(table(rows, "<<<", head=("probe", "a server that passes", ""))))
        return OK
    if options.url is None:
        raise UsageError("name the server's address, or give --list")
    with ProgressLine(options.url) as line:
        report = verify.run(
            options.url,
            model=options.model,
            key=os.environ.get(options.key_env),
            only=options.only,
            tries=options.tries,
            timeout=options.timeout,
            on_result=lambda result: line.say(f"{result.probe.id} {result.verdict}"),
        )
    if options.html:
        write_whole(Path(options.html), report.to_html())
    if options.badge:
        write_whole(Path(options.badge), report.to_badge())
    if options.json:
        print(json_text(report.to_dict(), indent=2))
    else:
        print("\n".join(_lines(report, Style(options.color, sys.stdout), passes=options.all)))
    undecided = options.strict and report.counts["inconclusive"]
    return OK if report.ok and not undecided else FAILURE


_KINDS = {"pass": "text", "fail": "repair", "inconclusive": "tool_call", "skipped": "markup"}
"""The colours of verdicts, by the kinds of `Style`."""


def _lines(report: Report, style: Style, *, passes: bool) -> list[str]:
    shown = [result for result in report.results if passes or result.verdict != "pass"]
    rows = [[result.verdict, result.probe.id, result.probe.title, result.detail] for result in shown]
    lines = table(
        rows,
        "<<<<",
        head=("verdict", "probe", "a server that passes", "detail"),
        paint=lambda row, column, text: style(_KINDS[shown[row].verdict], text) if column == 0 and row >= 0 else text,
    )
    counts = ", ".join([f"{count} {verdict}" for verdict, count in report.counts.items() if count])
    return [*(lines if rows else ()), *([""] if rows else ()), f"{report.url}, {report.model}: {counts}"]
