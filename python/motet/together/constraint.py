"""`tool_choice` and the schema or choices of the answer as a grammar, in the key that the service takes."""

from __future__ import annotations

import json
from typing import Any, Literal

from motet.backend import Request
from motet.errors import ConfigError
from motet.harmony.grammar import grammar
from motet.together.services import Service

__all__ = ["constraint", "is_constrained", "names_choice", "response_format"]


def names_choice(request: Request) -> bool:
    """True if a `tool_choice` other than the usual one is to be enforced. Without tools, `"none"` changes nothing."""
    if request.tool_choice in ("none", {"type": "none"}) and not (request.tools or request.builtin_tools):
        return False
    return request.tool_choice not in (None, "auto", {"type": "auto"})


def response_format(request: Request) -> dict[str, Any] | None:
    """The schema of the answer as a response format."""
    if request.schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": request.schema_name, "schema": request.schema}}


def is_constrained(request: Request, service: Service) -> bool:
    """True if the service is given a grammar for the request in the raw lanes."""
    return service.grammar_key is not None and (
        names_choice(request) or request.schema is not None or bool(request.choices)
    )


def constraint(request: Request, lane: Literal["ids", "text"], service: Service) -> dict[str, Any]:
    """The keys of a request to `/v1/completions` that enforce its `tool_choice` and its schema or choices. Reasoning is
    left free; behind `Request.prefix` there is none. Empty if there is nothing to enforce, or the service takes no
    grammar. Raises `ConfigError` for a choice that the tools do not allow."""
    if service.grammar_key is None or not is_constrained(request, service):
        return {}
    try:
        rules = grammar(
            request.tools,
            builtin_tools=request.builtin_tools,
            tool_choice=request.tool_choice or "auto",
            response_format=response_format(request),
            output={"choice": list(request.choices)} if request.choices else None,
            reasoning=request.prefix is None,
            # A reader of text takes a spelled marker for structure.
            quoting=lane == "ids",
            format=service.grammar_format,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if service.grammar_key != "structured_outputs":
        return {service.grammar_key: rules}
    key = "structural_tag" if service.grammar_format == "structural_tag" else "grammar"
    return {"structured_outputs": {key: rules if isinstance(rules, str) else json.dumps(rules)}}
