"""Examples to train on, and the commands of `motet data` within this process."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import pytest
from hypothesis import strategies as st

from motet.cli import main
from motet.tune import Example

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9).filter(
    lambda text: bool(text.strip())
)
examples = st.one_of(
    st.builds(
        lambda q, a, **more: Example.of(q, a, **more),
        texts,
        texts,
        thinking=st.none() | texts,
        system=st.none() | texts,
        rejected=st.none() | texts,
        quality=st.none() | st.floats(0, 1),
        tags=st.lists(texts, max_size=2),
        source=st.none() | texts,
        tools=st.sampled_from([[], [TOOL]]),
    ),
    st.builds(Example.plain, texts),
)


def command(folder: Path, *words: str, given: str = "", code: int = 0) -> str:
    """Runs a command in this process: what is tested is not how one starts."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        try:
            ended = main(["data", *words])
        except SystemExit as wrong:
            ended = int(wrong.code or 0)
    assert ended == code, err.getvalue()
    return out.getvalue() if code == 0 else out.getvalue() + err.getvalue()
