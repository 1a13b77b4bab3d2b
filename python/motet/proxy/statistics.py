"""Figures of a proxy since its start, in the text format of Prometheus."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from motet.dialects.replies import ReplyUsage

__all__ = ["Statistics"]

MAX_MODELS = 100
"""Names of models with series of their own: clients may send any."""
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the histograms' buckets."""
_HELP: Mapping[str, tuple[str, str]] = {
    "motet_requests_total": ("counter", "Requests by API, model and status."),
    "motet_requests_running": ("gauge", "Requests that are being answered."),
    "motet_tokens_total": ("counter", "Tokens: input with cached, cached, output with reasoning, reasoning."),
    "motet_cost_dollars_total": ("counter", "US dollars of requests whose price is known."),
    "motet_unpriced_requests_total": ("counter", "Answered requests whose cost is not known."),
    "motet_repairs_total": ("counter", "Deviations from the format that the parser corrected, by code."),
    "motet_hung_up_total": ("counter", "Requests that the client ended early."),
    "motet_request_seconds": ("histogram", "Seconds of whole requests."),
    "motet_first_token_seconds": ("histogram", "Seconds to the first token of streams."),
}


class Statistics:
    """Counters of one process. Not for several threads: a proxy runs in one event loop."""

    def __init__(self) -> None:
        self.running = 0
        self._counters: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._dollars: dict[tuple[tuple[str, str], ...], Decimal] = {}
        self._histograms = {name: _Histogram() for name in ("motet_request_seconds", "motet_first_token_seconds")}
        self._models: set[str] = set()

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
        model = self._bounded(model)
        self._count("motet_requests_total", 1, api=api, model=model, status=str(status))
        self._histograms["motet_request_seconds"].add(seconds)
        if first_token_seconds is not None:
            self._histograms["motet_first_token_seconds"].add(first_token_seconds)
        for code, count in repairs:
            self._count("motet_repairs_total", count, code=code)
        if usage is None:
            return
        for kind in ("input", "cached", "output", "reasoning"):
            self._count("motet_tokens_total", getattr(usage, kind), model=model, kind=kind)
        if cost is None:
            self._count("motet_unpriced_requests_total", 1, model=model)
        else:
            labels = _labels(model=model, client=client)
            self._dollars[labels] = self._dollars.get(labels, Decimal(0)) + cost

    def record_hang_up(self) -> None:
        """Adds a request that the client ended early."""
        self._count("motet_hung_up_total", 1)

    def _bounded(self, model: str) -> str:
        if model not in self._models and len(self._models) >= MAX_MODELS:
            return "other"
        self._models.add(model)
        return model

    def _count(self, name: str, count: int, **labels: str) -> None:
        self._counters[name, _labels(**labels)] += count

    def text(self) -> str:
        """All figures."""
        lines: list[str] = []
        for name, (kind, description) in _HELP.items():
            lines += [f"# HELP {name} {description}", f"# TYPE {name} {kind}"]
            if name == "motet_requests_running":
                lines.append(f"{name} {self.running}")
            elif name == "motet_cost_dollars_total":
                lines += [f"{name}{_shown(labels)} {cost:f}" for labels, cost in self._dollars.items()]
            elif name in self._histograms:
                lines += self._histograms[name].lines(name)
            else:
                counts = [(labels, count) for (key, labels), count in self._counters.items() if key == name]
                lines += [f"{name}{_shown(labels)} {count}" for labels, count in counts]
        return "\n".join(lines) + "\n"


class _Histogram:
    def __init__(self) -> None:
        self._counts = [0] * (len(_SECONDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect.bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str) -> list[str]:
        bounds = [*[f"{bound:g}" for bound in _SECONDS], "+Inf"]
        lines, total = [], 0
        for bound, count in zip(bounds, self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self._sum:.6f}", f"{name}_count {total}"]


def _labels(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(labels.items())


def _shown(labels: Sequence[tuple[str, str]]) -> str:
    if not labels:
        return ""
    return "{" + ",".join([f'{name}="{_escaped(value)}"' for name, value in labels]) + "}"


def _escaped(value: str) -> str:
    value = value.encode("utf-8", "replace").decode()
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
