"""The native core, compiled from `rust/python`. Public names are imported from `motet`.

The docstrings are those of the extension, copied by `make stub`.
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Literal, Self, SupportsIndex, TypeAlias, final

from typing_extensions import disjoint_base

from motet.message import Completion, Frame, Kind, Message, Repair, Role, Stop
from motet.openai_harmony.role import Role as _HarmonyRole

_Raw: TypeAlias = str | bytes | bytearray | memoryview | array[Any] | Iterable[SupportsIndex]
"""A completion: text with markers (`str`, or its UTF-8 as bytes), or token ids (a list, an array, a buffer)."""

__all__ = [
    "MARKERS",
    "SPECIAL_TOKENS",
    "STOP_TOKENS",
    "VOCAB_SIZE",
    "Column",
    "Event",
    "Prompt",
    "SpecialChoice",
    "StreamDecoder",
    "StreamEncoder",
    "StreamParser",
    "_HarmonyEncoding",
    "_HarmonySpecialTokens",
    "_StreamableParser",
    "__version__",
    "_pretokens",
    "_token_id",
    "_vocabulary",
    "cost_column",
    "count",
    "count_column",
    "decode",
    "decode_bytes",
    "decode_column",
    "decode_with_offsets",
    "encode",
    "encode_array",
    "encode_batch",
    "encode_column",
    "encode_with_offsets",
    "frames",
    "function_recipient",
    "name_of",
    "parse",
    "parse_batch",
    "parse_column",
    "parse_conversation",
    "plain_messages",
    "recipient_of",
    "render",
    "render_column",
    "render_frames",
    "tokens_by_channel",
    "tool_dicts",
    "truncate",
    "wire_names",
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
    """The recipient of calls of a tool: `functions.get_weather` for `get_weather`.

    Built-in tools (`python`, `browser.search`) keep their name.
    """

def function_recipient(name: str) -> str:
    """The recipient of calls of a function: `functions.python` for `python` as a function, not the built-in tool."""

def name_of(recipient: str) -> str:
    """The name of the tool that a recipient or an author stands for: `get_weather` for `functions.get_weather`.

    A name without the prefix `functions.` is returned unchanged.
    """

def wire_names(names: list[str]) -> list[str]:
    """The names under which tools stand in prompts: valid names unchanged, others with `_` for the characters that
    headers cannot hold. No two different names of the list share one.

    Valid are 1 to 64 of `A-Z a-z 0-9 _ . -` that are not a role's name.
    """

_Special: TypeAlias = Literal["text", "token", "error"] | Collection[str] | SpecialChoice
"""How the spellings of special tokens in a text are encoded: see `encode`."""

@final
class SpecialChoice:
    """A prepared value for `special`, for sets that are used again and again.

    Spellings in `tokens` become special tokens, those in `errors` raise `SpecialTokenError` (also if they are in both),
    and all others are encoded as ordinary text. Raises `ValueError` for an unknown spelling.
    """
    def __new__(cls, tokens: Iterable[str] = (), errors: Iterable[str] = ()) -> SpecialChoice: ...

def encode(text: str, *, special: _Special = "text") -> list[int]:
    """The token ids of a text, equal to tiktoken's `o200k_harmony`.

    `special`: how the spellings of special tokens in the text are encoded. `"text"`: as ordinary text. `"token"`: as
    special tokens. `"error"`: raises `SpecialTokenError`. A set of spellings: these as special tokens, all others as
    ordinary text; raises `ValueError` for an unknown one.

    Surrogates are read as tiktoken does: a pair as one character, a lone one as U+FFFD.

    Takes linear time. Threads share 4 caches of 4 MB, or one for each core if there are more: memory does not grow
    with the number of threads.
    """

def encode_array(text: str, *, special: _Special = "text") -> array[int]:
    """The token ids of a text as an `array.array("I")`: 4 bytes an id, no Python ints are made.

    `numpy.asarray` of it copies nothing. Arguments and exceptions: see `encode`.
    """

def encode_batch(texts: Iterable[str], *, special: _Special = "text", threads: int | None = None) -> list[array[int]]:
    """`encode_array` of each text, in order, on several threads and with the GIL released.

    `threads`: 1 or more. `None`: one for each core; fewer where the system refuses to start threads. `special`: see
    `encode`. Raises `TypeError` that names the first item that is not a `str`.
    """

def encode_with_offsets(
    text: str, *, special: _Special = "text", unit: Literal["char", "byte"] = "char"
) -> tuple[list[int], list[tuple[int, int]]]:
    """The token ids of a text, and for each of them its start and its end in the text.

    `unit="char"`: `text[start:end]` are the characters that the token has bytes of, so that tokens that share a
    character overlap. `unit="byte"`: offsets in the text's UTF-8; each token starts where the one before it ends.
    Other arguments and exceptions: see `encode`.
    """

def count(text: str, *, special: _Special = "text") -> int:
    """The number of tokens of a text: `len(encode(text, special=special))`, without making the ids."""

def truncate(
    text: str, max_tokens: int, *, side: Literal["left", "right"] = "right", special: _Special = "text"
) -> str:
    """The beginning of a text with at most `max_tokens` of its tokens; with `side="left"`, the end of it.

    `side`: the side that is cut off. The cut is between two tokens of the text and between two characters, and keeps as
    many tokens as possible such that the result has at most `max_tokens` tokens when it is encoded by itself, too.
    `special`: see `encode`. Raises `ValueError` for a negative number.
    """

def decode(ids: Iterable[SupportsIndex], *, errors: Literal["replace", "strict"] = "replace") -> str:
    """The text of token ids, special tokens as they are spelled.

    `errors`: what becomes of bytes that are not UTF-8, as those of an id that is part of a character. `"replace"`:
    U+FFFD. `"strict"`: raises `UnicodeDecodeError`. Raises `ValueError` for a number that is not an id (0 to 201087).
    """

def decode_bytes(ids: Iterable[SupportsIndex]) -> bytes:
    """The bytes of token ids, special tokens as they are spelled.

    Raises `ValueError` for a number that is not an id (0 to 201087).
    """

def decode_with_offsets(
    ids: Iterable[SupportsIndex], *, unit: Literal["char", "byte"] = "char"
) -> tuple[str, list[tuple[int, int]]]:
    """The text of token ids, and for each of them its start and its end in the text: see `encode_with_offsets`.

    Bytes that are not UTF-8 become U+FFFD, which each token that has some of them covers. `unit="byte"`: offsets in
    `decode_bytes(ids)`. Raises `ValueError` for a number that is not an id (0 to 201087).
    """

def _token_id(bytes: bytes, /) -> int | None:
    """The id of the token with these bytes, special tokens by their spelling; `None` if there is none."""

def _pretokens(text: str) -> list[str]:
    """The parts of a text that the split pattern separates."""

def _vocabulary() -> bytes:
    """The vocabulary as a `.tiktoken` file, which other tokenizers read."""

@final
class StreamEncoder:
    """Encodes text that arrives in chunks.

    `feed` returns the ids that no later text can change, `close` the rest: together `encode` of the whole text. Can be
    copied and pickled.
    """
    def __new__(cls) -> StreamEncoder: ...
    def feed(self, text: str) -> list[int]:
        """The ids that no later text can change. Special tokens in the text are encoded as ordinary text."""
    def close(self) -> list[int]:
        """The ids of the rest of the text. After it the encoder is ready for another text."""
    @property
    def count(self) -> int:
        """The number of ids returned so far."""
    def __copy__(self) -> StreamEncoder: ...
    def __deepcopy__(self, memo: Any, /) -> StreamEncoder: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __setstate__(self, state: Any, /) -> None: ...

@final
class StreamDecoder:
    """Decodes token ids that arrive in chunks.

    A token may end within a character. `feed` returns the text whose characters are complete, and holds the bytes of
    the last one until the rest of it arrives; `close` returns what is left. Together they are `decode` of all ids. Can
    be copied and pickled.

    `errors="strict"` raises `UnicodeDecodeError` for bytes that are not UTF-8: from `feed`, or from `close` if the
    last character is not complete. After an error nothing has changed.
    """
    def __new__(cls, *, errors: Literal["replace", "strict"] = "replace") -> StreamDecoder: ...
    def feed(self, ids: SupportsIndex | Iterable[SupportsIndex]) -> str:
        """The text that is complete after one more id, or several.

        Raises `ValueError` for a number that is not an id (0 to 201087).
        """
    def close(self) -> str:
        """U+FFFD if the last character is not complete, else nothing. After it the decoder is ready for other ids."""
    @property
    def pending(self) -> bytes:
        """The bytes of a character that is not complete yet: at most 3."""
    def __copy__(self) -> StreamDecoder: ...
    def __deepcopy__(self, memo: Any, /) -> StreamDecoder: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __setstate__(self, state: Any, /) -> None: ...

@final
class Event:
    """An event of a stream parser: a frame starts, grows or ends, or a deviation from the format is repaired.

    Immutable, comparable and hashable. `match` takes `type`, `kind`, `index` and `delta` by position.
    """

    __match_args__: Final = ("type", "kind", "index", "delta")
    def __new__(cls, type: str, kind: str | None = None, index: int = 0, delta: str = "", *fields: Any) -> Event: ...
    def __reduce__(self) -> tuple[type[Event], tuple[Any, ...]]: ...
    def __hash__(self) -> int: ...
    @property
    def type(self) -> Literal["start", "delta", "end", "repair"]:
        """`"start"`, `"delta"`, `"end"` or `"repair"`."""
    @property
    def kind(self) -> Kind | None:
        """What the frame becomes in a message, as `"reasoning"` or `"tool_call"`. `None` for a repair."""
    @property
    def index(self) -> int:
        """The number of the frame, from 0. Of a repair: the number of frames that started before it."""
    @property
    def delta(self) -> str:
        """The text that is new since the event before. Empty unless `type` is `"delta"`."""
    @property
    def role(self) -> Role | None:
        """The role in the frame's header. `None` for a repair."""
    @property
    def name(self) -> str | None:
        """Of a tool call, the name of the tool without `functions.`: of `tools=`, if a damaged name means one of them.
        Otherwise the author in the frame's header, as `functions.get_weather` of a tool's result.
        """
    @property
    def channel(self) -> str | None:
        """The channel in the frame's header. `None` if it has none."""
    @property
    def recipient(self) -> str | None:
        """The recipient in the frame's header as written, without `to=`. `None` if it has none."""
    @property
    def content_type(self) -> str | None:
        """The content type in the frame's header, with its marker if it has one. `None` if it has none."""
    @property
    def stop(self) -> Stop | None:
        """The token that ended the frame. `None` if `type` is not `"end"` or the input ended first."""
    @property
    def repair(self) -> Repair | None:
        """The repair. `None` unless `type` is `"repair"`."""
    @property
    def call_id(self) -> str | None:
        """The id of a tool call, known from its start on. `None` for other frames."""

_Stripped: TypeAlias = Literal["auto", "always", "never"]
"""Whether to detect frames in text whose markers are removed (`analysisWe need ...assistantfinalHello`).

`"auto"`: if the text begins unlike a plain answer; `"always"`: the markers are known to be removed; `"never"`: no.
"""

def parse(
    raw: _Raw,
    *,
    role: Role | None = "assistant",
    opened: str | None = None,
    tools: Iterable[Any] | None = None,
    strict: bool = False,
    stripped: _Stripped = "auto",
    turn: int = 0,
) -> Completion:
    """Parses what a model generated for one turn.

    - `raw`: token ids (a list, an array, a buffer of integers) or text with markers (`str`, or its UTF-8 as bytes). It
      begins behind the `<|start|>` and the role with which the prompt ends.
    - `role`: the role that the prompt ends with. `None`: `raw` begins with its own `<|start|>`.
    - `opened`: what else of the first frame the prompt contains: a channel (`"analysis"`), or the header as written
      (`"<|channel|>commentary to=functions.f <|constrain|>json<|message|>"`, or the beginning of one). The first frame
      has that header. Raises `ValueError` for anything else.
    - `tools`: names or tool dicts of the tools that the model was given. They decide which tool is meant by a name
      without `functions.` and by a damaged name. A tool dict, and a name with `functions.`, is a function, also
      under the name of a built-in one (`container.exec`).
    - `strict`: raise `ParseError` at the first deviation from the format.
    - `stripped`: whether frames are looked for in text whose markers a server has left out
      (`analysisWe need ...assistantfinalHello`). `"auto"`: only in text that begins with such a header, and not as
      plain answers begin. `"always"`, `"never"`. Tool calls found this way are not `trusted`.
    - `turn`: how many turns of the conversation came before, 0 or more. It is part of the ids of tool calls, which are
      otherwise the same for the same completion.

    Accepts any input unless `strict`: deviations are repaired, and listed in `completion.repairs`. Takes linear time.
    """

def parse_batch(
    completions: Iterable[_Raw],
    *,
    role: Role | None = "assistant",
    opened: str | None = None,
    tools: Iterable[Any] | None = None,
    strict: bool = False,
    stripped: _Stripped = "auto",
    turn: int = 0,
    threads: int | None = None,
) -> list[Completion]:
    """`parse` of each completion, in order, on several threads and with the GIL released.

    `threads`: 1 or more. `None`: one for each core. With `strict` raises `ParseError` for the first completion that
    deviates from the format, with its `index`.
    """

def parse_conversation(raw: _Raw, *, tools: Iterable[Any] | None = None, strict: bool = False) -> list[Message]:
    """The messages of a prompt or transcript: one for each turn of the assistant, one for each frame of other roles.

    Arguments: see `parse`. The header that a prompt ends with gives no message. Text without markers is not divided
    into frames: nothing in it tells where a turn ends.
    """

def frames(
    raw: _Raw,
    *,
    role: Role | None = None,
    opened: str | None = None,
    tools: Iterable[Any] | None = None,
    strict: bool = False,
    stripped: _Stripped = "auto",
) -> list[Frame]:
    """The frames of a prompt or a transcript, as written; with `role="assistant"` those of a completion.

    Arguments: see `parse`. `render_frames` is the inverse for input that follows the format.
    """

def tokens_by_channel(frames: Iterable[Frame]) -> dict[str, int]:
    """Tokens by channel of the contents of frames that were made in Python. Markers and headers are not counted."""

@final
class StreamParser:
    """Parses a completion while it arrives, in chunks of any size.

    Arguments: see `parse`. Takes token ids or text; the first chunk decides. The same input gives the same frames and
    repairs however it is cut. A marker that may begin a frame is held back for at most 1 KiB; text that may have lost
    its markers for at most 8 KiB. Threads may share a parser; `copy.copy` gives an independent one.
    """

    def __new__(
        cls,
        role: Role | None = "assistant",
        *,
        opened: str | None = None,
        tools: Iterable[Any] | None = None,
        strict: bool = False,
        stripped: _Stripped = "auto",
        turn: int = 0,
    ) -> StreamParser: ...
    def feed(self, chunk: int | _Raw, /) -> list[Event]:
        """The events of a chunk: one token id, an iterable or buffer of ids, or text as `str` or bytes.

        Raises `ParseError` if `strict`, `TypeError` for ids after text or text after ids, `ValueError` after `close`.
        """
    def close(self) -> list[Event]:
        """The events that were held back, and the end of the open frame. `feed` raises `ValueError` until `reset`."""
    def reset(self) -> None:
        """Makes the parser ready for another completion, with the same arguments."""
    @property
    def completion(self) -> Completion:
        """The completion so far, as a value that later chunks do not change. What is held back is not in it.

        Takes constant time: fields are made when they are read, and those of ended frames once. Each read of the open
        frame's content copies it; to show it as it grows, use the deltas of the events.
        """
    def __copy__(self) -> StreamParser: ...
    def __deepcopy__(self, memo: Any) -> StreamParser: ...

def tool_dicts(tools: Iterable[Any]) -> list[dict[str, Any]]:
    """Tools as OpenAI tool dicts. Takes names, dicts of OpenAI, MCP or Anthropic, and objects with `to_dict` or
    `model_dump`.

    A dict in OpenAI's form is returned unchanged. Raises `TypeError` for other objects and for a dict with no
    known place for its parameters, and `RenderError` for parameters that are text but not JSON.
    """

def render(
    messages: Iterable[Message | Mapping[str, Any]],
    options: dict[str, Any],
    sampled: Mapping[int, Iterable[int]] | None = None,
) -> Prompt | None:
    """The prompt of a conversation. `motet.render` is the public form and describes the options, which are a dict here:
    keywords would be copied twice on the way.

    `messages`: a list or tuple of `Message`s and plain chat dicts. `None` for anything else, which
    `motet.dialects.chat` reads or refuses.
    """

def plain_messages(items: list[Any], unnamed_results: bool) -> list[Message] | None:
    """The messages of a list of `Message`s and plain chat dicts; `None` for anything else, which `motet.dialects.chat`
    reads or refuses.
    """

def render_frames(frames: Iterable[Frame]) -> tuple[list[int], str]:
    """`(ids, text)` of frames. `motet.render_frames` is the public form."""

@final
class Prompt:
    """A rendered conversation. `motet.Prompt` is the public form."""

    @property
    def ids(self) -> list[int]:
        """The token ids, as a new list."""
    @property
    def text(self) -> str:
        """The ids as text, markers spelled."""
    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """`(start, end)` in `ids` for each message; empty if none of it was rendered."""
    @property
    def dropped(self) -> tuple[tuple[int, int], ...]:
        """`(message, part)` indexes of parts that were left out."""
    @property
    def notes(self) -> tuple[tuple[str, str, int | None], ...]:
        """`(code, message, message index)` of each note."""
    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames, those made from the options included."""
    def messages(self) -> tuple[Message, ...]:
        """The messages that the prompt was rendered from, as new objects. Of a prompt that was extended by ids, those
        of the last step, without the sampled one.
        """
    def extend(self, messages: Iterable[Message | Mapping[str, Any]]) -> Prompt | None:
        """The prompt with more messages at its end; `None` for messages that `render` does not take. Encodes only what
        is new or changed.
        """
    def extend_ids(
        self, sampled: Iterable[int], messages: Iterable[Message | Mapping[str, Any]], continue_final_message: bool
    ) -> Prompt | None:
        """The prompt with sampled ids behind it, and more messages behind these; `None` for messages that `render` does
        not take. Keeps all ids.
        """
    @property
    def opened(self) -> str | None:
        """With `continue_final_message`, the header of the open frame, markers spelled."""
    def attribution(self) -> tuple[array[int], array[int], array[int], array[int]]:
        """`(messages, parts, kinds, sampled)`: arrays with an item for each id. `motet.Attribution` describes them."""
    def loss_mask(self, tokens: str) -> array[int]:
        """1 for each id that is one of these tokens, else 0, as an `array.array("B")`."""
    def training_ids(self) -> list[int]:
        """The ids of the prompt as a training sample: a final answer at the end is ended by `<|return|>`."""
    def __len__(self) -> int: ...

@final
class _HarmonyEncoding:
    """The encoding of a library: `"openai_harmony"` (0.0.8) or `"oss_harmony"` (0.0.11)."""

    def __new__(cls, dialect: Literal["openai_harmony", "oss_harmony"]) -> _HarmonyEncoding: ...
    @property
    def dialect(self) -> Literal["openai_harmony", "oss_harmony"]:
        """The name of the library."""

    @staticmethod
    def browser_tool() -> str:
        """staticmethod(function) -> method

        Convert a function to be a static method.

        A static method does not receive an implicit first argument.
        To declare a static method, use this idiom:

             class C:
                 @staticmethod
                 def f(arg1, arg2, argN):
                     ...

        It can be called either on the class (e.g. C.f()) or on an instance
        (e.g. C().f()). Both the class and the instance are ignored, and
        neither is passed implicitly as the first argument to the method.

        Static methods in Python are similar to those found in Java or C++.
        For a more advanced concept, see the classmethod builtin.
        """

    @staticmethod
    def python_tool() -> str:
        """staticmethod(function) -> method

        Convert a function to be a static method.

        A static method does not receive an implicit first argument.
        To declare a static method, use this idiom:

             class C:
                 @staticmethod
                 def f(arg1, arg2, argN):
                     ...

        It can be called either on the class (e.g. C.f()) or on an instance
        (e.g. C().f()). Both the class and the instance are ignored, and
        neither is passed implicitly as the first argument to the method.

        Static methods in Python are similar to those found in Java or C++.
        For a more advanced concept, see the classmethod builtin.
        """

    def render_conversation_for_completion(
        self, conversation_json: str, next_turn_role: str, auto_drop_analysis: object
    ) -> list[int]:
        """The ids of a conversation as JSON, and of the header that `next_turn_role` begins."""

    def render_conversation(self, conversation_json: str, auto_drop_analysis: object) -> list[int]:
        """The ids of a conversation as JSON."""

    def render_conversation_for_training(self, conversation_json: str, auto_drop_analysis: object) -> list[int]:
        """The ids of a conversation as JSON, in which `<|return|>` ends the last answer."""

    def render_message(self, message_json: str, conversation_has_function_tools: object) -> list[int]:
        """The ids of a message as JSON."""

    def parse_messages(
        self, tokens: list[int], role: str | None, strict: bool | None, mode: str
    ) -> list[tuple[_HarmonyRole, str | None, str | None, str | None, str | None, str]]:
        """The messages of a completion: `(role, name, channel, recipient, content_type, text)` of each."""

    def decode_utf8(self, tokens: list[int]) -> str:
        """The text of ids, which must be UTF-8."""

    def decode_bytes(self, tokens: list[int]) -> bytes:
        """The bytes of ids."""

    def special_tokens(self) -> list[str]:
        """The spellings of all special tokens."""

    def is_special_token(self, token: int) -> bool:
        """Whether an id is that of a special token."""

    def stop_tokens(self) -> list[int]:
        """The ids of the tokens that end a message."""

    def stop_tokens_for_assistant_actions(self) -> list[int]:
        """The ids of the tokens that end the model's generation."""

@final
class _HarmonySpecialTokens:
    """Which spellings of special tokens in a text become tokens (`allowed`), and which are refused.

    Strings that are not spellings of special tokens have no effect.
    """

    def __new__(cls, allowed: Iterable[str], refused: Iterable[str]) -> _HarmonySpecialTokens: ...
    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises `SpecialTokenError` for a spelling that is refused."""

@disjoint_base
class _StreamableParser:
    """The native half of `motet.openai_harmony.StreamableParser`, which begins with `_begin`."""

    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...
    def _begin(self, encoding: _HarmonyEncoding, role: str | None, strict: bool | None, mode: str) -> None:
        """Begins a completion. `mode`: `"exact"` or `"tolerant"`."""

    def process(self, token: int) -> Self:
        """Reads one token, and returns the parser.

        Raises `HarmonyError` for a token that does not follow the format.
        """

    def process_eos(self) -> Self:
        """Ends the completion and with it the open message, and returns the parser.

        Raises `HarmonyError` within a header.
        """

    @property
    def current_content(self) -> str:
        """The content of the open message so far."""

    @property
    def current_role(self) -> _HarmonyRole | None:
        """The role of the open message, or of the message to come if it is known."""

    @property
    def current_channel(self) -> str | None:
        """The channel of the open message."""

    @property
    def current_recipient(self) -> str | None:
        """The recipient of the open message."""

    @property
    def current_content_type(self) -> str | None:
        """The content type of the open message."""

    @property
    def last_content_delta(self) -> str | None:
        """The text that the last token added; `None` outside of content, and while a character is incomplete."""

    @property
    def tokens(self) -> list[int]:
        """All tokens that were read."""

    @property
    def repairs(self) -> list[Repair]:
        """In the mode `"tolerant"`, what did not follow the format: `motet.message.Repair`."""

    @property
    def state_data(self) -> dict[str, Any]:
        """The state with its tokens, as JSON would hold it."""

    @property
    def _state(self) -> str:
        """The name of the state."""

    @property
    def _messages(self) -> list[tuple[_HarmonyRole, str | None, str | None, str | None, str | None, str]]:
        """The messages that have ended: `(role, name, channel, recipient, content_type, text)` of each."""

@final
class Column:
    """A column of results: Arrow arrays of one type, with a row for each row of the input.

    It has Arrow's PyCapsule interface, so that libraries take it without a copy: `pyarrow.chunked_array(column)`,
    `pyarrow.array(column)`, `polars.Series(column)`. `len(column)` is its number of rows.
    """

    @property
    def num_chunks(self) -> int:
        """The number of arrays that it is made of: 0 for a column without rows."""
    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

def parse_column(
    array: object,
    *,
    role: Role | None = "assistant",
    opened: str | None = None,
    tools: Iterable[Any] | None = None,
    stripped: _Stripped = "auto",
    turn: int = 0,
    tokens: bool = True,
    threads: int | None = None,
) -> Column:
    """See `motet.columns.parse`."""

def count_column(array: object, *, special: _Special = "text", threads: int | None = None) -> Column:
    """See `motet.columns.count`."""

def encode_column(array: object, *, special: _Special = "text", threads: int | None = None) -> Column:
    """See `motet.columns.encode`."""

def decode_column(
    array: object, *, errors: Literal["replace", "strict"] = "replace", threads: int | None = None
) -> Column:
    """See `motet.columns.decode`."""

def render_column(
    array: object,
    options: dict[str, Any],
    read_other: Callable[[str], list[int] | str],
    *,
    threads: int | None = None,
) -> Column:
    """See `motet.columns.render`.

    `read_other` takes the JSON of a conversation in a shape that is not read here. It returns the ids of its prompt, or
    the error as a text.
    """

def cost_column(
    prompt: object | None,
    completion: object | None,
    cached: object | None,
    model: object | None,
    prices: Mapping[str | None, tuple[int | None, int | None, int | None]],
    *,
    threads: int | None = None,
) -> Column:
    """See `motet.columns.cost`.

    `prices`: for each model, or for `None`, 10⁻¹² dollars for a token of the input, the output and the cached input.
    """
