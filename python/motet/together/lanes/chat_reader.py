"""The chat lane's responses: a service's chat objects become events.

The service has parsed the model's harmony: reasoning, text and calls arrive as `reasoning`, `content` and `tool_calls`,
in fragments when they are streamed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from motet import _core
from motet._core import Event
from motet._surrogates import is_unicode, joined_surrogates
from motet.backend import COMPLETE_REASONS
from motet.message import Completion, Frame, Kind, Message, Part, Preamble, Reasoning, Stop, Text, ToolCall
from motet.together.lanes.think_tags import ThinkTags
from motet.together.lanes.tool_call_fragments import CallFragments, OpenCall

__all__ = ["ChatLane"]

_REASONING_KEYS = ("reasoning", "reasoning_content", "thinking")
_CHANNELS: Mapping[Kind, str] = {"reasoning": "analysis", "text": "final", "tool_call": "commentary"}


class _OpenFrame:
    """A frame while its text arrives."""

    __slots__ = ("call", "channel", "half", "header", "index", "kind", "recipient", "text")

    def __init__(self, index: int, kind: Kind, call: OpenCall | None = None) -> None:
        self.index = index
        self.kind = kind
        self.call = call
        self.channel = _CHANNELS[kind]
        self.recipient = None if call is None else _core.function_recipient(call.resolved_name)
        self.text: list[str] = []
        self.half = ""
        """A high surrogate at the end of the last fragment."""
        name = None if call is None else call.resolved_name
        self.header = ("assistant", name, self.channel, self.recipient, None)

    def event(self, type: Literal["start", "delta", "end"], delta: str = "", stop: Stop | None = None) -> Event:
        """An event of this frame. Those of a call carry its name and id, as in the raw lanes."""
        if self.call is None and stop is None:
            return Event(type, self.kind, self.index, delta, *self.header)
        call_id = None if self.call is None else self.call.id
        return Event(type, self.kind, self.index, delta, *self.header, stop, None, call_id)


class ChatLane:
    """Reads choices of chat objects, complete or in fragments.

    - `tools`: OpenAI tool dicts of the request; they decide what a damaged tool name stands for.
    - `turn`: a number that differs between the turns of a conversation, for ids of calls that have none.
    - `think_tags`: see `Service.think_tags`.
    - `on_reasoning_key`: receives the key in which the service sends reasoning.
    """

    def __init__(
        self,
        *,
        tools: Iterable[Mapping[str, Any]] = (),
        turn: int = 0,
        think_tags: bool | Literal["opened"] = False,
        on_reasoning_key: Callable[[str], object] | None = None,
    ) -> None:
        self._frames: list[_OpenFrame] = []
        self._said: _OpenFrame | None = None
        """The open frame of reasoning or text; calls have frames of their own, several at once."""
        self._calls = CallFragments(tools, turn)
        self._call_frames: dict[int, OpenCall] = {}
        """The calls that have begun, by the index of their frame."""
        self._think_tags = ThinkTags(opened=think_tags == "opened") if think_tags else None
        self._on_reasoning_key = on_reasoning_key
        self._has_deltas = False
        self._refused = False
        self._stop: Stop | None = None
        self._closed = False
        self.notes: list[str] = []
        self.prefix_tokens: dict[str, int] = {}

    def read(self, choice: Mapping[str, Any]) -> list[Event]:
        """The events of a choice. Raises `ValueError`, which names the wrong field."""
        events: list[Event] = []
        delta, message = choice.get("delta"), choice.get("message")
        for shape in (delta, message):
            if shape is not None and not isinstance(shape, dict):
                raise ValueError(f"message or delta must be an object, not {type(shape).__name__}")
        if delta is not None:
            self._has_deltas = True
            self._read(delta, events)
        if message is not None:
            # Some services send the whole message again in the last chunk, or in each.
            self._read(self._unread(message) if self._has_deltas or self._frames else message, events)
        return events

    def _read(self, shape: Mapping[str, Any], events: list[Event]) -> None:
        reasoning = self._reasoning(shape)
        if reasoning:
            self._add_text("reasoning", reasoning, events)
        content = shape.get("content")
        if content is not None and content != "":
            self._add_content(shape, events)
        if shape.get("refusal") is not None and (refusal := _text(shape, "refusal")):
            self._refused = True
            self._add_text("text", refusal, events)
        for place, fragment in enumerate(_call_fragments(shape)):
            self._calls.add(place, fragment)
        if self._calls:
            self._begin_calls(events, self._calls.ready())

    def _add_content(self, shape: Mapping[str, Any], events: list[Event]) -> None:
        for kind, text in _content(shape):
            if kind == "text" and self._think_tags is not None:
                self._add_pieces(self._think_tags.feed(text), events)
            elif text:
                self._add_text(kind, text, events)

    def _reasoning(self, shape: Mapping[str, Any]) -> str:
        # Some servers send the same reasoning under several names.
        for key in _REASONING_KEYS:
            if shape.get(key) is not None and (text := _text(shape, key)):
                if self._on_reasoning_key is not None and key != "thinking":
                    self._on_reasoning_key(key)
                return text
        details = shape.get("reasoning_details")
        if details is None:
            return ""
        entries = [entry for entry in details if isinstance(entry, Mapping)] if isinstance(details, list) else []
        texts = [entry.get("text") or entry.get("summary") for entry in entries]
        return "".join([text for text in texts if isinstance(text, str)])

    def _unread(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a whole message that has not arrived in deltas."""
        rest: dict[str, Any] = {}
        for kind, text in (("reasoning", self._reasoning(message)), ("text", _joined_content(message))):
            arrived = "".join(["".join(frame.text) for frame in self._frames if frame.kind == kind])
            key = "reasoning" if kind == "reasoning" else "content"
            if text.startswith(arrived):
                rest[key] = text.removeprefix(arrived)
            elif not self._has_deltas:
                # A stream of messages, each with the next chunk of text.
                rest[key] = text
        if not self._calls:
            rest["tool_calls"] = list(_call_fragments(message))
        return rest

    def _add_pieces(self, pieces: Iterable[tuple[Kind, str]], events: list[Event]) -> None:
        for kind, text in pieces:
            self._add_text(kind, text, events)

    def _add_text(self, kind: Kind, text: str, events: list[Event]) -> None:
        if self._calls:
            self._begin_calls(events, self._calls.named())
        if self._said is None or self._said.kind != kind:
            self._end_text(events)
            self._said = self._begin(kind, events)
        self._extend(self._said, text, events)

    def _begin(self, kind: Kind, events: list[Event], call: OpenCall | None = None) -> _OpenFrame:
        frame = _OpenFrame(len(self._frames), kind, call)
        self._frames.append(frame)
        events.append(frame.event("start"))
        return frame

    @staticmethod
    def _extend(frame: _OpenFrame, text: str, events: list[Event]) -> None:
        if frame.half or not is_unicode(text):
            # Services in JavaScript may split a character between its two UTF-16 surrogates.
            text = frame.half + text
            frame.half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
            text = joined_surrogates(text.removesuffix(frame.half))
        if not text:
            return
        frame.text.append(text)
        events.append(frame.event("delta", text))

    @classmethod
    def _end(cls, frame: _OpenFrame, stop: Stop | None, events: list[Event]) -> None:
        if frame.half:
            frame.half = ""
            cls._extend(frame, "\ufffd", events)
        events.append(frame.event("end", stop=stop))

    def _end_text(self, events: list[Event], stop: Stop | None = "end") -> None:
        if self._said is not None:
            self._end(self._said, stop, events)
        self._said = None

    def _begin_calls(self, events: list[Event], calls: Iterable[OpenCall]) -> None:
        """Begins the frames of calls whose names are complete, and adds the arguments that have arrived."""
        for call in calls:
            if call.frame is None:
                self._end_text(events)
                frame = self._begin("tool_call", events, call)
                call.frame = frame.index
                self._call_frames[frame.index] = call
                if note := call.name_note():
                    self.notes.append(note)
            if text := call.take_pending():
                self._extend(self._frames[call.frame], text, events)

    def close(self, finish: str | None, stop_reason: object) -> list[Event]:
        """The events of the end."""
        events: list[Event] = []
        if self._think_tags is not None:
            self._add_pieces(self._think_tags.close(), events)
        self._begin_calls(events, self._calls.all())
        self._closed = True
        complete = finish in COMPLETE_REASONS
        self._stop = None if not complete else "call" if self._call_frames else "return"
        if self._said is not None:
            self._end_text(events, None if not complete else "return" if not self._call_frames else "end")
        for index in self._call_frames:
            self._end(self._frames[index], "call" if complete else None, events)
        text = "".join(["".join(frame.text) for frame in self._frames if frame.kind == "text"])
        if _core.MARKERS["channel"] in text or _core.MARKERS["message"] in text:
            self.notes.append("the service left markers of the format in the answer; it is kept as it came")
        if self._refused:
            self.notes.append("the service sent the answer as a refusal")
        if finish in ("tool_calls", "function_call") and not self._call_frames:
            self.notes.append(f"the service ended the answer with finish_reason {finish!r}, and sent no call")
        return events

    @property
    def sampled(self) -> None:
        """`None`: the service parsed the ids."""
        return None

    @property
    def new_ids(self) -> None:
        """`None`: the service parsed the ids."""
        return None

    @property
    def logprobs(self) -> None:
        """`None`: they belong to ids."""
        return None

    @property
    def raw_text(self) -> None:
        """`None`: the service parsed the text."""
        return None

    @property
    def completion(self) -> Completion:
        """The completion so far, as one message. Text beside calls is a preamble."""
        parts: list[Part] = []
        frames: list[Frame] = []
        for frame in self._frames:
            text = "".join(frame.text)
            call = self._call_frames.get(frame.index)
            is_last = frame.index == len(self._frames) - 1
            stop: Stop | None = "call" if call is not None else "end"
            if self._closed and (is_last or call is not None):
                stop = self._stop
            elif is_last:
                stop = None
            if call is not None:
                parts.append(ToolCall(call.resolved_name, text, call.id, stop=stop))
            elif frame.kind == "reasoning":
                parts.append(Reasoning(text))
            else:
                parts.append(Preamble(text) if self._call_frames else Text(text))
            channel = "commentary" if isinstance(parts[-1], Preamble) else frame.channel
            frames.append(Frame("assistant", text, channel, frame.recipient, stop=stop))
        return Completion(Message("assistant", tuple(parts)), self._stop, tuple(frames), (), "chat")


def _call_fragments(shape: Mapping[str, Any]) -> list[Any]:
    calls = shape.get("tool_calls")
    if calls is None:
        call = shape.get("function_call")
        return [{"index": 0, "function": call}] if isinstance(call, dict) else []
    if not isinstance(calls, list):
        raise ValueError(f"tool_calls must be a list, not {type(calls).__name__}")
    return calls or []


def _content(shape: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
    """The content: a text, or parts with `text`, `thinking` (Mistral: a list of texts) or `refusal`."""
    value = shape.get("content")
    if not isinstance(value, list):
        yield "text", _text(shape, "content") or ""
        return
    for part in value:
        if not isinstance(part, Mapping):
            raise ValueError(f"content must be a text, not {type(value).__name__}")
        if part.get("type") in ("thinking", "reasoning"):
            yield "reasoning", _text(part, "thinking") or _text(part, "reasoning") or _text(part, "text") or ""
        else:
            yield "text", _text(part, "text") or _text(part, "refusal") or ""


def _joined_content(shape: Mapping[str, Any]) -> str:
    return "".join([text for kind, text in _content(shape) if kind == "text"])


def _text(shape: Mapping[str, Any], name: str) -> str | None:
    value = shape.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, Mapping) for part in value):
        return "".join([part["text"] for part in value if isinstance(part.get("text"), str)])
    raise ValueError(f"{name} must be a text, not {type(value).__name__}")
