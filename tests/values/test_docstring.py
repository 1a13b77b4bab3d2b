"""Descriptions of tools and parameters from docstrings in three styles."""

from __future__ import annotations

import pytest

from motet.schema.docstring import parse_docstring

GOOGLE = """Finds a place.

Args:
    city (str): its name,
        in full
    *rest: others

Returns:
    The place.
"""
NUMPY = """Finds a place.

Parameters
----------
city : str
    its name,
    in full
rest : list, optional
    others

Returns
-------
dict
    The place.
"""
SPHINX = """Finds a place.

:param str city: its name,
    in full
:param rest: others
:type rest: list
:returns: The place.
"""


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_all_styles_describe_function_and_parameters(text: str) -> None:
    assert parse_docstring(text) == ("Finds a place.", {"city": "its name, in full", "rest": "others"})


def test_text_after_a_section_is_kept() -> None:
    assert parse_docstring("A.\n\nArgs:\n    x: y\n\nMore.")[0] == "A.\n\nMore."
    assert parse_docstring("A.\n\n:param x: y\n\nMore.")[0] == "A.\n\nMore."
