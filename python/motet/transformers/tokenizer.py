"""gpt-oss's tokenizer under the names of `transformers`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from motet import _core
from motet.harmony import Prompt, render
from motet.schema.tool import to_tool
from motet.transformers.batch import (
    BatchEncoding,
    Padding,
    Side,
    Truncation,
    pad,
    padding_strategy,
    to_tensors,
    truncate,
)

__all__ = ["Tokenizer"]

_ORDINARY_TOKENS = 199_998
_LAST_ADDED = 200_018
_ADDED = {
    spelling: token
    for spelling, token in _core.SPECIAL_TOKENS.items()
    if token <= _LAST_ADDED and _core.decode([token]) == spelling
}
"""The special tokens of the published tokenizer, in the order of their ids; it leaves out the reserved ones above."""
_SPELLINGS = {token: spelling for spelling, token in _ADDED.items()}
_NAMED = {"bos_token": _SPELLINGS[199_998], "eos_token": _SPELLINGS[200_002], "pad_token": _SPELLINGS[199_999]}
_NO_LIMIT = int(1e30)
"""The value by which `transformers` says that a tokenizer has no limit of its own."""
_CHAT_TEMPLATE = "{# motet renders conversations itself: this text is not used #}{% generation %}{% endgeneration %}"
"""The value of `chat_template`. Trainers look there for marks of what the model writes before they ask for the mask."""
_TEMPLATE_OPTIONS = {"model_identity": "identity", "current_date": "current_date", "builtin_tools": "builtin_tools"}
"""Variables of the published chat template, and the options of `motet.render` for them."""


@functools.cache
def _byte_characters() -> dict[int, str]:
    """For each byte the visible character that stands for it in tokens, by the convention of byte-level vocabularies:
    printable bytes of Latin-1 stand for themselves, the others for U+0100 on."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in set(visible)]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


@functools.cache
def _character_bytes() -> dict[str, int]:
    return {character: byte for byte, character in _byte_characters().items()}


class Tokenizer:
    """The published tokenizer of gpt-oss, without a download.

    Special tokens spelled in a text become special tokens, as in `transformers`; with `split_special_tokens=True`, here
    or in a call, they are ordinary text. `render` and `apply_chat_template` never take text for special tokens.
    """

    is_fast = True
    model_input_names = ("input_ids", "attention_mask")
    vocab_size = _ORDINARY_TOKENS
    """Ordinary tokens; `len` counts the special ones, too."""

    def __init__(
        self,
        *,
        padding_side: Side = "right",
        truncation_side: Side = "right",
        model_max_length: int = _NO_LIMIT,
        split_special_tokens: bool = False,
    ) -> None:
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        self.model_max_length = model_max_length
        self.split_special_tokens = split_special_tokens
        self.name_or_path = "openai/gpt-oss"
        self.bos_token, self.eos_token, self.pad_token = _NAMED.values()
        self.unk_token = None
        self.chat_template = _CHAT_TEMPLATE

    def __repr__(self) -> str:
        return f"{type(self).__name__}(len={len(self)}, padding_side={self.padding_side!r})"

    def __len__(self) -> int:
        return _LAST_ADDED + 1

    # Special tokens.

    @property
    def bos_token_id(self) -> int:
        """The id of `bos_token`."""
        return self._special_id(self.bos_token)

    @property
    def eos_token_id(self) -> int:
        """The id of `eos_token`: `<|return|>`, at which an answer ends."""
        return self._special_id(self.eos_token)

    @property
    def pad_token_id(self) -> int:
        """The id of `pad_token`."""
        return self._special_id(self.pad_token)

    @property
    def unk_token_id(self) -> None:
        """`None`: all text can be encoded."""
        return None

    def _special_id(self, token: str) -> int:
        if token not in _ADDED:
            raise ValueError(f"not a special token of gpt-oss: {token!r}")
        return _ADDED[token]

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The special tokens with a name."""
        return {"bos_token": self.bos_token, "eos_token": self.eos_token, "pad_token": self.pad_token}

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens with a name, each once."""
        return list(dict.fromkeys(self.special_tokens_map.values()))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return [_ADDED[token] for token in self.all_special_tokens]

    def get_added_vocab(self) -> dict[str, int]:
        """All special tokens and their ids."""
        return dict(_ADDED)

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """`get_added_vocab()`."""
        return dict(_ADDED)

    def get_vocab(self) -> dict[str, int]:
        """All tokens, as `convert_ids_to_tokens` writes them, and their ids."""
        return {self._token(token): token for token in range(_ORDINARY_TOKENS)} | _ADDED

    def get_special_tokens_mask(
        self, token_ids_0: Sequence[int], token_ids_1: None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 for special tokens, else 0."""
        return [int(token in _SPELLINGS) for token in token_ids_0]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """0: encoding adds none."""
        return 0

    # Text to ids.

    def __call__(
        self,
        text: str | Sequence[str] | Sequence[Sequence[str]],
        text_pair: None = None,
        *,
        add_special_tokens: bool = True,
        padding: Padding = False,
        truncation: Truncation = None,
        max_length: int | None = None,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: Side | None = None,
        return_tensors: Any = None,
        return_attention_mask: bool | None = None,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        split_special_tokens: bool | None = None,
        **unused: Any,
    ) -> BatchEncoding:
        """The ids of a text or of a list of texts, with an attention mask.

        `add_special_tokens` has no effect: gpt-oss adds none. Offsets are in characters. Raises `ValueError` for pairs
        of texts, overflowing tokens and token types, which these models do not have.
        """
        refused = [
            name for name in ("return_overflowing_tokens", "return_token_type_ids", "stride") if unused.get(name)
        ]
        if text_pair is not None or refused:
            raise ValueError(f"gpt-oss's tokenizer has no {refused[0] if refused else 'text_pair'}")
        single = isinstance(text, str) or (is_split_into_words and not (text and isinstance(text[0], list | tuple)))
        texts: Sequence[Any] = [text] if single or not isinstance(text, Iterable) else list(text)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        rows = []
        for item in texts:
            row = self._row(item, split, offsets=return_offsets_mapping)
            if return_special_tokens_mask:
                # As in transformers, the mask has the tokens that encoding adds, and padding.
                row["special_tokens_mask"] = [0] * len(row["input_ids"])
            rows.append(row)
        return self._finish(
            rows,
            single=single,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_tensors=return_tensors,
            return_attention_mask=return_attention_mask is not False,
            return_length=return_length,
        )

    def _row(self, text: Any, split_special_tokens: bool, *, offsets: bool) -> dict[str, list[Any]]:
        words = list(text) if isinstance(text, list | tuple) else [text]
        row: dict[str, list[Any]] = {"input_ids": []}
        for word in words:
            if not isinstance(word, str):
                raise TypeError(f"text must be str, or a list of str, not {type(word).__name__}")
            special: Any = "text" if split_special_tokens else _SPECIAL_CHOICE
            if offsets:
                ids, places = _core.encode_with_offsets(word, special=special)
                row.setdefault("offset_mapping", []).extend(places)
            else:
                ids = _core.encode(word, special=special)
            row["input_ids"] += ids
        if offsets:
            row.setdefault("offset_mapping", [])
        return row

    def _finish(
        self,
        rows: list[dict[str, list[Any]]],
        *,
        single: bool,
        padding: Padding = False,
        truncation: Truncation = None,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: Side | None = None,
        return_tensors: Any = None,
        return_attention_mask: bool = True,
        return_length: bool = False,
    ) -> BatchEncoding:
        if max_length is None and self.model_max_length < _NO_LIMIT:
            max_length = self.model_max_length
        strategy = padding_strategy(padding, max_length)
        if truncation not in (None, False, "do_not_truncate") and max_length is not None:
            rows = [truncate(row, max_length, self.truncation_side)[0] for row in rows]
        if return_attention_mask:
            for row in rows:
                row["attention_mask"] = [1] * len(row["input_ids"])
        if strategy != "do_not_pad" and rows:
            length = max([len(row["input_ids"]) for row in rows])
            length = max(length, max_length or 0) if strategy == "max_length" else length
            multiple = pad_to_multiple_of or 1
            rows = pad(
                rows,
                -(-length // multiple) * multiple,
                side=padding_side or self.padding_side,
                fill=self._fill(),
            )
        columns: dict[str, Any] = {key: [row[key] for row in rows] for key in (rows[0] if rows else {"input_ids": []})}
        if return_length:
            columns["length"] = [len(row["input_ids"]) for row in rows]
        if single and return_tensors is None:
            columns = {key: values[0] if key != "length" else values for key, values in columns.items()}
        return self._batch(to_tensors(columns, return_tensors))

    def _fill(self) -> dict[str, Any]:
        """What padding consists of, by column."""
        return {
            "input_ids": self.pad_token_id,
            "attention_mask": 0,
            "special_tokens_mask": 1,
            "offset_mapping": (0, 0),
            "assistant_masks": 0,
            "labels": -100,
        }

    def _batch(self, columns: dict[str, Any]) -> BatchEncoding:
        return BatchEncoding(columns)

    def encode(self, text: str, text_pair: None = None, **options: Any) -> Any:
        """The ids of a text: `tokenizer(text, ...)["input_ids"]`."""
        return self(text, text_pair, **options)["input_ids"]

    def encode_plus(self, text: str, **options: Any) -> BatchEncoding:
        """`tokenizer(text, ...)`."""
        return self(text, **options)

    def batch_encode_plus(self, batch_text_or_text_pairs: Sequence[str], **options: Any) -> BatchEncoding:
        """`tokenizer(texts, ...)`."""
        return self(batch_text_or_text_pairs, **options)

    def tokenize(self, text: str, pair: None = None, add_special_tokens: bool = False, **options: Any) -> list[str]:
        """The tokens of a text, as `convert_ids_to_tokens` writes them."""
        return [self._token(token) for token in self.encode(text, **options)]

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: Padding = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: Side | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: Any = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Rows of one length: of a batch, or of a list of encoded texts, as data collators pass them."""
        if isinstance(encoded_inputs, Mapping):
            single = not (len(encoded_inputs["input_ids"]) and hasattr(encoded_inputs["input_ids"][0], "__len__"))
            count = 1 if single else len(encoded_inputs["input_ids"])
            rows = [
                {key: _as_list(values if single else values[place]) for key, values in encoded_inputs.items()}
                for place in range(count)
            ]
        else:
            single, rows = False, [{key: _as_list(values) for key, values in row.items()} for row in encoded_inputs]
        unknown = {key for row in rows for key in row} - self._fill().keys()
        if unknown:
            raise ValueError(f"no padding is known for {', '.join(sorted(unknown))}; take it out before padding")
        masks = [row.pop("attention_mask", None) for row in rows]
        for row, mask in zip(rows, masks, strict=True):
            if return_attention_mask is not False:
                row["attention_mask"] = mask if mask is not None else [1] * len(row["input_ids"])
        return self._finish(
            rows,
            single=single,
            padding=padding,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_tensors=return_tensors,
            return_attention_mask=False,
        )

    # Ids to text.

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **unused: Any,
    ) -> Any:
        """The text of ids; a list of texts for a list of lists. `skip_special_tokens` leaves out all special tokens.

        Bytes that are not UTF-8 become U+FFFD. Raises `ValueError` for a number outside of the vocabulary.
        """
        ids = [token_ids] if isinstance(token_ids, int) else _as_list(token_ids)
        if ids and isinstance(ids[0], list | tuple):
            return [self.decode(row, skip_special_tokens) for row in ids]
        if skip_special_tokens:
            ids = [token for token in ids if token not in _SPELLINGS]
        return _core.decode(ids)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **unused: Any) -> list[str]:
        """`decode` of each sequence."""
        return [self.decode(ids, skip_special_tokens) for ids in sequences]

    def _token(self, token: int) -> str:
        if token in _SPELLINGS:
            return _SPELLINGS[token]
        characters = _byte_characters()
        return "".join([characters[byte] for byte in _core.decode_bytes((token,))])

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or of each: special tokens as spelled, others with a character for each byte (`Ġthe`)."""
        if isinstance(ids, int):
            return self._token(ids)
        return [self._token(token) for token in _as_list(ids) if not (skip_special_tokens and token in _SPELLINGS)]

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """The inverse of `convert_ids_to_tokens`; `None` for what is not a token."""
        if not isinstance(tokens, str):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        if tokens in _ADDED:
            return _ADDED[tokens]
        values = [_character_bytes().get(character) for character in tokens]
        token = None if None in values or not values else _core._token_id(bytes([byte or 0 for byte in values]))
        return token if token is not None and token < _ORDINARY_TOKENS else None

    def convert_tokens_to_string(self, tokens: Iterable[str]) -> str:
        """The text of tokens."""
        parts = [
            token.encode() if token in _ADDED else bytes([_character_bytes()[character] for character in token])
            for token in tokens
        ]
        return b"".join(parts).decode(errors="replace")

    # Conversations.

    def apply_chat_template(
        self,
        conversation: Sequence[Any],
        tools: Sequence[Mapping[str, Any] | Callable[..., Any]] | None = None,
        documents: None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = True,
        padding: Padding = False,
        truncation: bool = False,
        max_length: int | None = None,
        return_tensors: Any = None,
        return_dict: bool = True,
        return_assistant_tokens_mask: bool = False,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        *,
        reasoning_effort: Any = None,
        dialect: Any = "chat_template",
        **options: Any,
    ) -> Any:
        """The prompt of a conversation, or of each of a list of conversations: text without `tokenize`, ids without
        `return_dict`, else a `BatchEncoding`.

        `return_assistant_tokens_mask` adds `assistant_masks`: 1 for what the model writes, from `<|channel|>` to the
        stop token. `dialect="motet"` renders as models write instead of by the published template; further options are
        those of the template (`model_identity`, `builtin_tools`) and of `motet.render`. Without `add_generation_prompt`
        and `continue_final_message` it is a training sample, as `motet.render_training` makes it.
        """
        if documents is not None or {chat_template, self.chat_template} - {None, _CHAT_TEMPLATE}:
            raise ValueError("documents and other chat templates have no place in gpt-oss's prompts")
        if continue_final_message and add_generation_prompt:
            raise ValueError("add_generation_prompt and continue_final_message exclude each other")
        if return_assistant_tokens_mask and not (return_dict and tokenize):
            raise ValueError("return_assistant_tokens_mask needs return_dict=True and tokenize=True")
        single = not conversation or isinstance(conversation[0], Mapping) or hasattr(conversation[0], "role")
        settings = {_TEMPLATE_OPTIONS.get(name, name): value for name, value in options.items() if value is not None}
        settings |= {"reasoning_effort": reasoning_effort} if reasoning_effort is not None else {}
        is_sample = not add_generation_prompt and not continue_final_message
        if is_sample:
            settings.setdefault("keep_analysis", "all")
        prompts: list[Prompt] = [
            render(
                messages,
                tools=[to_tool(tool).to_dict() if callable(tool) else tool for tool in tools or ()],
                next_role="assistant" if add_generation_prompt else None,
                continue_final_message=bool(continue_final_message),
                dialect=dialect,
                **settings,
            )
            for messages in ([conversation] if single else conversation)
        ]
        ids = [prompt._native.training_ids() if is_sample else prompt.ids for prompt in prompts]
        if not tokenize:
            texts = [_core.decode(row) for row in ids]
            return texts[0] if single else texts
        rows: list[dict[str, list[Any]]] = [{"input_ids": row} for row in ids]
        if return_assistant_tokens_mask:
            for row, prompt in zip(rows, prompts, strict=True):
                row["assistant_masks"] = list(prompt.loss_mask())
        batch = self._finish(
            rows,
            single=single,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            return_tensors=return_tensors,
            **(tokenizer_kwargs or {}),
        )
        return batch if return_dict else batch["input_ids"]


def _as_list(values: Any) -> list[Any]:
    return values.tolist() if hasattr(values, "tolist") else list(values)


_SPECIAL_CHOICE = _core.SpecialChoice(frozenset(_ADDED), frozenset())
