"""The tokenizers to compare with: how each is loaded with this vocabulary, offline, and called.

Peers whose packages are not installed are left out. polars-tokenizer only counts, for columns: `benches/columns.py` has it.
"""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.util
import itertools
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["NAMES", "Tokenizer", "installed", "load", "versions", "write_vocabulary"]

PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

Encode = Callable[[str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """The operations of a tokenizer; `None` where it has none."""

    list: Encode
    """Text to a list of Python ints."""
    array: Encode | None = None
    """Text to ids in one block of memory."""
    count: Encode | None = None
    decode: Callable[[Any], str] | None = None
    decode_bytes: Callable[[Any], bytes] | None = None
    batch: Callable[[Sequence[str]], Any] | None = None
    """Texts to ids in the fastest form, on all cores."""


def _motet(folder: Path) -> Tokenizer:
    import motet

    return Tokenizer(
        list=motet.encode,
        array=motet.encode_array,
        count=motet.count,
        decode=motet.decode,
        decode_bytes=motet.decode_bytes,
        batch=motet.encode_batch,
    )


def _like_tiktoken(peer: Any, **others: Any) -> Tokenizer:
    """A peer whose methods are named as tiktoken's."""
    return Tokenizer(list=peer.encode_ordinary, decode=peer.decode, decode_bytes=peer.decode_bytes, **others)


def _tiktoken(folder: Path) -> Tokenizer:
    import tiktoken

    peer = tiktoken.get_encoding("o200k_harmony")
    batch = partial(peer.encode_ordinary_batch, num_threads=2)
    return _like_tiktoken(peer, array=peer.encode_to_numpy, batch=batch)


def _openai_harmony(folder: Path) -> Tokenizer:
    import openai_harmony as oh

    peer = oh.load_harmony_encoding(oh.HarmonyEncodingName.HARMONY_GPT_OSS)
    return Tokenizer(list=partial(peer.encode, disallowed_special=()), decode=peer.decode)


def _bpe_openai(folder: Path) -> Tokenizer:
    import bpe_openai

    peer = bpe_openai.get_encoding("o200k_base")
    return _like_tiktoken(peer, batch=peer.encode_ordinary_batch)


def _quicktok(folder: Path) -> Tokenizer:
    import quicktok

    peer = quicktok.get_encoding("o200k_harmony")
    return _like_tiktoken(peer, count=peer.count, batch=lambda texts: peer.encode_batch(list(texts), 2, False))


def _toktok(folder: Path) -> Tokenizer:
    import toktok

    peer = toktok._encoding("o200k_harmony")
    return _like_tiktoken(peer, batch=peer.encode_batch)


def _riptoken(folder: Path) -> Tokenizer:
    import riptoken

    peer = riptoken.get_encoding("o200k_harmony")
    return _like_tiktoken(peer, batch=peer.encode_ordinary_batch)


def _splintr(folder: Path) -> Tokenizer:
    import splintr

    peer = splintr.Tokenizer.from_pretrained("o200k_harmony")
    return _like_tiktoken(peer, array=peer.encode_flat, batch=peer.encode_batch_flat)


def _gigatoken(folder: Path) -> Tokenizer:
    import gigatoken

    peer = gigatoken.Tokenizer.from_tiktoken(folder / "o200k_base.tiktoken")
    backend = peer.backend
    return Tokenizer(
        list=lambda text: backend.encode_batch_list([text], parallel=False)[0],
        array=backend.encode,
        decode_bytes=backend.decode,
        batch=peer.encode_batch,
    )


def _fastokens(folder: Path) -> Tokenizer:
    import fastokens

    peer = fastokens.Tokenizer.from_tiktoken(str(folder / "o200k_base.tiktoken"), pattern=PATTERN)
    return Tokenizer(
        list=lambda text: peer.encode_ordinary(text).ids,
        array=lambda text: peer.encode_batch_flat([text], split_special_tokens=True)[0],
        decode=peer.decode,
        batch=partial(peer.encode_batch_flat, split_special_tokens=True),
    )


def _tokie(folder: Path) -> Tokenizer:
    import tokie

    peer = tokie.Tokenizer.from_json(str(folder / "tokenizer.json"))
    return Tokenizer(
        list=lambda text: peer.encode_bytes(text.encode()),
        array=lambda text: peer.encode_batch_flat([text]),
        count=peer.count_tokens,
        decode=peer.decode,
        decode_bytes=peer.decode_bytes,
        batch=peer.encode_batch_flat,
    )


def _tokenizers(folder: Path) -> Tokenizer:
    import tokenizers

    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return Tokenizer(
        list=lambda text: peer.encode(text).ids,
        decode=peer.decode,
        batch=peer.encode_batch_fast,
    )


def _wordchipper(folder: Path) -> Tokenizer:
    # It downloads the vocabulary unless its cache has it.
    cache = folder / "wordchipper/openai/o200k_base"
    cache.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "o200k_base.tiktoken", cache)
    os.environ["WORDCHIPPER_CACHE_DIR"] = str(folder / "wordchipper")
    import wordchipper

    options = wordchipper.TokenizerOptions.default()
    options.set_accelerated_lexers(True)
    peer = wordchipper.Tokenizer.from_pretrained("o200k_base", options)
    plain = wordchipper.SpecialFilter.include_none()
    options.set_parallel(True)
    parallel = wordchipper.Tokenizer.from_pretrained("o200k_base", options)
    return Tokenizer(
        list=lambda text: peer.encode(text, plain),
        decode=peer.decode,
        decode_bytes=peer.decode_bytes,
        batch=lambda texts: parallel.encode_batch(list(texts), plain),
    )


def _iree(folder: Path) -> Tokenizer:
    from iree.tokenizer import Tokenizer as Peer

    peer = Peer.from_tiktoken(str(folder / "o200k_base.tiktoken"), "o200k_base")
    return Tokenizer(list=peer.encode, array=peer.encode_to_array, decode=peer.decode, batch=peer.encode_batch_to_array)


def _kitoken(folder: Path) -> Tokenizer:
    import kitoken

    peer = kitoken.Kitoken.from_tiktoken_file(str(folder / "o200k_base.tiktoken"))
    return Tokenizer(list=peer.encode, decode_bytes=peer.decode, batch=lambda texts: peer.encode_all(list(texts)))


_LOADERS: dict[str, Callable[[Path], Tokenizer]] = {
    "motet": _motet,
    "tiktoken": _tiktoken,
    "openai_harmony": _openai_harmony,
    "bpe_openai": _bpe_openai,
    "quicktok": _quicktok,
    "toktok": _toktok,
    "riptoken": _riptoken,
    "splintr": _splintr,
    "gigatoken": _gigatoken,
    "fastokens": _fastokens,
    "tokie": _tokie,
    "tokenizers": _tokenizers,
    "wordchipper": _wordchipper,
    "iree": _iree,
    "kitoken": _kitoken,
}
NAMES = tuple(_LOADERS)


def installed() -> list[str]:
    """motet, and the peers whose packages are installed."""
    return [name for name in NAMES if importlib.util.find_spec(name)]


_DISTRIBUTIONS = {
    "bpe_openai": "bpe-openai",
    "iree": "iree-tokenizer",
    "openai_harmony": "openai-harmony",
    "quicktok": "quicktok-v1",
    "splintr": "splintr-rs",
    "toktok": "toktok-rs",
}


def versions(names: list[str]) -> dict[str, str]:
    """The versions of the peers by the names of their distributions."""
    distributions = {_DISTRIBUTIONS.get(name, name) for name in names if name != "motet"}
    return {name: importlib.metadata.version(name) for name in sorted(distributions)}


def load(name: str, folder: Path) -> Tokenizer:
    """A loaded tokenizer; `folder` is the one given to `write_vocabulary`."""
    return _LOADERS[name](folder)


def write_vocabulary(folder: Path) -> None:
    """Write motet's vocabulary as `.tiktoken` files and a `tokenizer.json`, for peers that read one."""
    from motet import _core
    from tests.support import peer_vocabulary

    peer_vocabulary.export_for_peers(folder)
    tokens = [base64.b64decode(line.split()[0]) for line in _core._vocabulary().splitlines()]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    letters = _byte_letters()

    def spell(token: bytes) -> str:
        return "".join([letters[byte] for byte in token])

    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
    to_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    model = {
        "type": "BPE",
        "ignore_merges": True,
        "vocab": {spell(token): rank for rank, token in enumerate(tokens)},
        "merges": [[spell(half) for half in _halves(token, ranks)] for token in tokens[256:]],
    }
    parts = {"model": model, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, to_bytes]}}
    empty: dict[str, Any] = {
        "truncation": None,
        "padding": None,
        "normalizer": None,
        "post_processor": None,
        "added_tokens": [],
    }
    whole = {"version": "1.0", "decoder": to_bytes, **empty, **parts}
    (folder / "tokenizer.json").write_text(json.dumps(whole), "utf-8")


def _halves(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """The two tokens that the last merge of a token joins."""
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(left + right, len(ranks)) for left, right in itertools.pairwise(parts)]
        at = joined.index(min(joined))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def _byte_letters() -> list[str]:
    """The letter for each byte in a `tokenizer.json`: the byte itself if printable, else one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    substitutes = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(substitutes)) for byte in range(256)]
