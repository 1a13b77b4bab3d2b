"""`motet render`: chat messages as a prompt."""

from __future__ import annotations

import argparse
import sys
import typing
from typing import Any

import motet
from motet.cli.failure import InputError
from motet.cli.inputs import read_json, title, tool_list
from motet.cli.options import add_output, role
from motet.cli.style import Style
from motet.cli.terminal import json_text, unfiltered, visible
from motet.schema.builtin_functions import BuiltinTool

EXAMPLES = (
    "motet render chat.json",
    "motet render chat.json --ids --reasoning-effort high",
    "motet render chat.json --tools tools.json --dialect chat_template",
)

_OPTIONS = (
    "instructions",
    "reasoning_effort",
    "current_date",
    "identity",
    "knowledge_cutoff",
    "keep_analysis",
    "dialect",
)
"""Options of `motet.render` that are options of the command and keys of the input."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        help='a JSON list of messages, or {"messages": ..., "tools": ...}; by default, or for -, standard input',
    )
    parser.add_argument("--tools", metavar="FILE", help="a JSON list of tools")
    builtin_tools = typing.get_args(BuiltinTool)
    parser.add_argument("--builtin", action="append", choices=builtin_tools, help="a built-in tool; repeatable")
    parser.add_argument("--instructions", metavar="TEXT", help="the developer message")
    parser.add_argument("--reasoning-effort", choices=("low", "medium", "high"), help="medium by default")
    parser.add_argument("--current-date", metavar="YYYY-MM-DD", help="the date in the system message")
    parser.add_argument("--identity", metavar="TEXT", help="the first sentence of the system message")
    parser.add_argument("--knowledge-cutoff", metavar="YYYY-MM", help="as the system message says it")
    parser.add_argument(
        "--next-role", type=role, default="assistant", help="the role whose header ends the prompt, or none (assistant)"
    )
    parser.add_argument(
        "--keep-analysis",
        choices=("turn", "all", "none", "openai_harmony"),
        help="which reasoning of the conversation stays (turn)",
    )
    parser.add_argument(
        "--dialect",
        choices=("motet", "openai_harmony", "oss_harmony", "chat_template"),
        help="the way of writing (motet)",
    )
    parser.add_argument("--ids", action="store_true", help="print the token ids as a JSON list")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    messages, settings = _input(options.file)
    settings |= {name: value for name in _OPTIONS if (value := getattr(options, name)) is not None}
    if options.tools is not None:
        settings["tools"] = tool_list(options.tools)
    if options.builtin:
        settings["builtin_tools"] = options.builtin
    if options.next_role != "assistant":
        settings["next_role"] = options.next_role
    prompt = motet.render(messages, **settings)
    if options.json:
        print(json_text({"ids": prompt.ids, "text": prompt.text, "spans": prompt.spans, "dropped": prompt.dropped}))
    elif options.ids:
        print(json_text(prompt.ids))
    else:
        _print_text(prompt, Style(options.color, sys.stdout))


def _input(name: str) -> tuple[list[Any], dict[str, Any]]:
    """The messages and the options in the input."""
    value = read_json(name)
    settings: dict[str, Any] = dict(value) if isinstance(value, dict) else {"messages": value}
    messages = settings.pop("messages", None)
    if not isinstance(messages, list):
        raise InputError(f'{title(name)} must hold a list of messages, or an object with "messages"')
    # A request to a chat API has further keys, such as "model".
    names = {*_OPTIONS, "tools", "builtin_tools", "response_format", "next_role"}
    return messages, {key: value for key, value in settings.items() if key in names}


def _print_text(prompt: motet.Prompt, style: Style) -> None:
    if style.on:
        print(_coloured(prompt, style))
    elif sys.stdout.isatty():
        print(visible(prompt.text))
    else:
        # Exact, and UTF-8 in any locale: programs read it.
        sys.stdout.flush()
        unfiltered(sys.stdout).buffer.write(f"{prompt.text}\n".encode())


def _coloured(prompt: motet.Prompt, style: Style) -> str:
    """The text with its special tokens dimmed. Only ids tell a special token from text that quotes one."""
    parts: list[str] = []
    ordinary: list[int] = []
    for token in [*prompt.ids, motet.STOP_TOKENS[0]]:
        if token < min(motet.SPECIAL_TOKENS.values()):
            ordinary.append(token)
        else:
            parts += [motet.decode(ordinary), style("markup", motet.decode([token]))]
            ordinary.clear()
    return "".join(parts[:-1])
