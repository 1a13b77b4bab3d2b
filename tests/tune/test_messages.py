"""What users read of training data and jobs: `make snapshots` rewrites this file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from inline_snapshot import snapshot

from motet import tune
from motet.testing import Stage
from motet.tune import Example
from tests.support.messages import message_of
from tests.support.training_rows import BAD_ROWS, SECRETS, T, line_of, report_of
from tests.support.tune_service import MODEL, TuneService, service, written


def finding_of(data: bytes, **options: Any) -> str:
    finding = report_of(data, **options).findings[0]
    return f"{finding.severity} {finding.code} at {finding.path!r}: {finding.message}"


def test_messages_of_rows() -> None:
    messages = {f"{code} {path}": finding_of(line_of(row)) for row, path, code in BAD_ROWS}
    assert messages == snapshot(
        {
            "unknown_format ": "error unknown_format at '': unknown format, by the keys (none)",
            "missing_key ": "error missing_key at '': missing in a row of the format preference: input",
            "two_formats ": "error two_formats at '': keys of several formats: conversational, text",
            "no_messages messages": "error no_messages at 'messages': must be a list of messages: {}",
            "not_object messages[1]": "error not_object at 'messages[1]': must be a message: an object with a role: \"A\"",
            "no_assistant messages": "error no_assistant at 'messages': no assistant message: nothing is learned",
            "unknown_role messages[1].role": "error unknown_role at 'messages[1].role': must be 'system', 'user', 'assistant' or 'tool': \"alien\"",
            "unknown_role messages[0].role": "error unknown_role at 'messages[0].role': must be 'system', 'user', 'assistant' or 'tool': [\"user\"]",
            "missing_key messages[1]": "error missing_key at 'messages[1]': the message has no role",
            "not_text messages[0].content": "error not_text at 'messages[0].content': a list of parts; gpt-oss reads text only",
            "no_content messages[1]": "error no_content at 'messages[1]': the assistant message has neither content nor tool calls",
            "not_text messages[1].content": "error not_text at 'messages[1].content': must be a string: 3",
            "reasoning messages[1].reasoning": "error reasoning at 'messages[1].reasoning': must be a string: 3",
            "reasoning messages[1].reasoning_content": "error reasoning at 'messages[1].reasoning_content': reasoning under two keys",
            "thinking messages[1].thinking": "error thinking at 'messages[1].thinking': unknown key `thinking`",
            "misplaced_key messages[0].reasoning": "error misplaced_key at 'messages[0].reasoning': `reasoning` is for assistant messages only",
            "misplaced_key messages[0].tool_call_id": "error misplaced_key at 'messages[0].tool_call_id': `tool_call_id` is for tool results only",
            "weight messages[1].weight": "error weight at 'messages[1].weight': must be 0 or 1: \"1\"",
            "row_weight weight": "error row_weight at 'weight': must be a number from 0 on: true",
            "role_order messages[0].role": "error role_order at 'messages[0].role': the first message is the assistant's",
            "role_order messages[1].role": "error role_order at 'messages[1].role': a tool result without a preceding call",
            "role_order messages[2].role": "error role_order at 'messages[2].role': two assistant messages in a row",
            "call_id messages[2].tool_call_id": "error call_id at 'messages[2].tool_call_id': must be the id of a call: 7",
            "no_result messages[1].tool_calls[0]": "error no_result at 'messages[1].tool_calls[0]': the call '1' has no result",
            "tool_calls messages[1].tool_calls": "error tool_calls at 'messages[1].tool_calls': must be a list of calls: {}",
            "tool_calls messages[1].tool_calls[0]": 'error tool_calls at \'messages[1].tool_calls[0]\': must be a call: {"id": ..., "type": "function", "function": {...}}: "f"',
            "tool_calls messages[1].tool_calls[0].type": "error tool_calls at 'messages[1].tool_calls[0].type': must be 'function': null",
            "call_id messages[1].tool_calls[0].id": "error call_id at 'messages[1].tool_calls[0].id': must be the id of the call: null",
            "unknown_tool messages[1].tool_calls[0].function.name": "error unknown_tool at 'messages[1].tool_calls[0].function.name': the tool 'g' is not listed",
            "tool_name messages[1].tool_calls[0].function.name": "error tool_name at 'messages[1].tool_calls[0].function.name': must be the name of a tool: \"f f\"",
            "arguments messages[1].tool_calls[0].function.arguments": "error arguments at 'messages[1].tool_calls[0].function.arguments': must be a JSON object as a string: []",
            "call_id messages[1].tool_calls[1].id": "error call_id at 'messages[1].tool_calls[1].id': two open calls have the id '1'",
            "tools tools": "error tools at 'tools': must be a list of tools: {}",
            "tools tools[0]": 'error tools at \'tools[0]\': must be a tool: {"type": "function", "function": {"name": ...}}: "f"',
            "tool_name tools[1].function.name": "error tool_name at 'tools[1].function.name': two tools have the name 'f'",
            "tools tools[0].type": "error tools at 'tools[0].type': must be 'function': \"tool\"",
            "tools tools[0].function.parameters": "error tools at 'tools[0].function.parameters': must be a JSON Schema: []",
            "not_text prompt": "error not_text at 'prompt': a list of parts; gpt-oss reads text only",
            "not_text completion": "error not_text at 'completion': must be a string: 3",
            "empty text": "error empty at 'text': the text is empty",
            "not_text text": "error not_text at 'text': must be a string: 3",
            "not_object input": 'error not_object at \'input\': must be an object with `messages`: [{"role": "user", "content": "Q"}]',
            "missing_key input": "error missing_key at 'input': `input` has no `messages`",
            "role_order input.messages": "error role_order at 'input.messages': the last message is the assistant's, but the outputs are its answers",
            "unknown_role preferred_output[0].role": "error unknown_role at 'preferred_output[0].role': must be 'assistant': \"user\"",
            "not_one_message preferred_output": 'error not_one_message at \'preferred_output\': must be a list with exactly one message: [{"role": "assistant", "content": "A"...',
            "not_one_message non_preferred_output": "error not_one_message at 'non_preferred_output': must be a list with exactly one message: \"B\"",
            "no_content non_preferred_output[0]": "error no_content at 'non_preferred_output[0]': the assistant message has neither content nor tool calls",
            "null_content preferred_output[0].content": "error null_content at 'preferred_output[0].content': `content` must be a string here",
        }
    )


def test_messages_of_files() -> None:
    files = {
        "no JSON": b"{\n",
        "no UTF-8": b'{"text": "\xff"}\n',
        "a byte order mark": b"\xef\xbb\xbf" + T,
        "a blank line": T + b"\n" + T,
        "no line end": T.rstrip(),
        "a duplicate": T + T,
        "a key twice": b'{"text": "a", "text": "b"}\n',
        "NaN": b'{"text": "a", "x": NaN}\n',
        "half a character": b'{"text": "\\ud800"}\n',
        "nothing": b"",
        "two formats": T + line_of({"prompt": "P", "completion": "C"}),
        "a secret": line_of({"text": SECRETS["github"][0]}),
    }
    assert {name: finding_of(data) for name, data in files.items()} == snapshot(
        {
            "no JSON": "error not_json at '': not valid JSON at character 2: Expecting property name enclosed in double quotes",
            "no UTF-8": "error not_utf8 at '': byte 11 of the line is not UTF-8: invalid start byte",
            "a byte order mark": "error bom at '': a byte order mark",
            "a blank line": "warning blank_line at '': a blank line",
            "no line end": "warning no_final_newline at '': the last line has no line end",
            "a duplicate": "warning duplicate at '': equal to line 1, but for white space and case",
            "a key twice": "error duplicate_key at 'text': the key 'text' occurs twice in one object",
            "NaN": "error not_a_number at 'x': NaN is not JSON",
            "half a character": "error half_character at 'text': a lone surrogate: half of a character",
            "nothing": "error empty_file at '': the file is empty",
            "two formats": "error mixed_formats at '': a row of the format instruction in a file of the format text",
            "a secret": "error secret at 'text': a possible secret (github): 'ghp_…', 40 characters",
        }
    )
    assert finding_of(line_of({"text": "word " * 50}), max_tokens=20) == snapshot(
        "error too_long at '': 51 tokens, of 20 at most"
    )


EXAMPLES: dict[str, Callable[[], Any]] = {
    "no message": lambda: Example.conversation([]),
    "no answer": lambda: Example.conversation([{"role": "user", "content": "Q"}]),
    "a quality": lambda: Example.of("Q", "A", quality=2),
    "a tag": lambda: Example.of("Q", "A", tags=[""]),
    "a tool": lambda: Example.of("Q", "A", tools=["f"]),
}


def test_messages_of_examples() -> None:
    assert {name: message_of(call) for name, call in EXAMPLES.items()} == snapshot(
        {
            "no message": "DataError: nothing to learn from: an example has either messages or a text (give one of them)",
            "no answer": "DataError: nothing to learn from: messages: no assistant message: nothing is learned (add an answer)",
            "a quality": "DataError: nothing to learn from: quality: quality must be from 0 to 1: 2 (give a number)",
            "a tag": "DataError: nothing to learn from: tags: tags must be texts: ('',) (give texts)",
            "a tool": 'DataError: nothing to learn from: tools[0]: must be a tool: {"type": "function", "function": {"name": ...}}: "f" (write a tool: {"type": "function", "function": {"name": ...}})',
        }
    )


def test_messages_of_jobs(data: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with service(stages=[*[Stage("queued")] * 400, Stage("completed")]) as it:
        file = it.file(data)
        calls: dict[str, Callable[[], Any]] = {
            "n_epochs": lambda: start(it, file, n_epochs=21),
            "a setting": lambda: start(it, file, colour="red"),
            "batch_size": lambda: start(it, file, batch_size=10_000),
            "max_cost": lambda: start(it, file, max_cost="0.000001"),
            "a job": lambda: tune.job("../x", **it.how),
            "an unknown job": lambda: tune.job("ft-none", **it.how),
            "a folder": lambda: tune.upload(tmp_path, **it.how),
            "no JSON lines": lambda: tune.upload(tmp_path / "notes.txt", **it.how),
            "no download": lambda: tune.download(it.job(data), tmp_path, **it.how),
            "a job that goes on": lambda: tune.watch(it.job(data), timeout=60, **it.how),
        }
        messages = {name: message_of(call).replace(str(tmp_path), "FOLDER") for name, call in calls.items()}
    assert messages == snapshot(
        {
            "n_epochs": "ConfigError: invalid settings for openai/gpt-oss-120b: n_epochs must be between 1 and 20: 21",
            "a setting": "ConfigError: invalid settings for openai/gpt-oss-120b: unknown setting colour; known are n_epochs, n_evals, n_checkpoints, batch_size, learning_rate, warmup_ratio, weight_decay, max_seq_length, packing, lora_rank, lora_alpha, lora_dropout, full, method, dpo_beta, train_on_inputs, from_checkpoint, suffix, seed",
            "batch_size": "ConfigError: invalid settings for openai/gpt-oss-120b: batch_size must be between 8 and 16: 10000",
            "max_cost": "MaxCostError: the price of this training is estimated at 0.00013248 dollars, and max_cost is 0.000001; nothing was started",
            "a job": "ConfigError: a job must be an id of the service: '../x'",
            "an unknown job": "NotFoundError: the service has no such model or page (HTTP 404): no job ft-none",
            "a folder": "ConfigError: training data must be .jsonl or .parquet: FOLDER",
            "no JSON lines": "ConfigError: training data must be .jsonl or .parquet: FOLDER/notes.txt",
            "no download": "ConfigError: ft-00000001-9e8d is pending and has no model yet; step= names an earlier checkpoint",
            "a job that goes on": "MaxTimeError: ft-00000002-9e8d has not ended within 60 s: queued; it goes on",
        }
    )


def start(it: TuneService, file: tune.File, **settings: Any) -> Any:
    return tune.start(file, MODEL, **it.how, **settings)


def test_messages_of_reports(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl")
    report = tune.check(path)
    assert str(report).replace(str(tmp_path), "FOLDER") == snapshot(
        "Report(path='FOLDER/rows.jsonl', format='conversational', bytes=924, sha256='5e0258fa9bba7a19762d2374e681a2658922d8c5e107319735cf30684c400890', lines=6, rows=6, lengths=Counter({91: 6}), uncounted=0, counts=Counter(), errors=0, warnings=0, findings=[])"
    )
