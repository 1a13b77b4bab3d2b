"""The exchanges of a conversation as an immutable value."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from motet.backend import TokenTrace
from motet.message import DeveloperContent, Message

__all__ = ["Episode", "Exchange", "sampled_from_list"]


@dataclass(frozen=True)
class Exchange:
    """The input messages of a request and the answer to it."""

    input: tuple[Message, ...]
    output: Message
    sampled: array[int] | None = field(default=None, compare=False, repr=False)
    """The ids that the model sampled for the answer: they stand in later prompts of the ids lane. `None`: not known."""
    token_trace: TokenTrace | None = field(default=None, compare=False, repr=False)
    """The ids of prompt and answer as they were sent and sampled. `None`: not known; it is not saved."""

    @cached_property
    def hash(self) -> str:
        """Hexadecimal SHA-256 of the content."""
        messages = [message.to_dict() for message in (*self.input, self.output)]
        return _hash_of([json.dumps(message, sort_keys=True, ensure_ascii=False) for message in messages])

    @property
    def id(self) -> str:
        """The first 16 digits of `hash`: equal content has an equal id."""
        return self.hash[:16]


@dataclass(frozen=True)
class Episode:
    """A conversation with an atom; `ask(..., on=episode)` continues it."""

    exchanges: tuple[Exchange, ...] = ()
    system: str = ""
    """The briefs joined: the system side of each prompt."""

    @cached_property
    def hash(self) -> str:
        """Hexadecimal SHA-256 of the system side and of the exchanges' hashes, in order."""
        return _hash_of([self.system, *[exchange.hash for exchange in self.exchanges]])

    @property
    def id(self) -> str:
        """The first 16 digits of `hash`: equal content has an equal id."""
        return self.hash[:16]

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages, the system side first."""
        exchanged = [message for exchange in self.exchanges for message in (*exchange.input, exchange.output)]
        developer = [Message("developer", (DeveloperContent(self.system),))] if self.system else []
        return (*developer, *exchanged)

    @property
    def sampled(self) -> dict[int, array[int]]:
        """The sampled ids of answers, by the index of the answer in `messages`."""
        sampled, index = {}, int(bool(self.system)) - 1
        for exchange in self.exchanges:
            index += len(exchange.input) + 1
            if exchange.sampled is not None:
                sampled[index] = exchange.sampled
        return sampled

    def add(
        self,
        input_messages: Iterable[Message],
        output: Message,
        sampled: array[int] | None = None,
        token_trace: TokenTrace | None = None,
    ) -> Episode:
        """The episode with one more exchange."""
        exchange = Exchange(tuple(input_messages), output, sampled, token_trace)
        return Episode((*self.exchanges, exchange), self.system)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `{"system": ..., "exchanges": [{"input": [...], "output": ..., "sampled": [...]}]}`; `sampled`
        only where the ids are known."""
        exchanges = [
            {
                "input": [message.to_dict(wire=True) for message in exchange.input],
                "output": exchange.output.to_dict(wire=True),
                **({} if exchange.sampled is None else {"sampled": list(exchange.sampled)}),
            }
            for exchange in self.exchanges
        ]
        return {"system": self.system, "exchanges": exchanges}

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Episode:
        """The inverse of `to_dict`. Raises `ValueError` for any other shape."""
        try:
            exchanges = [
                Exchange(
                    tuple([Message.from_dict(message, wire=True) for message in exchange["input"]]),
                    Message.from_dict(exchange["output"], wire=True),
                    sampled_from_list(exchange.get("sampled")),
                )
                for exchange in shape["exchanges"]
            ]
            system = shape["system"]
            if not isinstance(system, str):
                raise TypeError("system must be a text")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"not the dict of an episode: {shape!r:.200}") from error
        return cls(tuple(exchanges), system)

    def __len__(self) -> int:
        return len(self.exchanges)


def sampled_from_list(ids: Iterable[int] | None) -> array[int] | None:
    """Sampled ids of a JSON form. Raises `OverflowError` or `TypeError` for anything but a list of ids, or `None`."""
    return None if ids is None else array("I", list(ids))


def _hash_of(texts: Iterable[str]) -> str:
    """Hexadecimal SHA-256 of texts. Each is prefixed with its length, so that different lists give different bytes."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()
