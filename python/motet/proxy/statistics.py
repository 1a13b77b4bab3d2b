"""Figures of a proxy since its start, in the text format of Prometheus."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from motet.dialects.replies import ReplyUsage
from motet.proxy.process_files import ProcessFile

__all__ = ["Figures", "Statistics"]

MAX_MODELS = 100
"""Names of models with series of their own: clients may send any."""
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the histograms' buckets."""
_COST = "motet_cost_dollars_total"
_HELP: Mapping[str, tuple[str, str]] = {
    "motet_requests_total": ("counter", "Requests by API, model and status."),
    "motet_requests_running": ("gauge", "Requests that are being answered."),
    "motet_tokens_total": ("counter", "Tokens: input with cached, cached, output with reasoning, reasoning."),
    _COST: ("counter", "US dollars of requests whose price is known."),
    "motet_unpriced_requests_total": ("counter", "Answered requests whose cost is not known."),
    "motet_repairs_total": ("counter", "Deviations from the format that the parser corrected, by code."),
    "motet_hung_up_total": ("counter", "Requests that the client ended early."),
    "motet_request_seconds": ("histogram", "Seconds of whole requests."),
    "motet_first_token_seconds": ("histogram", "Seconds to the first token of streams."),
}
_HISTOGRAMS = ("motet_request_seconds", "motet_first_token_seconds")

_Series = tuple[str, tuple[tuple[str, str], ...]]
"""A name and labels."""


class Figures:
    """Counters and histograms, which can be added to those of other processes."""

    def __init__(self) -> None:
        self.running = 0
        self.counters: Counter[_Series] = Counter()
        self.dollars: dict[_Series, Decimal] = {}
        self.buckets = {name: [0] * (len(_SECONDS) + 1) for name in _HISTOGRAMS}
        self.sums = dict.fromkeys(_HISTOGRAMS, 0.0)

    def count(self, name: str, count: int, **labels: str) -> None:
        """Adds to a counter."""
        self.counters[name, tuple(labels.items())] += count

    def spend(self, cost: Decimal, **labels: str) -> None:
        """Adds to the cost, exactly."""
        series = (_COST, tuple(labels.items()))
        self.dollars[series] = self.dollars.get(series, Decimal(0)) + cost

    def observe(self, name: str, seconds: float) -> None:
        """Adds to a histogram."""
        self.buckets[name][bisect.bisect_left(_SECONDS, seconds)] += 1
        self.sums[name] += seconds

    def add(self, other: Figures) -> None:
        """Adds the figures of another process."""
        self.running += other.running
        self.counters.update(other.counters)
        for series, cost in other.dollars.items():
            self.dollars[series] = self.dollars.get(series, Decimal(0)) + cost
        for name in _HISTOGRAMS:
            self.buckets[name] = [sum(pair) for pair in zip(self.buckets[name], other.buckets[name], strict=True)]
            self.sums[name] += other.sums[name]

    def summary(self) -> dict[str, Any]:
        """Sums over all APIs, models and clients, as JSON. Requests that the client ended (499) have not failed."""
        repairs: Counter[str] = Counter()
        sums: Counter[str] = Counter()
        for (name, labels), count in self.counters.items():
            by_name = dict(labels)
            if name == "motet_repairs_total":
                repairs[by_name["code"]] += count
            elif name == "motet_tokens_total":
                sums[by_name["kind"]] += count
            elif name == "motet_requests_total":
                sums["requests"] += count
                sums["failed"] += count if int(by_name["status"]) >= 400 and by_name["status"] != "499" else 0
            elif name == "motet_unpriced_requests_total":
                sums["unpriced"] += count
        cost = sum(self.dollars.values(), Decimal(0))
        return {
            **sums,
            "running": self.running,
            "repairs": dict(repairs),
            "cost": f"{cost:f}" if self.dollars else None,
        }

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "running": self.running,
            "counters": [[*series, count] for series, count in self.counters.items()],
            "dollars": [[*series, str(cost)] for series, cost in self.dollars.items()],
            "buckets": self.buckets,
            "sums": self.sums,
        }

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Figures:
        """The inverse of `to_dict`."""
        figures = cls()
        figures.running = shape["running"]
        figures.counters.update({_series(name, labels): count for name, labels, count in shape["counters"]})
        figures.dollars = {_series(name, labels): Decimal(cost) for name, labels, cost in shape["dollars"]}
        figures.buckets, figures.sums = shape["buckets"], shape["sums"]
        return figures

    def text(self) -> str:
        """The text format of Prometheus."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        values: dict[_Series, str] = {series: str(count) for series, count in self.counters.items()}
        values |= {series: f"{cost:f}" for series, cost in self.dollars.items()}
        values["motet_requests_running", ()] = str(self.running)
        for name, (kind, description) in _HELP.items():
            yield f"# HELP {name} {description}"
            yield f"# TYPE {name} {kind}"
            if name in _HISTOGRAMS:
                yield from self._histogram(name)
            yield from [f"{name}{_shown(labels)} {value}" for (key, labels), value in values.items() if key == name]

    def _histogram(self, name: str) -> Iterator[str]:
        total = 0
        for bound, count in zip([*[f"{bound:g}" for bound in _SECONDS], "+Inf"], self.buckets[name], strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self.sums[name]:.6f}"
        yield f"{name}_count {total}"


class Statistics:
    """Counts the requests of one process. Not for several threads: a proxy runs in one event loop.

    `folder`: where the processes of one proxy write their figures, so that each can show the sum of all.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._figures = Figures()
        self._models: set[str] = set()
        self._file = ProcessFile(folder, ".json")
        self._has_changed = False

    @property
    def running(self) -> int:
        """Requests that are being answered."""
        return self._figures.running

    @running.setter
    def running(self, count: int) -> None:
        self._figures.running = count
        self._has_changed = True

    def record(
        self,
        *,
        api: str,
        model: str,
        client: str,
        status: int,
        seconds: float,
        first_token_seconds: float | None = None,
        usage: ReplyUsage | None = None,
        cost: Decimal | None = None,
        repairs: Iterable[tuple[str, int]] = (),
    ) -> None:
        """Adds a request. `repairs`: codes and how often each occurred."""
        model, figures = self._bounded(model), self._figures
        self._has_changed = True
        figures.count("motet_requests_total", 1, api=api, model=model, status=str(status))
        figures.observe("motet_request_seconds", seconds)
        if first_token_seconds is not None:
            figures.observe("motet_first_token_seconds", first_token_seconds)
        for code, count in repairs:
            figures.count("motet_repairs_total", count, code=code)
        if cost is not None:
            figures.spend(cost, model=model, client=client)
        if usage is None:
            return
        for kind in ("input", "cached", "output", "reasoning"):
            figures.count("motet_tokens_total", getattr(usage, kind), model=model, kind=kind)
        if cost is None:
            figures.count("motet_unpriced_requests_total", 1, model=model)

    def record_hang_up(self) -> None:
        """Adds a request that the client ended early."""
        self._figures.count("motet_hung_up_total", 1)
        self._has_changed = True

    def _bounded(self, model: str) -> str:
        if model not in self._models and len(self._models) >= MAX_MODELS:
            return "other"
        self._models.add(model)
        return model

    def write(self) -> None:
        """Writes the figures for the other processes, if there are any and something has changed."""
        if self._has_changed:
            self._has_changed = False
            self._file.write(self._figures.to_dict())

    def text(self) -> str:
        """The figures of all processes, in the text format of Prometheus."""
        return self.total().text()

    def total(self) -> Figures:
        """The figures of all processes."""
        total = Figures()
        total.add(self._figures)
        for shape, is_alive in self._file.others():
            other = Figures.from_dict(shape)
            other.running = other.running if is_alive else 0
            total.add(other)
        return total


def _series(name: str, labels: Iterable[Iterable[str]]) -> _Series:
    return name, tuple([(label, value) for label, value in labels])


def _shown(labels: Iterable[tuple[str, str]]) -> str:
    pairs = ",".join([f'{name}="{_escaped(value)}"' for name, value in labels])
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    value = value.encode("utf-8", "replace").decode()
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
