"""`motet parse`: a raw completion as typed messages."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from typing import Any

import motet
from motet import _core
from motet.cli.columns import add_table, need_pyarrow, run_table
from motet.cli.event_printer import EventPrinter, channel_counts, repair_line
from motet.cli.failure import UsageError
from motet.cli.inputs import read_completion, read_ids, stream_completion, tool_list
from motet.cli.options import add_input, add_output, add_parsing
from motet.cli.style import Style
from motet.cli.terminal import json_text

EXAMPLES = (
    "motet parse completion.txt --json",
    "motet parse ids.json --strict --tools tools.json",
    "curl -N ... | motet parse --stream",
    "motet parse runs.parquet --column completion -o parsed.parquet",
)

_START = _core.MARKERS["start"]


def add(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    parser.add_argument("--stream", action="store_true", help="print events while the input arrives")
    add_parsing(parser)
    add_output(parser)
    add_table(parser)
    parser.add_argument("--column", metavar="NAME", help="the column with the completions")
    parser.add_argument("--no-tokens", action="store_true", help="do not count the tokens of text, which is faster")


def run(options: argparse.Namespace) -> int | None:
    if options.column is not None or options.output is not None:
        return _parse_table(options)
    _parse_one(options)
    return None


def _parse_table(options: argparse.Namespace) -> int:
    if options.column is None or options.output is None:
        raise UsageError("a table needs both --column and --output")
    if options.stream or options.strict:
        raise UsageError("--stream and --strict are for one completion, not for a table")
    need_pyarrow()
    from motet.columns._transform import parsing

    tools = tool_list(options.tools)
    settings = {"role": options.role, "opened": options.opened, "tools": tools, "stripped": options.stripped}
    settings["tokens"] = not options.no_tokens
    transform = parsing(options.column, settings)
    columns = [options.column]
    return run_table(options, name="parse", columns=columns, transform=transform, settings=settings, ids=options.ids)


def _parse_one(options: argparse.Namespace) -> None:
    style, tools = Style(options.color, sys.stdout), tool_list(options.tools)
    if options.stream:
        _stream(options, style, tools)
        return
    data = read_completion(options.file)
    ids = read_ids(data, options)
    completion = motet.parse(
        data if ids is None else ids,
        role=_role(options, data, ids),
        opened=options.opened,
        tools=tools,
        strict=options.strict,
        stripped=options.stripped,
    )
    print(json_text(_completion_dict(completion), indent=2) if options.json else _summary(completion, style))


def _stream(options: argparse.Namespace, style: Style, tools: list[Any] | None) -> None:
    chunks = stream_completion(options.file)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head.lstrip()) >= len(_START):
            break
    ids = None
    if options.ids or (not options.text and head.lstrip()[:1] == b"["):
        # A JSON list is read whole; its ids are then fed one by one.
        head += b"".join(chunks)
        ids = read_ids(head, options)
    role = _role(options, head, ids)
    parser = motet.StreamParser(
        role, opened=options.opened, tools=tools, strict=options.strict, stripped=options.stripped
    )
    printer = EventPrinter(style, as_json=options.json)
    for part in itertools.chain([head], chunks) if ids is None else ids:
        printer.show(parser.feed(part))
    printer.show(parser.close())
    printer.end(parser.completion)


def _role(options: argparse.Namespace, head: bytes, ids: list[int] | None) -> Any:
    """The role with which the prompt ended; `None` if the input begins with a `<|start|>` of its own."""
    if ids is None:
        begins_with_start = head.lstrip().startswith(_START.encode())
    else:
        begins_with_start = ids[:1] == [motet.SPECIAL_TOKENS[_START]]
    return None if begins_with_start else options.role


def _completion_dict(completion: motet.Completion) -> dict[str, Any]:
    return {
        "message": completion.message.to_dict(),
        "stop": completion.stop,
        "tokens": completion.tokens,
        "lane": completion.lane,
        "frames": [dataclasses.asdict(frame) for frame in completion.frames],
        "repairs": [dataclasses.asdict(repair) for repair in completion.repairs],
    }


def _summary(completion: motet.Completion, style: Style) -> str:
    parts = [_part(part, style) for part in completion.message.content]
    facts = f"stop: {completion.stop or 'none'}   lane: {completion.lane}   tokens: {channel_counts(completion)}"
    repairs = [repair_line(repair, style) for repair in completion.repairs]
    return "\n".join([*parts, style("markup", facts), *repairs])


def _part(part: motet.Part, style: Style) -> str:
    label = style("title", part.type)
    match part:
        case motet.ToolCall():
            trust = "" if part.trusted else style("markup", "  (read from text: not trusted)")
            return f"{label} {style(part.type, part.name)}{trust}\n{style(part.type, part.arguments)}\n"
        case motet.ToolResult():
            return f"{label} {part.name or ''}\n{style(part.type, part.content)}\n"
        case motet.DeveloperContent():
            return f"{label}\n{style(part.type, part.text or part.instructions)}\n"
        case _:
            return f"{label}\n{style(part.type, part.text)}\n"
