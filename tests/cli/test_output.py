"""What each command prints: `make snapshots` rewrites this file."""

from __future__ import annotations

import re
from pathlib import Path

from inline_snapshot import snapshot

from motet.testing import ScriptedServer
from tests.support.command_line import BROKEN, RAW, Result, run


def without_times(result: Result) -> Result:
    """A result whose measured times are `N`."""
    return result._replace(out=re.sub(r"\d+(\.\d+)? (ms|s)\b", r"N \2", result.out))


def test_output_of_parse() -> None:
    assert run("parse", stdin=RAW) == snapshot(
        Result(
            code=0,
            out="""\
reasoning
think

tool_call f  (read from text: not trusted)
{"a": 1}

stop: call   lane: text   tokens: analysis 1, commentary 6, final 0, markup 18
""",
            err="",
        )
    )
    assert run("parse", stdin=BROKEN) == snapshot(
        Result(
            code=0,
            out="""\
reasoning
think

text
Hi

stop: return   lane: text   tokens: analysis 1, commentary 0, final 1, markup 8
! missing_start at 42: '<|channel|>': header without <|start|>; the role is read as assistant
""",
            err="",
        )
    )
    assert run("parse", "--stream", stdin=BROKEN) == snapshot(
        Result(
            code=0,
            out="""\
reasoning
think

! missing_start at 42: '<|channel|>': header without <|start|>; the role is read as assistant
text
Hi

stop: return   tokens: analysis 1, commentary 0, final 1, markup 8
""",
            err="",
        )
    )
    assert run("parse", "--strict", stdin=BROKEN) == snapshot(
        Result(
            code=4,
            out="",
            err="""\
motet: missing_start at 42 (start): "<|channel|>": header without <|start|>; the role is read as assistant; expected <|start|>
    <|channel|>analysis<|message|>think<|end|><|channel|>final<|message|>Hi<|return|>
                                              ^^^^^^^^^^^
""",
        )
    )


def test_output_of_explain() -> None:
    assert run("explain", stdin=BROKEN) == snapshot(
        Result(
            code=0,
            out="""\
     0  200005  '<|channel|>'  marker
     1   35644  'analysis'     header
     2  200008  '<|message|>'  reasoning begins (assistant analysis)
     3   49631  'think'        content of analysis
     4  200007  '<|end|>'      reasoning ends (end)
     5  200005  '<|channel|>'  marker
                ! missing_start  '<|channel|>'  header without <|start|>; the role is read as assistant
     6   17196  'final'        header
     7  200008  '<|message|>'  text begins (assistant final)
     8   12194  'Hi'           content of final
     9  200002  '<|return|>'   text ends (return)
""",
            err="",
        )
    )
    assert run("explain", "--strict", stdin=BROKEN) == snapshot(
        Result(
            code=4,
            out="""\
     0  200005  '<|channel|>'  marker
     1   35644  'analysis'     header
     2  200008  '<|message|>'  reasoning begins (assistant analysis)
     3   49631  'think'        content of analysis
     4  200007  '<|end|>'      reasoning ends (end)
>    5  200005  '<|channel|>'  not read
                ! missing_start  '<|channel|>'  expected <|start|>
     6   17196  'final'        not read
     7  200008  '<|message|>'  not read
""",
            err="""\
motet: missing_start at 5 (start): "<|channel|>": header without <|start|>; the role is read as assistant; expected <|start|>
    <|channel|>analysis<|message|>think<|end|><|channel|>
                                              ^^^^^^^^^^^
""",
        )
    )


def test_output_of_render() -> None:
    prompt = '{"messages": [{"role": "user", "content": "Hi"}], "current_date": "2026-01-02"}'
    assert run("render", stdin=prompt) == snapshot(
        Result(
            code=0,
            out="""\
<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.
Knowledge cutoff: 2024-06
Current date: 2026-01-02

Reasoning: medium

# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|><|start|>user<|message|>Hi<|end|><|start|>assistant
""",
            err="",
        )
    )
    assert run("render", stdin="{") == snapshot(
        Result(
            code=1,
            out="",
            err="motet: standard input is not JSON: line 1, column 2\n",
        )
    )


def test_output_of_count(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Hello world")
    assert run("count", "a.txt", folder=tmp_path) == snapshot(Result(code=0, out="2\n", err=""))
    assert run("count", "a.txt", "none.txt", folder=tmp_path) == snapshot(
        Result(
            code=1,
            out="""\
2  a.txt
2  total
""",
            err="motet: no such file or folder: 'none.txt'\n",
        )
    )


def test_output_of_ask(service: ScriptedServer) -> None:
    assert run("ask", "--lane", "chat", "Hi").out == snapshot("Hello!\n")
    assert run("ask", "--lane", "chat", "--max-cost", "0.0000001", "Hi") == snapshot(
        Result(
            code=3,
            out="",
            err="motet: the prompt alone costs 0.0000102 dollars, more than max_cost=1E-7; nothing was sent\n",
        )
    )
    assert run("ask") == snapshot(
        Result(code=2, out="", err="motet: the prompt is empty: give it as an argument or on standard input\n")
    )
    assert run("ask", "Hi", "-m", "together/gpt-oss/121b") == snapshot(
        Result(
            code=2,
            out="",
            err="motet: no atom has the slug 'together/gpt-oss/121b'; did you mean together/gpt-oss/120b or together/gpt-oss/20b or together/deepseek/r1?\n",
        )
    )
    assert run("ask", "Hi", "--max-tokens", "0").err.splitlines()[-1] == snapshot(
        "motet: --max-tokens must be a whole number from 1: '0'; see motet ask --help"
    )


def test_output_of_estimate(service: ScriptedServer) -> None:
    assert run("estimate", "--lane", "chat", "--max-tokens", "100", "Hi") == snapshot(
        Result(
            code=0,
            out="""\
together/gpt-oss/120b: a prompt of 68 tokens
answer    tokens  cost
low            0    $0.0000102
expected     100    $0.0000702
high         100    $0.0000702
the atom has no answers yet: 1000 expected tokens are a rule of thumb
""",
            err="",
        )
    )


def test_output_of_health(service: ScriptedServer) -> None:
    assert without_times(run("health")) == snapshot(
        Result(code=0, out="ok: openai/gpt-oss-120b is served; answered in N ms\n", err="")
    )
    assert run("health", "-m", "some/model") == snapshot(
        Result(code=1, out="not ok: the server responds and does not serve some/model\n", err="")
    )


def test_output_of_demo() -> None:
    assert without_times(run("demo")) == snapshot(
        Result(
            code=0,
            out="""\
Scripted replay: a server on this machine plays back two completions;
no model is asked, and nothing is billed.

--- together/gpt-oss/120b is asked, with a prompt of 181 tokens:
Do I need an umbrella in Lisbon this afternoon?

reasoning
The user wants to know whether it will rain in Lisbon this afternoon. I have a forecast tool, so I should not guess. Six hours cover the afternoon.

preamble
Let me look at the forecast for Lisbon.

tool_call functions.get_forecast
{"city": "Lisbon, Portugal", "hours": 6}

prompt      181  $0.00002715
analysis     32  $0.0000192
commentary   24  $0.0000144
markup       27  $0.0000162
total       264  $0.00007695
openai/gpt-oss-120b, lane ids, N s, first token after N s, 46% of the cost is analysis and markup

--- the tool returns:
{"15:00": {"rain": 0.6, "mm": 1}, "16:00": {"rain": 0.8, "mm": 4}, "18:00": {"rain": 0.1, "mm": 0}}

reasoning
Rain probability peaks at 80% at 16:00, with 4 mm. So yes: an umbrella.

text
Yes, take one. ☔ Rain is likely from about 15:00, heaviest around 16:00 (80 %, some 4 mm), and it clears up after 18:00.

prompt    336  $0.0000504
analysis   24  $0.0000144
final      42  $0.0000252
markup     10  $0.000006
total     412  $0.000096
openai/gpt-oss-120b, lane ids, N s, first token after N s, 21% of the cost is analysis and markup

Rendered again, the parsed completions are identical to what the model wrote.
""",
            err="",
        )
    )


def test_output_of_data(tmp_path: Path) -> None:
    added = run("data", "add", "--request", "Is Paris warm?", "--response", "24 degrees.", folder=tmp_path)
    assert added == snapshot(
        Result(code=0, out="1 new of 1 in examples.jsonl: 64de08d1a34dacfa7187aac8588877c4\n", err="")
    )
    assert run("data", "list", folder=tmp_path) == snapshot(
        Result(
            code=0,
            out="""\
64de08d1a34d     -  Is Paris warm?
1 examples: conversational 1; 0 with reasoning, 0 with tool calls
quality: unknown on average, known of 0; tags: none
""",
            err="",
        )
    )
    assert run("data", "build", folder=tmp_path) == snapshot(
        Result(code=0, out="train.jsonl: 1 rows, 78 tokens, the longest 78, 111 bytes\n", err="")
    )
    assert run("data", "check", "train.jsonl", folder=tmp_path) == snapshot(
        Result(
            code=0,
            out="""\
train.jsonl: valid
  format    conversational
  rows      1 in 111 bytes
  tokens    78
  lengths   min 78, median 78, 90% 78, 99% 78, max 78
  findings  0 errors, 0 warnings

  78  1 ████████████████████████████████████████
""",
            err="",
        )
    )
    (tmp_path / "bad.jsonl").write_text('{"prompt": "P"}\n')
    assert run("data", "check", "bad.jsonl", folder=tmp_path) == snapshot(
        Result(
            code=1,
            out="""\
error missing_key line 1: missing in a row of the format instruction: completion (add it)

bad.jsonl: invalid
  format    unknown
  rows      1 in 16 bytes
  tokens    unknown: 1 rows cannot be counted
  findings  1 errors, 0 warnings
          1 missing_key
""",
            err="",
        )
    )
    assert run("data", "show", "nothing", folder=tmp_path) == snapshot(
        Result(code=1, out="", err="motet: no example has an id that begins with 'nothing'\n")
    )
