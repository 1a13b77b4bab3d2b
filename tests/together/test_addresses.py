"""Addresses of services as users write them."""

from __future__ import annotations

import asyncio

import httpx
import pytest

import motet
from tests.support.fault_cases import InMemoryService, outcome
from tests.support.server_scripts import KEY

BODY = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("base_url", "prefix"),
    [
        ("http://service.test", "/v1"),
        ("http://service.test/", "/v1"),
        ("http://service.test/v1/", "/v1"),
        ("http://service.test/openai/v1", "/openai/v1"),
        # Versions other than `/v1`, and none at all.
        ("http://service.test/api/paas/v4", "/api/paas/v4"),
        ("http://service.test/v1beta/openai/", "/v1beta/openai"),
        ("http://service.test/inference", "/inference"),
        # Whole addresses, as pages of services show them.
        ("http://service.test/v1/chat/completions", "/v1"),
        ("http://service.test/api/paas/v4/chat/completions", "/api/paas/v4"),
        ("http://service.test/v1/completions", "/v1"),
        ("http://service.test/v1/models/", "/v1"),
        (" http://service.test/v1\n", "/v1"),
    ],
)
@pytest.mark.parametrize("how", ["ask", "aask"])
def test_path_of_the_address_is_used_as_it_is(base_url: str, prefix: str, how: str, runner: asyncio.Runner) -> None:
    service = InMemoryService(httpx.Response(200, json=BODY))
    atom = service.atom(base_url=base_url)
    result = outcome(atom, how, runner=runner)
    assert result.answer is not None
    assert result.answer.output == "Hello."
    assert [request.url.path for request in service.requests] == [f"{prefix}/chat/completions"]


def test_list_of_models_has_the_same_prefix() -> None:
    paths = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(200, json={"data": []})

    for base_url in ("http://service.test", "http://service.test/inference", "http://service.test/api/v1/models"):
        motet.atom("some/model", base_url=base_url, api_key=KEY, transport=httpx.MockTransport(answer)).health()
    assert paths == ["/v1/models", "/inference/models", "/api/v1/models"]


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("api.together.ai", "must be an address as https"),
        ("ftp://service.test", "must be an address as https"),
        ("http://", "must be an address as https"),
        ("http://[::1", "must be an address as https"),
        ("http://service.test:99999", "must be an address as https"),
        # Control characters, which httpx refuses or drops.
        ("http://service.test/a\x00b", "must be an address as https"),
        ("http://service.test/\x1b[31m", "must be an address as https"),
        ("http://ser\nvice.test", "must be an address as https"),
        ("http://ser vice.test", "must be an address as https"),
        ("http://ex\u202eample.test", "must be an address as https"),
        ("http://\ud800.test", "must be an address as https"),
        ("http://xn--.test", "must be an address as https"),
        ("http://user:password@service.test", "no user and no password"),
        ("http://service.test/v1?key=1", "must end with the path"),
    ],
    ids=ascii,
)
def test_invalid_addresses_are_refused(base_url: str, words: str, runner: asyncio.Runner) -> None:
    service = InMemoryService()
    for how in ("ask", "aask"):
        error = outcome(service.atom(base_url=base_url), how, runner=runner).error
        assert type(error) is motet.ConfigError
        assert words in str(error)
        assert str(error).isprintable()
    with pytest.raises(motet.ConfigError, match=words), service.atom(base_url=base_url).stream("Hi") as stream:
        list(stream)
    assert isinstance(service.atom(base_url=base_url).health().error, motet.ConfigError)
    assert service.requests == []
