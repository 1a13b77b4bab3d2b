"""Compares motet's proxy with no proxy, with nginx and with litellm's, over sockets and in one run.

Each round asks all of them, one after the other, in an order that rotates. Measured are the time to the first byte, the
time of a token where the upstream sends all at once, and the CPU time of the proxy's process, which other load on the
machine changes little.

    python benches/proxy/compare.py [--requests 100] [--tokens 1000] [--rounds 15] [--litellm PROGRAM] [--only WORD]

Writes benches/results/proxy.json and its part of benches/README.md, unless `--dry`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benches/results/proxy.json"
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from client import Client, is_whole  # noqa: E402
from servers import Server, Servers  # noqa: E402
from streams import Plan  # noqa: E402

HEADING, NEXT_HEADING = "\n## Proxy\n", "\n## Columns\n"
PACED = 0.002
"""Seconds between the chunks of streams whose chunks arrive one by one."""
PACED_STREAMS = 8


class Contender:
    """A way to the upstream, and what was measured of it."""

    def __init__(self, name: str, server: Server, api: str = "chat", per_chunk: int = 1) -> None:
        self.name = name
        self.server = server
        self.api = api
        self.per_chunk = per_chunk
        self.firsts: list[float] = []
        self.request_cpu: list[float] = []
        self.burst_times: list[float] = []
        self.burst_cpu: list[float] = []
        self.paced_cpu: list[float] = []
        self.rates: list[float] = []
        self.resident = [server.resident_bytes()] * 2

    @property
    def row(self) -> dict[str, Any]:
        """The figures: times in microseconds, memory in MB."""
        firsts = sorted(self.firsts)
        return {
            "name": self.name,
            "first_byte_p50": statistics.median(firsts) * 1e6,
            "first_byte_p99": firsts[int(len(firsts) * 0.99)] * 1e6,
            "request_cpu": statistics.median(self.request_cpu) * 1e6,
            "requests_per_second": statistics.median(self.rates),
            "token_time": statistics.median(self.burst_times) * 1e6,
            "token_cpu": statistics.median(self.burst_cpu) * 1e6,
            "paced_token_cpu": statistics.median(self.paced_cpu) * 1e6,
            "resident": self.resident[1] / 1e6,
            "growth": (self.resident[1] - self.resident[0]) / 1e6,
        }


class Seeds:
    """A new number for each stream."""

    def __init__(self) -> None:
        self._last = 100_000

    def take(self) -> int:
        self._last += 1
        return self._last


async def first_bytes(contender: Contender, seeds: Seeds, requests: int) -> None:
    """Short streams, one after the other on one connection."""
    client, plan = Client(contender.server.port, contender.api), Plan(1, contender.per_chunk)
    await client.read(seeds.take(), plan)
    cpu = contender.server.cpu_seconds()
    for _ in range(requests):
        contender.firsts.append((await client.read(seeds.take(), plan)).first)
    contender.request_cpu.append((contender.server.cpu_seconds() - cpu) / requests)
    client.close()


async def requests_per_second(contender: Contender, seeds: Seeds, requests: int) -> None:
    """Short streams on 16 connections at once."""
    plan = Plan(1, contender.per_chunk)
    clients = [Client(contender.server.port, contender.api) for _ in range(16)]

    async def ask(client: Client) -> None:
        for _ in range(requests // 16 + 1):
            await client.read(seeds.take(), plan)

    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.gather(*map(ask, clients))
    contender.rates.append((requests // 16 + 1) * 16 / (loop.time() - start))
    for client in clients:
        client.close()


async def burst(contender: Contender, seeds: Seeds, tokens: int) -> None:
    """One stream that the upstream sends as fast as it is read. The second of two equal ones counts."""
    client, plan, seed = Client(contender.server.port, contender.api), Plan(tokens, contender.per_chunk), seeds.take()
    await client.read(seed, plan)
    cpu = contender.server.cpu_seconds()
    reading = await client.read(seed, plan)
    contender.burst_cpu.append((contender.server.cpu_seconds() - cpu) / tokens)
    contender.burst_times.append((reading.total - reading.first) / tokens)
    client.close()
    assert is_whole(contender.api, reading.body, seed, plan), f"{contender.name}: a stream is not whole"


async def paced(contender: Contender, seeds: Seeds, chunks: int) -> None:
    """Streams at once whose chunks arrive one by one."""
    plan = Plan(chunks * contender.per_chunk, contender.per_chunk, PACED)
    clients = [Client(contender.server.port, contender.api) for _ in range(PACED_STREAMS)]
    numbers = [seeds.take() for _ in clients]
    cpu = contender.server.cpu_seconds()
    readings = await asyncio.gather(*[client.read(seed, plan) for client, seed in zip(clients, numbers, strict=True)])
    contender.paced_cpu.append((contender.server.cpu_seconds() - cpu) / (plan.tokens * len(clients)))
    for client, reading, seed in zip(clients, readings, numbers, strict=True):
        client.close()
        assert is_whole(contender.api, reading.body, seed, plan), f"{contender.name}: a stream is not whole"


async def measure(contenders: Sequence[Contender], options: argparse.Namespace) -> None:
    """All rounds. The first is not counted."""
    seeds = Seeds()
    for number in range(-1, options.rounds):
        at = number % len(contenders)
        for contender in [*contenders[at:], *contenders[:at]]:
            await first_bytes(contender, seeds, options.requests)
            await requests_per_second(contender, seeds, options.requests)
            await burst(contender, seeds, options.tokens)
            await paced(contender, seeds, max(options.tokens // 10, 1))
            contender.resident[1] = contender.server.resident_bytes()
            if number < 0:
                values = (contender.firsts, contender.request_cpu, contender.rates)
                for taken in (*values, contender.burst_times, contender.burst_cpu, contender.paced_cpu):
                    taken.clear()
                contender.resident[0] = contender.resident[1]


def start(servers: Servers, program: str | None, only: str | None) -> list[Contender]:
    """All contenders that are installed."""
    upstream = servers.upstream()
    contenders = [Contender("direct", upstream)]

    def wanted(name: str) -> bool:
        return only is None or only in name

    if wanted("nginx") and (server := servers.nginx(upstream)) is not None:
        contenders.append(Contender("nginx", server))
    if wanted("motet"):
        ids = servers.motet(upstream, "motet ids")
        for name, api, per_chunk in (
            ("motet, ids lane", "chat", 1),
            ("motet, ids lane, chunks of 16", "chat", 16),
            ("motet, ids lane, Responses", "responses", 1),
            ("motet, ids lane, Messages", "anthropic", 1),
        ):
            contenders.append(Contender(name, ids, api, per_chunk))
        contenders.append(Contender("motet, chat lane", servers.motet(upstream, "motet chat", lane="chat")))
    if wanted("litellm") and (server := servers.litellm(upstream, program)) is not None:
        contenders.append(Contender("litellm", server))
    return contenders


COLUMNS = {
    "first_byte_p50": "first byte, p50",
    "first_byte_p99": "p99",
    "request_cpu": "CPU a request",
    "token_time": "time a token",
    "token_cpu": "CPU a token",
    "paced_token_cpu": "CPU a token, one by one",
}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    heads = ["µs", *COLUMNS.values(), "requests/s", "memory", "growth"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows:
        values = [f"{row[key]:,.1f}" if row[key] < 100 else f"{row[key]:,.0f}" for key in COLUMNS]
        memory = [f"{row['requests_per_second']:,.0f}", f"{row['resident']:.0f} MB", f"{row['growth']:.1f} MB"]
        lines.append(f"| {row['name']} | {' | '.join([*values, *memory])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--litellm", metavar="PROGRAM", help="its command, if that is not on the path")
    parser.add_argument("--only", metavar="WORD", help="contenders whose names contain it, beside the direct way")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    options = parser.parse_args()
    with Servers() as servers:
        contenders = start(servers, options.litellm, options.only)
        asyncio.run(measure(contenders, options))
        rows = [contender.row for contender in contenders]
    print(table(rows))
    if not options.dry:
        machine = (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        RESULTS.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
        write_page(machine, table(rows))


PAGE = """Between a client and an upstream of recorded vLLM chunks, all over sockets on one machine, in one run of
`benches/proxy/compare.py` in rounds that alternate. "Time a token": of a stream that the upstream sends all at once.
"One by one": {streams} streams whose chunks arrive every {pause:g} ms each, so that the kernel is asked for each of them. CPU
is that of the proxy's process alone, in the first row the upstream's. Times in µs. {machine}.

"""


def write_page(machine: str, text: str) -> None:
    """Replaces the part of the page."""
    page = ROOT / "benches/README.md"
    before, _, rest = page.read_text("utf-8").partition(HEADING)
    head = PAGE.format(machine=machine, streams=PACED_STREAMS, pause=PACED * 1000)
    page.write_text(before + HEADING + head + text + NEXT_HEADING + rest.partition(NEXT_HEADING)[2], "utf-8")


if __name__ == "__main__":
    main()
