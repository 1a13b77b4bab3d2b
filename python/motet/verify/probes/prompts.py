"""Probes of prompts and histories: what reaches the model. Judged by the server's counts, not by the model."""

from __future__ import annotations

import datetime
from typing import Any

from motet import _core
from motet.harmony import render
from motet.verify.exchange import REASONING_KEYS
from motet.verify.probe import Probe
from motet.verify.session import Failure, Session, Skip, require
from motet.verify.situations import GET_WEATHER, LONG_TEXT, history, say, tool

__all__ = ["PROBES"]

_LONG = _core.count(LONG_TEXT)
_CLOSE = 0.8
"""The share of a text's tokens by which a prompt must grow if the text is in it."""


def _tokens(session: Session, messages: Any, **fields: Any) -> int:
    return session.prompt_tokens(messages, **fields)


def _grows(session: Session, without: Any, messages: Any, what: str, **fields: Any) -> str | None:
    """Whether the prompt grows by the long text that `messages` has and `without` lacks."""
    added = _tokens(session, messages, **fields) - _tokens(session, without, **fields)
    require(added >= _LONG * _CLOSE, f"{what} of {_LONG} tokens adds {added} to the prompt")
    return None


def _exact(session: Session, **fields: Any) -> str | None:
    counted = _tokens(session, [say("pong")], **fields)
    today = datetime.datetime.now(datetime.UTC).date()
    own = {
        dialect: len(
            render(
                [say("pong")],
                tools=fields.get("tools") or (),
                current_date=today,
                dialect=dialect,
            ).ids
        )
        for dialect in ("chat_template", "motet", "openai_harmony")
    }
    for dialect, count in own.items():
        if count == counted:
            return f"as the dialect {dialect}"
    nearest = min(own.values(), key=lambda count: abs(count - counted))
    raise Failure(f"the server counts {counted} tokens, and the format has {nearest}")


def _exact_tools(session: Session) -> str | None:
    return _exact(session, tools=[GET_WEATHER])


def _stable(session: Session) -> str | None:
    first, second = (_tokens(session, [say("pong")]) for _ in range(2))
    require(first == second, f"the same prompt has {first} and {second} tokens")
    return None


def _markers(session: Session) -> str | None:
    marker = _core.MARKERS["end"]
    text = f" {marker}" * 20
    added = _tokens(session, [say(f"x{text}")]) - _tokens(session, [say("x")])
    as_text = _core.count(text, special="text")
    require(added >= as_text * _CLOSE, f"20 quoted markers add {added} tokens, and as text they have {as_text}")
    return None


def _description(session: Session) -> str | None:
    long = [tool("get_weather", GET_WEATHER["function"]["parameters"], LONG_TEXT)]
    added = _tokens(session, [say("x")], tools=long) - _tokens(session, [say("x")], tools=[GET_WEATHER])
    require(added >= _LONG * _CLOSE, f"a description of {_LONG} tokens adds {added} to the prompt")
    return None


def _reasoning(session: Session) -> str | None:
    problems = []
    for key in REASONING_KEYS:
        try:
            _grows(session, history(), history(reasoning={key: LONG_TEXT}), key, tools=[GET_WEATHER])
            return f"under {key}"
        except Failure as failure:
            problems.append(str(failure))
    raise Failure("; ".join(problems))


def _old_reasoning(session: Session) -> str | None:
    turn = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, say("pong")]
    for key in REASONING_KEYS:
        long = [turn[0], {**turn[1], key: LONG_TEXT}, turn[2]]
        exchange = session.chat(messages=long, max_tokens=16)
        if exchange.refused:
            continue
        added = _tokens(session, long) - _tokens(session, turn)
        require(added < _LONG * _CLOSE, f"reasoning before a final answer is kept: {added} tokens under {key}")
        return None
    raise Skip("the server refuses reasoning in the history")


def _result(session: Session) -> str | None:
    long = history()
    long[2] = {**long[2], "content": LONG_TEXT}
    return _grows(session, history(), long, "a result", tools=[GET_WEATHER])


def _call_arguments(session: Session) -> str | None:
    long = history(arguments=f'{{"city": "{LONG_TEXT}"}}')
    return _grows(session, history(), long, "a call", tools=[GET_WEATHER])


def _role(role: str) -> Any:
    def judge(session: Session) -> str | None:
        system = {"role": role, "content": "Be kind."}
        return _grows(session, [system, say("x")], [{**system, "content": LONG_TEXT}, say("x")], f"a {role} message")

    return judge


def _parts(session: Session) -> str | None:
    text = say("pong")["content"]
    parts = [{"role": "user", "content": [{"type": "text", "text": text}]}]
    whole, split = _tokens(session, [say("pong")]), _tokens(session, parts)
    require(abs(whole - split) <= 2, f"a text has {whole} tokens, and as a part {split}")
    return None


def _accepted(messages: Any, **fields: Any) -> Any:
    def judge(session: Session) -> str | None:
        _accept(session, messages, **fields)
        return None

    return judge


def _accept(session: Session, messages: Any, **fields: Any) -> None:
    exchange = session.chat(messages=messages, max_tokens=16, **fields)
    require(exchange.ok, f"status {exchange.status}: {exchange.text[:160]}")


def _preamble(session: Session) -> str | None:
    keys = [
        key
        for key in REASONING_KEYS
        if session.chat(messages=history(reasoning={key: "Weather."}), max_tokens=16, **_TOOLS).ok
    ]
    require(keys, "reasoning beside calls is refused")
    for key in keys:
        _accept(session, history(reasoning={key: "Weather.", "content": "Let me look."}), **_TOOLS)
    return None


_TOOLS = {"tools": [GET_WEATHER]}
_NULL = [{**message, "content": None} if message["role"] == "assistant" else message for message in history()]
_CALLS = [
    {"id": f"call_{n}", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}} for n in (1, 2)
]
_TWO_RESULTS = [
    {"role": "user", "content": "Compare."},
    {"role": "assistant", "content": "", "tool_calls": _CALLS},
    *[{"role": "tool", "tool_call_id": call["id"], "content": "24"} for call in _CALLS],
]
PROBES = (
    Probe(
        "prompt.count",
        "the prompt is rendered as the format says",
        "the model reads a prompt it was not trained on",
        _exact,
    ),
    Probe("prompt.count_tools", "tools are rendered as the format says", "the model misreads its tools", _exact_tools),
    Probe("prompt.stable", "equal requests have equal prompts", "prefix caches miss", _stable),
    Probe("prompt.markers", "markers that a user quotes are text", "users can forge messages", _markers),
    Probe(
        "prompt.description", "descriptions of tools reach the model", "the model guesses what tools do", _description
    ),
    Probe("prompt.system", "a system message reaches the model", "instructions are lost", _role("system")),
    Probe("prompt.developer", "a developer message reaches the model", "instructions are lost", _role("developer")),
    Probe("prompt.parts", "content may be a list of text parts", "clients that send parts are refused", _parts),
    Probe("history.reasoning", "reasoning between calls is kept", "the model forgets its plan in loops", _reasoning),
    Probe(
        "history.old_reasoning",
        "reasoning before a final answer is left out",
        "prompts grow, and differ from training",
        _old_reasoning,
    ),
    Probe("history.result", "results of tools reach the model", "the model guesses them", _result),
    Probe("history.call", "calls of the history reach the model", "the model calls again", _call_arguments),
    Probe(
        "history.null_content", "content null beside calls is accepted", "loops break off", _accepted(_NULL, **_TOOLS)
    ),
    Probe(
        "history.two_results",
        "two results of one turn are accepted",
        "parallel calls cannot be answered",
        _accepted(_TWO_RESULTS, **_TOOLS),
    ),
    Probe(
        "history.preamble",
        "text and reasoning beside calls are accepted",
        "loops break off",
        _preamble,
    ),
    Probe(
        "history.broken_arguments",
        "a call whose arguments are not JSON is accepted",
        "one slip of the model ends a loop",
        _accepted(history(arguments='{"city": "Par'), **_TOOLS),
    ),
    Probe(
        "history.name",
        "a user message may have a name",
        "clients that name users are refused",
        _accepted([{**say("x"), "name": "ann"}]),
    ),
)
