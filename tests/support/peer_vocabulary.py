"""motet's own vocabulary, written out for the peers: nothing is downloaded, and their checksums check our bytes."""

from __future__ import annotations

import os
from pathlib import Path

from motet import _core

__all__ = ["export_for_peers"]

# The name under which tiktoken looks for the file: the sha1 of where it was published.
_CACHED_AS = "fb374d419588a4632f3f557e76b4b70aebbca790"


def export_for_peers(folder: Path) -> None:
    """Writes the vocabulary into a folder, and points tiktoken and openai-harmony at it."""
    for name in ("o200k_base.tiktoken", _CACHED_AS):
        (folder / name).write_bytes(_core._vocabulary())
    os.environ["TIKTOKEN_ENCODINGS_BASE"] = os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
