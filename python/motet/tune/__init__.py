"""Fine-tuning: from examples to a model that is trained, fetched and tested.

examples = motet.tune.Examples("examples.jsonl")
examples.add(motet.tune.Example.of("Is Paris warm?", "Yes.", thinking="24 degrees."))
built = motet.tune.build(examples, "train.jsonl", max_tokens=16_384)   # .train.rows, .train.tokens, .left_out
report = motet.tune.check("train.jsonl")                               # .ok, .findings, .tokens, .lengths

found = motet.tune.upload("train.jsonl")                               # sent once, and validated
price = motet.tune.estimate(found, "openai/gpt-oss-20b")
job = motet.tune.start(found, "openai/gpt-oss-20b", max_cost="5")
job = motet.tune.watch(job)                                            # until it has ended
motet.tune.download(job, "models/")
"""

from typing import TYPE_CHECKING

from motet._lazy import load

if TYPE_CHECKING:
    from motet.tune.clock import Clock
    from motet.tune.comparing import Comparison, Row, Tally, compare
    from motet.tune.curves import curve, svg
    from motet.tune.data_check import Report, check
    from motet.tune.dataset import Built, BuiltFile, build
    from motet.tune.downloads import Download, download
    from motet.tune.example import Example
    from motet.tune.finding import Finding
    from motet.tune.settings import Limits, Settings, check_settings
    from motet.tune.sources import read_examples
    from motet.tune.states import Event, Job, Point
    from motet.tune.store import Examples
    from motet.tune.training import PriceEstimate, estimate, limits, start
    from motet.tune.uploads import File, to_file, upload
    from motet.tune.watching import cancel, follow, job, jobs, watch

# Each part is imported when it is first named. No module is called as one of these, or it would take its place.
_LATER = {
    "Built": "dataset",
    "BuiltFile": "dataset",
    "Clock": "clock",
    "Comparison": "comparing",
    "Download": "downloads",
    "Event": "states",
    "Example": "example",
    "Examples": "store",
    "File": "uploads",
    "Finding": "finding",
    "Job": "states",
    "Limits": "settings",
    "Point": "states",
    "PriceEstimate": "training",
    "Report": "data_check",
    "Row": "comparing",
    "Settings": "settings",
    "Tally": "comparing",
    "build": "dataset",
    "cancel": "watching",
    "check": "data_check",
    "check_settings": "settings",
    "compare": "comparing",
    "curve": "curves",
    "download": "downloads",
    "estimate": "training",
    "follow": "watching",
    "job": "watching",
    "jobs": "watching",
    "limits": "training",
    "read_examples": "sources",
    "start": "training",
    "svg": "curves",
    "to_file": "uploads",
    "upload": "uploads",
    "watch": "watching",
}


def __getattr__(name: str) -> object:
    return load(globals(), name, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Built",
    "BuiltFile",
    "Clock",
    "Comparison",
    "Download",
    "Event",
    "Example",
    "Examples",
    "File",
    "Finding",
    "Job",
    "Limits",
    "Point",
    "PriceEstimate",
    "Report",
    "Row",
    "Settings",
    "Tally",
    "build",
    "cancel",
    "check",
    "check_settings",
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
