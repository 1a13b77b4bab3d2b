"""Sizes, time and cost of answers, by channel.

The only module that multiplies prices. An unknown figure is `None`, never zero, and `Metrics.unknown` has the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Context, Decimal, InvalidOperation
from typing import Any

__all__ = [
    "Cache",
    "Cash",
    "Chars",
    "Cost",
    "Metrics",
    "Price",
    "Size",
    "Time",
    "Tokens",
    "Usage",
    "cost_of",
    "measure",
    "share_of",
    "to_money",
]

MILLION = Decimal(1_000_000)

_EXACT = Context(prec=100)
"""Sums are independent of the precision of the caller's decimal context."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of a service. `None`: not sent."""

    input: int | None = None
    """Tokens of the prompt, cached ones included."""
    output: int | None = None
    """Tokens of the answer, reasoning included."""
    cached: int | None = None
    """Prompt tokens from the service's cache."""
    reasoning: int | None = None
    """Output tokens of the reasoning."""
    total: int | None = field(default=None, compare=False, repr=False)
    """All tokens, which check the other counts."""

    @classmethod
    def read(cls, shape: Mapping[str, Any]) -> Usage:
        """From the `usage` object of a response, under the names of OpenAI's Chat Completions and Responses, Anthropic
        (whose `input_tokens` exclude cached ones) and DeepSeek (`prompt_cache_hit_tokens`)."""
        prompt = _first(*_counts(shape, "prompt_tokens", "input_tokens"))
        cached = None
        cache_read, cache_write = _counts(shape, "cache_read_input_tokens", "cache_creation_input_tokens")
        if cache_read is not None and prompt is not None and shape.get("prompt_tokens") is None:
            prompt, cached = prompt + cache_read + (cache_write or 0), cache_read
        return cls(
            prompt,
            _first(*_counts(shape, "completion_tokens", "output_tokens")),
            _first(
                _inner(shape.get("prompt_tokens_details"), "cached_tokens"),
                _inner(shape.get("input_tokens_details"), "cached_tokens"),
                *_counts(shape, "cached_tokens", "prompt_cache_hit_tokens"),
                cached,
            ),
            _first(
                _inner(shape.get("completion_tokens_details"), "reasoning_tokens"),
                _inner(shape.get("output_tokens_details"), "reasoning_tokens"),
                *_counts(shape, "reasoning_tokens"),
            ),
            _count(shape.get("total_tokens")),
        )


def _count(value: object) -> int | None:
    """A whole number from 0, sent as int or float; `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value < 0:
        return None
    return int(value) if value == value // 1 else None


def _counts(shape: Mapping[str, Any], *names: str) -> list[int | None]:
    return [_count(shape.get(name)) for name in names]


def _inner(details: object, key: str) -> int | None:
    return _count(details.get(key)) if isinstance(details, Mapping) else None


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def to_money(value: object, name: str, *, floats: bool = False) -> Decimal:
    """US dollars from a `Decimal`, an int or a text as `"0.05"`. Raises `TypeError` for other types.

    `floats`: True reads a float by its shortest text, `0.05` as `"0.05"`. That is exact for a limit that is written
    down, and not for a price that was computed.
    """
    is_float = floats and isinstance(value, float)
    if isinstance(value, bool) or not (is_float or isinstance(value, Decimal | int | str)):
        raise TypeError(f"{name} must be a Decimal, an int or a str as '0.05', not {type(value).__name__}")
    try:
        money = Decimal(repr(value) if is_float else value)  # type: ignore[arg-type]
    except InvalidOperation:
        raise ValueError(f"{name} must be an amount as '0.05', not {value!r}") from None
    if not money.is_finite() or money < 0:
        raise ValueError(f"{name} must be an amount from 0 on, not {value!r}")
    return money


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, from a `Decimal`, an int or a text as `"0.15"`."""

    input: Decimal | None = None
    output: Decimal | None = None
    cached: Decimal | None = None
    """For cached prompt tokens. `None`: the price of `input`."""

    @classmethod
    def per_token(cls, input: Decimal | None, output: Decimal | None, cached: Decimal | None = None) -> Price:
        """From US dollars per token, as OpenRouter lists them."""
        prices = [None if price is None else _EXACT.multiply(price, MILLION) for price in (input, output, cached)]
        return cls(*prices)

    def discounted(self, share: Decimal) -> Price:
        """The price with a discount, from 0 to 1."""
        factor = _EXACT.subtract(Decimal(1), share)
        prices = [getattr(self, entry.name) for entry in fields(self)]
        return Price(*[None if price is None else _EXACT.multiply(price, factor) for price in prices])

    def __post_init__(self) -> None:
        # Validate now: failing later would lose an answer that is paid for.
        for price in fields(self):
            value = getattr(self, price.name)
            if value is not None:
                object.__setattr__(self, price.name, to_money(value, price.name))


_UNITS_PER_DOLLAR = 10**12


def token_units(price: Price) -> tuple[int | None, int | None, int | None]:
    """A token's price in units of 10⁻¹² US dollars: input, output, cached. Sums of them are exact.

    Raises `ValueError` for a price finer than a millionth of a dollar for a million tokens.
    """
    units: list[int | None] = []
    for name in ("input", "output", "cached"):
        value = getattr(price, name)
        amount = None if value is None else _EXACT.multiply(value, _EXACT.divide(Decimal(_UNITS_PER_DOLLAR), MILLION))
        if amount is not None and amount != int(amount):
            raise ValueError(f"{name} must have at most 6 digits behind the point: {value:f}")
        units.append(None if amount is None else int(amount))
    return (units[0], units[1], units[2])


def cost_of(price: Price, prompt_tokens: int, output_tokens: int) -> Decimal | None:
    """US dollars of an uncached prompt and an answer. `None`: a price is unknown."""
    if price.input is None or price.output is None:
        return None
    return _EXACT.add(_amount(price.input, prompt_tokens), _amount(price.output, output_tokens))


def _amount(price: Decimal, count: int) -> Decimal:
    return _EXACT.divide(_EXACT.multiply(price, Decimal(count)), MILLION)


def share_of(cash: Decimal, count: int, total: int) -> Decimal:
    """US dollars of some of the tokens that cost `cash`, all of one price. Exact."""
    return _EXACT.divide(_EXACT.multiply(cash, Decimal(count)), Decimal(total)) if total else Decimal(0)


@dataclass(frozen=True, slots=True)
class Cache:
    """Prompt tokens and the service's cache."""

    get: int | None = None
    """Tokens read from the cache. `None`: not sent."""
    set: int | None = None
    """Tokens written to the cache. `None`: not sent."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts, as the service sent them."""

    input: int | None = None
    """Tokens of the prompt, cached ones included."""
    output: int | None = None
    """Tokens of the answer, all channels."""
    cache: Cache = field(default_factory=Cache)
    by_channel: Mapping[str, int] | None = None
    """The output by channel: `analysis`, `commentary`, `final`, and `markup` for headers and markers. Sums to
    `output`."""


@dataclass(frozen=True, slots=True)
class Chars:
    """Sizes in characters (code points)."""

    input: int
    """The prompt: texts, results and arguments of its messages, and the tools as JSON."""
    output: int
    """The answer, all channels."""
    by_channel: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes of prompt and answer."""

    tokens: Tokens
    chars: Chars


@dataclass(frozen=True, slots=True)
class Time:
    """Seconds from the call to the answer, waits between retries included."""

    total: float
    first_token: float | None = None
    """Seconds to the first event. `None`: the answer was not streamed."""

    def __str__(self) -> str:
        return f"{self.total:.2f} s"

    def __float__(self) -> float:
        return self.total


@dataclass(frozen=True, slots=True)
class Cash:
    """US dollars, exact: prices times counts."""

    input: Decimal | None = None
    """The prompt without its cached tokens."""
    cache: Decimal | None = None
    """The cached prompt tokens. 0 if the service reports none."""
    output: Decimal | None = None
    """The answer, all channels."""
    total: Decimal | None = None
    by_channel: Mapping[str, Decimal] | None = None
    """The output with the keys of `Tokens.by_channel`. Sums to `output`."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Time and money of an answer."""

    time: Time
    cash: Cash


@dataclass(frozen=True, slots=True)
class Metrics:
    """Size, time and cost of an answer."""

    size: Size
    cost: Cost
    hidden_share: float | None = None
    """The share of the total cost that is `analysis` and `markup`, from 0 to 1."""
    drift: int | None = None
    """Prompt tokens by the service's count minus motet's own. 0 if motet counts the prompt exactly."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """The reason for each figure that is `None`, by its path, such as `cost.cash.total`."""
    notes: tuple[str, ...] = ()
    """Remarks on the other figures, such as which of them motet counted itself."""

    @classmethod
    def sum(cls, items: Sequence[Metrics]) -> Metrics:
        """The sum over several answers. A figure that is unknown in one of them is unknown in the sum."""
        if len(items) == 1:
            return items[0]
        sizes, cashes = [item.size.tokens for item in items], [item.cost.cash for item in items]
        tokens = Tokens(
            _plus(size.input for size in sizes) if items else 0,
            _plus(size.output for size in sizes) if items else 0,
            Cache(_plus(size.cache.get for size in sizes)),
            _plus_channels(size.by_channel for size in sizes),
        )
        chars = Chars(
            sum(item.size.chars.input for item in items),
            sum(item.size.chars.output for item in items),
            _plus_channels(item.size.chars.by_channel for item in items) or {},
        )
        names = ("input", "cache", "output", "total")
        parts = {name: _plus(getattr(cash, name) for cash in cashes) if items else Decimal(0) for name in names}
        cash = Cash(**parts, by_channel=_plus_channels(part.by_channel for part in cashes))
        hidden = None
        if cash.total and cash.by_channel is not None:
            hidden = float((cash.by_channel["analysis"] + cash.by_channel["markup"]) / cash.total)
        unknown = {name: why for item in items for name, why in item.unknown.items()}
        notes = tuple(dict.fromkeys(note for item in items for note in item.notes))
        first = items[0].cost.time.first_token if items else None
        time = Time(sum(item.cost.time.total for item in items), first)
        return cls(Size(tokens, chars), Cost(time, cash), hidden, _plus(item.drift for item in items), unknown, notes)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, with money as text to keep it exact."""
        tokens, chars, time, cash = self.size.tokens, self.size.chars, self.cost.time, self.cost.cash
        by_channel = None if cash.by_channel is None else {name: f"{paid:f}" for name, paid in cash.by_channel.items()}
        return {
            "tokens": {
                "input": tokens.input,
                "cached": tokens.cache.get,
                "output": tokens.output,
                "by_channel": None if tokens.by_channel is None else dict(tokens.by_channel),
            },
            "chars": {"input": chars.input, "output": chars.output, "by_channel": dict(chars.by_channel)},
            "cash": {
                **{name: _text(getattr(cash, name)) for name in ("input", "cache", "output", "total")},
                "by_channel": by_channel,
            },
            "seconds": {"total": time.total, "first_token": time.first_token},
            "hidden_share": self.hidden_share,
            "drift": self.drift,
            "unknown": dict(self.unknown),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Metrics:
        """The inverse of `to_dict`."""
        tokens, chars, cash, time = shape["tokens"], shape["chars"], shape["cash"], shape["seconds"]
        paid = cash["by_channel"]
        return cls(
            Size(
                Tokens(tokens["input"], tokens["output"], Cache(tokens["cached"]), tokens["by_channel"]),
                Chars(chars["input"], chars["output"], chars["by_channel"]),
            ),
            Cost(
                Time(time["total"], time["first_token"]),
                Cash(
                    **{name: _money(cash[name]) for name in ("input", "cache", "output", "total")},
                    by_channel=None if paid is None else {name: Decimal(text) for name, text in paid.items()},
                ),
            ),
            shape["hidden_share"],
            shape["drift"],
            shape["unknown"],
            tuple(shape["notes"]),
        )


def _plus(figures: Iterable[Any]) -> Any:
    """The sum; `None` without figures or if one of them is `None`."""
    values = list(figures)
    return None if not values or any(value is None for value in values) else sum(values[1:], values[0])


def _plus_channels(tables: Iterable[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    channels = list(tables)
    if not channels or any(table is None for table in channels):
        return None
    names = dict.fromkeys(name for table in channels for name in table or ())
    return {name: _plus((table or {}).get(name, 0) for table in channels) for name in names}


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def measure(
    *,
    usage: Usage | None,
    price: Price | None,
    no_price: str,
    channels: Mapping[str, int],
    own_vocabulary: bool,
    chars: Chars,
    time: Time,
    counted_input: int | None,
    model: str,
) -> Metrics:
    """The metrics of one answer.

    - `channels`: tokens of the completion by channel, by motet's own count.
    - `own_vocabulary`: True if the model uses motet's vocabulary, so that these counts are exact.
    - `no_price`: the reason if the price is unknown.
    """
    unknown: dict[str, str] = {}
    notes: list[str] = []
    usage = usage or Usage()
    for name in ("input", "output"):
        if getattr(usage, name) is None:
            unknown[f"size.tokens.{name}"] = "the service sent no count"
    if usage.cached is None:
        unknown["size.tokens.cache.get"] = "the service sent no count of cached tokens"
    by_channel = _by_channel(usage, channels, own_vocabulary, notes)
    if by_channel is None:
        unknown["size.tokens.by_channel"] = "the service sent no count of the output"
    cash = _cash(usage, price or Price(), no_price, by_channel, unknown, notes)
    hidden = None
    if cash.total is None or cash.by_channel is None:
        unknown["hidden_share"] = unknown["cost.cash.total"]
    elif not cash.total:
        unknown["hidden_share"] = "the answer cost nothing"
    else:
        hidden = float((cash.by_channel["analysis"] + cash.by_channel["markup"]) / cash.total)
    drift = None
    if usage.input is None:
        unknown["drift"] = "the service sent no count"
    elif counted_input is None:
        unknown["drift"] = f"motet has no exact count of what {model} was sent"
    else:
        drift = usage.input - counted_input
        if drift:
            notes.append(f"{model} counted {drift:+d} tokens in the prompt against motet's own count")
    tokens = Tokens(usage.input, usage.output, Cache(usage.cached), by_channel)
    return Metrics(Size(tokens, chars), Cost(time, cash), hidden, drift, unknown, tuple(notes))


def _by_channel(
    usage: Usage, channels: Mapping[str, int], own_vocabulary: bool, notes: list[str]
) -> dict[str, int] | None:
    """The output by channel, summing to the service's count. Tokens outside of contents are markup."""
    output = usage.output
    if output is None:
        return None
    shares = {name: channels.get(name, 0) for name in ("analysis", "commentary", "final")}
    if usage.reasoning is not None:
        shares["analysis"] = min(usage.reasoning, output)
    elif shares["analysis"]:
        notes.append("the service gave no count of reasoning: motet counted it")
    content_tokens = sum(shares.values())
    if own_vocabulary and content_tokens <= output:
        return {**shares, "markup": output - content_tokens}
    rest = output - (shares["analysis"] if usage.reasoning is not None else 0)
    scaled = [name for name in shares if name != "analysis" or usage.reasoning is None]
    notes.append("tokens by channel are shares of the service's count, which motet's own count does not match")
    weight = sum(shares[name] for name in scaled)
    left = rest
    for name in scaled:
        shares[name] = rest * shares[name] // weight if weight else 0
        left -= shares[name]
    return {**shares, "markup": left}


def _cash(
    usage: Usage,
    price: Price,
    no_price: str,
    by_channel: Mapping[str, int] | None,
    unknown: dict[str, str],
    notes: list[str],
) -> Cash:
    cached = usage.cached or 0
    if usage.input is not None and cached > usage.input:
        notes.append(f"the service counted {cached} cached tokens in a prompt of {usage.input}: the count is ignored")
        cached = 0
    elif usage.cached is None and price.cached is not None:
        notes.append("the service sent no count of cached tokens: the whole prompt has the uncached price")
    uncached = None if usage.input is None else usage.input - cached
    cached_price = price.input if price.cached is None else price.cached

    def part(name: str, count: int | None, unit_price: Decimal | None) -> Decimal | None:
        if count is None:
            unknown[f"cost.cash.{name}"] = "the service sent no count of tokens"
        elif unit_price is None:
            unknown[f"cost.cash.{name}"] = no_price
        else:
            return _amount(unit_price, count)
        return None

    prompt = part("input", uncached, price.input)
    cache = part("cache", None if uncached is None else cached, cached_price)
    output = part("output", usage.output, price.output)
    total = None
    if prompt is not None and cache is not None and output is not None:
        total = _EXACT.add(_EXACT.add(prompt, cache), output)
    else:
        reasons = [reason for name, reason in unknown.items() if name.startswith("cost.cash")]
        unknown["cost.cash.total"] = "; ".join(dict.fromkeys(reasons))
    channels = None
    if by_channel is not None and price.output is not None:
        channels = {name: _amount(price.output, count) for name, count in by_channel.items()}
    else:
        unknown["cost.cash.by_channel"] = unknown["cost.cash.output"]
    return Cash(prompt, cache, output, total, channels)
