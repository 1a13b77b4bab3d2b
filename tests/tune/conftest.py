"""A training file for the tests of fine-tunes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tune_service import written


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return written(tmp_path / "train.jsonl")
