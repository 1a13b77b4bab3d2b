"""Fine-tuning: from examples to a trained model, downloaded and compared.

examples = motet.tune.Examples("examples.jsonl")
examples.add(motet.tune.Example.of("Is Paris warm?", "Yes.", thinking="24 degrees."))
built = motet.tune.build(examples, "train.jsonl", max_tokens=16_384)   # .train.rows, .train.tokens, .left_out
report = motet.tune.check("train.jsonl")                               # .ok, .findings, .tokens, .lengths

file = motet.tune.upload("train.jsonl")                                # sent once, and validated
price = motet.tune.estimate(file, "openai/gpt-oss-20b")
job = motet.tune.start(file, "openai/gpt-oss-20b", max_cost="5")
job = motet.tune.watch(job)                                            # until it has ended
motet.tune.download(job, "models/")

The functions from `upload` on are shortcuts for the methods of `TuneClient`.
"""

from typing import TYPE_CHECKING

from motet._lazy import load

if TYPE_CHECKING:
    from motet._retry import Clock
    from motet.tune.data_check import Report, check
    from motet.tune.dataset import Built, BuiltFile, build
    from motet.tune.evaluation import Comparison, ComparisonRow, Tally
    from motet.tune.evaluation import ComparisonRow as Row
    from motet.tune.example import Example
    from motet.tune.finding import Finding
    from motet.tune.job_states import Job, JobEvent, Point
    from motet.tune.job_states import JobEvent as Event
    from motet.tune.report import curve, svg
    from motet.tune.service import (
        TuneClient,
        cancel,
        compare,
        download,
        estimate,
        follow,
        job,
        jobs,
        limits,
        start,
        to_file,
        upload,
        watch,
    )
    from motet.tune.settings import Limits, PriceEstimate, TrainingSettings, check_settings
    from motet.tune.settings import TrainingSettings as Settings
    from motet.tune.sources import read_examples
    from motet.tune.store import Examples
    from motet.tune.template_check import check_template
    from motet.tune.transfers import Download, File

_MODULES = {
    "data_check": "Report check",
    "dataset": "Built BuiltFile build",
    "evaluation": "Comparison ComparisonRow Tally",
    "example": "Example",
    "finding": "Finding",
    "job_states": "Job JobEvent Point",
    "report": "curve svg",
    "service": "Clock TuneClient cancel compare download estimate follow job jobs limits start to_file upload watch",
    "settings": "Limits PriceEstimate TrainingSettings check_settings",
    "sources": "read_examples",
    "store": "Examples",
    "template_check": "check_template",
    "transfers": "Download File",
}
"""The module of each name; it is imported when a name of it is first used. No module has the name of a public function,
or importing it would replace the function."""
_ALIASES = {"Event": "job_states:JobEvent", "Row": "evaluation:ComparisonRow", "Settings": "settings:TrainingSettings"}
"""Earlier names of classes."""
_LATER = {name: module for module, names in _MODULES.items() for name in names.split()} | _ALIASES


def __getattr__(name: str) -> object:
    return load(globals(), name, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Built",
    "BuiltFile",
    "Clock",
    "Comparison",
    "ComparisonRow",
    "Download",
    "Event",
    "Example",
    "Examples",
    "File",
    "Finding",
    "Job",
    "JobEvent",
    "Limits",
    "Point",
    "PriceEstimate",
    "Report",
    "Row",
    "Settings",
    "Tally",
    "TrainingSettings",
    "TuneClient",
    "build",
    "cancel",
    "check",
    "check_settings",
    "check_template",
    "compare",
    "curve",
    "download",
    "estimate",
    "follow",
    "job",
    "jobs",
    "limits",
    "read_examples",
    "start",
    "svg",
    "to_file",
    "upload",
    "watch",
]
