"""A prompt becomes a request, and the reply to it an answer: pure functions, nothing is sent here."""

from __future__ import annotations

import datetime
import json
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict

from motet import _core, catalog
from motet.asking.answer import Answer
from motet.asking.episode import Episode
from motet.backend import Backend, LaneChoice, Reply, Request
from motet.catalog import Spec
from motet.dialects.chat import to_messages
from motet.errors import (
    ConfigError,
    EmptyOutputError,
    MotetError,
    NotFoundError,
    OutputError,
    TruncatedOutputError,
    UnknownToolError,
)
from motet.harmony import Effort
from motet.limits import Budget, active
from motet.message import Completion, DeveloperContent, Lane, Message, Text, ToolCall, ToolResult
from motet.metrics import Chars, Price, Usage, measure
from motet.schema.output import Output
from motet.schema.tool import to_tool

__all__ = ["Options", "Prompt", "Question", "RemovedAtomWarning", "conversation", "seconds"]

Prompt: TypeAlias = str | Message | ToolResult | Iterable[Message | ToolResult | Mapping[str, Any]]


class RemovedAtomWarning(UserWarning):
    """An atom is asked that the service does not serve any more, or not for long."""


class Options(TypedDict, total=False):
    """What `ask`, `stream` and `estimate` take, with their async twins."""

    briefs: Sequence[str | Path]
    """Texts and files for the system side of the prompt, in this order. A `Path` names a file, and so does a text of
    one word that ends in `.md` or `.txt`."""
    tools: Sequence[Any]
    """Tools made with `motet.tool`, functions, OpenAI tool dicts, or names of tools without parameters."""
    builtin_tools: Iterable[Literal["browser", "python"]] | Mapping[str, Any]
    """Tools that gpt-oss was trained with, in the raw lanes. In a run, with the functions that carry them out:
    `{"python": run_code}`, `{"browser": browser}`."""
    tool_choice: str | Mapping[str, Any] | None
    """`auto`, `none`, `required`, or a dict that names one. By default the service's, which is auto. Other than auto
    it is for the chat lane, where the service holds the model to it."""
    on: Episode | Answer[Any] | None
    """What to go on from: an episode, or the answer that it ends with."""
    reasoning_effort: Effort | None
    """By default the service's, which is medium."""
    max_tokens: int | None
    """Of the answer, reasoning included. An answer that was cut there raises `TruncatedOutputError`."""
    max_reasoning_tokens: int | None
    """The stream is ended when the reasoning has more; raises `MaxTokensError`."""
    max_cost: Decimal | str | int | None
    """US dollars. The stream is ended before the answer costs more; raises `MaxCostError`."""
    timeout: float | None
    """Seconds for the whole answer, retries included; raises `RequestTimeoutError`."""
    first_token_timeout: float | None
    """Seconds until the first token."""
    temperature: float | None
    """From 0 on. By default the service's, which is 1 for gpt-oss."""
    top_p: float | None
    """From 0 to 1. By default the service's, which is 1 for gpt-oss."""
    seed: int | None
    """For answers that can be had again, as far as the service can."""
    sampling: Mapping[str, Any]
    """Further sampling settings, as the SDK names them: `top_k`, `repetition_penalty`, ..."""
    extra: Mapping[str, Any]
    """Further keys of the request's body, sent as they are."""
    budget: Budget | None
    """What is spent counts against it, besides those whose `with` block this is in."""
    current_date: str | datetime.date | None
    """The date that the model is told, where motet renders the prompt, as `2026-11-21`. By default today's: give one
    for prompts that are to be the same tomorrow."""
    lane: LaneChoice | None
    """How the model's words travel. By default the backend chooses."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt for an atom, ready to be sent, with what is needed to read the reply. Made by `Question.of`."""

    spec: Spec
    request: Request
    output: Output[Any]
    asked: tuple[Message, ...]
    """What is new in this exchange."""
    episode: Episode
    """What it goes on from."""
    max_cost: Decimal | None
    max_reasoning_tokens: int | None
    budgets: tuple[Budget, ...]
    """What is spent counts against these."""
    notes: tuple[str, ...]

    @classmethod
    def of(cls, spec: Spec, prompt: Prompt, output: Any, options: Mapping[str, Any]) -> Question:
        """Raises `TypeError`, `ValueError` and `ConfigError` for what cannot be asked."""
        unknown = set(options) - set(Options.__annotations__)
        if unknown:
            known = ", ".join(sorted(Options.__annotations__))
            raise TypeError(f"unknown option {', '.join(sorted(unknown))}; known are {known}")
        given: Any = {name: value for name, value in options.items() if value is not None}
        if spec.model is None:
            hint = f"; ask {spec.successor} instead" if spec.successor else ""
            raise ConfigError(f"no service is known to have {spec.slug}{hint}")
        episode, asked = conversation(prompt, given.get("on"), given.get("briefs", ()))
        wanted = Output.of(output)
        tools = _tool_dicts(given.get("tools", ()))
        request = Request(
            model=spec.model,
            messages=(*episode.messages, *asked),
            tools=tools,
            builtin_tools=tuple(given.get("builtin_tools", ())),
            tool_choice=_choice(given.get("tool_choice"), tools),
            schema=wanted.schema,
            schema_name=wanted.name,
            reasoning_effort=given.get("reasoning_effort"),
            max_tokens=_positive(given.get("max_tokens"), "max_tokens"),
            sampling=_sampling(given),
            extra=_settings(given, "extra"),
            timeout=seconds(given.get("timeout"), "timeout"),
            first_token_timeout=seconds(given.get("first_token_timeout"), "first_token_timeout"),
            harmony=spec.harmony,
            current_date=_day(given.get("current_date", datetime.date.today())),
            lane=_lane(given.get("lane")),
        )
        max_cost = catalog.to_money(given["max_cost"], "max_cost") if "max_cost" in given else None
        reasoning = _positive(given.get("max_reasoning_tokens"), "max_reasoning_tokens")
        obituary = spec.obituary()
        if obituary is not None:
            warnings.warn(obituary, RemovedAtomWarning, stacklevel=3)
        notes = () if obituary is None else (obituary,)
        own = (given["budget"],) if "budget" in given else ()
        if own and not isinstance(own[0], Budget):
            raise TypeError(f"budget must be made by motet.budget, not {own[0]!r}")
        budgets = tuple(dict.fromkeys((*active(), *own)))
        return cls(spec, request, wanted, asked, episode, max_cost, reasoning, budgets, notes)

    @property
    def limited(self) -> bool:
        """Whether the answer has to be watched while it arrives."""
        limits = (self.max_cost, self.max_reasoning_tokens, self.request.first_token_timeout)
        return any(limit is not None for limit in limits) or bool(self.budgets)

    def price(self, model: str | None) -> tuple[Price, str]:
        """The price of the model that answered, and why it is not known, if it is not."""
        spec: Spec | None = self.spec
        if model is not None and model != self.spec.model:
            spec = catalog.of_model(model)
        if spec is None:
            return Price(), f"{model} answered, whose price is not known"
        hint = "give it: motet.atom(..., price={'input': ..., 'output': ...})"
        return spec.cost.cash, f"the price of {spec.slug} is not known; {hint}"

    def count(self, backend: Backend) -> tuple[int, bool, list[str]]:
        """The tokens of the prompt, whether that is exact, and what one should know of it."""
        counted = backend.count_prompt(self.request)
        if counted is not None:
            return counted, True, []
        guessed = backend.guess_prompt(self.request)
        if guessed is not None:
            return guessed, False, ["the prompt was counted as motet renders it; how the service will, is not known"]
        texts = [text for message in self.request.messages for text in _texts(message)]
        if self.request.tools:
            texts.append(_json(self.request.tools))
        about = sum(map(_core.count, texts)) + _FRAME * len(self.request.messages)
        return about, False, ["the prompt was counted with motet's vocabulary and without the model's template"]

    def finish(self, reply: Reply) -> Answer[Any]:
        """The answer. Raises `OutputError`, with the answer inside, if it is not what was asked for."""
        answer = self.answer(reply)
        try:
            if reply.finish == "length":
                most = self.request.max_tokens
                limit = f"max_tokens={most}" if most else "the service's limit of tokens"
                raise TruncatedOutputError(f"the answer was cut at {limit}; what came is in .partial; give more")
            if answer.calls:
                return answer
            if not answer.text.strip():
                thought = " after thinking" if answer.reasoning else ""
                why = f" (finish_reason {reply.finish!r})" if reply.finish not in _STOPPED else ""
                raise EmptyOutputError(f"the answer is empty: the model stopped{thought} without a word{why}")
            output, note = self.output.read(answer.text)
        except OutputError as error:
            raise _with_answer(error, answer) from error.__cause__
        return replace(answer, output=output, notes=answer.notes if note is None else (*answer.notes, note))

    def answer(self, reply: Reply, *, cut: bool = False) -> Answer[Any]:
        """The answer without its output. `cut`: it is not whole, so that the service could not send its usage."""
        completion, asked = reply.completion, self.request.model
        price, no_price = self.price(reply.model)
        notes = [*self.notes, *reply.notes]
        if reply.finish not in (*_STOPPED, "length"):
            notes.append(f"the service ended the answer for a reason of its own: {reply.finish}")
        if reply.model is not None and reply.model != asked:
            notes.append(f"{reply.model} answered, and {asked} was asked; the price is that of the former")
        usage = reply.usage
        read = sum(completion.tokens.values()) if completion.lane == "ids" and not cut else None
        if read is not None and usage is not None and usage.output is not None and read + 1 < usage.output:
            # Most servers count the stop token, and some do not send it.
            notes.append(f"the service counted {usage.output} tokens and sent {read}: some of the text may be missing")
        # Where nothing came, perhaps nothing is billed: a request may have been refused.
        if cut and usage is None and reply.prompt_tokens is not None and completion.frames:
            usage = Usage(reply.prompt_tokens, sum(completion.tokens.values()))
            notes.append("the answer was cut before the service sent its usage: motet counted what came")
        metrics = measure(
            usage=usage,
            price=price,
            no_price=no_price,
            channels=completion.tokens,
            own_vocabulary=self.request.harmony,
            chars=_chars(self.request, completion),
            time=reply.time,
            counted_input=reply.prompt_tokens,
            model=reply.model or asked,
        )
        return Answer(
            output=None,
            calls=completion.tool_calls,
            completion=completion,
            metrics=metrics,
            episode=self.episode.add(self.asked, completion.message),
            model=reply.model,
            lane=reply.lane,
            lane_reason=reply.lane_reason,
            finish=reply.finish,
            request_id=reply.request_id,
            attempts=reply.attempts,
            usage=reply.usage,
            response_format=reply.response_format,
            notes=tuple(notes),
        )

    def explain(self, error: MotetError) -> MotetError:
        """What a backend raised, with the answer so far in place of the reply, and what it cost."""
        if isinstance(error.partial, Reply):
            _with_answer(error, self.answer(error.partial, cut=True))
        obituary = self.spec.obituary()
        if isinstance(error, NotFoundError) and obituary is not None:
            error.args = (f"{error}; {obituary}",)
        return error


_STOPPED = (None, "stop", "eos", "tool_calls", "function_call")
"""The finish reasons of a model that stopped by itself."""
_FRAME = 4
"""Tokens of a message's markers, about: what models of other makes spend on them."""


def _with_answer(error: MotetError, answer: Answer[Any]) -> MotetError:
    error.partial = answer
    error.raw = answer.text if error.raw is None else error.raw
    error.usage = answer.usage
    error.cost = answer.metrics.cost.cash.total
    error.request_id = answer.request_id
    return error


def conversation(
    prompt: Prompt, on: Episode | Answer[Any] | None, briefs: Sequence[str | Path]
) -> tuple[Episode, tuple[Message, ...]]:
    """What a question goes on from, and what is new in it."""
    if isinstance(briefs, str | Path):
        raise TypeError(f"briefs must be a list of texts and paths, not a {type(briefs).__name__}")
    before = on.episode if isinstance(on, Answer) else on or Episode()
    if not isinstance(before, Episode):
        raise TypeError(f"on must be an Episode or an Answer, not {type(before).__name__}")
    asked = _asked(prompt)
    system = [before.system, *map(_brief, briefs)]
    front = asked[0].content[0] if asked[0].content else None
    if not before.exchanges and isinstance(front, DeveloperContent) and front.tools is None and front.text is None:
        # One developer message at the front is what models know: the caller's is joined with the briefs.
        system.append(front.instructions)
        asked = asked[1:]
    return replace(before, system="\n\n".join([text for text in system if text])), asked


def _asked(prompt: Prompt) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return (Message("user", (Text(prompt),)),)
    if isinstance(prompt, Message):
        return (prompt,)
    if isinstance(prompt, ToolResult):
        return (Message("tool", (prompt,)),)
    if isinstance(prompt, Mapping | bytes) or not isinstance(prompt, Iterable):
        raise TypeError(f"prompt must be a str, a message, or a list of messages or tool results, not {prompt!r:.80}")
    asked: list[Message] = []
    for item in prompt:
        if not isinstance(item, ToolResult):
            asked += to_messages([item])
        elif asked and asked[-1].role == "tool":
            # The results of one turn are one message.
            asked[-1] = replace(asked[-1], content=(*asked[-1].content, item))
        else:
            asked.append(Message("tool", (item,)))
    if not asked:
        raise ValueError("prompt is an empty list: there is nothing to ask")
    return tuple(asked)


def _brief(brief: str | Path) -> str:
    """The text of a brief: of the file that it names, or itself."""
    if isinstance(brief, str):
        named = len(brief.split()) == 1 and brief.strip().endswith((".md", ".txt"))
        if not named:
            return brief.strip()
        brief = Path(brief.strip())
    if not isinstance(brief, Path):
        raise TypeError(f"a brief must be a str or a Path, not {type(brief).__name__}")
    try:
        return brief.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the brief {brief} cannot be read: {error}") from error


def _tool_dicts(tools: Iterable[Any]) -> tuple[Mapping[str, Any], ...]:
    if isinstance(tools, str | Mapping) or not isinstance(tools, Iterable):
        raise TypeError(f"tools must be a list of tools, not {type(tools).__name__}")
    found: list[Mapping[str, Any]] = []
    for tool in tools:
        if isinstance(tool, str):
            found.append({"type": "function", "function": {"name": tool}})
        elif isinstance(tool, Mapping):
            found.append(tool)
        else:
            found.append(to_tool(tool).to_dict())
    return tuple(found)


def _choice(choice: Any, tools: Sequence[Mapping[str, Any]]) -> Any:
    """The choice of a tool, if it can be made. Raises `UnknownToolError` for a tool that was not given."""
    if choice is None or choice in ("auto", "none", "required"):
        return choice
    function = choice.get("function") if isinstance(choice, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        wanted = "'auto', 'none', 'required' or {'type': 'function', 'function': {'name': ...}}"
        raise ValueError(f"tool_choice must be {wanted}, not {choice!r}")
    known = tuple([str((tool.get("function") or tool).get("name")) for tool in tools])
    if name not in known:
        said = ", ".join(known) or "none"
        raise UnknownToolError(f"tool_choice names {name}, and the tools are: {said}", name=name, known=known)
    return choice


def _positive(value: int | None, name: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}")
    return value


def seconds(value: float | None, name: str) -> float | None:
    """The value, if it can be a time limit. Raises `ValueError` if not."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise ValueError(f"{name} must be seconds, more than 0, not {value!r}")
    return value


def _day(value: str | datetime.date) -> str:
    if not isinstance(value, str | datetime.date):
        raise TypeError(f"current_date must be a date or a str as '2025-06-28', not {type(value).__name__}")
    day = value if isinstance(value, str) else value.strftime("%Y-%m-%d")
    try:
        known = datetime.date.fromisoformat(day).isoformat() == day
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"current_date must be a date as '2025-06-28', not {day!r}")
    return day


def _lane(value: Any) -> LaneChoice | None:
    if value not in (None, *typing.get_args(Lane), "auto"):
        raise ConfigError(f"lane must be 'auto', 'chat', 'text' or 'ids', not {value!r}")
    return value  # type: ignore[no-any-return]


def _sampling(given: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: given[name] for name in ("temperature", "top_p", "seed") if name in given}
    further = _settings(given, "sampling")
    if taken := sorted(_OWN & set(further)):
        raise TypeError(f"sampling holds {', '.join(taken)}, which {'is' if len(taken) == 1 else 'are'} set elsewhere")
    return {**named, **further}


_OWN = {"model", "messages", "prompt", "stream", "tools", "tool_choice", "response_format", "max_tokens", "extra_body"}
"""Arguments of the SDK that are made of the question."""


def _settings(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    settings = given.get(name, {})
    if not isinstance(settings, Mapping):
        raise TypeError(f"{name} must be a dict, not {type(settings).__name__}")
    return dict(settings)


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
    asked = sum(len(text) for message in request.messages for text in _texts(message))
    asked += len(_json(request.tools)) if request.tools else 0
    by_channel = dict.fromkeys(("analysis", "commentary", "final"), 0)
    for frame in completion.frames:
        by_channel[frame.channel if frame.channel in by_channel else "final"] += len(frame.content)
    return Chars(asked, sum(by_channel.values()), by_channel)
