"""The help of the commands for ledgers, servers and comparisons: `make snapshots` rewrites this file."""

from __future__ import annotations

import sys

import pytest
from inline_snapshot import snapshot

from tests.support.command_line import help_of

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="argparse lays options out in another way from 3.13 on"
)


def test_help_of_costs_verify_and_diff() -> None:
    assert {name: help_of(name) for name in ("costs", "verify", "diff")} == snapshot(
        {
            "costs": """\
usage: motet costs [-h] [--log FILE] [--by NAMES] [--since TIME] [--until TIME] [--json] [--plot]
                   [--svg FILE] [-o FILE]
                   [ledger]

Sum what the answers of a ledger cost, by day, model, label or channel.

positional arguments:
  ledger                the file of the ledger; by default that of $MOTET_LEDGER

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --by NAMES            what to sum by, with commas: hour, day, month, model, requested_model,
                        service, lane, stop, error, channel, label:NAME, or nothing for all
                        (default: day)
  --since TIME          from this time on: 7d, 24h, 2026-11-26 (UTC)
  --until TIME          before this time
  --json                print JSON, with exact money as text
  --plot                print bars below the table
  --svg FILE            write the bars as a picture
  -o FILE, --output FILE
                        write the rows to a .parquet file; needs pyarrow

examples:
  motet costs usage.db
  motet costs usage.db --by model,channel --since 7d
  motet costs usage.db --by label:user --since 2026-11-01 --json
  motet costs usage.db --by day --plot
  motet costs usage.db --svg costs.svg -o usage.parquet
""",
            "verify": """\
usage: motet verify [-h] [--log FILE] [-m NAME] [--key-env NAME] [--only PROBE [PROBE ...]]
                    [--tries TRIES] [--timeout TIMEOUT] [--strict] [--list] [--all] [--json]
                    [--html FILE] [--badge FILE] [--color {auto,always,never}]
                    [url]

Probe how a server treats harmony (exit code 1 if a probe fails).

positional arguments:
  url                   the server's address; one without a path gets /v1

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -m NAME, --model NAME
                        the model to ask (default: a gpt-oss of the server's list)
  --key-env NAME        the variable with the key (default: MOTET_VERIFY_KEY)
  --only PROBE [PROBE ...]
                        groups and probes, as tools stream.done
  --tries TRIES         tries where the model does not do what a probe needs
  --timeout TIMEOUT     seconds for each request (default: 120)
  --strict              exit code 1 for inconclusive probes, too
  --list                print the probes; nothing is sent
  --all                 print the probes that pass, too
  --json                print JSON
  --html FILE           write the report as a page
  --badge FILE          write an SVG with the number of passed probes
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet verify http://localhost:8000
  motet verify https://api.together.xyz/v1 --key-env TOGETHER_API_KEY -m openai/gpt-oss-120b
  motet verify http://localhost:8000 --only tools stream.call_index
  motet verify http://localhost:8000 --html report.html --badge harmony.svg
""",
            "diff": """\
usage: motet diff [-h] [--log FILE] [--context N] [--role ROLE] [--opened HEADER] [--tools FILE]
                  [--json] [--color {auto,always,never}]
                  A B

Compare two completions, prompts or runs by frame and by token (exit code 1 if they differ).

positional arguments:
  A                     a file as motet view reads it; FILE#2 for the second of its transcripts, -
                        for standard input
  B                     what to compare with it

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --context N           equal tokens shown around each change (16)
  --role ROLE           the role of raw completions (assistant)
  --opened HEADER       the header that the prompt opened, as analysis
  --tools FILE          a JSON list of the tools that the model was given
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet diff served.json rendered.json
  motet diff run.json other.json --context 40
  motet diff cassette.jsonl#1 cassette.jsonl#2 --json
  motet render chat.json --ids | motet diff served.json -
""",
        }
    )
