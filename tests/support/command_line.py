"""`motet` commands: within this process, which is fast, or as a process of their own."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest

import motet
from motet import catalog
from motet.cli import main

__all__ = ["BROKEN", "RAW", "Result", "command", "help_of", "process", "run"]


RAW = '<|channel|>analysis<|message|>think<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>'
BROKEN = "<|channel|>analysis<|message|>think<|end|><|channel|>final<|message|>Hi<|return|>"
"""Its second frame has no `<|start|>`."""


class Result(NamedTuple):
    code: int
    out: str
    err: str


def run(*arguments: str, stdin: str | bytes = b"", folder: Path | None = None) -> Result:
    """Runs a command within this process, without a terminal, in a folder."""
    out, err = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    # A file, because streamed input is read by its descriptor.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as service, pytest.MonkeyPatch.context() as patch:
        service.buffer.write(stdin.encode() if isinstance(stdin, str) else stdin)
        service.seek(0)
        patch.setattr(sys, "stdin", service)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        if folder is not None:
            patch.chdir(folder)
        try:
            with warnings.catch_warnings():
                # Tests turn warnings into errors; a command prints this one.
                warnings.simplefilter("default", motet.RemovedAtomWarning)
                code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            # A process would end here, and with it what it has learned about the service.
            catalog.forget()
    return Result(code, *[stream.buffer.getvalue().decode() for stream in (out, err)])  # type: ignore[attr-defined]


def command(*arguments: str, stdin: str | bytes = b"", folder: Path | None = None, code: int = 0) -> str:
    """The standard output of a command; for a failure, its standard error. An error is one line, and what strict parsing
    refuses is shown in two more."""
    result = run(*arguments, stdin=stdin, folder=folder)
    assert result.code == code, result.err
    lines = result.err.count("\n")
    assert lines == {1: 1, 4: 3}.get(code, lines)
    return result.err if code else result.out


def process(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Runs a command as a process."""
    done = subprocess.run([sys.executable, "-m", "motet.cli", *arguments], input=stdin, capture_output=True, timeout=60)
    assert b"Traceback" not in done.stderr
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def help_of(name: str) -> str:
    """The help of a command, 100 columns wide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        return command(*name.split(), "--help")
