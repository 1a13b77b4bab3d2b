"""Input of commands: files and standard input."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from motet.cli.failure import InputError, describe, json_fault

__all__ = [
    "id_list",
    "read_bytes",
    "read_completion",
    "read_ids",
    "read_json",
    "read_text",
    "stream_completion",
    "title",
    "tool_list",
    "without_final_newline",
]


def read_bytes(name: str) -> bytes:
    """The bytes of a file; of standard input for `-`."""
    if name != "-":
        return Path(name).read_bytes()
    if sys.stdin.isatty():
        print("motet: reading standard input; Ctrl-D ends it", file=sys.stderr)
    return sys.stdin.buffer.read()


def without_final_newline(data: bytes) -> bytes:
    """Drops one line break at the end: editors and shells add it, and it does not belong to the text."""
    return data[:-1].removesuffix(b"\r") if data.endswith(b"\n") else data


def read_completion(name: str) -> bytes:
    """A completion, without a final line break."""
    return without_final_newline(read_bytes(name))


def read_text(name: str) -> str:
    """A UTF-8 text, without a final line break. Raises `InputError` for other bytes."""
    try:
        return read_completion(name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{title(name)} is {describe(error)}") from None


def title(name: str) -> str:
    """How messages call an input."""
    return "standard input" if name == "-" else name


def read_json(name: str) -> Any:
    """The JSON value of an input. Raises `InputError` for anything else."""
    try:
        # A byte order mark is what some editors on Windows add.
        return json.loads(read_bytes(name).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{title(name)} is not JSON: {json_fault(error)}") from None


def read_ids(data: bytes, options: argparse.Namespace) -> list[int] | None:
    """The token ids, if the input is a JSON list of them. Raises `InputError` if it is not and `--ids` is given."""
    ids: list[int] | None = None
    if not options.text and (options.ids or data.lstrip()[:1] == b"["):
        ids = id_list(data)
    if options.ids and ids is None:
        raise InputError(f"{title(options.file)} is not a JSON list of token ids")
    return ids


def id_list(data: bytes) -> list[int] | None:
    """The token ids of a JSON list; `None` for anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) and all(type(item) is int for item in value) else None


def stream_completion(name: str) -> Iterator[bytes]:
    """A completion in chunks as they arrive, without a final line break."""
    held = b""
    for chunk in _chunks(name):
        data = held + chunk
        # A line break is held back until something follows it.
        body = without_final_newline(data).removesuffix(b"\r")
        held = data[len(body) :]
        if body:
            yield body
    if rest := without_final_newline(held):
        yield rest


def _chunks(name: str) -> Iterator[bytes]:
    if name == "-":
        while chunk := os.read(sys.stdin.fileno(), 65536):
            yield chunk
    else:
        with Path(name).open("rb") as file:
            while chunk := file.read(65536):
                yield chunk


def tool_list(name: str | None) -> list[Any] | None:
    """The tools of a JSON file: a list of names or of OpenAI tool dicts."""
    if name is None:
        return None
    tools = read_json(name)
    if not isinstance(tools, list):
        raise InputError(f"{title(name)} must hold a JSON list of tools")
    return tools
