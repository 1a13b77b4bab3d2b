"""A prompt becomes a request, and the reply an answer: pure functions, no I/O."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from motet import _core, catalog
from motet.asking.answer import Answer
from motet.asking.correction import correction_of
from motet.asking.episode import Episode
from motet.asking.interruption import own_chars
from motet.asking.options import Fallback, PreparedOptions
from motet.asking.salvage import salvage
from motet.backend import COMPLETE_REASONS, Backend, Prepared, Reply, Request
from motet.catalog import Spec
from motet.dialects.chat import to_messages
from motet.errors import (
    BadPayloadError,
    ConfigError,
    ConnectionFailedError,
    EmptyOutputError,
    MotetError,
    NotFoundError,
    OutputError,
    QuotaError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StreamError,
    TruncatedOutputError,
)
from motet.ledgers.ledger import Ledger, active_labels, active_ledgers
from motet.limits import Budget
from motet.message import Completion, DeveloperContent, Message, Text, ToolCall, ToolResult
from motet.metrics import Chars, Metrics, Price, Usage, measure
from motet.schema.output import Output

__all__ = ["PreparedRequest", "Prompt", "RemovedAtomWarning", "prepare", "resolve_conversation"]

Prompt: TypeAlias = str | Message | ToolResult | Iterable[Message | ToolResult | Mapping[str, Any]]


class RemovedAtomWarning(UserWarning):
    """The service has removed the atom's model, or announces its removal."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """A request that was ended within the reasoning, and that another one answers."""

    prepared: PreparedRequest
    answer: Answer[Any]
    """What arrived, with the metrics of this request alone."""
    reason: str
    """Why it was ended, as words of a sentence."""

    def add_to(self, answer: Answer[Any]) -> Answer[Any]:
        """The answer with the metrics of both requests."""
        if answer is self.answer:
            return answer
        metrics = Metrics.sum([self.answer.metrics, answer.metrics])
        metrics = replace(metrics, notes=(*metrics.notes, f"the sum of two requests, because {self.reason}"))
        notes = tuple(dict.fromkeys((*self.answer.notes, *answer.notes)))
        return replace(answer, metrics=metrics, notes=notes, interrupted=self.answer)


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request, and what reading its reply needs. Made by `prepare`."""

    spec: Spec
    request: Request
    output: Output[Any]
    input_messages: tuple[Message, ...]
    """The new messages of this exchange."""
    episode: Episode
    """The conversation before this exchange."""
    max_cost: Decimal | None
    max_reasoning_tokens: int | None
    budgets: tuple[Budget, ...]
    notes: tuple[str, ...]
    retries: int = 0
    """How often an invalid output may still be asked for again."""
    rejected: tuple[Answer[Any], ...] = ()
    """The answers that were asked for again, oldest first: their output was invalid, or their service broke off."""
    fallbacks: tuple[Fallback, ...] = ()
    """The atoms to ask where the service fails."""
    backend: Backend | None = None
    """The service of the fallback that is asked. `None`: the atom's own."""
    on_limit: Literal["raise", "answer"] = "raise"
    only_continues: bool = False
    """True: `on_limit="answer"` does not hold in the chat lane, which cannot continue an answer and asks again."""
    interruption: Interruption | None = None
    """The request that was ended within its reasoning, and that this one answers."""
    ledgers: tuple[Ledger, ...] = ()
    """Where the request is recorded, besides the ledgers of its budgets."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The labels of its rows there."""

    @property
    def answers_at_limit(self) -> bool:
        """True if reasoning that is too long is ended and answered, which happens once."""
        return self.on_limit == "answer" and self.request.prefix is None

    @property
    def needs_streaming(self) -> bool:
        """True if a limit has to be checked while the answer arrives."""
        if self.on_limit == "answer":
            return True
        limits = (self.max_cost, self.max_reasoning_tokens, self.request.first_token_timeout)
        return any(limit is not None for limit in limits) or bool(self.budgets)

    def price(self, model: str | None) -> tuple[Price, str]:
        """The price of the model that answered, and the reason if it is unknown.

        A price that the caller gave applies to whatever model answers. Without one, a model other than the requested is
        priced by the catalogue, which has Together's prices only."""
        spec: Spec | None = self.spec
        if model is not None and not self._has_own_price(model):
            # Without a price for the requested model, the server is not known to be Together's.
            is_together = self.spec.slug.startswith("together/") and self.spec.cost.cash != Price()
            spec = catalog.find_by_model(model) if is_together else None
        if spec is None:
            hint = "give one for all models: motet.atom(..., price={'input': ..., 'output': ...})"
            return Price(), f"{model} answered, whose price is not known; {hint}"
        hint = "give it: motet.atom(..., price={'input': ..., 'output': ...})"
        return spec.cost.cash, f"the price of {spec.slug} is not known; {hint}"

    def _has_own_price(self, model: str) -> bool:
        return self.spec.price_is_own or self.spec.model is None or catalog.same_model(model, self.spec.model)

    def count(self, prepared: Prepared) -> tuple[int, bool, list[str]]:
        """Tokens of the prompt as the backend prepared it, whether the count is exact, and notes on how it was made."""
        if prepared.prompt_tokens is not None:
            return prepared.prompt_tokens, True, []
        if prepared.prompt_estimate is not None:
            note = "the prompt is counted as motet renders it; the service's rendering is not known"
            return prepared.prompt_estimate, False, [note]
        texts = [text for message in self.request.messages for text in _texts(message)]
        if self.request.tools:
            texts.append(_json(self.request.tools))
        tokens = sum(map(_core.count, texts)) + _TOKENS_PER_MESSAGE * len(self.request.messages)
        return tokens, False, ["the prompt is counted with motet's vocabulary and without the model's template"]

    def finish(self, reply: Reply) -> Answer[Any]:
        """The answer. Raises `OutputError`, with the answer in `.partial`, if it is cut or not of the output type."""
        answer = self.answer(reply, completion=self._salvaged(reply))
        try:
            if reply.finish == "length":
                whole = self if self.interruption is None else self.interruption.prepared
                max_tokens = whole.request.max_tokens
                limit = f"max_tokens={max_tokens}" if max_tokens else "the service's limit of tokens"
                raise TruncatedOutputError(
                    f"the answer was cut at {limit}; the received part is in .partial; give more"
                )
            if answer.calls and not reply.is_complete:
                raise TruncatedOutputError(
                    f"the answer may be cut (finish_reason {reply.finish!r}); its calls are not used; it is in .partial"
                )
            if answer.calls:
                return answer
            if not answer.text.strip() and not self.output.optional_text:
                thinking = " after thinking" if answer.reasoning else ""
                if not answer.reasoning and reply.usage is not None and reply.usage.reasoning:
                    thinking = f" after {reply.usage.reasoning} tokens of reasoning that the service did not send"
                reason = "" if reply.is_complete else f" (finish_reason {reply.finish!r})"
                raise EmptyOutputError(f"the answer is empty: the model stopped{thinking} without a word{reason}")
            output, note = self.output.read(answer.text)
        except OutputError as error:
            raise _with_answer(error, answer) from error.__cause__
        return replace(answer, output=output, notes=answer.notes if note is None else (*answer.notes, note))

    def _salvaged(self, reply: Reply) -> Completion:
        """The completion with the call or the output that was asked for and is written elsewhere in it."""
        completion, request = reply.completion, self.request
        if not reply.is_complete:
            return completion
        return salvage(
            completion,
            tools=request.tools,
            tool_choice=request.tool_choice,
            schema=None if self.output.accepts(completion.text) else request.schema,
            turn=len(request.messages),
        )

    def answer(self, reply: Reply, *, cut: bool = False, completion: Completion | None = None) -> Answer[Any]:
        """The answer without its output. `cut`: the reply is incomplete, so the service sent no usage. `completion`: to
        use in place of the reply's, if it was salvaged."""
        is_salvaged = completion is not None and completion is not reply.completion
        completion, requested_model = completion or reply.completion, self.request.model
        price, no_price = self.price(reply.model)
        notes = [*self.notes, *reply.notes]
        if is_salvaged:
            notes.append(f"{completion.repairs[-1].code}: {completion.repairs[-1].message}")
        if reply.finish not in (None, *COMPLETE_REASONS, "length"):
            notes.append(f"the service ended the answer for a reason of its own: {reply.finish}")
        if reply.model is not None and reply.model != requested_model:
            whose = "the one of the request" if self._has_own_price(reply.model) else "that of the former"
            notes.append(f"{reply.model} answered, and {requested_model} was asked; the price is {whose}")
        usage = reply.usage
        if usage is not None and usage.reasoning and not completion.reasoning and completion.frames:
            # Limits on reasoning are checked in what arrives; a run sees the rest in the usage of its last step.
            limit = self.max_reasoning_tokens
            above = f", more than max_reasoning_tokens={limit}" if limit is not None and usage.reasoning > limit else ""
            notes.append(f"the service counted {usage.reasoning} tokens of reasoning{above}, and sent none of it")
        tokens = {name: count - reply.prefix_tokens.get(name, 0) for name, count in completion.tokens.items()}
        chars = _chars(self.request, completion)
        first, trace = None if self.interruption is None else self.interruption.answer, reply.token_trace
        if first is not None and reply.prefix_tokens:
            chars = own_chars(chars, first)
        if first is not None and trace is not None:
            trace = replace(trace, interrupted=first.token_trace)
        received = sum(tokens.values()) if completion.lane == "ids" and not cut else None
        if received is not None and usage is not None and usage.output is not None and received + 1 < usage.output:
            # Most servers count the stop token, and some do not send it.
            notes.append(f"the service counted {usage.output} tokens and sent {received}: some text may be missing")
        # A reply without frames may be a refused request, which is not billed.
        if cut and usage is None and reply.prompt_tokens is not None and completion.frames:
            usage = Usage(reply.prompt_tokens, sum(tokens.values()))
            notes.append("the answer was cut before the service sent its usage: motet counted the received tokens")
        metrics = measure(
            usage=usage,
            price=price,
            no_price=no_price,
            channels=tokens,
            own_vocabulary=self.request.harmony,
            chars=chars,
            time=reply.time,
            counted_input=reply.prompt_tokens,
            model=reply.model or requested_model,
        )
        return Answer(
            output=None,
            calls=completion.tool_calls,
            completion=completion,
            metrics=metrics,
            # A salvaged message is rendered anew: the model then reads its call in the format.
            episode=self.episode.add(
                self.input_messages,
                completion.message,
                None if is_salvaged else reply.sampled,
                trace,
            ),
            model=reply.model,
            lane=reply.lane,
            lane_reason=reply.lane_reason if first is None else first.lane_reason,
            finish=reply.finish,
            request_id=reply.request_id,
            attempts=reply.attempts,
            usage=reply.usage,
            response_format=reply.response_format,
            sampled=reply.sampled,
            token_trace=trace,
            notes=tuple(notes),
        )

    def retry(self, error: MotetError, *, can_fall_back: bool = True) -> PreparedRequest | None:
        """The request that asks again: after an invalid output in the same conversation, after a failure of the service
        that of the next fallback. `None` if the error is final: it then carries what all tries cost."""
        whole = self
        if self.interruption is not None:
            self._add_interrupted(error)
            whole = self.interruption.prepared
        retry = whole._next_try(error)
        if retry is None and can_fall_back and isinstance(error, _SERVICE_FAILURES) and self.fallbacks:
            retry = whole._fall_back(error)
        if retry is None and self.rejected:
            whole._add_rejected(error)
        return retry

    def _next_try(self, error: MotetError) -> PreparedRequest | None:
        correction = correction_of(error) if self.retries else None
        if correction is None:
            return None
        answer: Answer[Any] = error.partial
        max_cost, timeout, cost = self.max_cost, self.request.timeout, answer.metrics.cost.cash.total
        if max_cost is not None:
            if cost is None or cost >= max_cost:
                spent = "costs an unknown amount" if cost is None else f"used up max_cost={max_cost}"
                error.args = (f"{error}; it is not asked for again, because it {spent}",)
                return None
            max_cost -= cost
        if timeout is not None:
            timeout -= answer.metrics.cost.time.total
            if timeout <= 0:
                error.args = (f"{error}; it is not asked for again, because the timeout leaves no time",)
                return None
        episode = answer.episode
        request = replace(
            self.request, messages=(*episode.messages, correction), sampled=episode.sampled, timeout=timeout
        )
        return replace(
            self,
            request=request,
            input_messages=(correction,),
            episode=episode,
            max_cost=max_cost,
            retries=self.retries - 1,
            rejected=(*self.rejected, answer),
        )

    def _fall_back(self, error: MotetError) -> PreparedRequest | None:
        fallback, *others = self.fallbacks
        max_cost, rejected = self.max_cost, self.rejected
        if isinstance(error.partial, Answer) and error.partial.completion.frames:
            rejected = (*rejected, error.partial)
            cost = error.partial.metrics.cost.cash.total
            if max_cost is not None:
                if cost is None or cost >= max_cost:
                    return None
                max_cost -= cost
        note = f"{self.spec.slug} failed ({type(error).__name__}: {error}); {fallback.spec.slug} was asked instead"
        return replace(
            self,
            spec=fallback.spec,
            backend=fallback.backend,
            request=replace(self.request, **_model_fields(fallback.spec)),
            fallbacks=tuple(others),
            max_cost=max_cost,
            rejected=rejected,
            notes=(*self.notes, note),
        )

    def complete(self, answer: Answer[Any]) -> Answer[Any]:
        """The answer with the interrupted and the rejected ones, and with the metrics of all."""
        if self.interruption is not None:
            answer = self.interruption.add_to(answer)
        if not self.rejected:
            return answer
        metrics = Metrics.sum([try_.metrics for try_ in (*self.rejected, answer)])
        return replace(answer, metrics=metrics, rejected=self.rejected)

    def last_rejected(self) -> Answer[Any]:
        """The last rejected answer, with the metrics of all of them."""
        return replace(self, rejected=self.rejected[:-1]).complete(self.rejected[-1])

    def _add_interrupted(self, error: MotetError) -> None:
        """Adds the request that was ended within the reasoning to an error of the one behind it."""
        assert self.interruption is not None
        first = self.interruption.answer
        if isinstance(error.partial, Answer) and error.partial is not first:
            error.partial = self.interruption.add_to(error.partial)
            error.cost = error.partial.metrics.cost.cash.total
        elif error.partial is None:
            _with_answer(error, first)
            error.args = (f"{error}; the reasoning before is in .partial, and is paid for",)

    def _add_rejected(self, error: MotetError) -> None:
        """Adds the rejected answers and their cost to a final error."""
        costs = [error.cost, *[answer.metrics.cost.cash.total for answer in self.rejected]]
        error.cost = None if None in costs else sum(costs, Decimal(0))
        error.rejected = self.rejected
        if isinstance(error.partial, Answer):
            error.partial = self.complete(error.partial)
        elif error.partial is None:
            error.partial = self.last_rejected()
            error.raw = error.partial.text if error.raw is None else error.raw
        error.args = (f"{error}; {len(self.rejected) + 1} tries cost {error.cost} dollars",)

    def enrich_error(self, error: MotetError) -> MotetError:
        """The backend's error, with an `Answer` instead of a `Reply` in `.partial`, its usage and its cost."""
        if isinstance(error.partial, Reply):
            _with_answer(error, self.answer(error.partial, cut=True))
        removal_notice = self.spec.removal_notice()
        if isinstance(error, NotFoundError) and removal_notice is not None:
            error.args = (f"{error}; {removal_notice}",)
        return error


def prepare(spec: Spec, prompt: Prompt, options: PreparedOptions) -> PreparedRequest:
    """The request for a prompt. Raises `TypeError`, `ValueError` or `ConfigError` if there is none."""
    if spec.model is None:
        hint = f"; ask {spec.successor} instead" if spec.successor else ""
        raise ConfigError(f"no service is known to have {spec.slug}{hint}")
    episode, input_messages = resolve_conversation(prompt, options.on, options.briefs)
    request = Request(
        **_model_fields(spec),
        messages=(*episode.messages, *input_messages),
        sampled=episode.sampled,
        tools=options.tools,
        builtin_tools=options.builtin_tools,
        tool_choice=options.tool_choice,
        schema=options.output.schema,
        schema_name=options.output.name,
        choices=options.output.choices,
        reasoning_effort=options.reasoning_effort,
        max_tokens=options.max_tokens,
        sampling=options.sampling,
        extra=options.extra,
        timeout=options.timeout,
        first_token_timeout=options.first_token_timeout,
        current_date=options.current_date or datetime.date.today().isoformat(),
        lane=options.lane,
        prefix="" if options.answers_now else None,
    )
    notes = [_ANSWERS_NOW] if options.answers_now else []
    if (removal_notice := spec.removal_notice()) is not None:
        notes.append(removal_notice)
    return PreparedRequest(
        spec,
        request,
        options.output,
        input_messages,
        episode,
        options.max_cost,
        options.max_reasoning_tokens,
        options.budgets,
        tuple(notes),
        options.retries,
        fallbacks=options.fallbacks,
        on_limit=options.on_limit,
        ledgers=active_ledgers(),
        labels=active_labels(),
    )


_SERVICE_FAILURES = (
    BadPayloadError,
    ConnectionFailedError,
    NotFoundError,
    QuotaError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StreamError,
)
"""Errors that another service may not have. The request's own faults, the key's and the caller's limits are raised."""


def _model_fields(spec: Spec) -> dict[str, Any]:
    """The fields of a request that depend on the model."""
    return {
        "model": spec.model,
        "harmony": spec.harmony,
        "context": spec.gain.size.context.tokens,
        "think_tags": bool(spec.gain.skills.think_tags),
    }


_ANSWERS_NOW = "no reasoning is left of max_reasoning_tokens: the model was asked for its answer at once"
_TOKENS_PER_MESSAGE = 4
"""Rough number of marker tokens per message in chat templates other than harmony's."""


def _with_answer(error: MotetError, answer: Answer[Any]) -> MotetError:
    error.partial = answer
    error.raw = answer.text if error.raw is None else error.raw
    error.usage = answer.usage
    error.cost = answer.metrics.cost.cash.total
    error.request_id = answer.request_id
    return error


def resolve_conversation(
    prompt: Prompt, episode: Episode, briefs: Sequence[str | Path]
) -> tuple[Episode, tuple[Message, ...]]:
    """The conversation before the prompt, with the briefs in its system side, and the prompt as messages."""
    messages = _prompt_messages(prompt)
    system = [episode.system, *map(_brief_text, briefs)]
    first = messages[0].content[0] if messages[0].content else None
    if not episode.exchanges and isinstance(first, DeveloperContent) and first.tools is None and first.text is None:
        # Models know one developer message at the front, so the caller's is joined with the briefs.
        system.append(first.instructions)
        messages = messages[1:]
    return replace(episode, system="\n\n".join([text for text in system if text])), messages


def _prompt_messages(prompt: Prompt) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return (Message("user", (Text(prompt),)),)
    if isinstance(prompt, Message):
        return (prompt,)
    if isinstance(prompt, ToolResult):
        return (Message("tool", (prompt,)),)
    if isinstance(prompt, Mapping | bytes) or not isinstance(prompt, Iterable):
        raise TypeError(f"prompt must be a str, a message, or a list of messages or tool results, not {prompt!r:.80}")
    messages: list[Message] = []
    for is_result, group in itertools.groupby(prompt, key=lambda item: isinstance(item, ToolResult)):
        if not is_result:
            messages += to_messages(cast("Iterator[Message | Mapping[str, Any]]", group))
            continue
        results = tuple(cast("Iterator[ToolResult]", group))
        if messages and messages[-1].role == "tool":
            # The results of one turn are one message.
            messages[-1] = replace(messages[-1], content=(*messages[-1].content, *results))
        else:
            messages.append(Message("tool", results))
    if not messages:
        raise ValueError("prompt is an empty list: there is nothing to ask")
    return tuple(messages)


def _brief_text(brief: str | Path) -> str:
    """The text of a brief, read from the file where it names one."""
    if isinstance(brief, str):
        names_file = len(brief.split()) == 1 and brief.strip().endswith((".md", ".txt"))
        if not names_file:
            return brief.strip()
        brief = Path(brief.strip())
    if not isinstance(brief, Path):
        raise TypeError(f"a brief must be a str or a Path, not {type(brief).__name__}")
    try:
        return brief.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the brief {brief} cannot be read: {error}") from error


def _texts(message: Message) -> Iterator[str]:
    for part in message.content:
        match part:
            case ToolCall():
                yield part.name
                yield part.arguments
            case ToolResult():
                yield part.content
            case DeveloperContent():
                yield part.instructions
            case _:
                yield part.text


def _json(tools: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(list(tools), ensure_ascii=False, default=str)


def _chars(request: Request, completion: Completion) -> Chars:
    prompt_chars = sum(len(text) for message in request.messages for text in _texts(message))
    prompt_chars += len(_json(request.tools)) if request.tools else 0
    by_channel = dict.fromkeys(("analysis", "commentary", "final"), 0)
    for frame in completion.frames:
        by_channel[frame.channel if frame.channel in by_channel else "final"] += len(frame.content)
    return Chars(prompt_chars, sum(by_channel.values()), by_channel)
