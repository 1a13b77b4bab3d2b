"""Discounts of requests in batches, from the catalogue."""

from __future__ import annotations

from decimal import Decimal

import motet
from motet import catalog


def test_batch_discounts_are_of_together_alone() -> None:
    assert catalog.find("together/gpt-oss/120b").cost.batch_discount == 0
    assert catalog.find("together/llama3.3/70b").cost.batch_discount == Decimal("0.5")
    assert catalog.find("together/kimi/k3").cost.batch_discount is None
    elsewhere = catalog.on_another_server(catalog.find("together/gpt-oss/120b"), "openai/gpt-oss-120b", "localhost")
    assert elsewhere.cost.batch_discount is None
    assert motet.Price("1.04", "0.15").discounted(Decimal("0.5")) == motet.Price("0.52", "0.075")
