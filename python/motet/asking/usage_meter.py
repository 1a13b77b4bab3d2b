"""Counts an answer while it arrives, against its limits."""

from __future__ import annotations

import copy
import math
from decimal import Decimal
from fractions import Fraction

from motet import _core
from motet._core import Event
from motet.asking.repetition import Repetition, RepetitionDetector
from motet.asking.request import PreparedRequest
from motet.backend import Prepared
from motet.errors import ConfigError, LimitError, MaxCostError, MaxTokensError
from motet.limits import Reservation
from motet.metrics import Price, cost_of

__all__ = ["UsageMeter", "is_counted"]

_NEXT_CHUNK = 16
"""Tokens that a reservation keeps ahead of the answer: services send one or two at a time, and the header of a call is
as long."""
_REPETITION_CHARS = 64
"""Reasoning is searched for repetitions in pieces of this length: one chunk at a time takes twice as long."""
_MIN_OPEN_CHARS = 64
"""Characters of a word above which it is counted before it ends: longer than those of most languages."""
REASONING_SHARE = 0.75
"""The share of an answer's tokens that reasoning may have with `on_limit="answer"`, where `max_reasoning_tokens` leaves
no room for an answer or is not given."""


class TokenCounter:
    """Counts the tokens of a text that arrives in chunks, in linear time.

    `StreamEncoder` counts tokens that no later text can change, so that a word without an end, as of a model that
    repeats one letter, would count nothing: its tokens are counted as well whenever it has grown by a quarter.
    """

    def __init__(self) -> None:
        self._encoder = _core.StreamEncoder()
        self._settled: list[int] = []
        """Ids whose characters are still among the open ones."""
        self._open_chars = 0
        self._open_tokens = 0
        self._next_count = _MIN_OPEN_CHARS

    def feed(self, text: str) -> int:
        """Counts more text. Returns by how much `count` has changed, which may be less than zero."""
        ids = self._encoder.feed(text)
        change = len(ids)
        if ids:
            self._settled += ids
            if self._open_tokens:
                change -= self._open_tokens
                self._open_tokens, self._next_count = 0, _MIN_OPEN_CHARS
        self._open_chars += len(text)
        return change if self._open_chars < self._next_count else change + self._count_open()

    def _count_open(self) -> int:
        """Counts the word that has not ended, if it is long. Returns by how much `count` has changed."""
        if self._settled:
            self._open_chars = max(self._open_chars - len(_core.decode(self._settled)), 0)
            self._settled.clear()
            self._next_count = _MIN_OPEN_CHARS
        if self._open_chars < self._next_count:
            return 0
        before = self._open_tokens
        self._open_tokens = len(copy.copy(self._encoder).close())
        self._next_count = self._open_chars * 5 // 4
        return self._open_tokens - before

    @property
    def count(self) -> int:
        return self._encoder.count + self._open_tokens


class UsageMeter:
    """Counts an answer while it arrives, and finds the limit that it exceeds."""

    def __init__(self, rendered: Prepared, prepared: PreparedRequest) -> None:
        self._prepared = prepared
        self._rendered = rendered
        self._counters: dict[int, TokenCounter] = {}
        """By the index of their frames."""
        self._content_tokens = 0
        self._reasoning_tokens = 0
        limits = (prepared.max_cost, prepared.max_reasoning_tokens, prepared.request.max_tokens)
        self.has_limit = (
            any(limit is not None for limit in limits) or bool(prepared.budgets) or prepared.answers_at_limit
        )
        self._limits_cost = prepared.max_cost is not None or bool(prepared.budgets)
        self._price = Price()
        self._prompt_tokens = 0
        self._markup_tokens = 0
        self.reservation: Reservation | None = None
        self._max_content = math.inf if prepared.request.max_tokens is None else prepared.request.max_tokens
        max_reasoning = None if prepared.answers_at_limit else prepared.max_reasoning_tokens
        self._max_reasoning = math.inf if max_reasoning is None else max_reasoning
        self._paid_tokens: float = -1 if self._limits_cost else math.inf
        """Tokens of the answer up to which no limit of money needs a look."""
        self.interruption_reason: str | None = None
        """Why the reasoning is to be ended and answered: set once it has reached its limit, or goes in circles."""
        self._reasoning_limit, self._limit_reason = self._find_reasoning_limit()
        self._repetition = RepetitionDetector() if prepared.answers_at_limit else None
        self._unread: list[str] = []
        """Reasoning that was not searched for repetitions."""
        self._unread_chars = 0
        if not self._limits_cost:
            return
        self._price, no_price = prepared.price(prepared.request.model)
        self._prompt_tokens = prepared.count(rendered)[0]
        prompt_cost = cost_of(self._price, self._prompt_tokens, 0)
        if prompt_cost is None:
            raise ConfigError(f"the cost of an answer cannot be limited: {no_price}")
        if prepared.max_cost is not None and prompt_cost > prepared.max_cost:
            raise MaxCostError(
                f"the prompt alone costs {prompt_cost} dollars, more than max_cost={prepared.max_cost}; "
                "nothing was sent",
                limit=prepared.max_cost,
                option="max_cost",
                cost=Decimal(0),
            )
        if prepared.budgets:
            max_output = self._max_output()
            most = None if max_output is None else self._cost(max_output)
            least = self._cost(_NEXT_CHUNK)
            if most is not None and prepared.request.max_tokens is not None:
                least = most
            self.reservation = Reservation(prepared.budgets, least=least, most=most)

    def _max_output(self) -> int | None:
        """The most tokens that the answer can have; `None` if neither `max_tokens` nor the context bounds it."""
        context = self._prepared.spec.gain.size.context.tokens
        room = None if context is None else max(context - self._prompt_tokens, _NEXT_CHUNK)
        bounds = [bound for bound in (self._prepared.request.max_tokens, room) if bound is not None]
        return min(bounds, default=None)

    def _find_reasoning_limit(self) -> tuple[int | None, str]:
        """The tokens of reasoning after which an answer is asked for, and the words that say so."""
        prepared = self._prepared
        if not prepared.answers_at_limit:
            return None, ""
        limit, room = prepared.max_reasoning_tokens, self._room()
        if limit is not None and (room is None or limit < room):
            return limit, f"the reasoning reached max_reasoning_tokens={limit}"
        if room is None:
            return None, ""
        limit = max(int(room * REASONING_SHARE), 1)
        return limit, f"the reasoning reached {limit} of the {room} tokens that reasoning and answer may have"

    def _room(self) -> int | None:
        """The most tokens that the answer can have, as the request or the context bounds them."""
        bound = (self._rendered.body or {}).get("max_tokens", self._prepared.request.max_tokens)
        context = self._prepared.spec.gain.size.context.tokens
        if context is None:
            return bound if isinstance(bound, int) else None
        room = max(context - self._prepared.count(self._rendered)[0], 1)
        return min(room, bound) if isinstance(bound, int) else room

    def record(self, event: Event) -> LimitError | None:
        """Counts an event. Returns the error if it exceeds a limit."""
        if not self.has_limit or not is_counted(event):
            return None
        index, delta = event.index, event.delta
        counter = self._counters.get(index)
        if counter is None:
            self._markup_tokens += _markup_tokens(event, first=not self._counters)
            counter = self._counters[index] = TokenCounter()
        tokens = counter.feed(delta)
        self._content_tokens += tokens
        if event.kind == "reasoning":
            self._reasoning_tokens += tokens
            if self.interruption_reason is None:
                self._check_reasoning(delta)
        if (
            self._content_tokens <= self._max_content
            and self._reasoning_tokens <= self._max_reasoning
            and self._written <= self._paid_tokens
        ):
            return None
        return self._exceeded()

    def _exceeded(self) -> LimitError | None:
        """The error if a limit is exceeded. Finds how many tokens need no other look: exact sums of money take longer
        than counting the tokens."""
        cost = self.cost if self._limits_cost else Decimal(0)
        try:
            self._check(cost)
        except LimitError as error:
            return error
        if self.reservation is not None:
            if self._paid_tokens < 0:
                self.reservation.track(lambda: self.cost)
            refusal = self.reservation.extend(cost, self._cost(self._written + _NEXT_CHUNK))
            if refusal is not None:
                return refusal
        self._paid_tokens = self._find_paid_tokens()
        return None

    def _find_paid_tokens(self) -> float:
        """The tokens of an answer that is within `max_cost`, and whose next chunk is reserved."""
        bounds = [] if self._prepared.max_cost is None else [self._tokens_for(self._prepared.max_cost)]
        if self.reservation is not None:
            bounds += [self._tokens_for(amount) - _NEXT_CHUNK for amount in self.reservation.amounts.values()]
        return min(bounds, default=math.inf)

    def _tokens_for(self, dollars: Decimal) -> float:
        """The most tokens of an answer that costs at most this with its prompt."""
        room = Fraction(dollars) - Fraction(self._cost(0))
        return room * 1_000_000 // Fraction(self._price.output) if self._price.output else math.inf

    @property
    def cost(self) -> Decimal:
        """US dollars of the prompt and of what has arrived; 0 if nothing is limited."""
        return self._cost(self._written)

    @property
    def _written(self) -> int:
        return self._content_tokens + self._markup_tokens

    def _cost(self, output_tokens: int) -> Decimal:
        return cost_of(self._price, self._prompt_tokens, output_tokens) or Decimal(0)

    def settle(self, cost: Decimal | None) -> None:
        """Ends the reservation. `None`: the cost is unknown, and the counted cost is taken."""
        if self.reservation is not None:
            self.reservation.settle(self.cost if cost is None else cost)

    def _check_reasoning(self, delta: str) -> None:
        if self._reasoning_limit is not None and self._reasoning_tokens > self._reasoning_limit:
            self.interruption_reason = self._limit_reason
            return
        if self._repetition is None:
            return
        self._unread.append(delta)
        self._unread_chars += len(delta)
        if self._unread_chars < _REPETITION_CHARS:
            return
        repetition = self._repetition.feed("".join(self._unread))
        self._unread.clear()
        self._unread_chars = 0
        if repetition is not None:
            self.interruption_reason = _circle(repetition)

    def _check(self, cost: Decimal) -> None:
        prepared = self._prepared
        limit = None if prepared.answers_at_limit else prepared.max_reasoning_tokens
        if limit is not None and self._reasoning_tokens > limit:
            raise MaxTokensError(
                f"the reasoning is longer than max_reasoning_tokens={limit}; "
                "the stream was ended, and the received part is in .partial",
                limit=limit,
                option="max_reasoning_tokens",
            )
        max_tokens = prepared.request.max_tokens
        if max_tokens is not None and self._content_tokens > max_tokens:
            raise MaxTokensError(
                f"the answer is longer than max_tokens={max_tokens}, which the service did not keep; "
                "the stream was ended, and the received part is in .partial",
                limit=max_tokens,
                option="max_tokens",
            )
        if prepared.max_cost is not None and cost > prepared.max_cost:
            raise MaxCostError(
                f"the answer costs more than max_cost={prepared.max_cost} dollars; "
                "the stream was ended, and the received part is in .partial",
                limit=prepared.max_cost,
                option="max_cost",
            )


def _circle(repetition: Repetition) -> str:
    what = f"{repetition.period} word{'' if repetition.period == 1 else 's'} and marks"
    return f"the reasoning went in circles: its last {what} stood there {repetition.copies} times in a row"


def is_counted(event: Event) -> bool:
    type = event.type
    return type == "delta" or type == "start"


def _markup_tokens(event: Event, *, first: bool) -> int:
    """Tokens of a frame's header and end. The start of the first frame stands in the prompt."""
    recipient = f" to={event.recipient} " if event.recipient else ""
    content_type = event.content_type or (_core.MARKERS["constrain"] + "json" if event.kind == "tool_call" else "")
    header = _core.encode(f"{event.channel or 'commentary'}{recipient}{content_type}", special="token")
    return len(header) + (3 if first else 5)
