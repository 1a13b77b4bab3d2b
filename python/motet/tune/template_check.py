"""The check of a chat template: three properties that training relies on."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from motet import _core
from motet.errors import ConfigError
from motet.tune.finding import Finding, shortened

__all__ = ["check_template"]

_CALL = {"type": "function", "id": "call_00001", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
_CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "two turns": [
        {"role": "user", "content": "What is 2+2?"},
        {"role": "assistant", "content": "It is four."},
        {"role": "user", "content": "And 3+3?"},
        {"role": "assistant", "content": "It is six."},
    ],
    "a tool call": [
        {"role": "user", "content": "Is Paris warm?"},
        {"role": "assistant", "content": "", "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "call_00001", "name": "get_weather", "content": "24 degrees"},
        {"role": "assistant", "content": "It is warm."},
    ],
}
_STOP_TOKENS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end▁of▁sentence|>"),
    *("</s>", "<end_of_turn>", "<eos>", "<|END_OF_TURN_TOKEN|>", "[|endofturn|]"),
)
"""Stop tokens of other models than gpt-oss."""
_OPEN, _CLOSE = "\ue000", "\ue001"
"""Private characters that stand around what is generated."""


def check_template(source: str, *, stop_tokens: Sequence[str] = ()) -> list[Finding]:
    """What keeps a Jinja chat template from being trained with. Requires `motet[templates]`.

    - `no_generation_marks`: no `{% generation %}` block, so that no mask of the assistant's tokens can be made; or none
      around an answer.
    - `stop_token_not_trained`: the block of an answer ends before its stop token, so that the model does not learn to
      stop. `stop_tokens`: those of the model; by default gpt-oss's and common ones.
    - `history_changes` (a warning): the text of a conversation is not the beginning of a longer one's, so that steps of
      a conversation cannot be trained as one sequence.
    - `template_fails`: the template raises for a plain conversation (for one with tools: a warning).
    """
    render = _renderer(source)
    stops = tuple(stop_tokens) or (*_gpt_oss_stops(), *_STOP_TOKENS)
    findings: dict[str, Finding] = {}
    for name, messages in _CONVERSATIONS.items():
        for finding in _findings(render, name, messages, stops):
            findings.setdefault(finding.code, finding)
    return list(findings.values())


def _gpt_oss_stops() -> list[str]:
    """gpt-oss's stop tokens, and those of its vocabulary that end a text."""
    turn_ends = (_core.MARKERS["call"], _core.MARKERS["return"])
    return [token for token in _core.SPECIAL_TOKENS if token in turn_ends or "end" in token]


def _findings(
    render: Callable[[list[dict[str, Any]]], str], name: str, messages: list[dict[str, Any]], stops: tuple[str, ...]
) -> Iterator[Finding]:
    try:
        texts = [render(messages[: end + 1]) for end, message in enumerate(messages) if message["role"] != "user"]
    except Exception as error:
        yield Finding(
            "template_fails",
            f"the template raises for a conversation with {name}: {shortened(str(error))}",
            "leave such conversations out, or extend the template",
            severity="warning" if "tool" in name else "error",
        )
        return
    for shorter, longer in itertools.pairwise(texts):
        shorter, longer = _unmarked(shorter), _unmarked(longer)
        if not longer.startswith(shorter):
            same = next((at for at, pair in enumerate(zip(shorter, longer, strict=False)) if pair[0] != pair[1]), 0)
            yield Finding(
                "history_changes",
                f"a longer conversation with {name} does not begin with the shorter one's text: "
                f"{shorter[same : same + 20]!r} becomes {longer[same : same + 20]!r}",
                "train each answer as a sequence of its own, or let the template write history as the last turn",
                severity="warning",
            )
            break
    spans = texts[-1].split(_OPEN)[1:]
    answers = [message for message in messages if message["role"] == "assistant"]
    if len(spans) < len(answers):
        yield Finding(
            "no_generation_marks",
            f"{len(spans)} of {len(answers)} answers are within a generation block",
            "put {% generation %} and {% endgeneration %} around what the assistant writes",
        )
        return
    for span in spans:
        generated = span.split(_CLOSE)[0].rstrip()
        if not generated.endswith(stops):
            yield Finding(
                "stop_token_not_trained",
                f"the generation block of an answer ends with {generated[-20:]!r}, which is not a stop token",
                "let the block end behind the stop token, or name the model's stop token",
            )
            return


def _unmarked(text: str) -> str:
    return text.replace(_OPEN, "").replace(_CLOSE, "")


def _renderer(source: str) -> Callable[[list[dict[str, Any]]], str]:
    """A function that renders messages with a template, with the settings, filters and functions of `transformers`.

    Raises `ConfigError` without jinja2, and for what is not a template."""
    try:
        import jinja2
        from jinja2.ext import Extension, loopcontrols
        from jinja2.nodes import CallBlock, Node
        from jinja2.parser import Parser
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise ConfigError("checking a template needs jinja2: pip install 'motet[templates]'") from None

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return CallBlock(self.call_method("mark"), [], [], body).set_lineno(line)

        def mark(self, caller: Callable[[], str]) -> str:
            return _OPEN + caller() + _CLOSE

    def fail(message: str) -> None:
        raise ValueError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, indent=None, **_: json.dumps(value, ensure_ascii=False, indent=indent)
    environment.globals |= {
        "raise_exception": fail,
        "strftime_now": lambda form: datetime.datetime.now().strftime(form),
        "bos_token": "",
        "eos_token": "</s>",
        "add_generation_prompt": False,
    }
    try:
        template = environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"not a Jinja template: line {error.lineno}: {error.message}") from error
    return lambda messages: template.render(messages=messages)
