"""Instructions per token, counted by callgrind: independent of the load of the machine.

    python benches/instructions.py [--only WORD]           counts, and writes benches/results/instructions.json
    python benches/instructions.py --check [--only WORD]   counts, and fails where a count is 5 % above the kept one

`tokenizer`: all instructions of the core's steps, by corpus, in a program without Python. `python`: those that calls from
Python execute inside of motet's native module, without CPython's and the C library's, which differ between builds. Inputs on which
a quadratic path was found are counted at two sizes, and fail where a byte of the larger costs 10 % more than one of the smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

KEPT = ROOT / "benches/results/instructions.json"
CORPORA = ("English", "Python code", "JSON calls", "mixed languages", "CJK")
"""The corpora of the calls from Python."""
STEPS = ("split", "count", "encode", "decode")
SIZE = 100_000
TOLERANCE = 1.05
"""Of the compiler's choices, which differ a little between its releases."""
LINEAR_TOLERANCE = 1.1
"""Of instructions per byte at the larger of two sizes: what has no part in the size makes it fall, not rise."""
MODULE = "_core.abi3.so"
SENTENCE = "Tell me about the weather in Paris, and whether I need an umbrella there. " * 2

Counts = dict[str, float]


def build() -> str:
    """Build the program that performs one step on a file; returns its path."""
    command = ["cargo", "build", "--release", "--example", "tokens", "--message-format", "json"]
    process = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    messages = [json.loads(line) for line in process.stdout.splitlines()]
    programs = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "tokens"]
    return str(programs[0])


def profile(command: list[str], module: str | None) -> tuple[int, int]:
    """The instructions of a command, of all or of one module's functions alone, and the number that it prints last but one."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command]
        environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.run(valgrind, check=True, capture_output=True, text=True, env=environment)
        return instructions(out, module), int(process.stdout.split()[-2])


def instructions(out: Path, module: str | None) -> int:
    """The sum of a callgrind file's costs, without those of calls, which stand at the called functions."""
    total, is_counted, is_of_call = 0, module is None, False
    names: dict[str, str] = {}
    for line in out.read_text("utf-8").splitlines():
        if line.startswith("ob="):
            number, _, name = line.removeprefix("ob=").partition(" ")
            name = names.setdefault(number, name)
            is_counted = module is None or name.endswith(module)
        elif line.startswith("cob="):
            number, _, name = line.removeprefix("cob=").partition(" ")
            names.setdefault(number, name)
        elif line.startswith("calls="):
            is_of_call = True
        elif line[:1] in "+-*0123456789" and line:
            if is_counted and not is_of_call:
                total += int(line.split()[1])
            is_of_call = False
    return total


def per_token(command: Callable[[int], list[str]], module: str | None) -> float:
    """Half the difference between three runs of a step and one, which cancels the start."""
    (once, tokens), (thrice, _) = profile(command(1), module), profile(command(3), module)
    return round((thrice - once) / 2 / tokens, 1)


def step_command(program: str, step: str, path: Path, times: int) -> list[str]:
    return [program, step, str(times), str(path)]


def of_tokenizer(only: str, folder: Path) -> dict[str, Counts]:
    program, counts = build(), {}
    for path in sorted(folder.iterdir()):
        if only in path.name:
            counts[path.name] = {step: per_token(partial(step_command, program, step, path), None) for step in STEPS}
            print(f"{path.name:<20} {counts[path.name]}", flush=True)
    return counts


def conversation() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """50 messages as chat dicts, and their tools."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}},
    }
    tools: list[dict[str, Any]] = [
        {"name": f"tool_{n}", "description": "Does something useful.", "parameters": schema} for n in range(5)
    ]
    call = {"id": "c", "type": "function", "function": {"name": "tool_1", "arguments": '{"city": "Paris"}'}}
    loop: list[dict[str, Any]] = [
        {"role": "user", "content": SENTENCE},
        {"role": "assistant", "reasoning": SENTENCE, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": SENTENCE},
        {"role": "assistant", "content": SENTENCE},
    ]
    return (loop * 13)[:50], tools


def cells(folder: Path) -> dict[str, Callable[[], tuple[Callable[[], object], int]]]:
    """By name: what makes a call to measure and its number of tokens. The folder has the texts, by corpus."""
    import motet

    def text_of(corpus: str) -> str:
        return (folder / corpus).read_bytes().decode()

    def on_text(function: Callable[[str], object], corpus: str) -> tuple[Callable[[], object], int]:
        text = text_of(corpus)
        return lambda: function(text), motet.count(text)

    def on_ids(function: Callable[[list[int]], object], head: str = "") -> tuple[Callable[[], object], int]:
        ids = [*motet.encode(head, special="token"), *motet.encode(text_of("English").replace("<|", "<"))[:5_000]]
        return lambda: function(ids), len(ids)

    def feed(ids: list[int], step: int) -> None:
        parser = motet.StreamParser()
        for at in range(0, len(ids), step):
            for event in parser.feed(ids[at] if step == 1 else ids[at : at + step]):
                _ = (event.delta, event.channel, event.recipient)
        parser.close()

    def on_prompt(function: Callable[..., Any]) -> tuple[Callable[[], object], int]:
        messages, tools = conversation()
        read = motet.to_messages(messages)
        prompt = motet.render(read, tools=tools)
        return lambda: function(prompt, read, messages, tools), len(prompt)

    head = "<|channel|>analysis<|message|>"
    sampled = motet.encode(f"{head}{SENTENCE}<|end|><|start|>assistant{head}{SENTENCE}<|return|>", special="token")
    forms = {"encode": motet.encode, "encode_array": motet.encode_array, "count": motet.count}
    by_corpus = {
        f"{name}, {corpus}": lambda form=form, corpus=corpus: on_text(form, corpus)
        for name, form in forms.items()
        for corpus in CORPORA
    }
    return by_corpus | {
        "decode": lambda: on_ids(motet.decode),
        "parse ids": lambda: on_ids(motet.parse, head),
        "parse text": lambda: on_text(lambda text: motet.parse(head + text), "English"),
        "feed one id": lambda: on_ids(lambda ids: feed(ids, 1), head),
        "feed 16 ids": lambda: on_ids(lambda ids: feed(ids, 16), head),
        "render 50 messages": lambda: on_prompt(lambda _, read, __, tools: motet.render(read, tools=tools).ids),
        "count 50 chat dicts": lambda: on_prompt(lambda _, __, dicts, tools: len(motet.render(dicts, tools=tools))),
        "extend 50 messages": lambda: on_prompt(lambda prompt, read, *_: prompt.extend(read[:1])),
        "extend_ids 50 messages": lambda: on_prompt(lambda prompt, read, *_: prompt.extend_ids(sampled, read[:1])),
    }


def linear_cells() -> dict[str, tuple[Callable[[int], object], tuple[int, int]]]:
    """By name: a call on an input of some bytes, and the two sizes to compare."""
    import motet

    tools = [f"tool_{number}" for number in range(128)]
    frame = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
    repaired_frame = "<|channel|>analysis Hm.<|end|><|start|>assistant"

    def by_character(size: int) -> None:
        """Text that may have lost its markers until its end, below the 8 KiB that are held back."""
        parser = motet.StreamParser(tools=tools)
        for character in ("analysis#" + "assistant to=x " * (size // 15))[:size]:
            parser.feed(character)
        parser.close()

    def polled(text: str, size: int) -> None:
        """The completion is read after each token."""
        parser = motet.StreamParser()
        for token in motet.encode(text * (size // len(text)), special="token"):
            parser.feed(token)
            _ = parser.completion
        parser.close()

    runs = {
        f"encode a run of {character!r}": (lambda size, character=character: motet.encode(character * size))
        for character in "-=*a"
    }
    return {
        "text in doubt by characters": (by_character, (2_000, 8_000)),
        "poll frames": (partial(polled, frame), (5_000, 20_000)),
        "poll repairs": (partial(polled, repaired_frame), (5_000, 20_000)),
        **{name: (run, (100_000, 400_000)) for name, run in runs.items()},
    }


def timed(command: list[str], times: int) -> list[str]:
    return [*command, str(times)]


def of_python(only: str, folder: Path) -> Counts:
    counts = {}
    for name in cells(folder):
        if only in name:
            command = [sys.executable, __file__, "--texts", str(folder), "--cell", name, "--times"]
            counts[name] = per_token(partial(timed, command), MODULE)
            print(f"{name:<32} {counts[name]}", flush=True)
    return counts


def of_linear(only: str) -> dict[str, list[float]]:
    """Instructions per byte of each cell at its two sizes."""
    counts = {}
    for name, (_, sizes) in linear_cells().items():
        if only in name:
            command = [sys.executable, __file__, "--cell", name, "--size"]
            counts[name] = [per_token(partial(timed, [*command, str(size), "--times"]), MODULE) for size in sizes]
            print(f"{name:<32} {counts[name]}", flush=True)
    return counts


def superlinear(counts: dict[str, list[float]]) -> list[str]:
    return [
        f"{name}: {smaller} instructions a byte, and {larger} of a larger input"
        for name, (smaller, larger) in counts.items()
        if larger > smaller * LINEAR_TOLERANCE + 0.5
    ]


def worse(counts: Counts, kept: Counts, of: str) -> list[str]:
    return [
        f"{of}{name}: {count} instructions a token, {kept[name]} kept"
        for name, count in counts.items()
        if name in kept and count > kept[name] * TOLERANCE + 0.5
    ]


def regressions(python: Counts, tokenizer: dict[str, Counts], kept: dict[str, Any]) -> list[str]:
    """What costs more than is kept; says on standard output what has no kept count."""
    found = worse(python, kept["python"], "")
    for name, steps in tokenizer.items():
        found += worse(steps, kept["tokenizer"].get(name, {}), f"{name}, ")
    new = [*sorted(set(python) - set(kept["python"])), *sorted(set(tokenizer) - set(kept["tokenizer"]))]
    if new:
        print(f"no count is kept of: {', '.join(new)}; run without --check to keep one")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument(
        "--only", default="", help="a word of the corpus or the call; what is counted replaces its kept counts"
    )
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        run: Callable[[], object]
        if options.size:
            run, tokens = partial(linear_cells()[options.cell][0], options.size), options.size
        else:
            run, tokens = cells(options.texts)[options.cell]()
        for _ in range(1 + options.times):
            run()
        print(f"{tokens} tokens")
        return
    # Not at the top: a cell would load it under callgrind.
    from benches.tokenizer import corpora

    kept = json.loads(KEPT.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for corpus in (*corpora.PLAIN, *corpora.HOSTILE):
            (folder / corpus).write_text(next(corpora.texts(corpus, 1, SIZE)), "utf-8", newline="")
        python, tokenizer = of_python(options.only, folder), of_tokenizer(options.only, folder)
    found = superlinear(of_linear(options.only))
    if not options.check:
        whole = {"tokenizer": kept["tokenizer"] | tokenizer, "python": kept["python"] | python}
        KEPT.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    else:
        found += regressions(python, tokenizer, kept)
    if found:
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
