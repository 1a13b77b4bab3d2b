"""gpt-oss as a renderer of PrimeIntellect's `renderers`, which verifiers and prime-rl train with.

config = renderers.CustomRendererConfig(import_path="motet.integrations.renderers.MotetRenderer")
renderer = renderers.create_renderer(tokenizer, config)
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, Literal, cast

from renderers import (
    BaseRendererConfig,
    ParsedResponse,
    ParsedToolCall,
    RenderedTokens,
    ToolCallParseStatus,
    extract_message_tool_names,
)
from renderers.base import resolve_thinking_retention, should_rerender_for_thinking_retention
from renderers.configs import ResolvedThinkingRetention

from motet import _core
from motet._core import MARKERS
from motet.dialects.chat import to_messages
from motet.errors import ConfigError, InvalidArgumentsError, RenderError
from motet.harmony import Attribution, Prompt, render
from motet.message import DeveloperContent, Frame, Message, Preamble, Reasoning, Text, ToolCall

__all__ = ["MotetRenderer", "MotetRendererConfig"]

_IDS = {name: _core.encode(spelling, special="token")[0] for name, spelling in MARKERS.items()}
_STOPS = frozenset(_core.STOP_TOKENS)
_TURN_START = [_IDS["start"], *_core.encode("assistant")]
_CONTENT_FLAGS = bytes([kind == Attribution.CONTENT for kind in range(256)])
_INSTRUCTIONS = b"# Instructions\n\n"


class MotetRendererConfig(BaseRendererConfig):
    """Settings of `MotetRenderer`: the fields beside `import_path` of a `renderers.CustomRendererConfig`."""

    name: Literal["motet"] = "motet"
    reasoning_effort: Literal["low", "medium", "high"] = "medium"
    conversation_start_date: str | None = None
    """The date in the prompt, as `2026-11-21`. `None`: the prompt names none."""
    knowledge_cutoff: str | None = "2024-06"
    """`None`: the prompt names none."""
    model_identity: str | None = None
    """The first line of the system text. `None`: that of ChatGPT, which gpt-oss is trained with."""
    keep_analysis: Literal["turn", "all"] = "turn"
    """`"turn"`: a full render drops the reasoning of turns that are followed by a user's message, as gpt-oss is served.
    `"all"`: it keeps all reasoning."""
    dialect: Literal["motet", "openai_harmony"] = "motet"
    """The dialect of `motet.render`."""

    _template_fields = frozenset({"reasoning_effort", "conversation_start_date"})
    _internal_fields = frozenset({"knowledge_cutoff", "model_identity", "keep_analysis", "dialect"})


class MotetRenderer:
    """A `renderers.Renderer` of gpt-oss over motet's core.

    A tokenizer is not needed; one that is given must have gpt-oss's special tokens, else `ConfigError` is raised.
    Instances are immutable and may be shared by threads.
    """

    config_class = MotetRendererConfig
    is_prefix_stable = False
    """The last answer of a full render ends with `<|return|>`, which is `<|end|>` where messages follow."""

    def __init__(self, tokenizer: Any = None, config: MotetRendererConfig | None = None) -> None:
        self.config = config if config is not None else MotetRendererConfig()
        implied: ResolvedThinkingRetention = "all" if self.config.keep_analysis == "all" else "tool_cycle"
        self.effective_thinking_retention = resolve_thinking_retention(self.config, implied)
        self._options: dict[str, Any] = {
            "reasoning_effort": self.config.reasoning_effort,
            "current_date": self.config.conversation_start_date,
            "knowledge_cutoff": self.config.knowledge_cutoff,
            "dialect": self.config.dialect,
            **({} if self.config.model_identity is None else {"identity": self.config.model_identity}),
        }
        if tokenizer is not None:
            _check_tokenizer(tokenizer)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
    ) -> RenderedTokens:
        """The ids of a conversation and what each is to it.

        - `message_indices`: the message; -1 for the system frame, for a developer frame that holds tools alone, and for
          the header that ends a prompt.
        - `sampled_mask`: what the model writes: of a message of the assistant all but the first `<|start|>assistant`,
          and those behind `<|call|>`, at which sampling ends. So channels, recipients and stop tokens are in it.
        - `is_content`: the same for the assistant's frames; of other messages their own text.

        An answer at the end is ended by `<|return|>`. Raises `ValueError` without messages, and `motet.RenderError` for
        what the format has no place for, such as images.
        """
        read, owners, prompt = self._prompt(messages, tools, add_generation_prompt)
        sampled, contents = _masks(prompt, read)
        return RenderedTokens(
            token_ids=prompt.ids if add_generation_prompt else prompt._native.training_ids(),
            message_indices=_indices(prompt, owners),
            sampled_mask=_flags(sampled),
            is_content=_flags(contents),
            **_described(messages),
        )

    def render_ids(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
    ) -> list[int]:
        """The `token_ids` of `render`."""
        _, _, prompt = self._prompt(messages, tools, add_generation_prompt)
        return prompt.ids if add_generation_prompt else prompt._native.training_ids()

    def _prompt(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None, opens_turn: bool
    ) -> tuple[list[Message], list[int], Prompt]:
        """The messages as motet's, the index of the caller's message for each of them, and the prompt."""
        if not messages:
            raise ValueError("messages must not be empty")
        read, owners = _read(messages)
        prompt = render(
            _without_ended_reasoning(read) if self.config.keep_analysis == "turn" else read,
            tools=tools or (),
            next_role="assistant" if opens_turn else None,
            keep_analysis="all",
            **self._options,
        )
        return read, owners, prompt

    def parse_response(
        self,
        token_ids: Sequence[int],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        prompt_ids: Sequence[int] | None = None,
    ) -> ParsedResponse:
        """What the model wrote, read by motet's tolerant parser: the answer and what was said before calls as
        `content`, each call with the span of its frame in `token_ids`.

        Without `prompt_ids`, the completion begins behind `<|start|>assistant`.
        """
        # Of what the prompt has of the first frame, the header alone: its text is not the completion's.
        opened = _header(_opened(prompt_ids) or [])
        ids = [*opened, *token_ids]
        opens_turn = ids[:1] != [_IDS["start"]]
        completion = _core.parse(ids, role="assistant" if opens_turn else None, tools=list(tools or ()))
        last = completion.frames[-1] if completion.frames else None
        is_open = last is not None and _is_unfinished_reasoning(last)
        spans = self._part_spans(ids, tools, opens_turn) if completion.tool_calls else {}
        parts = completion.message.content
        return ParsedResponse(
            content="".join([part.text for part in parts if isinstance(part, Preamble | Text)]),
            reasoning_content=completion.reasoning or ("" if is_open else None),
            tool_calls=[
                _parsed_call(part, spans[index], len(opened))
                for index, part in enumerate(parts)
                if isinstance(part, ToolCall)
            ],
            reasoning_complete=not is_open,
        )

    def _part_spans(
        self, ids: Sequence[int], tools: Sequence[Mapping[str, Any]] | None, opens_turn: bool
    ) -> dict[int, tuple[int, int]]:
        """For each part of a completion, its range in the ids."""
        start = self._turn_start(tools, opens_turn=opens_turn)
        parts = start.extend_ids(ids).attribution.parts[len(start) : len(start) + len(ids)]
        spans: dict[int, tuple[int, int]] = {}
        for place, part in enumerate(parts):
            spans[part] = (spans.get(part, (place,))[0], place + 1)
        return spans

    def _turn_start(self, tools: Sequence[Mapping[str, Any]] | None, *, opens_turn: bool) -> Prompt:
        """A short prompt, behind which a completion and the next messages are rendered as behind any other."""
        next_role: Literal["assistant"] | None = "assistant" if opens_turn else None
        return render([Message("user", (Text(""),))], tools=tools or (), next_role=next_role, **self._options)

    def get_stop_token_ids(self) -> list[int]:
        """`<|return|>` and `<|call|>`."""
        return [_IDS["return"], _IDS["call"]]

    def bridge_to_next_turn(
        self,
        previous_prompt_ids: Sequence[int],
        previous_completion_ids: Sequence[int],
        new_messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> RenderedTokens | None:
        """The prompt of the next step: all ids of the prompt and of the completion, whatever they are, a stop token if
        the completion ends within a frame, the new messages, and `<|start|>assistant`.

        Only what is appended is rendered. Results of tools need no name: they answer the sampled calls in their order.
        `None`, for which the caller renders the whole conversation: without a prompt or new messages, with new messages
        of the assistant, at a user's message unless reasoning is kept, behind reasoning that `<|return|>` ends, and for
        messages that cannot be rendered.
        """
        if not previous_prompt_ids or not new_messages:
            return None
        if any(message.get("role") == "assistant" for message in new_messages):
            return None
        if should_rerender_for_thinking_retention(self.effective_thinking_retention, list(new_messages)):  # type: ignore[arg-type]
            return None
        opened = _opened(previous_prompt_ids)
        start = self._turn_start(tools, opens_turn=opened is not None)
        sampled = [*(opened or ()), *previous_completion_ids]
        if _IDS["return"] in previous_completion_ids and _is_unfinished_reasoning(_core.parse(sampled).frames[-1]):
            return None
        try:
            read, owners = _read(new_messages)
            prompt = start.extend_ids(sampled, read)
        except RenderError:
            return None
        place = len(start) + len(sampled)
        tail = [] if opened is not None else _TURN_START
        earlier = len(prompt.spans) - len(read)
        previous = [*previous_prompt_ids, *previous_completion_ids]
        ids = previous + prompt.ids[place:] + tail
        _, contents = _masks(prompt, read, earlier)
        return RenderedTokens(
            token_ids=ids,
            message_indices=[-1] * len(previous) + _indices(prompt, owners, earlier)[place:] + [-1] * len(tail),
            sampled_mask=[False] * len(ids),
            is_content=[False] * len(previous) + _flags(contents)[place:] + [False] * len(tail),
            **_described(new_messages),
        )


def _described(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `RenderedTokens` says of each message."""
    names = extract_message_tool_names(list(messages))  # type: ignore[arg-type]
    return {"message_roles": [message.get("role") or "" for message in messages], "message_tool_names": names}


def _read(messages: Sequence[Mapping[str, Any]]) -> tuple[list[Message], list[int]]:
    """The messages as motet's, and for each the index of the one that it is read from."""
    read = to_messages(messages, unnamed_results=True)
    if len(read) == len(messages):
        return read, list(range(len(read)))
    each = [to_messages([message], unnamed_results=True) for message in messages]
    return [part for parts in each for part in parts], [index for index, parts in enumerate(each) for _ in parts]


def _without_ended_reasoning(messages: list[Message]) -> list[Message]:
    """The messages without the reasoning of turns that a user's message follows. `render` drops that of an answered
    turn at the end, too, which is what a training sample is about."""
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    answered = [
        index
        for index, message in enumerate(messages[: users[-1] if users else 0])
        if any(isinstance(part, Text) for part in message.content) and message.role == "assistant"
    ]
    ended = answered[-1] + 1 if answered else 0
    return [
        replace(message, content=tuple([part for part in message.content if not isinstance(part, Reasoning)]))
        for message in messages[:ended]
    ] + messages[ended:]


def _indices(prompt: Prompt, owners: list[int], first: int = 0) -> list[int]:
    """For each id the caller's index of its message; the prompt's message `first` is the first of `owners`."""
    indices = prompt.attribution.messages.tolist()
    if not first and owners == list(range(len(owners))):
        return indices
    return [owners[index - first] if index >= first else -1 for index in indices]


def _masks(prompt: Prompt, messages: Sequence[Message], first: int = 0) -> tuple[bytearray, bytearray]:
    """For each id of a prompt whether the model writes it, and whether it is what a message says: of `messages`, which
    are those of the prompt from `first` on."""
    origin, ids = prompt.attribution, prompt.ids
    sampled, kinds = bytearray(origin.sampled), bytes(origin.kinds)
    contents = bytearray(len(ids))
    for message, (start, end) in zip(messages, prompt.spans[first:], strict=True):
        if message.role == "assistant":
            _add_inner_headers(sampled, ids, start, end)
            contents[start:end] = sampled[start:end]
        elif message.role == "developer":
            for part in message.content:
                if isinstance(part, DeveloperContent):
                    places = _instruction_places(ids[start:end], part.instructions)
                    contents[start + places.start : start + places.stop] = b"\1" * len(places)
        else:
            contents[start:end] = kinds[start:end].translate(_CONTENT_FLAGS)
    return sampled, contents


def _add_inner_headers(sampled: bytearray, ids: list[int], start: int, end: int) -> None:
    """Marks `<|start|>assistant` behind `<|end|>` within a message: sampling goes on there, and the model writes it."""
    place = sampled.find(1, start, end)
    while place >= 0 and (place := sampled.find(0, place, end)) >= 0:
        following = sampled.find(1, place, end)
        if ids[place - 1] == _IDS["end"] and following >= 0:
            sampled[place:following] = b"\1" * (following - place)
        place = following


def _flags(mask: bytearray) -> list[bool]:
    return cast("list[bool]", memoryview(mask).cast("?").tolist())


def _instruction_places(frame: list[int], instructions: str | None) -> range:
    """Where the instructions stand in a developer's frame, among headings and tools; empty without instructions."""
    pieces = [_core.decode_bytes([token]) for token in frame]
    ends = list(accumulate(map(len, pieces)))
    body = b"".join(pieces)
    text = (instructions or "").encode()
    at = body.find(text, body.find(_INSTRUCTIONS) + len(_INSTRUCTIONS))
    if not text or at < 0:
        return range(0)
    return range(bisect.bisect_right(ends, at), bisect.bisect_left(ends, at + len(text)) + 1)


def _opened(prompt_ids: Sequence[int] | None) -> list[int] | None:
    """What a prompt ends with behind `<|start|>assistant`, mostly nothing. `None`: it does not end in a message of the
    assistant."""
    ids = prompt_ids or ()
    # From the end, where it mostly is: the prompt may be long.
    start = next((place for place in reversed(range(len(ids))) if ids[place] == _IDS["start"]), None)
    if start is None:
        return None
    tail = list(ids[start:])
    is_open = tail[: len(_TURN_START)] == _TURN_START and not _STOPS & set(tail)
    return tail[len(_TURN_START) :] if is_open else None


def _header(ids: list[int]) -> list[int]:
    return ids[: ids.index(_IDS["message"]) + 1] if _IDS["message"] in ids else ids


def _is_unfinished_reasoning(frame: Frame) -> bool:
    """Whether a completion's last frame is reasoning that the model has not ended: `<|return|>` ends an answer."""
    return frame.channel == "analysis" and frame.recipient is None and frame.stop not in ("end", "call")


def _parsed_call(call: ToolCall, span: tuple[int, int], opened: int) -> ParsedToolCall:
    """`opened`: how many ids before the completion the prompt has of the frame."""
    arguments, status = _read_arguments(call)
    start, end = max(span[0] - opened, 0), max(span[1] - opened, 0)
    return ParsedToolCall(call.arguments, call.name or None, arguments, (start, end), status)


def _read_arguments(call: ToolCall) -> tuple[dict[str, Any] | str, ToolCallParseStatus]:
    """The arguments as a dict, else as written, and what is wrong with the call. What is addressed to the built-in tool
    `python` is code."""
    value: Any = call.arguments
    if call.recipient != "python":
        try:
            value = call.args()
        except InvalidArgumentsError:
            return call.arguments, ToolCallParseStatus.INVALID_JSON
        if not isinstance(value, dict):
            return call.arguments, ToolCallParseStatus.MALFORMED_STRUCTURE
    if call.stop is None:
        return value, ToolCallParseStatus.UNCLOSED_BLOCK
    return value, ToolCallParseStatus.OK if call.name else ToolCallParseStatus.MISSING_NAME


def _check_tokenizer(tokenizer: Any) -> None:
    for name, spelling in MARKERS.items():
        token = tokenizer.convert_tokens_to_ids(spelling)
        if token != _IDS[name]:
            raise ConfigError(f"not a tokenizer of gpt-oss: it has {token!r} for {spelling}, not {_IDS[name]}")
