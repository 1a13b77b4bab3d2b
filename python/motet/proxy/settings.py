"""The settings of a proxy: its upstreams, the keys of its clients, and its limits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from motet.backend import Backend, LaneChoice
from motet.catalog import to_money
from motet.errors import ConfigError
from motet.metrics import Price

__all__ = ["ClientKey", "ProxySettings", "Upstream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A server that the proxy asks."""

    url: str | None = None
    """Its address, as `http://localhost:8000`."""
    backend: Backend | None = None
    """A backend of the caller's instead of an address; it stays open."""
    model: str | None = None
    """Its name of the model. `None`: the name that the client gives."""
    key: str | Callable[[], str] | None = field(default=None, repr=False)
    """Its API key, which clients do not see. `None`: `TOGETHER_API_KEY` for Together, and no key elsewhere."""
    lane: LaneChoice = "auto"
    service: Any = None
    """See `service` of `motet.together.Backend`."""
    price: Price | Mapping[str, Any] | None = None
    """US dollars for a million tokens. `None`: the catalogue's for Together, and unknown elsewhere."""
    context: int | None = None
    """Tokens of prompt and answer together. `None`: as the server lists it."""
    harmony: bool | None = None
    """True if the model reads and writes harmony. `None`: if its name contains `gpt-oss`."""
    retries: int = 0
    """Attempts after the first, before the answer begins. Clients retry by themselves, so the default is 0."""

    def __post_init__(self) -> None:
        if (self.url is None) == (self.backend is None):
            raise ConfigError("an upstream needs a url or a backend, and not both")

    @classmethod
    def of(cls, upstream: Upstream | str) -> Upstream:
        """An upstream from an address, or itself."""
        return cls(url=upstream) if isinstance(upstream, str) else upstream


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A key with which clients use the proxy."""

    key: str = field(repr=False)
    name: str = "client"
    """Stands for the key in the log, in figures and in the state: of several keys, each needs one of its own."""
    budget: Decimal | None = None
    """US dollars for all requests with this key. `None`: no limit."""

    def __post_init__(self) -> None:
        if len(self.key) < 8 or not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            raise ConfigError(f"the key of {self.name!r} must have at least 8 ASCII characters and no blanks")
        if not self.name or not self.name.isprintable():
            raise ConfigError(f"a client's name must be printable: {self.name!r}")
        if self.budget is not None:
            object.__setattr__(self, "budget", to_money(self.budget, "budget"))

    @classmethod
    def of(cls, text: str) -> ClientKey:
        """From `KEY`, `NAME:KEY` or `NAME:KEY:DOLLARS`."""
        match text.strip().split(":"):
            case [key]:
                return cls(key)
            case [name, key]:
                return cls(key, name)
            case [name, key, dollars]:
                try:
                    return cls(key, name, to_money(dollars, "budget"))
                except ValueError as error:
                    raise ConfigError(f"the budget of {name!r} must be US dollars: {dollars!r}") from error
        raise ConfigError("a client's key must be KEY, NAME:KEY or NAME:KEY:DOLLARS")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """How the proxy answers."""

    max_body_bytes: int = 32_000_000
    """Of a request: Anthropic's limit for its Messages API."""
    body_timeout: float = 60.0
    """Seconds until the body of a request has arrived."""
    timeout: float | None = 3600.0
    """Seconds for a whole answer."""
    first_token_timeout: float | None = None
    """Seconds until the first token of a stream. `None`: no limit."""
    heartbeat: float = 15.0
    """Seconds without an event of a stream after which a comment or a ping is sent."""
    figures_folder: Path | None = None
    """Where the workers of one proxy write their figures, so that each shows the sum of all. `None`: one process."""
    on_limit: Literal["answer", "raise"] = "answer"
    """What follows reasoning that goes in circles, or leaves less than a quarter of the tokens for the answer: `answer`
    continues it with the answer in a second request, in the ids and text lanes; `raise` lets it end without one. Both
    requests are billed and counted."""
    ignored_tools: Collection[str] = ()
    """Types of tools that are left out of requests instead of being refused, as `web_search`: some clients offer a
    vendor's tools to every model. The log says which."""
    page: bool = False
    """Serves a page at `/` that shows what passes: figures of each request, and nothing of what was said."""
    reasoning_key: Literal["reasoning", "reasoning_content"] = "reasoning_content"
    """The key of reasoning in replies of the Chat API."""
