"""Tools that are named on the command line."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from motet.cli.failure import UsageError
from motet.schema.tool import Tool, to_tool

__all__ = ["add_tools", "tools_of"]


def add_tools(parser: argparse.ArgumentParser, help_text: str) -> None:
    parser.add_argument(
        "--tool", action="append", default=[], metavar="MODULE:FUNCTION", help=f"{help_text}; repeatable"
    )


def tools_of(options: argparse.Namespace) -> list[Tool]:
    """The tools that the options name."""
    return [_tool_named(name) for name in options.tool]


def _tool_named(name: str) -> Tool:
    """The function that `MODULE:FUNCTION` names; `FUNCTION` may be dotted."""
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise UsageError(f"--tool must be MODULE:FUNCTION: {name!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        value = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError(f"--tool {name}: there is no module {error.name!r} in this folder or installed") from None
    except Exception as error:
        # A module runs code of its own, which may raise anything.
        raise UsageError(f"--tool {name}: importing {module_name} fails: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    for attribute in path.split("."):
        if not hasattr(value, attribute):
            raise UsageError(f"--tool {name}: {module_name} has no {attribute!r}")
        value = getattr(value, attribute)
    try:
        return to_tool(value)
    except TypeError as error:
        raise UsageError(f"--tool {name}: {error}") from error
