"""Prompts: conversations in, token ids out. (Completions come in through the native `parse` and `StreamParser`.)

Here arguments of many shapes become the few that the core takes; what a prompt looks like is decided there.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from motet import _core
from motet._core import MARKERS
from motet.dialects.chat import to_messages
from motet.message import Frame, Message, Note, Role

__all__ = [
    "Prompt",
    "Rendered",
    "Tools",
    "Training",
    "read_response_format",
    "render",
    "render_frames",
    "render_training",
]

Messages: TypeAlias = Iterable[Message | Mapping[str, Any]]
Tools: TypeAlias = Sequence[Any]
Effort: TypeAlias = Literal["low", "medium", "high"]
KeepAnalysis: TypeAlias = Literal["turn", "all", "none", "openai_harmony"]
Dialect: TypeAlias = Literal["motet", "openai_harmony", "chat_template"]

_IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."


class Prompt:
    """A rendered conversation: a value. Made by `render`; `extend` makes a longer one."""

    __slots__ = ("_messages", "_native", "_options")

    def __init__(
        self, native: _core.Prompt, messages: tuple[Message, ...] = (), options: Mapping[str, Any] | None = None
    ) -> None:
        self._native = native
        self._messages = messages
        # Not copied: no method changes it.
        self._options = options or {}

    @property
    def ids(self) -> list[int]:
        """The token ids, to be sent to a model."""
        return self._native.ids

    @property
    def text(self) -> str:
        """The prompt as text with its markers spelled, for display: in text, quoted markers in content are
        indistinguishable from structure."""
        return self._native.text

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """For each message its range `(start, end)` in `ids`; empty if nothing of it was rendered."""
        return self._native.spans

    @property
    def dropped(self) -> tuple[tuple[int, int], ...]:
        """What was left out: the index of the message, and of the part in it."""
        return self._native.dropped

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a model could misread in the prompt, or what is not in it as it was given. Empty for most prompts;
        `strict=True` raises `RenderError` instead. See docs/reference/notes.md for the codes."""
        return tuple([Note(*fields) for fields in self._native.notes])

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that it is made of, those made from the settings included."""
        return self._native.frames

    @property
    def stop_ids(self) -> tuple[int, int]:
        """The ids at which sampling ends: `<|return|>` and `<|call|>`."""
        return (_core.STOP_TOKENS[0], _core.STOP_TOKENS[2])

    @property
    def opened(self) -> str | None:
        """With `continue_final_message`, the header of the frame that the model continues, as written, without
        `<|start|>` and the role: `<|channel|>final<|message|>`. `None` if the prompt does not end in an open frame."""
        if not self._options.get("continue_final_message"):
            return None
        header = render_frames([replace(self.frames[-1], content="")]).text
        return header.removeprefix(MARKERS["start"] + "assistant")

    def extend(self, messages: Messages = (), **changes: Any) -> Prompt:
        """The prompt with more messages at its end.

        Equals rendering all of them with the same options, but encodes only what is new or changed. `changes` are
        options of `render` that are different from here on, such as `tools` or `reasoning_effort`; with them the whole
        prompt is rendered anew.
        """
        more = tuple(_messages(messages, self._options.get("dialect", "motet")))
        if changes:
            return render((*self._messages, *more), **{**self._options, **changes})
        return Prompt(self._native.extend(more), (*self._messages, *more), self._options)

    def __copy__(self) -> Prompt:
        return self

    def __deepcopy__(self, memo: object) -> Prompt:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Tools may be functions of the caller's, which do not pickle; their dicts say the same.
        tools = [tool.to_dict() if hasattr(tool, "to_dict") else tool for tool in self._options.get("tools", ())]
        return (_rendered, (self._messages, {**self._options, "tools": tools}))

    def __len__(self) -> int:
        return len(self._native)

    def __eq__(self, other: object) -> bool:
        return self.ids == other.ids if isinstance(other, Prompt) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.ids))

    def __repr__(self) -> str:
        return f"Prompt({len(self)} ids, {len(self.spans)} messages)"


def render(
    messages: Messages,
    *,
    tools: Tools = (),
    builtin_tools: Iterable[Literal["browser", "python"]] = (),
    instructions: str | None = None,
    response_format: Mapping[str, Any] | None = None,
    reasoning_effort: Effort = "medium",
    current_date: str | datetime.date | None = None,
    identity: str = _IDENTITY,
    knowledge_cutoff: str | None = "2024-06",
    next_role: Role | None = "assistant",
    keep_analysis: KeepAnalysis = "turn",
    dialect: Dialect = "motet",
    continue_final_message: bool = False,
    strict: bool = False,
) -> Prompt:
    """The prompt of a conversation.

    - `messages`: `Message`s and OpenAI chat dicts, mixed freely. A system or developer message at the front is
      joined with `instructions` and `tools`. A `SystemContent` at the front stands in place of the system text.
    - `tools`: OpenAI tool dicts, tools made with `motet.tool`, or names of tools without parameters.
    - `builtin_tools`: tools that the models were trained with, `"browser"` and `"python"`.
    - `response_format`: as OpenAI's `{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}}`, or
      `{"type": "json_object"}` for any JSON object.
    - `current_date`: a date, or a text as `2025-06-28`. `None`: the prompt names none.
    - `knowledge_cutoff`: one line. `None`: the prompt names none.
    - `next_role`: whose header the prompt ends with. `None`: it ends with the last message.
    - `keep_analysis`: which reasoning the model sees again. `"turn"`: that of the running turn, what stands before a
      final answer is dropped. `"all"`, `"none"`. `"openai_harmony"`: the rule of openai-harmony 0.0.8.
    - `dialect`: `"motet"`, `"openai_harmony"` for the ids that openai-harmony 0.0.8 gives, or `"chat_template"` for
      the text of gpt-oss's published chat template. That one has its own rules for the cutoff and the reasoning, so
      `knowledge_cutoff` and `keep_analysis` do nothing there; without `current_date` it names today.
    - `continue_final_message`: leave the last frame open, for the model to continue its text (a prefill). The last
      message must be the assistant's. `next_role` is ignored.
    - `strict`: refuse what would be a note on the prompt, such as text of a tool that `openai_harmony` or
      `chat_template` do not escape.

    Raises `RenderError` for what has no place in the format, and `TypeError` for wrong types.
    """
    options: dict[str, Any] = {
        "tools": _listed(tools),
        "builtin_tools": _listed(builtin_tools),
        "instructions": instructions,
        "response_format": response_format,
        "reasoning_effort": reasoning_effort,
        "current_date": _date(current_date, dialect),
        "identity": identity,
        "knowledge_cutoff": knowledge_cutoff,
        "next_role": next_role,
        "keep_analysis": keep_analysis,
        "dialect": dialect,
        "continue_final_message": continue_final_message,
        "strict": strict,
    }
    read = tuple(_messages(messages, dialect))
    settings = options
    if response_format is not None:
        settings = {**options, "response_format": read_response_format(response_format)}
    return Prompt(_core.render(read, settings), read, options)


def _listed(values: Any) -> Any:
    """A list of an iterable, which may be an iterator or change later; else unchanged, for the core to reject."""
    if isinstance(values, tuple):
        return values
    if isinstance(values, list):
        return values.copy()
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str | Mapping) else values


def _rendered(messages: tuple[Message, ...], options: dict[str, Any]) -> Prompt:
    """Of a pickled prompt: its messages and options, rendered again."""
    return render(messages, **options)


@dataclass(frozen=True, slots=True)
class Training:
    """A conversation as a training sample."""

    ids: list[int]
    """The token ids; a final answer at the end is ended by `<|return|>`."""
    weights: list[int]
    """The loss mask: for each id 1 if the assistant writes it, else 0."""
    spans: tuple[tuple[int, int], ...]
    """For each message its range `(start, end)` in `ids`."""


def render_training(
    messages: Messages,
    *,
    tools: Tools = (),
    builtin_tools: Iterable[Literal["browser", "python"]] = (),
    instructions: str | None = None,
    response_format: Mapping[str, Any] | None = None,
    reasoning_effort: Effort = "medium",
    current_date: str | datetime.date | None = None,
    identity: str = _IDENTITY,
    knowledge_cutoff: str | None = "2024-06",
    keep_analysis: KeepAnalysis = "all",
    dialect: Dialect = "motet",
    strict: bool = False,
) -> Training:
    """The training sample of a conversation: as `render`, but the reasoning of every turn is kept, unless
    `keep_analysis` says otherwise, and a final answer at the end is ended by `<|return|>`.
    """
    ids, weights, spans = _core.render_training(
        _messages(messages, dialect),
        tools=tools,
        builtin_tools=builtin_tools,
        instructions=instructions,
        response_format=read_response_format(response_format),
        reasoning_effort=reasoning_effort,
        current_date=_date(current_date, dialect),
        identity=identity,
        knowledge_cutoff=knowledge_cutoff,
        keep_analysis=keep_analysis,
        dialect=dialect,
        strict=strict,
    )
    return Training(ids, weights, spans)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Frames on the wire."""

    ids: list[int]
    """The token ids."""
    text: str
    """The same with its markers spelled."""


def render_frames(frames: Iterable[Frame]) -> Rendered:
    """The wire of frames, exactly as they are: `render_frames(frames(ids)).ids == ids` for well-formed ids.

    A frame whose `stop` is `None` gets no stop token, an `implied` one no `<|start|>`, and a frame with nothing but a
    role is the tail of a prompt. Raises `RenderError` for header values that the format has no place for.
    """
    if not isinstance(frames, Iterable):
        raise TypeError(f"frames must be a list of frames, not {type(frames).__name__}")
    return Rendered(*_core.render_frames(list(frames)))


def _messages(messages: Messages, dialect: Dialect) -> list[Message]:
    return to_messages(messages, unnamed_results=dialect == "chat_template")


def _date(value: object, dialect: Dialect) -> str | None:
    if value is None and dialect == "chat_template":
        return datetime.date.today().isoformat()
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime.date):
        return value.isoformat()[:10]
    raise TypeError(f"current_date must be a date or a str as '2025-06-28', not {type(value).__name__}")


def read_response_format(value: Mapping[str, Any] | None) -> tuple[str, str | None, Any] | None:
    """Name, description and schema of a response format as OpenAI writes it; `None` for plain text."""
    match value:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return ("json_object", "Any JSON object.", {"type": "object"})
        case {"type": "json_schema", "json_schema": {"name": str(name), "schema": schema} as inner}:
            return (name, inner.get("description"), schema)
    form = '{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}}'
    raise TypeError(f"response_format must be {form}, not {value!r:.200}")
