"""Line and bar charts as SVG and as text: strings alone, without a library, a font or a script."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

__all__ = ["Bar", "Line", "bars_svg", "bars_text", "lines_svg", "lines_text"]

Points: TypeAlias = Sequence[tuple[float, float]]
BLUE = "#2e6f9e"
_INK, _GREY = "#222", "#555"
_FONT = 'font-family="ui-sans-serif, system-ui, Helvetica, Arial, sans-serif"'


@dataclass(frozen=True, slots=True)
class Line:
    """A series of finite points, sorted by x."""

    name: str
    points: Points
    colour: str = BLUE
    marked: bool = False
    """Each point has a mark, for series of few points."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A value from 0 on, with a text before it and a text behind it."""

    value: float
    label: str = ""
    note: str = ""
    colour: str = BLUE
    bold: bool = False


def _span(values: Iterable[float]) -> tuple[float, float]:
    """The range of an axis; wider than 0 also where all values are equal."""
    values = list(values)
    low, high = min(values), max(values)
    size = max(abs(low), abs(high))
    if high - low > 1e-9 * max(size, 1e-9):
        return low, high
    margin = max(0.5, size * 1e-9)
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers around a range."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.floor(low / step)
    return [round((first + number) * step, 12) for number in range(math.ceil(high / step) - first + 1)]


_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille character, by column and row of its dots (Unicode block U+2800)."""


def lines_text(lines: Sequence[Line], *, x_name: str, width: int = 72, height: int = 10) -> str:
    """A chart of `width` by `height` characters, axes included: braille dots, and `o` for the points of marked series.

    Empty if there are no points.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    left, right = _span([x for x, _ in points])
    low, high = _span([y for _, y in points])
    labels = [f"{high:.3g}", f"{(low + high) / 2:.3g}", f"{low:.3g}"]
    margin = max(map(len, labels))
    columns, rows = max(width - margin - 2, 8), max(height - 1, 3)

    def cell(x: float, y: float, across: int, down: int) -> tuple[int, int]:
        return round((x - left) / (right - left) * (across - 1)), round((high - y) / (high - low) * (down - 1))

    bits = [[0] * columns for _ in range(rows)]
    for line in lines:
        for x, y in () if line.marked else _interpolated(line.points, columns * 2):
            column, row = cell(x, y, columns * 2, rows * 4)
            bits[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
    cells = [[chr(0x2800 + bit) if bit else " " for bit in row] for row in bits]
    for x, y in [point for line in lines if line.marked for point in line.points]:
        column, row = cell(x, y, columns, rows)
        cells[row][column] = "o"
    names = {0: labels[0], rows // 2: labels[1], rows - 1: labels[2]}
    drawn = [f"{names.get(row, ''):>{margin}} ┤{''.join(cells[row])}".rstrip() for row in range(rows)]
    first, last = f"{x_name} {left:g}", f"{right:g}"
    drawn.append(f"{'':>{margin}}  {first}{last:>{max(columns - len(first), len(last) + 1)}}")
    return "\n".join(drawn)


def _interpolated(points: Points, count: int) -> Iterator[tuple[float, float]]:
    """The points with others between them, at least `count` in all: a line without gaps."""
    yield from points[:1]
    between = max(2 * count // max(len(points), 1), 1)
    for (x, y), (next_x, next_y) in itertools.pairwise(points):
        for part in range(1, between + 1):
            share = part / between
            yield x + (next_x - x) * share, y + (next_y - y) * share


_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 48, 48


def lines_svg(lines: Sequence[Line], *, title: str, x_name: str, empty: str) -> str:
    """A chart of 720 by 400. `empty`: the text where there are no points."""
    parts = [_text(_LEFT, 24, title, size=15, weight=600)]
    if any(line.points for line in lines):
        parts += _line_parts(lines, x_name)
    else:
        parts.append(_text(_WIDTH / 2, _HEIGHT / 2, empty, fill=_GREY, anchor="middle"))
    return _svg(_WIDTH, _HEIGHT, title, parts)


def _line_parts(lines: Sequence[Line], x_name: str) -> Iterator[str]:
    left, right = _span([x for line in lines for x, _ in line.points])
    low, high = _span([y for line in lines for _, y in line.points])
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def place_x(x: float) -> float:
        return round(_LEFT + (x - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT), 1)

    def place_y(y: float) -> float:
        return round(_HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    for tick in ticks:
        y = place_y(tick)
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#e5e5e5"/>'
        yield _text(_LEFT - 8, y + 4, f"{tick:g}", fill=_GREY, anchor="end")
    for tick in _ticks(left, right):
        if left <= tick <= right:
            yield _text(place_x(tick), _HEIGHT - _BOTTOM + 20, f"{tick:g}", fill=_GREY, anchor="middle")
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_name, fill=_GREY, anchor="middle")
    legend = _WIDTH - _RIGHT
    for line in lines:
        if not line.points:
            continue
        path = " ".join([f"{place_x(x)},{place_y(y)}" for x, y in line.points])
        yield f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2" stroke-linejoin="round"/>'
        for x, y in line.points if line.marked or len(line.points) == 1 else ():
            yield f'<circle cx="{place_x(x)}" cy="{place_y(y)}" r="4" fill="{line.colour}"/>'
        yield _text(legend, 24, f"{line.name} {line.points[-1][1]:.4g}", fill=line.colour, anchor="end")
        legend -= 140


_THICK, _GAP, _CHAR = 13, 22, 6.2
"""Pixels: a bar, the space between two groups, and a character of 10 pixels."""


def bars_svg(
    groups: Sequence[tuple[str, Sequence[Bar]]], *, title: str, subtitle: str = "", background: str | None = "#fff"
) -> str:
    """Horizontal bars in named groups, 760 wide. A value above 0 is visible, however small it is.

    `background`: `None` for none, where the page has its own.
    """
    width = 760
    bars = [bar for _, group in groups for bar in group]
    longest = max([bar.value for bar in bars], default=0) or 1
    names = max([len(name) for name, _ in groups], default=0) * 8
    left = 24 + names + max([len(bar.label) for bar in bars], default=0) * _CHAR + 8
    scale = (width - left - max([len(bar.note) for bar in bars], default=0) * _CHAR - 24) / longest
    parts = [_text(24, 32, title, size=17, weight=600), _text(24, 52, subtitle, fill=_GREY)]
    y = 78 if subtitle else 56
    for name, group in groups:
        parts.append(_text(24 + names, y + _THICK * len(group) / 2 + 4, name, size=13, weight=600, anchor="end"))
        for bar in group:
            parts += _bar_parts(bar, left, y, scale)
            y += _THICK
        y += _GAP
    return _svg(width, y, title, parts, background)


def _bar_parts(bar: Bar, left: float, y: float, scale: float) -> Iterator[str]:
    length = max(bar.value * scale, 1.0) if bar.value else 0.0
    weight = 600 if bar.bold else 400
    yield _text(left - 8, y + _THICK - 3, bar.label, size=10, fill=_GREY, anchor="end")
    yield (
        f'<rect x="{left:.1f}" y="{y + 1}" width="{length:.1f}" height="{_THICK - 2}" rx="2" fill="{bar.colour}">'
        f"<title>{escape(f'{bar.label} {bar.note}'.strip())}</title></rect>"
    )
    colour = bar.colour if bar.bold else _GREY
    yield _text(left + length + 6, y + _THICK - 3, bar.note, size=10, fill=colour, weight=weight)


def bars_text(bars: Sequence[Bar], *, width: int = 40) -> list[str]:
    """A line for each bar; the longest has `width` characters."""
    longest = max([bar.value for bar in bars], default=0) or 1
    labels, notes = (max([len(text) for text in texts], default=0) for texts in _texts(bars))
    return [
        f"{bar.label:>{labels}}  {bar.note:>{notes}} {'█' * math.ceil(width * bar.value / longest)}".rstrip()
        for bar in bars
    ]


def _texts(bars: Sequence[Bar]) -> tuple[list[str], list[str]]:
    return [bar.label for bar in bars], [bar.note for bar in bars]


def _text(
    x: float, y: float, text: str, *, size: int = 12, fill: str = _INK, weight: int = 400, anchor: str = "start"
) -> str:
    if not text:
        return ""
    style = f'font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(text)}</text>'


def _svg(width: float, height: float, title: str, parts: Iterable[str], background: str | None = "#fff") -> str:
    head = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" {_FONT}'
    box = "" if background is None else f'<rect width="{width:g}" height="{height:g}" fill="{background}"/>'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {head}>', f"<title>{escape(title)}</title>", box, *parts]
    return "\n".join([line for line in [*lines, "</svg>"] if line]) + "\n"
