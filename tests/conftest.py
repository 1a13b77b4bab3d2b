"""The profile of hypothesis, the peers that motet is compared with, and what each test finds set up."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from motet.atoms.factory import TOGETHER_HOSTS
from tests.support import hypothesis_profiles  # noqa: F401  # Loads the profile before tests declare settings.
from tests.support import peer_vocabulary as vocabulary

if TYPE_CHECKING:
    import openai_harmony
    import tiktoken

# A shell starts background jobs with Ctrl-C ignored, and their processes inherit that: tests that interrupt a process
# would wait for it forever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def open_sockets_warn_in_their_own_test() -> Iterator[None]:
    """What a test leaves open is collected at its own end, and not during another test, which the warning would fail."""
    if (sdk := sys.modules.get("together._base_client")) is not None:
        # It closes a client that is left open, unless a socket of it is finalized first, as may happen in a cycle.
        vars(sdk)["SyncHttpxClientWrapper"].__del__ = lambda _: None
    # Frozen objects are not looked at: a collection takes 0.4 ms.
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def servers_have_prices_of_together() -> Iterator[None]:
    """Servers of the tests stand in for Together: atoms of its slugs have its prices there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("motet.atoms.factory.TOGETHER_HOSTS", (*TOGETHER_HOSTS, "127.0.0.1", "service.test"))
        yield


@pytest.fixture
def own_server_has_no_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of the tests are servers of the user's own, as they are without the fixture above."""
    monkeypatch.setattr("motet.atoms.factory.TOGETHER_HOSTS", TOGETHER_HOSTS)


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A temporary folder in memory if the system has one: for tests that write thousands of files."""
    shared = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def lent_vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocabulary")
    vocabulary.export_for_peers(folder)
    return folder


@pytest.fixture(scope="session")
def peer_tokenizer(lent_vocabulary: Path) -> tiktoken.Encoding:
    import tiktoken

    return tiktoken.get_encoding("o200k_harmony")


@pytest.fixture(scope="session")
def peer(lent_vocabulary: Path) -> openai_harmony.HarmonyEncoding:
    import openai_harmony

    return openai_harmony.load_harmony_encoding(openai_harmony.HarmonyEncodingName.HARMONY_GPT_OSS)
