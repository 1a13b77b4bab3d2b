"""Fine-tuning: from examples to a model that is trained, fetched and tested.

found = motet.tune.upload("train.jsonl")          # sent once, and validated
price = motet.tune.estimate(found, "openai/gpt-oss-20b")
job = motet.tune.start(found, "openai/gpt-oss-20b", max_cost="5")
job = motet.tune.watch(job)                       # until it has ended
motet.tune.download(job, "models/")
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from motet.tune.clock import Clock
    from motet.tune.comparing import Comparison, Row, Tally, compare
    from motet.tune.curves import curve, svg
    from motet.tune.downloads import Download, download
    from motet.tune.settings import Limits, Settings, check_settings
    from motet.tune.states import Event, Job, Point
    from motet.tune.training import PriceEstimate, estimate, limits, start
    from motet.tune.uploads import File, to_file, upload
    from motet.tune.watching import cancel, follow, job, jobs, watch

__all__ = [
    "Clock",
    "Comparison",
    "Download",
    "Event",
    "File",
    "Job",
    "Limits",
    "Point",
    "PriceEstimate",
    "Row",
    "Settings",
    "Tally",
    "cancel",
    "check_settings",
    "compare",
    "curve",
    "download",
    "estimate",
    "follow",
    "job",
    "jobs",
    "limits",
    "start",
    "svg",
    "to_file",
    "upload",
    "watch",
]

# By name, where it lives; imported when it is first named, as in `motet` itself.
_LATER = {
    "Clock": "clock",
    "Comparison": "comparing",
    "Download": "downloads",
    "Event": "states",
    "File": "uploads",
    "Job": "states",
    "Limits": "settings",
    "Point": "states",
    "PriceEstimate": "training",
    "Row": "comparing",
    "Settings": "settings",
    "Tally": "comparing",
    "cancel": "watching",
    "check_settings": "settings",
    "compare": "comparing",
    "curve": "curves",
    "download": "downloads",
    "estimate": "training",
    "follow": "watching",
    "job": "watching",
    "jobs": "watching",
    "limits": "training",
    "start": "training",
    "svg": "curves",
    "to_file": "uploads",
    "upload": "uploads",
    "watch": "watching",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'motet.tune' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"motet.tune.{_LATER[name]}"), name)
    globals()[name] = value
    return value
