"""Probes of plain answers: text, reasoning, markup, shape."""

from __future__ import annotations

from motet import _core
from motet.verify.exchange import REASONING_KEYS
from motet.verify.judgments import find_markup, judge_unicode, require_finish
from motet.verify.probe import Probe
from motet.verify.session import Doubt, Failure, Inconclusive, Session, expect, require

__all__ = ["PROBES"]


def _text(session: Session) -> str | None:
    exchange = session.answer("plain")
    if not exchange.content and exchange.finish == "length":
        raise Inconclusive("the answer was cut within the reasoning")
    expect(exchange.content, f"the answer has no content: {exchange.text[:160]}")
    return None


def _markup(session: Session) -> str | None:
    for name in ("plain", "puzzle", "stream_puzzle"):
        exchange = session.answer(name)
        for where, text in (("content", exchange.content), ("reasoning", exchange.reasoning)):
            if (markup := find_markup(text)) is not None:
                raise Doubt(f"the {where} has {markup!r}")
    return None


def _reasoning(session: Session) -> str | None:
    exchange = session.answer("puzzle")
    if exchange.reasoning:
        require(exchange.reasoning not in exchange.content, "the reasoning is in the content as well")
        keys = {key for message in exchange.messages for key in REASONING_KEYS if message.get(key)}
        return f"as {' and '.join(sorted(keys))}"
    counted, written = exchange.count("completion_tokens"), _core.count(exchange.content)
    if counted is not None and counted > written + 40:
        raise Failure(f"{counted - written} tokens are paid for and not sent")
    raise Inconclusive("the model did not reason")


def _finish(session: Session) -> str | None:
    exchange = session.answer("plain")
    if exchange.finish == "length":
        raise Inconclusive("the answer was cut")
    require_finish(exchange, "stop")
    return None


def _shape(session: Session) -> str | None:
    body = session.answer("plain").body
    require(isinstance(body, dict), "the body is not a JSON object")
    require(isinstance(body.get("id"), str) and body["id"], f"id is {body.get('id')!r}")
    require(body.get("object") == "chat.completion", f"object is {body.get('object')!r}")
    require(isinstance(body.get("created"), int), f"created is {body.get('created')!r}")
    require(isinstance(body.get("model"), str) and body["model"], f"model is {body.get('model')!r}")
    choices = session.answer("plain").choices
    require(len(choices) == 1 and choices[0].get("index") == 0, "there is not one choice with index 0")
    require(session.answer("plain").messages[0].get("role") == "assistant", "the role is not assistant")
    return None


def _content_type(session: Session) -> str | None:
    kind = session.answer("plain").headers.get("content-type", "")
    require(kind.startswith("application/json"), f"content-type is {kind!r}")
    return None


def _unicode(session: Session) -> str | None:
    return judge_unicode(session.answer("unicode"))


def _no_call(session: Session) -> str | None:
    message = session.answer("unneeded")
    if message.calls:
        raise Inconclusive("the model called a tool")
    if not message.content:
        raise Inconclusive("the model did not answer")
    require_finish(message, "stop")
    return None


def _efforts(session: Session) -> str | None:
    for effort in ("low", "medium", "high"):
        exchange = session.response(f"effort_{effort}")
        require(exchange.ok, f"{effort!r} is refused with status {exchange.status}: {exchange.text[:120]}")
    return None


PROBES = (
    Probe("answer.text", "an answer has its text in content", "the answer is lost", _text),
    Probe("answer.markup", "no markers or headers are in the answer", "users read names of channels", _markup),
    Probe("answer.reasoning", "the reasoning is sent, apart from the answer", "loops cannot send it back", _reasoning),
    Probe("answer.finish", "a whole answer has finish_reason stop", "clients take it for cut", _finish),
    Probe("answer.shape", "the response has OpenAI's fields", "typed clients refuse it", _shape),
    Probe("answer.content_type", "the response is application/json", "clients do not read it", _content_type),
    Probe("answer.unicode", "characters of several tokens arrive whole", "text is broken", _unicode),
    Probe("answer.with_tools", "an answer without calls is plain although tools are there", "loops go on", _no_call),
    Probe("answer.efforts", "reasoning_effort takes low, medium and high", "the effort cannot be chosen", _efforts),
)
