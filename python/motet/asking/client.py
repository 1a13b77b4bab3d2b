"""Sends prepared requests to one model: the way from a request to its answer that atoms and loops share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from motet.asking.answer import Answer
from motet.asking.observation import Observation
from motet.asking.request import PreparedRequest
from motet.asking.stream import AnswerStream, AsyncAnswerStream
from motet.backend import Backend
from motet.errors import MotetError

__all__ = ["ModelClient"]


class ModelClient:
    """A backend, and the callback that receives each answer."""

    def __init__(self, backend: Backend, on_answer: Callable[[Answer[Any]], Answer[Any]]) -> None:
        self.backend = backend
        self._on_answer = on_answer

    def ask(self, prepared: PreparedRequest) -> Answer[Any]:
        """Sends a request and waits for its answer; asks again as `retries` and `fallbacks` say."""
        if prepared.needs_streaming:
            with AnswerStream(self.backend, prepared, self._on_answer, shows_events=False) as stream:
                for _ in stream:
                    pass
                return stream.answer
        while True:
            try:
                return prepared.complete(self._ask_once(prepared))
            except MotetError as error:
                retry = prepared.retry(error)
                if retry is None:
                    raise
                prepared = retry

    def _ask_once(self, prepared: PreparedRequest) -> Answer[Any]:
        with Observation(prepared, self.backend) as observation:
            try:
                reply = (prepared.backend or self.backend).execute(prepared.request)
                return self._on_answer(observation.record(prepared.finish(reply)))
            except MotetError as error:
                raise prepared.enrich_error(error) from error.__cause__

    async def aask(self, prepared: PreparedRequest) -> Answer[Any]:
        """`ask`, awaited."""
        if prepared.needs_streaming:
            async with AsyncAnswerStream(self.backend, prepared, self._on_answer, shows_events=False) as stream:
                async for _ in stream:
                    pass
                return stream.answer
        while True:
            try:
                return prepared.complete(await self._aask_once(prepared))
            except MotetError as error:
                retry = prepared.retry(error)
                if retry is None:
                    raise
                prepared = retry

    async def _aask_once(self, prepared: PreparedRequest) -> Answer[Any]:
        async with Observation(prepared, self.backend) as observation:
            try:
                reply = await (prepared.backend or self.backend).aexecute(prepared.request)
                return self._on_answer(observation.record(prepared.finish(reply)))
            except MotetError as error:
                raise prepared.enrich_error(error) from error.__cause__

    def stream(self, prepared: PreparedRequest) -> AnswerStream:
        """A stream of the answer; the request is sent when the first event is read."""
        return AnswerStream(self.backend, prepared, self._on_answer)

    def astream(self, prepared: PreparedRequest) -> AsyncAnswerStream:
        """`stream`, awaited."""
        return AsyncAnswerStream(self.backend, prepared, self._on_answer)
