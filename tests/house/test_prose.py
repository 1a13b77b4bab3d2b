"""The prose of the repository: rules 3 and 4 of STYLE.md, as far as single words show a violation."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = {".md", ".py", ".pyi", ".rs", ".toml", ".yml"}
DATA = ("tests/corpus/", "tests/schemas/", "fuzz/corpus/", "benches/results/")
EXAMPLES = {"STYLE.md", "tests/house/test_prose.py"}
PERSONS = r"[Nn]obody|[Ss]omebody|[Aa]nybody|[Ee]verybody|[Ww]hoever|[Tt]hose who|[Tt]he one who|[Ss]omeone|[Aa]nyone"
RIDDLES = r"(?<!there )(is|are|was|were|be) none|is told|was told"
WORDS = re.compile(rf"\b({PERSONS}|{RIDDLES})\b(?!/)")
QUOTED = re.compile(r"`[^`]*`|\"[^\" ]*\"")
"""Names and values, which are not prose."""


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [path for path in listing.splitlines() if not path.startswith(DATA) and path not in EXAMPLES]
    return [ROOT / name for name in names if Path(name).suffix in SUFFIXES]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the files of a checkout are those that git tracks")
def test_prose_has_no_persons_and_no_riddles() -> None:
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if WORDS.search(QUOTED.sub("", line))
    ]
    assert lines == []
