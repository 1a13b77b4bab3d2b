"""Examples to train on, and the commands of `motet data` within this process."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from motet.tune import Example
from tests.support.command_line import run

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


def data_command(folder: Path, *words: str, stdin: str | bytes = "", code: int = 0) -> str:
    """The standard output of `motet data` in a folder; for a failure, its standard error."""
    result = run("data", *words, stdin=stdin, folder=folder)
    assert result.code == code, result.err
    return result.out + (result.err if code else "")
