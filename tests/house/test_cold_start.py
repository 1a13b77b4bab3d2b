"""What a new process loads: importing modules takes longer than tokenizing a page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import motet

PACKAGE = Path(motet.__file__).parents[1]
SLOW = {
    "argparse",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "importlib",
    "inspect",
    "json",
    "logging",
    "re",
    "typing",
}


def loaded(program: str) -> set[str]:
    """The modules that a program loads, without those of Python's start."""
    # `-S`: what the `.pth` files of an environment import is not motet's.
    start = f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); before = set(sys.modules)\n"
    end = "\nprint(*sys.modules.keys() - before)"
    command = [sys.executable, "-I", "-S", "-c", start + program + end]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_tokenizing_loads_the_native_module_alone() -> None:
    modules = loaded("""
import motet
ids = motet.encode("hello"); motet.count("hello"); motet.decode(ids); motet.decode_bytes(ids)
motet.encode_with_offsets("hello"); motet.truncate("hello", 1)
encoder = motet.StreamEncoder(); encoder.feed("hello"); encoder.close()
""")
    assert {name for name in modules if name.startswith("motet")} == {"motet", "motet._core", "motet._lazy"}
    assert SLOW & modules == set()


def test_parsing_loads_messages_without_dataclasses_and_typing() -> None:
    modules = loaded("""
import motet
completion = motet.parse("<|channel|>commentary to=functions.f<|message|>{}<|call|>")
completion.text, completion.tool_calls, completion.tokens, completion.message == completion.message
parser = motet.StreamParser()
for event in parser.feed("<|channel|>final<|message|>Hi<|return|>"): event.delta
parser.close(); parser.completion.text, parser.completion.frames
""")
    assert "motet.message" in modules
    assert {"motet.dialects", "motet.errors", "motet.harmony"} & modules == set()
    assert SLOW & modules == set()


def test_submodules_of_0_1_0_are_attributes_of_motet() -> None:
    program = "import motet; print(motet.errors.MotetError, motet.harmony.render, motet.message.Role)"
    assert {"motet.errors", "motet.harmony", "motet.message"} <= loaded(program)


def test_command_line_loads_the_module_of_the_command_alone() -> None:
    program = """
import contextlib, io
from motet.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main([%s"--help"])
"""
    modules = loaded(program % "")
    assert {name for name in modules if name.startswith("motet.cli.commands")} == set()
    assert {"dataclasses", "decimal", "inspect", "json", "logging", "typing", "motet.message"} & modules == set()
    modules = loaded(program % '"completion", ')
    assert {name for name in modules if name.startswith("motet.cli.commands.")} == {"motet.cli.commands.completion"}
