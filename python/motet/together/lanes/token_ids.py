"""The token ids of a choice, wherever a server puts them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from motet import _core

__all__ = ["VERBOSE", "LostIds", "choice_ids", "choice_logprobs"]

VERBOSE = "__verbose"
"""Key with which llama.cpp sends details of a completion beside its choices, ids among them."""


def choice_ids(choice: Mapping[str, Any]) -> list[int] | None:
    """The token ids of a choice: `token_ids` of vLLM and SGLang, the one of each chunk that Together streams, those in
    the logprobs, or those in llama.cpp's `__verbose`. `None`: it has none. Raises `ValueError` for anything but whole
    numbers."""
    values = choice.get("token_ids")
    if values is None and isinstance(choice.get(VERBOSE), Mapping):
        values = choice[VERBOSE].get("tokens")
    if values is None and isinstance(choice.get("delta"), Mapping):
        value = choice["delta"].get("token_id")
        values = None if value is None else [value]
    if values is None and isinstance(choice.get("logprobs"), Mapping):
        values = choice["logprobs"].get("token_ids")
    if values is None:
        return None
    if not isinstance(values, list):
        raise ValueError(f"token_ids must be a list, not {type(values).__name__}")
    ids = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value != value // 1:
            raise ValueError(f"token_ids must hold whole numbers, not {type(value).__name__}")
        ids.append(int(value))
    return ids


_MISSING_LOGPROB = -9999.0
"""What vLLM writes where it has no log-probability, and below which it sends none."""


def choice_logprobs(choice: Mapping[str, Any]) -> list[float] | None:
    """The log-probabilities of a choice's ids, NaN for unknown ones: `token_logprobs` of `/v1/completions`, or the
    `content` of vLLM's `/inference/v1/generate` and of llama.cpp. `None`: it has none."""
    shape = choice.get("logprobs")
    if not isinstance(shape, Mapping):
        return None
    values = shape.get("token_logprobs")
    if values is None and isinstance(shape.get("content"), list):
        values = [entry.get("logprob") if isinstance(entry, Mapping) else None for entry in shape["content"]]
    if not isinstance(values, list):
        return None
    return [
        float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > _MISSING_LOGPROB
        else math.nan
        for value in values
    ]


class LostIds:
    """Puts back the ids that llama.cpp leaves out of a stream: those whose text ends within a character.

    The text of the next chunk has their bytes. Control tokens are never among them.
    """

    def __init__(self) -> None:
        self._unwritten = b""
        """Bytes of ids whose text has not come yet: it may be the beginning of a stop string."""

    def restore(self, ids: list[int], text: str) -> list[int]:
        """The ids of a chunk, with those that were left out before them."""
        own = _core.decode_bytes(ids)
        written, expected = text.encode(), self._unwritten + own
        if len(written) > len(expected) and written.startswith(self._unwritten) and written.endswith(own):
            lost = written[len(self._unwritten) : len(written) - len(own)]
            self._unwritten = b""
            return [*_ids_of(lost), *ids]
        # A character that is not UTF-8 is written as another one; then nothing is known to be missing.
        self._unwritten = expected[len(written) :] if expected.startswith(written) else b""
        return ids


def _ids_of(lost: bytes) -> list[int]:
    """One token where the bytes are one, otherwise a token for each byte."""
    whole = _core._token_id(lost)
    parts = [_core._token_id(bytes([byte])) for byte in lost] if whole is None else [whole]
    return [token for token in parts if token is not None]
