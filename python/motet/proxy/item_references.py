"""Items of stored responses to which a request's input refers by their ids: some clients send those alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from motet.proxy.failures import RequestError
from motet.proxy.state import State

__all__ = ["MAX_REFERENCED_RESPONSES", "resolve_references"]

MAX_REFERENCED_RESPONSES = 200
"""Responses of which a request may name items: each is read from the state."""
_ID = re.compile(r"[a-z]+_([0-9a-f]{32})_(?:in_)?\d+")
"""Of items of the output and of the input: the id of their response is a part of theirs."""


async def resolve_references(items: Any, state: State, client: str) -> Any:
    """The input with the items in place of the references to them. Raises `RequestError` for one that is not stored."""
    if not isinstance(items, list):
        return items
    references = {index: item["id"] for index, item in enumerate(items) if _is_reference(item)}
    if not references:
        return items
    matches = [_ID.fullmatch(id) for id in references.values()]
    response_ids = {f"resp_{match[1]}" for match in matches if match is not None}
    if len(response_ids) > MAX_REFERENCED_RESPONSES:
        raise RequestError(400, f"input refers to more than {MAX_REFERENCED_RESPONSES} responses", "input")
    stored: dict[str, Any] = {}
    for id in response_ids:
        if (response := await state.get_response(client, id)) is not None:
            for item in (*response.response["output"], *response.input):
                if isinstance(item, Mapping):
                    stored[item["id"]] = item
    resolved = list(items)
    for index, id in references.items():
        if id not in stored:
            raise RequestError(400, f"input[{index}] refers to {id!r:.80}, which is not stored", f"input[{index}].id")
        resolved[index] = stored[id]
    return resolved


def _is_reference(item: object) -> bool:
    return isinstance(item, Mapping) and item.get("type") == "item_reference" and isinstance(item.get("id"), str)
