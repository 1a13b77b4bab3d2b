"""What motet knows of each service: its lane, its defaults, and what it accepts. Data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from motet import _core
from motet.errors import ConfigError
from motet.together.lanes.id_pages import COMPLETIONS, IdsPage

__all__ = ["SERVICES", "UNKNOWN", "Service", "ServiceChoice", "service_at", "service_of_owners", "to_service"]

OPENAI_COMPLETION_TOKENS = 16
"""Default of `max_tokens` on `/v1/completions` in OpenAI's API, which vLLM and SGLang follow."""
_KEEP_MARKERS: Mapping[str, Any] = {"skip_special_tokens": False, "spaces_between_special_tokens": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How a service is asked. `motet.together.Backend(service={"reasoning_key": None, ...})` sets fields by hand."""

    name: str = "unknown"
    hosts: tuple[str, ...] = ()
    """Hosts of a hosted service; subdomains included."""
    owner: str | None = None
    """`owned_by` in the list of models of an own server."""
    raw_lane: Literal["ids", "text"] | None = None
    """The lane of models that speak harmony. `None`: the chat lane."""
    lane_reason: str = "the server does not say what it is"
    completion_tokens: int | None = OPENAI_COMPLETION_TOKENS
    """Tokens after which `/v1/completions` cuts an answer without `max_tokens`. `None`: never, or unknown."""
    spare_tokens: int = 0
    """Tokens of the context that `max_tokens` leaves free where it is set to what the prompt leaves."""
    takes_id_prompts: bool = True
    """True if `/v1/completions` takes token ids as the prompt."""
    raw_keys: Mapping[str, Any] = field(default_factory=lambda: _KEEP_MARKERS)
    """Keys of requests to `/v1/completions` that keep markers in the text."""
    id_keys: Mapping[str, Any] = field(default_factory=lambda: {"return_token_ids": True})
    """Keys of requests to `/v1/completions` that ask for the ids of the answer."""
    grammar_key: Literal["structured_outputs", "response_format", "grammar", "ebnf"] | None = None
    """Key of requests to `/v1/completions` that takes a grammar, which enforces `tool_choice` and the schema of the
    answer. `None`: the service takes none."""
    grammar_format: Literal["structural_tag", "gbnf", "lark"] = "structural_tag"
    """The form of the grammar, as `motet.grammar` makes it. `response_format` takes structural tags only, and `grammar`
    and `ebnf` take text."""
    ids_page: IdsPage = COMPLETIONS
    """Page that the ids lane asks: vLLM has `/inference/v1/generate` and SGLang `/generate`, too, which take and return
    ids alone."""
    reasoning_key: Literal["reasoning", "reasoning_content", "auto"] | None = "auto"
    """Key of an assistant message that carries reasoning back. `"auto"`: the one in which the service sent it, else
    `reasoning`. `None`: the service accepts none."""
    numbers_calls: bool = True
    """True: tool calls of the history have an `index`, which Together requires."""
    dotted_names: bool = True
    """False: names of calls in the history get `_` for dots, which OpenAI's API and services that follow it refuse."""
    keeps_preambles: bool = True
    """False: text beside reasoning and calls of gpt-oss is left out of the history, because the server renders it with
    the published chat template, which refuses the three together."""
    strict_schemas: bool | None = None
    """`strict` of response formats. `None`: true for schemas that follow the rules of strict mode (each object closed,
    all its properties required), else absent."""
    refused_keys: frozenset[str] = frozenset()
    """Keys of the body that the service refuses; they are left out, and the reply says so."""
    think_tags: bool | Literal["opened"] = False
    """True: reasoning stands in the answer between `<think>` tags and is split off. `"opened"`: the prompt ends with
    the opening tag, so that the answer begins with reasoning."""

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if not any(value is choice or (isinstance(choice, str) and value == choice) for choice in allowed):
                raise ConfigError(f"{name} of a service must be one of {allowed}: {value!r}")
        if self.grammar_format not in _FORMATS_OF_KEY.get(self.grammar_key or "", (self.grammar_format,)):
            raise ConfigError(f"{self.grammar_key} of a service takes no grammar in the form {self.grammar_format!r}")
        if isinstance(self.refused_keys, str) or not isinstance(self.refused_keys, Iterable):
            raise ConfigError(f"refused_keys of a service must be a list of keys: {self.refused_keys!r}")
        object.__setattr__(self, "refused_keys", frozenset(self.refused_keys))


_FORMATS_OF_KEY: Mapping[str, tuple[str, ...]] = {
    "response_format": ("structural_tag",),
    "grammar": ("gbnf", "lark"),
    "ebnf": ("gbnf", "lark"),
}
_ALLOWED: Mapping[str, tuple[Any, ...]] = {
    "ids_page": get_args(IdsPage),
    "grammar_key": ("structured_outputs", "response_format", "grammar", "ebnf", None),
    "grammar_format": ("structural_tag", "gbnf", "lark"),
    "raw_lane": ("ids", "text", None),
    "reasoning_key": ("reasoning", "reasoning_content", "auto", None),
    "strict_schemas": (True, False, None),
    "think_tags": (True, False, "opened"),
}

ServiceChoice: TypeAlias = Service | str | Mapping[str, Any] | None

UNKNOWN = Service()

SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        Service(
            name="together",
            hosts=("together.ai", "together.xyz"),
            lane_reason="Together does not document control tokens on its completions endpoint",
            completion_tokens=None,
            takes_id_prompts=False,
            raw_keys={},
            reasoning_key="reasoning",
            strict_schemas=True,
        ),
        Service(
            name="vllm",
            owner="vllm",
            raw_lane="ids",
            lane_reason="the server says that it is vllm, which gives token ids",
            grammar_key="structured_outputs",
            reasoning_key="reasoning",
        ),
        Service(
            name="sglang",
            owner="sglang",
            raw_lane="ids",
            lane_reason="the server says that it is sglang, which gives token ids",
            # It refuses prompt and answer that fill the context, of which speculative decoding reserves a part.
            spare_tokens=128,
            raw_keys={"skip_special_tokens": False, "no_stop_trim": True},
            grammar_key="response_format",
            reasoning_key="reasoning_content",
        ),
        Service(
            name="llamacpp",
            owner="llamacpp",
            raw_lane="text",
            lane_reason="the server says that it is llama.cpp, which gives text with markers",
            completion_tokens=None,
            raw_keys={"preserved_tokens": list(_core.MARKERS.values())},
            # Servers since June 2026 read `verbose`; `response_fields` keeps the prompt and all settings out.
            id_keys={"return_tokens": True, "verbose": True, "response_fields": ["tokens"]},
            grammar_key="grammar",
            grammar_format="gbnf",
            reasoning_key="reasoning_content",
            keeps_preambles=False,
        ),
        Service(
            name="ollama",
            owner="library",
            lane_reason="the server is Ollama, which applies its own template to prompts of the completions endpoint",
            completion_tokens=None,
            takes_id_prompts=False,
            reasoning_key="reasoning",
        ),
        Service(
            name="lmstudio",
            owner="organization_owner",
            lane_reason="the server is LM Studio, which does not document control tokens on its completions endpoint",
            completion_tokens=None,
            takes_id_prompts=False,
        ),
        Service(
            name="groq",
            hosts=("api.groq.com",),
            lane_reason="Groq has no completions endpoint",
            takes_id_prompts=False,
            reasoning_key="reasoning",
            numbers_calls=False,
            dotted_names=False,
        ),
        Service(
            name="openrouter",
            hosts=("openrouter.ai",),
            lane_reason="OpenRouter does not document control tokens on its completions endpoint",
            completion_tokens=None,
            takes_id_prompts=False,
            reasoning_key="reasoning",
            numbers_calls=False,
            dotted_names=False,
        ),
        Service(
            name="cerebras",
            hosts=("api.cerebras.ai",),
            lane_reason="Cerebras does not document control tokens on its completions endpoint",
            completion_tokens=None,
            takes_id_prompts=False,
            reasoning_key="reasoning",
            numbers_calls=False,
            dotted_names=False,
        ),
    )
}


def service_at(base_url: str) -> Service | None:
    """The hosted service at an address; the empty address is Together's. `None`: the server must be asked."""
    host = urlsplit(base_url).hostname
    if host is None:
        return SERVICES["together"]
    return next(
        (service for service in SERVICES.values() if any(f".{host}".endswith(f".{known}") for known in service.hosts)),
        None,
    )


def service_of_owners(owners: Iterable[str]) -> Service:
    """The service whose models have these owners; `UNKNOWN` for others."""
    names = set(owners)
    return next((service for service in SERVICES.values() if service.owner in names), UNKNOWN)


def to_service(choice: ServiceChoice, recognised: Service) -> Service:
    """The service of the caller's choice: by name, as a `Service`, or as fields that replace the recognised one's.

    Raises `ConfigError` for unknown names and fields.
    """
    if choice is None:
        return recognised
    if isinstance(choice, Service):
        return choice
    if isinstance(choice, str):
        if choice not in SERVICES:
            raise ConfigError(f"service must be one of {', '.join(SERVICES)}, or a dict of fields: {choice!r}")
        return SERVICES[choice]
    if not isinstance(choice, Mapping):
        raise ConfigError(f"service must be a name, a dict of fields or a Service, not {type(choice).__name__}")
    names = {entry.name for entry in fields(Service)}
    if unknown := sorted(set(choice) - names):
        raise ConfigError(f"a service has no {', '.join(unknown)}; its fields are {', '.join(sorted(names))}")
    base = to_service(choice["name"], recognised) if "name" in choice and choice["name"] in SERVICES else recognised
    return replace(base, **choice)
