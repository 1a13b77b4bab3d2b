"""Runs probes against a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import httpx

from motet.errors import ConfigError, ConnectionFailedError
from motet.verify.endpoint import Endpoint
from motet.verify.probe import Probe, Result, Verdict
from motet.verify.probes import answers, limits, prompts, streams, tools
from motet.verify.report import Report
from motet.verify.session import Doubt, Failure, Inconclusive, Session, Skip

__all__ = ["PROBES", "run"]

PROBES: tuple[Probe, ...] = (*answers.PROBES, *tools.PROBES, *prompts.PROBES, *streams.PROBES, *limits.PROBES)
"""All probes, by their groups."""


def run(
    url: str,
    *,
    model: str | None = None,
    key: str | None = None,
    only: Iterable[str] = (),
    tries: int = 3,
    timeout: float = 120.0,
    on_result: Callable[[Result], None] | None = None,
) -> Report:
    """Runs the probes against a server with OpenAI's Chat Completions API.

    - `url`: its address; one without a path gets `/v1`.
    - `model`: default: the first model of its list whose name has `gpt-oss`, else the first.
    - `key`: sent as a bearer token.
    - `only`: groups (`tools`) and probes (`tools.call`). Default: all.
    - `tries`: how often a probe is tried where the model does not do what it needs, from 1.
    - `timeout`: seconds for each request.

    A probe judges what the server does, not the model: where the model does something else in all tries, it is
    `inconclusive`, and a fault that may be a slip of the model counts if all tries have it. Some 90 short requests are
    sent, one after the other. Raises `ConfigError` for an unknown probe, and `ConnectionFailedError` if the server is
    not reached.
    """
    if tries < 1:
        raise ValueError(f"tries must be from 1 on: {tries}")
    probes = _chosen(list(only))
    begin = time.monotonic()
    with Endpoint(url, key=key, timeout=timeout) as endpoint:
        session = Session(endpoint, model or _first_model(endpoint))
        results = []
        for probe in probes:
            results.append(_result(probe, session, tries))
            if on_result is not None:
                on_result(results[-1])
        return Report(endpoint.url, session.model, tuple(results), time.monotonic() - begin, endpoint.requests)


def _chosen(only: Sequence[str]) -> list[Probe]:
    names = {name for probe in PROBES for name in (probe.id, probe.group)}
    if unknown := [name for name in only if name not in names]:
        raise ConfigError(f"no probe or group is named {unknown[0]!r}; groups are {', '.join(_groups())}")
    return [probe for probe in PROBES if not only or {probe.id, probe.group} & set(only)]


def _groups() -> list[str]:
    return list(dict.fromkeys(probe.group for probe in PROBES))


def _first_model(endpoint: Endpoint) -> str:
    try:
        exchange = endpoint.get("models")
    except httpx.HTTPError as error:
        raise ConnectionFailedError(f"{endpoint.url} is not reached: {error}") from error
    shape: Any = exchange.body.get("data") if isinstance(exchange.body, Mapping) else exchange.body
    names = [str(entry["id"]) for entry in shape or () if isinstance(entry, Mapping) and entry.get("id")]
    name = next((name for name in names if "gpt-oss" in name), names[0] if names else None)
    if name is None:
        raise ConfigError(f"{endpoint.url} lists no model: name one (status {exchange.status})")
    return name


def _result(probe: Probe, session: Session, tries: int) -> Result:
    for number in range(1, tries + 1):
        session.begin()
        try:
            return Result(probe, "pass", probe.judge(session) or "", number)
        except Failure as failure:
            return Result(probe, "fail", str(failure), number)
        except Skip as skip:
            return Result(probe, "skipped", str(skip), number)
        except (Inconclusive, Doubt) as reason:
            session.try_again()
            verdict: Verdict = "fail" if isinstance(reason, Doubt) else "inconclusive"
            detail = str(reason)
        except httpx.HTTPError as error:
            return Result(probe, "fail", f"no response: {type(error).__name__}: {error}", number)
    return Result(probe, verdict, detail, tries)
