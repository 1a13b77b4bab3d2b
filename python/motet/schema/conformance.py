"""Whether a JSON value follows a JSON Schema: types, properties, alternatives, references, bounds."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["conforms", "declares"]

_MAX_DEPTH = 64
"""Schemas within schemas; deeper values do not conform."""
_MAX_PATTERN_CHARS = 1000
"""Longer texts are not matched against `pattern`: some patterns take exponential time."""

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
}


def conforms(value: Any, schema: Any) -> bool:
    """True if a JSON value follows a schema. Keywords that are unknown here (`format`, `if`, `dependentRequired`, ...)
    allow everything."""
    return _Checker(schema).conforms(value, schema, 0)


def declares(value: Mapping[str, Any], schema: Any) -> bool:
    """True if a schema names each property of an object, or says that there may be others."""
    return _Checker(schema).declared(schema, 0).issuperset(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _AnyName(frozenset[str]):
    """All names."""

    def issuperset(self, names: object) -> bool:
        return True

    def __or__(self, names: object) -> _AnyName:
        return self

    __ror__ = __or__


class _Checker:
    def __init__(self, root: Any) -> None:
        self._root = root

    def conforms(self, value: Any, schema: Any, depth: int) -> bool:
        if not isinstance(schema, Mapping):
            return schema is not False
        if depth > _MAX_DEPTH:
            return False
        if value is None and schema.get("nullable") is True:
            return True
        if not self._has_type(value, schema.get("type")):
            return False
        return (
            self._is_listed(value, schema)
            and self._fits_references(value, schema, depth + 1)
            and self._fits_kind(value, schema, depth + 1)
        )

    @staticmethod
    def _has_type(value: Any, kinds: Any) -> bool:
        names = kinds if isinstance(kinds, list) else [kinds]
        return any(_TYPES[kind](value) if kind in _TYPES else True for kind in names)

    @staticmethod
    def _is_listed(value: Any, schema: Mapping[str, Any]) -> bool:
        if "const" in schema and not _equal(value, schema["const"]):
            return False
        enum = schema.get("enum")
        return not isinstance(enum, list) or any(_equal(value, item) for item in enum)

    def _fits_references(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        if isinstance(schema.get("$ref"), str) and not self.conforms(value, self._resolve(schema["$ref"]), depth):
            return False
        fits = [
            [self.conforms(value, branch, depth) for branch in schema.get(keyword) or ()]
            for keyword in ("allOf", "anyOf", "oneOf")
        ]
        if not all(fits[0]) or (fits[1] and not any(fits[1])) or (fits[2] and sum(fits[2]) != 1):
            return False
        return "not" not in schema or not self.conforms(value, schema["not"], depth)

    def _resolve(self, target: str) -> Any:
        """The schema that a reference points to. `True`, which allows everything, for one outside of the root."""
        if not target.startswith("#"):
            return True
        place = self._root
        for key in [part.replace("~1", "/").replace("~0", "~") for part in target[1:].split("/")[1:]]:
            if not isinstance(place, Mapping) or key not in place:
                return True
            place = place[key]
        return place

    def _fits_kind(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        if isinstance(value, Mapping):
            return self._fits_object(value, schema, depth)
        if isinstance(value, list):
            return self._fits_array(value, schema, depth)
        if isinstance(value, str):
            return _within(len(value), schema, "minLength", "maxLength") and _matches(value, schema.get("pattern"))
        return not _is_number(value) or _in_range(value, schema)

    def _fits_object(self, value: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> bool:
        properties = schema.get("properties") or {}
        if not set(schema.get("required") or ()) <= set(value):
            return False
        patterns = schema.get("patternProperties") or {}
        for key, item in value.items():
            schemas = [inner for pattern, inner in patterns.items() if _matches(key, pattern)]
            schemas += [properties[key]] if key in properties else []
            if not all(self.conforms(item, inner, depth) for inner in schemas or [schema.get("additionalProperties")]):
                return False
        return _within(len(value), schema, "minProperties", "maxProperties")

    def _fits_array(self, value: Sequence[Any], schema: Mapping[str, Any], depth: int) -> bool:
        items = schema.get("items")
        prefix = items if isinstance(items, list) else schema.get("prefixItems") or []
        rest = schema.get("additionalItems") if isinstance(items, list) else items
        places = [*prefix, *[rest] * max(len(value) - len(prefix), 0)]
        if not all(self.conforms(item, inner, depth) for item, inner in zip(value, places, strict=False)):
            return False
        return _within(len(value), schema, "minItems", "maxItems")

    def declared(self, schema: Any, depth: int) -> frozenset[str]:
        """The names of the properties that a schema and its branches declare."""
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return frozenset()
        if schema.get("patternProperties") or schema.get("additionalProperties") not in (None, False):
            return _AnyName()
        names = frozenset(schema.get("properties") or ())
        branches = [branch for keyword in ("allOf", "anyOf", "oneOf") for branch in schema.get(keyword) or ()]
        if isinstance(schema.get("$ref"), str):
            branches.append(self._resolve(schema["$ref"]))
        for branch in branches:
            names = names | self.declared(branch, depth + 1)
        return names


def _equal(value: Any, other: Any) -> bool:
    """Equality of JSON: 1 is 1.0, and not true."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_equal, value, other))
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return value.keys() == other.keys() and all(_equal(value[key], other[key]) for key in value)
    return bool(value == other)


def _matches(text: str, pattern: Any) -> bool:
    if not isinstance(pattern, str) or len(text) > _MAX_PATTERN_CHARS:
        return True
    try:
        return re.search(pattern, text) is not None
    except re.error:
        # Schemas have patterns of other languages.
        return True


def _within(size: int, schema: Mapping[str, Any], least: str, most: str) -> bool:
    return _in_range(size, {"minimum": schema.get(least), "maximum": schema.get(most)})


def _in_range(value: float, schema: Mapping[str, Any]) -> bool:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    # Draft 4 has booleans that make the bounds exclusive.
    bounds: tuple[tuple[Any, Callable[[float, float], bool]], ...] = (
        (least, operator.ge),
        (most, operator.le),
        (least if above is True else above, operator.gt),
        (most if below is True else below, operator.lt),
    )
    return all(not _is_number(bound) or compare(value, bound) for bound, compare in bounds)
