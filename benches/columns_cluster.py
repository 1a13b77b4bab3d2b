"""A file of completions parsed by `motet parse`, and by table engines with two workers: equal rows, times, memory.

Writes a Parquet file of completions of mixed lengths, of which some are malformed, stripped or null, and parses it by each
way in a process of its own. Each output is compared with that of `motet parse`, all rows, by row number, and a
sample of that with `motet.parse`. Prints times, speeds and the most memory (PSS of all processes; of the largest of them).
Linux only: reads /proc. Speeds are of the text or ids in memory, without the start of the engine. Files are deleted.

    .venv/tables/bin/python benches/columns_cluster.py [--gigabytes 1] [--ids] [--only Spark polars] [--folder /tmp]
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benches.tokenizer import corpora  # noqa: E402
from motet import SPECIAL_TOKENS, columns  # noqa: E402
from tests.support.arrow_arrays import parsed_row  # noqa: E402

WORKERS = 2
GROUP_BYTES = 32_000_000
"""Text of a row group."""
BATCH_ROWS = 8000
"""Rows of an output that are compared at once."""
SAMPLE_EVERY = 10_000
"""Of so many rows one is compared with `motet.parse`."""
MARKERS = sorted(SPECIAL_TOKENS)[:8]
GROUP_ROWS = 8192
"""Rows of a row group that polars and DuckDB write: by default they hold 122,880 and more in memory, however long."""
MEDIAN_BYTES, SPREAD = 1500, 1.3
"""Lengths of contents are log-normal: 3.5 kB on average, a hundredth of them above 30 kB."""


def texts(seed: int) -> Iterator[str | None]:
    """Completions without end: prose and code with tool calls; one in five deviates from the format, one in fifty is null."""
    rng = random.Random(seed)
    prose = "".join([text for name in ("English", "Python code") for text in corpora.texts(name, 1, 1_000_000)])
    # A string with a character outside of ASCII takes two or four bytes for each, which are slower to cut and encode.
    prose = prose.encode("ascii", "ignore").decode() * 2
    others = "".join([text for name in ("random CJK", "random Unicode") for text in corpora.texts(name, 1, 60_000)])

    def content() -> str:
        words = others if rng.random() < 0.05 else prose
        size = min(len(words) // 2, int(rng.lognormvariate(0, SPREAD) * MEDIAN_BYTES))
        start = rng.randrange(len(words) - size)
        return words[start : start + size]

    def thought() -> str:
        return f"<|channel|>analysis<|message|>{content()}<|end|><|start|>assistant"

    def call(index: int) -> str:
        arguments = json.dumps({"query": content()[:200], "limit": index}, ensure_ascii=index % 2 == 0)
        start = "<|start|>assistant" if index else ""
        return f"{start}<|channel|>commentary to=functions.search <|constrain|>json<|message|>{arguments}<|call|>"

    def answer() -> str:
        return f"{thought()}<|channel|>final<|message|>{content()}<|return|>"

    def with_calls() -> str:
        preamble = f"<|channel|>commentary<|message|>{content()[:80]}<|end|><|start|>assistant"
        calls = "".join([call(index) for index in range(rng.randrange(1, 4))])
        return thought() + (preamble if rng.random() < 0.5 else "") + calls

    def cut_off() -> str:
        text = rng.choice((answer, with_calls))()
        return text[: rng.randrange(len(text))]

    def damaged() -> str:
        text = rng.choice((answer, with_calls))()
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(len(text))
            text = text[:place] + rng.choice(MARKERS) + text[place + rng.randrange(3) :]
        return text

    kinds: list[Callable[[], str | None]] = [
        answer,
        with_calls,
        lambda: f"<|channel|>final<|message|>{content()}<|return|>",
        lambda: f"analysis{content()}assistantfinal{content()}",
        content,
        cut_off,
        damaged,
        lambda: None,
    ]
    weights = [46, 22, 10, 6, 4, 6, 4, 2]
    while True:
        yield rng.choices(kinds, weights)[0]()


def write(path: Path, size: int, *, ids: bool) -> tuple[int, int]:
    """Writes about `size` bytes of completions. Returns the number of rows, and the bytes of text or ids."""
    source, first, total = texts(7), 0, 0
    schema = pa.schema([("number", pa.int64()), ("completion", pa.list_(pa.uint32()) if ids else pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        while total < size:
            rows: list[str | None] = []
            length = 0
            while length < min(GROUP_BYTES, size - total):
                rows.append(next(source))
                length += len(rows[-1] or "")
            array = pa.array(rows)
            if ids:
                array = pa.chunked_array(columns.encode(array, special="token")).combine_chunks().cast(schema.types[1])
            values = array.flatten().nbytes if ids else pc.sum(pc.binary_length(array)).as_py()
            writer.write_table(pa.table([range(first, first + len(rows)), array], schema=schema))
            first, total = first + len(rows), total + values
    return first, total


def by_ray(source: Path, output: Path) -> float:
    import ray

    from motet.columns.ray import parse

    # Sockets are below this folder, whose path must be short.
    options = {"include_dashboard": False, "log_to_driver": False, "_temp_dir": str(source.parent / "ray")}
    ray.init(num_cpus=WORKERS, object_store_memory=2 << 30, **options)
    ray.data.DataContext.get_current().enable_progress_bars = False
    start = time.perf_counter()
    parse(ray.data.read_parquet(str(source)), "completion").write_parquet(str(output))
    seconds = time.perf_counter() - start
    ray.shutdown()
    return seconds


def by_spark(source: Path, output: Path) -> float:
    from pyspark.sql import SparkSession

    from motet.columns.spark import parse

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(f"local[{WORKERS}]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.local.dir", str(source.parent / "spark")).getOrCreate()
    start = time.perf_counter()
    parse(spark.read.parquet(str(source)), "completion").write.parquet(str(output))
    seconds = time.perf_counter() - start
    spark.stop()
    return seconds


def by_polars(source: Path, output: Path) -> float:
    import polars as pl

    import motet.columns.polars  # noqa: F401

    start = time.perf_counter()
    plan = pl.scan_parquet(source).with_columns(pl.col("completion").harmony.parse().alias("parsed"))
    plan.sink_parquet(output / "0.parquet", engine="streaming", mkdir=True, row_group_size=GROUP_ROWS)
    return time.perf_counter() - start


def by_duckdb(source: Path, output: Path) -> float:
    import duckdb

    from motet.columns.duckdb import register

    output.mkdir()
    connection = duckdb.connect(config={"threads": WORKERS})
    register(connection)
    start = time.perf_counter()
    query = "SELECT *, harmony_parse(completion) AS parsed FROM read_parquet($source)"
    target = f"'{output}/0.parquet' (ROW_GROUP_SIZE {GROUP_ROWS})"
    connection.execute(f"COPY ({query}) TO {target}", {"source": str(source)})
    return time.perf_counter() - start


ENGINES = {"Ray Data": by_ray, "Spark": by_spark, "polars": by_polars, "DuckDB": by_duckdb}
COMMAND = "motet parse"


@dataclass(slots=True)
class Usage:
    """What a process and its descendants use, read in a thread until `stop`."""

    process: int
    most_bytes: int = 0
    most_bytes_of_one: int = 0
    cpu_seconds: dict[int, float] = field(default_factory=dict)
    """Of each process, also of those that have ended."""
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.stop.wait(0.5):
            members = self._members()
            sizes = [_proportional_size(process) for process in members]
            self.most_bytes = max(self.most_bytes, sum(sizes))
            self.most_bytes_of_one = max(self.most_bytes_of_one, *sizes)

    def _members(self) -> list[int]:
        children: dict[int, list[int]] = {}
        times = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                # The name, in parentheses, may hold spaces.
                fields = status.read_text().rpartition(")")[2].split()
                process = int(status.parent.name)
                children.setdefault(int(fields[1]), []).append(process)
                times[process] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        members = [self.process]
        for member in members:
            members += children.get(member, [])
        self.cpu_seconds.update({process: times[process] for process in members if process in times})
        return members


def _proportional_size(process: int) -> int:
    """PSS: pages that processes share are divided among them, such as Ray's object store."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def run(name: str, source: Path, output: Path) -> tuple[float, float, Usage]:
    """Seconds of the whole process, seconds without the engine's start, and what was used."""
    if name == COMMAND:
        words = ["-m", "motet", "parse", str(source), "--column", "completion", "-o", str(output), "--json"]
    else:
        words = [__file__, "--engine", name, str(source), str(output)]
    start = time.perf_counter()
    # Files, as the output of an engine may fill a pipe.
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, *words], stdout=printed, stderr=log, text=True)
        usage = Usage(process.pid)
        watcher = threading.Thread(target=usage.watch)
        watcher.start()
        code = process.wait()
        seconds = time.perf_counter() - start
        usage.stop.set()
        watcher.join()
        for file in (printed, log):
            file.seek(0)
        if code:
            sys.exit(f"{name} ended with {code}:\n{log.read()[-4000:]}")
        return seconds, seconds if name == COMMAND else float(printed.read().split()[-1]), usage


class NumberedRows:
    """A Parquet file whose rows are in the order of their numbers, from 0."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path)
        groups = [self._file.metadata.row_group(index) for index in range(self._file.metadata.num_row_groups)]
        self._starts: list[int] = list(itertools.accumulate([group.num_rows for group in groups], initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def between(self, first: int, last: int) -> pa.Table:
        """The rows with these numbers, and no other row groups than those that have them."""
        start, end = bisect.bisect(self._starts, first) - 1, bisect.bisect(self._starts, last)
        table = self._file.read_row_groups(range(start, end))
        return table.slice(first - self._starts[start], last - first + 1)


def compare(expected: Path, output: Path) -> int:
    """The number of rows, which are all equal, by number; each is there once. Holds some thousand rows at a time."""
    reference, total = NumberedRows(expected), 0
    is_seen = np.zeros(len(reference), bool)
    for path in sorted(output.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS):
            numbers = batch["number"].to_numpy()
            rows = reference.between(numbers.min(), numbers.max())
            # Spark has texts with 32-bit offsets, and other names for the items of lists.
            result = pa.table(batch).select(rows.schema.names).cast(rows.schema)
            if not result.equals(rows.take(numbers - numbers.min())):
                sys.exit(f"{path} differs from {expected} in the rows {numbers.min()} to {numbers.max()}")
            is_seen[numbers] = True
            total += len(numbers)
    if not is_seen.all():
        sys.exit(f"{output} is without the row {is_seen.argmin()}")
    if total != len(is_seen):
        sys.exit(f"{output} has {total} rows, and not {len(is_seen)}: some are there twice")
    return total


def check_sample(source: Path, output: Path) -> int:
    """The number of rows that were compared with `motet.parse`."""
    inputs, outputs = NumberedRows(source), NumberedRows(output)
    if len(inputs) != len(outputs):
        sys.exit(f"{output} has {len(outputs)} rows, and not {len(inputs)}")
    numbers = range(0, len(inputs), SAMPLE_EVERY)
    for number in numbers:
        raw, row = inputs.between(number, number).to_pylist()[0], outputs.between(number, number).to_pylist()[0]
        if row != {**raw, "parsed": parsed_row(raw["completion"])}:
            sys.exit(f"row {number} differs from motet.parse")
    return len(numbers)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gigabytes", type=float, default=1.0)
    options.add_argument("--ids", action="store_true", help="token ids in the place of texts")
    options.add_argument("--only", nargs="*", default=[*ENGINES], help="engines")
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options.add_argument("--engine", nargs=3, metavar=("NAME", "SOURCE", "OUTPUT"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.engine:
        name, source, output = chosen.engine
        print(ENGINES[name](Path(source), Path(output)))
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="motet-") as name:
        folder = Path(name)
        source, expected, output = folder / "completions.parquet", folder / "parsed.parquet", folder / "output"
        rows, size = write(source, int(chosen.gigabytes * 1e9), ids=chosen.ids)
        print(f"{rows:,} rows, {size / 1e9:.2f} GB in memory, {source.stat().st_size / 1e9:.2f} GB in the file\n")
        print(
            "| by | seconds | without start | of all cores | GB/s | rows a second | memory, MB | of one process | equal rows |"
        )
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
        for engine in itertools.chain([COMMAND], chosen.only):
            target = expected if engine == COMMAND else output
            seconds, work, usage = run(engine, source, target)
            equal = check_sample(source, expected) if engine == COMMAND else compare(expected, output)
            print(
                f"| {engine} | {seconds:.1f} | {work:.1f} | {sum(usage.cpu_seconds.values()):.1f} "
                f"| {size / 1e9 / work:.3f} | {rows / work:,.0f} "
                f"| {usage.most_bytes / 1e6:,.0f} | {usage.most_bytes_of_one / 1e6:,.0f} | {equal:,} |",
                flush=True,
            )
            shutil.rmtree(output, ignore_errors=True)


if __name__ == "__main__":
    main()
