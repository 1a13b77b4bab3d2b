"""Makes the pictures of the docs with the commands that they show: `make pictures`. Needs Chromium and textual.

Each picture is what a command draws of the run below, so that a picture cannot show what motet does not do.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
from array import array
from decimal import Decimal
from pathlib import Path

import motet
from motet.asking.episode import Episode
from motet.loop.run import CallRecord, Run, Step
from motet.message import Message, Preamble, Reasoning, Text, ToolCall
from motet.metrics import Cache as CachedTokens
from motet.metrics import Cash, Chars, Cost, Metrics, Size, Time, Tokens
from motet.view.terminal import Browser

PICTURES = Path(__file__).parent / "pictures"
_INPUT, _CACHED, _OUTPUT = Decimal("0.00000015"), Decimal("0.000000075"), Decimal("0.0000006")
"""US dollars per token."""


def metrics(prompt: int, cached: int, seconds: float, **tokens: int) -> Metrics:
    """The metrics of a step. `tokens`: by channel."""
    by_channel = {name: count * _OUTPUT for name, count in tokens.items()}
    paid = [(prompt - cached) * _INPUT, cached * _CACHED, sum(by_channel.values(), Decimal(0))]
    return Metrics(
        Size(Tokens(prompt, sum(tokens.values()), CachedTokens(cached), tokens), Chars(0, 0, {})),
        Cost(Time(seconds), Cash(paid[0], paid[1], paid[2], sum(paid), by_channel)),
    )


def example() -> Run:
    """A run of three steps with a refused call and a repair."""
    flights = ToolCall("search_flights", '{"from": "BER", "to": "CDG", "filters": {"direct": true, "max": 220}}', "1")
    weather = ToolCall("get_weather", '{"city": "Paris", "days": 3}', "2")
    booking = ToolCall("book", '{"flight": "AF1735", "seat": 14}', "3")
    answer = "<|channel|>final<|message|>AF1735 is direct and cheapest<|channel|>. Take an umbrella: light rain, 9 °C."
    sampled = array("I", motet.encode(f"{answer}<|return|>", special="token"))
    offers = '[{"flight": "AF1735", "price": 187.0}, {"flight": "LH1052", "price": 214.2}]'
    steps = (
        Step(
            1,
            Message(
                "assistant",
                (
                    Reasoning("The user wants a direct flight and the weather: two calls, side by side."),
                    Preamble("I look for flights and the forecast."),
                    flights,
                    weather,
                ),
            ),
            (
                CallRecord(flights, "success", offers, 1.4),
                CallRecord(weather, "success", "Thursday 9 °C, light rain; Friday 11 °C", 0.4),
            ),
            metrics(512, 256, 2.1, analysis=41, commentary=70, final=0, markup=32),
        ),
        Step(
            2,
            Message("assistant", (Reasoning("AF1735 is cheaper. Book it."), booking)),
            (CallRecord(booking, "error:constraint", 'the seat must be a text, as "14A"', 0.1),),
            metrics(820, 640, 1.2, analysis=20, commentary=24, final=0, markup=20),
        ),
        Step(
            3,
            Message("assistant", (Text(motet.parse(list(sampled)).text),)),
            (),
            metrics(960, 832, 0.9, analysis=0, commentary=0, final=36, markup=8),
            sampled=sampled,
        ),
    )
    question = "Find me a direct flight from Berlin to Paris next Thursday, and tell me the weather there."
    return Run("together/gpt-oss/120b", (Message("user", question),), Episode((), "You are a travel assistant."), steps)


def take_page(transcript: motet.Transcript, name: str, *, is_dark: bool, height: int) -> None:
    """A picture of a page as Chromium draws it."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("pictures need Chromium: it is not on PATH")
    theme = ["--blink-settings=preferredColorScheme=0"] if is_dark else []
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        transcript.save(page)
        size = f"--window-size=1100,{height}"
        picture = f"--screenshot={PICTURES / name}"
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=2000", *theme]
        command = [chromium, *flags, size, picture, f"--user-data-dir={folder}/profile", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


async def take_terminal(transcript: motet.Transcript, name: str) -> None:
    """A picture of the browser in the terminal, as textual draws it."""
    app = Browser([transcript])
    async with app.run_test(size=(96, 24)) as pilot:
        await pilot.press("j", "j", "j", "j")
        await pilot.pause()
        drawing = app.export_screenshot(title="motet view run.json", simplify=True)
        # The fonts are of another site: a picture loads nothing.
        (PICTURES / name).write_text(re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.S), "utf-8")


def main() -> None:
    """Makes all pictures."""
    PICTURES.mkdir(exist_ok=True)
    transcript = motet.transcript(example(), title="run.json")
    take_page(transcript, "view-light.png", is_dark=False, height=1000)
    take_page(transcript, "view-dark.png", is_dark=True, height=1000)
    asyncio.run(take_terminal(transcript, "view-terminal.svg"))
    for picture in sorted(PICTURES.iterdir()):
        print(f"{picture}  {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
