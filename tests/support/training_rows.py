"""Rows of training data: valid ones, one broken row for each rule, and secrets of each kind."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

from hypothesis import strategies as st

from motet.tune import Report, check

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
USER = {"role": "user", "content": "Q"}
ANSWER = {"role": "assistant", "content": "A"}
SYSTEM = {"role": "system", "content": "S"}
CALL = {
    "role": "assistant",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "3"}


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


WORSE = {**ANSWER, "content": "B"}


def preference(*messages: Any, good: Any = ANSWER, bad: Any = WORSE, **more: Any) -> dict[str, Any]:
    return {"input": {"messages": list(messages), **more}, "preferred_output": [good], "non_preferred_output": [bad]}


def line_of(row: Any) -> bytes:
    return json.dumps(row).encode() + b"\n"


GOOD: dict[str, dict[str, Any]] = {
    "a question and an answer": chat(USER, ANSWER),
    "with a system message": chat(SYSTEM, USER, ANSWER),
    "two turns": chat(USER, ANSWER, {**USER, "weight": 0}, {**ANSWER, "weight": 1}),
    "reasoning": chat(USER, {**ANSWER, "reasoning": "R"}),
    "reasoning_content": chat(USER, {**ANSWER, "reasoning_content": "R"}),
    "tools": chat(USER, CALL, RESULT, ANSWER, tools=[TOOL]),
    "a call at the end": chat(USER, CALL, tools=[TOOL]),
    "null beside calls": chat(USER, {**CALL, "content": None}, RESULT, ANSWER, tools=[TOOL]),
    "text beside calls": chat(USER, {**CALL, "content": "Let me see."}, RESULT, ANSWER, tools=[TOOL]),
    "a result without an id": chat(USER, CALL, {"role": "tool", "content": "3"}, ANSWER, tools=[TOOL]),
    "an empty result": chat(USER, CALL, {**RESULT, "content": ""}, ANSWER, tools=[TOOL]),
    "weighted": chat(USER, ANSWER, weight=0.5),
    "instruction": {"prompt": "P", "completion": "C"},
    "no calls as null": chat(USER, {**ANSWER, "tool_calls": None}),
    "no calls as a list": chat(USER, {**ANSWER, "tool_calls": []}),
    "null reasoning": chat(USER, {**ANSWER, "reasoning": None, "weight": None}),
    "all keys": {
        **dict.fromkeys(["prompt", "completion", "text", "input", "tools", "weight", "id"]),
        "messages": [
            {**dict.fromkeys(["reasoning", "tool_calls", "tool_call_id", "name", "weight", "refusal"]), **message}
            for message in (SYSTEM, USER, ANSWER)
        ],
    },
    "all keys of a preference": {
        **dict.fromkeys(["messages", "text"]),
        **preference({**USER, "name": None}, good={**ANSWER, "tool_calls": None}, tools=None),
    },
    "line breaks in a tool's description": chat(
        USER,
        CALL,
        RESULT,
        ANSWER,
        tools=[{**TOOL, "function": {**TOOL["function"], "description": "One.\n\nTwo.\r\nThree."}}],
    ),
    "text parts": chat({**USER, "content": [{"type": "text", "text": "Q"}, {"type": "text", "text": "?"}]}, ANSWER),
    "text parts of all roles": chat(
        {**SYSTEM, "content": [{"type": "text", "text": "S"}]},
        USER,
        CALL,
        {**RESULT, "content": [{"type": "text", "text": "3"}]},
        {**ANSWER, "content": [{"type": "text", "text": "A"}]},
        tools=[TOOL],
    ),
    "a call id used again": chat(USER, CALL, RESULT, ANSWER, USER, CALL, RESULT, ANSWER, tools=[TOOL]),
    "a call id used again at once": chat(USER, CALL, RESULT, CALL, RESULT, ANSWER, tools=[TOOL]),
    "text": {"text": "T"},
    "preference": preference(USER),
    "preference after a greeting": preference(ANSWER, USER),
    "preference of a call": preference(USER, good=CALL, tools=[TOOL]),
    "no ASCII": chat({**USER, "content": "é 青 👩\u200d💻 \u2028"}, ANSWER),
}


def changed(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A row with other values at paths such as `messages__1__role`; `...` removes a key."""
    row = copy.deepcopy(row)
    for path, value in changes.items():
        at: Any = row
        *before, last = [int(key) if key.isdecimal() else key for key in path.split("__")]
        for key in before:
            at = at[key]
        if value is ...:
            del at[last]
        else:
            at[last] = value
    return row


TOOLS = GOOD["tools"]
BAD_ROWS: list[tuple[dict[str, Any], str, str]] = [
    ({"foo": 1}, "", "unknown_format"),
    ({}, "", "unknown_format"),
    ({"prompt": "P"}, "", "missing_key"),
    ({"text": "T", **chat(USER, ANSWER)}, "", "two_formats"),
    (chat(), "messages", "no_messages"),
    ({"messages": {}}, "messages", "no_messages"),
    (chat(USER, "A"), "messages[1]", "not_object"),
    (chat(USER), "messages", "no_assistant"),
    (chat(USER, {**ANSWER, "role": "alien"}), "messages[1].role", "unknown_role"),
    (chat({**SYSTEM, "role": "developer"}, USER, ANSWER), "messages[0].role", "unknown_role"),
    (chat(USER, {"content": "A"}), "messages[1]", "missing_key"),
    (chat({**USER, "role": 3}, ANSWER), "messages[0].role", "unknown_role"),
    (chat({**USER, "role": ["user"]}, ANSWER), "messages[0].role", "unknown_role"),
    (chat({"role": "user"}, ANSWER), "messages[0].content", "not_text"),
    (chat({**USER, "content": None}, ANSWER), "messages[0].content", "not_text"),
    (chat({**USER, "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, ANSWER), "messages[0].content", "not_text"),
    (chat({**USER, "content": [{"type": "text", "text": 3}]}, ANSWER), "messages[0].content", "not_text"),
    (chat({**USER, "content": []}, ANSWER), "messages[0].content", "not_text"),
    (chat(USER, {"role": "assistant"}), "messages[1]", "no_content"),
    (chat(USER, {"role": "assistant", "content": None}), "messages[1]", "no_content"),
    (chat(USER, {"role": "assistant", "reasoning": "R"}), "messages[1]", "no_content"),
    (chat(USER, {**ANSWER, "content": 3}), "messages[1].content", "not_text"),
    (chat(USER, {**ANSWER, "reasoning": 3}), "messages[1].reasoning", "reasoning"),
    (chat(USER, {**ANSWER, "reasoning": "R", "reasoning_content": "R"}), "messages[1].reasoning_content", "reasoning"),
    (chat(USER, {**ANSWER, "thinking": "R"}), "messages[1].thinking", "thinking"),
    (chat({**USER, "reasoning": "R"}, ANSWER), "messages[0].reasoning", "misplaced_key"),
    (chat({**USER, "tool_call_id": "1"}, ANSWER), "messages[0].tool_call_id", "misplaced_key"),
    (chat(USER, {**ANSWER, "weight": 2}), "messages[1].weight", "weight"),
    (chat(USER, {**ANSWER, "weight": True}), "messages[1].weight", "weight"),
    (chat(USER, {**ANSWER, "weight": 1.0}), "messages[1].weight", "weight"),
    (chat(USER, {**ANSWER, "weight": "1"}), "messages[1].weight", "weight"),
    (chat(USER, ANSWER, weight=-1), "weight", "row_weight"),
    (chat(USER, ANSWER, weight="heavy"), "weight", "row_weight"),
    (chat(USER, ANSWER, weight=True), "weight", "row_weight"),
    (chat(ANSWER, USER, ANSWER), "messages[0].role", "role_order"),
    (chat(USER, USER, ANSWER), "messages[1].role", "role_order"),
    (chat(USER, ANSWER, ANSWER), "messages[2].role", "role_order"),
    (chat(USER, SYSTEM, ANSWER), "messages[1].role", "role_order"),
    (chat(SYSTEM, ANSWER), "messages[1].role", "role_order"),
    (chat(USER, RESULT, ANSWER), "messages[1].role", "role_order"),
    (chat(USER, ANSWER, RESULT), "messages[2].tool_call_id", "call_id"),
    (chat(USER, CALL, USER, ANSWER, tools=[TOOL]), "messages[1].tool_calls[0]", "no_result"),
    (chat(USER, CALL, {**RESULT, "tool_call_id": "2"}, ANSWER, tools=[TOOL]), "messages[2].tool_call_id", "call_id"),
    (changed(TOOLS, messages__2__tool_call_id=7), "messages[2].tool_call_id", "call_id"),
    (changed(TOOLS, messages__1__tool_calls=[]), "messages[1]", "no_content"),
    (changed(TOOLS, messages__1__tool_calls={}), "messages[1].tool_calls", "tool_calls"),
    (changed(TOOLS, messages__1__tool_calls__0="f"), "messages[1].tool_calls[0]", "tool_calls"),
    (changed(TOOLS, messages__1__tool_calls__0__type=...), "messages[1].tool_calls[0].type", "tool_calls"),
    (changed(TOOLS, messages__1__tool_calls__0__id=...), "messages[1].tool_calls[0].id", "call_id"),
    (changed(TOOLS, messages__1__tool_calls__0__function__name="g"), "messages[1].tool_calls[0].function.name", "unknown_tool"),
    (changed(TOOLS, messages__1__tool_calls__0__function__name="f f"), "messages[1].tool_calls[0].function.name", "tool_name"),
    (changed(TOOLS, messages__1__tool_calls__0__function__arguments={}), "messages[1].tool_calls[0].function.arguments", "arguments"),
    (changed(TOOLS, messages__1__tool_calls__0__function__arguments="{"), "messages[1].tool_calls[0].function.arguments", "arguments"),
    (changed(TOOLS, messages__1__tool_calls__0__function__arguments="[]"), "messages[1].tool_calls[0].function.arguments", "arguments"),
    (changed(TOOLS, messages__1__tool_calls=CALL["tool_calls"] * 2), "messages[1].tool_calls[1].id", "call_id"),
    (changed(TOOLS, tools={}), "tools", "tools"),
    (changed(TOOLS, tools=["f"]), "tools[0]", "tools"),
    (changed(TOOLS, tools=[TOOL, TOOL]), "tools[1].function.name", "tool_name"),
    (changed(TOOLS, tools__0__type="tool"), "tools[0].type", "tools"),
    (changed(TOOLS, tools__0__function__parameters=[]), "tools[0].function.parameters", "tools"),
    ({"prompt": [{"type": "text", "text": "P"}], "completion": "C"}, "prompt", "not_text"),
    ({"prompt": "P", "completion": None}, "", "missing_key"),
    ({"prompt": "P", "completion": 3}, "completion", "not_text"),
    ({"text": ""}, "text", "empty"),
    ({"text": 3}, "text", "not_text"),
    ({**preference(USER), "input": [USER]}, "input", "not_object"),
    ({**preference(USER), "input": {}}, "input", "missing_key"),
    (preference(USER, ANSWER), "input.messages", "role_order"),
    (preference(USER, good={**ANSWER, "role": "user"}), "preferred_output[0].role", "unknown_role"),
    ({**preference(USER), "preferred_output": [ANSWER, ANSWER]}, "preferred_output", "not_one_message"),
    ({**preference(USER), "non_preferred_output": "B"}, "non_preferred_output", "not_one_message"),
    (preference(USER, bad={"role": "assistant"}), "non_preferred_output[0]", "no_content"),
    (preference(USER, good={**CALL, "content": None}, tools=[TOOL]), "preferred_output[0].content", "null_content"),
    ({"preferred_output": [ANSWER], "non_preferred_output": [ANSWER]}, "", "missing_key"),
]  # fmt: skip


# Of each kind one that was made up, and something that looks a little like it.
SECRETS = {
    "aws": ("AKIAIOSFODNN7EXAMPLE", "AKIA is a prefix"),
    "github": ("ghp_" + "aB3" * 12, "ghp_short"),
    "gitlab": ("glpat-" + "aB3-" * 5, "glpat-x"),
    "google": ("AIza" + "Sy0-a_B" * 5, "AIzaShort"),
    "huggingface": ("hf_" + "AbCdEfGhIj0123456789" * 2, "hf_hub_download_with_a_long_name_here"),
    "npm": ("npm_" + "aB3" * 12, "npm_config_registry"),
    "openai": ("sk-proj-Ab0_Cd1-Ef2Gh3Ij4Kl5", "sk-learn-is-a-library-for-python"),
    "pypi": ("pypi-" + "AgEIcHlwaS5vcmc" * 4, "pypi-publish"),
    "slack": ("xoxb-2147483647-AbCdEfGhIj", "xoxo-xoxo-xoxo-xoxo"),
    "stripe": ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "sk_live_x"),
    "together": ("tgp_v1_Ab0Cd1Ef2Gh3Ij4Kl5Mn6", "tgp_v1_"),
    "jwt": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P", "eyJ.eyJ.x"),
    "private_key": ("-----BEGIN RSA PRIVATE KEY-----\nMII", "-----BEGIN CERTIFICATE-----"),
    "url_password": ("postgres://admin:hunter2@db.example.com/x", "https://example.com:8080/@user"),
    "assigned": ('api_key = "Zx9fQ2mLk8Rt4Vb7Nc1PwS"', "token: the_first_token_of_the_text"),
    "card": ("4012-8888-8888-1881", "1234 5678 9012 3456"),
}  # fmt: skip


def report_of(data: bytes, **options: Any) -> Report:
    return check(io.BytesIO(data), **options)


def findings_of(data: bytes, **options: Any) -> list[tuple[int | None, str, str, str]]:
    return [
        (finding.line, finding.path, finding.code, finding.severity) for finding in report_of(data, **options).findings
    ]


T = line_of({"text": "T"})


U = line_of({"text": "U"})


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
