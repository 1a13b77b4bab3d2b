"""The help of the commands for recorded runs: `make snapshots` rewrites this file."""

from __future__ import annotations

import sys

import pytest
from inline_snapshot import snapshot

from tests.support.command_line import help_of

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="argparse lays options out in another way from 3.13 on"
)


def test_help_of_replay() -> None:
    assert help_of("replay") == snapshot(
        """\
usage: motet replay [-h] [--log FILE] [--from N] [--tool MODULE:FUNCTION] [--prompt TEXT] [--live]
                    [--step] [-o FILE] [-m SLUG] [--base-url URL] [--json]
                    [--color {auto,always,never}]
                    RUN

Go through a recorded run again, with other tools or another prompt from a step on.

positional arguments:
  RUN                   a saved run or a checkpoint

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --from N              the first changed step (1)
  --tool MODULE:FUNCTION
                        run the calls of this tool again, and keep all other results; repeatable
  --prompt TEXT         the last user message instead of the run's; needs --live
  --live                ask the model from the first step that differs on; by default the recorded
                        answers go on
  --step                wait for the return key before each step
  -o FILE, --output FILE
                        save the replayed run
  -m SLUG, --model SLUG
                        a slug or a model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        the server; by default $TOGETHER_BASE_URL, else Together's
  --json                print the replayed run as JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet replay run.json
  motet replay run.json --tool weather:get_weather --from 3
  motet replay run.json --from 3 --prompt "Is Bern warm?" --live -o new.json
"""
    )
