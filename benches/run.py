"""Compares motet's parser and renderer with openai-harmony's (tokenizers: `tokenizer/compare.py`).

Each round runs both on the same input, one after the other, so that noise of the machine affects both. Reported are the
median and the range of the ratio over the rounds.

    python benches/run.py [--rounds 15] [--only WORD] [--processor-time]
"""

from __future__ import annotations

import argparse
import os
import platform
import pydoc_data.topics
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402

import motet  # noqa: E402
from tests.support import engine_modules, peer_vocabulary  # noqa: E402

Run = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Duel:
    """One task, done by motet and by a peer."""

    what: str
    peer: str
    ours: Run
    theirs: Run
    size: float
    unit: str
    """The unit of `size`: `tokens`, `runs`, or `net runs` (less an empty process)."""


def _on(function: Callable[[Any], object], argument: object) -> Run:
    return lambda: function(argument)


def _completion(tokens: int) -> list[int]:
    words = motet.encode("\n".join(pydoc_data.topics.topics.values()).replace("<|", "<"))
    header = motet.encode("<|channel|>analysis<|message|>", special="token")
    call = '<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>'
    return [*header, *(words * (tokens // len(words) + 1))[:tokens], *motet.encode(call, special="token")]


def parser() -> Iterator[Duel]:
    import openai_harmony as oh

    peer = oh.load_harmony_encoding(oh.HarmonyEncodingName.HARMONY_GPT_OSS)

    def process(ids: list[int]) -> None:
        parser = oh.StreamableParser(peer, oh.Role.ASSISTANT)
        for token in ids:
            parser.process(token)
            _ = (parser.last_content_delta, parser.current_channel, parser.current_recipient)

    def feed(ids: list[int], step: int) -> None:
        parser = motet.StreamParser()
        chunks: Any = ids if step == 1 else [ids[at : at + step] for at in range(0, len(ids), step)]
        for chunk in chunks:
            for event in parser.feed(chunk):
                _ = (event.delta, event.channel, event.recipient)
        parser.close()

    for tokens in (10, 100, 1_000, 10_000, 100_000, 1_000_000):
        ids = _completion(tokens)
        text = motet.decode(ids)
        theirs = partial(peer.parse_messages_from_completion_tokens, ids, oh.Role.ASSISTANT)
        stream = partial(process, ids)
        name, size = f"{tokens:,} tokens", len(ids)
        yield Duel(f"parse ids, {name}", "openai-harmony", _on(motet.parse, ids), theirs, size, "tokens")
        yield Duel(f"parse text, {name}", "openai-harmony", _on(motet.parse, text), theirs, size, "tokens")
        yield Duel(f"feed one id, {name}", "openai-harmony", partial(feed, ids, 1), stream, size, "tokens")
        yield Duel(f"feed 16 ids, {name}", "openai-harmony", partial(feed, ids, 16), stream, size, "tokens")
        yield from _text_by_token(tokens, ids)
    many = [_completion(tokens) for tokens in range(100, 300)] * 5
    size = sum(map(len, many))
    one_by_one: Run = lambda: [peer.parse_messages_from_completion_tokens(ids, oh.Role.ASSISTANT) for ids in many]  # noqa: E731
    ours = _on(motet.parse_batch, many)
    yield Duel("parse_batch, 1,000 completions", "openai-harmony", ours, one_by_one, size, "tokens")


def _text_by_token(tokens: int, ids: list[int]) -> Iterator[Duel]:
    """Text that arrives token by token, beside SGLang's parser where there is one."""
    try:
        engine_modules.import_sglang()
    except pytest.skip.Exception:
        return
    from sglang.srt.parser.harmony_parser import HarmonyParser

    pieces = [motet.decode([token]) for token in ids]

    def ours() -> None:
        parser = motet.StreamParser()
        for piece in pieces:
            for event in parser.feed(piece):
                _ = (event.kind, event.delta)
        parser.close()

    def theirs() -> None:
        parser = HarmonyParser()
        # An empty piece ends the input.
        for piece in [*pieces, ""]:
            for event in parser.parse(piece):
                _ = (event.event_type, event.content)

    yield Duel(f"feed text by token, {tokens:,} tokens", "SGLang", ours, theirs, len(pieces), "tokens")


def renderer() -> Iterator[Duel]:
    import openai_harmony as oh

    peer = oh.load_harmony_encoding(oh.HarmonyEncodingName.HARMONY_GPT_OSS)
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "A city"}, "days": {"type": "integer", "default": 3}},
        "required": ["city"],
    }
    tools = [{"name": f"tool_{n}", "description": "Does something useful.", "parameters": schema} for n in range(5)]
    sentence = "Tell me about the weather in Paris, and whether I need an umbrella there. " * 2
    ours: list[motet.Message] = []
    dicts: list[dict[str, Any]] = []
    chat_call = {"id": "c", "type": "function", "function": {"name": "tool_1", "arguments": '{"city": "Paris"}'}}
    theirs = [
        oh.Message.from_role_and_content(oh.Role.SYSTEM, oh.SystemContent.new()),
        oh.Message.from_role_and_content(
            oh.Role.DEVELOPER,
            oh.DeveloperContent.new().with_function_tools([oh.ToolDescription.new(**tool) for tool in tools]),
        ),
    ]
    make = oh.Message.from_role_and_content
    for _ in range(10):
        ours += [
            motet.Message("user", (motet.Text(sentence),)),
            motet.Message("assistant", (motet.Reasoning(sentence), motet.ToolCall("tool_1", '{"city": "Paris"}', "c"))),
            motet.Message("tool", (motet.ToolResult("c", sentence, "tool_1"),)),
            motet.Message("assistant", (motet.Text(sentence),)),
        ]
        dicts += [
            {"role": "user", "content": sentence},
            {"role": "assistant", "reasoning": sentence, "tool_calls": [chat_call]},
            {"role": "tool", "tool_call_id": "c", "content": sentence},
            {"role": "assistant", "content": sentence},
        ]
        call = (
            make(oh.Role.ASSISTANT, '{"city": "Paris"}').with_channel("commentary").with_recipient("functions.tool_1")
        )
        author = oh.Author.new(oh.Role.TOOL, "functions.tool_1")
        result = (
            oh.Message.from_author_and_content(author, sentence).with_channel("commentary").with_recipient("assistant")
        )
        theirs += [
            make(oh.Role.USER, sentence),
            make(oh.Role.ASSISTANT, sentence).with_channel("analysis"),
            call.with_content_type("<|constrain|>json"),
            result,
            make(oh.Role.ASSISTANT, sentence).with_channel("final"),
        ]
    whole = oh.Conversation.from_messages(theirs)
    settings: Any = {"tools": tools, "dialect": "openai_harmony", "keep_analysis": "openai_harmony"}
    expected = peer.render_conversation_for_completion(whole, oh.Role.ASSISTANT)
    prompt = motet.render(ours, **settings)
    if prompt.ids != expected or motet.render(dicts, **settings).ids != expected:
        raise SystemExit("the rendered ids differ")
    render: Run = lambda: peer.render_conversation_for_completion(whole, oh.Role.ASSISTANT)  # noqa: E731
    size = len(expected)
    yield Duel(
        "render 50 messages", "openai-harmony", lambda: motet.render(ours, **settings).ids, render, size, "tokens"
    )
    chat: Run = lambda: motet.render(dicts, **settings).ids  # noqa: E731
    yield Duel("render 50 messages from chat dicts", "openai-harmony", chat, render, size, "tokens")
    count: Run = lambda: len(motet.render(dicts, **settings))  # noqa: E731
    yield Duel("count 50 messages from chat dicts", "openai-harmony", count, render, size, "tokens")
    yield Duel("extend by a message", "openai-harmony", lambda: prompt.extend(ours[:1]).ids, render, size, "tokens")


def cold(folder: str) -> Iterator[Duel]:
    load = "openai_harmony.load_harmony_encoding(openai_harmony.HarmonyEncodingName.HARMONY_GPT_OSS)"
    parse = (
        "parse_messages_from_completion_tokens([200005, 17196, 200008, 13225, 200002], openai_harmony.Role.ASSISTANT)"
    )
    theirs = f"import openai_harmony; e = {load}; e.encode('hello'); e.{parse}"
    ours = "import motet; motet.encode('hello'); motet.parse([200005, 17196, 200008, 13225, 200002])"

    def run(program: str) -> Run:
        environment = os.environ | {"TIKTOKEN_ENCODINGS_BASE": folder}
        return lambda: subprocess.run([sys.executable, "-c", program], check=True, env=environment)

    yield Duel("import, encode, parse: a whole process", "openai-harmony", run(ours), run(theirs), 1, "runs")
    yield Duel("the same, less an empty process", "openai-harmony", run(ours), run(theirs), 1, "net runs")


def timed(run: Run, clock: Callable[[], float] = time.perf_counter, least: float = 0.02) -> float:
    """Seconds of one run; short runs are repeated for at least `least` seconds."""
    start, count = clock(), 0
    while True:
        run()
        count += 1
        spent = clock() - start
        if spent >= least:
            return spent / count


def fight(duel: Duel, rounds: int, clock: Callable[[], float]) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    theirs: list[float] = []
    empty: Run = lambda: subprocess.run([sys.executable, "-c", ""], check=True)  # noqa: E731
    for number in range(rounds):
        pairs = [(ours, duel.ours), (theirs, duel.theirs)]
        for times, run in pairs if number % 2 else reversed(pairs):
            times.append(timed(run, clock if duel.unit == "tokens" else time.perf_counter))
        if duel.unit == "net runs":
            start = timed(empty)
            ours[-1], theirs[-1] = max(ours[-1] - start, 1e-4), theirs[-1] - start
    return ours, theirs


def speed(duel: Duel, times: list[float]) -> str:
    seconds = statistics.median(times)
    match duel.unit:
        case "tokens":
            return f"{seconds / duel.size * 1e9:,.0f} ns/token"
        case _:
            return f"{seconds * 1e3:,.1f} ms"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--only", default="", help="run only the tasks whose name contains this; writes nothing")
    options.add_argument(
        "--processor-time", action="store_true", help="of tokens, as on a loaded machine; writes nothing"
    )
    arguments = options.parse_args()
    clock = time.process_time if arguments.processor_time else time.perf_counter
    rows = ["| what | motet | peer | | ratio | range |", "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        peer_vocabulary.export_for_peers(Path(folder))
        for group in (parser(), renderer(), cold(folder)):
            for duel in group:
                if arguments.only not in duel.what:
                    continue
                ours, theirs = fight(duel, arguments.rounds, clock)
                ratios = sorted([b / a for a, b in zip(ours, theirs, strict=True)])
                spread = f"{ratios[len(ratios) // 10]:.1f} to {ratios[-1 - len(ratios) // 10]:.1f}"
                cells = [duel.what, speed(duel, ours), speed(duel, theirs), duel.peer]
                rows.append(f"| {' | '.join(cells)} | **{statistics.median(ratios):.1f}** | {spread} |")
                print(rows[-1], flush=True)
    if not arguments.only and not arguments.processor_time:
        machine = (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        page = ROOT / "benches/README.md"
        # The other parts are written by proxy/compare.py and tokenizer/compare.py.
        _, heading, others = page.read_text("utf-8").partition("\n## Proxy\n")
        head = HEAD.format(machine=machine, rounds=arguments.rounds)
        page.write_text(f"{head}\n" + "\n".join(rows) + "\n" + heading + others, "utf-8")


HEAD = """# Benchmarks
`make bench` measures motet beside other libraries and writes this page; `make instructions` counts instructions per token
with callgrind and compares them with `results/instructions.json`.

| folder | what it measures |
|---|---|
| `run.py` | parser and renderer beside openai-harmony, and the parser of text beside SGLang's, where `sglang` is installed or unpacked in `MOTET_SGLANG` |
| `drop_in.py` | `motet.openai_harmony` beside openai-harmony, method by method |
| `tokenizer/` | the tokenizer beside all others for this vocabulary: `compare.py`, `plot.py`; `exact.py` compares ids with tiktoken's on random text |
| `instructions.py` | instructions per token of the tokenizer's steps and of calls from Python |
| `agent.py` | the work for each turn of an agent of 50 turns, beside rendering it anew |
| `memory.py` | memory while unseen text is encoded, threads come and go, and completions are parsed |
| `columns.py` | `motet.columns` beside loops, tiktoken's batches, polars-tokenizer and a regular expression |
| `parser/overhead.py` | what motet adds to the bare SDK for each chunk of a stream |
| `proxy/compare.py`, `proxy/load.py` | the proxy beside no proxy, nginx and litellm's; many streams at once, none lost or mixed |
| `dataset/speed.py` | speed and memory of making and checking data sets |
| `results/` | the last figures |

## Parser and renderer
Each round runs motet and the peer on the same input, one after the other. The ratio is the median over {rounds} rounds; the
range excludes the lowest and the highest tenth. {machine}; openai-harmony 0.0.8. Ratios
transfer between machines better than speeds.

Parsing text counts its tokens on first access to `tokens`; parsing ids counts them on the way. `extend` is compared with
rendering the whole conversation, which is what openai-harmony offers.
"""

if __name__ == "__main__":
    main()
