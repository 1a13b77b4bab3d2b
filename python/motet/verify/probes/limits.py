"""Probes of limits, usage, errors and the list of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motet import _core
from motet.verify.exchange import Exchange
from motet.verify.judgments import expect_no_markup, require_finish
from motet.verify.probe import Probe
from motet.verify.session import Failure, Inconclusive, Session, Skip, require
from motet.verify.situations import LONG_TEXT, SITUATIONS, say

__all__ = ["PROBES"]

_SPARE = 8
"""Tokens by which servers count the end of an answer differently."""
_MARKUP = 60
"""Tokens of headers and markers in an answer, at most."""
_CUT_CALL_TOKENS = SITUATIONS["cut_call"]["max_tokens"]
_OVERFLOW_TOKENS = 140_000
"""More than gpt-oss's context of 131,072."""


def _cut(name: str) -> Any:
    def judge(session: Session) -> str | None:
        exchange = session.answer(name)
        limit = SITUATIONS[name].get("max_tokens", SITUATIONS[name].get("max_completion_tokens"))
        counted = exchange.count("completion_tokens")
        if exchange.finish == "stop" and counted is not None and counted < limit:
            raise Inconclusive(f"the answer ended after {counted} tokens")
        require_finish(exchange, "length")
        if counted is not None:
            require(counted <= limit + _SPARE, f"{counted} tokens are written, and {limit} were asked for")
        return None

    return judge


def _cut_reasoning(session: Session) -> str | None:
    exchange = session.answer("cut_reasoning")
    expect_no_markup(exchange)
    if exchange.content and not exchange.reasoning and session.answer("puzzle").reasoning:
        raise Failure(f"the cut reasoning is in the content: {exchange.content!r:.80}")
    if exchange.content:
        raise Inconclusive("the model answered within the limit")
    require_finish(exchange, "length")
    return None


def _cut_call(session: Session) -> str | None:
    exchange = session.answer("cut_call")
    expect_no_markup(exchange)
    counted = exchange.count("completion_tokens")
    if exchange.finish == "stop" and not exchange.calls and counted is not None and counted < _CUT_CALL_TOKENS:
        raise Inconclusive("the model made no call")
    if exchange.finish == "tool_calls" or (exchange.calls and exchange.finish != "length"):
        whole = all(isinstance(call.value, dict) for call in exchange.calls)
        if whole:
            raise Inconclusive("the call is whole within the limit")
        raise Failure(f"a cut call has the finish reason {exchange.finish!r}")
    require_finish(exchange, "length")
    return None


def _stop(session: Session) -> str | None:
    exchange = session.answer("stop")
    require_finish(exchange, "stop")
    require("7" not in exchange.content, f"the answer goes on behind the stop string: {exchange.content!r:.60}")
    if not exchange.content:
        raise Failure("the answer is empty: the stop string was found in the reasoning")
    if "6" not in exchange.content:
        raise Inconclusive(f"the model wrote another text: {exchange.content!r:.60}")
    return None


def _default_limit(session: Session) -> str | None:
    exchange = session.answer("count")
    require(
        exchange.finish != "length",
        f"an answer without max_tokens is cut after {exchange.count('completion_tokens')} tokens",
    )
    return None


def _overflow(session: Session) -> str | None:
    # Many messages, because some servers drop the oldest of them.
    text = LONG_TEXT * (_OVERFLOW_TOKENS // 20 // _core.count(LONG_TEXT) + 1)
    messages = [{"role": role, "content": text} for _ in range(10) for role in ("user", "assistant")]
    exchange = session.chat(messages=[*messages, say("pong")], max_tokens=16)
    require(not exchange.ok, f"a prompt of {_OVERFLOW_TOKENS:,} tokens is answered: a part of it was dropped")
    require(exchange.refused, f"a prompt beyond the context has status {exchange.status}")
    return None


def _usage(session: Session) -> str | None:
    exchange = session.answer("plain")
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        require(exchange.count(name) is not None, f"usage has no {name}")
    prompt, output, total = (
        exchange.count(name) or 0 for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    require(prompt + output == total, f"{prompt} and {output} tokens are not {total}")
    return None


def _output_count(session: Session) -> str | None:
    exchange = session.answer("puzzle")
    counted = exchange.count("completion_tokens")
    if counted is None:
        raise Skip("the server sends no usage")
    written = _core.count(exchange.content) + _core.count(exchange.reasoning)
    require(counted >= written * 0.9, f"{counted} tokens are counted, and {written} sent")
    if exchange.reasoning:
        require(counted <= written * 1.1 + _MARKUP, f"{counted} tokens are counted, and {written} sent")
    return None


def _reasoning_count(session: Session) -> str | None:
    exchange = session.answer("puzzle")
    count = exchange.count("reasoning_tokens", "completion_tokens_details")
    count = exchange.count("reasoning_tokens") if count is None else count
    require(count is not None, "usage has no reasoning_tokens")
    if not exchange.reasoning:
        raise Inconclusive("the model did not reason")
    require(count, f"reasoning_tokens is 0, and {_core.count(exchange.reasoning)} tokens of reasoning are sent")
    return None


def _cached_count(session: Session) -> str | None:
    messages = [{"role": "system", "content": LONG_TEXT * 10}, say("pong")]
    exchange = session.chat(messages=messages, max_tokens=16)
    exchange = session.chat(messages=messages, max_tokens=16) if exchange.ok else exchange
    require(exchange.ok, f"status {exchange.status}: {exchange.text[:120]}")
    count = exchange.count("cached_tokens", "prompt_tokens_details")
    require(count is not None, "usage has no cached_tokens: a discount cannot be checked")
    return f"{count} tokens of a repeated prompt"


def _refuses(**fields: Any) -> Any:
    def judge(session: Session) -> str | None:
        return _judge_refusal(session.chat(**{**SITUATIONS["plain"], **fields}))

    return judge


def _judge_refusal(exchange: Exchange) -> str | None:
    require(not exchange.ok, "the request is answered")
    require(exchange.refused, f"status {exchange.status} blames the server")
    return None


def _bad_json(session: Session) -> str | None:
    return _judge_refusal(session.endpoint.post("chat/completions", b'{"model": "x", "messages": [{"ro'))


def _error_shape(session: Session) -> str | None:
    exchange = session.chat(messages="none")
    require(not exchange.ok, "a request with a text for messages is answered")
    error = exchange.error
    require(isinstance(error.get("message"), str) and error["message"], f"no error.message: {exchange.text[:120]}")
    require(isinstance(error.get("type"), str), f"no error.type: {exchange.text[:120]}")
    return None


def _key(session: Session) -> str | None:
    exchange = session.endpoint.post(
        "chat/completions", {"model": session.model, **SITUATIONS["plain"]}, authorization="Bearer wrong-key"
    )
    if exchange.ok:
        raise Skip("the server asks for no key")
    require(exchange.status == _UNAUTHORIZED, f"a wrong key has status {exchange.status}")
    return None


_UNAUTHORIZED = 401


def _models(session: Session) -> str | None:
    exchange = session.endpoint.get("models")
    require(exchange.ok, f"status {exchange.status}")
    shape = exchange.body
    require(
        isinstance(shape, Mapping) and isinstance(shape.get("data"), list),
        f"the list is not in data: {exchange.text[:80]}",
    )
    names = [entry.get("id") for entry in shape["data"] if isinstance(entry, Mapping)]
    require(session.model in names, f"{session.model!r} is answered and not listed")
    return None


PROBES = (
    Probe(
        "limits.max_tokens", "max_tokens cuts the answer, with finish_reason length", "costs have no bound", _cut("cut")
    ),
    Probe(
        "limits.max_completion_tokens",
        "max_completion_tokens does so as well",
        "newer clients have no bound",
        _cut("cut_new_name"),
    ),
    Probe("limits.cut_reasoning", "cut reasoning stays reasoning", "users read thoughts as an answer", _cut_reasoning),
    Probe("limits.cut_call", "a cut call is marked as cut", "half a call is run", _cut_call),
    Probe("limits.stop", "a stop string ends the answer, not the reasoning", "answers are empty or go on", _stop),
    Probe(
        "limits.default", "an answer without max_tokens is whole", "answers are cut after a few tokens", _default_limit
    ),
    Probe("limits.context", "a prompt beyond the context is refused", "a part of the prompt is dropped", _overflow),
    Probe("usage.counts", "usage has its three counts, and they add up", "costs are unknown", _usage),
    Probe("usage.output", "completion_tokens counts what is sent", "more is billed than comes", _output_count),
    Probe("usage.reasoning", "usage counts the reasoning", "the hidden share of the cost is unknown", _reasoning_count),
    Probe("usage.cached", "usage counts cached tokens", "discounts cannot be checked", _cached_count),
    Probe(
        "errors.json",
        "a body that is not JSON is refused",
        "faults of clients look like faults of the server",
        _bad_json,
    ),
    Probe("errors.messages", "empty messages are refused", "mistakes are paid for", _refuses(messages=[])),
    Probe(
        "errors.role",
        "an unknown role is refused",
        "messages are lost silently",
        _refuses(messages=[{"role": "narrator", "content": "x"}]),
    ),
    Probe("errors.type", "a value of a wrong type is refused", "mistakes are paid for", _refuses(temperature="hot")),
    Probe("errors.max_tokens", "max_tokens below 1 is refused", "mistakes are paid for", _refuses(max_tokens=-1)),
    Probe("errors.shape", "errors have OpenAI's shape", "clients show no reason", _error_shape),
    Probe("errors.key", "a wrong key has status 401", "clients try again", _key),
    Probe("models.list", "the model is listed in data", "clients do not find it", _models),
)
