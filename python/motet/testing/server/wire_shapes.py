"""Responses of a service as JSON: models, complete answers and the chunks of streams, in the shapes of a face."""

from __future__ import annotations

import codecs
import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from motet import _core
from motet._core import Event, StreamParser
from motet.errors import RenderError
from motet.harmony import render
from motet.message import Completion
from motet.testing.script import Turn
from motet.testing.server.faces import FACES, Face

__all__ = [
    "chat_chunks",
    "chat_whole",
    "completion_chunks",
    "completion_whole",
    "fitted",
    "logprob_of",
    "models",
    "prompt_ids",
    "prompt_tokens",
    "usage",
]

RETURN, _, CALL = _core.STOP_TOKENS
CREATED = 1_750_000_000
"""The time of every response, so that equal requests get equal bytes."""
_TOGETHER = FACES["together"]
_MARKERS = {_core.SPECIAL_TOKENS[marker] for marker in _core.MARKERS.values()}


def generated(turn: Turn, request: Mapping[str, Any], face: Face) -> tuple[list[int], str]:
    """The ids that the model generates within the limits of the request, and the finish reason."""
    ids = turn.ids
    limits = [request.get("max_tokens"), request.get("max_completion_tokens")]
    maxima = [limit for limit in limits if limit is not None]
    if not maxima and face.completion_tokens is not None and not {"messages", "max_tokens"} & set(request):
        maxima = [face.completion_tokens]
    room = max(face.context - prompt_tokens(request), 1)
    most = min([*maxima, room])
    if len(ids) > most:
        return ids[:most], "length"
    if turn.finish is not None:
        return ids, turn.finish
    return ids, "stop" if ids and ids[-1] in (RETURN, CALL) else "length"


def usage(turn: Turn, request: Mapping[str, Any], ids: list[int], face: Face = _TOGETHER) -> dict[str, Any]:
    """The usage of an answer."""
    if turn.usage is not None:
        return dict(turn.usage)
    prompt = prompt_tokens(request)
    counts: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": len(ids),
        "total_tokens": prompt + len(ids),
        **face.usage_fields,
    }
    if turn.cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": turn.cached}
    if turn.reasoning_tokens:
        counts["completion_tokens_details"] = {"reasoning_tokens": _core.parse(ids).tokens["analysis"]}
    return counts


def prompt_tokens(request: Mapping[str, Any]) -> int:
    """The number of tokens of a request's prompt."""
    return len(prompt_ids(request))


def prompt_ids(request: Mapping[str, Any]) -> list[int]:
    """The tokens of a request's prompt: its ids, its text with special tokens, or its messages in the chat template."""
    prompt = request.get("prompt", request.get("token_ids", request.get("input_ids")))
    if isinstance(prompt, str):
        return _core.encode(prompt, special="token")
    if isinstance(prompt, list):
        return prompt
    try:
        return render(
            request["messages"],
            tools=request.get("tools") or (),
            reasoning_effort=request.get("reasoning_effort") or "medium",
            current_date=datetime.date.today(),
            dialect="chat_template",
        ).ids
    except RenderError:
        return _core.encode(str(request["messages"]))


def fitted(request: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """The request without the oldest messages, as far as its prompt does not fit into the context."""
    messages = request.get("messages")
    if not isinstance(messages, list):
        return request
    for start in range(len(messages)):
        system = [message for message in messages[:start] if message.get("role") == "system"]
        request = {**request, "messages": [*system, *messages[start:]]}
        if prompt_tokens(request) < face.context:
            break
    return request


def models(face: Face | str, listed: list[Any]) -> Any:
    """The list of models, from ids and complete entries."""
    face = FACES[face] if isinstance(face, str) else face
    shape: dict[str, Any] = {"object": "model"}
    if face.owned_by is not None:
        shape["owned_by"] = face.owned_by
    rows = [{"id": entry, **shape, **face.model_fields} if isinstance(entry, str) else entry for entry in listed]
    return rows if face.bare_list else {"object": "list", "data": rows}


def chat_whole(turn: Turn, request: Mapping[str, Any], number: int, face: Face = _TOGETHER) -> dict[str, Any]:
    """A chat completion as one object."""
    ids, finish = generated(turn, request, face)
    parsed = _core.parse(ids, tools=request.get("tools"))
    content = "".join([parsed.preamble, parsed.text])
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    calls = [
        {
            "id": call.id,
            "index": face.call_index(index),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for index, call in enumerate(parsed.tool_calls)
    ]
    if calls or face.empty_calls:
        message["tool_calls"] = calls
    if parsed.reasoning:
        message |= _reasoning(parsed.reasoning, face)
    choice = {"index": 0, "message": message, "finish_reason": _chat_finish(parsed, finish), "seed": None}
    head = _head("chat.completion", turn, request, number)
    return {**head, "choices": [choice], **_totals(turn, request, ids, face)}


def _totals(turn: Turn, request: Mapping[str, Any], ids: list[int], face: Face) -> dict[str, Any]:
    counts = usage(turn, request, ids, face)
    shape: dict[str, Any] = {"usage": counts}
    if face.timings:
        cached = turn.cached or 0
        prompt = prompt_tokens(request)
        shape["timings"] = {"cache_n": cached, "prompt_n": prompt - cached, "predicted_n": len(ids)}
    return shape


def _reasoning(text: str, face: Face) -> dict[str, Any]:
    shape: dict[str, Any] = {face.reasoning_key: text}
    if face.reasoning_details:
        shape["reasoning_details"] = [{"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}]
    return shape


def _chat_finish(parsed: Completion, finish: str) -> str:
    return "tool_calls" if finish == "stop" and parsed.tool_calls else finish


def chat_chunks(
    turn: Turn, request: Mapping[str, Any], number: int, face: Face = _TOGETHER
) -> Iterator[dict[str, Any]]:
    """A chat completion token by token, as the service parses the model's harmony."""
    ids, finish = generated(turn, request, face)
    head = _head("chat.completion.chunk", turn, request, number)
    parser = StreamParser(tools=request.get("tools"))
    calls = _CallDeltas(face)
    together = face is _TOGETHER
    yield _chunk(head, {"role": "assistant", "content": "", **({"token_id": None} if together else {})})
    for token in ids:
        for delta in calls.deltas(parser.feed(token)):
            extra = {"role": "assistant", "content": None, "token_id": token} if together else {}
            yield _chunk(head, {**extra, **delta})
    for delta in calls.deltas(parser.close()):
        yield _chunk(head, delta)
    for delta in calls.rest():
        yield _chunk(head, delta)
    last = _chunk(head, {"content": ""}, _chat_finish(parser.completion, finish))
    yield from _last_chunks(last, head, turn, request, ids, face)


def _last_chunks(
    last: dict[str, Any], head: dict[str, Any], turn: Turn, request: Mapping[str, Any], ids: list[int], face: Face
) -> Iterator[dict[str, Any]]:
    """The chunk with the finish reason, and the one with the usage, which is sent on request."""
    totals = _totals(turn, request, ids, face)
    if face.usage_place == "x_groq":
        last["x_groq"] = {"id": "req_scripted", "usage": totals["usage"]}
    if face.timings:
        last["timings"] = totals["timings"]
    yield last
    yield {**head, "choices": [], **totals}


class _CallDeltas:
    """Events of the parser as deltas, with the face's way to send calls."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._numbers: dict[int, int] = {}
        self._arguments: dict[int, list[str]] = {}
        self._names: dict[int, str] = {}

    def deltas(self, events: list[Event]) -> Iterator[dict[str, Any]]:
        for event in events:
            if event.kind == "tool_call":
                yield from self._call(event)
            elif event.type == "delta" and event.kind == "reasoning":
                yield _reasoning(event.delta, self._face)
            elif event.type == "delta":
                yield {"content": event.delta}

    def _call(self, event: Event) -> Iterator[dict[str, Any]]:
        if event.type == "start":
            self._numbers[event.index] = len(self._numbers)
            self._names[event.index] = _core.name_of(event.recipient or "")
            self._arguments[event.index] = []
            if not self._face.whole_calls:
                yield self._first(event.index, "")
        elif event.type == "delta" and self._face.whole_calls:
            self._arguments[event.index].append(event.delta)
        elif event.type == "delta":
            # What the first fragment had, later ones do not repeat.
            function = {"name": None, "arguments": event.delta}
            number = self._face.call_index(self._numbers[event.index])
            yield {"tool_calls": [{"id": None, "index": number, "type": None, "function": function}]}
        elif event.type == "end" and self._face.whole_calls:
            yield self._whole(event.index)

    def _whole(self, index: int) -> dict[str, Any]:
        return self._first(index, "".join(self._arguments.pop(index)))

    def rest(self) -> Iterator[dict[str, Any]]:
        """Calls without an end."""
        for index in list(self._arguments) if self._face.whole_calls else ():
            yield self._whole(index)

    def _first(self, index: int, arguments: str) -> dict[str, Any]:
        number = self._numbers[index]
        function = {"name": self._names[index], "arguments": arguments}
        call = {
            "id": f"call_{number}",
            "index": self._face.call_index(number),
            "type": "function",
            "function": function,
        }
        return {"tool_calls": [call]}


def _chunk(head: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}


def completion_whole(turn: Turn, request: Mapping[str, Any], number: int, face: Face = _TOGETHER) -> dict[str, Any]:
    """A raw completion as one object."""
    ids, finish = generated(turn, request, face)
    text = _core.decode(_visible(ids, request, face))
    choice = {"index": 0, "text": text, **_ending(ids, finish, request, face)}
    choice |= _logprobs(ids, request, face)
    head = _head("text_completion", turn, request, number)
    shape = {**head, "choices": [choice], **_totals(turn, request, ids, face)}
    return _with_ids(shape, ids, request, face)


def completion_chunks(
    turn: Turn, request: Mapping[str, Any], number: int, face: Face = _TOGETHER
) -> Iterator[dict[str, Any]]:
    """A raw completion token by token."""
    ids, finish = generated(turn, request, face)
    head = _head("text_completion", turn, request, number)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for place, token in enumerate(ids):
        last = place == len(ids) - 1
        choice: dict[str, Any] = {"index": 0, "finish_reason": None}
        choice["text"] = decoder.decode(_core.decode_bytes(_visible([token], request, face)), last)
        choice |= _logprobs([token], request, face)
        if last:
            choice |= _ending(ids, finish, request, face)
        if face.skips_partial_characters and not choice["text"] and decoder.getstate()[0]:
            continue
        chunk = _with_ids({**head, "choices": [choice]}, [token], request, face)
        if last:
            yield from _last_chunks(chunk, head, turn, request, ids, face)
        else:
            yield chunk


def logprob_of(token: int) -> float:
    """The log-probability of a sampled token on the scripted server: a number of the token alone."""
    return -(token % 1000) / 1000


def _logprobs(ids: list[int], request: Mapping[str, Any], face: Face) -> dict[str, Any]:
    """The `logprobs` of a choice, in the shape of OpenAI's `/v1/completions`, if the request asks for them."""
    if request.get("logprobs") is None or not face.sends_logprobs:
        return {}
    texts = [_core.decode([token]) for token in ids]
    values = [logprob_of(token) for token in ids]
    return {
        "logprobs": {
            "text_offset": [sum(map(len, texts[:place])) for place in range(len(texts))],
            "token_logprobs": values,
            "tokens": texts,
            "top_logprobs": [{text: value} for text, value in zip(texts, values, strict=True)],
        }
    }


def _with_ids(shape: dict[str, Any], ids: list[int], request: Mapping[str, Any], face: Face) -> dict[str, Any]:
    """The object with the ids, if the request asks for them."""
    if face.id_key in (None, "logprobs") or not request.get(face.id_key):
        return shape
    if face.id_key == "return_tokens":
        return {**shape, "__verbose": {"tokens": ids}} if request.get("verbose") else shape
    shape["choices"][0]["token_ids"] = ids
    return shape


def _visible(ids: list[int], request: Mapping[str, Any], face: Face) -> list[int]:
    """The ids that a server turns into text: without the stop token, and mostly without control tokens."""
    if face.markers_key == "preserved_tokens":
        # llama.cpp keeps gpt-oss's markers, and takes its stop tokens for the end unless they are preserved, and then
        # stop strings cut them off.
        hidden = {*_core.SPECIAL_TOKENS.values()} - _MARKERS
        shows_stop = bool(request.get("preserved_tokens")) and not request.get("stop")
        return [token for token in ids if token not in hidden | (set() if shows_stop else {RETURN, CALL})]
    visible = [token for token in ids if token not in (RETURN, CALL)]
    keeps = face.markers_key is not None and not request.get("skip_special_tokens", True)
    return visible if keeps else [token for token in visible if token not in _core.SPECIAL_TOKENS.values()]


def _ending(ids: list[int], finish: str, request: Mapping[str, Any], face: Face) -> dict[str, Any]:
    ending: dict[str, Any] = {"finish_reason": finish}
    if face.stop_key is not None:
        is_named = finish == "stop" and ids[-1] in (request.get("stop_token_ids") or ())
        ending[face.stop_key] = ids[-1] if is_named else None
    return ending


def _head(kind: str, turn: Turn, request: Mapping[str, Any], number: int) -> dict[str, Any]:
    model = turn.model or request.get("model")
    return {"id": f"scripted-{number}", "object": kind, "created": CREATED, "model": model}
