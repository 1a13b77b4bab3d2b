"""`motet render`: chat messages to a prompt."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import motet
from motet.cli.style import Style, UsageError, read_bytes, tool_list, visible

__all__ = ["register"]

_SETTINGS = (
    "instructions",
    "reasoning_effort",
    "current_date",
    "identity",
    "knowledge_cutoff",
    "keep_analysis",
    "dialect",
)


def register(commands: Any) -> None:
    parser = commands.add_parser("render", help="chat messages to a prompt")
    parser.add_argument(
        "file", nargs="?", default="-", help='a JSON list of messages, or {"messages": ..., "tools": ...}'
    )
    parser.add_argument("--tools", metavar="FILE", help="a JSON list of tools")
    parser.add_argument("--builtin", action="append", choices=("browser", "python"), help="a built-in tool")
    parser.add_argument("--instructions")
    parser.add_argument("--reasoning-effort", choices=("low", "medium", "high"))
    parser.add_argument("--current-date", metavar="YYYY-MM-DD")
    parser.add_argument("--identity")
    parser.add_argument("--knowledge-cutoff")
    parser.add_argument("--next-role", default="assistant", help="whose header comes last, or none")
    parser.add_argument("--keep-analysis", choices=("turn", "all", "none", "openai_harmony"))
    parser.add_argument("--dialect", choices=("motet", "openai_harmony", "chat_template"))
    parser.add_argument("--ids", action="store_true", help="print the token ids as a JSON list")
    parser.add_argument("--json", action="store_true", help="print ids, text and spans as JSON")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    try:
        given = json.loads(read_bytes(options.file))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{options.file} is not JSON: {error}") from error
    settings: dict[str, Any] = given if isinstance(given, dict) else {"messages": given}
    messages = settings.pop("messages", None)
    if not isinstance(messages, list):
        raise UsageError(f'{options.file} must hold a list of messages, or an object with "messages"')
    known = {*_SETTINGS, "tools", "builtin_tools", "response_format", "next_role"}
    settings = {name: value for name, value in settings.items() if name in known}
    settings |= {name: value for name in _SETTINGS if (value := getattr(options, name)) is not None}
    if options.tools is not None:
        settings["tools"] = tool_list(options.tools)
    if options.builtin:
        settings["builtin_tools"] = options.builtin
    if options.next_role != "assistant":
        settings["next_role"] = None if options.next_role == "none" else options.next_role
    prompt = motet.render(messages, **settings)
    if options.json:
        shape = {"ids": prompt.ids, "text": prompt.text, "spans": prompt.spans, "dropped": prompt.dropped}
        print(json.dumps(shape, ensure_ascii=False))
    elif options.ids:
        print(json.dumps(prompt.ids))
    else:
        print(_coloured(prompt, Style(options.color, sys.stdout)))


def _coloured(prompt: motet.Prompt, style: Style) -> str:
    """The text, its markers dimmed. Only ids tell a marker from text that quotes one."""
    if not style.on:
        return prompt.text
    pieces: list[str] = []
    plain: list[int] = []
    for token in [*prompt.ids, motet.STOP_TOKENS[0]]:
        if token < min(motet.SPECIAL_TOKENS.values()):
            plain.append(token)
        else:
            pieces += [visible(motet.decode(plain)), style("markup", motet.decode([token]))]
            plain.clear()
    return "".join(pieces[:-1])
