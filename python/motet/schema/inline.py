"""Definitions of a JSON Schema put in the places that refer to them."""

from __future__ import annotations

from typing import Any

from motet.schema.subschemas import map_keyword

__all__ = ["inline_definitions"]

_MAX_SCHEMAS = 20_000
"""Schemas in an inlined one; more raise `TypeError`."""


def inline_definitions(schema: dict[str, Any], tool: str) -> dict[str, Any]:
    """The schema with each definition at its references, as the TypeScript in prompts has no references. Definitions of
    recursive types stay in `$defs`, and references to them stay references. `tool` names the tool in errors."""
    definitions = schema.pop("$defs", {})
    for name, definition in definitions.items():
        # Drop titles that pydantic derives from class names; keep explicit ones.
        if str(definition.get("title")) in name:
            del definition["title"]
    return _Inliner(definitions, tool).whole({key: value for key, value in schema.items() if key != "title"})


class _Inliner:
    def __init__(self, definitions: dict[str, Any], tool: str) -> None:
        self._definitions = definitions
        self._tool = tool
        self._recursive: dict[str, Any] = {}
        self._remaining = _MAX_SCHEMAS

    def whole(self, schema: dict[str, Any]) -> dict[str, Any]:
        inlined: dict[str, Any] = self._inline(schema, ())
        return {**inlined, "$defs": self._recursive} if self._recursive else inlined

    def _inline(self, value: Any, open_references: tuple[str, ...]) -> Any:
        """`open_references`: the names of the definitions around the value."""
        if isinstance(value, list):
            return [self._inline(item, open_references) for item in value]
        if not isinstance(value, dict):
            return value
        self._remaining -= 1
        if self._remaining < 0:
            raise TypeError(f"the parameters of the tool {self._tool} have more than {_MAX_SCHEMAS} nested schemas")
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return {key: self._keyword(key, item, open_references) for key, item in value.items()}
        name = reference.rpartition("/")[2]
        if name in open_references:
            if name not in self._recursive:
                self._recursive[name] = {}
                self._recursive[name] = self._inline(self._definitions[name], (name,))
            return value
        siblings = {key: item for key, item in value.items() if key != "$ref"}
        return self._inline({**self._definitions[name], **siblings}, (*open_references, name))

    def _keyword(self, keyword: str, value: Any, open_references: tuple[str, ...]) -> Any:
        if keyword == "discriminator":
            # Its mapping refers to definitions.
            return {"propertyName": value["propertyName"]}
        return map_keyword(keyword, value, lambda schema: self._inline(schema, open_references))
