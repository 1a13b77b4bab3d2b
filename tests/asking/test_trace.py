"""Spans, as OpenTelemetry's conventions for generative models name what is in them."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as conventions
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel

import motet
from motet import trace
from motet.testing import Fault, Turn
from tests.support.server_scripts import ANSWER, CALL, KEY, PLAIN, THOUGHT, WEATHER, asking, final

MODEL = "openai/gpt-oss-120b"
NAMES = {value for name, value in vars(conventions).items() if name.startswith("GEN_AI_") and isinstance(value, str)}


class Review(BaseModel):
    approved: bool


class Spans:
    """The spans that ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def only(self) -> ReadableSpan:
        (span,) = self.all
        return span

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.only.attributes or {})


@pytest.fixture
def spans() -> Iterator[Spans]:
    result = Spans()
    trace.enable(tracer_provider=result.provider)
    yield result
    trace.disable()


ASKED: dict[str, Any] = {"max_tokens": 900, "temperature": 0.5, "top_p": 0.9, "seed": 7, "sampling": {"top_k": 40}}


def ask(atom: motet.Atom, **options: Any) -> motet.Answer[Any]:
    return atom.ask("Why?", **options)


def aask(atom: motet.Atom, **options: Any) -> motet.Answer[Any]:
    async def main() -> motet.Answer[Any]:
        async with atom:
            return await atom.aask("Why?", **options)

    return asyncio.run(main())


def stream(atom: motet.Atom, **options: Any) -> motet.Answer[Any]:
    with atom.stream("Why?", **options) as result:
        list(result)
    return result.answer


def astream(atom: motet.Atom, **options: Any) -> motet.Answer[Any]:
    async def main() -> motet.Answer[Any]:
        async with atom, atom.astream("Why?", **options) as result:
            async for _ in result:
                pass
            return result.answer

    return asyncio.run(main())


def limited(atom: motet.Atom, **options: Any) -> motet.Answer[Any]:
    return atom.ask("Why?", max_cost=1, **options)


WAYS = [ask, aask, stream, astream, limited]


@pytest.mark.parametrize("how", WAYS)
def test_answer_is_one_span_with_standard_attributes(how: Any, spans: Spans) -> None:
    with asking(Turn(PLAIN, cached=4)) as (atom, _):
        answer = how(atom, **ASKED)
    tokens = answer.metrics.size.tokens
    assert (spans.only.name, spans.only.kind) == (f"chat {MODEL}", SpanKind.CLIENT)
    assert spans.only.status.status_code == StatusCode.UNSET
    attributes = spans.attributes
    # Only what streams has a first chunk.
    assert (attributes.pop("gen_ai.response.time_to_first_chunk", None) is None) is (how in (ask, aask))
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "together",
        "gen_ai.output.type": "text",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 900,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.seed": 7,
        "gen_ai.response.model": MODEL,
        "gen_ai.response.id": "scripted-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": tokens.input,
        "gen_ai.usage.output_tokens": tokens.output,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": motet.count(THOUGHT),
    }
    assert set(attributes) <= NAMES
    assert spans.only.instrumentation_scope is not None
    assert spans.only.instrumentation_scope.name == "motet"
    assert spans.only.end_time is not None


def test_unknown_attributes_are_omitted(spans: Spans) -> None:
    with asking(Turn(PLAIN, fault=Fault("no_usage"))) as (atom, _):
        atom.ask("Why?")
    assert not any(name.startswith(("gen_ai.usage", "gen_ai.request.t")) for name in spans.attributes)


def test_span_has_output_type_and_response_model(spans: Spans) -> None:
    with asking(Turn(final('{"approved": true}'), model="openai/gpt-oss-20b"), CALL) as (atom, _):
        atom.ask("Why?", output=Review)
        atom.ask("Why?", tools=[WEATHER])
    typed, called = [dict(span.attributes or {}) for span in spans.all]
    assert (typed["gen_ai.output.type"], typed["gen_ai.response.model"]) == ("json", "openai/gpt-oss-20b")
    assert called["gen_ai.response.finish_reasons"] == ("tool_calls",)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("script", "options", "error"),
    [
        (Fault("status", status=401), {}, "AuthenticationError"),
        (Fault("html"), {}, "BadPayloadError"),
        (PLAIN, {"max_tokens": 12}, "TruncatedOutputError"),
        (final("no"), {"output": Review}, "InvalidJsonError"),
    ],
    ids=["refused", "unreadable", "truncated", "mistyped"],
)
def test_span_of_an_error_has_its_type_and_cost(how: Any, script: Any, options: Any, error: str, spans: Spans) -> None:
    with asking(script) as (atom, _), pytest.raises(motet.MotetError) as caught:
        how(atom, **options)
    assert type(caught.value).__name__ == error
    assert spans.attributes["error.type"] == error
    assert (spans.only.status.status_code, spans.only.status.description) == (StatusCode.ERROR, error)
    usage = caught.value.usage
    assert spans.attributes.get("gen_ai.usage.output_tokens") == (None if usage is None else usage.output)
    assert (usage is None) is (script.__class__ is Fault)


@pytest.mark.parametrize("how", [ask, stream])
def test_span_of_an_unsent_request_is_an_error(how: Any, spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    with pytest.raises(motet.MissingKeyError):
        how(motet.atom("together/gpt-oss/120b"))
    assert spans.attributes["error.type"] == "MissingKeyError"


@pytest.mark.parametrize("how", ["with", "close", "drop"])
def test_span_ends_when_its_stream_is_left_early(how: str, spans: Spans) -> None:
    with asking(Turn(PLAIN * 20, delay=0.002)) as (atom, server):
        if how == "with":
            with atom.stream("Why?") as result:
                next(iter(result))
        elif how == "close":
            left = atom.stream("Why?")
            next(iter(left))
            left.close()
        else:
            for _ in atom.stream("Why?"):
                break
            gc.collect()
        assert server.hung_up.wait(5)
    assert "error.type" not in spans.attributes
    assert spans.attributes["gen_ai.request.model"] == MODEL


def test_span_ends_when_its_async_stream_is_left_early(spans: Spans) -> None:
    async def main(atom: motet.Atom) -> None:
        async with atom, atom.astream("Why?") as result:
            async for _ in result:
                break

    with asking(Turn(PLAIN * 20, delay=0.002)) as (atom, _):
        asyncio.run(main(atom))
    assert spans.only.end_time is not None


def test_span_of_a_limit_has_the_partial_answer(spans: Spans) -> None:
    with asking(Turn(PLAIN, delay=0.001)) as (atom, _), pytest.raises(motet.MaxTokensError):
        atom.ask("Why?", max_reasoning_tokens=3)
    assert spans.attributes["error.type"] == "MaxTokensError"
    assert spans.attributes["gen_ai.usage.output_tokens"] > 3


@pytest.mark.parametrize("how", WAYS)
def test_contents_are_not_traced_by_default(how: Any, spans: Spans) -> None:
    with asking(PLAIN, Fault("status", status=400, body={"error": {"message": "SECRET was said"}})) as (atom, _):
        how(atom, briefs=["SECRET"])
        with pytest.raises(motet.InvalidRequestError, match="SECRET"):
            how(atom, briefs=["SECRET"])
    for span in spans.all:
        text = span.to_json()
        assert not any(word in text for word in ("SECRET", "Rayleigh", "scatters", KEY))
    assert len(spans.all) == 2


def test_contents_are_traced_on_request(spans: Spans) -> None:
    trace.enable(tracer_provider=spans.provider, content=True)
    with asking(CALL, PLAIN, Fault("status", status=400, body="SECRET")) as (atom, _):
        first = atom.ask("Warm?", briefs=["Be brief."], tools=[WEATHER])
        atom.ask([motet.ToolResult(first.calls[0].id, "24")], on=first, tools=[WEATHER])
        with pytest.raises(motet.InvalidRequestError):
            atom.ask("Warm?")
    called, reports, failed = [dict(span.attributes or {}) for span in spans.all]
    call = {"type": "tool_call", "id": first.calls[0].id, "name": "get_weather", "arguments": '{"city": "Zürich"}'}
    begun = [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Warm?"}]},
    ]
    parts = [
        {"type": "reasoning", "content": "I need the weather."},
        {"type": "text", "content": "Let me look."},
        call,
    ]
    assert json.loads(called["gen_ai.input.messages"]) == begun
    assert json.loads(called["gen_ai.tool.definitions"]) == [WEATHER]
    assert json.loads(called["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": parts, "finish_reason": "tool_call"}
    ]
    result = {"type": "tool_call_response", "id": first.calls[0].id, "response": "24"}
    assert json.loads(reports["gen_ai.input.messages"]) == [
        *begun,
        {"role": "assistant", "parts": parts},
        {"role": "tool", "parts": [result]},
    ]
    (answered,) = json.loads(reports["gen_ai.output.messages"])
    assert answered["finish_reason"] == "stop"
    assert answered["parts"] == [{"type": "reasoning", "content": THOUGHT}, {"type": "text", "content": ANSWER}]
    assert {name for item in (called, reports, failed) for name in item} - {"error.type"} <= NAMES
    assert "SECRET" in str(spans.all[2].status.description)


def test_disabled_tracing_makes_no_spans(spans: Spans) -> None:
    trace.disable()
    with asking(PLAIN) as (atom, _):
        atom.ask("Why?")
    assert spans.all == ()


def test_tracing_is_off_and_imports_nothing_by_default() -> None:
    program = f"""
import sys
sys.path.insert(0, {str(Path(motet.__file__).parent.parent)!r})
import motet
from motet.testing import ScriptedServer
with ScriptedServer([{PLAIN!r}, {PLAIN!r}]) as server, motet.atom("together/gpt-oss/120b", base_url=server.url) as atom:
    atom.ask("Why?")
    with atom.stream("Why?") as stream:
        list(stream)
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_missing_opentelemetry_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(motet.ConfigError, match=r"pip install 'motet\[otel\]'"):
        trace.enable()
