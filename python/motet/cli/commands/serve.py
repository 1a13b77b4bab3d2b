"""`motet serve`: a scripted server on this machine."""

from __future__ import annotations

import argparse
import itertools
import sys
import threading

from motet.cli.inputs import read_text
from motet.cli.options import add_color, port
from motet.cli.style import Style
from motet.testing.server.faces import FACES

EXAMPLES = ("motet serve", "motet serve answer-1.txt answer-2.txt --face vllm --port 0")

_HELLO = (
    "<|channel|>analysis<|message|>A client tries the scripted server.<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Hello from the scripted server.<|return|>"
)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="*", help="completions as a model writes them, one a file, served in turn")
    parser.add_argument(
        "--face",
        "--style",
        choices=tuple(FACES),
        default="together",
        help="the server that is imitated (together)",
    )
    parser.add_argument("--port", type=port, default=8000, help="8000 by default; 0 for a free one")
    add_color(parser)


def run(options: argparse.Namespace) -> None:
    from motet.testing import ScriptedServer

    completions = [read_text(name) for name in options.file] or [_HELLO]
    turns = itertools.cycle(completions)
    lock = threading.Lock()

    def answer(_: object) -> str:
        with lock:
            return next(turns)

    with ScriptedServer(answer, face=options.face, port=options.port) as server:
        style = Style(options.color, sys.stdout)
        print(f"{style('title', server.url)} answers like {options.face}; Ctrl-C ends it", flush=True)
        print(style("markup", f"TOGETHER_BASE_URL={server.base_url} motet ask Hello"), flush=True)
        threading.Event().wait()
