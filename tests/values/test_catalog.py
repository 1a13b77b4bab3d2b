"""What is known of each atom, where it comes from, and what a service says of it."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import motet
from motet import catalog
from motet.atoms import factory as atoms
from motet.catalog import Source
from motet.metrics import Price
from motet.testing import Fault, ScriptedServer
from motet.together import Backend
from tests.support.server_scripts import KEY, PLAIN, SLUG, asking

# Model, context, dollars for a million tokens (input, cached, output), SWE-bench Verified, and the day of its removal.
KNOWN: dict[str, tuple[str | None, int | None, str | None, str | None, str | None, str | None, str | None]] = {
    "together/gpt-oss/120b": ("openai/gpt-oss-120b", 131072, "0.15", None, "0.6", "62.4", None),
    "together/gpt-oss/20b": ("openai/gpt-oss-20b", 131072, "0.05", None, "0.2", "60.7", "2026-09-15"),
    "together/qwen3/coder-next": ("Qwen/Qwen3-Coder-Next-FP8", 262144, "0.5", None, "1.2", "70.6", "2026-05-14"),
    "together/qwen3/coder-480b": (
        "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
        262144,
        "2",
        None,
        "2",
        "69.6",
        "2026-06-04",
    ),
    "together/qwen3/235b": ("Qwen/Qwen3-235B-A22B-Instruct-2507-tput", 262144, "0.2", None, "0.6", None, "2026-07-10"),
    "together/deepseek/v3.2": (None, None, "0.28", None, "0.42", "73", None),
    "together/deepseek/v3.1": ("deepseek-ai/DeepSeek-V3.1", 131072, "0.6", None, "1.7", None, "2026-05-14"),
    "together/deepseek/r1": ("deepseek-ai/DeepSeek-R1", 163839, "3", None, "7", None, None),
    "together/kimi/k2": ("moonshotai/Kimi-K2-Instruct", 128000, "1", None, "3", None, None),
    "together/kimi/k2-cot": ("moonshotai/Kimi-K2-Thinking", 256000, "1.2", None, "4", "71.3", None),
    "together/kimi/k2.5": ("moonshotai/Kimi-K2.5", 262144, "0.5", None, "2.8", "76.8", None),
    "together/llama4/maverick": (
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
        1048576,
        "0.27",
        None,
        "0.85",
        None,
        None,
    ),
    "together/llama3.3/70b": (
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        131072,
        "1.04",
        None,
        "1.04",
        None,
        "2026-10-22",
    ),
    "together/glm/4.6": ("zai-org/GLM-4.6", 202752, "0.6", None, "2.2", None, None),
    "together/glm/4.7": ("zai-org/GLM-4.7", 202752, "0.45", None, "2", None, "2026-04-02"),
    "together/glm/5.3": ("zai-org/GLM-5.3", 1048575, "1.4", "0.26", "4.4", None, None),
    "together/glm/5.3-flash": ("zai-org/GLM-5.3-Flash", 1048575, "0.15", "0.03", "0.5", None, None),
    "together/kimi/k3": ("moonshotai/Kimi-K3", 1048576, "3", "0.3", "15", None, None),
    "together/deepseek/v4-pro": ("deepseek-ai/DeepSeek-V4-Pro-0813", 1048576, "1.32", "0.13", "3.96", None, None),
    "together/deepseek/v4.1-flash": ("deepseek-ai/DeepSeek-V4.1-Flash", 1048576, "0.3", "0.006", "1.2", None, None),
    "together/qwen3.8/flash": ("Qwen/Qwen3.8-Flash", 1000000, "0.15", None, "0.47", None, None),
    "together/qwen3.7/max": ("Qwen/Qwen3.7-Max", 1000000, "1.5", "0.3", "4.5", None, None),
    "openai/gpt-oss-safeguard/20b": ("openai/gpt-oss-safeguard-20b", 131072, None, None, None, None, None),
    "openai/gpt-oss-safeguard/120b": ("openai/gpt-oss-safeguard-120b", None, None, None, None, None, None),
    "nvidia/gpt-oss-puzzle/88b": ("nvidia/gpt-oss-puzzle-88B", 131072, None, None, None, None, None),
    "tokyotech/gpt-oss-swallow/20b": ("tokyotech-llm/GPT-OSS-Swallow-20B-RL-v0.1", None, None, None, None, None, None),
    "tokyotech/gpt-oss-swallow/120b": (
        "tokyotech-llm/GPT-OSS-Swallow-120B-RL-v0.1",
        None,
        None,
        None,
        None,
        None,
        None,
    ),
}
# What is not served although no day of its removal was published.
GONE = {
    "together/deepseek/v3.2",
    "together/deepseek/r1",
    "together/kimi/k2",
    "together/kimi/k2-cot",
    "together/llama4/maverick",
    "together/glm/4.6",
}
# The slugs of the systems that this one replaces.
SEEDS = "qwen3/coder-next qwen3/coder-480b qwen3/235b deepseek/v3.2 kimi/k2 kimi/k2-cot llama4/maverick llama3.3/70b glm/4.7"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MOTET_CATALOG", raising=False)
    yield
    catalog.forget()
    for backend in atoms._backends.values():
        backend.close()
    atoms._backends.clear()


def money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


# The package's own.


@pytest.mark.parametrize("slug", KNOWN)
def test_each_atom_has_its_figures(slug: str) -> None:
    model, context, cash_input, cached, cash_output, swe, removed = KNOWN[slug]
    spec = catalog.find(slug)
    assert (spec.slug, spec.model, spec.gain.size.context.tokens) == (slug, model, context)
    assert spec.cost.cash == Price(money(cash_input), money(cash_output), money(cached))
    assert (spec.gain.grades.swe, spec.removed) == (money(swe), removed)
    assert spec.description
    assert spec.family == slug.split("/")[1]
    assert spec.harmony is ("/gpt-oss" in slug)


def test_catalogue_holds_exactly_the_seeds() -> None:
    assert [spec.slug for spec in catalog.specs()] == list(KNOWN)
    assert {f"together/{name}" for name in SEEDS.split()} < set(KNOWN)
    assert [atom.slug for atom in motet.get_brain_atoms()] == list(KNOWN)


def figures(value: Any, path: str = "") -> Iterator[str]:
    for field in fields(value):
        inner, name = getattr(value, field.name), f"{path}.{field.name}" if path else field.name
        if is_dataclass(inner):
            yield from figures(inner, name)
        elif inner is not None:
            yield name


@pytest.mark.parametrize("slug", KNOWN)
def test_each_figure_has_a_source_and_a_date(slug: str) -> None:
    spec = catalog.find(slug)
    names = {*figures(spec.cost, "cost"), *figures(spec.gain, "gain")}
    assert set(spec.sources) == names
    for source in spec.sources.values():
        assert len(source.text) > 8
        year, *rest = map(int, source.as_of.split("-"))
        assert (year, rest) == (year, rest[:2])
        assert 2025 <= year <= 2026


@pytest.mark.parametrize("slug", KNOWN)
def test_removed_models_name_a_served_successor(slug: str) -> None:
    spec = catalog.find(slug)
    if spec.removed is None and slug not in GONE:
        assert (spec.removal_notice(), spec.successor) == (None, None)
        return
    assert spec.successor is not None
    assert catalog.find(spec.successor).removal_notice() is None
    assert (spec.removal_notice() or "").endswith(f"; ask {spec.successor} instead")
    assert (spec.gone is not None) is (slug in GONE)


def test_removal_notice_tells_past_from_future() -> None:
    spec = catalog.find(SLUG)
    tomorrow = (datetime.date.today() + datetime.timedelta(1)).isoformat()
    today = datetime.date.today().isoformat()
    assert replace(spec, removed=tomorrow).removal_notice() == f"{SLUG} will be removed from the service on {tomorrow}"
    assert replace(spec, removed=today).removal_notice() == f"{SLUG} was removed from the service on {today}"


def test_atoms_are_found_by_slug_and_by_model() -> None:
    for slug, (model, *_) in KNOWN.items():
        assert catalog.find(slug).slug == slug
        if model is not None:
            spec = catalog.find_by_model(model)
            assert catalog.find(model).slug == slug
            assert spec is not None
            assert spec.slug == slug
    assert catalog.find_by_model("nobody/nothing") is None
    with pytest.raises(motet.UnknownAtomError, match="did you mean") as caught:
        catalog.find("together/qwen3/coder")
    assert (caught.value.slug, caught.value.matches[0]) == ("together/qwen3/coder", "together/qwen3/coder-next")
    with pytest.raises(motet.UnknownAtomError, match=f"slugs are {SLUG}, ") as caught:
        catalog.find("?")
    assert caught.value.matches == ()


def test_unserved_atom_names_its_successor() -> None:
    with asking(PLAIN, slug="together/deepseek/v3.2") as (atom, server):
        with pytest.raises(motet.ConfigError, match=r"known to have .*; ask together/deepseek/v4.1-flash instead"):
            atom.ask("Hi")
        assert server.requests == []


# The caller's own.


def test_registered_atom_uses_its_own_model_and_price() -> None:
    spec = motet.register_atom(
        "mine/small",
        model="me/small",
        description="Mine.",
        price={"input": "1", "output": Decimal(2), "cached": 0},
        context=4096,
        as_of="2026-11-20",
    )
    assert catalog.find("mine/small") == catalog.find("me/small") == spec
    assert spec.sources["cost.cash.cached"] == Source("registered by the caller", "2026-11-20")
    assert (spec.harmony, spec.gain.size.context.tokens, spec.family) == (False, 4096, "mine/small")
    with asking(PLAIN, slug="mine/small") as (atom, server):
        answer = atom.ask("Hi")
        assert server.requests[0].body["model"] == "me/small"
    tokens, cash = answer.metrics.size.tokens, answer.metrics.cost.cash
    assert (cash.input, cash.output) == (Decimal(tokens.input) / 10**6, Decimal(2) * tokens.output / 10**6)  # type: ignore[arg-type,operator]


def test_registering_a_slug_again_replaces_the_atom() -> None:
    motet.register_atom(SLUG, model="openai/gpt-oss-120b", price={"input": 1, "output": 2})
    assert motet.atom(SLUG).spec.cost.cash == Price(Decimal(1), Decimal(2))
    assert motet.atom(SLUG).spec.harmony
    assert len(motet.get_brain_atoms()) == len(KNOWN)
    catalog.forget()
    assert catalog.find(SLUG).cost.cash.input == Decimal("0.15")


BAD_PRICES: list[tuple[Any, type[Exception], str]] = [
    ({"input": 0.15}, TypeError, "input must be a Decimal, .* not float"),
    ({"output": "-1"}, ValueError, "output must be an amount from 0 on"),
    ({"input": "a lot"}, ValueError, "input must be an amount"),
    ({"inputs": "1"}, ValueError, "a price has input, output and cached, not inputs"),
    ("0.15", TypeError, "a price must be a Price or a dict, not str"),
    (0.15, TypeError, "a price must be a Price or a dict, not float"),
]


@pytest.mark.parametrize(("price", "error", "words"), BAD_PRICES, ids=repr)
def test_invalid_price_is_refused_when_given(price: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        motet.register_atom("mine/small", model="me/small", price=price)
    with pytest.raises(error, match=words):
        motet.atom(SLUG, price=price)


@pytest.mark.parametrize("context", [0, -1, True, "many", 1.5])
def test_invalid_context_is_refused_when_given(context: Any) -> None:
    with pytest.raises(ValueError, match="context must be a whole number of tokens"):
        motet.register_atom("mine/small", model="me/small", context=context)
    with pytest.raises(ValueError, match="context must be a whole number of tokens"):
        motet.atom(SLUG, context=context)


def test_given_figures_have_the_caller_as_source() -> None:
    spec = motet.atom(SLUG, price={"input": "1"}, context=9).spec
    today = datetime.date.today().isoformat()
    assert spec.cost.cash == Price(Decimal(1))
    assert spec.gain.size.context.tokens == 9
    for path in ("cost.cash.input", "gain.size.context.tokens"):
        assert spec.sources[path] == Source("given by the caller", today)


@pytest.mark.parametrize(
    ("value", "money"),
    [("0.05", "0.05"), (3, "3"), (0, "0"), (Decimal("1.50"), "1.50"), ("1e-3", "0.001")],
)
def test_prices_keep_their_written_digits(value: Any, money: str) -> None:
    assert catalog.to_money(value, "max_cost") == Decimal(money)


@pytest.mark.parametrize(
    ("value", "error"),
    [(0.05, TypeError), (True, TypeError), (None, TypeError), ([], TypeError), (b"1", TypeError)]
    + [(word, ValueError) for word in ("", "much", "-0.01", "nan", "inf", "-inf", "1,5", "$1", -1)],
)
def test_invalid_money_is_refused_by_name(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^max_cost must be"):
        catalog.to_money(value, "max_cost")


# A file of the user's.


def override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    monkeypatch.setenv("MOTET_CATALOG", str(path))
    return path


def test_user_file_overrides_single_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = override(
        tmp_path,
        monkeypatch,
        """
        [sources]
        deal = { text = "our contract", as_of = 2026-11-01 }
        litellm-2026-11 = { text = "another one of this name", as_of = "2020" }
        [[atom]]
        slug = "together/gpt-oss/120b"
        price = { input = "0.1", source = "deal" }
        [[atom]]
        slug = "together/glm/5.3"
        removed = 2027-01-02
        successor = "mine/new"
        [[atom]]
        slug = "together/glm/4.7"
        removed = ""
        successor = ""
        [[atom]]
        slug = "mine/new"
        model = "me/new"
        price = { input = 1, output = "2.5" }
        context = { tokens = 10 }
        vocabulary = "o200k_harmony"
        """,
    )
    ours = motet.atom(SLUG).spec
    assert ours.cost.cash == Price(Decimal("0.1"), Decimal("0.6"))
    assert ours.sources["cost.cash.input"] == Source("our contract", "2026-11-01")
    # What the file does not speak of stays, with its own source.
    assert (ours.model, ours.harmony, ours.gain.size.context.tokens) == ("openai/gpt-oss-120b", True, 131072)
    assert ours.sources["cost.cash.output"].text.startswith("litellm 1.109.1")
    assert catalog.find("together/glm/5.3").removed == "2027-01-02"
    assert "will be removed from the service on 2027-01-02; ask mine/new" in (
        catalog.find("together/glm/5.3").removal_notice() or ""
    )
    assert catalog.find("together/glm/4.7").removal_notice() is None
    new = catalog.find("me/new")
    assert (new.slug, new.harmony, new.cost.cash) == ("mine/new", True, Price(Decimal(1), Decimal("2.5")))
    today = datetime.date.today().isoformat()
    assert set(new.sources.values()) == {Source(str(path), today)}
    assert [spec.slug for spec in catalog.specs()] == [*KNOWN, "mine/new"]


ATOM = '[[atom]]\nslug = "mine/new"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[atom", "at the end of an array declaration"),
        ("atom = 5", "object"),
        ("prices = 3", "it has prices"),
        ("[[atom]]\nmodel = 'x'", "atom 1: it has no slug"),
        (ATOM + "model = 5", "model must be a text"),
        (ATOM + "modle = 'x'", "unknown key 'modle'; keys are slug, model"),
        (ATOM + 'price = "1"', "atom 1"),
        (ATOM + "price = { input = 0.15 }", r"price: input must be a Decimal, .* not float"),
        (ATOM + 'price = { output = "-1" }', "price: output must be an amount from 0 on"),
        (ATOM + 'price = { ouput = "1" }', "price has a 'ouput', and may have input, output, cached and source"),
        (ATOM + 'price = { input = "1", source = "x" }', r"price has a source 'x', which is not in \[sources\]"),
        (ATOM + 'context = { tokens = "many" }', "context: tokens context must be a whole number"),
        (ATOM + "grades = { swe = 62.4 }", "grades: swe must be"),
        (ATOM + 'skills = { tools = "yes" }', "skills: tools must be true or false"),
        (ATOM + 'removed = "soon"', "removed Invalid isoformat"),
        ('[sources]\nx = { text = "no date" }', "as_of"),
        ("[sources]\nx = 5", "subscriptable"),
    ],
)
def test_broken_user_file_is_named_with_its_fault(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = override(tmp_path, monkeypatch, text)
    with pytest.raises(motet.ConfigError, match=words) as caught:
        motet.atom(SLUG)
    assert str(caught.value).startswith(f"MOTET_CATALOG names {path}, which cannot be read: ")


def test_missing_user_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTET_CATALOG", str(tmp_path / "none.toml"))
    with pytest.raises(motet.ConfigError, match=r"MOTET_CATALOG names .*none\.toml, which cannot be read"):
        catalog.specs()
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    monkeypatch.setenv("MOTET_CATALOG", str(tmp_path / "bytes.toml"))
    with pytest.raises(motet.ConfigError, match=r"bytes\.toml"):
        catalog.specs()


# What a service says.


@pytest.fixture
def service() -> Iterator[tuple[ScriptedServer, Backend]]:
    listed = [
        {"id": "openai/gpt-oss-120b", "context_length": 131000, "pricing": {"input": 0.2, "output": 0.7}},
        {"id": "openai/gpt-oss-20b", "pricing": {"input": 0, "output": 0, "hourly": 3.2}},
        {"id": "zai-org/GLM-5.3", "pricing": {"input": 1.5, "output": 4.5, "cached_input": 0.3}},
        {"id": "new/model", "context_length": 1000, "pricing": {"input": 0.05, "output": 0.1}},
        {"id": "free/model-Free", "pricing": {"input": 0, "output": 0}},
    ]
    with (
        ScriptedServer(lambda _: PLAIN, models=listed) as server,
        Backend(base_url=server.url, api_key=KEY, max_retries=0) as backend,
    ):
        yield server, backend


def test_service_prices_override_the_catalogue(service: tuple[ScriptedServer, Backend]) -> None:
    server, backend = service
    result = motet.models(backend=backend)
    assert (result.source, result.error, len(server.requests)) == ("service", None, 1)
    assert result.fetched_at is not None
    specs = {spec.slug: spec for spec in result}
    ours = specs[SLUG]
    assert ours.cost.cash == Price(Decimal("0.2"), Decimal("0.7"))
    assert ours.gain.size.context.tokens == 131000
    assert ours.sources["cost.cash.input"] == Source("the service's list of models", str(result.fetched_at.date()))
    assert specs["together/glm/5.3"].cost.cash == Price(Decimal("1.5"), Decimal("4.5"), Decimal("0.3"))
    # A listed price of zero means unknown: the model is sold by the hour only, and the catalogue's figures stay.
    small = specs["together/gpt-oss/20b"]
    assert small.cost.cash.input == Decimal("0.05")
    assert "removed" in (small.removal_notice() or "")
    assert small.sources["cost.cash.input"].as_of == "2026-11"
    # What only the service knows comes last.
    assert list(specs)[-2:] == ["new/model", "free/model-Free"]
    assert specs["new/model"].cost.cash == Price(Decimal("0.05"), Decimal("0.1"))
    assert specs["free/model-Free"].cost.cash == Price(Decimal(0), Decimal(0))
    assert len(result) == len(KNOWN) + 2


def test_service_data_is_used_in_answers(service: tuple[ScriptedServer, Backend]) -> None:
    _, backend = service
    before = motet.atom(SLUG, backend=backend).spec.cost.cash.output
    motet.models(backend=backend)
    answer = motet.atom(SLUG, backend=backend, price=None).ask("Hi", lane="chat")
    assert before == Decimal("0.6")
    assert answer.metrics.cost.cash.output == Decimal("0.7") * answer.metrics.size.tokens.output / 10**6  # type: ignore[operator]
    assert motet.atom("new/model").spec.cost.cash.input == Decimal("0.05")
    spec = catalog.find_by_model("new/model")
    assert spec is not None
    assert spec.cost.cash.output == Decimal("0.1")
    # What the caller says counts more.
    motet.register_atom("mine/oss", model="openai/gpt-oss-120b", price={"input": 9, "output": 9})
    assert motet.atom("mine/oss").spec.cost.cash.input == Decimal(9)
    assert motet.atom(SLUG, price={"input": 8}).spec.cost.cash == Price(Decimal(8))


def test_user_file_overrides_the_service(
    service: tuple[ScriptedServer, Backend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    override(
        tmp_path,
        monkeypatch,
        '[[atom]]\nslug = "together/gpt-oss/120b"\nprice = { input = "0.01" }\nremoved = "2026-01-01"',
    )
    motet.models(backend=service[1])
    spec = catalog.find(SLUG)
    assert spec.cost.cash == Price(Decimal("0.01"), Decimal("0.7"))
    assert spec.removed == "2026-01-01"


def test_model_list_is_cached_until_refreshed(service: tuple[ScriptedServer, Backend]) -> None:
    server, backend = service
    assert [motet.models(backend=backend).source for _ in range(3)] == ["service", "cache", "cache"]
    assert len(server.requests) == 1
    server.models = [{"id": "openai/gpt-oss-120b", "pricing": {"input": 0.3, "output": 0.9}}]
    assert catalog.find(SLUG).cost.cash.input == Decimal("0.2")
    specs = motet.models(backend=backend, refresh=True)
    assert (specs.source, len(server.requests)) == ("service", 2)
    assert catalog.find(SLUG).cost.cash.input == Decimal("0.3")


def test_model_list_expires(service: tuple[ScriptedServer, Backend]) -> None:
    server, _ = service
    with Backend(base_url=server.url, api_key=KEY, cache_ttl=0.0) as backend:
        assert [backend.list_models().source for _ in range(2)] == ["service", "service"]
    assert len(server.requests) == 2


def test_stale_list_is_used_with_a_reason_on_failure(service: tuple[ScriptedServer, Backend]) -> None:
    server, backend = service
    first = motet.models(backend=backend)
    server.model_faults = [Fault("status", status=500)]
    again = motet.models(backend=backend, refresh=True)
    assert (again.source, again.fetched_at, again.specs) == ("stale", first.fetched_at, first.specs)
    assert isinstance(again.error, motet.ServerError)
    assert motet.models(backend=backend).source == "cache"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", status=500), motet.ServerError),
        (Fault("status", status=401), motet.AuthenticationError),
        (Fault("html"), motet.BadPayloadError),
        (Fault("null"), motet.BadPayloadError),
        (Fault("close_before"), motet.ConnectionFailedError),
    ],
)
def test_catalogue_is_used_without_a_list(
    fault: Fault, error: type[motet.ApiError], service: tuple[ScriptedServer, Backend]
) -> None:
    server, backend = service
    server.model_faults = [fault, fault]
    specs = motet.models(backend=backend)
    assert (specs.source, specs.fetched_at, type(specs.error)) == ("catalogue", None, error)
    assert specs.specs == catalog.specs()
    with pytest.raises(error):
        backend.list_models()


def test_catalogue_is_used_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.delenv("TOGETHER_BASE_URL", raising=False)
    specs = motet.models()
    assert (specs.source, type(specs.error)) == ("catalogue", motet.MissingKeyError)


def test_equal_backends_share_a_model_list() -> None:
    with ScriptedServer() as server:
        settings: Any = {"base_url": server.url, "api_key": KEY}
        assert [motet.models(**settings).source for _ in range(2)] == ["service", "cache"]
        settings["headers"] = {"X-Team": "motet"}
        assert [motet.models(**settings).source for _ in range(2)] == ["service", "cache"]
        assert server.requests[-1].headers["X-Team"] == "motet"


@pytest.mark.parametrize(
    ("row", "price", "context"),
    [
        ({}, Price(), None),
        ({"pricing": None}, Price(), None),
        ({"pricing": "0.15"}, Price(), None),
        ({"pricing": {"input": 0.15}}, Price(Decimal("0.15")), None),
        ({"pricing": {"input": "0.15", "output": 1e-7}}, Price(Decimal("0.15"), Decimal("1E-7")), None),
        ({"pricing": {"input": 1, "output": 2, "cachedInput": 0.5}}, Price(1, 2, Decimal("0.5")), None),  # type: ignore[arg-type]
        ({"pricing": {"input": -1, "output": "NaN", "cached_input": True}}, Price(), None),
        ({"pricing": {"input": 0, "output": 0.0, "cached_input": 0}}, Price(), None),
        ({"pricing": {"input": 0, "output": 0.6}}, Price(0, Decimal("0.6")), None),  # type: ignore[arg-type]
        ({"context_length": 10}, Price(), 10),
        ({"max_model_len": 10}, Price(), 10),
        ({"context_length": 0}, Price(), None),
        ({"context_length": True}, Price(), None),
        ({"context_length": "10"}, Price(), None),
    ],
    ids=repr,
)
def test_malformed_model_lists_are_read_safely(
    row: dict[str, Any], price: Price, context: int | None, service: tuple[ScriptedServer, Backend]
) -> None:
    server, backend = service
    server.models = [{"id": "some/model", **row}, {"no": "id"}, ["nonsense"], {"id": 7}]
    specs = asyncio.run(_alist(backend))
    assert [(model.id, model.price, model.context) for model in specs] == [("some/model", price, context)]


async def _alist(backend: Backend) -> Any:
    async with backend:
        return await backend.alist_models()


@pytest.mark.parametrize("style", ["together", "vllm"])
def test_both_shapes_of_model_lists_are_read(style: Any) -> None:
    with ScriptedServer(style=style) as server, Backend(base_url=server.url, api_key=KEY) as backend:
        assert [(model.id, model.context) for model in backend.list_models()] == [("openai/gpt-oss-120b", 131072)]


# Whether it answers.


def test_health_reports_the_service() -> None:
    with ScriptedServer(key=KEY) as server:
        with motet.atom(SLUG, base_url=server.url, api_key=KEY) as atom:
            good = atom.health()
            assert bool(good)
            assert (good.ok, good.status, good.key_valid, good.serves) == (True, 200, True, True)
            assert good.latency > 0
            server.model_faults = [Fault("status", status=503), Fault("html")]
            down, odd = atom.health(), atom.health()
            assert (down.ok, down.status, down.key_valid, down.serves) == (False, 503, None, None)
            assert isinstance(down.error, motet.OverloadedError)
            assert (bool(odd), odd.status) == (False, 200)
        with motet.atom("together/kimi/k3", base_url=server.url, api_key=KEY) as atom:
            other = asyncio.run(_ahealth(atom))
            assert (bool(other), other.status, other.serves) == (False, 200, False)
        with motet.atom(SLUG, base_url=server.url, api_key="a-wrong-one") as atom:
            wrong = atom.health()
            assert (bool(wrong), wrong.status, wrong.key_valid) == (False, 401, False)
    with motet.atom(SLUG, base_url=server.url, api_key=KEY) as atom:
        gone = atom.health()
        assert (bool(gone), gone.status, gone.key_valid) == (False, None, None)
        assert isinstance(gone.error, motet.ConnectionFailedError)


async def _ahealth(atom: motet.Atom) -> Any:
    async with atom:
        return await atom.ahealth()
