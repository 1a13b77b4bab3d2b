"""Batches of requests: a table of prompts becomes files, jobs of a service, and a table of answers with their costs.

    batch = motet.batch.build("prompts.jsonl", "asked/", "together/gpt-oss/120b", max_tokens=2000)
    motet.batch.submit("asked/")                      # each file is uploaded once, each job created once
    motet.batch.watch("asked/")                       # until all jobs have ended
    results = motet.batch.collect("asked/")           # in the order of the prompts
    results.write("answers.parquet")                  # .summary: answered, errors, repairs, tokens, cost

The folder holds all of the state: a killed process is continued by the same call. `vllm run-batch` takes the files of
`build(..., service="vllm")`, and `collect(folder, results=...)` reads what it wrote.

The functions from `submit` on are shortcuts for the methods of `BatchClient`.
"""

from typing import TYPE_CHECKING

from motet._lazy import load

if TYPE_CHECKING:
    from motet._answer_table import Summary
    from motet.batch.builder import build
    from motet.batch.folder import Batch, Part
    from motet.batch.job_states import BatchJob
    from motet.batch.lines import BatchRequest, BatchResult, read_requests, read_results
    from motet.batch.results import Results
    from motet.batch.service import BatchClient, cancel, collect, retry, status, submit, watch

_MODULES = {
    "builder": "build",
    "folder": "Batch Part",
    "job_states": "BatchJob",
    "lines": "BatchRequest BatchResult read_requests read_results",
    "results": "Results Summary",
    "service": "BatchClient cancel collect retry status submit watch",
}
"""The module of each name; it is imported when a name of it is first used."""
_LATER = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    return load(globals(), name, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Batch",
    "BatchClient",
    "BatchJob",
    "BatchRequest",
    "BatchResult",
    "Part",
    "Results",
    "Summary",
    "build",
    "cancel",
    "collect",
    "read_requests",
    "read_results",
    "retry",
    "status",
    "submit",
    "watch",
]
