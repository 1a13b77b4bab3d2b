"""The tree of exceptions."""

from __future__ import annotations

import inspect
import pickle

import pytest

from motet import errors

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.MotetError)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_errors_are_public_and_pickle_with_attributes(cls: type[errors.MotetError]) -> None:
    assert cls.__name__ in errors.__all__
    assert cls.__name__ in (errors.__doc__ or "")
    error = cls("what happened", position=3)
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied), copied.position) == (cls, "what happened", 3)
