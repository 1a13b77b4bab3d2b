"""Commands over the rows of a file: options, progress and the report. The work is that of `motet.columns`."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from motet.cli.failure import FAILURE, OK, UsageError
from motet.cli.progress import ProgressLine
from motet.cli.table import aligned
from motet.cli.terminal import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from motet.columns._job import RowCounts, Transform

__all__ = ["add_table", "need_pyarrow", "run_table"]


def add_table(parser: argparse.ArgumentParser) -> None:
    """The file that a command over rows reads and writes."""
    group = parser.add_argument_group(
        "tables", "rows of a .parquet, .jsonl or .csv file; needs pyarrow (motet[tables])"
    )
    group.add_argument("-o", "--output", metavar="FILE.parquet", type=Path, help="the table with the results")
    group.add_argument(
        "--keep",
        metavar="COLUMNS",
        type=lambda text: [name.strip() for name in text.split(",") if name.strip()],
        help="columns to keep beside those that are read, separated by commas (all; of JSONL the number of the line)",
    )
    group.add_argument("--force", action="store_true", help="replace an output that another command has written")


def run_table(
    options: argparse.Namespace,
    *,
    name: str,
    columns: Sequence[str],
    transform: Transform,
    settings: Mapping[str, Any],
    ids: bool = False,
) -> int:
    """Applies a transform to all rows, writes the output if there is one, and prints what was in the rows."""
    from motet.columns._job import Job, RowCounts
    from motet.columns._source import open_source

    path = Path(options.file)
    source = open_source(path, columns, keep=options.keep, ids=ids)
    size = path.stat().st_size
    with ProgressLine(f"{name} {path.name}") as progress:
        if options.output is None:
            summary = RowCounts()
            for unit in source.units(0):
                for batch in unit.batches:
                    summary.add(transform(batch)[1])
                summary.unreadable += unit.unreadable
                progress.show(unit.end, size)
        else:
            if options.output.suffix != ".parquet":
                raise UsageError(f"the output must end in .parquet: {str(options.output)!r}")
            if options.output.exists() and options.output.samefile(path):
                raise UsageError(f"the output is the input: {str(path)!r}")
            job = Job(source, options.output, transform, name, settings)
            summary = job.run(lambda done: progress.show(done, size), overwrite=options.force)
    print(json_text(summary.to_dict(), indent=2) if options.json else _report(summary))
    return FAILURE if summary.unreadable else OK


def need_pyarrow() -> None:
    """Raises `UsageError` without pyarrow."""
    if find_spec("pyarrow") is None:
        raise UsageError("tables need pyarrow: pip install 'motet[tables]'")


def _report(summary: RowCounts) -> str:
    counts = {
        "rows": summary.rows,
        "null": summary.nulls,
        "unreadable": summary.unreadable,
        "errors": summary.errors,
        **{f"tokens {name}": count for name, count in summary.tokens.items()},
        **{f"repair {code}": count for code, count in sorted(summary.repairs.items(), key=lambda item: -item[1])},
        "without a price": summary.unpriced,
    }
    rows = [[f"{count:,}", name] for name, count in counts.items() if count or name == "rows"]
    rows += [[f"{amount:f}", f"US dollars {part}"] for part, amount in summary.cost.items()]
    return "\n".join(["  ".join(row).rstrip() for row in aligned(rows, "><")])
