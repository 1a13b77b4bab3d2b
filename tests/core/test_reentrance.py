"""Finalizers that use the object whose call they interrupt."""

from __future__ import annotations

import subprocess
import sys

import pytest

ERROR = "this object is in use by a call that is interrupted: finalizers and signal handlers cannot use it"

OTHER_THREAD = "this object is in use by another thread: finalizers and signal handlers cannot wait for it"

COLLECTIONS = """
import gc
import motet

errors, finalized, kept = set(), 0, []

def finalize_often(use):
    '''Each collection of garbage runs `use`; most allocations of a container collect it.'''
    class Cycle:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            global finalized
            finalized += 1
            try:
                use()
            except RuntimeError as error:
                errors.add(str(error))
            Cycle()

    Cycle()
    gc.set_threshold(1)

frame = "<|channel|>{}<|message|>text<|end|><|start|>assistant"
parser = motet.StreamParser()
"""
"""Each case ends by itself, or in a lock that its own thread holds."""

CASES = {
    "feed": """
finalize_often(lambda: parser.feed(" x"))
for number in range(20):
    kept.append(parser.feed(frame.format("analysis")))
    kept.append(parser.feed(frame.format("commentary to=functions.f")))
""",
    "completion": """
completions = [parser.completion]
finalize_often(lambda: (parser.feed(" x"), completions[-1].message))
for number in range(20):
    completions.append(parser.completion)
    parser.feed(frame.format("analysis") + "<|channel|>final")
    completion = parser.completion
    kept += completion.message, completion.frames, completion.tool_calls, completion.repairs
""",
    "prompt": """
prompts = [motet.render([{"role": "user", "content": str(number)}]) for number in range(20)]
finalize_often(lambda: [prompt.ids for prompt in prompts])
kept += [prompt.ids for prompt in prompts]
""",
    "token streams": """
encoder, decoder = motet.StreamEncoder(), motet.StreamDecoder()
finalize_often(lambda: (encoder.feed(" x"), decoder.feed(1)))
for number in range(20):
    kept += encoder.feed("two words"), encoder.__reduce__(), decoder.feed([1, 2, 3]), decoder.__reduce__()
""",
    "openai_harmony": """
from motet.openai_harmony import Role, StreamableParser, load_harmony_encoding

encoding = load_harmony_encoding("HarmonyGptOss")
parser = StreamableParser(encoding, Role.ASSISTANT)
ids = encoding.encode(frame.format("analysis") * 5, allowed_special="all")
finalize_often(lambda: (parser.state_data, parser.tokens))
for id in ids:
    kept += parser.process(id), parser.state_data, parser.tokens, parser.messages
""",
}


def output_lines(program: str) -> list[str]:
    """What a program prints in a process of its own, which has a minute and writes no error."""
    command = [sys.executable, "-c", program]
    process = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert process.stderr == ""
    return process.stdout.splitlines()


@pytest.mark.parametrize("case", CASES)
def test_finalizers_in_a_call_do_not_hang(case: str) -> None:
    """CPython 3.11 collects garbage in the middle of calls, later ones between two instructions of bytecode."""
    check = "\ngc.set_threshold(700)\nassert finalized\nprint(*errors, sep='\\n')"
    lines = output_lines(COLLECTIONS + CASES[case] + check)
    assert set(lines) <= {ERROR, "Already borrowed", "Already mutably borrowed", ""}


FREED_ITEMS = """
import motet

parser, results = motet.StreamParser(), []
parser.feed("<|channel|>final<|message|>")
for chunk in "- + - + - + ".split():
    parser.feed(chunk)

class Item:
    def __del__(self):
        try:
            parser.feed("+")
            results.append("fed")
        except RuntimeError as error:
            results.append(str(error))

# The parser writes the next event into the list that it returned last, and frees the item there.
for chunk in "-", " new":
    events = parser.feed("-")
    events[0] = Item()
    del events
    assert [event.delta for event in parser.feed(chunk)] == [chunk]
assert results[0] == "fed", results
print(parser.completion.text, *results, sep="\\n")
"""


def test_freeing_an_item_of_returned_events_may_feed() -> None:
    """Plain words are read before the item is freed; other chunks are read meanwhile."""
    assert output_lines(FREED_ITEMS) == ["-+-+-+--+- new", "fed", ERROR]


CROSSED_THREADS = """
import threading

begins, results = threading.Event(), []
parser.feed("<|channel|>final<|message|>")
completion = parser.completion

def feed():
    begins.wait()
    # Has the parser, and waits for what it has read, which the completion is reading.
    parser.feed("-")

def feed_while_the_thread_does():
    if results:
        return
    begins.set()
    while True:
        try:
            parser.feed("+")
            return
        except RuntimeError as error:
            if str(error) == OTHER_THREAD:
                results.append(str(error))
                return

thread = threading.Thread(target=feed)
thread.start()
finalize_often(feed_while_the_thread_does)
for number in range(20):
    kept += completion.message, completion.frames
begins.set()
thread.join()
print(*results, sep="\\n")
"""


def test_finalizer_does_not_wait_for_a_thread_that_waits() -> None:
    assert set(output_lines(f"OTHER_THREAD = {OTHER_THREAD!r}{COLLECTIONS}{CROSSED_THREADS}")) <= {OTHER_THREAD}
