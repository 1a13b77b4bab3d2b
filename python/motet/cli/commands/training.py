"""Fine-tunes in a terminal: a bar and a loss curve if it is interactive, otherwise a line per change."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from motet import tune
from motet.cli.cost_report import dollars
from motet.cli.failure import describe
from motet.cli.style import Style
from motet.cli.table import table
from motet.cli.terminal import json_text, unfiltered, visible
from motet.errors import ApiError

__all__ = ["Transfer", "Watcher", "comparison_table", "job_dict", "job_line", "job_table"]

_KINDS = {"completed": "text", "failed": "repair", "cancelled": "repair", "unknown": "repair", "waiting": "markup"}
"""Colours of phases, by the kinds of `Style`."""


def job_dict(job: tune.Job) -> dict[str, Any]:
    """A job as JSON."""
    last = job.points[-1] if job.points else None
    return {
        "id": job.id,
        "status": job.status,
        "phase": job.phase,
        "model": job.model,
        "output_model": job.output_model,
        "training_file": job.training_file,
        "validation_file": job.validation_file,
        "created_at": job.created_at,
        "step": job.step,
        "total_steps": job.total_steps,
        "seconds_left": job.seconds_left,
        "loss": _last([point.loss for point in job.points]),
        "eval_loss": _last([point.eval_loss for point in job.points]),
        "measured_at": None if last is None else last.step,
        "tokens": job.tokens,
        "price": None if job.price is None else f"{job.price:f}",
        "event": job.events[-1].type if job.events else None,
        "error": job.error,
        "trouble": job.trouble,
    }


def _last(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    # JSON has no NaN.
    return numbers[-1] if numbers and numbers[-1] == numbers[-1] and abs(numbers[-1]) != float("inf") else None


def job_line(job: tune.Job, style: Style) -> str:
    """A job in one line."""
    words = [style(_KINDS.get(job.phase), visible(job.status)), *_facts(job)]
    return f"{job.id} " + ", ".join(words)


def _facts(job: tune.Job) -> list[str]:
    facts = []
    if job.step is not None and job.total_steps:
        facts.append(f"step {job.step:,} of {job.total_steps:,}")
    loss, held_out = (_last([getattr(point, name) for point in job.points]) for name in ("loss", "eval_loss"))
    if loss is not None:
        facts.append(f"loss {loss:.4g}" + ("" if held_out is None else f" (validation {held_out:.4g})"))
    if job.seconds_left and not job.ended:
        facts.append(f"{_span(job.seconds_left)} left")
    if job.ended and job.price is not None:
        facts.append(dollars(job.price))
    if job.ok and job.output_model:
        facts.append(f"the model is {visible(job.output_model)}")
    if job.error:
        facts.append(visible(job.error))
    if job.phase == "unknown":
        facts.append("a state that motet does not know; it is looked at again")
    if job.trouble:
        facts.append(f"not reached just now: {visible(job.trouble)}")
    return facts


def _span(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


_HEAD = ("job", "status", "price", "created", "base model", "new model")


def job_table(jobs: Sequence[tune.Job], style: Style) -> str:
    """A row for each job."""
    if not jobs:
        return "there are no jobs yet: motet tune start FILE -m MODEL"
    rows = [
        (job.id, job.status, dollars(job.price), (job.created_at or "?")[:10], job.model or "?", job.output_model or "")
        for job in jobs
    ]

    def paint(row: int, column: int, text: str) -> str:
        return style(_KINDS.get(jobs[row].phase), text) if row >= 0 and _HEAD[column] == "status" else text

    return "\n".join(table([[*map(visible, row)] for row in rows], "<<.<<<", head=_HEAD, paint=paint))


_MAX_ERRORS = 10
_MEASURES = (("exact", "same text"), ("normalised", "same words"), ("f1", "words shared"), ("calls", "same calls"))


def comparison_table(comparison: tune.Comparison, style: Style) -> str:
    """Two models side by side: their scores and costs, and the errors behind them."""
    tallies = comparison.tallies
    names = ["base", "tuned"][-len(tallies) :]
    rows = [("answered", *[f"{len(tally.results) - tally.failed} of {len(tally.results)}" for tally in tallies])]
    for measure, name in _MEASURES:
        shares = [tally.share(measure) for tally in tallies]
        if any(share is not None for share in shares):
            rows.append((name, *["-" if share is None else f"{share:.1%}" for share in shares]))
    rows.append(("prompt tokens", *[_count(tally.input) for tally in tallies]))
    rows.append(("answer tokens", *[_count(tally.output) for tally in tallies]))
    rows.append(("cost", *[dollars(tally.cost) for tally in tallies]))
    rows.append(("median time", *["?" if tally.seconds is None else f"{tally.seconds:.2f} s" for tally in tallies]))
    lines = [f"{name:<5}  {visible(tally.model)}" for name, tally in zip(names, tallies, strict=True)]
    lines += ["", *table(rows, "<" + ">" * len(names), head=["", *names])]
    errors = [
        style("repair", f"line {result.row.line}, {visible(tally.model)}: {visible(result.error)}")
        for tally in tallies
        for result in tally.results
        if result.error is not None
    ]
    unknown = [
        style("markup", f"the price of {visible(tally.model)} is not known: give --price INPUT,OUTPUT")
        for tally in tallies
        if tally.cost is None
    ]
    more = [f"and {len(errors) - _MAX_ERRORS} more errors"] if len(errors) > _MAX_ERRORS else []
    return "\n".join([*lines, *unknown, *errors[:_MAX_ERRORS], *more])


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


class Watcher:
    """A job on the screen while it changes."""

    def __init__(self, *, as_json: bool, color: str, svg: str | None) -> None:
        self._json = as_json
        self._svg = None if svg is None else Path(svg)
        self._style = Style(color, sys.stdout)
        self._live: Any = None
        self._troubled = False
        self._events = 0
        if not as_json and sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(file=unfiltered(sys.stdout), no_color=not self._style.on),
                transient=True,
                refresh_per_second=4,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            # What was drawn last stays to be read.
            self._live.transient = False
            self._live.__exit__(kind, error, trace)

    @property
    def drawn(self) -> bool:
        """Whether the end of it is on the screen already."""
        return self._json or self._live is not None

    def show(self, job: tune.Job) -> None:
        if self._svg is not None:
            from motet._atomic_files import write_whole

            title = f"Loss of {job.output_model or job.id}"
            write_whole(self._svg, tune.svg(job.points, title=title))
        if self._json:
            print(json_text(job_dict(job)), flush=True)
        elif self._live is not None:
            self._live.update(_picture(job, self._live.console.width))
        else:
            self._print(job)

    def show_trouble(self, error: ApiError) -> None:
        """A line for the first request that fails before the job is known."""
        if not self._troubled:
            self._troubled = True
            print(f"motet: {describe(error)}; asked again until it answers, up to half an hour", file=sys.stderr)

    def _print(self, job: tune.Job) -> None:
        """A line for each event and for each change."""
        for event in job.events[self._events :]:
            print(self._style("markup", f"{visible(event.created_at)} {visible(event.message)}"))
        self._events = len(job.events)
        if not job.ended:
            print(job_line(job, self._style), flush=True)


def _picture(job: tune.Job, width: int) -> Any:
    """A job as rich text: its models, progress, curve and last event."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Text(f"{visible(job.model or '?')} → {visible(job.output_model or '?')}  ({job.id})", style="bold")
    colours = {"completed": "bold green", "failed": "bold red", "cancelled": "red", "unknown": "bold red"}
    # Unknown progress: the bar pulses.
    bar = ProgressBar(
        total=1.0 if job.share is not None else None,
        completed=job.share or 0.0,
        width=max(min(width - 30, 60), 10),
        pulse=job.share is None and not job.ended,
    )
    line = Table.grid(padding=(0, 1))
    line.add_row(
        Text(visible(job.status), style=colours.get(job.phase, "cyan")),
        bar,
        Text("" if job.share is None else f"{job.share:4.0%}"),
    )
    parts: list[Any] = [head, line, Text(", ".join(_facts(job)))]
    drawn = tune.curve(job.points, width=min(width, 100), height=12)
    if drawn:
        text = Text(drawn, style="blue")
        text.highlight_regex(r"o", "bold magenta")
        text.append("\n· training   o validation\n", style="dim")
        parts += [Text(), text]
    if job.events:
        last = job.events[-1]
        parts.append(Text(f"{visible(last.created_at)}  {visible(last.message)}", style="dim"))
    if not job.ended:
        parts.append(Text("Ctrl-C ends the watching, and leaves the job running", style="dim"))
    return Group(*parts)


class Transfer:
    """The progress of bytes or answers: a bar on standard error if it is a terminal."""

    def __init__(self, what: str, *, quiet: bool) -> None:
        self._what = what
        self._progress: Any = None
        self._task: Any = None
        self._counted = 0
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            name = TextColumn("{task.description}", markup=False)
            columns = (name,) if what == "asking" else (name, BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._progress = Progress(*columns, console=Console(file=unfiltered(sys.stderr)), transient=True)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
            self._task = self._progress.add_task(visible(self._what), total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done: int, total: int | None) -> None:
        """So many bytes of so many are through."""
        self._update(completed=done, total=total)

    def say(self, state: str) -> None:
        """What goes on now."""
        self._update(description=visible(f"{self._what}: {state}"))

    def count(self, model: str, result: object) -> None:
        """One more answer."""
        self._counted += 1
        self._update(description=visible(f"{self._what} {model}: {self._counted} answers"))

    def _update(self, **fields: Any) -> None:
        if self._progress is not None:
            with contextlib.suppress(LookupError):
                self._progress.update(self._task, **fields)
