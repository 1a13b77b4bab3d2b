"""Finds reasoning that goes in circles while it arrives."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MAX_PERIOD", "MIN_REPEATED_UNITS", "MIN_UNCERTAIN_UNITS", "Repetition", "RepetitionDetector"]

MAX_PERIOD = 1024
"""Units of the longest passage whose repetition is found: 600 to 800 words of English."""
MIN_REPEATED_UNITS = 1024
"""Units that must repeat before it counts. Sound reasoning repeats itself word by word for a while: a board of 19 x 19
fields, empty table cells, a hundred equal lines of test data have up to 800."""
MIN_UNCERTAIN_UNITS = 4096
"""The same for passages without a word and for those that count: grids of numbers, and cases tried one by one."""

_UNIT = re.compile(r"[A-Za-z\u00c0-\u1fff]{1,16}|[0-9]{1,16}|\S")
_OPEN_UNIT = re.compile(r"(?:[A-Za-z\u00c0-\u1fff]{1,15}|[0-9]{1,15})\Z")
_WINDOW = (2 << MAX_PERIOD) - 1
"""Bits 0 to `MAX_PERIOD`: this unit, and those within the longest period before it."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """A passage that the end of a text repeats."""

    period: int
    """Units of the passage."""
    repeated: int
    """Units at the end of the text that each equal the one a period before."""

    @property
    def copies(self) -> int:
        """How often the passage stands there, whole."""
        return self.repeated // self.period + 1


class RepetitionDetector:
    """Reads a text in chunks of any size, and says when its end repeats one passage over and over.

    A text is a sequence of units: words of up to 16 letters, numbers of up to 16 digits, and single other characters;
    white space only separates them. The text goes in circles if its last `n` units each equal the unit `p` before, for
    a period `p` from 1 to `MAX_PERIOD`, where `n` is

    - at least `MIN_REPEATED_UNITS` and at least `2 * p`, so that the passage stands there three times, if the passage
      has a letter in it and all units are equal;
    - at least `MIN_UNCERTAIN_UNITS` and at least `2 * p` if it has none, or if it counts: if some of its numbers are
      greater by one than the number `p` units before.

    A passage that is repeated in other words is not found, and neither is one with numbers that change in other ways.
    Where the text before the first copy resembles the passage, `n` may be counted from up to `2 * MAX_PERIOD` units
    later.

    Time is linear in the text, some microseconds a unit, and memory is bounded: the places of each unit within
    `MAX_PERIOD` are bits of one number, so that one `and` keeps the periods that have held so far.
    """

    def __init__(self) -> None:
        self._rest = ""
        """The last unit, which may go on."""
        self._count = 0
        self._places: dict[str | int, tuple[int, int]] = {}
        """For each unit the index of its last place, and the places before as bits: bit `k` is `k` units before."""
        self._equal = _Run()
        self._counting = _Run()
        self._last_word = -1

    def feed(self, text: str) -> Repetition | None:
        """Reads more text. Returns the repetition if the text goes in circles somewhere in this chunk."""
        found = None
        text = self._rest + text
        units = _UNIT.findall(text)
        self._rest = ""
        if units and text.endswith(units[-1]) and _OPEN_UNIT.match(units[-1]):
            self._rest = units.pop()
        for unit in units:
            found = self._add(unit) or found
        return found

    def _add(self, unit: str) -> Repetition | None:
        index = self._count
        self._count += 1
        key: str | int = unit
        if unit[0].isdigit() and unit.isascii():
            key = int(unit)
        elif unit[0].isalpha():
            self._last_word = index
        places = self._places_of(key, index)
        before = self._places_of(key - 1, index) if isinstance(key, int) else 0
        self._places[key] = (index, places | 1)
        if index % MAX_PERIOD == 0:
            self._forget()
        self._equal.add(index, places)
        self._counting.add(index, places | before)
        if index + 1 - self._counting.start < MIN_REPEATED_UNITS:
            # It holds at least as long as the run of equal units.
            return None
        has_word = self._last_word >= self._equal.start
        return self._equal.repetition(MIN_REPEATED_UNITS if has_word else MIN_UNCERTAIN_UNITS, index) or (
            self._counting.repetition(MIN_UNCERTAIN_UNITS, index)
        )

    def _places_of(self, key: str | int, index: int) -> int:
        last, places = self._places.get(key, (index, 0))
        distance = index - last
        return 0 if distance > MAX_PERIOD else (places << distance) & _WINDOW

    def _forget(self) -> None:
        """Drops units that stand nowhere within the window."""
        oldest = self._count - MAX_PERIOD
        self._places = {key: value for key, value in self._places.items() if value[0] >= oldest}


class _Run:
    """The periods that have held at each unit since `start`."""

    def __init__(self) -> None:
        self.start = 0
        self._periods = 0
        """As bits: bit `p` is period `p`."""

    def add(self, index: int, periods: int) -> None:
        """`periods`: those at which the unit equals an earlier one."""
        self._periods &= periods
        if not self._periods:
            self.start, self._periods = index, periods

    def repetition(self, least: int, index: int) -> Repetition | None:
        repeated = index + 1 - self.start
        if repeated < least or not self._periods:
            return None
        period = (self._periods & -self._periods).bit_length() - 1
        return Repetition(period, repeated) if repeated >= 2 * period else None
