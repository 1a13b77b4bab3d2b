"""The losses of a training as a picture: for a terminal, and as SVG. Both are made of text alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from html import escape

from motet.tune.states import Point

__all__ = ["curve", "svg"]

Series = list[tuple[int, float]]

_HUGE = 1e6
"""Losses from here on are not drawn: beside them nothing else could be seen. Nor are those that are no number."""


def _losses(points: Iterable[Point]) -> tuple[Series, Series]:
    """Of the training and of the validation data, as far as they are numbers."""
    train: Series = []
    held_out: Series = []
    for point in points:
        for series, value in ((train, point.loss), (held_out, point.eval_loss)):
            if value is not None and abs(value) < _HUGE:
                series.append((point.step, value))
    return sorted(train), sorted(held_out)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From where to where an axis goes; never from a value to itself."""
    low, high = min(values), max(values)
    return (low, high) if high - low > 1e-9 * max(abs(low), abs(high), 1e-9) else (low - 0.5, high + 0.5)


_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bits of a braille sign, by column and row of its dots."""


def curve(points: Iterable[Point], *, width: int = 72, height: int = 10) -> str:
    """The losses as lines of text: dots for the training, `o` where the validation data was looked at.

    `width` and `height` in characters, the axes included. Empty if there is nothing to show.
    """
    train, held_out = _losses(points)
    if not train and not held_out:
        return ""
    left, right = _span([step for step, _ in (*train, *held_out)])
    low, high = _span([loss for _, loss in (*train, *held_out)])
    labels = [f"{high:.3g}", f"{(low + high) / 2:.3g}", f"{low:.3g}"]
    margin = max([len(label) for label in labels])
    columns, rows = max(width - margin - 2, 8), max(height - 1, 3)

    def place(step: float, loss: float, across: int, down: int) -> tuple[int, int]:
        return round((step - left) / (right - left) * (across - 1)), round((high - loss) / (high - low) * (down - 1))

    bits = [[0] * columns for _ in range(rows)]
    for step, loss in _joined(train, columns * 2):
        x, y = place(step, loss, columns * 2, rows * 4)
        bits[y // 4][x // 2] |= _DOTS[x % 2][y % 4]
    cells = [[chr(0x2800 + bit) if bit else " " for bit in row] for row in bits]
    for step, loss in held_out:
        x, y = place(step, loss, columns, rows)
        cells[y][x] = "o"
    named = {0: labels[0], rows // 2: labels[1], rows - 1: labels[2]}
    lines = [f"{named.get(row, ''):>{margin}} ┤{''.join(cells[row])}".rstrip() for row in range(rows)]
    first, last = f"step {left:g}", f"{right:g}"
    lines.append(f"{'':>{margin}}  {first}{last:>{max(columns - len(first), len(last) + 1)}}")
    return "\n".join(lines)


def _joined(series: Series, most: int) -> Series | list[tuple[float, float]]:
    """A series with points between its points, so that a line has no gaps."""
    joined: list[tuple[float, float]] = list(series[:1])
    between = max(2 * most // max(len(series), 1), 1)
    for (step, loss), (next_step, next_loss) in itertools.pairwise(series):
        for part in range(1, between + 1):
            share = part / between
            joined.append((step + (next_step - step) * share, loss + (next_loss - loss) * share))
    return joined


_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 48, 48


def svg(points: Iterable[Point], *, title: str = "Loss") -> str:
    """The losses as an SVG of 720 by 400, that needs nothing else: no script, no font, no address."""
    train, held_out = _losses(points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15" font-weight="600" fill="#222">{escape(title)}</text>',
    ]
    if train or held_out:
        parts += _drawn(train, held_out)
    else:
        parts.append(
            f'<text x="{_WIDTH // 2}" y="{_HEIGHT // 2}" text-anchor="middle" fill="#777">no losses yet</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _drawn(train: Series, held_out: Series) -> Iterable[str]:
    every = (*train, *held_out)
    left, right = _span([step for step, _ in every])
    low, high = _span([loss for _, loss in every])
    marks = _ticks(low, high)
    low, high = min(low, marks[0]), max(high, marks[-1])

    def x(step: float) -> float:
        return round(_LEFT + (step - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(loss: float) -> float:
        return round(_HEIGHT - _BOTTOM - (loss - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    for mark in marks:
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(mark)}" y2="{y(mark)}" stroke="#e5e5e5"/>'
        yield f'<text x="{_LEFT - 8}" y="{y(mark) + 4}" text-anchor="end" fill="#555">{mark:g}</text>'
    for mark in _ticks(left, right):
        if left <= mark <= right:
            at = _HEIGHT - _BOTTOM + 20
            yield f'<text x="{x(mark)}" y="{at}" text-anchor="middle" fill="#555">{mark:g}</text>'
    yield f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:g}" y="{_HEIGHT - 8}" text-anchor="middle" fill="#555">step</text>'
    legend = _WIDTH - _RIGHT
    for name, series, colour in (("validation", held_out, "#d1495b"), ("training", train, "#2e6f9e")):
        if not series:
            continue
        line = " ".join([f"{x(step)},{y(loss)}" for step, loss in series])
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        if name == "validation" or len(series) == 1:
            for step, loss in series:
                yield f'<circle cx="{x(step)}" cy="{y(loss)}" r="4" fill="{colour}"/>'
        yield f'<text x="{legend}" y="24" text-anchor="end" fill="{colour}">{name} {series[-1][1]:.4g}</text>'
        legend -= 140


def _ticks(low: float, high: float) -> list[float]:
    """Round figures, five or so, that hold everything between them."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.floor(low / step)
    return [round((first + number) * step, 12) for number in range(math.ceil(high / step) - first + 1)]
