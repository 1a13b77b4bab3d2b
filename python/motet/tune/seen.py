"""Which rows have been seen before, and where: in 18 to 36 bytes each, for files of many millions of lines."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from array import array
from typing import Any

__all__ = ["Seen", "fingerprint", "normalised"]


def normalised(value: Any) -> bytes:
    """A text that is the same for JSON values which differ only in spaces, in case, in how Unicode is composed, and in
    the order of keys."""
    text = _ENCODER.encode(value)
    if "\\" in text:
        text = text.replace("\\n", " ").replace("\\t", " ").replace("\\r", " ")
    is_ascii = text.isascii()
    if not is_ascii:
        text = unicodedata.normalize("NFKC", text)
    # In JSON of ASCII the only space is the space, and none stands at its ends.
    if not is_ascii or "  " in text:
        text = " ".join(text.split())
    return text.casefold().replace('" ', '"').replace(' "', '"').encode("utf-8", "surrogatepass")


_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def fingerprint(data: bytes) -> int:
    """64 bits of a text, never 0. Of a million different texts two have the same with a chance of 1 in 30 million."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1


class Seen:
    """A hash table of fingerprints, each with a number of up to 32 bits; Python's own takes five times the memory."""

    def __init__(self) -> None:
        self._size = 0
        self._keys = array("Q", bytes(8 << 10))
        self._numbers = array("L" if array("L").itemsize == 4 else "I", bytes(4 << 10))

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: int) -> bool:
        return self._keys[self._slot(key)] == key

    def add(self, key: int, number: int) -> int | None:
        """Remembers a key with its number; or gives the number it was seen with first."""
        slot = self._slot(key)
        if self._keys[slot]:
            return self._numbers[slot]
        self._keys[slot], self._numbers[slot] = key, number & 0xFFFF_FFFF
        self._size += 1
        if 3 * self._size > 2 * len(self._keys):
            self._grow()
        return None

    def _slot(self, key: int) -> int:
        keys = self._keys
        mask = len(keys) - 1
        slot = key & mask
        while keys[slot] and keys[slot] != key:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        keys, numbers = self._keys, self._numbers
        self._keys = array("Q", bytes(16 * len(keys)))
        self._numbers = array(numbers.typecode, bytes(8 * len(keys)))
        for key, number in zip(keys, numbers, strict=True):
            if key:
                slot = self._slot(key)
                self._keys[slot], self._numbers[slot] = key, number
