"""Where two sequences differ: a shortest edit script, within a number of steps."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Region", "StepBudget", "changed_regions", "common_prefix"]

Region: TypeAlias = tuple[int, int, int, int]
"""`a[start:end]` has `b[start:end]` in its place: the two starts and ends, first those of `a`."""


@dataclass(slots=True)
class StepBudget:
    """The steps that comparisons may still take together.

    A step is a point that the search visits. A script of `d` edits takes `d²/2` steps and `d²`
    numbers of 4 bytes.
    """

    left: int = 300_000


def common_prefix(a: Sequence[Any], b: Sequence[Any], start_a: int = 0, start_b: int = 0) -> int:
    """The number of equal items from two starts on. Compares slices of growing length, so that arrays are compared
    natively."""
    length, size, is_growing = 0, 1, True
    limit = min(len(a) - start_a, len(b) - start_b)
    while length < limit:
        size = min(size, limit - length)
        low_a, low_b = start_a + length, start_b + length
        if a[low_a : low_a + size] == b[low_b : low_b + size]:
            length += size
        elif size == 1:
            break
        else:
            is_growing = False
        size = size * 2 if is_growing else (size + 1) // 2
    return length


def changed_regions(a: Sequence[Any], b: Sequence[Any], budget: StepBudget) -> list[Region]:
    """The regions in which `a` and `b` differ, in order, with equal items between them.

    They are the smallest possible in sum as long as the budget lasts. Without budget, all between the common prefix and
    the common suffix is one region. Takes linear time plus the steps.
    """
    start = common_prefix(a, b)
    rest_a, rest_b = a[start:], b[start:]
    end = common_prefix(rest_a[::-1], rest_b[::-1])
    middle_a, middle_b = rest_a[: len(rest_a) - end], rest_b[: len(rest_b) - end]
    if not len(middle_a) and not len(middle_b):
        return []
    if not len(middle_a) or not len(middle_b):
        regions = [(0, len(middle_a), 0, len(middle_b))]
    else:
        regions = _shortest(middle_a, middle_b, budget) or [(0, len(middle_a), 0, len(middle_b))]
    return [(low_a + start, high_a + start, low_b + start, high_b + start) for low_a, high_a, low_b, high_b in regions]


def _shortest(a: Sequence[Any], b: Sequence[Any], budget: StepBudget) -> list[Region] | None:
    """Myers' greedy algorithm (An O(ND) Difference Algorithm, 1986). `None`: the budget ended."""
    goal = len(a) - len(b)
    frontiers: list[array[int]] = []
    # Of diagonal `k` the furthest place in `a` is at `k + edits + 1`, so that its neighbours have one, too.
    frontier = array("i", [0, 0, 0])
    for edits in range(len(a) + len(b) + 1):
        budget.left -= edits + 1
        if budget.left < 0:
            return None
        frontiers.append(frontier)
        reached = array("i", bytes(4 * (2 * edits + 5)))
        for diagonal in range(-edits, edits + 1, 2):
            place_a, _ = _next_place(frontier, diagonal, edits)
            place_b = place_a - diagonal
            if place_a < len(a) and 0 <= place_b < len(b):
                place_a += common_prefix(a, b, place_a, place_b)
            reached[diagonal + edits + 2] = place_a
            if diagonal == goal and place_a >= len(a):
                return _traced_back(a, b, frontiers)
        frontier = reached
    return None


def _next_place(frontier: array[int], diagonal: int, edits: int) -> tuple[int, bool]:
    """The furthest place in `a` that one more edit reaches on a diagonal, and whether the edit is an insertion and not
    a deletion."""
    if edits == 0:
        return 0, False
    above, left = frontier[diagonal + edits + 2], frontier[diagonal + edits]
    if diagonal == -edits or (diagonal != edits and left < above):
        return above, True
    return left + 1, False


def _traced_back(a: Sequence[Any], b: Sequence[Any], frontiers: Sequence[array[int]]) -> list[Region]:
    """The regions of the path to the end, from the frontiers that preceded each edit."""
    regions: list[Region] = []
    end_a, end_b = len(a), len(b)
    for edits in range(len(frontiers) - 1, 0, -1):
        diagonal = end_a - end_b
        place_a, is_insertion = _next_place(frontiers[edits], diagonal, edits)
        place_b = place_a - diagonal
        before_a, before_b = (place_a, place_b - 1) if is_insertion else (place_a - 1, place_b)
        if regions and regions[-1][0] == place_a and regions[-1][2] == place_b:
            _, last_a, _, last_b = regions.pop()
            regions.append((before_a, last_a, before_b, last_b))
        else:
            regions.append((before_a, place_a, before_b, place_b))
        end_a, end_b = before_a, before_b
    return regions[::-1]
