"""The raw lanes: a rendered prompt out, token ids or text with markers back, through motet's own parser.

For servers that return harmony as the model wrote it: vLLM, SGLang and llama.cpp.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from motet import _core
from motet._core import Event, StreamParser
from motet.backend import COMPLETE_REASONS, Request
from motet.errors import RenderError
from motet.harmony import Prompt, render
from motet.message import Completion
from motet.together.constraint import constraint, is_constrained, response_format
from motet.together.lanes.token_ids import VERBOSE, LostIds, choice_ids, choice_logprobs
from motet.together.services import Service

__all__ = ["RawLane", "body", "prefix_header", "prompt", "prompt_ids"]

RETURN, _, CALL = _core.STOP_TOKENS
_STOP_MARKERS = {token: _core.decode([token]) for token in (RETURN, CALL)}
_FIRST_MARKER = min(_core.SPECIAL_TOKENS.values())
_FINAL = f"{_core.MARKERS['channel']}final{_core.MARKERS['message']}"
_NEXT_FRAME = f"{_core.MARKERS['end']}{_core.MARKERS['start']}assistant"


_MISCOUNTED = "the server sent more or fewer log-probabilities than tokens: those of the chunk are taken as unknown"


def prompt(request: Request, *, sampled: bool = False) -> Prompt:
    """The prompt of a request, as motet renders it. `sampled`: with the ids of `request.sampled` in their places, for a
    service that takes ids. Raises `RenderError`."""
    return render(
        request.messages,
        tools=request.tools,
        builtin_tools=request.builtin_tools,
        response_format=response_format(request),
        reasoning_effort=request.reasoning_effort or "medium",
        current_date=request.current_date,
        sampled=request.sampled if sampled else None,
    )


def prefix_header(request: Request, service: Service) -> str:
    """What opens the answer behind `request.prefix`: the end of the frame that this is in, and the header of a final
    answer. Without its channel where a grammar enforces that; and without a start behind an empty prefix, because the
    prompt ends with one."""
    if request.prefix is None:
        return ""
    return (_NEXT_FRAME if request.prefix else "") + ("" if is_constrained(request, service) else _FINAL)


def prompt_ids(request: Request, rendered: Prompt, service: Service) -> list[int]:
    """The ids of the prompt, with the beginning of the answer and its header behind the conversation."""
    prefix = request.prefix
    if prefix is None:
        return rendered.ids
    return [*rendered.ids, *_prefix_ids(prefix), *_core.encode(prefix_header(request, service), special="token")]


def _prefix_ids(prefix: array[int] | str) -> list[int]:
    return _core.encode(prefix, special="token") if isinstance(prefix, str) else list(prefix)


def _prefix_text(prefix: array[int] | str) -> str:
    return prefix if isinstance(prefix, str) else _core.decode(list(prefix))


def body(
    request: Request,
    rendered: Prompt,
    ids: list[int],
    lane: Literal["ids", "text"],
    service: Service,
    context: int | None,
) -> dict[str, Any]:
    """The body of a request to `/v1/completions`. `ids`: those of `prompt_ids`. `context`: tokens of prompt and answer
    together, if known.

    Raises `RenderError` if the lane cannot carry the prompt, and `ConfigError` for a `tool_choice` that the tools do
    not allow.
    """
    own_stops = request.sampling.get("stop") or []
    own_stops = [own_stops] if isinstance(own_stops, str) else list(own_stops)
    body: dict[str, Any] = {"model": request.model, **request.sampling, **service.raw_keys}
    body |= constraint(request, lane, service)
    id_prompt = service.takes_id_prompts and (lane == "ids" or service.raw_lane is not None)
    # Servers tokenize texts with rules of their own: llama.cpp splits Devanagari and Thai at their vowel signs.
    body["prompt"] = ids if id_prompt else _prompt_text(request, rendered, ids, service)
    if lane == "ids" and id_prompt:
        # Stop tokens as ids: as texts the server would look for them in text without markers.
        body |= {"stop_token_ids": list(rendered.stop_ids), **service.id_keys}
    else:
        body["stop"] = [*_STOP_MARKERS.values(), *own_stops]
        if lane == "ids":
            # Together sends ids with the logprobs.
            body.setdefault("logprobs", 1)
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    elif service.completion_tokens is not None and context is not None:
        # The server refuses a prompt that leaves no room, which is its error to report.
        room = context - len(ids)
        body["max_tokens"] = max(room - min(service.spare_tokens, room // 2), 1)
    return body


def _prompt_text(request: Request, rendered: Prompt, ids: list[int], service: Service) -> str:
    """The prompt as text. Raises `RenderError` if its content quotes control tokens, which then would be structure."""
    text = rendered.text
    if request.prefix is not None:
        text += _prefix_text(request.prefix) + prefix_header(request, service)
    read_ids = _core.encode(text, special="token")
    # Other tokens may differ: those that a model samples are not always those that the text gives.
    if read_ids != ids and _markers(read_ids) != _markers(ids):
        raise RenderError(
            "the conversation quotes control tokens; in the text lane the server would take them for structure. "
            "Use lane='ids', or take them out"
        )
    return text


def _markers(ids: Sequence[int]) -> list[int]:
    return [token for token in ids if token >= _FIRST_MARKER]


class RawLane:
    """Reads choices of completion objects: token ids where the server sends them, else text.

    `prefix`, `header`: `Request.prefix` and what stands behind it in the prompt. The answer is read as a whole, from
    when more of it arrives, and the first events are those of the header.
    """

    def __init__(
        self,
        lane: Literal["ids", "text"],
        tools: Any,
        turn: int = 0,
        prefix: array[int] | str | None = None,
        header: str = _NEXT_FRAME + _FINAL,
    ) -> None:
        self.lane: Literal["ids", "text"] = lane
        self._parser = StreamParser(tools=tools, turn=turn)
        self._open_kind: str | None = None
        """Kind of the frame that is being written."""
        self._ids: list[int] = []
        self._logprobs: list[float] | None = None
        """Of the ids behind the prefix. `None`: none came so far."""
        self._texts: list[str] = []
        self._prefix = prefix
        self._header = header
        self._prefix_length = 0
        self.prefix_tokens: dict[str, int] = {}
        self._lost_ids = LostIds()
        self.notes: list[str] = []

    def read(self, choice: Mapping[str, Any]) -> list[Event]:
        """The events of a choice. Raises `ValueError`, which names the wrong field."""
        text = choice.get("text")
        delta = choice.get("delta")
        if text is None and isinstance(delta, Mapping):
            text = delta.get("content")
        if text is not None and not isinstance(text, str):
            raise ValueError(f"text must be a text, not {type(text).__name__}")
        if self.lane == "text":
            return self._feed_text(text) if text else []
        ids = choice_ids(choice)
        if ids is None or (text and not ids and not self._ids):
            if not text:
                return []
            if self._ids:
                raise ValueError("token ids came for the beginning of the answer, and for a later chunk none did")
            self.notes.append("the server sent no token ids, so its text was read")
            self.lane = "text"
            return self._feed_text(text)
        if not ids:
            return []
        if VERBOSE in choice:
            ids = self._lost_ids.restore(ids, text or "")
        header_events = self._feed_prefix()
        self._add_logprobs(choice_logprobs(choice), len(ids))
        return header_events + self._feed_ids(ids)

    def _feed_ids(self, ids: list[int]) -> list[Event]:
        header_events = self._feed_prefix()
        self._ids += ids
        return header_events + self._track(self._parser.feed(ids))

    def _feed_text(self, text: str) -> list[Event]:
        header_events = self._feed_prefix()
        self._texts.append(text)
        return header_events + self._track(self._parser.feed(text))

    def _feed_prefix(self) -> list[Event]:
        """The events of the final header, the first time."""
        prefix, self._prefix = self._prefix, None
        if prefix is None:
            return []
        header_ids = _core.encode(self._header, special="token")
        if self.lane == "text":
            self._feed_text(_prefix_text(prefix))
        else:
            self._feed_ids(_prefix_ids(prefix))
        # Exact, because the header begins with a marker: the content before it is the same tokens as in the whole.
        self.prefix_tokens = self._parser.completion.tokens
        self.prefix_tokens["markup"] += len(header_ids)
        if self.lane == "text":
            return self._feed_text(self._header)
        events = self._feed_ids(header_ids)
        self._prefix_length = len(self._ids)
        return events

    def _add_logprobs(self, logprobs: list[float] | None, count: int) -> None:
        """Keeps those of the next `count` ids."""
        if logprobs is not None and len(logprobs) != count:
            if _MISCOUNTED not in self.notes:
                self.notes.append(_MISCOUNTED)
            logprobs = [math.nan] * count
        if logprobs is not None and self._logprobs is None:
            self._logprobs = [math.nan] * (len(self._ids) - self._prefix_length)
        if self._logprobs is not None:
            self._logprobs += logprobs or [math.nan] * count

    def _track(self, events: list[Event]) -> list[Event]:
        for event in events:
            if event.type == "start":
                self._open_kind = event.kind
            elif event.type == "end":
                self._open_kind = None
        return events

    def close(self, finish: str | None, stop_reason: object) -> list[Event]:
        """The events of the end. Most servers remove the stop token and report it in the finish reason: it is put
        back."""
        events = [] if finish is None else self._feed_prefix()
        token = self._removed_stop_token(finish, stop_reason)
        if token is not None:
            if self.lane == "ids":
                self._add_logprobs(None, 1)
            events += self._feed_ids([token]) if self.lane == "ids" else self._feed_text(_STOP_MARKERS[token])
        return events + self._track(self._parser.close())

    def _removed_stop_token(self, finish: str | None, stop_reason: object) -> int | None:
        if (
            finish not in COMPLETE_REASONS
            or self._open_kind is None
            or (self._ids and self._ids[-1] in _core.STOP_TOKENS)
        ):
            return None
        for token, marker in _STOP_MARKERS.items():
            if stop_reason in (token, marker):
                return token
        if isinstance(stop_reason, str) and self._open_kind == "tool_call":
            # A stop string of the caller's ended the call in the middle.
            return None
        # Calls end with `<|call|>`, and only calls do.
        return CALL if self._open_kind == "tool_call" else RETURN

    @property
    def sampled(self) -> array[int] | None:
        """The ids of the answer. `None`: it came as text, or with numbers outside of the vocabulary."""
        is_sampled = self.lane == "ids" and self._ids and min(self._ids) >= 0 and max(self._ids) < _core.VOCAB_SIZE
        return array("I", self._ids) if is_sampled else None

    @property
    def new_ids(self) -> array[int] | None:
        """`sampled` without the prefix and the header behind it."""
        sampled = self.sampled
        return None if sampled is None else sampled[self._prefix_length :]

    @property
    def logprobs(self) -> array[float] | None:
        """For each of `new_ids` its log-probability, NaN where it is unknown. `None`: the server sent none."""
        return None if self._logprobs is None else array("d", self._logprobs)

    @property
    def raw_text(self) -> str | None:
        """The answer as text with markers. `None`: it came as ids."""
        return "".join(self._texts) if self.lane == "text" else None

    @property
    def completion(self) -> Completion:
        """The completion so far."""
        return self._parser.completion
