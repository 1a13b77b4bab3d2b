"""A full-screen browser of transcripts for terminals, on textual."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from motet._visible_text import visible
from motet.view.frames import TranscriptFrame
from motet.view.plain import counted, frame_heading, summary_lines
from motet.view.transcript import PairedCall, Transcript, channel_of

__all__ = ["Browser"]

_NARROW = 72
"""Columns below which the frame stands under the list, not beside it."""
_MAX_SPANS = 20_000
"""Of a frame on the screen: a terminal lays out all of its text at once."""
_COLOURS = {"analysis": "cyan", "commentary": "magenta", "final": "green", "user": "blue", "tool": "yellow"}
_REPAIR = "underline bold red"
_HELP = """\
j k          next, previous frame
enter, tab   to the frame, to scroll it; back with tab
r            next frame with a repair
/            search; enter goes to the next match
n N          next, previous match
t            bounds of tokens, with their ids
c            one channel after the other, then all
s            sums: tokens by channel, cost, time
[ ]          previous, next transcript
q            quit
"""


class Browser(App[None]):
    """Transcripts: a list of frames, and the chosen one with its tokens, repairs and result."""

    TITLE = "motet view"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #title { height: 1; padding: 0 1; background: $panel; text-style: bold; }
    #panes { layout: horizontal; }
    #frames { width: 38%; height: 1fr; border: none; padding: 0; text-wrap: nowrap; text-overflow: ellipsis; }
    #detail { width: 1fr; height: 1fr; padding: 0 1; border-left: solid $panel; }
    .narrow #panes { layout: vertical; }
    .narrow #frames { width: 1fr; height: 40%; }
    .narrow #detail { border-left: none; border-top: solid $panel; }
    #query { display: none; height: 1; border: none; padding: 0 1; }
    #query.open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "keys", "Keys"),
        Binding("slash", "search", "Search"),
        Binding("s", "sums", "Sums"),
        Binding("q", "quit", "Quit"),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
        Binding("n", "match(1)", show=False),
        Binding("N", "match(-1)", show=False),
        Binding("r", "repair", show=False),
        Binding("t", "tokens", show=False),
        Binding("c", "channel", show=False),
        Binding("left_square_bracket", "turn(-1)", show=False),
        Binding("right_square_bracket", "turn(1)", show=False),
    ]

    def __init__(self, transcripts: Sequence[Transcript]) -> None:
        super().__init__()
        self._transcripts = transcripts
        self._place = 0
        self._frames: list[TranscriptFrame] = []
        """Those of the channel that is shown."""
        self._channel: str | None = None
        self._with_tokens = False
        self._query = ""

    @property
    def transcript(self) -> Transcript:
        """The transcript that is shown."""
        return self._transcripts[self._place]

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Container(id="panes"):
            yield OptionList(id="frames", markup=False)
            with VerticalScroll(id="detail"):
                yield Static(id="text", markup=False)
        yield Input(id="query", placeholder="search", compact=True)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self._show()
        self.query_one("#frames").focus()

    def on_resize(self) -> None:
        self.screen.set_class(self.size.width < _NARROW, "narrow")

    def _show(self) -> None:
        """Fills the list with the frames of the transcript that the filter leaves."""
        transcript = self.transcript
        self._frames = [frame for frame in transcript.frames if self._channel in (None, channel_of(frame))]
        count = f"{self._place + 1}/{len(self._transcripts)} " if len(self._transcripts) > 1 else ""
        shown = self._channel or counted(len(transcript.repairs), "repair")
        title = f"{count}{transcript.title} · {counted(len(self._frames), 'frame')} · {shown}"
        self.query_one("#title", Static).update(Text(visible(title), no_wrap=True, overflow="ellipsis"))
        frames = self.query_one("#frames", OptionList)
        frames.clear_options()
        frames.add_options([Option(_line(frame)) for frame in self._frames])
        if self._frames:
            frames.highlighted = 0
        else:
            self.query_one("#text", Static).update(Text("no frames"))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._show_frame(event.option_index)

    def on_option_list_option_selected(self) -> None:
        self.query_one("#detail").focus()

    def _show_frame(self, index: int) -> None:
        if index >= len(self._frames):
            return
        frame = self._frames[index]
        pair = next((pair for pair in self.transcript.calls if pair.call == frame.index), None)
        self.query_one("#text", Static).update(self._detail(frame, pair))
        self.query_one("#detail").scroll_home(animate=False)

    def _detail(self, frame: TranscriptFrame, pair: PairedCall | None) -> Text:
        text = Text(f"{visible(frame_heading(frame, pair))}\n\n", style=_style(frame))
        text.append_text(self._content(frame))
        for repair in frame.repairs:
            text.append(f"\n\n! {repair.code} ", style="bold red").append(visible(repair.message), style="default")
        if pair is not None and pair.result is not None:
            result = self.transcript.frames[pair.result]
            text.append(f"\n\n{visible(frame_heading(result))}\n\n", style=_style(result))
            text.append_text(self._content(result))
        elif pair is not None:
            text.append("\n\nno result in this transcript", style="dim")
        return text

    def _content(self, frame: TranscriptFrame) -> Text:
        text = Text(style="default")
        if frame.kind == "tool_call" and not self._with_tokens and not frame.repairs:
            try:
                return text.append(visible(json.dumps(json.loads(frame.content), indent=2, ensure_ascii=False)))
            except (ValueError, RecursionError):
                pass
        spans = [span for span in frame.spans if self._with_tokens or span.part == "content"]
        for span in spans[:_MAX_SPANS]:
            style = _REPAIR if span.repairs else "dim" if span.part != "content" else ""
            text.append(visible(span.text), style=style)
            if self._with_tokens:
                text.append(f"·{'·'.join(map(str, span.ids))} ", style="dim")
        if len(spans) > _MAX_SPANS:
            text.append(f"\n{len(spans) - _MAX_SPANS:,} more tokens", style="dim")
        return text

    def _go(self, indexes: Iterator[int]) -> None:
        """Highlights the first of these frames."""
        index = next(indexes, None)
        if index is None:
            self.bell()
        else:
            self.query_one("#frames", OptionList).highlighted = index

    def _around(self, step: int) -> Iterator[int]:
        """The indexes of the frames behind the highlighted one, or before it, and on from the other end."""
        count = len(self._frames)
        start = self.query_one("#frames", OptionList).highlighted or 0
        return ((start + step * offset) % count for offset in range(1, count + 1))

    def action_move(self, step: int) -> None:
        """Highlights the next or the previous frame."""
        start = (self.query_one("#frames", OptionList).highlighted or 0) + step
        self._go(iter([start] if 0 <= start < len(self._frames) else []))

    def action_repair(self) -> None:
        """Highlights the next frame with a repair."""
        self._go(index for index in self._around(1) if self._frames[index].repairs)

    def action_match(self, step: int) -> None:
        """Highlights the next or the previous frame with the text that is looked for."""
        query = self._query.lower()
        self._go(index for index in self._around(step) if query and query in self._frames[index].content.lower())

    def action_search(self) -> None:
        """Opens the line for a text to look for."""
        field = self.query_one("#query", Input)
        field.add_class("open")
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._query = event.value
        event.input.remove_class("open")
        self.query_one("#frames").focus()
        self.action_match(1)

    def on_key(self, event: object) -> None:
        field = self.query_one("#query", Input)
        if getattr(event, "key", "") == "escape" and field.has_focus:
            field.remove_class("open")
            self.query_one("#frames").focus()

    def action_tokens(self) -> None:
        """Shows or hides the bounds and ids of tokens."""
        self._with_tokens = not self._with_tokens
        self._show_frame(self.query_one("#frames", OptionList).highlighted or 0)

    def action_channel(self) -> None:
        """Shows the frames of the next channel, and behind the last all."""
        channels = [None, *dict.fromkeys(channel_of(frame) for frame in self.transcript.frames)]
        self._channel = channels[(channels.index(self._channel) + 1) % len(channels)]
        self._show()

    def action_sums(self) -> None:
        """Shows tokens by channel, cost and time."""
        lines = summary_lines(self.transcript, lambda _, text: text)
        self.query_one("#text", Static).update(Text(visible("\n".join(lines))))

    def action_turn(self, step: int) -> None:
        """Shows the next or the previous transcript."""
        self._place = (self._place + step) % len(self._transcripts)
        self._channel = None
        self._show()

    def action_keys(self) -> None:
        """Shows the keys."""
        self.query_one("#text", Static).update(Text(_HELP))


def _style(frame: TranscriptFrame) -> str:
    return _COLOURS.get(channel_of(frame), "default")


def _line(frame: TranscriptFrame) -> Text:
    """A frame in the list."""
    sign = "!" if frame.repairs else " "
    text = Text(no_wrap=True, overflow="ellipsis").append(sign, style="bold red")
    text.append(f"{channel_of(frame)[:10]:<11}", style=_style(frame))
    return text.append(visible(" ".join(frame.content[:200].split())))
