"""Transcripts as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from motet._plot import Bar, bars_text
from motet.view.frames import TranscriptFrame
from motet.view.transcript import PairedCall, Transcript, channel_of

__all__ = ["counted", "frame_heading", "plain_lines", "summary_lines"]

Paint = Callable[[str | None, str], str]
"""Colours a text by its kind: the caller's terminal decides whether."""


def plain_lines(transcript: Transcript, paint: Paint, *, with_tokens: bool = False) -> Iterator[str]:
    """The frames with their repairs, then tokens and cost. `with_tokens`: `|` at the bounds of tokens."""
    yield paint("title", transcript.title)
    pairs = {pair.call: pair for pair in transcript.calls}
    for frame in transcript.frames:
        yield ""
        yield paint(frame.kind or "markup", frame_heading(frame, pairs.get(frame.index)))
        yield from _content_lines(frame, paint, with_tokens)
        for repair in frame.repairs:
            yield f"  {paint('repair', f'! {repair.code}')}  {repair.message}"
    yield ""
    yield from summary_lines(transcript, paint)


def frame_heading(frame: TranscriptFrame, pair: PairedCall | None = None) -> str:
    """A frame's role, channel and recipient, its tokens, and of a call its outcome."""
    words = [channel_of(frame), *[word for word in (frame.name, frame.recipient and f"to {frame.recipient}") if word]]
    figures = [f"{frame.tokens:,} tokens"]
    if frame.step is not None:
        figures.insert(0, f"step {frame.step}")
    if pair is not None and pair.seconds is not None:
        figures.append(f"{pair.seconds:.2f} s")
    if pair is not None and pair.signal not in (None, "success"):
        figures.append(str(pair.signal))
    return f"{' '.join(words)}  ({', '.join(figures)})"


def _content_lines(frame: TranscriptFrame, paint: Paint, with_tokens: bool) -> Iterator[str]:
    spans = [span for span in frame.spans if span.part == "content"]
    joint = "|" if with_tokens else ""
    text = joint.join([paint("repair", span.text) if span.repairs else span.text for span in spans])
    for line in text.split("\n") if text else ():
        yield f"  {line}"


def counted(count: int, name: str) -> str:
    """`1 repair`, `2 repairs`."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def summary_lines(transcript: Transcript, paint: Paint) -> Iterator[str]:
    """Tokens by channel, cost, time and notes."""
    total = sum(transcript.tokens.values())
    counts = {"frame": len(transcript.frames), "token": total, "repair": len(transcript.repairs)}
    yield paint("title", ", ".join([counted(count, name) for name, count in counts.items()]))
    bars = [Bar(count, name, f"{count:,}") for name, count in transcript.tokens.items()]
    yield from [f"  {line}" for line in bars_text(bars, width=24)]
    if transcript.metrics is not None:
        cash, seconds = transcript.metrics.cost.cash.total, transcript.metrics.cost.time.total
        yield f"  cost {'unknown' if cash is None else f'${cash:f}'}, {seconds:.2f} s, {len(transcript.steps)} steps"
    if not any(frame.repairs for frame in transcript.frames):
        # Those of a completion without ids, or without frames, have no place above.
        yield from [f"  {paint('repair', f'! {repair.code}')}  {repair.message}" for repair in transcript.repairs]
    yield from [f"  {note}" for note in transcript.notes]
