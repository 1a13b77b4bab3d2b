"""Tables become files of requests: limits, formats, lanes, and rows that cannot be asked."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import motet
from motet import batch
from motet.errors import ConfigError, DataError
from tests.support.batch_service import batch_server, prompts
from tests.support.server_scripts import WEATHER, final


def lines(built: batch.Batch) -> list[dict[str, Any]]:
    return [json.loads(line) for part in built.parts for line in (built.folder / part.name).read_text().splitlines()]


@pytest.mark.parametrize(("limits", "sizes"), [({"max_requests": 3}, [3, 3, 1]), ({"max_bytes": 500}, [4, 3])])
def test_limits_split_requests_into_files(tmp_path: Path, limits: dict[str, int], sizes: list[int]) -> None:
    built = batch.build(prompts(7), tmp_path / "b", **limits)
    assert [part.requests for part in built.parts] == sizes
    for part in built.parts:
        assert (tmp_path / "b" / part.name).stat().st_size == part.bytes
    assert [line["body"]["messages"][0]["content"] for line in lines(built)] == prompts(7)
    assert len({line["custom_id"] for line in lines(built)}) == 7
    assert built.prompt_tokens == sum(
        motet.atom("together/gpt-oss/120b").estimate(text).tokens.input or 0 for text in prompts(7)
    )


def test_request_above_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bytes, and a file at most 300"):
        batch.build(["short", "long " * 100], tmp_path / "b", max_bytes=300)
    assert [path.name for path in (tmp_path / "b").iterdir()] == [".lock"]
    assert batch.build(["short"], tmp_path / "b").requests == 1


def test_lines_have_the_format_of_the_service(tmp_path: Path) -> None:
    together = lines(batch.build(prompts(1), tmp_path / "t"))
    openai = lines(batch.build(prompts(1), tmp_path / "o", "openai/gpt-oss-20b", service="vllm"))
    assert set(together[0]) == {"custom_id", "body"}
    assert {**openai[0], "custom_id": "", "body": {}} == {
        "custom_id": "",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {},
    }
    assert len(openai[0]["custom_id"]) <= 64


def test_raw_lane_has_prompts_of_token_ids(tmp_path: Path) -> None:
    built = batch.build(
        prompts(2), tmp_path / "b", "openai/gpt-oss-20b", service="vllm", lane="ids", current_date="2026-11-26"
    )
    first = lines(built)[0]
    rendered = motet.render([{"role": "user", "content": "question 0"}], current_date="2026-11-26")
    assert (first["url"], first["body"]["prompt"]) == ("/v1/completions", rendered.ids)
    # The results of a server that sends ids, and of one that sends text.
    ids = motet.encode("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant" + final("Yes"), special="token")
    choices = [{"index": 0, "text": "", "token_ids": ids, "finish_reason": "stop"}]
    choices.append({"index": 0, "text": motet.decode(ids[:-1]), "finish_reason": "stop"})
    rows = [
        {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": {"choices": [choice]}}, "error": None}
        for line, choice in zip(lines(built), choices, strict=True)
    ]
    (tmp_path / "out.jsonl").write_text("".join([json.dumps(row) + "\n" for row in rows]))
    results = [*batch.collect(tmp_path / "b", results=[tmp_path / "out.jsonl"])]
    assert [(row["text"], row["reasoning"], row["error"]) for row in results] == [("Yes", "Hm.", None)] * 2
    # Without a usage the cost is unknown, and not zero.
    assert [(row["output_tokens"], row["cost"]) for row in results] == [(None, None)] * 2


def test_ready_requests_are_taken_as_they_are(tmp_path: Path) -> None:
    rows = [
        {
            "custom_id": f"mine-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": text}], "top_p": 0.5},
        }
        for number, text in enumerate(prompts(2))
    ]
    (tmp_path / "requests.jsonl").write_text("".join([json.dumps(row) + "\n" for row in rows]))
    built = batch.build(tmp_path / "requests.jsonl", tmp_path / "b", openai_format=True)
    assert lines(built) == rows
    assert (built.model, built.slug) == ("openai/gpt-oss-120b", "together/gpt-oss/120b")
    with batch_server() as it:
        results = it.run(tmp_path / "b")
        assert [row["text"] for row in results] == ["You asked: question 0", "You asked: question 1"]
        assert results.summary.cost
    with pytest.raises(DataError, match="row 1: the custom_id 'mine-0' occurs twice"):
        batch.build([rows[0], rows[0]], tmp_path / "c")
    with pytest.raises(DataError, match="row 1 is a prompt, and rows before it are requests"):
        batch.build([rows[0], {"prompt": "x"}], tmp_path / "d")
    with pytest.raises(DataError, match="custom_id must be a text of 1 to 64 characters"):
        batch.build([{**rows[0], "custom_id": "x" * 65}], tmp_path / "e")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            [{"prompt": "a"}, {"prompt": None}],
            "row 1: a row has no column 'messages' or 'prompt'|the prompt is missing",
        ),
        ([{"prompt": "a"}, {"messages": "[half"}], "row 1: messages are not JSON"),
        ([{"prompt": "a"}, {"prompt": "b", "messages": [{"role": "nobody"}]}], "row 1: "),
        ([], "the table has no rows"),
        ([7], "row 0 must be an object with columns, or a text"),
    ],
)
def test_row_that_cannot_be_asked_is_named(tmp_path: Path, table: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        batch.build(table, tmp_path / "b")
    with pytest.raises(ConfigError, match="has no batch"):
        batch.submit(tmp_path / "b", backend=object())  # type: ignore[arg-type]


def test_options_that_need_a_connection_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="retries, timeout cannot be given for a batch"):
        batch.build(prompts(1), tmp_path / "b", timeout=5, retries=1)
    with pytest.raises(ConfigError, match="service must be one of"):
        batch.build(prompts(1), tmp_path / "b", service="nowhere")


def test_discount_and_price_decide_the_cost(tmp_path: Path) -> None:
    full = batch.build(prompts(1), tmp_path / "full")
    batch.build(prompts(1), tmp_path / "half", discount="0.5", price={"input": "1", "output": "2"})
    unknown = batch.build(prompts(1), tmp_path / "unknown", "together/kimi/k3")
    assert full.discount == 0
    assert "togethercomputer/skills" in full.discount_source
    assert unknown.discount is None
    with batch_server() as it:
        rows = {name: next(iter(it.run(tmp_path / name))) for name in ("full", "half", "unknown")}
    row = rows["half"]
    assert row["cost"] == (Decimal(row["input_tokens"]) + 2 * row["output_tokens"]) / 2 / 10**6
    assert (
        rows["full"]["cost"]
        == (Decimal("0.15") * rows["full"]["input_tokens"] + Decimal("0.60") * rows["full"]["output_tokens"]) / 10**6
    )
    assert rows["unknown"]["cost"] is None
    assert rows["unknown"]["text"] == "You asked: question 0"


class Verdict(BaseModel):
    safe: bool


def test_typed_answers_and_tool_calls_are_collected(tmp_path: Path) -> None:
    typed = batch.build(prompts(2), tmp_path / "typed", output=Verdict)
    assert lines(typed)[0]["body"]["response_format"]["type"] == "json_schema"
    script = iter([final("not JSON"), final('{"safe": true}')])
    with batch_server(lambda _: next(script)) as it:
        it.run(tmp_path / "typed")
        rows = [*it.client.collect(tmp_path / "typed", output=Verdict)]
    assert [row["output"] for row in rows] == ['{"safe":true}', None]
    assert rows[1]["error_type"] == "InvalidJsonError"
    call = '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>'
    batch.build(prompts(1), tmp_path / "tools", tools=[WEATHER])
    with batch_server(lambda _: call) as it:
        (row,) = it.run(tmp_path / "tools")
    assert [(made["name"], made["arguments"]) for made in row["tool_calls"]] == [("get_weather", '{"city": "Paris"}')]
    assert row["finish"] == "tool_calls"


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ({"error": {"message": "Invalid model", "code": "invalid_model"}}, "Invalid model"),
        ({"response": {"status_code": 400, "body": {"error": {"message": "no such model"}}}, "error": None}, "no such"),
        ({"response": {"status_code": 404, "body": None}, "error": {"message": "URL is not supported"}}, "URL is not"),
        ({"response": None, "error": None}, "neither a response nor an error"),
    ],
    ids=["together", "openai", "vllm", "neither"],
)
def test_errors_of_every_service_are_read(tmp_path: Path, shape: dict[str, Any], error: str) -> None:
    built = batch.build(prompts(1), tmp_path / "b", "openai/gpt-oss-20b", service="vllm")
    row = {"custom_id": lines(built)[0]["custom_id"], **shape}
    (tmp_path / "out.jsonl").write_text(json.dumps(row) + "\n")
    (result,) = batch.collect(tmp_path / "b", results=[tmp_path / "out.jsonl"])
    assert error in result["error"]
    assert result["text"] is None


def test_damaged_results_name_their_line(tmp_path: Path) -> None:
    batch.build(prompts(1), tmp_path / "b", "openai/gpt-oss-20b", service="vllm")
    (tmp_path / "out.jsonl").write_text("half {\n")
    with pytest.raises(DataError, match=r"out.jsonl, byte 0: not JSON"):
        _ = batch.collect(tmp_path / "b", results=[tmp_path / "out.jsonl"]).summary
    with pytest.raises(DataError, match=r"out.jsonl, line 1: not JSON"):
        [*batch.read_results(tmp_path / "out.jsonl")]


def test_damaged_folder_is_refused(tmp_path: Path) -> None:
    batch.build(prompts(1), tmp_path / "b")
    manifest = tmp_path / "b" / "batch.json"
    shape = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**shape, "version": 9}))
    with pytest.raises(ConfigError, match="is of version 9, and this motet reads version 1"):
        batch.Batch.load(tmp_path / "b")
    manifest.write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read as a batch"):
        batch.Batch.load(tmp_path / "b")
