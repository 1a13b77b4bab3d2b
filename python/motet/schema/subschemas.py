"""The schemas within a JSON Schema: which keywords hold schemas, and which hold data or names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["map_keyword"]

_DATA_KEYWORDS = ("const", "default", "discriminator", "enum", "example", "examples", "required", "x-guidance")
"""Keywords whose values are data, not schemas."""
_NAME_KEYWORDS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
"""Keywords whose values have names of the user as keys; one of them may be `$ref`."""


def map_keyword(keyword: str, value: Any, rewrite: Callable[[Any], Any]) -> Any:
    """The value of a keyword with its schemas rewritten. `rewrite` takes a schema or a list of schemas, and returns
    other values unchanged."""
    if keyword in _DATA_KEYWORDS:
        return value
    if keyword in _NAME_KEYWORDS and isinstance(value, Mapping):
        return {name: rewrite(inner) for name, inner in value.items()}
    return rewrite(value)
