"""Tables of text: aligned columns that fit the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

__all__ = ["aligned", "table"]

_GAP = "  "

Paint = Callable[[int, int, str], str]
"""Colours the text of a cell, by row and column; the head is row -1."""


def aligned(rows: Sequence[Sequence[str]], alignment: str) -> list[list[str]]:
    """The cells padded to the widths of their columns.

    `alignment`: a character for each column: `<` left, `>` right, `.` by the decimal point.
    """
    columns = []
    for cells, how in zip(zip(*rows, strict=True), alignment, strict=True):
        if how == ".":
            ends = [len(cell) - len(cell.partition(".")[0]) for cell in cells]
            cells = tuple([cell + " " * (max(ends) - end) for cell, end in zip(cells, ends, strict=True)])
        width = max(map(len, cells))
        columns.append([f"{cell:{'<' if how == '<' else '>'}{width}}" for cell in cells])
    return [list(row) for row in zip(*columns, strict=True)]


def table(
    rows: Sequence[Sequence[str]],
    alignment: str,
    *,
    head: Sequence[str],
    paint: Paint = lambda row, column, text: text,
    width: int | None = None,
) -> list[str]:
    """The lines of a table.

    `width`: the characters of a line; by default those of the terminal, or 80. Where the columns are wider, the last
    ones continue on a second, indented line of each row: nothing is cut off.
    """
    width = shutil.get_terminal_size().columns if width is None else width
    cells = aligned([head, *rows], alignment)
    widths = [len(cell) for cell in cells[0]]
    fitting = len(widths)
    while fitting > 1 and sum(widths[:fitting]) + len(_GAP) * (fitting - 1) > width:
        fitting -= 1
    lines = []
    for number, row in enumerate(cells, -1):
        painted = [paint(number, column, cell) for column, cell in enumerate(row)]
        lines.append(_GAP.join(painted[:fitting]).rstrip())
        if any(cell.strip() for cell in row[fitting:]):
            lines.append(_GAP + _GAP.join(painted[fitting:]).rstrip())
    return lines
