"""`motet data`: examples, the data set built from them, and its check.

Modules of `motet.tune` are imported in the functions that use them, so that other commands start without them.
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
from motet.cli.failure import UsageError
from motet.cli.inputs import id_list, read_completion, read_text, tool_list
from motet.cli.options import add_color, add_json, fraction, positive
from motet.cli.parser import add_command
from motet.cli.progress import ProgressLine
from motet.cli.style import Style
from motet.cli.terminal import json_text

if TYPE_CHECKING:
    from motet.tune.store import CorruptLine, Statistics


_MAX_FINDINGS = 100


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND", title="commands")
    for add_action in (_add_add, _add_list, _add_show, _add_remove, _add_build, _add_check):
        action = add_action(actions)
        add_json(action)
        add_color(action)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--file", default="examples.jsonl", help="the file of examples (examples.jsonl)")


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--min-quality", type=fraction, metavar="Q", help="only examples of at least this quality")
    parser.add_argument("--tag", action="append", default=[], help="only examples with this tag; repeatable")


def _add_allow(parser: argparse.ArgumentParser) -> None:
    help_text = "accept secrets of this kind: jwt, card, ... or all; repeatable"
    parser.add_argument("--allow", action="append", default=[], metavar="KIND", help=help_text)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    help_text = "processes for a large file (1)"
    parser.add_argument("--workers", type=positive, metavar="N", help=help_text)


def _add_add(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "add",
        "add an example, or the examples of a file",
        (
            'motet data add --request "Is Paris warm?" --response "Yes." --thinking "24 degrees."',
            "motet data add --from run.json --tag weather --quality 0.9",
        ),
    )
    _add_file(parser)
    parser.add_argument("--request", metavar="TEXT", help="the user's text; - for standard input")
    parser.add_argument("--response", metavar="TEXT", help="the answer; - for standard input")
    parser.add_argument("--thinking", metavar="TEXT", help="the reasoning before the answer")
    parser.add_argument("--system", metavar="TEXT", help="the system text")
    parser.add_argument("--rejected", metavar="TEXT", help="a worse answer, for preference data")
    parser.add_argument("--completion", metavar="FILE", help="the answer as a raw completion: text or token ids")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="a saved run, a transcript, a cassette, or training data in JSON lines; - for standard input",
    )
    parser.add_argument("--tools", metavar="FILE", help="a JSON list of the model's tools")
    parser.add_argument("--quality", type=fraction, metavar="Q", help="from 0 to 1")
    parser.add_argument("--tag", action="append", default=[], help="repeatable")
    _add_workers(parser)
    parser.set_defaults(run=_add)
    return parser


def _add_list(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(actions, "list", "list examples, with statistics", ("motet data list --min-quality 0.8",))
    _add_file(parser)
    _add_filter(parser)
    parser.add_argument("--stats", action="store_true", help="the statistics alone")
    parser.set_defaults(run=_list)
    return parser


def _add_show(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(actions, "show", "show an example as the model trains on it")
    _add_file(parser)
    parser.add_argument("id", help="the id, or its beginning")
    parser.set_defaults(run=_show)
    return parser


def _add_remove(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(actions, "remove", "remove examples from the file")
    _add_file(parser)
    parser.add_argument("id", nargs="+", help="ids, or their beginnings")
    parser.set_defaults(run=_remove)
    return parser


def _add(options: argparse.Namespace) -> None:
    about = {"tools": tool_list(options.tools) or (), "quality": options.quality, "tags": options.tag}
    examples = tune.Examples(options.file)
    noted = _Noted()
    if options.source is not None:
        if options.request is not None or options.response is not None or options.completion is not None:
            raise UsageError("give either --from, or --request with --response or --completion")
        source = sys.stdin.buffer if options.source == "-" else options.source
        new = examples.add(map(noted, tune.read_examples(source, **about, workers=options.workers)))
    else:
        new = examples.add(noted(_given_example(options, about)))
    if options.json:
        print(json_text({"read": noted.read, "new": new, "ids": noted.ids}))
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


def _given_example(options: argparse.Namespace, about: dict[str, Any]) -> tune.Example:
    if options.request is None or (options.response is None) == (options.completion is None):
        raise UsageError("an example needs --request, and --response or --completion; or give --from FILE")
    request = _text(options.request)
    if options.completion is None:
        more = {"thinking": options.thinking, "system": options.system, "rejected": options.rejected}
        return tune.Example.of(request, _text(options.response), **more, **about)
    if options.thinking is not None:
        raise UsageError("a completion has its own thinking")
    data = read_completion(options.completion)
    ids = id_list(data)
    raw = data if ids is None else ids
    before: list[Any] = [{"role": "system", "content": options.system}] if options.system else []
    answer = motet.parse(raw, tools=about["tools"] or None).message
    conversation = [*before, {"role": "user", "content": request}, answer]
    return tune.Example.conversation(conversation, rejected=options.rejected, **about)


def _text(value: str) -> str:
    return read_text("-") if value == "-" else value


def _list(options: argparse.Namespace) -> int:
    from motet.tune.store import CorruptLine, Statistics, matches

    style = Style(options.color, sys.stdout)
    statistics = Statistics(bytes=Path(options.file).stat().st_size)
    corrupt: list[CorruptLine] = []
    listed: list[dict[str, Any]] = []
    for _, item in tune.Examples(options.file).scan():
        if isinstance(item, CorruptLine):
            corrupt.append(item)
        elif matches(item, options.min_quality, options.tag):
            statistics.add(item)
            if options.stats:
                continue
            if options.json:
                listed.append({"id": item.id, "quality": item.quality, "tags": item.tags, "source": item.source})
            else:
                print(_line(item, style))
    if options.json:
        problems = [{"line": line, "problem": problem, "torn": torn} for line, problem, torn in corrupt]
        shape = {"statistics": statistics.to_dict(), "corrupt": problems}
        print(json_text(shape if options.stats else {"examples": listed, **shape}, indent=2))
    else:
        print(_statistics(statistics))
    for line in corrupt:
        print(f"motet: {options.file}, line {line.line}: {line.problem}", file=sys.stderr)
    return 1 if any(not line.torn for line in corrupt) else 0


def _line(example: tune.Example, style: Style) -> str:
    text = example.text if example.text is not None else _first_question(example)
    quality = "   -" if example.quality is None else f"{example.quality:.2f}"
    first = " ".join(text.split())[:60]
    return f"{style('title', example.id[:12])}  {quality}  {first}  {style('markup', ' '.join(example.tags))}".rstrip()


def _first_question(example: tune.Example) -> str:
    return next((message["content"] for message in example.messages if message["role"] == "user"), "")


def _statistics(statistics: Statistics) -> str:
    mean = "unknown" if statistics.mean_quality is None else f"{statistics.mean_quality:.2f}"
    tags = ", ".join([f"{tag} {times}" for tag, times in statistics.tags.most_common(20)]) or "none"
    formats = ", ".join([f"{name} {times}" for name, times in statistics.formats.most_common()]) or "none"
    return (
        f"{statistics.examples} examples: {formats}; {statistics.with_reasoning} with reasoning, "
        f"{statistics.with_tools} with tool calls\n"
        f"quality: {mean} on average, known of {statistics.qualities.total()}; tags: {tags}"
    )


def _show(options: argparse.Namespace) -> None:
    example = tune.Examples(options.file).get(options.id)
    if options.json or example.text is not None:
        print(json_text(example.to_dict(), indent=None if options.json else 2))
        return
    style = Style(options.color, sys.stdout)
    for name in ("id", "quality", "tags", "source"):
        if (value := getattr(example, name)) not in (None, ()):
            print(style("title", name), value if isinstance(value, str) else json.dumps(value))
    rejected = [{**example.rejected, "role": "rejected"}] if example.rejected else []
    for message in [*example.messages, *rejected]:
        print(f"\n{style('title', message['role'])}")
        for key, kind in (("reasoning", "reasoning"), ("content", "text")):
            if message.get(key):
                print(style(kind, message[key]))
        for call in message.get("tool_calls", ()):
            print(style("tool_call", f"{call['function']['name']} {call['function']['arguments']}"))


def _remove(options: argparse.Namespace) -> None:
    removed = tune.Examples(options.file).remove(*options.id)
    print(json_text({"removed": removed}) if options.json else f"{removed} removed from {options.file}")


def _add_build(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "build",
        "build training data from examples",
        ("motet data build --validation held.jsonl --fraction 0.2", "motet data build --format preference"),
    )
    _add_file(parser)
    parser.add_argument("-o", "--output", default="train.jsonl", metavar="FILE", help="training data (train.jsonl)")
    parser.add_argument("--validation", metavar="FILE", help="validation data, a share of the examples")
    parser.add_argument("--fraction", type=fraction, default=0.1, help="the share of the validation data (0.1)")
    parser.add_argument(
        "--format", choices=("conversational", "instruction", "preference", "text"), default="conversational"
    )
    _add_filter(parser)
    parser.add_argument("--dedupe", choices=("normalised", "exact", "none"), default="normalised")
    parser.add_argument("--max-tokens", type=positive, metavar="N", help="leave out longer examples")
    parser.add_argument(
        "--split",
        choices=("reasoning", "all", "none"),
        default="reasoning",
        help="the answers that become rows of their own (reasoning)",
    )
    _add_allow(parser)
    _add_workers(parser)
    parser.set_defaults(run=_build)
    return parser


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
        print(json_text(built.to_dict(), indent=2))
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


def _add_check(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "check",
        "check whether a file is valid training data (exit code 1 if not)",
        ("motet data check train.jsonl", "motet data check train.jsonl --html report.html"),
    )
    parser.add_argument("file", nargs="?", default="-", help="training data; by default, or for -, standard input")
    parser.add_argument("--max-tokens", type=positive, metavar="N", help="the longest sequence")
    parser.add_argument("--html", metavar="FILE", help="write a page with a histogram of lengths")
    parser.add_argument("--template", metavar="FILE", help="a chat template (Jinja) to check as well")
    parser.add_argument("--stop", action="append", metavar="TOKEN", help="a stop token of the template's model")
    help_text = f"findings to print; {_MAX_FINDINGS} by default, with --json all"
    parser.add_argument("--max-findings", type=positive, metavar="N", help=help_text)
    _add_allow(parser)
    _add_workers(parser)
    parser.set_defaults(run=_check)
    return parser


def _check(options: argparse.Namespace) -> int:
    from motet.tune.report import to_html, to_text

    file = sys.stdin.buffer if options.file == "-" else options.file
    rules = {"max_tokens": options.max_tokens, "allow": options.allow, "workers": options.workers}
    limit = options.max_findings or (None if options.json else _MAX_FINDINGS)
    with ProgressLine("checking") as progress:
        printer = _Findings(Style(options.color, sys.stdout), progress, limit, as_json=options.json)
        template = Path(options.template).read_text("utf-8") if options.template else None
        findings = [] if template is None else tune.check_template(template, stop_tokens=options.stop or ())
        report = tune.check(file, **rules, on_finding=printer.show, on_progress=progress.show)
        for finding in findings:
            report.add(finding)
            printer.show(finding)
    if options.html:
        write_whole(Path(options.html), to_html(report))
    printer.end()
    if options.json:
        print(json_text(report.to_dict())[1:])
    else:
        print(to_text(report))
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
            print(separator, json_text(finding.to_dict()), sep="", end="")
        else:
            kind = "repair" if finding.severity == "error" else "preamble"
            print(f"{self._style(kind, finding.severity)} {finding.code} {finding!s}")

    def end(self) -> None:
        if self._as_json:
            print("], ", end="")
            return
        if self._limit is not None and self._count > self._limit:
            print(f"and {self._count - self._limit:,} more findings; --max-findings N prints N of them, --json all")
        if self._count:
            print()
