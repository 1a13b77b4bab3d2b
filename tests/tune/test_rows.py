"""Rules of rows and files of training data: each broken one is found, with its line and its path."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from together.lib.utils import check_file

import motet
from motet.tune import Finding, check
from motet.tune import example as example_module
from motet.tune import rows as rows_module
from motet.tune.data_check import MAX_FINDINGS
from motet.tune.example import service_messages
from motet.tune.lines import MAX_LINE, dumps
from motet.tune.report import to_html
from motet.tune.rows import inspect_row, is_plain
from tests.support.training_rows import (
    ANSWER,
    BAD_ROWS,
    CALL,
    GOOD,
    RESULT,
    SYSTEM,
    TOOL,
    USER,
    T,
    U,
    chat,
    findings_of,
    line_of,
    preference,
    report_of,
    texts,
)


@pytest.mark.parametrize("name", GOOD)
def test_valid_rows_pass_here_and_in_the_sdk(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(dumps(GOOD[name]))
    report = check(path)
    assert (report.ok, report.findings, report.uncounted) == (True, [], 0)
    assert report.tokens == sum(report.lengths.elements())
    assert check_file(path)["is_check_passed"]


@pytest.mark.parametrize(("row", "path", "code"), BAD_ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_each_row_rule_is_reported_at_its_path(row: dict[str, Any], path: str, code: str) -> None:
    findings = report_of(line_of(GOOD["text"]) + line_of(row)).findings
    mine = [finding for finding in findings if (finding.path, finding.code, finding.severity) == (path, code, "error")]
    assert mine, findings
    assert mine[0].line == 2
    assert mine[0].message and mine[0].mend


@pytest.mark.parametrize(
    ("row", "path", "code"),
    [
        (chat(USER, {**ANSWER, "content": " "}), "messages[1].content", "empty"),
        (chat({**USER, "content": ""}, ANSWER), "messages[0].content", "empty"),
        (chat(USER, ANSWER, USER), "messages", "untrained"),
        (chat(USER, {**ANSWER, "weight": 0}), "messages", "untrained"),
        (chat(USER, {**ANSWER, "reasoning": "R"}, USER, ANSWER), "messages[1].reasoning", "untrained_reasoning"),
        (chat(USER, CALL, RESULT, ANSWER), "messages[1].tool_calls", "no_tools"),
        (chat(USER, CALL, RESULT, USER, ANSWER, tools=[TOOL]), "messages[3].role", "role_order"),
        (chat(USER, {**ANSWER, "mood": "good"}), "messages[1].mood", "unknown_key"),
        (chat(USER, ANSWER, id="7"), "id", "unknown_key"),
        (preference(USER, bad=ANSWER), "non_preferred_output", "same_outputs"),
        ({"prompt": "", "completion": "C"}, "prompt", "empty"),
    ],
)
def test_suspicious_rows_are_warnings(row: dict[str, Any], path: str, code: str) -> None:
    report = report_of(line_of(row))
    assert [(finding.path, finding.code, finding.severity) for finding in report.findings] == [(path, code, "warning")]
    assert report.ok


@pytest.mark.parametrize(
    ("data", "findings"),
    [
        (b"", [(None, "", "empty_file", "error")]),
        (b"\n \n", [(1, "", "blank_line", "warning"), (2, "", "blank_line", "warning"), (None, "", "no_rows", "error")]),
        (b"\xef\xbb\xbf" + T, [(1, "", "bom", "error")]),
        (T + b"\xef\xbb\xbf" + U, [(2, "", "bom", "error")]),
        (T.replace(b"\n", b"\r\n") + U, [(1, "", "crlf", "warning")]),
        (T.replace(b" ", b"\r") + U, [(1, "", "lone_cr", "error")]),
        (T + b"\n" + U, [(2, "", "blank_line", "warning")]),
        (T + U[:-1], [(2, "", "no_final_newline", "warning")]),
        (T + '{"text": "\u2028"}\n'.encode(), [(2, "text", "empty", "error"), (2, "", "line_separator", "warning")]),
        (T + '{"text": "a\x85"}\n'.encode(), [(2, "", "line_separator", "warning")]),
        (T + b'{"text": "\xff"}\n' + U, [(2, "", "not_utf8", "error")]),
        (T + b'{"text": "\xed\xa0\x80"}\n' + U, [(2, "", "not_utf8", "error")]),
        (T + b'{"text": "U", "weight": NaN}\n', [(2, "weight", "not_a_number", "error"), (2, "weight", "row_weight", "error")]),
        (T + b'{"text": "U", "x": [1, -Infinity]}\n', [(2, "x[1]", "not_a_number", "error"), (2, "x", "unknown_key", "warning")]),
        (T + b'{"text": "U", "text": "V"}\n', [(2, "text", "duplicate_key", "error")]),
        (T + b'{"text": "\\ud83d"}\n', [(2, "text", "half_character", "error")]),
        (T + b'{"text": "\\ud83d\\ude00"}\n', []),
        (T + b"[1]\n" + U, [(2, "", "not_object", "error")]),
        (T + b'"text"\n' + U, [(2, "", "not_object", "error")]),
        (T + b'{"text": "U"\n' + U, [(2, "", "not_json", "error")]),
        (T + b"{'text': 'U'}\n" + U, [(2, "", "not_json", "error")]),
        (T + T.rstrip() + U, [(2, "", "not_json", "error")]),
        (T + b'{"text": "a\x00b"}\n', [(2, "", "not_json", "error")]),
        (T + b'{"text": "U", "weight": 1' + b"0" * 5000 + b"}\n", [(2, "", "not_json", "error")]),
        (T + b"[" * 100_000 + b"\n" + U, [(2, "", "too_deep", "error")]),
        (T + b'{"text": "U", "x": ' + b"[" * 300 + b"]" * 300 + b"}\n", [(2, "", "too_deep", "error"), (2, "x", "unknown_key", "warning")]),
        (T + b'{"text": "' + b"x" * MAX_LINE + b'"}\n' + U, [(2, "", "line_too_long", "error")]),
        (T + U + b'{ "text":"t "}\n', [(3, "", "duplicate", "warning")]),
        (T + line_of({"prompt": "P", "completion": "C"}), [(2, "", "mixed_formats", "error")]),
    ],
)  # fmt: skip
def test_each_file_rule_is_reported(data: bytes, findings: list[Any]) -> None:
    assert findings_of(data) == findings


def test_check_reports_all_findings() -> None:
    rows = b"".join([line_of(row) for row, _, _ in BAD_ROWS]) * 2
    report = report_of(rows)
    lines = {finding.line for finding in report.findings if finding.severity == "error"}
    assert lines == set(range(1, 2 * len(BAD_ROWS) + 1))
    assert report.rows == report.lines == 2 * len(BAD_ROWS)
    # A row may have several faults.
    row = chat({**USER, "role": "alien"}, {**ANSWER, "weight": 7, "content": None}, weight=-1)
    assert Counter(code for _, _, code, _ in findings_of(line_of(row))) == Counter(
        ["row_weight", "unknown_role", "weight", "no_content"]
    )


def test_findings_beyond_the_kept_ones_are_counted() -> None:
    findings: list[Finding] = []
    report = report_of(b"[]\n" * (MAX_FINDINGS + 5), on_finding=findings.append)
    assert len(findings) == report.errors == report.counts["not_object"] == MAX_FINDINGS + 5
    assert len(report.findings) == MAX_FINDINGS
    assert f"{MAX_FINDINGS + 5 - 1000:,} more are not shown" in to_html(report)


def test_file_name_and_size_rules(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(T)
    assert [item.code for item in check(path).findings] == ["suffix"]
    assert not check_file(path)["is_check_passed"]
    path.rename(tmp_path / "data.JSONL")
    assert check(tmp_path / "data.JSONL").ok
    big = tmp_path / "big.jsonl"
    with big.open("wb") as file:
        os.truncate(file.fileno(), 51 * 2**30)
    rejections = []

    class Enough(Exception):
        pass

    def stop(finding: Finding) -> None:
        rejections.append(finding.code)
        raise Enough

    with pytest.raises(Enough):
        check(big, on_finding=stop)
    assert rejections == ["file_too_big"]
    with pytest.raises(FileNotFoundError):
        check(tmp_path / "none.jsonl")


def test_length_limit_is_exact_to_the_token() -> None:
    for row in GOOD.values():
        data = dumps(row)
        longest = max(report_of(data).lengths)
        assert report_of(data, max_tokens=longest).ok
        assert [item[2] for item in findings_of(data, max_tokens=longest - 1)] == ["too_long"]


def lengths_of(row: dict[str, Any]) -> tuple[int, ...]:
    lengths, fault = inspect_row(row).measure()
    assert lengths is not None and fault is None
    return lengths


@pytest.mark.parametrize("name", [name for name, row in GOOD.items() if row.get("messages")])
def test_tokens_equal_the_rendered_training_sample(name: str) -> None:
    row = GOOD[name]
    whole = motet.render_training(row["messages"], tools=row.get("tools") or (), dialect="chat_template")
    assert lengths_of(row) == (len(whole.ids),)


MARKED = "<|channel|>final<|message|>"


contents = st.sampled_from(["", " ", "A a", "é 青\n", "<|channel|>", MARKED, "<|end|>", "ab" * 9])


@st.composite
def nearly_plain(draw: st.DrawFn) -> list[Any]:
    """Alternating messages, some with a deviation."""
    odd = st.fixed_dictionaries(
        {}, optional={"content": contents | st.none(), "name": st.just("n"), "role": st.just("tool")}
    )
    thoughts = st.fixed_dictionaries({}, optional={"reasoning": contents, "weight": st.sampled_from([0, 1, 2, True])})
    heads: list[list[dict[str, Any]]] = [[], [SYSTEM], [USER], [{**SYSTEM, "content": MARKED}]]
    messages: list[dict[str, Any]] = [dict(item) for item in draw(st.sampled_from(heads))]
    for _ in range(draw(st.integers(1, 3))):
        messages += [{**USER, "content": draw(contents)}, {**ANSWER, "content": draw(contents), **draw(thoughts)}]
    if draw(st.integers(0, 3)) == 0:
        messages[draw(st.integers(0, len(messages) - 1))] |= dict(draw(odd))
    return [dict(draw(st.permutations([*message.items()]))) for message in messages]


def outcome(work: Any, *given: Any) -> Any:
    try:
        return work(*given)
    except motet.MotetError as error:
        return str(error)


@given(nearly_plain(), st.sampled_from([None, [TOOL]]))
def test_fast_path_equals_the_general_one(messages: list[Any], tools: Any) -> None:
    row = chat(*messages, **({"tools": tools} if tools else {}))

    def all_that_is_said() -> list[Any]:
        served = outcome(service_messages, copy.deepcopy(messages))
        report = inspect_row(row)
        return [report.findings, report.measure(), json.dumps(served)]

    fast = all_that_is_said()
    with pytest.MonkeyPatch.context() as patch:
        for module in (example_module, rows_module):
            patch.setattr(module, "is_plain", lambda messages: False)
        assert all_that_is_said() == fast
    if is_plain(messages):
        assert not fast[0]


def test_tokens_of_the_other_formats() -> None:
    assert lengths_of(GOOD["text"]) == (motet.count("T"),)
    assert lengths_of({"prompt": "One two", "completion": "three"}) == (3,)
    pair = lengths_of(preference(USER, good={**ANSWER, "reasoning": "R R R"}))
    (reasoned,) = lengths_of(chat(USER, {**ANSWER, "reasoning": "R R R"}))
    assert pair == (reasoned, *lengths_of(chat(USER, ANSWER)))


names = st.sampled_from(["f", "get_weather", "a.b"])


@st.composite
def conversations(draw: st.DrawFn) -> dict[str, Any]:
    """Valid and almost valid values."""
    messages: list[dict[str, Any]] = [dict(SYSTEM)] if draw(st.booleans()) else []
    tools = draw(st.booleans())
    for _ in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(texts)})
        if tools:
            calls = [
                {"id": draw(texts) + str(i), "type": "function", "function": {"name": draw(names), "arguments": "{}"}}
                for i in range(draw(st.integers(1, 2)))
            ]
            messages.append({"role": "assistant", "tool_calls": calls})
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(texts)} for call in calls]
        answer: dict[str, Any] = {"role": "assistant", "content": draw(texts)}
        answer |= draw(st.sampled_from([{}, {"reasoning": draw(texts)}, {"weight": 1}, {"weight": 0}]))
        messages.append(answer)
    row: dict[str, Any] = {"messages": messages}
    if tools:
        row["tools"] = [{"type": "function", "function": {"name": name}} for name in ("f", "get_weather", "a.b")]
    return row


rows = st.one_of(
    conversations(),
    st.fixed_dictionaries({"text": texts}),
    st.fixed_dictionaries({"prompt": texts, "completion": texts}),
    st.builds(lambda text: preference({"role": "user", "content": text}), texts),
    st.dictionaries(
        st.sampled_from(["text", "messages", "weight"]), st.recursive(texts | st.floats() | st.none(), st.lists)
    ),
)


ends = st.sampled_from(
    [b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n", b"", b" \n", b"\xef\xbb\xbf\n", b"\x0c\n", b"\xff\n"]
)


@given(st.lists(st.tuples(rows, st.booleans(), ends), max_size=3), st.binary(max_size=3))
@example([({"text": "\u2028\x85"}, False, b"\n")], b"")
@example([({"text": "a"}, True, b"\r")], b"")
def test_rows_that_pass_are_accepted_by_the_sdk(data: list[tuple[Any, bool, bytes]], more: bytes) -> None:
    lines = [json.dumps(row, ensure_ascii=escaped).encode("utf-8") + end for row, escaped, end in data]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").exists() else None) as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(b"".join(lines) + more)
        report = check(path)
        assert report.bytes == path.stat().st_size
        if report.ok:
            assert check_file(path)["is_check_passed"], report
            assert check_file(path)["num_samples"] == report.rows
            assert report.tokens == sum([length * times for length, times in report.lengths.items()])
