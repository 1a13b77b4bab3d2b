"""The events of a scripted stream as bytes, with its fault."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from motet.testing.script import Turn
from motet.testing.server.faces import Face

__all__ = ["ENDS", "stream_events"]

ENDS = {"reset", "close", "silence", "comments"}
_EVENTS: Mapping[str, bytes] = {
    "bad_json": b'data: {"choices": [{"delta": {"content": \n\n',
    "bad_utf8": b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n',
    "html_event": b"data: <html>502 Bad Gateway</html>\n\n",
    "error_event": b'event: error\ndata: {"message": "too much to do", "type": "overloaded_error"}\n\n',
    "null_choice": b'data: {"id": "scripted", "choices": []}\n\n',
    "huge_event": b"data: " + b"x" * 9_000_000 + b"\n\n",
}


def stream_events(
    turn: Turn, chunks: Iterator[dict[str, Any]], body: Mapping[str, Any], face: Face
) -> Iterator[bytes | str]:
    """The bytes of a stream, event by event; a text names the way in which the connection ends there."""
    kind, after = ("", 0) if turn.fault is None else (turn.fault.kind, turn.fault.after or 0)
    events = list(_sound_events(kind, chunks, body, face))
    for place, event in enumerate(events):
        if place == after:
            if kind in _EVENTS:
                yield _EVENTS[kind]
            elif kind == "error_data":
                yield _error_event(face)
                return
            elif kind in ENDS:
                yield kind
            elif kind == "half_event":
                yield event[: len(event) // 2]
                return
            elif kind == "duplicate":
                yield event
        yield event
    if kind in ENDS and after >= len(events):
        yield kind


def _error_event(face: Face) -> bytes:
    name, data = face.stream_error("the engine broke down")
    prefix = f"event: {name}\n" if name else ""
    return f"{prefix}data: {json.dumps(data)}\n\n".encode()


def _sound_events(kind: str, chunks: Iterator[dict[str, Any]], body: Mapping[str, Any], face: Face) -> Iterator[bytes]:
    """The events of a stream without a fault that has a position: the last one is `[DONE]`."""
    on_request = (body.get("stream_options") or {}).get("include_usage")
    sends_usage = (on_request or face.always_usage) and kind != "no_usage"
    mark = b"\xef\xbb\xbf" if kind == "bom" else b""
    if face.comments is not None:
        yield f": {face.comments}\n\n".encode()
    for chunk in chunks:
        # SGLang's `/generate` has chunks without choices.
        if chunk.get("choices") == [] and not sends_usage:
            continue
        if kind == "no_usage":
            chunk = {key: value for key, value in chunk.items() if key not in ("x_groq", "timings", "usage")}
        if kind == "no_finish" and "meta_info" in chunk:
            chunk["meta_info"]["finish_reason"] = None
        elif kind == "no_finish" and chunk["choices"]:
            chunk["choices"][0]["finish_reason"] = None
        if kind == "no_choices":
            chunk = {**chunk, "choices": []}
        event = mark + b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
        mark = b""
        if kind == "crlf":
            event = event.replace(b"\n", b"\r\n")
        if kind == "pings":
            event = b": ping\n\nevent: ping\ndata: {}\n\n\n\n" + event
        yield event
    if kind != "no_done":
        yield b"data: [DONE]\n\n"
    if kind == "after_done":
        yield b'data: {"choices": [{"index": 0, "delta": {"content": "never"}}]}\n\n'
