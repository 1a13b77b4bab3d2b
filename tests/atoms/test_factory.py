"""From a slug to an atom: keys, addresses, clients and removed models."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import together

import motet
from motet.testing import Fault, ScriptedServer, Turn
from motet.together import Backend
from tests.support.server_scripts import ANSWER, CALL, KEY, PLAIN, SLUG, asking


def test_missing_key_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other-vendor-0123456789")
    atom = motet.atom(SLUG)
    for ask in (lambda: atom.ask("Hi"), lambda: asyncio.run(atom.aask("Hi"))):
        with pytest.raises(motet.MissingKeyError, match="TOGETHER_API_KEY is not set") as caught:
            ask()
        assert "OPENAI" not in str(caught.value)
    with pytest.raises(motet.MissingKeyError, match="no key has"):
        motet.atom(SLUG, api_key="two words").ask("Hi")


def test_key_of_another_vendor_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "XAI_API_KEY"):
        monkeypatch.setenv(name, "sk-other-vendor-0123456789")
    with ScriptedServer([PLAIN]) as server, motet.atom(SLUG, base_url=server.url) as atom:
        atom.ask("Hi")
        assert "sk-other-vendor" not in str(server.requests[0].headers)


def test_base_url_works_with_and_without_version() -> None:
    for tail in ("", "/", "/v1", "/v1/"):
        with (
            ScriptedServer([PLAIN]) as server,
            motet.atom(SLUG, base_url=server.url + tail, api_key=KEY, lane="chat") as atom,
        ):
            atom.ask("Hi")
            assert server.requests[0].path == "/v1/chat/completions"
    with pytest.raises(motet.ConfigError, match="base_url must be an address"):
        motet.atom(SLUG, base_url="api.together.ai", api_key=KEY).ask("Hi")


def test_given_client_is_used_and_left_open() -> None:
    with ScriptedServer([PLAIN, PLAIN]) as server, together.Together(api_key=KEY, base_url=server.url) as client:
        with motet.atom(SLUG, client=client) as atom:
            assert atom.ask("Hi").output == ANSWER
        assert not client.is_closed()
        assert client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).choices


def stream_to_the_end(atom: motet.Atom) -> None:
    with atom.stream("Hi") as stream:
        assert list(stream)


def leave_a_stream(atom: motet.Atom) -> None:
    assert next(iter(atom.stream("Hi")))


@pytest.mark.parametrize(
    "ask", [lambda atom: atom.ask("Hi"), lambda atom: atom.run("Hi"), stream_to_the_end, leave_a_stream]
)
def test_dropped_atom_closes_its_connections(ask: Callable[[motet.Atom], object]) -> None:
    """Regression: they were open until garbage collection, which warns of them where it finds them first."""
    with ScriptedServer([PLAIN]) as server:
        atom = motet.atom(SLUG, base_url=server.url, api_key=KEY, lane="chat")
        ask(atom)
        backend: Any = atom.backend
        client = backend.client
        del atom, backend
        assert client.is_closed()


def test_collected_atom_leaves_no_open_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: garbage collection found the sockets of a reference cycle before the backend that closes them."""
    sockets: list[socket.socket] = []
    create = socket.create_connection

    def connect(*args: Any, **settings: Any) -> socket.socket:
        sockets.append(create(*args, **settings))
        return sockets[-1]

    monkeypatch.setattr("socket.create_connection", connect)
    with ScriptedServer([PLAIN]) as server:
        cycle: list[Any] = [motet.atom(SLUG, base_url=server.url, api_key=KEY, lane="chat")]
        cycle.append(cycle)
        cycle[0].ask("Hi")
        assert sockets
        gc.collect()  # Moves what only the cycle refers to behind the sockets.
        sockets.clear()
        del cycle
        gc.collect()  # A warning would be an error here.


def test_unknown_slug_suggests_similar_ones() -> None:
    with pytest.raises(motet.UnknownAtomError) as caught:
        motet.atom("together/gpt-os/120b")
    assert caught.value.matches[0] == SLUG
    assert f"did you mean {SLUG}" in str(caught.value)
    with pytest.raises(motet.UnknownAtomError, match="slugs are"):
        motet.atom("zzz")
    assert motet.atom("openai/gpt-oss-120b").slug == SLUG
    assert motet.atom("someone/new-model").spec.model == "someone/new-model"


@pytest.mark.usefixtures("own_server_has_no_prices")
@pytest.mark.parametrize("slug", ["openai/gpt-oss-20b", "together/gpt-oss/20b"])
def test_own_server_has_no_price_and_no_removal_of_together(slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models on a server of one's own were billed at Together's price, with its notice of removal."""
    with (
        ScriptedServer(lambda _: Turn(PLAIN, model="gpt-oss:20b")) as server,
        together.Together(api_key=KEY, base_url=server.url) as client,
    ):
        settings: list[dict[str, Any]] = [
            {"base_url": server.url},
            {"client": client},
            {"backend": Backend(base_url=server.url, lane="chat")},
            {},
        ]
        for backend in settings:
            monkeypatch.setenv("TOGETHER_BASE_URL", "" if backend else server.url)
            with motet.atom(slug, **backend) as model:
                answer = model.ask("Hi", lane="chat")  # A warning would be an error here.
            assert (model.slug, model.spec.model) == (slug, "openai/gpt-oss-20b")
            assert model.spec.harmony
            assert answer.metrics.cost.cash.total is None
            assert "price" in answer.metrics.unknown["cost.cash.total"]
        free = {"input": "0", "output": "0"}
        with motet.atom(slug, base_url=server.url, lane="chat", price=free) as model:
            assert model.ask("Hi").metrics.cost.cash.total == 0
        # A gateway to Together.
        with motet.atom("together/gpt-oss/120b", base_url=server.url, service="together") as model:
            assert model.ask("Hi").metrics.cost.cash.total is not None
    assert motet.atom("openai/gpt-oss-20b", base_url="https://api.together.ai/v1").spec.slug == "together/gpt-oss/20b"


@pytest.mark.usefixtures("own_server_has_no_prices")
def test_price_of_the_users_catalogue_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "models.toml"
    path.write_text('[[atom]]\nslug = "together/gpt-oss/120b"\nprice = { input = "1", output = "2" }\n')
    monkeypatch.setenv("MOTET_CATALOG", str(path))
    price = motet.atom("together/gpt-oss/120b", base_url="http://localhost:8000").spec.cost.cash
    assert (price.input, price.output, price.cached) == (1, 2, None)


def test_removed_atom_warns() -> None:
    refused = Fault("status", status=404, body={"error": {"message": "Unable to access model"}})
    with asking(refused, PLAIN, slug="together/qwen3/coder-next") as (atom, _):
        with (
            pytest.warns(motet.RemovedAtomWarning, match=r"removed from the service on 2026-05-14; ask together/"),
            pytest.raises(motet.NotFoundError, match=r"Unable to access model; .* was removed .* on 2026-05-14"),
        ):
            atom.ask("Hi")
        with pytest.warns(motet.RemovedAtomWarning):
            assert any("2026-05-14" in note for note in atom.ask("Hi").notes)


def test_gen_brain_atom_is_atom() -> None:
    atom = motet.gen_brain_atom(slug=SLUG)
    assert (atom.slug, atom.repo, repr(atom)) == (SLUG, "together", f"Atom({SLUG!r})")
    assert atom.spec.cost.cash.input == Decimal("0.15")
    assert atom.spec.gain.size.context.tokens == 131072
    assert atom.spec.gain.grades.swe == Decimal("62.4")
    assert atom.spec.sources["cost.cash.input"].as_of == "2026-11"


def test_tool_objects_work_in_render_and_parse() -> None:
    @motet.tool
    def get_weather(city: str) -> str:
        """The weather."""
        return city

    rendered = motet.render([{"role": "user", "content": "Hi"}], tools=[get_weather])
    assert rendered.ids == motet.render([{"role": "user", "content": "Hi"}], tools=[get_weather.to_dict()]).ids
    bare = "<|channel|>commentary to=get_weather<|message|>{}<|call|>"
    assert motet.parse(bare, tools=[get_weather]).tool_calls[0].name == "get_weather"
    with asking(CALL) as (atom, server):
        atom.ask("Hi", tools=[get_weather])
        assert server.requests[0].body["tools"] == [get_weather.to_dict()]


def test_api_key_can_be_a_callable() -> None:
    fetched: list[str] = []

    def fetch() -> str:
        fetched.append(KEY)
        return KEY

    with ScriptedServer([PLAIN], key=KEY) as server, motet.atom(SLUG, base_url=server.url, api_key=fetch) as atom:
        assert fetched == []
        atom.ask("Hi", lane="chat")
        assert fetched == [KEY]


def test_slug_must_be_text() -> None:
    """Regression: atoms without a service had the model id `None`."""
    for wrong in (None, 5):
        with pytest.raises(TypeError, match="slug must be a str"):
            motet.atom(wrong)  # type: ignore[arg-type]
    with pytest.raises(motet.UnknownAtomError) as caught:
        motet.atom("Together/GPT-OSS/120B")
    assert "together/gpt-oss/120b" in caught.value.matches


def test_removal_warning_points_at_the_caller() -> None:
    with asking(PLAIN, slug="together/gpt-oss/20b") as (atom, _):
        with pytest.warns(motet.RemovedAtomWarning) as caught:
            atom.ask("Hi")
        assert caught[0].filename == __file__
