"""A service within the process, for tests that run loops thousands of times: no HTTP, no SDK, but real completions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

import motet
from motet import harmony
from motet.backend import Health, ModelList, Prepared, Reply, Request
from motet.message import Message
from motet.metrics import Usage
from motet.together.lanes.raw import RawLane
from tests.support.server_scripts import SLUG

Script = Callable[[tuple[Message, ...]], str]


def call(name: str, arguments: str = "{}") -> str:
    return (
        f"<|start|>assistant<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"
    )


def calls(*made: str | tuple[str, str], thought: str = "I need a tool.") -> str:
    """A completion that calls tools."""
    written = [call(example) if isinstance(example, str) else call(*example) for example in made]
    return f"<|channel|>analysis<|message|>{thought}<|end|>{''.join(written)}"


class FakeBackend:
    """A backend whose answer is a function of the conversation, for any number of callers."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.before: Callable[[], None] = lambda: None
        """Called before an answer."""

    def prepare(self, request: Request) -> Prepared:
        prompt = harmony.render(request.messages, tools=request.tools, current_date=request.current_date)
        return Prepared(request=request, prompt_tokens=len(prompt))

    def execute(self, request: Request | Prepared) -> Reply:
        stream = FakeStream(self, request)
        for _ in stream:
            pass
        return stream.reply

    async def aexecute(self, request: Request | Prepared) -> Reply:
        await asyncio.sleep(0)
        return self.execute(request)

    def stream(self, request: Request | Prepared) -> FakeStream:
        return FakeStream(self, request)

    def astream(self, request: Request | Prepared) -> AsyncFakeStream:
        return AsyncFakeStream(self, request)

    def list_models(self, *, refresh: bool = False) -> ModelList:
        raise NotImplementedError

    async def alist_models(self, *, refresh: bool = False) -> ModelList:
        raise NotImplementedError

    def health(self, model: str | None = None) -> Health:
        raise NotImplementedError

    async def ahealth(self, model: str | None = None) -> Health:
        raise NotImplementedError

    def close(self) -> None: ...
    async def aclose(self) -> None: ...


class FakeStream:
    """Events, token by token."""

    def __init__(self, backend: FakeBackend, request: Request | Prepared) -> None:
        self._backend = backend
        self._request = request.request if isinstance(request, Prepared) else request
        self._lane = RawLane("ids", self._request.tools, prefix=self._request.prefix)
        self._interrupted = False
        self._prompt = 0
        self._usage: Usage | None = None
        self._events = self._run()

    def _run(self) -> Iterator[Any]:
        self._backend.requests.append(self._request)
        self._backend.before()
        self._prompt = self._backend.prepare(self._request).prompt_tokens or 0
        ids = motet.encode(self._backend.script(self._request.messages), special="token")
        for token in ids[: self._request.max_tokens]:
            yield from self._lane.read({"token_ids": [token]})
            if self._interrupted:
                return
        yield from self._lane.close(None, None)
        self._usage = Usage(self._prompt, len(ids[: self._request.max_tokens]))

    def __iter__(self) -> Iterator[Any]:
        return self._events

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
    def close(self) -> None: ...
    def interrupt(self) -> None:
        self._interrupted = True

    @property
    def reply(self) -> Reply:
        completion = self._lane.completion
        finish = None if self._usage is None else "length" if completion.stop is None else "stop"
        return Reply(
            completion,
            "ids",
            "a fake backend",
            self._request.model,
            self._usage,
            finish,
            prompt_tokens=self._prompt or None,
            sampled=self._lane.sampled,
            prefix_tokens=self._lane.prefix_tokens,
        )


class AsyncFakeStream(FakeStream):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self._arun()

    async def _arun(self) -> AsyncIterator[Any]:
        for event in self._events:
            await asyncio.sleep(0)
            yield event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...
    async def aclose(self) -> None: ...


def fake_atom(script: Script) -> tuple[motet.Atom, FakeBackend]:
    """An atom over a scripted backend."""
    backend = FakeBackend(script)
    return motet.Atom(motet.atom(SLUG).spec, backend), backend


def turns(*answers: str) -> Script:
    """The n-th answer, where n counts the answers since the last user message: equal in each process."""

    def script(messages: tuple[Message, ...]) -> str:
        last_question = max(place for place, message in enumerate(messages) if message.role == "user")
        return answers[sum(message.role == "assistant" for message in messages[last_question:])]

    return script
