"""Pages in headless Chromium: they draw their frames, log no error, load nothing, and do nothing that a text says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import motet
from motet.message import Message
from tests.support.transcripts import HOSTILE, RUN

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]


def opened(transcript: motet.Transcript, folder: Path) -> tuple[str, list[str]]:
    """The elements of the page when its script has run, and what the browser has logged of the page."""
    assert CHROMIUM is not None
    transcript.save(folder / "page.html")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=2000"]
    profile = f"--user-data-dir={folder / 'profile'}"
    address = (folder / "page.html").as_uri()
    done = subprocess.run(
        [CHROMIUM, *flags, profile, "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(folder)},
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def texts_of(document: str) -> str:
    body = document.split("<main>")[1].split("</main>")[0]
    return re.sub(r"<[^>]*>", "", body)


def test_run_is_drawn_without_an_error(tmp_path: Path) -> None:
    document, log = opened(motet.transcript(RUN), tmp_path)
    assert log == []
    texts = texts_of(document)
    for text in ("Is it warm?", "I need the weather.", "24 °C", "Tokens and cost by step", "Time line", '"Paris"'):
        assert text in texts
    assert document.count("<article") == 4, "the result stands within its call"


def test_hostile_texts_are_shown_and_do_nothing(tmp_path: Path) -> None:
    document, log = opened(motet.transcript(HOSTILE, title=HOSTILE), tmp_path)
    assert log == []
    main = document.split("<main>")[1].split("</main>")[0]
    assert "<img" not in main
    assert "<script" not in main
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in main
    texts = texts_of(document)
    assert "ESC[31mredBEL U+202Eevil" in texts
    assert not re.search("[\x00-\x08\x0e-\x1f\u202e\u200b]", texts)


def test_repairs_without_a_place_are_among_the_facts(tmp_path: Path) -> None:
    document, log = opened(motet.transcript(""), tmp_path)
    assert log == []
    assert "empty_output" in texts_of(document)


def test_ten_thousand_messages_are_drawn_as_they_come_near(tmp_path: Path) -> None:
    messages = [Message("user", f"message {number}") for number in range(10_000)]
    document, log = opened(motet.transcript(messages), tmp_path)
    assert log == []
    assert 20 <= document.count("<article") < 1000


def test_line_of_a_megabyte_is_cut_into_parts(tmp_path: Path) -> None:
    document, log = opened(motet.transcript([Message("user", "a b " * 250_000)]), tmp_path)
    assert log == []
    assert "more of" in texts_of(document)
    assert len(document.split("<main>")[1].split("</main>")[0]) < 200_000
