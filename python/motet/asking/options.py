"""The options of a question: what callers may give, checked once."""

from __future__ import annotations

import datetime
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypedDict

from motet import catalog
from motet._core import tool_dicts
from motet.asking.answer import Answer
from motet.asking.episode import Episode
from motet.backend import Backend, LaneChoice
from motet.errors import ConfigError, UnknownToolError
from motet.harmony import Effort
from motet.limits import Budget, active
from motet.message import Lane
from motet.schema.builtin_functions import BuiltinTool
from motet.schema.output import Output
from motet.schema.tool import to_tool

__all__ = ["Options", "PreparedOptions", "seconds"]


class Options(TypedDict, total=False):
    """Options of `ask`, `stream` and `estimate`, and of their async twins."""

    briefs: Sequence[str | Path]
    """Texts and files for the system side of the prompt, in this order. A `Path` names a file, and so does a text of
    one word that ends in `.md` or `.txt`."""
    tools: Sequence[Any]
    """Tools made with `motet.tool`, functions, OpenAI tool dicts, or names of tools without parameters."""
    builtin_tools: Iterable[BuiltinTool] | Mapping[str, Any]
    """Tools that gpt-oss was trained with: `browser`, `container`, `python`, `repo_browser`. In a run, a dict from each
    to its implementation, as `{"python": run_code, "container": run_command}`. The chat lane offers them as functions,
    and refuses `python`, which takes code."""
    tool_choice: str | Mapping[str, Any] | None
    """`auto`, `none`, `required`, the name of one tool, or the dict of the APIs that names it. Default: the service's,
    which is `auto`. The service enforces others: in the chat lane as it does, in the raw lanes by a grammar."""
    on: Episode | Answer[Any] | None
    """The conversation to continue: an episode, or the answer at its end."""
    reasoning_effort: Effort | None
    """`low`, `medium` or `high`. Default: the service's, which is `medium`."""
    max_tokens: int | None
    """Tokens of the answer, reasoning included, from 1. An answer cut there raises `TruncatedOutputError`."""
    max_reasoning_tokens: int | None
    """Tokens of the reasoning, from 1. More of them end the stream with `MaxTokensError`, or as `on_limit` says."""
    on_limit: Literal["raise", "answer"] | None
    """What follows reasoning that reaches `max_reasoning_tokens`: `raise` (default) the limit's error, or let the model
    `answer` from what it has thought so far, in a second request; both are paid and counted. `answer` also ends
    reasoning that goes in circles, and reasoning that leaves less than a quarter of the tokens for the answer. In a run
    it lets the last step answer, too; see `answer_at_limit`."""
    max_cost: Decimal | str | float | None
    """US dollars. A higher cost ends the stream with `MaxCostError`."""
    timeout: float | None
    """Seconds for the whole answer, retries included; then `RequestTimeoutError`. Default: no limit."""
    first_token_timeout: float | None
    """Seconds until the first token. Default: no limit."""
    temperature: float | None
    """From 0. Default: the service's, which is 1 for gpt-oss."""
    top_p: float | None
    """From 0 to 1. Default: the service's, which is 1 for gpt-oss."""
    seed: int | None
    """Seed of the sampling, where the service supports it."""
    sampling: Mapping[str, Any]
    """Further sampling settings under the SDK's names: `top_k`, `repetition_penalty`, ..."""
    extra: Mapping[str, Any]
    """Further keys of the request body, sent unchanged."""
    budget: Budget | None
    """A budget that pays for this, besides those of the enclosing `with` blocks."""
    current_date: str | datetime.date | None
    """The date in prompts that motet renders, as `2026-11-21`. Default: today's; a fixed date keeps prompts equal from
    day to day."""
    lane: LaneChoice | None
    """`ids`, `text`, `chat` or `auto`. Default: the backend's."""
    fallbacks: Sequence[Any]
    """Atoms that are asked, in this order, where the service fails: it is overloaded or not reached, refuses for want
    of credit or of the model, or breaks off. A stream falls back until its first event. `timeout` holds for each atom,
    `max_cost` for all together. Default: none."""
    retries: int | None
    """How often an invalid output is asked for again, from 0 (default); the model reads what was wrong. `max_cost`
    and `timeout` hold for all tries together, `max_tokens` and `max_reasoning_tokens` for each. In a run, each try is a
    step, and the limits are the run's."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """Another model to ask, and its service."""

    spec: catalog.Spec
    backend: Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedOptions:
    """Options after all checks. Made by `PreparedOptions.of`; the fields are those of `Options`."""

    output: Output[Any]
    briefs: tuple[str | Path, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    """OpenAI tool dicts."""
    builtin_tools: tuple[BuiltinTool, ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    on: Episode = field(default_factory=Episode)
    reasoning_effort: Effort | None = None
    max_tokens: int | None = None
    max_reasoning_tokens: int | None = None
    on_limit: Literal["raise", "answer"] = "raise"
    max_cost: Decimal | None = None
    timeout: float | None = None
    first_token_timeout: float | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    budget: Budget | None = None
    current_date: str | None = None
    """`None`: the day of the request."""
    lane: LaneChoice | None = None
    retries: int = 0
    fallbacks: tuple[Fallback, ...] = ()
    answers_now: bool = False
    """True: the model writes its answer without reasoning, in the raw lanes, or with low effort and without calls."""

    @classmethod
    def of(cls, output: Any, options: Mapping[str, Any]) -> PreparedOptions:
        """Checks options. Raises `TypeError`, `ValueError` or `ConfigError`, which name the option."""
        if unknown := sorted(set(options) - set(Options.__annotations__)):
            names = ", ".join(sorted(Options.__annotations__))
            raise TypeError(f"unknown option {', '.join(unknown)}; options are {names}")
        values: Any = {name: value for name, value in options.items() if value is not None}
        tools = _tool_dicts(values.get("tools", ()))
        builtin_tools = tuple(values.get("builtin_tools", ()))
        budget = values.get("budget")
        if budget is not None and not isinstance(budget, Budget):
            raise TypeError(f"budget must be made by motet.budget, not {budget!r}")
        return cls(
            output=Output.of(output),
            briefs=_briefs(values.get("briefs", ())),
            tools=tools,
            builtin_tools=builtin_tools,
            tool_choice=_tool_choice(values.get("tool_choice"), tools, builtin_tools),
            on=_episode(values.get("on")),
            reasoning_effort=values.get("reasoning_effort"),
            max_tokens=_positive(values.get("max_tokens"), "max_tokens"),
            max_reasoning_tokens=_positive(values.get("max_reasoning_tokens"), "max_reasoning_tokens"),
            on_limit=_on_limit(values.get("on_limit", "raise")),
            max_cost=catalog.to_money(values["max_cost"], "max_cost", floats=True) if "max_cost" in values else None,
            timeout=seconds(values.get("timeout"), "timeout"),
            first_token_timeout=seconds(values.get("first_token_timeout"), "first_token_timeout"),
            sampling=_sampling(values),
            extra=_mapping(values, "extra"),
            budget=budget,
            current_date=_day(values["current_date"]) if "current_date" in values else None,
            lane=_lane(values.get("lane")),
            retries=_retries(values.get("retries", 0)),
            fallbacks=_fallbacks(values.get("fallbacks", ())),
        )

    def limited_to(self, limits: Mapping[str, Any]) -> PreparedOptions:
        """The options with other values for `max_tokens`, `max_reasoning_tokens`, `max_cost` or `timeout`."""
        return replace(self, **limits)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets that pay: those of the enclosing `with` blocks and `budget`, each once."""
        own = () if self.budget is None else (self.budget,)
        return tuple(dict.fromkeys((*active(), *own)))


def seconds(value: float | None, name: str) -> float | None:
    """A time limit, unchanged. Raises `ValueError` unless it is a number above 0 or `None`."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise ValueError(f"{name} must be seconds, more than 0, not {value!r}")
    return value


def _positive(value: int | None, name: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}")
    return value


def _on_limit(value: Any) -> Literal["raise", "answer"]:
    if value not in ("raise", "answer"):
        raise ValueError(f"on_limit must be 'raise' or 'answer', not {value!r}")
    return value  # type: ignore[no-any-return]


def _retries(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"retries must be a whole number from 0 on, not {value!r}")
    return value


def _fallbacks(atoms: Any) -> tuple[Fallback, ...]:
    if isinstance(atoms, str) or not isinstance(atoms, Iterable):
        raise TypeError(f"fallbacks must be a list of atoms, not {type(atoms).__name__}")
    fallbacks = []
    for atom in atoms:
        spec, backend = getattr(atom, "spec", None), getattr(atom, "backend", None)
        if not isinstance(spec, catalog.Spec) or backend is None:
            raise TypeError(f"fallbacks must be atoms, made by motet.atom, not {atom!r:.80}")
        if spec.model is None:
            raise ConfigError(f"no service is known to have {spec.slug}, so it cannot be a fallback")
        fallbacks.append(Fallback(spec, backend))
    return tuple(fallbacks)


def _briefs(briefs: Any) -> tuple[str | Path, ...]:
    if isinstance(briefs, str | Path):
        raise TypeError(f"briefs must be a list of texts and paths, not a {type(briefs).__name__}")
    return tuple(briefs)


def _episode(value: Any) -> Episode:
    episode = value.episode if isinstance(value, Answer) else value or Episode()
    if not isinstance(episode, Episode):
        raise TypeError(f"on must be an Episode or an Answer, not {type(episode).__name__}")
    return episode


def _tool_dicts(tools: Any) -> tuple[Mapping[str, Any], ...]:
    if isinstance(tools, str | Mapping) or not isinstance(tools, Iterable):
        raise TypeError(f"tools must be a list of tools, not {type(tools).__name__}")
    dicts: list[Mapping[str, Any]] = []
    for tool in tools:
        # A function becomes a tool; all else is a name, a dict, or an object that returns one.
        dicts += tool_dicts([to_tool(tool) if callable(tool) else tool])
    return tuple(dicts)


def _tool_choice(choice: Any, tools: Sequence[Mapping[str, Any]], builtin_tools: Sequence[str]) -> Any:
    if choice is None or choice in ("auto", "none", "required"):
        return choice
    function = choice.get("function") if isinstance(choice, Mapping) else {"name": choice}
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        forms = "'auto', 'none', 'required', a tool's name or {'type': 'function', 'function': {'name': ...}}"
        raise ValueError(f"tool_choice must be {forms}, not {choice!r}")
    names = tuple([str((tool.get("function") or tool).get("name")) for tool in tools])
    # The functions of a built-in tool are named in the raw lanes: `browser.search`.
    if name not in names and name.partition(".")[0] not in builtin_tools:
        listed = ", ".join(names) or "none"
        raise UnknownToolError(f"tool_choice names {name}, and the tools are: {listed}", name=name, known=names)
    return {"type": "function", "function": {"name": name}}


def _day(value: Any) -> str:
    if not isinstance(value, str | datetime.date):
        raise TypeError(f"current_date must be a date or a str as '2025-06-28', not {type(value).__name__}")
    day = value if isinstance(value, str) else value.strftime("%Y-%m-%d")
    try:
        valid = datetime.date.fromisoformat(day).isoformat() == day
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"current_date must be a date as '2025-06-28', not {day!r}")
    return day


def _lane(value: Any) -> LaneChoice | None:
    if value not in (None, *typing.get_args(Lane), "auto"):
        raise ConfigError(f"lane must be 'auto', 'chat', 'text' or 'ids', not {value!r}")
    return value  # type: ignore[no-any-return]


_RESERVED_OPTIONS = frozenset(
    ("model", "messages", "prompt", "stream", "tools", "tool_choice", "response_format", "max_tokens", "extra_body")
)
"""Keys of a request body that other options set, so that `sampling` may not."""


def _sampling(values: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: values[name] for name in ("temperature", "top_p", "seed") if name in values}
    further = _mapping(values, "sampling")
    if reserved := sorted(_RESERVED_OPTIONS & set(further)):
        verb = "is" if len(reserved) == 1 else "are"
        raise TypeError(f"sampling holds {', '.join(reserved)}, which {verb} set elsewhere")
    return {**named, **further}


def _mapping(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    mapping = values.get(name, {})
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{name} must be a dict, not {type(mapping).__name__}")
    return dict(mapping)
