"""Probes of streams: order, fragments, ends."""

from __future__ import annotations

import json

from motet.verify.exchange import REASONING_KEYS
from motet.verify.judgments import expect_no_markup, expect_object, judge_parallel, judge_unicode, require_finish
from motet.verify.probe import Probe
from motet.verify.session import Failure, Inconclusive, Session, expect, require
from motet.verify.situations import SITUATIONS

__all__ = ["PROBES"]

DONE = "[DONE]"


def _type(session: Session) -> str | None:
    kind = session.answer("stream").headers.get("content-type", "")
    require(kind.startswith("text/event-stream"), f"content-type is {kind!r}")
    return None


def _json(session: Session) -> str | None:
    for name in ("stream", "stream_puzzle", "stream_call"):
        for _, data in session.answer(name).events:
            try:
                is_object = data == DONE or isinstance(json.loads(data), dict)
            except ValueError:
                is_object = False
            require(is_object, f"an event is no JSON object: {data!r:.80}")
    return None


def _done(session: Session) -> str | None:
    events = session.answer("stream").events
    require(events and events[-1][1] == DONE, f"the last event is {events[-1][1] if events else None!r:.60}")
    return None


def _role(session: Session) -> str | None:
    messages = session.answer("stream").messages
    require(messages and messages[0].get("role") == "assistant", "the first delta has no role")
    return None


def _ids(session: Session) -> str | None:
    for key in ("id", "model", "object"):
        values = {str(chunk.get(key)) for chunk in session.answer("stream").chunks}
        require(len(values) == 1 and values != {"None"}, f"{key} differs between chunks: {sorted(values)!r:.80}")
    return None


def _order(session: Session) -> str | None:
    exchange = session.answer("stream_puzzle")
    kinds = []
    for message in exchange.messages:
        if any(map(message.get, REASONING_KEYS)):
            kinds.append("reasoning")
        if message.get("content"):
            kinds.append("content")
    if "reasoning" not in kinds:
        raise Inconclusive("the model did not reason")
    first_content = kinds.index("content") if "content" in kinds else len(kinds)
    require("reasoning" not in kinds[first_content:], "reasoning comes behind the beginning of the answer")
    return None


def _pieces(session: Session) -> str | None:
    exchange = session.answer("stream_puzzle")
    texts = [
        message
        for message in exchange.messages
        if message.get("content") or message.get("reasoning_content") or message.get("reasoning")
    ]
    if len(exchange.content) + len(exchange.reasoning) < 100:
        raise Inconclusive("the answer is too short to be divided")
    require(
        len(texts) > 2,
        f"a text of {len(exchange.content) + len(exchange.reasoning)} characters comes in {len(texts)} chunks",
    )
    return None


def _finish(session: Session) -> str | None:
    finishes = session.answer("stream").finishes
    require(len(finishes) == 1, f"there are {len(finishes)} finish reasons")
    require(session.answer("stream").choices[-1].get("finish_reason") is not None, "deltas follow the finish reason")
    return None


def _usage(session: Session) -> str | None:
    chunks = session.answer("stream").chunks
    usages = [chunk for chunk in chunks if chunk.get("usage")]
    require(usages, "there is no usage although include_usage asks for it")
    require(usages[-1] is chunks[-1], "the usage is not in the last chunk")
    require(chunks[-1].get("choices") == [], "the chunk with the usage has choices")
    return None


def _unicode(session: Session) -> str | None:
    return judge_unicode(session.answer("stream"))


def _call(session: Session) -> str | None:
    exchange = session.called("stream_call")
    [call, *_] = exchange.calls
    require(call.name == "get_weather", f"the name is {call.name!r}, not 'get_weather'")
    expect_object(call, "the joined arguments")
    return None


def _call_head(session: Session) -> str | None:
    [first, *_] = session.called("stream_call").fragments
    function = first.get("function") or {}
    require(first.get("id"), "the first fragment of a call has no id")
    require(function.get("name"), "the first fragment of a call has no name")
    require(first.get("type") == "function", f"the first fragment of a call has the type {first.get('type')!r}")
    return None


def _call_index(session: Session) -> str | None:
    for fragment in session.called("stream_call").fragments:
        require(type(fragment.get("index")) is int, f"the index of a call is {fragment.get('index')!r}")
    return None


def _call_name_once(session: Session) -> str | None:
    names = [
        name for part in session.called("stream_call").fragments if (name := (part.get("function") or {}).get("name"))
    ]
    require(
        len(names) == len(session.called("stream_call").calls),
        f"the name is sent {len(names)} times; clients join them",
    )
    return None


def _call_pieces(session: Session) -> str | None:
    exchange = session.called("stream_long")
    size = sum(len(str(call.arguments)) for call in exchange.calls)
    if size < 100:
        raise Inconclusive(f"the model wrote other arguments: {exchange.calls[0].arguments!r:.60}")
    require(len(exchange.fragments) > 3, f"arguments of {size} characters come in {len(exchange.fragments)} fragments")
    return None


def _call_clean(session: Session) -> str | None:
    exchange = session.called("stream_call")
    expect_no_markup(exchange)
    expect("get_weather" not in exchange.content, f"the call is in the content too: {exchange.content!r:.80}")
    return None


def _call_finish(session: Session) -> str | None:
    require_finish(session.called("stream_call"), "tool_calls")
    return None


def _parallel(session: Session) -> str | None:
    return judge_parallel(session.called("stream_twice", 2))


def _hang_up(session: Session) -> str | None:
    session.endpoint.hang_up("chat/completions", {"model": session.model, **SITUATIONS["stream_puzzle"]})
    exchange = session.chat(**SITUATIONS["plain"])
    if not exchange.ok:
        raise Failure(f"the request after a closed stream has status {exchange.status}: {exchange.text[:120]}")
    return None


PROBES = (
    Probe("stream.type", "a stream is text/event-stream", "clients do not read it", _type),
    Probe("stream.json", "each event is a JSON object", "clients break off", _json),
    Probe("stream.done", "a stream ends with [DONE]", "a cut stream looks whole", _done),
    Probe("stream.role", "the first delta has the role", "clients that join deltas have none", _role),
    Probe("stream.ids", "id, model and object are equal in all chunks", "clients take them for several answers", _ids),
    Probe("stream.order", "reasoning comes before the answer", "clients mix them", _order),
    Probe("stream.pieces", "text comes in pieces", "users wait for the end", _pieces),
    Probe("stream.finish", "one finish reason, behind all deltas", "clients drop what follows", _finish),
    Probe("stream.usage", "include_usage gives a last chunk with the usage", "costs are unknown", _usage),
    Probe("stream.unicode", "characters of several tokens arrive whole", "text is broken", _unicode),
    Probe("stream.call", "a streamed call can be joined", "calls are lost in streams", _call),
    Probe("stream.call_head", "the first fragment has id, name and type", "clients cannot begin the call", _call_head),
    Probe("stream.call_index", "the index of a call is an integer", "clients cannot join the fragments", _call_index),
    Probe("stream.call_name", "the name of a call is sent once", "clients join names", _call_name_once),
    Probe("stream.call_pieces", "arguments come in pieces", "long arguments look like a stall", _call_pieces),
    Probe("stream.call_clean", "a streamed call leaves nothing in the content", "users read the call", _call_clean),
    Probe("stream.call_finish", "finish_reason is tool_calls", "loops end before the call", _call_finish),
    Probe("stream.parallel", "two streamed calls stay apart", "their arguments are mixed", _parallel),
    Probe("stream.hang_up", "a closed stream does no harm", "the server fails for the next client", _hang_up),
)
