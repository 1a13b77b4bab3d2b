"""Reasoning between the calls of a turn, for clients that drop it.

gpt-oss is trained to read its reasoning again until its final answer, and most clients send back text and calls alone.
What they drop is kept under a hash of the conversation as they send it: they need neither an id nor a session.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from motet.dialects.acceptable import acceptable_arguments
from motet.message import Message, Part, Preamble, Reasoning, Text, ToolResult
from motet.proxy.state import KeptTurn, State

__all__ = ["Conversations", "conversation_keys"]


def conversation_keys(client: str, messages: Sequence[Message]) -> list[bytes]:
    """For each message, the key of the conversation up to it.

    The keys are the same whichever API carries the conversation: arguments are compared as JSON, texts without blanks
    around them, and calls without their ids. Instructions are left out, as clients write the time into them. Keys of
    one client do not fit those of another.
    """
    keys: list[bytes] = []
    key = hashlib.blake2b(client.encode("utf-8", "surrogatepass"), digest_size=20).digest()
    for message in messages:
        content = json.dumps([message.role, *_canonical(message)], sort_keys=True)
        if message.role not in ("system", "developer"):
            key = hashlib.blake2b(key + content.encode(), digest_size=20).digest()
        keys.append(key)
    return keys


def _canonical(message: Message) -> Iterator[Any]:
    calls = message.tool_calls
    if calls:
        # Some clients drop the text beside calls.
        for call in calls:
            yield [call.name, _plain_json(call.arguments)]
        return
    texts = [part.text for part in message.content if isinstance(part, Text | Preamble)]
    yield "".join(texts).strip()
    for part in message.content:
        if isinstance(part, ToolResult):
            yield part.content.strip()


def _plain_json(arguments: str) -> Any:
    """The value of arguments, equal for `1` and `1.0`, between which clients in JavaScript do not distinguish."""
    try:
        return json.loads(acceptable_arguments(arguments), parse_float=_number)
    except (ValueError, RecursionError):
        return arguments


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value


class Conversations:
    """Keeps what clients drop from turns with calls, and puts it back."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def restore(
        self, client: str, messages: Sequence[Message]
    ) -> tuple[tuple[Message, ...], dict[int, array[int]]]:
        """The messages with the reasoning of the running turn, and the ids that the model sampled, by the index of
        their message."""
        places = list(_running_turn(messages))
        if not places:
            return tuple(messages), {}
        keys = conversation_keys(client, messages)
        turns = await self._state.get_turns([keys[place] for place in places])
        restored, sampled = list(messages), {}
        for place in places:
            turn = turns.get(keys[place])
            if turn is None:
                continue
            if not messages[place].reasoning:
                restored[place] = _with_reasoning(messages[place], turn)
            if turn.sampled is not None:
                sampled[place] = turn.sampled
        return tuple(restored), sampled

    async def keep(self, client: str, messages: Sequence[Message], answer: Message, sampled: array[int] | None) -> None:
        """Keeps the reasoning of an answer that calls tools. `messages`: the conversation before it."""
        if not answer.tool_calls or not (answer.reasoning or sampled):
            return
        parts = tuple([part.text if isinstance(part, Reasoning) else None for part in answer.content])
        key = conversation_keys(client, [*messages, answer])[-1]
        await self._state.put_turn(key, KeptTurn(parts, sampled))


def _running_turn(messages: Sequence[Message]) -> Iterator[int]:
    """The indexes of the assistant's messages with calls behind its last answer: earlier reasoning is not rendered."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role == "assistant":
            if not message.tool_calls:
                return
            yield index


def _with_reasoning(message: Message, turn: KeptTurn) -> Message:
    """The message with the reasoning of the turn: in its places if the other parts are those of the turn, else in
    front."""
    others: list[Part] = list(message.content)
    if turn.parts.count(None) == len(others):
        remaining = iter(others)
        parts = [next(remaining) if text is None else Reasoning(text) for text in turn.parts]
        return replace(message, content=tuple(parts))
    text = "".join([text for text in turn.parts if text is not None])
    return replace(message, content=(Reasoning(text), *others)) if text else message
