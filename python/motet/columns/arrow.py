"""The functions over Arrow arrays; the native module does the work."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, Protocol, TypeAlias

from motet import _core, catalog
from motet._core import Column
from motet.errors import RenderError
from motet.harmony import native_options
from motet.harmony import render as render_prompt
from motet.message import Role
from motet.metrics import Price, token_units

__all__ = ["ArrowArray", "cost", "count", "decode", "encode", "parse", "render"]


class _Stream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class _Array(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...


ArrowArray: TypeAlias = _Array | _Stream
"""An object with Arrow's PyCapsule interface: an array, a chunked array, a series, a stream of arrays.

Text: strings, large strings, string views, or binaries of these kinds. Token ids: lists of integers of any width. Both
also as dictionaries, sliced, and with nulls."""

_Units: TypeAlias = tuple[int | None, int | None, int | None]

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


def render(array: ArrowArray, *, threads: int | None = None, **options: Any) -> Column:
    """Renders each conversation, as `motet.render` does. A column of structs:

    - `ids`: the token ids of the prompt, lists of unsigned 32-bit integers.
    - `tokens`: their number, a 64-bit integer.
    - `error`: the reason for which a conversation has no place in the format, else null.

    `array`: lists of structs with the keys of chat messages, or the JSON of such a list as text. Null fields of structs
    are left out of the messages: a table has all keys in each row. A null is a null.

    `options` are the keyword arguments of `motet.render` except `sampled`, the same for all rows. Messages of OpenAI's
    chat format whose contents are texts are read on all cores, rows with other messages one by one. Raises `TypeError`
    for an array of another type and for wrong options.
    """
    if "sampled" in options:
        raise TypeError("render of a column has no option 'sampled': it is about one conversation")

    def read_other(text: str) -> list[int] | str:
        try:
            return render_prompt(json.loads(text), **options).ids
        except (RenderError, TypeError, ValueError, RecursionError) as error:
            return str(error)

    return _core.render_column(array, native_options(options), read_other, threads=threads)


def cost(
    prompt: ArrowArray | None,
    completion: ArrowArray | None,
    *,
    price: Price | str | Mapping[str, Price | str],
    cached: ArrowArray | None = None,
    model: ArrowArray | None = None,
    threads: int | None = None,
) -> Column:
    """The cost of each row in US dollars. A column of structs of decimals, `decimal128(38, 12)`: `prompt` (what is not
    cached of it), `cached`, `completion`, `total`. Exact, as `motet.Metrics` are.

    - `prompt`, `completion`: counts of tokens as integers, or text or token ids to be counted. `None`: unknown.
    - `cached`: how many tokens of the prompt the service had cached. `None`: none of them.
    - `price`: one for all rows, or one for each name in the column `model`. A `Price`, or the slug of an atom
      (`"together/gpt-oss/120b"`) for its price in the catalogue.

    What is unknown is null: the part of a null or negative count, of a name without a price, and each sum with such a
    part. Raises `ValueError` for columns of different lengths and for a price with more than 6 digits behind the point.
    """
    if isinstance(price, Mapping) != (model is not None):
        raise TypeError("a price for each model needs the column `model`, and that column needs such prices")
    prices: dict[str | None, _Units] = {}
    for name, value in price.items() if isinstance(price, Mapping) else ((None, price),):
        prices[name] = token_units(_price(value))
    return _core.cost_column(prompt, completion, cached, model, prices, threads=threads)


def _price(value: object) -> Price:
    if isinstance(value, str):
        return catalog.find(value).cost.cash
    if not isinstance(value, Price):
        raise TypeError(f"price must be a motet.Price or a slug, not {type(value).__name__}")
    return value
