"""What a completion looks like on the wire of a service: whole objects and the chunks of streams."""

from __future__ import annotations

import codecs
import datetime
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from motet import _core
from motet._core import Event, StreamParser
from motet.errors import RenderError
from motet.harmony import render
from motet.message import Completion
from motet.testing.script import Turn

__all__ = ["chat_chunks", "chat_whole", "completion_chunks", "completion_whole", "models", "usage"]

RETURN, _, CALL = _core.STOP_TOKENS
_STARTED = 1_750_000_000
"""Every answer is of the same second, so that it is the same each time."""


def written(turn: Turn, request: Mapping[str, Any]) -> tuple[list[int], str]:
    """The ids that the model writes, as far as it may, and why it stops."""
    ids = turn.ids
    most = request.get("max_tokens")
    if most is not None and len(ids) > most:
        return ids[:most], "length"
    return ids, "stop" if ids and ids[-1] in (RETURN, CALL) else "length"


def usage(turn: Turn, request: Mapping[str, Any], ids: list[int]) -> dict[str, Any]:
    """The usage of an answer."""
    if turn.usage is not None:
        return dict(turn.usage)
    prompt = _prompt_tokens(request)
    counted: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": len(ids),
        "total_tokens": prompt + len(ids),
    }
    if turn.cached is not None:
        counted["prompt_tokens_details"] = {"cached_tokens": turn.cached}
    if turn.reasoning_tokens:
        thought = _core.parse(ids).tokens["analysis"]
        counted["completion_tokens_details"] = {"reasoning_tokens": thought}
    return counted


def _prompt_tokens(request: Mapping[str, Any]) -> int:
    prompt = request.get("prompt")
    if isinstance(prompt, str):
        return len(_core.encode(prompt, special="token"))
    if isinstance(prompt, list):
        return len(prompt)
    try:
        return len(
            render(
                request["messages"],
                tools=request.get("tools") or (),
                reasoning_effort=request.get("reasoning_effort") or "medium",
                current_date=datetime.date.today(),
                dialect="chat_template",
            )
        )
    except RenderError:
        return _core.count(str(request["messages"]))


def models(style: str, known: list[Any]) -> Any:
    """The list of models: bare, with prices, on Together; under `data` elsewhere. Entries that are no text stand as
    they are."""
    shape: dict[str, Any] = {"object": "model", "owned_by": style, "max_model_len": 131072}
    if style == "together":
        price = {"hourly": 0, "input": 0.15, "output": 0.6, "base": 0, "finetune": 0}
        shape = {"object": "model", "type": "chat", "organization": "", "context_length": 131072, "pricing": price}
    rows = [{"id": one, **shape} if isinstance(one, str) else one for one in known]
    return rows if style == "together" else {"object": "list", "data": rows}


def chat_whole(turn: Turn, request: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A chat completion in one piece."""
    ids, finish = written(turn, request)
    parsed = _core.parse(ids, tools=request.get("tools"))
    said = "".join([parsed.preamble, parsed.text])
    message: dict[str, Any] = {"role": "assistant", "content": said or None, "tool_calls": []}
    if parsed.reasoning:
        message["reasoning"] = parsed.reasoning
    for index, call in enumerate(parsed.tool_calls):
        function = {"name": call.name, "arguments": call.arguments}
        message["tool_calls"].append({"id": call.id, "index": float(index), "type": "function", "function": function})
    choice = {"index": 0, "message": message, "finish_reason": _chat_finish(parsed, finish), "seed": None}
    return {**_head("chat.completion", turn, request, number), "choices": [choice], "usage": usage(turn, request, ids)}


def _chat_finish(parsed: Completion, finish: str) -> str:
    return "tool_calls" if finish == "stop" and parsed.tool_calls else finish


def chat_chunks(turn: Turn, request: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """A chat completion token by token, as the service reads it out of the model's harmony."""
    ids, finish = written(turn, request)
    head = _head("chat.completion.chunk", turn, request, number)
    parser = StreamParser(tools=request.get("tools"))
    calls: dict[int, int] = {}
    yield _chunk(head, {"role": "assistant", "content": "", "token_id": None})
    for token in ids:
        for delta in _deltas(parser.feed(token), calls):
            yield _chunk(head, {"role": "assistant", "content": None, "token_id": token, **delta})
    for delta in _deltas(parser.close(), calls):
        yield _chunk(head, delta)
    yield _chunk(head, {"content": ""}, _chat_finish(parser.completion, finish))
    yield {**head, "choices": [], "usage": usage(turn, request, ids)}


def _deltas(events: list[Event], calls: dict[int, int]) -> Iterator[dict[str, Any]]:
    for event in events:
        if event.kind == "tool_call" and event.type == "start":
            # The number is a float, and what came once does not come again: so the service writes it.
            calls[event.index] = len(calls)
            name = _core.name_of(event.recipient or "")
            function: dict[str, Any] = {"name": name, "arguments": ""}
            index = calls[event.index]
            first = {"id": f"call_{index}", "index": float(index), "type": "function", "function": function}
            yield {"tool_calls": [first]}
        elif event.type == "delta" and event.kind == "tool_call":
            function = {"name": None, "arguments": event.delta}
            later = {"id": None, "index": float(calls[event.index]), "type": None, "function": function}
            yield {"tool_calls": [later]}
        elif event.type == "delta" and event.kind == "reasoning":
            yield {"reasoning": event.delta}
        elif event.type == "delta":
            yield {"content": event.delta}


def _chunk(head: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}


def completion_whole(turn: Turn, request: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A raw completion in one piece."""
    ids, finish = written(turn, request)
    text = _core.decode(_shown(ids, request))
    choice = {"index": 0, "text": text, **_ending(ids, finish, request)}
    if request.get("return_token_ids"):
        choice["token_ids"] = ids
    head = _head("text_completion", turn, request, number)
    return {**head, "choices": [choice], "usage": usage(turn, request, ids)}


def completion_chunks(turn: Turn, request: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """A raw completion token by token."""
    ids, finish = written(turn, request)
    head = _head("text_completion", turn, request, number)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for place, token in enumerate(ids):
        last = place == len(ids) - 1
        choice: dict[str, Any] = {"index": 0, "finish_reason": None, "stop_reason": None}
        choice["text"] = decoder.decode(_core.decode_bytes(_shown([token], request)), last)
        if request.get("return_token_ids"):
            choice["token_ids"] = [token]
        if last:
            choice |= _ending(ids, finish, request)
        yield {**head, "choices": [choice]}
    yield {**head, "choices": [], "usage": usage(turn, request, ids)}


def _shown(ids: list[int], request: Mapping[str, Any]) -> list[int]:
    """The ids that a server turns into text: without the stop token, and mostly without control tokens."""
    kept = [token for token in ids if token not in (RETURN, CALL)]
    if request.get("skip_special_tokens", True):
        kept = [token for token in kept if token not in _core.SPECIAL_TOKENS.values()]
    return kept


def _ending(ids: list[int], finish: str, request: Mapping[str, Any]) -> dict[str, Any]:
    named = finish == "stop" and ids[-1] in (request.get("stop_token_ids") or ())
    return {"finish_reason": finish, "stop_reason": ids[-1] if named else None}


def _head(
    kind: Literal["chat.completion", "chat.completion.chunk", "text_completion"],
    turn: Turn,
    request: Mapping[str, Any],
    number: int,
) -> dict[str, Any]:
    return {"id": f"scripted-{number}", "object": kind, "created": _STARTED, "model": turn.model or request["model"]}
