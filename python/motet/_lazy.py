"""Names of a package that are imported when they are first named, so that importing it costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["load"]


def load(package: dict[str, Any], name: str, rooms: Mapping[str, str]) -> object:
    """What a package's `__getattr__` gives: `rooms` says which module has the name, or `module:other` if it has it
    under another one. `package` is its `globals()`, where the value stays. Raises `AttributeError` for other names."""
    if name not in rooms:
        raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
    room, _, other = rooms[name].partition(":")
    value = package[name] = getattr(import_module(f"{package['__name__']}.{room}"), other or name)
    return value
