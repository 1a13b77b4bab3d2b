"""`motet data`: examples, the data set that is made of them, and its check.

What does the work is imported by the action that needs it: other commands start without it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import motet
from motet import tune
from motet._atomic_files import write_whole
from motet.cli.progress import ProgressLine
from motet.cli.style import Style, UsageError, positive, read_bytes, tool_list, visible

if TYPE_CHECKING:
    from motet.tune.store import CorruptLine, Statistics

__all__ = ["register"]

_MAX_FINDINGS = 100


def register(commands: Any) -> None:
    parser = commands.add_parser("data", help="examples to learn from: add, list, show, remove, build, check")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _register_add(actions)
    listing = actions.add_parser("list", help="what there is, and how much of it")
    _add_file(listing)
    _add_filter(listing)
    listing.add_argument("--stats", action="store_true", help="the statistics alone")
    listing.set_defaults(run=_list)
    show = actions.add_parser("show", help="an example as it would be trained on")
    _add_file(show)
    show.add_argument("id", help="the id, or how it begins")
    show.set_defaults(run=_show)
    remove = actions.add_parser("remove", help="take examples out of the file")
    _add_file(remove)
    remove.add_argument("id", nargs="+", help="the id, or how it begins")
    remove.set_defaults(run=_remove)
    _register_build(actions)
    _register_check(actions)
    for action in actions.choices.values():
        action.add_argument("--json", action="store_true", help="print JSON")
        action.add_argument("--color", choices=("auto", "always", "never"), default="auto")


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--file", default="examples.jsonl", help="the file of examples (examples.jsonl)")


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--min-quality", type=_share, metavar="Q", help="only those known to be at least that good")
    parser.add_argument("--tag", action="append", default=[], help="only those with this tag; may be given again")


def _add_allow(parser: argparse.ArgumentParser) -> None:
    help_text = "secrets of this kind may be there: jwt, card, ... or all; may be given again"
    parser.add_argument("--allow", action="append", default=[], metavar="KIND", help=help_text)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    help_text = "processes that share the work on a large file (1)"
    parser.add_argument("--workers", type=positive, metavar="N", help=help_text)


def _share(text: str) -> float:
    """An option's value: from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, not {text!r}")
    return value


def _register_add(actions: Any) -> None:
    add = actions.add_parser("add", help="add an example, or those that a file holds")
    _add_file(add)
    add.add_argument("--request", help="what is asked; - for standard input")
    add.add_argument("--response", help="what is to be answered; - for standard input")
    add.add_argument("--thinking", help="what is to be thought before")
    add.add_argument("--system", help="the instructions that the model is given")
    add.add_argument("--rejected", help="a worse answer, for preferences")
    add.add_argument("--completion", metavar="FILE", help="the answer as a model wrote it: harmony, as text or as ids")
    add.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="a saved run, a transcript, a cassette, or training data, one object a line; - for standard input",
    )
    add.add_argument("--tools", metavar="FILE", help="a JSON list of the tools that the model was given")
    add.add_argument("--quality", type=_share, metavar="Q", help="from 0 to 1")
    add.add_argument("--tag", action="append", default=[], help="may be given again")
    _add_workers(add)
    add.set_defaults(run=_add)


def _add(options: argparse.Namespace) -> None:
    about = {"tools": tool_list(options.tools) or (), "quality": options.quality, "tags": options.tag}
    examples = tune.Examples(options.file)
    noted = _Noted()
    if options.source is not None:
        if options.request is not None or options.response is not None or options.completion is not None:
            raise UsageError("give either --from, or --request with --response or --completion")
        source = sys.stdin.buffer if options.source == "-" else options.source
        found = tune.read_examples(source, **about, workers=options.workers)
        new = examples.add(map(noted, found))
    else:
        new = examples.add(noted(_asked(options, about)))
    if options.json:
        print(json.dumps({"read": noted.read, "new": new, "ids": noted.ids}))
    else:
        shown = " ".join(noted.ids[:10]) + (" ..." if noted.read > 10 else "")
        print(f"{new} new of {noted.read} in {options.file}: {shown}")


class _Noted:
    """Counts the examples that pass, and remembers the first ids."""

    def __init__(self) -> None:
        self.read = 0
        self.ids: list[str] = []

    def __call__(self, example: tune.Example) -> tune.Example:
        self.read += 1
        if len(self.ids) < 1000:
            self.ids.append(example.id)
        return example


def _asked(options: argparse.Namespace, about: dict[str, Any]) -> tune.Example:
    if options.request is None or (options.response is None) == (options.completion is None):
        raise UsageError("an example needs --request, and --response or --completion; or give --from FILE")
    request = _text(options.request)
    if options.completion is None:
        more = {"thinking": options.thinking, "system": options.system, "rejected": options.rejected}
        return tune.Example.of(request, _text(options.response), **more, **about)
    if options.thinking is not None:
        raise UsageError("a completion has its own thinking")
    data = read_bytes(options.completion)
    raw = json.loads(data) if data.lstrip().startswith(b"[") else data
    before: list[Any] = [{"role": "system", "content": options.system}] if options.system else []
    answer = motet.parse(raw, tools=about["tools"] or None).message
    conversation = [*before, {"role": "user", "content": request}, answer]
    return tune.Example.conversation(conversation, rejected=options.rejected, **about)


def _text(value: str) -> str:
    return sys.stdin.read() if value == "-" else value


def _list(options: argparse.Namespace) -> int:
    from motet.tune.store import CorruptLine, Statistics, matches

    style = Style(options.color, sys.stdout)
    statistics = Statistics(bytes=Path(options.file).stat().st_size)
    corrupt: list[CorruptLine] = []
    listed: list[dict[str, Any]] = []
    for _, found in tune.Examples(options.file).scan():
        if isinstance(found, CorruptLine):
            corrupt.append(found)
        elif matches(found, options.min_quality, options.tag):
            statistics.add(found)
            if options.stats:
                continue
            if options.json:
                listed.append({"id": found.id, "quality": found.quality, "tags": found.tags, "source": found.source})
            else:
                print(_line(found, style))
    if options.json:
        problems = [{"line": line, "problem": problem, "torn": torn} for line, problem, torn in corrupt]
        shape = {"statistics": statistics.to_dict(), "corrupt": problems}
        print(json.dumps(shape if options.stats else {"examples": listed, **shape}, ensure_ascii=False, indent=2))
    else:
        print(_statistics(statistics))
    for one in corrupt:
        print(f"motet: {options.file}, line {one.line}: {one.problem}", file=sys.stderr)
    return 1 if any(not one.torn for one in corrupt) else 0


def _line(example: tune.Example, style: Style) -> str:
    said = example.text if example.text is not None else _first_question(example)
    quality = "   -" if example.quality is None else f"{example.quality:.2f}"
    first = " ".join(visible(said).split())[:60]
    return f"{style('title', example.id[:12])}  {quality}  {first}  {style('markup', ' '.join(example.tags))}".rstrip()


def _first_question(example: tune.Example) -> str:
    return next((message["content"] for message in example.messages if message["role"] == "user"), "")


def _statistics(statistics: Statistics) -> str:
    mean = "unknown" if statistics.mean_quality is None else f"{statistics.mean_quality:.2f}"
    tags = ", ".join([f"{visible(tag)} {times}" for tag, times in statistics.tags.most_common(20)]) or "none"
    formats = ", ".join([f"{name} {times}" for name, times in statistics.formats.most_common()]) or "none"
    return (
        f"{statistics.examples} examples: {formats}; {statistics.with_reasoning} with reasoning, "
        f"{statistics.with_tools} with tool calls\n"
        f"quality: {mean} on average, known of {statistics.qualities.total()}; tags: {tags}"
    )


def _show(options: argparse.Namespace) -> None:
    example = tune.Examples(options.file).get(options.id)
    if options.json or example.text is not None:
        print(json.dumps(example.to_dict(), ensure_ascii=False, indent=None if options.json else 2))
        return
    style = Style(options.color, sys.stdout)
    for name in ("id", "quality", "tags", "source"):
        if (value := getattr(example, name)) not in (None, ()):
            print(style("title", name), visible(value if isinstance(value, str) else json.dumps(value)))
    rejected = [{**example.rejected, "role": "rejected"}] if example.rejected else []
    for message in [*example.messages, *rejected]:
        print(f"\n{style('title', message['role'])}")
        for key, kind in (("reasoning", "reasoning"), ("content", "text")):
            if message.get(key):
                print(style(kind, visible(message[key])))
        for call in message.get("tool_calls", ()):
            print(style("tool_call", visible(f"{call['function']['name']} {call['function']['arguments']}")))


def _remove(options: argparse.Namespace) -> None:
    removed = tune.Examples(options.file).remove(*options.id)
    print(json.dumps({"removed": removed}) if options.json else f"{removed} removed from {options.file}")


def _register_build(actions: Any) -> None:
    building = actions.add_parser("build", help="make training data of examples")
    _add_file(building)
    building.add_argument("-o", "--output", default="train.jsonl", metavar="FILE", help="training data (train.jsonl)")
    building.add_argument("--validation", metavar="FILE", help="write a share of it there, for validation")
    building.add_argument("--fraction", type=float, default=0.1, help="the share of the validation (0.1)")
    building.add_argument(
        "--format", choices=("conversational", "instruction", "preference", "text"), default="conversational"
    )
    _add_filter(building)
    building.add_argument("--dedupe", choices=("normalised", "exact", "none"), default="normalised")
    building.add_argument("--max-tokens", type=positive, metavar="N", help="leave out what is longer")
    building.add_argument(
        "--split", choices=("reasoning", "all", "none"), default="reasoning", help="make a row of each answer of which"
    )
    _add_allow(building)
    _add_workers(building)
    building.set_defaults(run=_build)


def _build(options: argparse.Namespace) -> None:
    built = tune.build(
        options.file,
        options.output,
        options.validation,
        fraction=options.fraction,
        format=options.format,
        min_quality=options.min_quality,
        tags=options.tag,
        dedupe=options.dedupe,
        max_tokens=options.max_tokens,
        split_answers=options.split,
        allow=options.allow,
        workers=options.workers,
    )
    if options.json:
        print(json.dumps(built.to_dict(), ensure_ascii=False, indent=2))
        return
    for file in (built.train, built.validation):
        if file is not None:
            longest = max(file.lengths)
            print(f"{file.path}: {file.rows} rows, {file.tokens} tokens, the longest {longest}, {file.bytes} bytes")
    if built.left_out:
        reasons = ", ".join([f"{reason} {times}" for reason, times in built.left_out.most_common()])
        print(f"left out of {built.examples} examples: {reasons}")
    for case in built.cases[:10]:
        print(f"motet: {case.id[:12]} is left out: {case.reason}: {case.message}", file=sys.stderr)


def _register_check(actions: Any) -> None:
    checking = actions.add_parser("check", help="whether a file can be trained on, and what to mend")
    checking.add_argument("file", nargs="?", default="-", help="training data; standard input if it is left out or -")
    checking.add_argument("--max-tokens", type=positive, metavar="N", help="how long a sequence may be")
    checking.add_argument("--html", metavar="FILE", help="write a page with a histogram of lengths")
    help_text = f"findings to print; {_MAX_FINDINGS} by default, with --json all"
    checking.add_argument("--max-findings", type=positive, metavar="N", help=help_text)
    _add_allow(checking)
    _add_workers(checking)
    checking.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from motet.tune.report import to_html, to_text

    file = sys.stdin.buffer if options.file == "-" else options.file
    rules = {"max_tokens": options.max_tokens, "allow": options.allow, "workers": options.workers}
    limit = options.max_findings or (None if options.json else _MAX_FINDINGS)
    with ProgressLine("checking") as progress:
        printer = _Findings(Style(options.color, sys.stdout), progress, limit, as_json=options.json)
        report = tune.check(file, **rules, on_finding=printer.show, on_progress=progress.show)
    if options.html:
        write_whole(Path(options.html), to_html(report))
    printer.end()
    if options.json:
        print(json.dumps(report.to_dict(), ensure_ascii=False)[1:])
    else:
        print(visible(to_text(report)))
    return 0 if report.ok else 1


class _Findings:
    """Prints findings one by one: as lines, or as the first list of a JSON object."""

    def __init__(self, style: Style, progress: ProgressLine, limit: int | None, *, as_json: bool) -> None:
        self._style = style
        self._progress = progress
        self._limit = limit
        self._as_json = as_json
        self._count = 0
        if as_json:
            print('{"findings": [', end="")

    def show(self, finding: tune.Finding) -> None:
        self._count += 1
        if self._limit is not None and self._count > self._limit:
            return
        self._progress.close()
        if self._as_json:
            separator = ",\n " if self._count > 1 else "\n "
            print(separator, json.dumps(finding.to_dict(), ensure_ascii=False), sep="", end="")
        else:
            kind = "repair" if finding.severity == "error" else "preamble"
            print(f"{self._style(kind, finding.severity)} {finding.code} {visible(str(finding))}")

    def end(self) -> None:
        if self._as_json:
            print("], ", end="")
            return
        if self._limit is not None and self._count > self._limit:
            print(f"and {self._count - self._limit:,} more findings; --max-findings N prints N of them, --json all")
        if self._count:
            print()
