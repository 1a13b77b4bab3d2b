"""The functions over Arrow arrays; the native module does the work."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Literal, Protocol, TypeAlias

from motet import _core
from motet._core import Column
from motet.message import Role

__all__ = ["ArrowArray", "count", "decode", "encode", "parse"]


class _Stream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class _Array(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...


ArrowArray: TypeAlias = _Array | _Stream
"""An object with Arrow's PyCapsule interface: an array, a chunked array, a series, a stream of arrays.

Text: strings, large strings, string views, or binaries of these kinds. Token ids: lists of integers of any width. Both
also as dictionaries, sliced, and with nulls."""

Special: TypeAlias = Literal["text", "token", "error"] | Collection[str] | _core.SpecialChoice


def parse(
    array: ArrowArray,
    tools: Iterable[Any] | None = None,
    *,
    role: Role | None = "assistant",
    opened: str | None = None,
    stripped: Literal["auto", "always", "never"] = "auto",
    turn: int = 0,
    tokens: bool = True,
    threads: int | None = None,
) -> Column:
    """Parses each completion, as `motet.parse` does. A column of structs:

    - `reasoning`, `preamble`, `text`: large strings, `""` where the completion has none.
    - `tool_calls`: lists of `{id, name, arguments, recipient, trusted}`.
    - `stop`: `"return"`, `"call"` or `"end"`; null if the completion ends before a stop token.
    - `repairs`: lists of `{code, position, text, message, count}`: the deviations from the format.
    - `tokens`: `{analysis, commentary, final, markup, other}`, 64-bit integers.

    `array` holds text with markers, or token ids, which alone give calls that are `trusted`. A null is a null in each
    field. No completion is refused, and none is left out.

    `tokens=False` does not count the tokens of text, which takes several times as long as parsing it: the counts are
    null. Those of token ids are known anyway. `threads`: 1 or more; `None`: one for each core. Other arguments: see
    `motet.parse`. Raises `TypeError` for an array of another type.
    """
    return _core.parse_column(
        array, role=role, opened=opened, tools=tools, stripped=stripped, turn=turn, tokens=tokens, threads=threads
    )


def count(array: ArrowArray, *, special: Special = "text", threads: int | None = None) -> Column:
    """The number of tokens of each row: 64-bit integers, as `motet.count` of a text, or the length of a list of ids.

    Completions with markers are counted with `special="token"`. Bytes that are not UTF-8 are counted as U+FFFD. Other
    values of `special`, and exceptions: see `motet.encode`.
    """
    return _core.count_column(array, special=special, threads=threads)


def encode(array: ArrowArray, *, special: Special = "text", threads: int | None = None) -> Column:
    """The token ids of each text: lists of unsigned 32-bit integers, as `motet.encode` gives.

    `special`, and exceptions: see `motet.encode`.
    """
    return _core.encode_column(array, special=special, threads=threads)


def decode(
    array: ArrowArray, *, errors: Literal["replace", "strict"] = "replace", threads: int | None = None
) -> Column:
    """The text of each list of token ids: large strings, as `motet.decode` gives.

    Numbers that are not token ids become U+FFFD, as bytes that are not UTF-8 do. `errors="strict"` raises `ValueError`
    for both, with the row.
    """
    return _core.decode_column(array, errors=errors, threads=threads)
