"""The browser in the terminal, driven by textual's pilot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.widgets import Input, OptionList, Static

import motet
from motet.view.terminal import Browser
from tests.support.transcripts import HOSTILE, RUN


def drive(
    script: Callable[[Browser, Callable[..., Awaitable[None]]], Awaitable[None]],
    *transcripts: motet.Transcript,
    width: int = 80,
) -> None:
    """Runs a browser without a terminal."""

    async def run() -> None:
        app = Browser(transcripts or (motet.transcript(RUN),))
        async with app.run_test(size=(width, 24)) as pilot:

            async def press(*keys: str) -> None:
                await pilot.press(*keys)
                await pilot.pause()

            await pilot.pause()
            await script(app, press)

    asyncio.run(run())


def shown(app: Browser) -> str:
    return str(app.query_one("#text", Static).content)


def place(app: Browser) -> int | None:
    return app.query_one("#frames", OptionList).highlighted


def test_keys_move_through_frames() -> None:
    async def script(app: Browser, press: Callable[..., Awaitable[None]]) -> None:
        assert "Is it warm?" in shown(app)
        await press("j", "j")
        assert place(app) == 2
        assert '"city": "Paris"' in shown(app)
        assert "24 °C" in shown(app), "the result stands below its call"
        await press("k")
        assert "I need the weather." in shown(app)

    drive(script)


def test_search_goes_to_the_frame_with_the_text() -> None:
    async def script(app: Browser, press: Callable[..., Awaitable[None]]) -> None:
        await press("slash", "y", "e", "s", "enter")
        assert place(app) == 4
        assert not app.query_one("#query", Input).has_focus
        await press("slash", "escape", "k")
        assert place(app) == 3

    drive(script)


def test_channels_are_shown_one_after_the_other() -> None:
    async def script(app: Browser, press: Callable[..., Awaitable[None]]) -> None:
        counts = []
        for _ in range(6):
            counts.append(app.query_one("#frames", OptionList).option_count)
            await press("c")
        assert counts == [5, 1, 1, 1, 1, 1]

    drive(script)


def test_repairs_tokens_and_sums_are_shown() -> None:
    async def script(app: Browser, press: Callable[..., Awaitable[None]]) -> None:
        await press("r")
        assert "marker_in_content" in shown(app)
        await press("t")
        assert "<|channel|>·200005" in shown(app)
        await press("s")
        assert "2 frames" in shown(app)
        await press("question_mark")
        assert "search" in shown(app)

    raw = "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>a<|channel|>b<|end|>"
    drive(script, motet.transcript(raw))


@pytest.mark.parametrize("width", [40, 80])
def test_layout_follows_the_width(width: int) -> None:
    async def script(app: Browser, press: Callable[..., Awaitable[None]]) -> None:
        frames, detail = app.query_one("#frames").region, app.query_one("#detail").region
        assert (frames.bottom <= detail.y) == (width < 72)

    drive(script, width=width)


def test_several_transcripts_are_turned_over() -> None:
    async def script(app: Browser, press: Callable[..., Awaitable[None]]) -> None:
        await press("right_square_bracket")
        assert app.transcript.title == "b"
        await press("right_square_bracket")
        assert app.transcript.title == "a"

    drive(script, motet.transcript("x", title="a"), motet.transcript("y", title="b"))


def test_hostile_texts_are_escaped() -> None:
    async def script(app: Browser, press: Callable[..., Awaitable[None]]) -> None:
        assert "\\x1b[31mred\\x07 \\u202eevil" in shown(app)
        assert "\x1b" not in shown(app)

    drive(script, motet.transcript(HOSTILE, title="[bold]\x1b[31m"))
