"""What the probes of one verification share: the server, and responses that several of them judge."""

from __future__ import annotations

from typing import Any

from motet.verify.endpoint import Endpoint
from motet.verify.exchange import Exchange
from motet.verify.situations import SITUATIONS

__all__ = ["Doubt", "Failure", "Inconclusive", "Session", "Skip", "expect", "require"]


class Failure(Exception):
    """The server treats a request wrongly. The text says how."""


class Doubt(Exception):
    """A fault that may be a slip of the model: it counts if all tries have it."""


class Inconclusive(Exception):
    """The model did not do what the probe needs; another try may."""


class Skip(Exception):
    """The probe does not apply to this server."""


def require(condition: object, problem: str) -> None:
    """Raises `Failure` unless the condition holds."""
    if not condition:
        raise Failure(problem)


def expect(condition: object, problem: str) -> None:
    """Raises `Doubt` unless the condition holds."""
    if not condition:
        raise Doubt(problem)


class Session:
    """The responses of a verification by the names of their situations; each is asked for once."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self.endpoint = endpoint
        self.model = model
        self._exchanges: dict[str, Exchange] = {}
        self._judged: set[str] = set()

    def chat(self, **fields: Any) -> Exchange:
        """The response to a request of its own."""
        return self.endpoint.post("chat/completions", {"model": self.model, **fields})

    def response(self, name: str) -> Exchange:
        """The response to a situation, whatever its status."""
        self._judged.add(name)
        if name not in self._exchanges:
            self._exchanges[name] = self.chat(**SITUATIONS[name])
        return self._exchanges[name]

    def answer(self, name: str) -> Exchange:
        """The response to a situation. Raises `Failure` for a status other than 200."""
        exchange = self.response(name)
        require(exchange.ok, f"status {exchange.status}: {exchange.text[:200]}")
        return exchange

    def called(self, name: str, count: int = 1) -> Exchange:
        """The response to a situation that asks the model to call tools.

        Raises `Inconclusive` if it did not, and `Doubt` if the call stands in the text.
        """
        exchange = self.answer(name)
        if len(exchange.calls) >= count:
            return exchange
        if not exchange.calls and (trace := _leaked(exchange.content)):
            raise Doubt(f"the call is in the text: {trace!r:.120}")
        raise Inconclusive(f"the model made {len(exchange.calls)} of {count} calls")

    def prompt_tokens(self, messages: Any, **fields: Any) -> int:
        """The server's count of a prompt. Raises `Failure` if it refuses the request, `Skip` if it counts nothing."""
        exchange = self.chat(**{"messages": messages, "max_tokens": 16, **fields})
        require(exchange.ok, f"status {exchange.status}: {exchange.text[:200]}")
        if exchange.prompt_tokens is None:
            raise Skip("the server sends no usage")
        return exchange.prompt_tokens

    def try_again(self) -> None:
        """Forgets the responses that the last probe has judged."""
        for name in self._judged:
            self._exchanges.pop(name, None)
        self._judged.clear()

    def begin(self) -> None:
        """Called before each probe."""
        self._judged.clear()


def _leaked(content: str) -> str:
    """The text of a call within an answer."""
    for trace in ("get_weather", "to=functions", '{"city"'):
        if trace in content:
            return content[max(content.find(trace) - 20, 0) :]
    return ""
