"""Tables of completions as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["write_table"]


def write_table(path: Path, rows: list[Any], *, group: int = 40) -> None:
    """The rows in the column `completion`, beside their numbers, in the format of the suffix. `group`: of Parquet."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"number": range(len(rows)), "completion": rows}), path, row_group_size=group)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["number", "completion"], *enumerate(rows)])
    else:
        lines = [json.dumps({"number": number, "completion": row}) for number, row in enumerate(rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
