"""The help of `motet batch`: `make snapshots` rewrites this file."""

from __future__ import annotations

import sys

import pytest
from inline_snapshot import snapshot

from tests.support.command_line import help_of

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="argparse lays options out in another way from 3.13 on"
)


def test_help_of_each_command_of_batches() -> None:
    verbs = ("", " build", " submit", " watch", " collect", " retry", " cancel")
    assert {f"batch{verb}": help_of(f"batch{verb}") for verb in verbs} == snapshot(
        {
            "batch": """\
usage: motet batch [-h] [--log FILE] COMMAND ...

Ask a table of prompts in files: from their limits to a table of answers with costs.

options:
  -h, --help  show this help message and exit
  --log FILE  append requests and answers to a file, without API keys

commands:
  COMMAND
    build     write the requests of a table to files in a folder; nothing is sent
    submit    upload the files and create a job for each, or continue that
    watch     show progress until all jobs have ended; Ctrl-C leaves them running
    collect   write the answers with their costs, in the order of the prompts
    retry     write the requests without an answer to new files, which submit sends
    cancel    cancel the jobs; what was answered is billed, and collected
""",
            "batch build": """\
usage: motet batch build [-h] [--log FILE] -o FOLDER [-m SLUG] [--column NAME] [--service NAME]
                         [--lane {chat,text,ids}] [--max-requests N] [--max-bytes N]
                         [--system TEXT] [-b FILE] [--tools FILE] [--effort {low,medium,high}]
                         [--temperature T] [--seed N] [--max-tokens N] [--price INPUT,OUTPUT]
                         [--discount SHARE] [--json]
                         file

Write the requests of a table to files in a folder; nothing is sent.

positional arguments:
  file                  a .jsonl, .json, .csv or .parquet file: prompts, chats, or requests

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -o FOLDER, --output FOLDER
                        for the files of the batch
  -m SLUG, --model SLUG
                        a slug or a model id (together/gpt-oss/120b)
  --column NAME         the prompts; by default messages, prompt, or the only column
  --service NAME        who answers: together (default), vllm, sglang, ...
  --lane {chat,text,ids}
                        the form of requests (chat)
  --max-requests N      of a file (50000)
  --max-bytes N         of a file (100000000)
  --system TEXT         a system text
  -b FILE, --brief FILE
                        a file with a system text
  --tools FILE          a JSON list of tools that the model may call
  --effort {low,medium,high}
                        the reasoning effort
  --temperature T       of the sampling, from 0
  --seed N              of the sampling, where the server supports it
  --max-tokens N        tokens of an answer, reasoning included
  --price INPUT,OUTPUT  US dollars for a million tokens, without the discount
  --discount SHARE      what batches save of the price, 0 to 1
  --json                print JSON

examples:
  motet batch build prompts.jsonl -o asked --max-tokens 2000
  motet batch build prompts.parquet -o asked -m openai/gpt-oss-20b --service vllm
""",
            "batch submit": """\
usage: motet batch submit [-h] [--log FILE] [--base-url URL] [--watch] [--json] folder

Upload the files and create a job for each, or continue that.

positional arguments:
  folder          the folder of the batch

options:
  -h, --help      show this help message and exit
  --log FILE      append requests and answers to a file, without API keys
  --base-url URL  by default $TOGETHER_BASE_URL, else Together's
  --watch         watch the jobs until they have ended
  --json          print JSON

examples:
  motet batch submit asked --watch
""",
            "batch watch": """\
usage: motet batch watch [-h] [--log FILE] [--base-url URL] [--timeout SECONDS] [--json] folder

Show progress until all jobs have ended; Ctrl-C leaves them running.

positional arguments:
  folder             the folder of the batch

options:
  -h, --help         show this help message and exit
  --log FILE         append requests and answers to a file, without API keys
  --base-url URL     by default $TOGETHER_BASE_URL, else Together's
  --timeout SECONDS  stop watching then (exit code 3)
  --json             print JSON
""",
            "batch collect": """\
usage: motet batch collect [-h] [--log FILE] [--base-url URL] -o FILE [--results FILE [FILE ...]]
                           [--json]
                           folder

Write the answers with their costs, in the order of the prompts.

positional arguments:
  folder                the folder of the batch

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  -o FILE, --output FILE
                        a .parquet or .jsonl file
  --results FILE [FILE ...]
                        what another program wrote, such as vllm run-batch
  --json                print JSON

examples:
  motet batch collect asked -o answers.parquet
  motet batch collect asked -o answers.jsonl --results vllm-1.jsonl vllm-2.jsonl
""",
            "batch retry": """\
usage: motet batch retry [-h] [--log FILE] [--base-url URL] [--missing] [--json] folder

Write the requests without an answer to new files, which submit sends.

positional arguments:
  folder          the folder of the batch

options:
  -h, --help      show this help message and exit
  --log FILE      append requests and answers to a file, without API keys
  --base-url URL  by default $TOGETHER_BASE_URL, else Together's
  --missing       those without any result alone, not those that failed
  --json          print JSON
""",
            "batch cancel": """\
usage: motet batch cancel [-h] [--log FILE] [--base-url URL] [--json] folder

Cancel the jobs; what was answered is billed, and collected.

positional arguments:
  folder          the folder of the batch

options:
  -h, --help      show this help message and exit
  --log FILE      append requests and answers to a file, without API keys
  --base-url URL  by default $TOGETHER_BASE_URL, else Together's
  --json          print JSON
""",
        }
    )
