"""Prompts: conversations in, token ids out. (Completions come in through the native `parse` and `StreamParser`.)

Here arguments of many shapes become the few that the core takes; what a prompt looks like is decided there.
"""

from __future__ import annotations

import datetime
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from motet import _core
from motet._core import MARKERS
from motet.dialects.chat import to_messages
from motet.harmony.attribution import Attribution, LossTokens
from motet.message import Frame, Message, Note, Role
from motet.schema.builtin_functions import BuiltinTool

__all__ = [
    "Attribution",
    "LossTokens",
    "Prompt",
    "Rendered",
    "Tools",
    "Training",
    "TrainingSample",
    "read_response_format",
    "render",
    "render_frames",
    "render_training",
]

Messages: TypeAlias = Iterable[Message | Mapping[str, Any]]
Tools: TypeAlias = Sequence[Any]
Effort: TypeAlias = Literal["low", "medium", "high"]
KeepAnalysis: TypeAlias = Literal["turn", "all", "none", "openai_harmony"]
Dialect: TypeAlias = Literal["motet", "openai_harmony", "oss_harmony", "chat_template"]

_IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."


class Prompt:
    """A rendered conversation: a value. Made by `render`; `extend` and `extend_ids` make longer ones."""

    __slots__ = ("_attribution", "_first", "_native", "_options", "_steps")

    def __init__(
        self,
        native: _core.Prompt,
        options: Mapping[str, Any] | None = None,
        first: _core.Prompt | None = None,
        steps: _Steps | None = None,
    ) -> None:
        self._native = native
        # Not copied: no method changes it.
        self._options = options or {}
        self._first = first or native
        """The prompt before the first of the steps."""
        self._steps = steps
        """What was appended since a completion's ids were: linked, so that appending copies no history."""
        self._attribution: Attribution | None = None

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
        header = self._native.opened
        return None if header is None else header.removeprefix(MARKERS["start"] + "assistant")

    @property
    def attribution(self) -> Attribution:
        """For each id the message and the part that it is from, what it is to them, and whether it was sampled. Made at
        the first read; takes linear time."""
        if self._attribution is None:
            self._attribution = Attribution.of(self._native)
        return self._attribution

    def loss_mask(self, tokens: LossTokens = "assistant") -> array[int]:
        """1 for each id to train on, else 0, as an `array.array("B")`.

        `tokens`: `"assistant"`: all frames of the assistant; `"final"`: the answers alone; `"without_reasoning"`: all
        frames but the reasoning; `"calls"`: the tool calls alone. Of a frame, the mask has what the model writes: the
        header from `<|channel|>` on, the content and the stop token. `<|start|>` and the role are not in it, and
        neither are stop tokens that `extend_ids` adds.
        """
        return self._native.loss_mask(tokens)

    def extend(self, messages: Messages = (), **changes: Any) -> Prompt:
        """The prompt with more messages at its end.

        Equals rendering all of them with the same options, but encodes only what is new or changed. `changes` are
        options of `render` that are different from here on, such as `tools` or `reasoning_effort`; with them the whole
        prompt is rendered anew.
        """
        if changes:
            options = {**self._options, **changes}
            more = _messages(messages, options.get("dialect"))
            if self._steps is None:
                return render([*self._first.messages(), *more], **options)
            return _replayed(self._first.messages(), options, self._step_list()).extend(more)
        if isinstance(messages, list | tuple) and not messages:
            return self
        native = _native(self._native.extend, messages, self._options.get("dialect"))
        if self._steps is None:
            return Prompt(native, self._options)
        return Prompt(native, self._options, self._first, _Steps(self._steps, None, native, False))

    def extend_ids(
        self, sampled: Iterable[int], messages: Messages = (), *, continue_final_message: bool = False
    ) -> Prompt:
        """The prompt with what a model sampled for it, id for id, and with the messages that follow.

        - `sampled`: the completion's ids as the server sent them, with or without the stop token. All of them stay,
          whatever they are; if they end within a frame, `<|end|>` or, within a call, `<|call|>` follows. They are one
          message of the assistant, as `parse` reads it; they continue the last message if the prompt has it open.
        - `messages`: what follows, mostly tool results or the user's next message. A result whose id and name are
          unknown answers the sampled calls in their order.
        - `continue_final_message`: leave the last of `messages`, which must be the assistant's, open for the model to
          continue.

        All ids of the prompt stay, too: no reasoning is dropped, whatever `keep_analysis` is, here and in later calls
        of `extend` without changes. So a server's cache of the prompt and of what it generated remains valid, and the
        time does not depend on the length of the history. Raises `RenderError` as `render` does, and `ValueError` for
        numbers outside of 0 to 201087.
        """
        ids = _id_array(sampled)
        native = _native(
            lambda items: self._native.extend_ids(ids, items, continue_final_message),
            messages,
            self._options.get("dialect"),
        )
        steps = _Steps(self._steps, ids, native, continue_final_message)
        return Prompt(native, self._options, self._first, steps)

    def _step_list(self) -> list[_Steps]:
        steps, last = [], self._steps
        while last is not None:
            steps.append(last)
            last = last.earlier
        return steps[::-1]

    def __copy__(self) -> Prompt:
        return self

    def __deepcopy__(self, memo: object) -> Prompt:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Tools may be functions of the caller's, which do not pickle; their dicts say the same.
        tools = [tool.to_dict() if hasattr(tool, "to_dict") else tool for tool in self._options.get("tools", ())]
        steps = [(step.sampled, step.prompt.messages(), step.continues) for step in self._step_list()]
        return (_rendered, (self._first.messages(), {**self._options, "tools": tools}, steps))

    def __len__(self) -> int:
        return len(self._native)

    def __eq__(self, other: object) -> bool:
        return self.ids == other.ids if isinstance(other, Prompt) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.ids))

    def __repr__(self) -> str:
        return f"Prompt({len(self)} ids, {len(self.spans)} messages)"


class _Steps(NamedTuple):
    """Something that was appended to a prompt, behind `earlier` steps."""

    earlier: _Steps | None
    sampled: array[int] | None
    prompt: _core.Prompt
    """The prompt with this step: it has the messages of the step."""
    continues: bool


def _id_array(sampled: Iterable[int]) -> array[int]:
    """The ids as an array of their own. Raises `TypeError` or `ValueError` for anything else."""
    if isinstance(sampled, str | bytes | bytearray) or not isinstance(sampled, Iterable):
        raise TypeError(f"sampled must be token ids, not {type(sampled).__name__}")
    ids = list(sampled)
    try:
        return array("I", ids)
    except OverflowError:
        at, number = next(item for item in enumerate(ids) if not 0 <= item[1] < _core.VOCAB_SIZE)
        last = _core.VOCAB_SIZE - 1
        raise ValueError(f"unknown token id {number} at index {at}: ids are 0 to {last}") from None


def render(
    messages: Messages,
    *,
    tools: Tools = (),
    builtin_tools: Iterable[BuiltinTool] = (),
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
    sampled: Mapping[int, Iterable[int]] | None = None,
) -> Prompt:
    """The prompt of a conversation.

    - `messages`: `Message`s and OpenAI chat dicts, mixed freely. A system or developer message at the front is
      joined with `instructions` and `tools`. A `SystemContent` at the front stands in place of the system text.
    - `tools`: OpenAI tool dicts, tools made with `motet.tool`, or names of tools without parameters.
    - `builtin_tools`: tools that the models were trained with: `"browser"`, `"container"`, `"python"` and
      `"repo_browser"`. The published chat template has `browser` and `python` only.
    - `response_format`: as OpenAI's `{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}}`, or
      `{"type": "json_object"}` for any JSON object.
    - `current_date`: a date, or a text as `2025-06-28`. `None`: the prompt names none.
    - `knowledge_cutoff`: one line. `None`: the prompt names none.
    - `next_role`: whose header the prompt ends with. `None`: it ends with the last message.
    - `keep_analysis`: which reasoning the model sees again. `"turn"`: that of the running turn, what stands before a
      final answer is dropped. `"all"`, `"none"`. `"openai_harmony"`: the rule of openai-harmony 0.0.8.
    - `dialect`: `"motet"`, `"openai_harmony"` or `"oss_harmony"` for the ids that openai-harmony 0.0.8 or oss-harmony
      0.0.11 gives, or `"chat_template"` for the text of gpt-oss's published chat template. That one has its own rules
      for the cutoff and the reasoning, so `knowledge_cutoff` and `keep_analysis` do nothing there; without
      `current_date` it names today.
    - `continue_final_message`: leave the last frame open, for the model to continue its text (a prefill). The last
      message must be the assistant's. `next_role` is ignored.
    - `strict`: refuse what would be a note on the prompt, such as text of a tool that `openai_harmony` or
      `chat_template` do not escape.
    - `sampled`: for messages of the assistant, by their index, the ids that a model sampled for them. They stand in the
      prompt in place of the message's own; `keep_analysis` drops whole frames of reasoning. `extend_ids` does the same
      for one answer after the other, and drops nothing.

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
    settings = options
    if response_format is not None:
        settings = {**options, "response_format": read_response_format(response_format)}
    samples = {index: _id_array(ids) for index, ids in sampled.items()} if sampled else None
    native = _native(lambda items: _core.render(items, settings, samples), messages, dialect)
    return Prompt(native, options if samples is None else {**options, "sampled": samples})


def _listed(values: Any) -> Any:
    """A list of an iterable, which may be an iterator or change later; else unchanged, for the core to reject."""
    if isinstance(values, tuple):
        return values
    if isinstance(values, list):
        return values.copy()
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str | Mapping) else values


def native_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `render` as the core takes them. Left-out ones have their defaults there."""
    dialect = options.get("dialect", "motet")
    native = {**options, "current_date": _date(options.get("current_date"), dialect)}
    for name in ("tools", "builtin_tools"):
        if name in native:
            native[name] = _listed(native[name])
    if native.get("response_format") is not None:
        native["response_format"] = read_response_format(native["response_format"])
    return native


def _rendered(
    messages: tuple[Message, ...],
    options: dict[str, Any],
    steps: Sequence[tuple[array[int] | None, tuple[Message, ...], bool]] = (),
) -> Prompt:
    """Of a pickled prompt: its messages and options rendered again, and what was appended."""
    prompt = render(messages, **options)
    for sampled, more, continues in steps:
        prompt = _appended(prompt, sampled, more, continues)
    return prompt


def _replayed(messages: tuple[Message, ...], options: Mapping[str, Any], steps: Iterable[_Steps]) -> Prompt:
    """A prompt with what was appended to it."""
    prompt = render(messages, **options)
    for step in steps:
        prompt = _appended(prompt, step.sampled, step.prompt.messages(), step.continues)
    return prompt


def _appended(prompt: Prompt, sampled: array[int] | None, messages: tuple[Message, ...], continues: bool) -> Prompt:
    if sampled is None:
        return prompt.extend(messages)
    return prompt.extend_ids(sampled, messages, continue_final_message=continues)


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """A conversation as a training sample."""

    ids: list[int]
    """The token ids; a final answer at the end is ended by `<|return|>`."""
    weights: list[int]
    """The loss mask: for each id 1 if the assistant writes it, else 0."""
    spans: tuple[tuple[int, int], ...]
    """For each message its range `(start, end)` in `ids`."""
    _prompt: Prompt = field(repr=False, compare=False, default=None)  # type: ignore[assignment]

    @property
    def attribution(self) -> Attribution:
        """Where each id is from: see `Prompt.attribution`."""
        return self._prompt.attribution

    def loss_mask(self, tokens: LossTokens = "assistant") -> array[int]:
        """1 for each id to train on, else 0: see `Prompt.loss_mask`. `"assistant"` gives the `weights`."""
        return self._prompt.loss_mask(tokens)


Training = TrainingSample
"""The earlier name."""


def render_training(
    messages: Messages,
    *,
    tools: Tools = (),
    builtin_tools: Iterable[BuiltinTool] = (),
    instructions: str | None = None,
    response_format: Mapping[str, Any] | None = None,
    reasoning_effort: Effort = "medium",
    current_date: str | datetime.date | None = None,
    identity: str = _IDENTITY,
    knowledge_cutoff: str | None = "2024-06",
    keep_analysis: KeepAnalysis = "all",
    dialect: Dialect = "motet",
    strict: bool = False,
) -> TrainingSample:
    """The training sample of a conversation: as `render`, but the reasoning of every turn is kept, unless
    `keep_analysis` says otherwise, and a final answer at the end is ended by `<|return|>`.
    """
    prompt = render(
        messages,
        tools=tools,
        builtin_tools=builtin_tools,
        instructions=instructions,
        response_format=response_format,
        reasoning_effort=reasoning_effort,
        current_date=current_date,
        identity=identity,
        knowledge_cutoff=knowledge_cutoff,
        next_role=None,
        keep_analysis=keep_analysis,
        dialect=dialect,
        strict=strict,
    )
    native = prompt._native
    return TrainingSample(native.training_ids(), list(native.loss_mask("assistant")), prompt.spans, prompt)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Frames on the wire."""

    ids: list[int]
    """The token ids."""
    text: str
    """The same with its markers spelled."""


def render_frames(frames: Iterable[Frame]) -> Rendered:
    """The wire of frames, exactly as they are. `render_frames(frames(ids)).ids == ids` for well-formed ids that are
    canonical, that is those which `encode` gives for the text between markers; models sample others now and then, which
    `Prompt.extend_ids` keeps.

    A frame whose `stop` is `None` gets no stop token, an `implied` one no `<|start|>`, and a frame with nothing but a
    role is the tail of a prompt. Raises `RenderError` for header values that the format has no place for.
    """
    if not isinstance(frames, Iterable):
        raise TypeError(f"frames must be a list of frames, not {type(frames).__name__}")
    return Rendered(*_core.render_frames(list(frames)))


def _native(
    make: Callable[[Messages], _core.Prompt | None], messages: Messages, dialect: Dialect | None
) -> _core.Prompt:
    """The prompt that `make` returns for the messages as they are if they are plain, else for those read from them."""
    prompt = make(messages)
    return prompt if prompt is not None else cast("_core.Prompt", make(_messages(messages, dialect)))


def _messages(messages: Messages, dialect: Dialect | None) -> list[Message]:
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
