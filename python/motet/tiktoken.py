"""tiktoken's interface over motet's tokenizer: `import motet.tiktoken as tiktoken`.

The encodings of gpt-oss (`o200k_harmony`) and of the models since GPT-4o (`o200k_base`), with tiktoken's names,
results and exception types. Nothing is downloaded, and other encodings are not here. See docs/reference/tokens.md for
the differences.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from motet import _core
from motet.errors import SpecialTokenError

if TYPE_CHECKING:
    import numpy
    import numpy.typing

__all__ = ["Encoding", "encoding_for_model", "encoding_name_for_model", "get_encoding", "list_encoding_names"]

_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
# The split rules of o200k_base, in order; rust/core/src/tokenizer/pretokenizer is the scanner for them.
_PATTERN = "|".join(
    [
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
_ORDINARY_TOKENS = 199_998
_END_OF_TEXT = 199_999
_SPECIAL_TOKENS = {
    "o200k_base": {
        spelling: token
        for spelling, token in _core.SPECIAL_TOKENS.items()
        if token in (_END_OF_TEXT, 200_018) and not spelling.startswith("<|reserved")
    },
    "o200k_harmony": dict(_core.SPECIAL_TOKENS),
}

# As in tiktoken 0.14.
_MODELS = dict.fromkeys(["o1", "o3", "o4-mini", "gpt-5", "gpt-4.1", "gpt-4o"], "o200k_base")
_MODEL_PREFIXES = {
    **dict.fromkeys(
        ["o1-", "o3-", "o4-mini-", "gpt-5", "gpt-4.5-", "gpt-4.1-", "chatgpt-4o-", "gpt-4o-"], "o200k_base"
    ),
    "gpt-oss-": "o200k_harmony",
    "ft:gpt-4o": "o200k_base",
}

_Specials = Literal["all"] | AbstractSet[str]
_Disallowed = Literal["all"] | Collection[str]
_Others = re.Pattern[str] | None


def list_encoding_names() -> list[str]:
    """`["o200k_base", "o200k_harmony"]`."""
    return list(_SPECIAL_TOKENS)


@functools.cache
def get_encoding(encoding_name: str) -> Encoding:
    """The encoding of a name. Raises `ValueError` for an unknown name."""
    return Encoding(encoding_name)


def encoding_name_for_model(model_name: str) -> str:
    """The name of the encoding of a model. Raises `KeyError` for a model without one of these encodings."""
    if model_name in _MODELS:
        return _MODELS[model_name]
    for prefix, name in _MODEL_PREFIXES.items():
        if model_name.startswith(prefix):
            return name
    raise KeyError(f"no encoding is known for the model {model_name!r}: use get_encoding, or tiktoken for older models")


def encoding_for_model(model_name: str) -> Encoding:
    """The encoding of a model. Raises `KeyError` for an unknown model, and for one with another encoding."""
    return get_encoding(encoding_name_for_model(model_name))


class Encoding:
    """An encoding by its name, with the methods of `tiktoken.Encoding`. Use `get_encoding` to share one.

    `pat_str`, `mergeable_ranks` and other special tokens cannot be given: use tiktoken for encodings of your own.
    """

    def __init__(self, name: str) -> None:
        if name not in _SPECIAL_TOKENS:
            raise ValueError(f"unknown encoding: {name!r}; there are {' and '.join(map(repr, _SPECIAL_TOKENS))}")
        self.name = name
        self._special_tokens = _SPECIAL_TOKENS[name]
        self._special_ids = frozenset(self._special_tokens.values())
        self.max_token_value = max(self._special_ids)

    def __repr__(self) -> str:
        return f"<Encoding {self.name!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return get_encoding, (self.name,)

    # Names with an underscore that programs over tiktoken use.

    @property
    def _pat_str(self) -> str:
        """The split pattern, for the module `regex`."""
        return _PATTERN

    @functools.cached_property
    def _mergeable_ranks(self) -> dict[bytes, int]:
        """The ordinary tokens by their bytes."""
        return {_core.decode_bytes((token,)): token for token in range(_ORDINARY_TOKENS)}

    def _encode_single_piece(self, text_or_bytes: str | bytes) -> list[int]:
        """The tokens of one pre-token, of any bytes; `encode_ordinary` splits a text into them."""
        piece = text_or_bytes.encode() if isinstance(text_or_bytes, str) else text_or_bytes
        return _merged(piece)

    def _encode_only_native_bpe(self, text: str) -> list[int]:
        """`encode_ordinary`."""
        return self.encode_ordinary(text)

    def _encode_bytes(self, text: bytes) -> list[int]:
        """The tokens of bytes that may not be UTF-8: from the last pre-token before an invalid byte on, all bytes are
        merged as one."""
        try:
            return self.encode_ordinary(text.decode())
        except UnicodeDecodeError as error:
            valid = text[: error.start].decode()
        pretokens = _core._pretokens(valid)
        tokens = [self.encode_ordinary(pretoken) for pretoken in pretokens]
        flat = [token for group in tokens for token in group]
        unstable = len(tokens[-1]) if tokens else 0
        is_space = [not self.decode_bytes((token,)).strip(b" \n\t") for token in flat]
        if unstable and is_space[-unstable]:
            # White space before the last pre-token may merge with it.
            while unstable < len(flat) and is_space[-unstable - 1]:
                unstable += 1
        stable = flat[: len(flat) - unstable]
        rest = self.decode_bytes(flat[len(stable) :]) + text[len(valid.encode()) :]
        return [*stable, *_merged(rest)]

    @property
    def n_vocab(self) -> int:
        """`max_token_value + 1`."""
        return self.max_token_value + 1

    @property
    def eot_token(self) -> int:
        """The id of `<|endoftext|>`."""
        return _END_OF_TEXT

    @functools.cached_property
    def special_tokens_set(self) -> set[str]:
        """The spellings of all special tokens."""
        return set(self._special_tokens)

    def is_special_token(self, token: int) -> bool:
        """Whether a token is special."""
        return token in self._special_ids

    def token_byte_values(self) -> list[bytes]:
        """The bytes of all ordinary tokens, sorted."""
        return sorted([_core.decode_bytes((token,)) for token in range(_ORDINARY_TOKENS)])

    def encode_ordinary(self, text: str) -> list[int]:
        """The tokens of a text, special tokens in it taken as ordinary text."""
        return _core.encode(text)

    def encode(
        self, text: str, *, allowed_special: _Specials = frozenset(), disallowed_special: _Disallowed = "all"
    ) -> list[int]:
        """The tokens of a text.

        Spellings of special tokens become special tokens if they are in `allowed_special`. They raise `ValueError` if
        they are in `disallowed_special` (by default: all that are not allowed), and are ordinary text if they are in
        neither.
        """
        choice, others = self._choice(allowed_special, disallowed_special)
        _refuse_others(text, others)
        try:
            return _core.encode(text, special=choice)
        except SpecialTokenError as error:
            _refuse(error.token)

    def encode_to_numpy(
        self, text: str, *, allowed_special: _Specials = frozenset(), disallowed_special: _Disallowed = "all"
    ) -> numpy.typing.NDArray[numpy.uint32]:
        """`encode` as an array of `uint32`. Requires numpy."""
        import numpy

        choice, others = self._choice(allowed_special, disallowed_special)
        _refuse_others(text, others)
        try:
            ids = _core.encode_array(text, special=choice)
        except SpecialTokenError as error:
            _refuse(error.token)
        return numpy.frombuffer(ids, numpy.uint32)

    def encode_ordinary_batch(self, text: Iterable[str], *, num_threads: int = 8) -> list[list[int]]:
        """`encode_ordinary` of each text, on several threads."""
        return [ids.tolist() for ids in _core.encode_batch(list(text), threads=num_threads)]

    def encode_batch(
        self,
        text: Iterable[str],
        *,
        num_threads: int = 8,
        allowed_special: _Specials = frozenset(),
        disallowed_special: _Disallowed = "all",
    ) -> list[list[int]]:
        """`encode` of each text, on several threads."""
        texts = list(text)
        choice, others = self._choice(allowed_special, disallowed_special)
        for item in texts:
            _refuse_others(item, others)
        try:
            return [ids.tolist() for ids in _core.encode_batch(texts, special=choice, threads=num_threads)]
        except SpecialTokenError as error:
            _refuse(error.token)

    def encode_single_token(self, text_or_bytes: str | bytes) -> int:
        """The token with exactly this text or these bytes, special tokens included. Raises `KeyError` without one."""
        token_bytes = text_or_bytes.encode() if isinstance(text_or_bytes, str) else text_or_bytes
        token = _core._token_id(token_bytes)
        if token is None or (token >= _ORDINARY_TOKENS and token_bytes.decode() not in self._special_tokens):
            raise KeyError(token_bytes)
        return token

    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        """The bytes of tokens. Raises `KeyError` for a number that is not a token."""
        try:
            decoded = _core.decode_bytes(tokens)
        except ValueError:
            self._find_invalid(tokens)
            raise
        if self.name == "o200k_base" and len(tokens) and max(tokens) >= _ORDINARY_TOKENS:
            self._find_invalid(tokens)
        return decoded

    def decode(self, tokens: Sequence[int], errors: str = "replace") -> str:
        """The text of tokens. `errors` is that of `bytes.decode`, for bytes that are not UTF-8."""
        return self.decode_bytes(tokens).decode(errors=errors)

    def decode_single_token_bytes(self, token: int) -> bytes:
        """The bytes of one token. Raises `KeyError` for a number that is not a token."""
        return self.decode_bytes((token,))

    def decode_tokens_bytes(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes of each token."""
        return [self.decode_bytes((token,)) for token in tokens]

    def decode_with_offsets(self, tokens: Sequence[int]) -> tuple[str, list[int]]:
        """The text of tokens, and for each token the offset of the first character that has bytes of it.

        Raises `UnicodeDecodeError` for bytes that are not UTF-8. `motet.decode_with_offsets` replaces them, and
        returns ends, too.
        """
        text = self.decode(tokens, "strict")
        return text, [start for start, _ in _core.decode_with_offsets(tokens)[1]]

    def decode_batch(
        self, batch: Iterable[Sequence[int]], *, errors: str = "replace", num_threads: int = 8
    ) -> list[str]:
        """`decode` of each sequence. `num_threads` has no effect."""
        return [self.decode(tokens, errors) for tokens in batch]

    def decode_bytes_batch(self, batch: Iterable[Sequence[int]], *, num_threads: int = 8) -> list[bytes]:
        """`decode_bytes` of each sequence. `num_threads` has no effect."""
        return [self.decode_bytes(tokens) for tokens in batch]

    def _choice(self, allowed: _Specials, disallowed: _Disallowed) -> tuple[_core.SpecialChoice, _Others]:
        """The policy for motet's special tokens, and a pattern of other disallowed strings."""
        return _prepared_choice(self.name, _key(allowed, "allowed_special"), _key(disallowed, "disallowed_special"))

    def _find_invalid(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            if not 0 <= token < 1 << 32:
                raise OverflowError(f"token out of range: {token}")
            if token >= _ORDINARY_TOKENS and token not in self._special_ids:
                raise KeyError(f"not a token of {self.name}: {token}")


def _merged(piece: bytes) -> list[int]:
    """Byte pair encoding by its definition. Takes quadratic time."""
    token = _core._token_id(piece) if piece else None
    if token is not None and token < _ORDINARY_TOKENS:
        return [token]
    parts = [piece[at : at + 1] for at in range(len(piece))]
    while True:
        pairs = [_ordinary(left + right) for left, right in itertools.pairwise(parts)]
        best = min([token for token in pairs if token is not None], default=None)
        if best is None:
            return [token for part in parts if (token := _ordinary(part)) is not None]
        at = pairs.index(best)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def _ordinary(token_bytes: bytes) -> int | None:
    token = _core._token_id(token_bytes)
    return token if token is not None and token < _ORDINARY_TOKENS else None


def _key(specials: _Specials | _Disallowed, name: str) -> Literal["all"] | frozenset[str]:
    if isinstance(specials, str):
        if specials != "all":
            raise ValueError(f"{name} must be 'all' or a set of special tokens: {specials!r}")
        return "all"
    return frozenset(specials)


@functools.lru_cache(maxsize=128)
def _prepared_choice(
    name: str, allowed: Literal["all"] | frozenset[str], disallowed: Literal["all"] | frozenset[str]
) -> tuple[_core.SpecialChoice, _Others]:
    own = frozenset(_SPECIAL_TOKENS[name])
    tokens = own if allowed == "all" else own & allowed
    errors = own - tokens if disallowed == "all" else disallowed
    refused = errors & _core.SPECIAL_TOKENS.keys()
    others = errors - refused
    pattern = re.compile("|".join(map(re.escape, sorted(others)))) if others else None
    return _core.SpecialChoice(tokens, refused), pattern


def _refuse_others(text: str, others: _Others) -> None:
    if others is not None and (match := others.search(text)):
        _refuse(match.group())


def _refuse(token: str) -> NoReturn:
    raise ValueError(
        f"the text holds the disallowed special token {token!r}: pass allowed_special={{{token!r}}} to encode it as a "
        "special token, or disallowed_special=() to encode special tokens as text"
    ) from None
