"""LangChain's own tests of chat models, with a server that answers as they expect."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

pytest.importorskip("langchain_tests")

from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from motet.integrations.langchain import ChatMotet
from motet.testing import ScriptedServer
from tests.support.server_scripts import KEY, SLUG, final

WORDS = ("你好啊集团", "こんにちは株式会社")
"""Texts that a tool call has to repeat."""


def value(schema: Mapping[str, Any], root: Mapping[str, Any], text: str) -> Any:
    """A value that matches a schema: 3 for numbers, `text` for texts."""
    if "$ref" in schema:
        return value(root["$defs"][schema["$ref"].rpartition("/")[2]], root, text)
    if "anyOf" in schema:
        return value(schema["anyOf"][0], root, text)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object" or "properties" in schema:
        return {name: value(inner, root, text) for name, inner in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [value(schema.get("items", {}), root, text)]
    return {"integer": 3, "number": 3, "boolean": True}.get(schema.get("type", ""), text)


def answer(body: Mapping[str, Any]) -> str:
    text = next((words for words in WORDS if words[0] in str(body["messages"])), "a")
    response_format = body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        schema = response_format["json_schema"]["schema"]
        return final(json.dumps(value(schema, schema, text)))
    if body.get("tools") and body["messages"][-1]["role"] == "user":
        function = body["tools"][0]["function"]
        schema = function.get("parameters") or {"type": "object"}
        arguments = json.dumps(value(schema, schema, text), ensure_ascii=False)
        header = f"<|channel|>commentary to=functions.{function['name']} <|constrain|>json<|message|>"
        return f"<|channel|>analysis<|message|>A call.<|end|><|start|>assistant{header}{arguments}<|call|>"
    return "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant" + final("Hello, it is 5.")


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    with ScriptedServer(answer) as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        yield


class Settings:
    """What the suite asks about the model."""

    chat_model_class = property(lambda _: ChatMotet)
    chat_model_params = property(lambda _: {"model": SLUG})
    model_override_value = property(lambda _: "openai/gpt-oss-20b")


class TestUnit(Settings, ChatModelUnitTests):
    """Without a request."""


class TestRequests(Settings, ChatModelIntegrationTests):
    """With requests."""
