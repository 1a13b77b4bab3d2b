"""JSON Schemas of older drafts and of OpenAPI in the form that grammar engines read: draft 2020-12."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motet.schema.subschemas import map_keyword

__all__ = ["normalised", "without_inner_patterns"]


def normalised(schema: Any) -> Any:
    """The schema with `nullable` as a type, tuples as `prefixItems`, and exclusive bounds as numbers.

    Engines refuse the old forms, or ignore `nullable` and then refuse null.
    """
    if isinstance(schema, list):
        return [normalised(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    rewritten = {keyword: map_keyword(keyword, value, normalised) for keyword, value in schema.items()}
    if isinstance(schema.get("items"), list):
        rewritten["prefixItems"] = rewritten.pop("items")
        if "additionalItems" in rewritten:
            rewritten["items"] = rewritten.pop("additionalItems")
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool):
            is_exclusive = rewritten.pop(exclusive)
            if is_exclusive and bound in rewritten:
                rewritten[exclusive] = rewritten.pop(bound)
    return _with_null(rewritten) if rewritten.pop("nullable", False) is True else rewritten


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str | list) and "const" not in schema and not {"anyOf", "oneOf", "allOf"} & set(schema):
        kinds = [kind] if isinstance(kind, str) else list(kind)
        enum = {"enum": [*schema["enum"], None]} if None not in schema.get("enum", (None,)) else {}
        return {**schema, **enum, "type": kinds if "null" in kinds else [*kinds, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def without_inner_patterns(schema: Any) -> Any:
    """The schema without patterns that match within a text: xgrammar matches every pattern against the whole text."""
    if isinstance(schema, list):
        return [without_inner_patterns(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        keyword: map_keyword(keyword, value, without_inner_patterns)
        for keyword, value in schema.items()
        if keyword != "pattern" or not isinstance(value, str) or (value.startswith("^") and value.endswith("$"))
    }
