"""`motet view`: completions, prompts, runs and recorded exchanges as a page, or in the terminal."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from motet._atomic_files import write_whole
from motet.cli.failure import InputError
from motet.cli.inputs import read_completion, title, tool_list
from motet.cli.options import add_color, role
from motet.cli.style import Style
from motet.view.files import transcripts
from motet.view.html import page
from motet.view.plain import plain_lines
from motet.view.sources import transcript
from motet.view.transcript import Transcript

EXAMPLES = (
    "motet view run.json",
    "motet view completion.txt -o completion.html",
    "motet view cassette.jsonl --open",
    "motet view run.json --euphony > conversation.jsonl",
)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="completions, prompts, runs, episodes, cassettes, tables of these in JSONL or Parquet, the SQLite state "
        "of a proxy; - for a completion on standard input",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write one HTML page, which needs no network")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--plain", action="store_true", help="print text, also where the output is a terminal")
    parser.add_argument("--euphony", action="store_true", help="print conversations as OpenAI's euphony reads them")
    parser.add_argument("--tokens", action="store_true", help="show the bounds of tokens in the text")
    parser.add_argument("--role", type=role, default="assistant", help="the role of raw completions (assistant)")
    parser.add_argument("--opened", metavar="HEADER", help="the header that the prompt opened, as analysis")
    parser.add_argument("--tools", metavar="FILE", help="a JSON list of the tools that the model was given")
    add_color(parser)


def run(options: argparse.Namespace) -> None:
    items = [item for name in options.files for item in _read(name, options)]
    if not items:
        raise InputError("nothing to view: the files hold no transcript")
    if options.output or options.open:
        _write_page(items, options)
    elif options.euphony:
        for item in items:
            print(json.dumps(item.to_euphony(), ensure_ascii=True))
    elif not options.plain and sys.stdout.isatty() and sys.stdin.isatty() and (browse := _browser()) is not None:
        browse(items)
    else:
        style = Style(options.color, sys.stdout)
        for item in items:
            for line in plain_lines(item, style, with_tokens=options.tokens):
                print(line)


def _browser() -> Callable[[list[Transcript]], None] | None:
    """What shows transcripts on the whole terminal. `None` without textual."""
    try:
        from motet.view.terminal import Browser
    except ImportError:
        print("motet: motet[view] browses on the whole terminal: pip install 'motet[view]'", file=sys.stderr)
        return None
    return lambda items: Browser(items).run()


def _read(name: str, options: argparse.Namespace) -> list[Transcript]:
    parsing = {"role": options.role, "opened": options.opened, "tools": tool_list(options.tools)}
    if name == "-":
        return [transcript(read_completion(name), title=title(name), **parsing)]
    return transcripts(name, **parsing)


def _write_page(items: list[Transcript], options: argparse.Namespace) -> None:
    name = options.output
    if name is None:
        folder = tempfile.mkdtemp(prefix="motet-view-")
        name = str(Path(folder) / "transcript.html")
    path = Path(name)
    write_whole(path, page([item.to_dict() for item in items]))
    print(path)
    if options.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
