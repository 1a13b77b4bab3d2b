"""The tools that a salvaged call may be of, and what fits them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from motet._core import name_of, tool_dicts
from motet.schema.conformance import conforms, declares

__all__ = ["Call", "Calls", "ToolSet"]


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it is read from a text."""

    name: str
    arguments: str
    """A JSON object."""


Calls = tuple[Call, ...]
"""One reading of a text: the calls in it, in order."""


class ToolSet:
    """The tools by name, as JSON Schemas of their arguments."""

    def __init__(self, tools: Iterable[Any], chosen: str | None = None) -> None:
        """`chosen`: the only tool that may be called. `None`: any."""
        functions = [tool["function"] for tool in tool_dicts(list(tools))]
        schemas = {name_of(fields["name"]): fields.get("parameters") or {"type": "object"} for fields in functions}
        self.names = tuple(schemas)
        """The tools that the model was given, those that are not asked for included."""
        self._schemas: Mapping[str, Any] = {
            name: schema for name, schema in schemas.items() if chosen in (None, name_of(name))
        }

    def call(self, name: str, arguments: Any) -> Call | None:
        """The call of a named tool. `None` if there is none of this name, or the arguments do not fit."""
        name = name_of(name)
        if name not in self._schemas or not isinstance(arguments, Mapping):
            return None
        return _call(name, arguments) if conforms(arguments, self._schemas[name]) else None

    def fitting(self, arguments: Mapping[str, Any]) -> list[Call]:
        """The calls with these arguments. A tool fits if it declares all of them: tools that take anything fit none."""
        if not arguments and len(self._schemas) > 1:
            return []
        calls = [
            _call(name, arguments)
            for name, schema in self._schemas.items()
            if declares(arguments, schema) and conforms(arguments, schema)
        ]
        return [call for call in calls if call is not None]

    def schema(self, name: str) -> Any:
        """The schema of the arguments of a tool; `{}` for others."""
        return self._schemas.get(name_of(name), {})


def _call(name: str, arguments: Mapping[str, Any]) -> Call | None:
    try:
        return Call(name, json.dumps(arguments, ensure_ascii=False, allow_nan=False))
    except ValueError:
        return None
