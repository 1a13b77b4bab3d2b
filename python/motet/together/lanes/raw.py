"""The raw lanes: a rendered prompt out, token ids or text with markers back, through motet's own parser.

For servers that give harmony as the model wrote it: vLLM, SGLang and llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from motet import _core
from motet._core import Event, StreamParser
from motet.backend import Request
from motet.errors import RenderError
from motet.harmony import Prompt, render
from motet.message import Completion

__all__ = ["RawLane", "body", "prompt"]

RETURN, END, CALL = _core.STOP_TOKENS
_MARKERS = {RETURN: "<|return|>", CALL: "<|call|>"}


def prompt(request: Request) -> Prompt:
    """The prompt that motet itself renders."""
    schema = request.schema and {
        "type": "json_schema",
        "json_schema": {"name": request.schema_name, "schema": request.schema},
    }
    return render(
        request.messages,
        tools=request.tools,
        builtin_tools=request.builtin_tools,
        response_format=schema or None,
        reasoning_effort=request.reasoning_effort or "medium",
        current_date=request.current_date,
    )


def body(request: Request, rendered: Prompt, lane: Literal["ids", "text"], server: str) -> dict[str, Any]:
    """The arguments of the SDK's `completions.create`."""
    arguments: dict[str, Any] = {"model": request.model, "stop": list(_MARKERS.values()), **request.sampling}
    extra: dict[str, Any] = {}
    if server == "together":
        # Its prompts are texts alone, and ids come with the logprobs.
        arguments["prompt"] = _text_of(rendered)
        if lane == "ids":
            arguments.setdefault("logprobs", 1)
    elif lane == "ids":
        arguments["prompt"] = rendered.ids
        # The ids at which to stop are told as ids; as texts they would be looked for in text without markers.
        del arguments["stop"]
        extra["stop_token_ids"] = list(rendered.stop_ids)
        extra["return_token_ids"] = True
    else:
        arguments["prompt"] = _text_of(rendered)
    if server != "together":
        extra |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}
        if server == "sglang":
            del extra["spaces_between_special_tokens"]
            extra["no_stop_trim"] = True
    if request.max_tokens is not None:
        arguments["max_tokens"] = request.max_tokens
    if extra:
        arguments["extra_body"] = extra
    return arguments


def _text_of(rendered: Prompt) -> str:
    """The prompt as text. Raises `RenderError` if what somebody said in it would be read as structure."""
    text = rendered.text
    if _core.encode(text, special="token") != rendered.ids:
        raise RenderError(
            "the conversation quotes control tokens; in the text lane the server would take them for structure. "
            "Use lane='ids', or take them out"
        )
    return text


class RawLane:
    """Reads choices of completion objects: ids where the server gives them, else text."""

    def __init__(self, lane: Literal["ids", "text"], tools: Any) -> None:
        self.lane: Literal["ids", "text"] = lane
        self._parser = StreamParser(tools=tools)
        self._open: str | None = None
        self._last: int | None = None
        self._begun = False
        self.notes: list[str] = []

    def read(self, choice: Mapping[str, Any]) -> list[Event]:
        """The events of a choice. Raises `ValueError` that says what in it is wrong."""
        text = choice.get("text")
        delta = choice.get("delta")
        if text is None and isinstance(delta, Mapping):
            text = delta.get("content")
        if text is not None and not isinstance(text, str):
            raise ValueError(f"text must be a text, not {type(text).__name__}")
        if self.lane == "text":
            return self._heard(self._parser.feed(text)) if text else []
        ids = _ids(choice)
        if ids is None or (text and not ids and not self._begun):
            if not text:
                return []
            if self._begun:
                raise ValueError("token ids came for the beginning of the answer, and for a later piece none did")
            self.notes.append("the server sent no token ids, so its text was read")
            self.lane = "text"
            return self._heard(self._parser.feed(text))
        if not ids:
            return []
        self._begun = True
        self._last = ids[-1]
        return self._heard(self._parser.feed(ids))

    def _heard(self, events: list[Event]) -> list[Event]:
        for event in events:
            if event.type == "start":
                self._open = event.kind
            elif event.type == "end":
                self._open = None
        return events

    def close(self, finish: str | None, stop_reason: object) -> list[Event]:
        """The events of the end: most servers take the stop token away and say that there was one."""
        events: list[Event] = []
        stop = self._stop_token(finish, stop_reason)
        if stop is not None:
            events += self._heard(self._parser.feed([stop] if self.lane == "ids" else _MARKERS[stop]))
        return events + self._heard(self._parser.close())

    def _stop_token(self, finish: str | None, stop_reason: object) -> int | None:
        if finish in (None, "length") or self._open is None or self._last in _core.STOP_TOKENS:
            return None
        for token, marker in _MARKERS.items():
            if stop_reason in (token, marker):
                return token
        # Nothing else ends a call, and a call is ended by nothing else.
        return CALL if self._open == "tool_call" else RETURN

    @property
    def completion(self) -> Completion:
        return self._parser.completion


def _ids(choice: Mapping[str, Any]) -> list[int] | None:
    """The token ids of a choice: `token_ids` of vLLM and SGLang, or the one of each chunk that Together streams."""
    found = choice.get("token_ids")
    if found is None and isinstance(choice.get("delta"), Mapping):
        one = choice["delta"].get("token_id")
        found = None if one is None else [one]
    if found is None and isinstance(choice.get("logprobs"), Mapping):
        found = choice["logprobs"].get("token_ids")
    if found is None:
        return None
    if not isinstance(found, list):
        raise ValueError(f"token_ids must be a list, not {type(found).__name__}")
    ids = []
    for item in found:
        if isinstance(item, bool) or not isinstance(item, int | float) or item != item or item != item // 1:
            raise ValueError(f"token_ids must hold whole numbers, not {type(item).__name__}")
        ids.append(int(item))
    return ids
