"""Recorded exchanges with a server: the prompt of the request, and the answer of the response."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from motet.dialects.chat import to_messages
from motet.message import Repair
from motet.metrics import Usage
from motet.view.frames import TranscriptFrame, frames_of_ids, frames_of_messages
from motet.view.sources import ids_of
from motet.view.transcript import Transcript, TranscriptStep, pair_calls

__all__ = ["transcript_of_exchange"]

_REASONING_KEYS = ("reasoning", "reasoning_content", "thinking")
_MAX_FAULT = 500
"""Characters of a response that is not an answer, in the notes."""


def transcript_of_exchange(shape: Mapping[str, Any], place: str) -> Transcript:
    """The transcript of a cassette's line: `{"request": {"path": ..., "body": ...}, "response": {"body": ...}}`.

    The body of the response is JSON or a stream of server-sent events, of chat completions or of completions. What is
    neither, such as an error, stands in the notes.
    """
    request, response = shape["request"], shape["response"]
    body = request.get("body")
    frames, repairs = _frames_of_request(body if isinstance(body, Mapping) else {})
    objects = list(_objects(str(response.get("body", ""))))
    answer, mended = _frames_of_response(objects)
    notes = [] if answer else [f"status {response.get('status')}: {str(response.get('body'))[:_MAX_FAULT]}"]
    usage = next((item["usage"] for item in reversed(objects) if isinstance(item.get("usage"), Mapping)), None)
    if usage is not None:
        notes.append(_usage_note(Usage.read(usage)))
    model = next((item["model"] for item in objects if isinstance(item.get("model"), str)), None)
    frames += [replace(frame, step=1) for frame in answer]
    frames = [replace(frame, index=index) for index, frame in enumerate(frames)]
    title = f"{place}: {request.get('method', 'POST')} {request.get('path', '')}".strip()
    steps = (TranscriptStep(1, model),) if answer else ()
    return Transcript(
        title, "exchange", tuple(frames), (*repairs, *mended), pair_calls(frames), steps, notes=tuple(notes)
    )


def _usage_note(usage: Usage) -> str:
    counts = {"prompt": usage.input, "cached": usage.cached, "output": usage.output, "reasoning": usage.reasoning}
    counted = [f"{name} {count:,}" for name, count in counts.items() if count is not None]
    return f"tokens by the service's count: {', '.join(counted) or 'none sent'}"


def _frames_of_request(body: Mapping[str, Any]) -> tuple[list[TranscriptFrame], tuple[Repair, ...]]:
    if isinstance(body.get("messages"), list):
        frames, repairs = frames_of_messages(to_messages(body["messages"], unnamed_results=True))
        return frames, tuple(repairs)
    prompt = next((body[key] for key in ("prompt", "token_ids", "input_ids") if body.get(key)), None)
    return ([], ()) if prompt is None else frames_of_ids(ids_of(prompt), role=None)


def _objects(body: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a response: one, or the data of its events."""
    lines = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")] or [body]
    for line in lines:
        try:
            shape = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(shape, dict):
            yield shape


def _frames_of_response(objects: Iterable[Mapping[str, Any]]) -> tuple[list[TranscriptFrame], tuple[Repair, ...]]:
    message: dict[str, Any] = {}
    text, ids = "", []
    for choice in [choice for item in objects for choice in (item.get("choices") or ())[:1]]:
        if isinstance(choice.get("text"), str):
            text += choice["text"]
        if isinstance(choice.get("token_ids"), list):
            ids += choice["token_ids"]
        for part in (choice.get("message"), choice.get("delta")):
            if isinstance(part, Mapping):
                _add(message, part)
    if ids or text:
        return frames_of_ids(ids or ids_of(text))
    calls = message.pop("tool_calls", {})
    if calls:
        message["tool_calls"] = list(calls.values())
    if not message:
        return [], ()
    frames, repairs = frames_of_messages(to_messages([{"role": "assistant", **message}]))
    return frames, tuple(repairs)


def _add(message: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Adds a message or a fragment of one."""
    reasoning = next((part[key] for key in _REASONING_KEYS if isinstance(part.get(key), str)), "")
    for name, fragment in (("reasoning", reasoning), ("content", part.get("content"))):
        if isinstance(fragment, str) and fragment:
            message[name] = message.get(name, "") + fragment
    for place, call in enumerate(part.get("tool_calls") or ()):
        calls = message.setdefault("tool_calls", {})
        function = call.get("function") or {}
        known = calls.setdefault(
            call.get("index", place),
            {"id": call.get("id") or "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        known["function"]["name"] = known["function"]["name"] or function.get("name") or ""
        known["function"]["arguments"] += function.get("arguments") or ""
