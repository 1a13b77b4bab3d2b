"""The check of chat templates that users bring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from motet import ConfigError
from motet.tune import check_template
from tests.support.command_line import run

TURN = "{% for m in messages %}<|im_start|>{{ m.role }}\n"
CALLS = "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}"
GOOD = (
    TURN
    + "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    + CALLS
    + "<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
)


def codes(source: str, **options: Any) -> dict[str, str]:
    return {finding.code: finding.severity for finding in check_template(source, **options)}


def test_template_with_marks_and_stop_tokens_passes() -> None:
    assert codes(GOOD) == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (TURN + "{{ m.content }}<|im_end|>\n{% endfor %}", {"no_generation_marks": "error"}),
        (
            GOOD.replace("<|im_end|>{% endgeneration %}", "{% endgeneration %}<|im_end|>"),
            {"stop_token_not_trained": "error"},
        ),
        (
            GOOD.replace(
                "{{ m.content }}" + CALLS, "{% if loop.last %}<think></think>{% endif %}{{ m.content }}" + CALLS
            ),
            {"history_changes": "warning"},
        ),
        (
            GOOD.replace("{{ m.role }}", "{{ raise_exception('no tools') if m.role == 'tool' else m.role }}"),
            {"template_fails": "warning"},
        ),
        ("{{ raise_exception('never') }}", {"template_fails": "error"}),
    ],
)
def test_each_fault_of_a_template_is_found(source: str, expected: dict[str, str]) -> None:
    assert codes(source) == expected


def test_stop_tokens_can_be_named() -> None:
    other = GOOD.replace("<|im_end|>", "<stop>")
    assert codes(other) == {"stop_token_not_trained": "error"}
    assert codes(other, stop_tokens=["<stop>"]) == {}


def test_text_that_is_not_a_template_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a Jinja template: line 1"):
        check_template("{% if %}")


def test_data_check_reports_the_template(tmp_path: Path) -> None:
    data, template = tmp_path / "train.jsonl", tmp_path / "template.jinja"
    data.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n')
    template.write_text(GOOD)
    assert run("data", "check", str(data), "--template", str(template))[0] == 0
    template.write_text(GOOD.replace("<|im_end|>", "<stop>"))
    code, out, _ = run("data", "check", str(data), "--template", str(template))
    assert code == 1
    assert "stop_token_not_trained" in out
    assert run("data", "check", str(data), "--template", str(template), "--stop", "<stop>")[0] == 0
