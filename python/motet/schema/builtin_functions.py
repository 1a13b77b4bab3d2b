"""The functions of the tools that gpt-oss was trained with, and their arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

__all__ = ["BUILTIN_FUNCTIONS", "BuiltinTool", "functions_of"]

BuiltinTool: TypeAlias = Literal["browser", "container", "python", "repo_browser"]
"""A tool that gpt-oss was trained with."""


def _object(required: str, **properties: Any) -> dict[str, Any]:
    names = required.split()
    return {"type": "object", "properties": properties} | ({"required": names} if names else {})


_STRING, _NUMBER, _FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}

BUILTIN_FUNCTIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "browser.search": (
        "Searches for `query` and displays `topn` results.",
        _object("query", query=_STRING, topn=_NUMBER, source=_STRING),
    ),
    "browser.open": (
        "Opens the link `id` of the page `cursor`, at the line `loc`.",
        _object(
            "",
            id={"type": ["number", "string"]},
            cursor=_NUMBER,
            loc=_NUMBER,
            num_lines=_NUMBER,
            view_source=_FLAG,
            source=_STRING,
        ),
    ),
    "browser.find": (
        "Finds `pattern` in the page `cursor`, by default the current one.",
        _object("pattern", pattern=_STRING, cursor=_NUMBER),
    ),
    "container.exec": (
        "Runs a command in a container and returns its output.",
        _object(
            "cmd",
            cmd={"type": "array", "items": _STRING},
            session_name=_STRING,
            workdir=_STRING,
            timeout=_NUMBER,
            env={"type": "object"},
            user=_STRING,
        ),
    ),
    "repo_browser.print_tree": (
        "Prints the files below `path` as a tree, `depth` levels deep.",
        _object("path depth", path=_STRING, depth=_NUMBER),
    ),
    "repo_browser.search": (
        "Searches the files below `path` for `query`.",
        _object("path query", path=_STRING, query=_STRING, max_results=_NUMBER),
    ),
    "repo_browser.open_file": (
        "Prints the lines `line_start` to `line_end` of a file, counted from 1.",
        _object("path", path=_STRING, line_start=_NUMBER, line_end=_NUMBER, line_numbers=_FLAG),
    ),
    "repo_browser.list_dir": (
        "Lists the entries below `path`, `depth` levels deep.",
        _object("path", path=_STRING, depth=_NUMBER),
    ),
    "repo_browser.apply_patch": ("Patch a file", _object("patch", patch=_STRING)),
}
"""Description and arguments of the functions, by the names that calls bear. The arguments are those in the prompt; the
descriptions are for services that take functions only. `python` takes code and has no arguments."""


def functions_of(builtin: str) -> tuple[str, ...]:
    """The names of a built-in tool's functions, as calls bear them."""
    return tuple([name for name in BUILTIN_FUNCTIONS if name.startswith(f"{builtin}.")]) or (builtin,)
