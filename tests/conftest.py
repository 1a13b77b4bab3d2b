"""The peers that motet is compared with, fed with motet's own vocabulary: nothing is downloaded, and their checksums
check our bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from motet import _core

if TYPE_CHECKING:
    import openai_harmony
    import tiktoken

settings.register_profile("ci", max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# The name under which tiktoken looks for the file: the sha1 of where it was published.
_CACHED_AS = "fb374d419588a4632f3f557e76b4b70aebbca790"


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocabulary")
    for name in ("o200k_base.tiktoken", _CACHED_AS):
        (folder / name).write_bytes(_core._vocabulary())
    os.environ["TIKTOKEN_ENCODINGS_BASE"] = os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def peer_tokenizer(vocabulary: Path) -> tiktoken.Encoding:
    import tiktoken

    return tiktoken.get_encoding("o200k_harmony")


@pytest.fixture(scope="session")
def peer(vocabulary: Path) -> openai_harmony.HarmonyEncoding:
    import openai_harmony

    return openai_harmony.load_harmony_encoding(openai_harmony.HarmonyEncodingName.HARMONY_GPT_OSS)
