"""The losses of a job as a chart, for a terminal and as SVG."""

from __future__ import annotations

from collections.abc import Iterable

from motet._plot import Line, lines_svg, lines_text
from motet.tune.states import Point

__all__ = ["curve", "svg"]

_MAX_LOSS = 1e6
"""Larger losses are left out: beside them no other could be seen."""


def _lines(points: Iterable[Point]) -> list[Line]:
    """The validation and the training loss. NaN and infinity are left out."""
    train: list[tuple[float, float]] = []
    validation: list[tuple[float, float]] = []
    for point in points:
        for series, loss in ((train, point.loss), (validation, point.eval_loss)):
            if loss is not None and abs(loss) < _MAX_LOSS:
                series.append((point.step, loss))
    return [Line("validation", sorted(validation), "#d1495b", marked=True), Line("training", sorted(train))]


def curve(points: Iterable[Point], *, width: int = 72, height: int = 10) -> str:
    """The losses as lines of text: braille dots for the training, `o` for the validation.

    `width` and `height` in characters, axes included. Empty if no loss is known.
    """
    return lines_text(_lines(points), x_name="step", width=width, height=height)


def svg(points: Iterable[Point], *, title: str = "Loss") -> str:
    """The losses as an SVG of 720 by 400 that loads nothing: no script, no font."""
    return lines_svg(_lines(points), title=title, x_name="step", empty="no losses yet")
