"""Compares `motet.openai_harmony` with openai-harmony, method by method, and prints a table.

Each round runs both on the same input, one after the other, so that noise of the machine affects both. Reported are the
median and the range of the ratio over the rounds.

    python benches/drop_in.py [--rounds 9] [--only WORD]
"""

from __future__ import annotations

import argparse
import os
import pydoc_data.topics
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import motet  # noqa: E402
from motet import openai_harmony as library  # noqa: E402
from tests.support import peer_vocabulary  # noqa: E402

Task = Callable[[ModuleType, Any], object]
"""What is measured, given a module and its encoding."""

TEXT = pydoc_data.topics.topics["lambda"] + pydoc_data.topics.topics["numbers"] + pydoc_data.topics.topics["typesseq"]
TOKENS = [
    *motet.encode("<|channel|>analysis<|message|>", special="token"),
    *motet.encode(TEXT.replace("<|", "<"))[:1000],
    *motet.encode(
        '<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>',
        special="token",
    ),
]


def process(properties: str) -> Task:
    names = properties.split()

    def task(module: ModuleType, encoding: Any) -> None:
        parser = module.StreamableParser(encoding, module.Role.ASSISTANT)
        for token in TOKENS:
            parser.process(token)
            for name in names:
                getattr(parser, name)

    return task


def process_as_servers(module: ModuleType, encoding: Any) -> None:
    parser = module.StreamableParser(encoding, module.Role.ASSISTANT)
    for token in TOKENS:
        parser.process(token)
        _ = (parser.current_role, parser.current_channel, parser.current_recipient, parser.last_content_delta)


def conversation(module: ModuleType, turns: int) -> Any:
    make, role = module.Message.from_role_and_content, module.Role
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "A city"}}}
    functions = [module.ToolDescription.new(f"f{number}", "Does something useful.", schema) for number in range(5)]
    developer = module.DeveloperContent.new().with_instructions("Be brief.").with_function_tools(functions)
    messages = [make(role.SYSTEM, module.SystemContent.new()), make(role.DEVELOPER, developer)]
    for _ in range(turns):
        call = make(role.ASSISTANT, '{"city": "Paris"}').with_channel("commentary").with_recipient("functions.f1")
        author = module.Author.new(role.TOOL, "functions.f1")
        result = module.Message.from_author_and_content(author, "24 degrees, and no clouds.").with_channel("commentary")
        messages += [
            make(role.USER, "What is the weather in Paris today, and do I need an umbrella there?"),
            make(role.ASSISTANT, "The user asks for the weather: call the function.").with_channel("analysis"),
            call.with_content_type("<|constrain|>json"),
            result.with_recipient("assistant"),
            make(role.ASSISTANT, "It is warm and dry: leave the umbrella at home.").with_channel("final"),
        ]
    return module.Conversation.from_messages(messages)


def tasks(peer: ModuleType) -> dict[str, Task]:
    conversations = {(module, turns): conversation(module, turns) for module in (library, peer) for turns in (1, 10)}

    def rendered(turns: int) -> Task:
        return lambda module, encoding: encoding.render_conversation_for_completion(
            conversations[module, turns], module.Role.ASSISTANT
        )

    return {
        "process, 4 properties, 1,024 tokens": process_as_servers,
        "process alone, 1,024 tokens": process(""),
        "process, all properties but lists": process(
            "current_role current_channel current_recipient current_content_type last_content_delta state"
        ),
        "parse_messages_from_completion_tokens, 1,024 tokens": lambda module, encoding: (
            encoding.parse_messages_from_completion_tokens(TOKENS, module.Role.ASSISTANT)
        ),
        "parse_messages_from_completion_tokens, 8 tokens": lambda module, encoding: (
            encoding.parse_messages_from_completion_tokens(TOKENS[:8], module.Role.ASSISTANT)
        ),
        "render_conversation_for_completion, 7 messages": rendered(1),
        "render_conversation_for_completion, 52 messages": rendered(10),
        "render_conversation_for_training, 52 messages": lambda module, encoding: (
            encoding.render_conversation_for_training(conversations[module, 10])
        ),
        "render, 1 message": lambda module, encoding: encoding.render(conversations[module, 1].messages[2]),
        f"encode, {len(TEXT):,} characters": lambda module, encoding: encoding.encode(TEXT),
        "encode, 5 characters": lambda module, encoding: encoding.encode("hello"),
        "encode, 5 characters, disallowed_special=()": lambda module, encoding: encoding.encode(
            "hello", disallowed_special=()
        ),
        "encode, a marker, allowed_special='all'": lambda module, encoding: encoding.encode(
            "<|start|>", allowed_special="all"
        ),
        "encode, a marker, a set": lambda module, encoding: encoding.encode("<|start|>", allowed_special={"<|start|>"}),
        "decode, 1,024 tokens": lambda module, encoding: encoding.decode(TOKENS),
        "decode_utf8, 1,024 tokens": lambda module, encoding: encoding.decode_utf8(TOKENS),
        "stop_tokens": lambda module, encoding: encoding.stop_tokens(),
        "StreamableParser(...)": lambda module, encoding: module.StreamableParser(encoding, None),
    }


def timed(run: Callable[[], object], least: float = 0.02) -> float:
    """Seconds of one run; short runs are repeated for at least `least` seconds."""
    start, count = time.perf_counter(), 0
    while True:
        run()
        count += 1
        spent = time.perf_counter() - start
        if spent >= least:
            return spent / count


def started(name: str, use: str) -> Callable[[], object]:
    """A process that imports a module, loads its encoding and uses it."""
    program = f"import {name} as m; e = m.load_harmony_encoding('HarmonyGptOss'); {use}"
    return lambda: subprocess.run([sys.executable, "-c", program], check=True)


STARTS = {
    "start of a process: load, encode, process a token": (
        "e.encode('hello'); m.StreamableParser(e, m.Role.ASSISTANT).process(200005)"
    ),
    "start of a process: load, encode, parse to models": (
        "e.encode('hello'); "
        "e.parse_messages_from_completion_tokens([200005, 17196, 200008, 13225, 200002], m.Role.ASSISTANT)"
    ),
}


def row(what: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> str:
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            times[side].append(timed((ours, theirs)[side]))
    ratios = sorted([peer / own for own, peer in zip(*times, strict=True)])
    own, peer = (f"{statistics.median(side) * 1e6:,.1f} us" for side in times)
    spread = f"{ratios[len(ratios) // 10]:.1f} to {ratios[-1 - len(ratios) // 10]:.1f}"
    return f"| {what} | {own} | {peer} | **{statistics.median(ratios):.1f}** | {spread} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--only", default="", help="run only the tasks whose name contains this")
    arguments = options.parse_args()
    print("| what | motet | openai-harmony | ratio | range |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        peer_vocabulary.export_for_peers(Path(folder))
        import openai_harmony as peer

        encodings = {module: module.load_harmony_encoding("HarmonyGptOss") for module in (library, peer)}
        for what, task in tasks(peer).items():
            if arguments.only in what:
                ours, theirs = [partial(task, module, encoding) for module, encoding in encodings.items()]
                print(row(what, ours, theirs, arguments.rounds), flush=True)
        os.environ["TIKTOKEN_ENCODINGS_BASE"] = folder
        for what, use in STARTS.items():
            if arguments.only in what:
                starts = [started(name, use) for name in ("motet.openai_harmony", "openai_harmony")]
                print(row(what, starts[0], starts[1], arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
