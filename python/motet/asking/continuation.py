"""The request that has the model answer where its reasoning was ended: a pure function, no I/O."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

from motet import _core
from motet.asking.answer import Answer
from motet.asking.request import Interruption, PreparedRequest
from motet.backend import Reply
from motet.errors import MaxCostError, MaxTokensError, RequestTimeoutError
from motet.harmony import render_frames

__all__ = ["continuation"]


def continuation(prepared: PreparedRequest, reply: Reply, answer: Answer[Any], reason: str) -> PreparedRequest:
    """The request that has the model answer, with what the first one leaves of the limits.

    In the raw lanes its prompt is that of the first request, then what the model wrote, verbatim, then the header of a
    final answer: a server has all but the header in its cache. Raises a limit's error if nothing is left of it.
    """
    request, max_cost = prepared.request, prepared.max_cost
    changes: dict[str, Any] = {"prefix": _written(reply), "lane": reply.lane}
    if request.max_tokens is not None:
        changes["max_tokens"] = request.max_tokens - sum(reply.completion.tokens.values())
        if changes["max_tokens"] < 1:
            raise MaxTokensError(
                f"{reason}, and max_tokens={request.max_tokens} leaves none for an answer; what arrived is in .partial",
                limit=request.max_tokens,
                option="max_tokens",
            )
    if request.timeout is not None:
        changes["timeout"] = request.timeout - answer.metrics.cost.time.total
        if changes["timeout"] <= 0:
            raise RequestTimeoutError(
                f"{reason}, and timeout={request.timeout:g} leaves no time for an answer", partial=reply
            )
    if max_cost is not None:
        cost = answer.metrics.cost.cash.total
        if cost is None or cost >= max_cost:
            spent = "costs an unknown amount" if cost is None else f"used up max_cost={max_cost}"
            raise MaxCostError(f"{reason}, and it {spent}", limit=max_cost, option="max_cost")
        max_cost -= cost
    how = "its answer was asked for again" if reply.lane == "chat" else "a second request continued it with the answer"
    return replace(
        prepared,
        request=replace(request, **changes),
        max_cost=max_cost,
        notes=(*prepared.notes, f"{reason}: {how}"),
        interruption=Interruption(prepared, answer, reason),
    )


def _written(reply: Reply) -> array[int] | str:
    """What the model wrote, verbatim; in the format, where the server left out its markers. Empty in the chat lane."""
    if reply.sampled is not None:
        return reply.sampled
    text = reply.raw_text or ""
    if text and _core.MARKERS["message"] not in text:
        rendered = render_frames(reply.completion.frames).text
        return rendered.removeprefix(f"{_core.MARKERS['start']}assistant")
    return text
