"""The exchanges so far, as a value: nothing in it changes, and adding one gives another episode."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from motet.message import DeveloperContent, Message

__all__ = ["Episode", "Exchange"]


@dataclass(frozen=True)
class Exchange:
    """What was asked, and what was answered."""

    input: tuple[Message, ...]
    output: Message

    @cached_property
    def hash(self) -> str:
        """Hexadecimal SHA-256 of its content. Each message stands with its length before it, so that no two
        different exchanges have the same bytes."""
        digest = hashlib.sha256()
        for message in (*self.input, self.output):
            data = json.dumps(message.to_dict(), sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data))
            digest.update(data)
        return digest.hexdigest()

    @property
    def id(self) -> str:
        """A short name for it: the same for the same content."""
        return self.hash[:16]


@dataclass(frozen=True)
class Episode:
    """A conversation with an atom: `ask(..., on=episode)` goes on from it."""

    exchanges: tuple[Exchange, ...] = ()
    system: str = ""
    """The briefs, joined: what stands on the system side of each prompt."""

    @cached_property
    def hash(self) -> str:
        """Hexadecimal SHA-256 over the system side and the hashes of the exchanges, in their order."""
        digest = hashlib.sha256()
        for text in (self.system, *[exchange.hash for exchange in self.exchanges]):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data))
            digest.update(data)
        return digest.hexdigest()

    @property
    def id(self) -> str:
        """A short name for it: the same for the same content."""
        return self.hash[:16]

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of it as messages, the system side first."""
        said = [message for exchange in self.exchanges for message in (*exchange.input, exchange.output)]
        front = [Message("developer", (DeveloperContent(self.system),))] if self.system else []
        return (*front, *said)

    def add(self, asked: Iterable[Message], answered: Message) -> Episode:
        """A longer episode."""
        return Episode((*self.exchanges, Exchange(tuple(asked), answered)), self.system)

    def to_dict(self) -> dict[str, Any]:
        """`{"system": ..., "exchanges": [{"input": [...], "output": ...}]}`, for JSON."""
        exchanges = [
            {"input": [message.to_dict(wire=True) for message in one.input], "output": one.output.to_dict(wire=True)}
            for one in self.exchanges
        ]
        return {"system": self.system, "exchanges": exchanges}

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Episode:
        """The inverse of `to_dict`. Raises `ValueError` for anything else."""
        try:
            exchanges = [
                Exchange(
                    tuple([Message.from_dict(message, wire=True) for message in one["input"]]),
                    Message.from_dict(one["output"], wire=True),
                )
                for one in shape["exchanges"]
            ]
            system = shape["system"]
            if not isinstance(system, str):
                raise TypeError("system must be a text")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not the dict of an episode: {shape!r:.200}") from error
        return cls(tuple(exchanges), system)

    def __len__(self) -> int:
        return len(self.exchanges)
