"""The native core. Its public names are reached through `motet`; this stub is their manual."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, SupportsIndex, TypeAlias, final

from motet.message import Completion, Frame, Kind, Message, Repair, Role, Stop

_Raw: TypeAlias = str | bytes | bytearray | memoryview | array[Any] | Iterable[SupportsIndex]
"""A completion: text with markers (`str`, or its UTF-8 as bytes), or token ids (a list, an array, a buffer)."""

__all__ = [
    "MARKERS",
    "SPECIAL_TOKENS",
    "STOP_TOKENS",
    "VOCAB_SIZE",
    "Event",
    "Prompt",
    "StreamEncoder",
    "StreamParser",
    "__version__",
    "_vocabulary",
    "count",
    "decode",
    "decode_bytes",
    "encode",
    "encode_array",
    "encode_batch",
    "frames",
    "name_of",
    "parse",
    "parse_batch",
    "parse_conversation",
    "recipient_of",
    "render",
    "render_frames",
    "render_training",
    "tokens_by_channel",
]

__version__: Final[str]
VOCAB_SIZE: Final[int]
"""201088: ids run from 0 to 201087."""
STOP_TOKENS: Final[tuple[int, int, int]]
"""`(200002, 200007, 200012)`: `<|return|>`, `<|end|>`, `<|call|>`."""
SPECIAL_TOKENS: Final[Mapping[str, int]]
"""The 1091 spellings of special tokens and their ids, as in tiktoken's `o200k_harmony`."""

MARKERS: Final[Mapping[str, str]]
"""The spellings of the markers by their words: `MARKERS["start"]` is `<|start|>`. Words: `start`, `message`, `channel`,
`constrain`, `end`, `call`, `return`, `endoftext`."""

def recipient_of(name: str) -> str:
    """The recipient of calls of a tool: `functions.get_weather` for `get_weather`; built-in tools keep their name."""

def name_of(recipient: str) -> str:
    """The name of the tool that a recipient or an author stands for: `get_weather` for `functions.get_weather`.

    What has no `functions.` before it stays as it is.
    """

def encode(text: str, *, special: Literal["text", "token", "error"] = "text") -> list[int]:
    """The token ids of a text, equal to tiktoken's `o200k_harmony`.

    `special` says what becomes of the spellings of special tokens in it: `"text"` encodes them as ordinary text,
    `"token"` makes control tokens of them, `"error"` raises `SpecialTokenError`.
    Raises `UnicodeEncodeError` for lone surrogates, which have no UTF-8.

    A thread that encodes keeps what pieces of text became, in up to 4 MB, and leaves it to the next one when it ends.
    """

def encode_array(text: str, *, special: Literal["text", "token", "error"] = "text") -> array[int]:
    """`encode` as an `array.array("I")`: no Python ints are made, and `numpy.asarray` of it copies nothing."""

def encode_batch(texts: Sequence[str], *, threads: int | None = None) -> list[array[int]]:
    """`encode_array` of each text, on `threads` threads (`None`: one for each core), with the GIL released."""

def count(text: str) -> int:
    """The number of tokens of a text: `len(encode(text))`, without making the ids."""

def decode(ids: Iterable[SupportsIndex], *, errors: Literal["replace", "strict"] = "replace") -> str:
    """The text of token ids, special tokens as their markers.

    Bytes that are not UTF-8 become U+FFFD, or raise `UnicodeDecodeError` with `errors="strict"`.
    Raises `ValueError` for what is not an id.
    """

def decode_bytes(ids: Iterable[SupportsIndex]) -> bytes:
    """The bytes of token ids, special tokens as their markers. Raises `ValueError` for what is not an id."""

@final
class StreamEncoder:
    """Encodes text that arrives in pieces.

    `feed` gives the ids that no later text can change, `close` the rest: together exactly `encode` of the whole.
    """

    def __new__(cls) -> StreamEncoder: ...
    def feed(self, text: str) -> list[int]: ...
    def close(self) -> list[int]: ...
    @property
    def count(self) -> int:
        """The number of ids given so far."""
    def __copy__(self) -> StreamEncoder: ...

@final
class Event:
    """Something that a parser heard: a frame starts, grows or ends, or something was repaired."""

    __match_args__: Final = ("type", "kind", "index", "delta")
    def __new__(cls, type: str, kind: str | None = None, index: int = 0, delta: str = "", *fields: Any) -> Event: ...
    def __reduce__(self) -> tuple[type[Event], tuple[Any, ...]]: ...
    def __hash__(self) -> int: ...
    @property
    def type(self) -> Literal["start", "delta", "end", "repair"]: ...
    @property
    def kind(self) -> Kind | None:
        """What the frame is. `None` for a repair."""
    @property
    def index(self) -> int:
        """The number of the frame, from 0; of a repair, the number of frames begun before it."""
    @property
    def delta(self) -> str:
        """The new content. Empty unless `type` is `"delta"`."""
    @property
    def role(self) -> Role | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def recipient(self) -> str | None: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def stop(self) -> Stop | None:
        """The token that ended the frame. `None` unless `type` is `"end"`, and where the input ended before one."""
    @property
    def repair(self) -> Repair | None:
        """The repair. `None` unless `type` is `"repair"`."""

_Stripped: TypeAlias = Literal["auto", "always", "never"]
"""Whether frames are looked for in text whose markers were taken out (`analysisWe need ...assistantfinalHello`).

`"auto"`: if it begins as no plain answer does; `"always"`: it is known that they are gone; `"never"`: no guesses.
"""

def parse(
    raw: _Raw,
    *,
    role: Role | None = "assistant",
    tools: Iterable[Any] | None = None,
    strict: bool = False,
    stripped: _Stripped = "auto",
) -> Completion:
    """What a model wrote for one turn.

    `raw` follows `<|start|>` and the role, which stand in the prompt; `role=None` says that it has its own.
    `tools` are the names (or OpenAI dicts) of the tools that the model was given: they settle what a name that
    stands without `functions.` means. Never raises for what stands in `raw`: what does not follow the format is
    in `.repairs`. `strict=True` raises `ParseError` at the first of them. `stripped` says what becomes of text whose
    markers a server has left out; calls that are found there are not `trusted`.
    """

def parse_batch(
    completions: Iterable[_Raw],
    *,
    role: Role | None = "assistant",
    tools: Iterable[Any] | None = None,
    strict: bool = False,
    stripped: _Stripped = "auto",
    threads: int | None = None,
) -> list[Completion]:
    """`parse` of each, on `threads` threads (`None`: one for each core), with the GIL released.

    Raises `ParseError` for the first that is refused, with its `index`, if strict.
    """

def parse_conversation(raw: _Raw, *, tools: Iterable[Any] | None = None, strict: bool = False) -> list[Message]:
    """A whole prompt or transcript, every role: one message for each turn of each.

    Without markers nothing tells where a turn of a prompt ends, so `stripped` is no choice here.
    """

def frames(
    raw: _Raw,
    *,
    role: Role | None = None,
    tools: Iterable[Any] | None = None,
    strict: bool = False,
    stripped: _Stripped = "auto",
) -> list[Frame]:
    """The frames of a prompt, a transcript or, with `role="assistant"`, a completion, exactly as written."""

@final
class StreamParser:
    """Parses a completion while it arrives, in chunks of any size.

    Fed with ids or with text, whichever comes first; mixing them raises `TypeError`. The same input gives the same
    frames and repairs however it is cut. A marker that may begin a frame is held back for at most 1 KiB; text that
    may have lost its markers (see `parse`), for at most 8 KiB.
    """

    def __new__(
        cls,
        role: Role | None = "assistant",
        *,
        tools: Iterable[Any] | None = None,
        strict: bool = False,
        stripped: _Stripped = "auto",
    ) -> StreamParser: ...
    def feed(self, chunk: int | _Raw, /) -> list[Event]:
        """The events of a chunk: a token id, several, or text. Raises `ParseError` if strict."""
    def close(self) -> list[Event]:
        """The events that were held back. After it, `feed` raises `ValueError` until `reset`."""
    def reset(self) -> None:
        """Ready for another completion, with the same settings."""
    @property
    def completion(self) -> Completion:
        """What there is so far. What is held back until it is understood is not in it.

        Asking costs the same however much there is: the message and the frames are made when they are read, finished
        frames once. To read a text that grows makes a string of all of it; the deltas are in the events.
        """
    def __copy__(self) -> StreamParser: ...
    def __deepcopy__(self, memo: Any) -> StreamParser: ...

def tokens_by_channel(frames: Iterable[Frame], markup: int) -> dict[str, int]:
    """The tokens of contents that were read from text: `Completion.tokens` asks for them."""

def render(messages: Iterable[Message], **settings: Any) -> Prompt:
    """The prompt of a conversation; `motet.render` says what the settings are."""

def render_training(
    messages: Iterable[Message], **settings: Any
) -> tuple[list[int], list[int], tuple[tuple[int, int], ...]]:
    """Ids, weights and spans; see `motet.render_training`."""

def render_frames(frames: Iterable[Frame]) -> tuple[list[int], str]:
    """Ids and text; see `motet.render_frames`."""

def _vocabulary() -> bytes:
    """The vocabulary as a `.tiktoken` file, for peers that want to read one."""

@final
class Prompt:
    """A rendered conversation; `motet.Prompt` is its face."""

    @property
    def ids(self) -> list[int]: ...
    @property
    def text(self) -> str: ...
    @property
    def spans(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def dropped(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def frames(self) -> tuple[Frame, ...]: ...
    def extend(self, messages: Iterable[Message]) -> Prompt: ...
    def __len__(self) -> int: ...
