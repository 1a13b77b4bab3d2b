"""Models that no service of the catalogue is known to serve, and what is known of gpt-oss's relatives."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import motet
from motet import catalog
from motet.catalog import Source
from motet.metrics import Price


@pytest.fixture(autouse=True)
def fresh_catalogue() -> Iterator[None]:
    yield
    catalog.forget()


def test_open_weights_have_the_figures_of_their_server() -> None:
    slug, model = "openai/gpt-oss-safeguard/20b", "openai/gpt-oss-safeguard-20b"
    price, source = Price(Decimal("0.1"), Decimal("0.3")), Source("a list", "2026-11-21")
    catalog.record_service_data(model, price, 65536, source, "localhost:8000")
    for name in (slug, model):
        with motet.atom(name, base_url="http://localhost:8000") as atom:
            assert (atom.slug, atom.repo, atom.spec.cost.cash) == (slug, "openai", price)
            assert atom.spec.gain.size.context.tokens == 65536
        with motet.atom(name, base_url="http://localhost:8001") as atom:
            assert (atom.spec.cost.cash, atom.spec.gain.size.context.tokens) == (Price(), 131072)


def test_capabilities_are_known_for_gpt_oss_only() -> None:
    for spec in catalog.specs():
        slug, gain = spec.slug, spec.gain
        skills = (gain.skills.tools, gain.skills.reasoning, gain.skills.vision)
        expected: Any = (None, (None, None, None))
        if slug.startswith("together/gpt-oss/"):
            expected = ("2024-06", (True, True, False))
        elif "/gpt-oss" in slug:
            expected = (None, (True if "safeguard" in slug else None, True, None))
        assert (gain.cutoff, skills) == expected
