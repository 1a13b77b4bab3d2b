"""The lines of batch files: requests in OpenAI's format and in Together's, and results in all forms that services and
vLLM's runner write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from motet._tables import json_objects
from motet.errors import DataError

__all__ = ["CHAT", "COMPLETIONS", "BatchRequest", "BatchResult", "read_requests", "read_results", "result_of"]

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
"""The paths that requests are for."""
MAX_CUSTOM_ID = 64
"""Characters, by Together's documentation (docs.together.ai, batch tutorial, 2026)."""


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A line of a file of requests."""

    custom_id: str
    body: Mapping[str, Any]
    url: str = CHAT

    def line(self, *, openai: bool) -> bytes:
        """The line, with its end. `openai`: with `method` and `url`, which OpenAI's format has and Together's lacks."""
        shape: dict[str, Any] = {"custom_id": self.custom_id}
        if openai:
            shape |= {"method": "POST", "url": self.url}
        return json.dumps({**shape, "body": self.body}, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of(cls, shape: Mapping[str, Any], place: str) -> BatchRequest:
        """From the JSON of either format. Raises `DataError`."""
        custom_id, body, url = shape.get("custom_id"), shape.get("body"), shape.get("url", CHAT)
        if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
            raise DataError(f"{place}: custom_id must be a text of 1 to {MAX_CUSTOM_ID} characters: {custom_id!r:.80}")
        if not isinstance(body, Mapping):
            raise DataError(f"{place}: body must be an object: {body!r:.80}")
        if url not in (CHAT, COMPLETIONS):
            raise DataError(f"{place}: url must be {CHAT} or {COMPLETIONS}: {url!r:.80}")
        return cls(custom_id, body, url)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """A line of a file of results: a response, or an error."""

    custom_id: str
    body: Mapping[str, Any] | None = None
    """The body of a response with a status below 300. `None`: the request failed."""
    error: Any = None
    """The error object. `None`: there is a response."""


def result_of(shape: Mapping[str, Any], place: str) -> BatchResult:
    """From the JSON of a line. Raises `DataError` for one without a custom id.

    Together: `response` with `status_code` and `body`, and in the file of errors `error`. OpenAI: both files have
    `response` and `error`, and a refused request is a response with its status. vLLM: as OpenAI, with `body: null`
    beside an `error`.
    """
    custom_id, response, error = shape.get("custom_id"), shape.get("response"), shape.get("error")
    if not isinstance(custom_id, str):
        raise DataError(f"{place}: not a result, it has no custom_id: {shape!r:.80}")
    response = response if isinstance(response, Mapping) else {}
    # A response without the wrapper has its choices itself.
    body = response.get("body", response if "choices" in response else None)
    if not error and isinstance(body, Mapping) and body.get("choices") is not None:
        return BatchResult(custom_id, body)
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    return BatchResult(custom_id, None, error or inner or "the service sent neither a response nor an error")


def read_requests(path: str | Path) -> Iterator[BatchRequest]:
    """The requests of a file, in OpenAI's format or in Together's. Raises `DataError` with the line."""
    for place, shape in json_objects(Path(path)):
        yield BatchRequest.of(shape, place)


def read_results(path: str | Path) -> Iterator[BatchResult]:
    """The results of a file, in their order. Raises `DataError` with the line."""
    for place, shape in json_objects(Path(path)):
        yield result_of(shape, place)


def lines_with_offsets(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, each with its position."""
    offset = 0
    for line in file:
        if line.strip():
            yield offset, line
        offset += len(line)
