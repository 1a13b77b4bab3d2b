"""Models of a server that is not Together's: its list and its prices."""

from __future__ import annotations

from decimal import Decimal

import pytest

import motet
from motet import catalog
from motet.metrics import Price
from motet.testing import Fault, ScriptedServer
from motet.together import Backend
from tests.support.server_scripts import KEY, PLAIN, SLUG

LISTED = [
    {"id": "openai/gpt-oss-120b", "pricing": {"input": 0.2, "output": 0.7}, "context_length": 131000},
    {"id": "openai/gpt-oss-20b"},
    {"id": "new/model", "pricing": {"input": 0.05, "output": 0.1}},
]


@pytest.mark.usefixtures("own_server_has_no_prices")
def test_list_of_another_server_is_its_own() -> None:
    with (
        ScriptedServer(lambda _: PLAIN, models=LISTED) as server,
        Backend(base_url=server.url, api_key=KEY, max_retries=0) as backend,
    ):
        try:
            listed = motet.models(backend=backend)
            assert [spec.slug for spec in listed] == [entry["id"] for entry in LISTED]
            by_slug = {spec.slug: spec for spec in listed}
            # Its prices apply to its atoms, and not to Together's.
            price = Price(Decimal("0.2"), Decimal("0.7"))
            assert by_slug["openai/gpt-oss-120b"].cost.cash == price
            for slug in (SLUG, "openai/gpt-oss-120b"):
                assert motet.atom(slug, backend=backend).spec.cost.cash == price
                assert motet.atom(slug).spec.cost.cash == Price(Decimal("0.15"), Decimal("0.6"))
                assert motet.atom(slug, base_url="http://localhost:1").spec.cost.cash == Price()
            assert all(spec.removal_notice() is None for spec in listed)
            atoms = {atom.slug: atom for atom in motet.get_brain_atoms(backend=backend)}
            assert atoms[SLUG].spec.cost.cash == price
            assert atoms["together/gpt-oss/20b"].spec.cost.cash == Price()
        finally:
            catalog.forget()
        server.model_faults = [Fault("status", status=500)]
        failed = motet.models(base_url=server.url, api_key=KEY, max_retries=0)
        assert (failed.specs, failed.source, type(failed.error)) == ((), "catalogue", motet.ServerError)
