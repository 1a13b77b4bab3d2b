"""Many streams at once through motet's proxy: none may be lost or mixed, and memory must not grow.

    python benches/proxy/load.py [--streams 200] [--seconds 60] [--rate 50] [--workers 1] [--lane auto] [--api chat]

Each connection asks for one stream after the other. Each stream has a text of its own, which is compared when it has
ended. Ends with an error if one is lost, cut or mixed. Writes its row of benches/results/proxy_load.json unless `--dry`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benches/results/proxy_load.json"
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from client import Client, is_whole  # noqa: E402
from servers import Server, Servers  # noqa: E402
from streams import Plan  # noqa: E402

STREAM_SECONDS = 5.0
"""How long a stream takes if nothing is late."""


@dataclass
class Outcome:
    """What became of the streams."""

    whole: int = 0
    wrong: int = 0
    tokens: int = 0
    errors: list[str] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    """Seconds of each stream beyond those that it takes without a proxy."""
    resident: list[int] = field(default_factory=list)
    """Bytes of the proxy, each second."""


async def connection(server: Server, number: int, options: argparse.Namespace, end: float, outcome: Outcome) -> None:
    """Asks for streams until the time is up."""
    plan = Plan(max(int(STREAM_SECONDS * options.rate), 1), 1, 1 / options.rate)
    client, loop = Client(server.port, options.api), asyncio.get_running_loop()
    # Streams of different ages, as in service, instead of all beginning at once.
    await asyncio.sleep(STREAM_SECONDS * number / options.streams)
    seed = (number + 1) * 100_000
    while loop.time() < end:
        seed += 1
        try:
            reading = await client.read(seed, plan)
        except (ValueError, OSError, asyncio.IncompleteReadError) as error:
            outcome.errors.append(f"{type(error).__name__}: {error}"[:500])
            client.close()
            continue
        outcome.tokens += plan.tokens
        outcome.delays.append(reading.total - plan.tokens * plan.interval)
        if is_whole(options.api, reading.body, seed, plan):
            outcome.whole += 1
        else:
            outcome.wrong += 1
    client.close()


async def watch(server: Server, outcome: Outcome) -> None:
    """Reads the memory each second."""
    while True:
        outcome.resident.append(server.resident_bytes())
        await asyncio.sleep(1)


async def run(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of a run."""
    outcome, loop = Outcome(), asyncio.get_running_loop()
    warm = Client(server.port, options.api)
    await warm.read(1, Plan(100))
    warm.close()
    watching = asyncio.create_task(watch(server, outcome))
    cpu, start = server.cpu_seconds(), loop.time()
    end = start + options.seconds
    await asyncio.gather(*[connection(server, n, options, end, outcome) for n in range(options.streams)])
    seconds, cpu = loop.time() - start, server.cpu_seconds() - cpu
    watching.cancel()
    delays = sorted(outcome.delays) or [0.0]
    # Streams of all ages run from the time on that the first ones take.
    settled = min(int(2 * STREAM_SECONDS), len(outcome.resident) - 1)
    return {
        "lane": options.lane,
        "api": options.api,
        "streams": options.streams,
        "workers": options.workers,
        "seconds": round(seconds, 1),
        "whole": outcome.whole,
        "wrong": outcome.wrong,
        "lost": len(outcome.errors),
        "errors": outcome.errors[:3],
        "tokens_per_second": round(outcome.tokens / seconds),
        "cpu_per_token": round(cpu / max(outcome.tokens, 1) * 1e6, 1),
        "cores": round(cpu / seconds, 2),
        "delay_p50": round(delays[len(delays) // 2], 3),
        "delay_max": round(delays[-1], 3),
        "memory": round(outcome.resident[settled] / 1e6, 1),
        "memory_at_end": round(outcome.resident[-1] / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=50.0, help="tokens of a stream in a second, each in a chunk")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--lane", choices=("auto", "chat"), default="auto")
    parser.add_argument("--api", choices=("chat", "responses", "anthropic"), default="chat")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    options = parser.parse_args()
    with Servers() as servers:
        server = servers.motet(servers.upstream(), "motet", lane=options.lane, workers=options.workers)
        row = asyncio.run(run(server, options))
    print(json.dumps(row, indent=1))
    if not options.dry:
        RESULTS.write_text(json.dumps({"cores": os.cpu_count(), **row}, indent=1) + "\n")
    if row["wrong"] or row["lost"]:
        raise SystemExit("streams were lost or mixed")


if __name__ == "__main__":
    main()
