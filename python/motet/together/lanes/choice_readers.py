"""The reader of a lane's choices."""

from __future__ import annotations

from collections.abc import Callable

from motet.backend import Request
from motet.message import Lane
from motet.together.lanes.chat_reader import ChatLane
from motet.together.lanes.raw import RawLane, prefix_header
from motet.together.services import Service

__all__ = ["choice_reader"]


def choice_reader(
    request: Request, lane: Lane, service: Service, on_reasoning_key: Callable[[str], object] | None = None
) -> ChatLane | RawLane:
    """A reader for one response to a request. `on_reasoning_key`: see `ChatLane`."""
    if lane == "ids" or lane == "text":
        header = prefix_header(request, service)
        return RawLane(lane, request.tools or None, turn=len(request.messages), prefix=request.prefix, header=header)
    return ChatLane(
        tools=request.tools,
        turn=len(request.messages),
        think_tags=service.think_tags or request.think_tags,
        on_reasoning_key=on_reasoning_key,
    )
