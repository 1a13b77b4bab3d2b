"""What travels through motet: messages and their parts, frames, repairs, completions. Plain frozen values.

Nothing here parses, renders or asks: the classes are filled by the native core and read by it again.
"""

from __future__ import annotations

from motet import _core
from motet._lazy import LateModule
from motet._lazy_completion import LazyFields

# Not from `typing`: its import takes as long as Python's start, and that of `dataclasses` longer.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing
    from collections.abc import Mapping
    from dataclasses import dataclass, field
    from typing import Any, Self

    from motet import _message_words as words
    from motet._message_words import Channel, Kind, Lane, Role, Stop
    from motet.tolerant_json import JsonReading
else:
    from motet._light_dataclass import dataclass, field

    typing, words = LateModule("typing"), LateModule("motet._message_words")

__all__ = [
    "Channel",
    "Completion",
    "DeveloperContent",
    "Frame",
    "Kind",
    "Lane",
    "Message",
    "Note",
    "Part",
    "Preamble",
    "Reasoning",
    "Repair",
    "Role",
    "Stop",
    "SystemContent",
    "Text",
    "ToolCall",
    "ToolResult",
]

_REPR_WIDTH = 60


class _Value:
    """A repr that fits a line: long strings are cut, fields at their defaults left out."""

    __slots__ = ()

    def __repr__(self) -> str:
        from dataclasses import fields

        shown = []
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if not item.repr or value == item.default:
                continue
            text = repr(value)
            if isinstance(value, str) and len(text) > _REPR_WIDTH:
                text = f"{value[: _REPR_WIDTH - 20]!r}... ({len(value)} characters)"
            shown.append(f"{item.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"


class _Part(_Value):
    """What the parts of a message have in common."""

    __slots__ = ()

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises `ValueError` for anything else."""
        part = _part_from_dict(shape)
        if not isinstance(part, cls):
            raise ValueError(f"not the dict of a {cls.__name__}: {shape!r:.200}")
        return part


def _wire() -> Any:
    """A field that says how a part stood on the wire: kept for rendering, no part of what the value means."""
    return field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Reasoning(_Part):
    """What the model thought: the analysis channel. Not meant for the user's eyes."""

    type = "reasoning"
    text: str
    content_type: str | None = _wire()

    def to_dict(self) -> dict[str, Any]:
        """`{"type": "reasoning", "text": ...}`"""
        return {"type": self.type, "text": self.text}


@dataclass(frozen=True, slots=True, repr=False)
class Preamble(_Part):
    """What the model tells the user on the way: commentary without recipient, or text before the first frame."""

    type = "preamble"
    text: str
    content_type: str | None = _wire()

    def to_dict(self) -> dict[str, Any]:
        """`{"type": "preamble", "text": ...}`"""
        return {"type": self.type, "text": self.text}


@dataclass(frozen=True, slots=True, repr=False)
class Text(_Part):
    """The answer of an assistant (the final channel), or what a user says."""

    type = "text"
    text: str
    channel: str | None = _wire()
    """`None`: the usual one (`final` for the assistant, none for others). `""`: none was written."""
    content_type: str | None = _wire()

    def to_dict(self) -> dict[str, Any]:
        """`{"type": "text", "text": ...}`"""
        return {"type": self.type, "text": self.text}


@dataclass(frozen=True, slots=True, repr=False)
class ToolCall(_Part):
    """A call of a tool, on whatever channel the model wrote it."""

    type = "tool_call"
    name: str
    """Without the prefix `functions.`; built-in tools keep theirs: `browser.search`."""
    arguments: str
    """As written. Usually a JSON object, but nothing makes a model write valid JSON: see `args()`."""
    id: str = ""
    """The same for the same call at the same place, so parsing twice gives the same ids."""
    trusted: bool = field(default=True, compare=False)
    """False if it was read from text, where an answer that quotes a call looks exactly like one."""
    recipient: str | None = _wire()
    """As written: `functions.get_weather`. `None`: made from the name."""
    recipient_at: words.RecipientPosition | None = _wire()
    """Where ` to=` stands in the header. `None`: where the dialect puts it."""
    channel: str | None = _wire()
    """`None`: commentary."""
    content_type: str | None = _wire()
    """`None`: `<|constrain|>json`. `""`: none was written."""
    stop: words.Stop | None = field(default="call", compare=False, repr=False)

    def args(self) -> Any:
        """The arguments as Python values.

        Raises `InvalidArgumentsError`, which keeps the raw text, if they are not JSON. See `repaired_args`.
        """
        from motet.errors import InvalidArgumentsError
        from motet.tolerant_json import strict_json

        try:
            return strict_json(self.arguments)
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentsError(
                f"arguments of {self.name!r} are not JSON: {error}", raw=self.arguments
            ) from error

    def args_or(self, default: Any = None) -> Any:
        """The arguments as Python values; `default` if they are not JSON."""
        from motet.errors import InvalidArgumentsError

        try:
            return self.args()
        except InvalidArgumentsError:
            return default

    def repaired_args(self) -> JsonReading:
        """The arguments as Python values, read tolerantly: `.value`, and `.changes` with each deviation from JSON and
        its reading; empty for JSON.

        Single quotes, trailing commas, line breaks in strings, Python's `True` and `None`, keys without quotes, code
        fences, comments, doubled braces, a missing end. Raises `InvalidArgumentsError`, which keeps the raw text,
        if they are ambiguous.
        """
        from motet.errors import InvalidArgumentsError
        from motet.tolerant_json import repaired_json

        try:
            return repaired_json(self.arguments)
        except InvalidArgumentsError as error:
            raise InvalidArgumentsError(f"arguments of {self.name!r} {error}", raw=self.arguments) from None

    def to_dict(self) -> dict[str, Any]:
        """`{"type": "tool_call", "id": ..., "function": {"name": ..., "arguments": ...}}`"""
        function = {"name": self.name, "arguments": self.arguments}
        return {"type": self.type, "id": self.id, "function": function}


@dataclass(frozen=True, slots=True, repr=False)
class ToolResult(_Part):
    """What a tool answered."""

    type = "tool_result"
    tool_call_id: str
    content: str
    name: str | None = field(default=None, compare=False)
    """Without the prefix `functions.`. `None`: the name of the call with this id."""
    author: str | None = _wire()
    """As written: `functions.get_weather`. `None`: made from the name."""
    recipient: str | None = _wire()
    """`None`: `assistant`. `""`: none was written."""
    channel: str | None = _wire()
    """`None`: commentary. `""`: none was written."""
    content_type: str | None = _wire()
    is_json: bool = field(default=False, compare=False, repr=False)
    """True if the content came as an object or a list, and is its JSON: the chat template quotes other content."""

    def to_dict(self) -> dict[str, Any]:
        """`{"type": "tool_result", "tool_call_id": ..., "content": ...}`, with `name` where no id says whose it is."""
        shape = {"type": self.type, "tool_call_id": self.tool_call_id, "content": self.content}
        return shape if self.tool_call_id or self.name is None else {**shape, "name": self.name}


@dataclass(frozen=True, slots=True, repr=False)
class SystemContent(_Part):
    """The text of a system frame. Rendered verbatim, in place of the one derived from the settings."""

    type = "system_content"
    text: str

    def to_dict(self) -> dict[str, Any]:
        """`{"type": "system_content", "text": ...}`"""
        return {"type": self.type, "text": self.text}


@dataclass(frozen=True, slots=True, repr=False)
class DeveloperContent(_Part):
    """What the developer tells the model, and the tools it may call."""

    type = "developer_content"
    instructions: str
    tools: typing.Any = None
    """OpenAI tool dicts. Of a parsed frame `None`: its tools are in `text`, as TypeScript."""
    text: str | None = _wire()
    """The whole text of a parsed frame, rendered verbatim. `None`: derived from the other fields."""

    def to_dict(self) -> dict[str, Any]:
        """`{"type": "developer_content", "instructions": ...}`, with `tools` if there are any."""
        shape: dict[str, Any] = {"type": self.type, "instructions": self.instructions}
        if self.tools is not None:
            shape["tools"] = self.tools
        return shape


Part = Reasoning | Preamble | Text | ToolCall | ToolResult | SystemContent | DeveloperContent

# The parts that a message of each role may hold: a part of another role would render as that role's words.
_PARTS_OF_ROLE: dict[str, tuple[type[Part], ...]] = {
    "system": (SystemContent, Text),
    "developer": (DeveloperContent, Text),
    "user": (Text,),
    "assistant": (Reasoning, Preamble, Text, ToolCall),
    "tool": (ToolResult, Text),
}


def _part_from_dict(shape: Mapping[str, Any]) -> Part:
    match shape:
        case {"type": "reasoning", "text": str(text)}:
            return Reasoning(text)
        case {"type": "preamble", "text": str(text)}:
            return Preamble(text)
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "tool_call", "function": {"name": str(name), "arguments": str(arguments)}}:
            identifier = shape.get("id", "")
            if isinstance(identifier, str):
                return ToolCall(name, arguments, identifier)
        case {"type": "tool_result", "tool_call_id": str(call), "content": str(content)}:
            author = shape.get("name")
            if author is None or isinstance(author, str):
                return ToolResult(call, content, author)
        case {"type": "system_content", "text": str(text)}:
            return SystemContent(text)
        case {"type": "developer_content", "instructions": str(text)}:
            return DeveloperContent(text, shape.get("tools"))
    raise ValueError(f"not the dict of a content part: {shape!r:.200}")


def part_to_dict(part: Part) -> dict[str, Any]:
    """A part's dict, and under `wire` the fields of its frame as written."""
    from dataclasses import fields

    values = {item.name: getattr(part, item.name) for item in fields(part) if not item.compare}
    defaults = {item.name: item.default for item in fields(part)}
    wire = {name: value for name, value in values.items() if value != defaults[name]}
    return {**part.to_dict(), "wire": wire} if wire else part.to_dict()


def part_from_dict(shape: Mapping[str, Any]) -> Part:
    """The inverse of `part_to_dict`. Raises `ValueError` for anything else."""
    from collections.abc import Mapping
    from dataclasses import fields, replace

    part = _part_from_dict(shape)
    wire = shape.get("wire", {})
    names = {item.name for item in fields(part) if not item.compare}
    if not isinstance(wire, Mapping) or not all(
        name in names and isinstance(value, str | bool | None) for name, value in wire.items()
    ):
        raise ValueError(f"not the dict of a content part: {shape!r:.200}")
    return replace(part, **wire) if wire else part


@dataclass(frozen=True, slots=True, repr=False)
class Message(_Value):
    """A role and what it says, in order."""

    role: words.Role
    content: tuple[Part, ...]
    name: str | None = None
    """The name of a user, if it has one."""

    def __post_init__(self) -> None:
        if isinstance(self.content, tuple):
            return
        if isinstance(self.content, str):
            part = SystemContent if self.role == "system" else DeveloperContent if self.role == "developer" else Text
            object.__setattr__(self, "content", (part(self.content),))
        else:
            from collections.abc import Iterable

            if not isinstance(self.content, Iterable):
                raise TypeError(f"content must be a str or parts, not {type(self.content).__name__}")
            object.__setattr__(self, "content", tuple(self.content))

    @property
    def reasoning(self) -> str:
        """The joined text of its `Reasoning` parts."""
        return "".join([part.text for part in self.content if isinstance(part, Reasoning)])

    @property
    def preamble(self) -> str:
        """The joined text of its `Preamble` parts."""
        return "".join([part.text for part in self.content if isinstance(part, Preamble)])

    @property
    def text(self) -> str:
        """The joined text of its `Text` parts."""
        return "".join([part.text for part in self.content if isinstance(part, Text)])

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Its `ToolCall` parts, in order."""
        return tuple([part for part in self.content if isinstance(part, ToolCall)])

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Alias of `tool_calls`, as on `Answer`."""
        return self.tool_calls

    def to_dict(self, *, wire: bool = False) -> dict[str, Any]:
        """`{"role": ..., "content": [...]}`, each part in its own shape; `name` if there is one. `wire=True` keeps how
        the parts stood on the wire, so that what is read from it renders to the same ids."""
        parts = [part_to_dict(part) if wire else part.to_dict() for part in self.content]
        shape: dict[str, Any] = {"role": self.role, "content": parts}
        if self.name is not None:
            shape["name"] = self.name
        return shape

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any], *, wire: bool = False) -> Message:
        """The inverse of `to_dict`.

        Raises `RenderError` for a part that a message of this role cannot hold (a user's message holds text only, so
        that its dict cannot speak as the system), and `ValueError` for anything else.
        """
        match shape:
            case {
                "role": "system" | "developer" | "user" | "assistant" | "tool" as role,
                "content": list(parts),
            }:
                content = tuple([part_from_dict(part) if wire else _part_from_dict(part) for part in parts])
                allowed = _PARTS_OF_ROLE[role]
                for index, part in enumerate(content):
                    if not isinstance(part, allowed):
                        from motet.errors import RenderError

                        names = ", ".join([kind.type for kind in allowed])
                        raise RenderError(
                            f"content[{index}] is a {part.type} part, which a {role} message cannot hold: its parts "
                            f"are {names}"
                        )
                return cls(role, content, shape.get("name"))
        raise ValueError(f"not the dict of a message: {shape!r:.200}")


@dataclass(frozen=True, slots=True, repr=False)
class Frame(_Value):
    """One frame of the wire: `<|start|>header<|message|>content<|end|>`, exactly as written."""

    role: words.Role
    content: str = ""
    channel: str | None = None
    recipient: str | None = None
    """Whom it is for, without `to=`."""
    name: str | None = None
    """The author of a tool frame (`functions.get_weather`), or the name of a user."""
    content_type: str | None = None
    """With its marker, if it has one: `<|constrain|>json`, `json`, `code`."""
    stop: words.Stop | None = "end"
    """The token that ended it. `None`: the input ended before one came."""
    implied: bool = False
    """Written without its `<|start|>`, or without any header."""
    recipient_at: words.RecipientPosition | None = None
    """Where ` to=` stands: behind the role or behind the channel. `None`: where it usually does."""


@dataclass(frozen=True, slots=True, repr=False)
class Note(_Value):
    """A remark on a rendered prompt: what a model could misread, or what differs from the input."""

    code: str
    """One of a closed set; see docs/reference/notes.md."""
    message: str
    """What is in the prompt, and where, in a sentence."""
    message_index: int | None = None
    """The index of the message. `None`: it is about the tools, or about another argument."""


@dataclass(frozen=True, slots=True, repr=False)
class Repair(_Value):
    """A deviation from the format, and how the parser reads it."""

    code: str
    """One of a closed set; see docs/reference/repairs.md."""
    position: int
    """Where: an index into the ids, or a byte offset into the UTF-8 text."""
    text: str
    """What stood there. Of several: once if it is the same each time, else all of it, joined."""
    message: str
    """What was wrong and what was made of it, in a sentence."""
    count: int = 1
    """How many of them it stands for: a run of the same at adjacent places, or, behind the first thousand repairs of
    a completion, all that have its code. `position` is that of the first."""


@dataclass(frozen=True, slots=True, repr=False)
class Completion(LazyFields, _Value):
    """What a model wrote for one turn."""

    message: Message
    """What it says, as one assistant message."""
    stop: words.Stop | None
    """How its last frame ended. `None`: the input ended before a stop token."""
    frames: tuple[Frame, ...]
    """The frames as written, those left out of `message` included."""
    repairs: tuple[Repair, ...]
    """All that did not follow the format."""
    lane: words.Lane
    """What it was read from: token ids, text with markers, or a server's chat objects."""
    _tokens: typing.Any = field(default=None, repr=False, compare=False)
    """The counts as a dict, `None` or empty if nothing is counted yet; or what the native parser counts them from."""
    _snapshot: typing.Any = field(default=None, init=False, repr=False, compare=False)

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens by channel: `analysis`, `commentary`, `final`, and `markup` for markers and headers.

        They sum to the number of ids. What belongs to none of them (a user turn that the model invented)
        is counted as `other`. Read from text they are what motet's own tokenizer gives.
        """
        tokens: Any = self._tokens
        if not isinstance(tokens, dict) or "final" not in tokens:
            if tokens is None or isinstance(tokens, dict):
                tokens = _core.tokens_by_channel(self.frames)
            else:
                tokens = tokens.count()
            object.__setattr__(self, "_tokens", tokens)
        return dict(tokens)

    # The properties below are read from the snapshot where there is one: it joins texts without making the message.

    @property
    def reasoning(self) -> str:
        """The joined text of the message's `Reasoning` parts."""
        return (self._snapshot or self.message).reasoning

    @property
    def preamble(self) -> str:
        """The joined text of the message's `Preamble` parts."""
        return (self._snapshot or self.message).preamble

    @property
    def text(self) -> str:
        """The answer: the joined text of the message's `Text` parts."""
        return (self._snapshot or self.message).text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The message's `ToolCall` parts, in order."""
        return (self._snapshot or self.message).tool_calls

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Alias of `tool_calls`, as on `Answer`."""
        return self.tool_calls

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `message` with its wire fields, `stop`, `frames`, `repairs`, `lane` and `tokens`."""
        from dataclasses import asdict

        return {
            "message": self.message.to_dict(wire=True),
            "stop": self.stop,
            "frames": [asdict(frame) for frame in self.frames],
            "repairs": [asdict(repair) for repair in self.repairs],
            "lane": self.lane,
            "tokens": self.tokens,
        }

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Completion:
        """The inverse of `to_dict`. Raises `ValueError` for any other shape."""
        try:
            message = Message.from_dict(shape["message"], wire=True)
            frames = tuple([Frame(**frame) for frame in shape["frames"]])
            repairs = tuple([Repair(**repair) for repair in shape["repairs"]])
            stop, lane, tokens = shape["stop"], shape["lane"], dict(shape["tokens"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not the dict of a completion: {shape!r:.200}") from error
        if stop not in (None, *typing.get_args(words.Stop)) or lane not in typing.get_args(words.Lane):
            raise ValueError(f"not the dict of a completion: {shape!r:.200}")
        return cls(message, stop, frames, repairs, lane, tokens)


def __getattr__(name: str) -> object:
    if name in words.__all__:
        return getattr(words, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
