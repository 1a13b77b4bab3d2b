"""How a provider or a server treats harmony: fixed probes of its Chat Completions API.

`motet.verify.run("http://localhost:8000")` returns a `Report`; `motet verify URL` prints one.
"""

from __future__ import annotations

from motet.verify.probe import Probe, Result, Verdict
from motet.verify.report import Report
from motet.verify.runner import PROBES, run

__all__ = ["PROBES", "Probe", "Report", "Result", "Verdict", "run"]
