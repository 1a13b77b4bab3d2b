"""Probes of tool calls: lost, leaked, forced, in parallel."""

from __future__ import annotations

import json
from typing import Any

from motet import _core
from motet.schema.conformance import conforms
from motet.verify.judgments import expect_no_markup, expect_object, judge_parallel, require_finish
from motet.verify.probe import Probe
from motet.verify.session import Failure, Inconclusive, Session, expect, require
from motet.verify.situations import ADDRESS, COLOUR

__all__ = ["PROBES"]


def _call(session: Session) -> str | None:
    session.called("call")
    return None


def _name(session: Session) -> str | None:
    names = [call.name for call in session.called("call").calls]
    require(set(names) == {"get_weather"}, f"the name is {names[0]!r}, not 'get_weather'")
    return None


def _arguments(session: Session) -> str | None:
    for call in session.called("call").calls:
        require(isinstance(call.arguments, str), f"the arguments are {type(call.arguments).__name__}, not a text")
        expect_object(call)
        if call.value != {"city": "Zürich"}:
            raise Inconclusive(f"the model wrote other arguments: {call.arguments!r:.80}")
    return None


def _id(session: Session) -> str | None:
    ids = [call.id for call in session.called("call").calls]
    require(all(isinstance(id, str) and id for id in ids), f"the id is {ids[0]!r}")
    return None


def _type(session: Session) -> str | None:
    shapes = session.called("call").messages[0]["tool_calls"]
    require(all(shape.get("type") == "function" for shape in shapes), "the type of a call is not function")
    return None


def _finish(session: Session) -> str | None:
    require_finish(session.called("call"), "tool_calls")
    return None


def _clean(session: Session) -> str | None:
    exchange = session.called("call")
    expect_no_markup(exchange)
    for call in exchange.calls:
        leaked = [marker for marker in _core.MARKERS.values() if marker in f"{call.name}{call.arguments}"]
        expect(not leaked, f"the call has {leaked}")
    expect("get_weather" not in exchange.content, f"the call is in the content too: {exchange.content!r:.80}")
    return None


def _reasoning(session: Session) -> str | None:
    exchange = session.called("call")
    if exchange.reasoning:
        return None
    counted = exchange.count("completion_tokens")
    written = sum(_core.count(str(call.arguments)) for call in exchange.calls) + _core.count(exchange.content)
    if counted is not None and counted > written + 60:
        raise Failure(f"{counted - written} tokens are paid for and not sent")
    raise Inconclusive("the model did not reason")


def _unicode(session: Session) -> str | None:
    [call, *_] = session.called("call_unicode").calls
    expect("\ufffd" not in str(call.arguments), f"characters are broken: {call.arguments!r:.80}")
    expect_object(call)
    if call.value != {"city": "青い 🌍"}:
        raise Inconclusive(f"the model wrote other arguments: {call.arguments!r:.80}")
    return None


def _nested(session: Session) -> str | None:
    [call, *_] = session.called("call_nested").calls
    expect_object(call)
    if not conforms(call.value, ADDRESS):
        raise Inconclusive(f"the model wrote other arguments: {call.arguments!r:.80}")
    return None


def _empty(session: Session) -> str | None:
    [call, *_] = session.called("call_empty").calls
    if call.name != "get_time":
        raise Inconclusive(f"the model called {call.name!r}")
    expect(call.value == {}, f"the arguments are {call.arguments!r:.80}, not '{{}}'")
    return None


def _parallel(session: Session) -> str | None:
    return judge_parallel(session.called("call_twice", 2))


def _required(session: Session) -> str | None:
    exchange = session.answer("forced")
    require(exchange.calls, f"the answer has no call: {exchange.content!r:.80}")
    return None


def _named(session: Session) -> str | None:
    exchange = session.answer("forced_name")
    require(exchange.calls, f"the answer has no call: {exchange.content!r:.80}")
    require(exchange.calls[0].name == "get_time", f"{exchange.calls[0].name!r} is called, and 'get_time' is chosen")
    return None


def _none(session: Session) -> str | None:
    exchange = session.answer("forbidden")
    require(not exchange.calls, "the answer has a call although tool_choice forbids calls")
    return None


def _forced_finish(session: Session) -> str | None:
    exchange = session.answer("forced")
    if not exchange.calls:
        raise Inconclusive("the answer has no call")
    require(exchange.finish in ("tool_calls", "stop"), f"the finish reason is {exchange.finish!r}")
    value = exchange.calls[0].value
    require(
        isinstance(value, dict),
        f"the arguments of a forced call are no JSON object: {exchange.calls[0].arguments!r:.80}",
    )
    return None


def _schema_of(name: str, schema: Any, *, enforced: bool = True) -> Any:
    """Whether the answer is of a schema. `enforced`: it must be, whatever the model would write."""

    def judge(session: Session) -> str | None:
        exchange = session.answer(name)
        if exchange.finish == "length":
            raise Inconclusive("the answer was cut")
        if exchange.calls:
            raise Inconclusive("the model called a tool")
        try:
            value = json.loads(exchange.content)
        except ValueError:
            kind = Failure if enforced else Inconclusive
            raise kind(f"the answer is not JSON: {exchange.content!r:.80}") from None
        if not enforced and not conforms(value, schema):
            raise Inconclusive(f"the model wrote other JSON: {exchange.content!r:.80}")
        require(conforms(value, schema), f"the answer does not match the schema: {exchange.content!r:.80}")
        return None

    return judge


def _schema_reasoning(session: Session) -> str | None:
    exchange = session.answer("schema")
    expect_no_markup(exchange)
    if not exchange.reasoning:
        raise Inconclusive("the model did not reason")
    return None


_OPTIONAL = {**COLOUR, "required": ["colour"]}
PROBES = (
    Probe("tools.call", "a call of the model is in tool_calls", "the call is lost or shown as text", _call),
    Probe("tools.name", "a call has the tool's name alone", "loops do not find the tool", _name),
    Probe("tools.arguments", "arguments are a JSON text", "tools cannot be called", _arguments),
    Probe("tools.id", "a call has an id", "its result cannot be matched", _id),
    Probe("tools.type", "the type of a call is function", "typed clients refuse it", _type),
    Probe("tools.finish", "finish_reason is tool_calls", "loops end before the call", _finish),
    Probe("tools.clean", "a call leaves nothing in the content", "users read the call", _clean),
    Probe("tools.reasoning", "the reasoning before a call is sent", "it cannot be sent back", _reasoning),
    Probe("tools.unicode", "arguments keep their characters", "tools get broken text", _unicode),
    Probe("tools.nested", "nested arguments arrive", "tools with objects fail", _nested),
    Probe("tools.empty", "a call without arguments has {}", "clients fail to parse the empty text", _empty),
    Probe("tools.parallel", "two calls of one turn stay apart", "one call is lost or both are mixed", _parallel),
    Probe("choice.required", "tool_choice required forces a call", "agents get prose", _required),
    Probe("choice.named", "tool_choice forces the named tool", "another tool runs", _named),
    Probe("choice.none", "tool_choice none forbids calls", "tools run that must not", _none),
    Probe("choice.arguments", "a forced call has JSON arguments", "forced calls cannot be run", _forced_finish),
    Probe("schema.enforced", "a strict schema is enforced", "answers do not parse", _schema_of("schema", COLOUR)),
    Probe(
        "schema.optional",
        "a schema may have optional keys",
        "usual schemas are refused",
        _schema_of("schema_optional", _OPTIONAL, enforced=False),
    ),
    Probe(
        "schema.refs", "a schema may have $defs", "schemas of pydantic are refused", _schema_of("schema_refs", COLOUR)
    ),
    Probe("schema.tools", "a schema and tools go together", "typed agents fail", _schema_of("schema_tools", COLOUR)),
    Probe(
        "schema.json_object",
        "json_object gives JSON",
        "answers do not parse",
        _schema_of("json_object", {"type": "object"}),
    ),
    Probe("schema.reasoning", "a schema leaves the reasoning free", "the model answers worse", _schema_reasoning),
)
