"""The help of the commands for completions and models: `make snapshots` rewrites this file."""

from __future__ import annotations

import sys

import pytest
from inline_snapshot import snapshot

from tests.support.command_line import help_of

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="argparse lays options out in another way from 3.13 on"
)


def test_help_of_each_command() -> None:
    commands = [
        "",
        "parse",
        "render",
        "count",
        "explain",
        "ask",
        "chat",
        "estimate",
        "run",
        "models",
        "health",
        "serve",
        "demo",
    ]
    assert {name: help_of(name) for name in commands} == snapshot(
        {
            "": """\
usage: motet [-h] [--version] [--log FILE] COMMAND ...

Harmony for gpt-oss.

positional arguments:
  COMMAND
    parse     a raw completion to typed messages
    render    chat messages to a prompt
    count     how many tokens a text has
    explain   token by token, what the grammar makes of a completion
    ask       ask a model; the answer on standard output, what it cost on standard error
    chat      a conversation in the terminal, with the cost of each answer
    estimate  what an answer would cost; nothing is sent
    run       a tool loop: ask, call the tools, until the model has answered
    models    the atoms, with prices, context and grades
    health    whether the service answers and has the model (exit code 1: no)
    serve     a scripted server on this machine, to test against without a key
    data      examples to learn from: add, list, show, remove, build, check
    tune      fine-tuning: estimate, start, watch, list, cancel, download, test
    demo      a scripted replay of a tool call, streamed, with the cost by channel; needs no key
              and no network

options:
  -h, --help  show this help message and exit
  --version   show program's version number and exit
  --log FILE  write what is asked and answered to a file, without keys
""",
            "parse": """\
usage: motet parse [-h] [--ids | --text] [--stream] [--strict] [--tools FILE]
                   [--stripped {auto,always,never}] [--role ROLE] [--json]
                   [--color {auto,always,never}]
                   [file]

positional arguments:
  file                  a file; standard input if it is left out or -

options:
  -h, --help            show this help message and exit
  --ids                 the input is a JSON list of token ids
  --text                the input is text, even if it looks like a list of ids
  --stream              print events while the input arrives
  --strict              refuse what does not follow the format (exit code 4)
  --tools FILE          a JSON list of the tools that the model was given
  --stripped {auto,always,never}
                        whether to look for frames in text whose markers were taken out
  --role ROLE           the role that the prompt ended with, or none
  --json                print JSON
  --color {auto,always,never}
""",
            "render": """\
usage: motet render [-h] [--tools FILE] [--builtin {browser,python}] [--instructions INSTRUCTIONS]
                    [--reasoning-effort {low,medium,high}] [--current-date YYYY-MM-DD]
                    [--identity IDENTITY] [--knowledge-cutoff KNOWLEDGE_CUTOFF]
                    [--next-role NEXT_ROLE] [--keep-analysis {turn,all,none,openai_harmony}]
                    [--dialect {motet,openai_harmony,chat_template}] [--ids] [--json]
                    [--color {auto,always,never}]
                    [file]

positional arguments:
  file                  a JSON list of messages, or {"messages": ..., "tools": ...}

options:
  -h, --help            show this help message and exit
  --tools FILE          a JSON list of tools
  --builtin {browser,python}
                        a built-in tool
  --instructions INSTRUCTIONS
  --reasoning-effort {low,medium,high}
  --current-date YYYY-MM-DD
  --identity IDENTITY
  --knowledge-cutoff KNOWLEDGE_CUTOFF
  --next-role NEXT_ROLE
                        whose header comes last, or none
  --keep-analysis {turn,all,none,openai_harmony}
  --dialect {motet,openai_harmony,chat_template}
  --ids                 print the token ids as a JSON list
  --json                print ids, text and spans as JSON
  --color {auto,always,never}
""",
            "count": """\
usage: motet count [-h] [--special] [--json] [file ...]

positional arguments:
  file        files; standard input if there is none, or for -

options:
  -h, --help  show this help message and exit
  --special   count markers as control tokens, not as text
  --json      print JSON
""",
            "explain": """\
usage: motet explain [-h] [--ids | --text] [--strict] [--tools FILE]
                     [--stripped {auto,always,never}] [--role ROLE] [--json]
                     [--color {auto,always,never}]
                     [file]

positional arguments:
  file                  a file; standard input if it is left out or -

options:
  -h, --help            show this help message and exit
  --ids                 the input is a JSON list of token ids
  --text                the input is text, even if it looks like a list of ids
  --strict              refuse what does not follow the format (exit code 4)
  --tools FILE          a JSON list of the tools that the model was given
  --stripped {auto,always,never}
                        whether to look for frames in text whose markers were taken out
  --role ROLE           the role that the prompt ended with, or none
  --json                print JSON
  --color {auto,always,never}
""",
            "ask": """\
usage: motet ask [-h] [-m SLUG] [--base-url URL] [-b FILE] [--tools FILE]
                 [--effort {low,medium,high}] [--max-tokens N] [--max-cost USD]
                 [--timeout SECONDS] [--lane {auto,chat,text,ids}] [--color {auto,always,never}]
                 [--no-reasoning] [--json]
                 [prompt ...]

positional arguments:
  prompt                the question; standard input if there is none, or for -

options:
  -h, --help            show this help message and exit
  -m SLUG, --model SLUG
                        slug or model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  -b FILE, --brief FILE
                        for the system side
  --tools FILE          a JSON list of tools that the model may call
  --effort {low,medium,high}
                        how much the model is to think
  --max-tokens N        of an answer, reasoning included
  --max-cost USD        an answer is ended before it costs more (exit code 3)
  --timeout SECONDS     for a whole answer
  --lane {auto,chat,text,ids}
  --color {auto,always,never}
  --no-reasoning        do not show what the model thinks
  --json                print the answer and its bill as JSON
""",
            "chat": """\
usage: motet chat [-h] [-m SLUG] [--base-url URL] [-b FILE] [--tools FILE]
                  [--effort {low,medium,high}] [--max-tokens N] [--max-cost USD]
                  [--timeout SECONDS] [--lane {auto,chat,text,ids}] [--color {auto,always,never}]

options:
  -h, --help            show this help message and exit
  -m SLUG, --model SLUG
                        slug or model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  -b FILE, --brief FILE
                        for the system side
  --tools FILE          a JSON list of tools that the model may call
  --effort {low,medium,high}
                        how much the model is to think
  --max-tokens N        of an answer, reasoning included
  --max-cost USD        an answer is ended before it costs more (exit code 3)
  --timeout SECONDS     for a whole answer
  --lane {auto,chat,text,ids}
  --color {auto,always,never}
""",
            "estimate": """\
usage: motet estimate [-h] [-m SLUG] [--base-url URL] [-b FILE] [--tools FILE]
                      [--effort {low,medium,high}] [--max-tokens N] [--max-cost USD]
                      [--timeout SECONDS] [--lane {auto,chat,text,ids}]
                      [--color {auto,always,never}] [--json]
                      [prompt ...]

positional arguments:
  prompt                the question; standard input if there is none, or for -

options:
  -h, --help            show this help message and exit
  -m SLUG, --model SLUG
                        slug or model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  -b FILE, --brief FILE
                        for the system side
  --tools FILE          a JSON list of tools that the model may call
  --effort {low,medium,high}
                        how much the model is to think
  --max-tokens N        of an answer, reasoning included
  --max-cost USD        an answer is ended before it costs more (exit code 3)
  --timeout SECONDS     for a whole answer
  --lane {auto,chat,text,ids}
  --color {auto,always,never}
  --json                print JSON
""",
            "run": """\
usage: motet run [-h] [-m SLUG] [--base-url URL] [-b FILE] [--effort {low,medium,high}]
                 [--max-tokens N] [--max-cost USD] [--timeout SECONDS]
                 [--lane {auto,chat,text,ids}] [--color {auto,always,never}]
                 [--tool MODULE:FUNCTION] [--checkpoint FILE] [--unfinished {raise,rerun,skip}]
                 [--max-steps N] [--max-time SECONDS] [--tool-timeout SECONDS]
                 [--allow-text-calls] [--json]
                 [prompt ...]

positional arguments:
  prompt                the question; standard input if there is none, or for -

options:
  -h, --help            show this help message and exit
  -m SLUG, --model SLUG
                        slug or model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  -b FILE, --brief FILE
                        for the system side
  --effort {low,medium,high}
                        how much the model is to think
  --max-tokens N        of an answer, reasoning included
  --max-cost USD        an answer is ended before it costs more (exit code 3)
  --timeout SECONDS     for a whole answer
  --lane {auto,chat,text,ids}
  --color {auto,always,never}
  --tool MODULE:FUNCTION
                        a function, or made with @motet.tool
  --checkpoint FILE     keep the run here; go on with it if it is there
  --unfinished {raise,rerun,skip}
                        what becomes of interrupted calls
  --max-steps N         how often the model is asked
  --max-time SECONDS    for the whole run
  --tool-timeout SECONDS
                        for a call
  --allow-text-calls    run calls that are read from text, too
  --json                print the run as JSON
""",
            "models": """\
usage: motet models [-h] [--refresh] [--all] [--base-url URL] [--json | --markdown]

options:
  -h, --help      show this help message and exit
  --refresh       ask the service for its prices of today
  --all           those too that are not served any more
  --base-url URL  the service to ask; implies --refresh
  --json          print JSON, with the source of each figure
  --markdown      print the table as Markdown
""",
            "health": """\
usage: motet health [-h] [-m SLUG] [--base-url URL] [--json]

options:
  -h, --help            show this help message and exit
  -m SLUG, --model SLUG
                        slug or model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
""",
            "serve": """\
usage: motet serve [-h] [--style {together,vllm,sglang,llamacpp}] [--port PORT] [file ...]

positional arguments:
  file                  completions as a model writes them, a file each, given out in turn

options:
  -h, --help            show this help message and exit
  --style {together,vllm,sglang,llamacpp}
  --port PORT           0 for one that is free
""",
            "demo": """\
usage: motet demo [-h] [--color {auto,always,never}]

options:
  -h, --help            show this help message and exit
  --color {auto,always,never}
""",
        }
    )
