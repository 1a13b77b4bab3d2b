"""oss-harmony, which has the import name of openai-harmony, imported under another name beside it."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

__all__ = ["load"]

# `make test` installs it there, without making it importable.
FOLDER = Path(os.environ.get("OSS_HARMONY_FOLDER", Path(__file__).parents[2] / ".venv" / "oss-harmony"))


def load() -> Any:
    """The package. Skips the test where it is not installed."""
    name = "oss_harmony_peer"
    if name not in sys.modules:
        package = FOLDER / "openai_harmony"
        if not package.exists():
            pytest.skip("oss-harmony is not installed: `make test` does it")
        spec = importlib.util.spec_from_file_location(
            name, package / "__init__.py", submodule_search_locations=[str(package)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
