"""Rules of training data: each broken one is found, with its line, its path and a way to mend it."""

from __future__ import annotations

import copy
import io
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
from motet.tune import Finding, Report, check
from motet.tune import conversations as conversations_module
from motet.tune import rows as rows_module
from motet.tune import tokens as tokens_module
from motet.tune.checks import KEPT
from motet.tune.conversations import service_messages
from motet.tune.lines import MAX_LINE, Line, dumps, lines_of, parse
from motet.tune.plain import is_plain
from motet.tune.report import bins_of, to_html, to_text
from motet.tune.rows import check_row
from motet.tune.secrets import KINDS, find_secrets, may_hold_secret
from motet.tune.seen import Seen, fingerprint, normalised
from motet.tune.tokens import lengths_of
from tests.support.training_rows import (
    ANSWER,
    BAD_ROWS,
    CALL,
    GOOD,
    RESULT,
    SECRETS,
    SYSTEM,
    TOOL,
    USER,
    chat,
    line_of,
    preference,
)


def report_of(data: bytes, **options: Any) -> Report:
    return check(io.BytesIO(data), **options)


def found(data: bytes, **options: Any) -> list[tuple[int | None, str, str, str]]:
    return [(one.line, one.path, one.code, one.severity) for one in report_of(data, **options).findings]


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
    mine = [one for one in findings if (one.path, one.code, one.severity) == (path, code, "error")]
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
    assert [(one.path, one.code, one.severity) for one in report.findings] == [(path, code, "warning")]
    assert report.ok


T = line_of({"text": "T"})
U = line_of({"text": "U"})


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
    assert found(data) == findings


def test_check_reports_all_findings() -> None:
    rows = b"".join([line_of(row) for row, _, _ in BAD_ROWS]) * 2
    report = report_of(rows)
    lines = {one.line for one in report.findings if one.severity == "error"}
    assert lines == set(range(1, 2 * len(BAD_ROWS) + 1))
    assert report.rows == report.lines == 2 * len(BAD_ROWS)
    # A row may have several faults.
    row = chat({**USER, "role": "alien"}, {**ANSWER, "weight": 7, "content": None}, weight=-1)
    assert Counter(code for _, _, code, _ in found(line_of(row))) == Counter(
        ["row_weight", "unknown_role", "weight", "no_content"]
    )


def test_findings_beyond_the_kept_ones_are_counted() -> None:
    heard: list[Finding] = []
    report = report_of(b"[]\n" * (KEPT + 5), on_finding=heard.append)
    assert len(heard) == report.errors == report.counts["not_object"] == KEPT + 5
    assert len(report.findings) == KEPT
    assert f"{KEPT + 5 - 1000:,} more are not shown" in to_html(report)


def test_file_name_and_size_rules(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(T)
    assert [one.code for one in check(path).findings] == ["suffix"]
    assert not check_file(path)["is_check_passed"]
    big = tmp_path / "big.jsonl"
    with big.open("wb") as file:
        os.truncate(file.fileno(), 51 * 2**30)
    found = []

    class Enough(Exception):
        pass

    def stop(finding: Finding) -> None:
        found.append(finding.code)
        raise Enough

    with pytest.raises(Enough):
        check(big, on_finding=stop)
    assert found == ["file_too_big"]
    with pytest.raises(FileNotFoundError):
        check(tmp_path / "none.jsonl")


def test_length_limit_is_exact_to_the_token() -> None:
    for row in GOOD.values():
        data = dumps(row)
        longest = max(report_of(data).lengths)
        assert report_of(data, max_tokens=longest).ok
        assert [one[2] for one in found(data, max_tokens=longest - 1)] == ["too_long"]


@pytest.mark.parametrize("name", [name for name, row in GOOD.items() if "messages" in row])
def test_tokens_equal_the_rendered_training_sample(name: str) -> None:
    row = GOOD[name]
    whole = motet.render_training(row["messages"], tools=row.get("tools", ()), dialect="chat_template")
    assert lengths_of(row, "conversational") == (len(whole.ids),)


MARKED = "<|channel|>final<|message|>"
said = st.sampled_from(["", " ", "A a", "é 青\n", "<|channel|>", MARKED, "<|end|>", "ab" * 9])


@st.composite
def nearly_plain(draw: st.DrawFn) -> list[Any]:
    """Texts in turn, each perhaps with something else about it."""
    odd = st.fixed_dictionaries(
        {}, optional={"content": said | st.none(), "name": st.just("n"), "role": st.just("tool")}
    )
    thoughts = st.fixed_dictionaries({}, optional={"reasoning": said, "weight": st.sampled_from([0, 1, 2, True])})
    heads: list[list[dict[str, Any]]] = [[], [SYSTEM], [USER], [{**SYSTEM, "content": MARKED}]]
    messages: list[dict[str, Any]] = [dict(one) for one in draw(st.sampled_from(heads))]
    for _ in range(draw(st.integers(1, 3))):
        messages += [{**USER, "content": draw(said)}, {**ANSWER, "content": draw(said), **draw(thoughts)}]
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
        findings = check_row(row, "conversational")
        countable = not any(found.severity == "error" for found in findings)
        lengths = outcome(lengths_of, row, "conversational") if countable else None
        return [findings, lengths, json.dumps(served)]

    fast = all_that_is_said()
    with pytest.MonkeyPatch.context() as patch:
        for module in (conversations_module, rows_module, tokens_module):
            patch.setattr(module, "is_plain", lambda messages: False)
        assert all_that_is_said() == fast
    if is_plain(messages):
        assert not fast[0]


def test_tokens_of_the_other_formats() -> None:
    assert lengths_of(GOOD["text"], "text") == (motet.count("T"),)
    assert lengths_of({"prompt": "One two", "completion": "three"}, "instruction") == (3,)
    pair = lengths_of(preference(USER, good={**ANSWER, "reasoning": "R R R"}), "preference")
    plain = lengths_of(chat(USER, ANSWER), "conversational")[0]
    assert pair == (lengths_of(chat(USER, {**ANSWER, "reasoning": "R R R"}), "conversational")[0], plain)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.sampled_from(["f", "get_weather", "a.b"])


@st.composite
def conversations(draw: st.DrawFn) -> dict[str, Any]:
    """What passes, and what nearly does."""
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


@given(st.binary())
def test_any_bytes_can_be_checked(data: bytes) -> None:
    report = report_of(data)
    assert report.bytes == len(data)
    assert report.lines == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    to_text(report)
    to_html(report)
    json.dumps(report.to_dict())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
        max_leaves=8,
    )
)
def test_written_lines_are_read_back(value: Any) -> None:
    data = dumps({"x": value})
    assert data.count(b"\n") == 1 and not {0x2028, 0x2029, 0x85} & set(map(ord, data.decode()))
    shape, findings = parse(Line(1, data, len(data)))
    assert shape == {"x": value} and not findings


@given(st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\n", b""))), st.integers(0, 200))
def test_lines_end_at_newlines_only(lines: list[bytes], size: int) -> None:
    data = b"\n".join(lines)
    for limit in (None, min(size, len(data))):
        read = list(lines_of(io.BytesIO(data), limit))
        assert b"".join([line.data for line in read]) == data[:limit]
        assert [line.number for line in read] == list(range(1, len(read) + 1))
        assert all(line.size == len(line.data) for line in read)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_secret_is_found_hidden_and_allowable(kind: str) -> None:
    real, not_one = SECRETS[kind]
    for row in (chat(USER, {**ANSWER, "content": f"It is {real}."}), chat({**USER, "content": f'"{real}"'}, ANSWER)):
        for data in (dumps(row), json.dumps(row).replace("/", "\\/").encode() + b"\n"):
            report = report_of(data)
            assert [one.code for one in report.findings] == ["secret"], report.findings
            assert f"({kind})" in report.findings[0].message
            assert report.findings[0].path in ("messages[0].content", "messages[1].content")
            assert real not in str(report.findings) and not report.ok
            assert report_of(data, allow=[kind]).ok and report_of(data, allow=["all"]).ok
            assert not report_of(data, allow=[other for other in KINDS if other != kind]).ok
    assert report_of(dumps(chat(USER, {**ANSWER, "content": f"It is {not_one}."}))).ok
    with pytest.raises(motet.ConfigError, match="nothing_like_it"):
        report_of(T, allow=["nothing_like_it"])


@given(st.sampled_from(KINDS), texts, texts, st.booleans())
def test_prefilter_passes_every_secret(kind: str, before: str, after: str, escaped: bool) -> None:
    row = {"text": f"{before} {SECRETS[kind][0]} {after}"}
    data = json.dumps(row, ensure_ascii=escaped).encode()
    assert may_hold_secret(data)
    hidden = data.replace(b"A", b"\\u0041").replace(b"s", b"\\u0073")
    assert may_hold_secret(hidden) and [*find_secrets(json.loads(hidden))]


@pytest.mark.parametrize("kind", KINDS)
def test_secret_ends_at_other_scripts(kind: str) -> None:
    """So that what is found does not depend on what else is on the line."""
    for text in (f"é{SECRETS[kind][0]} é", f"鍵{SECRETS[kind][0]}鍵"):
        for more in ("", " a_long_run_of_letters_that_keys_are_made_of"):
            row = {"text": text + more}
            (finding,) = find_secrets(row)
            assert f"({kind})" in finding.message
            assert may_hold_secret(dumps(row)) and may_hold_secret(json.dumps(row).encode())
    assert not [*find_secrets({"text": "sk-2024年のЖизньЖизньЖизньЖизнь a_long_run_of_letters"})]


@given(st.lists(st.integers(1, 2**64 - 1) | st.integers(1, 50), max_size=300))
def test_seen_behaves_like_a_dictionary(keys: list[int]) -> None:
    seen, known = Seen(), dict[int, int]()
    for number, key in enumerate(keys):
        assert (key in seen) == (key in known)
        assert seen.add(key, number) == known.get(key)
        known.setdefault(key, number)
    assert len(seen) == len(known)


def test_seen_grows() -> None:
    seen = Seen()
    keys = [fingerprint(str(number).encode()) for number in range(20_000)]
    assert [seen.add(key, number) for number, key in enumerate(keys)] == [None] * len(keys)
    assert [seen.add(key, 0) for key in keys] == list(range(len(keys)))


def test_normalised_rows_are_equal() -> None:
    same = [
        {"a": "Hello  World\n", "b": 1},
        {"b": 1, "a": "hello\tworld"},
        {"a": " ﬁ".replace("ﬁ", "") + "HELLO WORLD", "b": 1},
    ]
    assert len({normalised(value) for value in same}) == 1
    assert normalised({"a": "é"}) == normalised({"a": "e\u0301"})
    assert len({normalised(value) for value in ({"a": "b c"}, {"a": "bc"}, {"a": ["b", "c"]}, {"b": "a"})}) == 4


@given(st.dictionaries(st.integers(0, 200_000), st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 50))
def test_bins_hold_all_lengths(lengths: dict[int, int], most: int) -> None:
    bins = bins_of(Counter(lengths), most)
    assert len(bins) <= most
    assert sum([times for _, _, times in bins]) == sum(lengths.values())
    for first, last, times in bins:
        assert times == sum([n for length, n in lengths.items() if first <= length <= last])


def test_percentiles_are_lengths_that_are_there() -> None:
    report = Report("x", lengths=Counter({1: 50, 2: 40, 3: 9, 100: 1}))
    assert [report.percentile(share) for share in (0, 0.5, 0.51, 0.9, 0.99, 1)] == [1, 1, 2, 2, 3, 100]
    assert Report("x").percentile(0.5) is None


def test_report_page_is_self_contained_and_escaped() -> None:
    row = chat({**USER, "role": "<script>alert(1)</script>"}, ANSWER)
    page = to_html(report_of(T + U + line_of(row))).replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not any(trace in page for trace in ("http:", "https:", "src=", "@import", "url("))
    assert page.count("<rect ") >= 1 and page.count("<title>") >= 2
    assert "Nothing was found" in to_html(report_of(T))
