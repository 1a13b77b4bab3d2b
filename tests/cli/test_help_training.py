"""The help of `motet data` and `motet tune`: `make snapshots` rewrites this file."""

from __future__ import annotations

import sys

import pytest
from inline_snapshot import snapshot

from tests.support.command_line import help_of

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="argparse lays options out in another way from 3.13 on"
)


def test_help_of_each_command_of_training() -> None:
    commands = [
        "data",
        "data add",
        "data list",
        "data show",
        "data remove",
        "data build",
        "data check",
        "tune",
        "tune estimate",
        "tune start",
        "tune watch",
        "tune list",
        "tune cancel",
        "tune download",
        "tune test",
    ]
    assert {name: help_of(name) for name in commands} == snapshot(
        {
            "data": """\
usage: motet data [-h] [--log FILE] COMMAND ...

Keep examples to train on, and build and check data sets.

options:
  -h, --help  show this help message and exit
  --log FILE  append requests and answers to a file, without API keys

commands:
  COMMAND
    add       add an example, or the examples of a file
    list      list examples, with statistics
    show      show an example as the model trains on it
    remove    remove examples from the file
    build     build training data from examples
    check     check whether a file is valid training data (exit code 1 if not)
""",
            "data add": """\
usage: motet data add [-h] [--log FILE] [-f FILE] [--request TEXT] [--response TEXT]
                      [--thinking TEXT] [--system TEXT] [--rejected TEXT] [--completion FILE]
                      [--from FILE] [--tools FILE] [--quality Q] [--tag TAG] [--workers N]
                      [--json] [--color {auto,always,never}]

Add an example, or the examples of a file.

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  --request TEXT        the user's text; - for standard input
  --response TEXT       the answer; - for standard input
  --thinking TEXT       the reasoning before the answer
  --system TEXT         the system text
  --rejected TEXT       a worse answer, for preference data
  --completion FILE     the answer as a raw completion: text or token ids
  --from FILE           a saved run, a transcript, a cassette, or training data in JSON lines; -
                        for standard input
  --tools FILE          a JSON list of the model's tools
  --quality Q           from 0 to 1
  --tag TAG             repeatable
  --workers N           processes for a large file (1)
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet data add --request "Is Paris warm?" --response "Yes." --thinking "24 degrees."
  motet data add --from run.json --tag weather --quality 0.9
""",
            "data list": """\
usage: motet data list [-h] [--log FILE] [-f FILE] [--min-quality Q] [--tag TAG] [--stats]
                       [--json] [--color {auto,always,never}]

List examples, with statistics.

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  --min-quality Q       only examples of at least this quality
  --tag TAG             only examples with this tag; repeatable
  --stats               the statistics alone
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet data list --min-quality 0.8
""",
            "data show": """\
usage: motet data show [-h] [--log FILE] [-f FILE] [--json] [--color {auto,always,never}] id

Show an example as the model trains on it.

positional arguments:
  id                    the id, or its beginning

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR
""",
            "data remove": """\
usage: motet data remove [-h] [--log FILE] [-f FILE] [--json] [--color {auto,always,never}]
                         id [id ...]

Remove examples from the file.

positional arguments:
  id                    ids, or their beginnings

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR
""",
            "data build": """\
usage: motet data build [-h] [--log FILE] [-f FILE] [-o FILE] [--validation FILE]
                        [--fraction FRACTION]
                        [--format {conversational,instruction,preference,text}] [--min-quality Q]
                        [--tag TAG] [--dedupe {normalised,exact,none}] [--max-tokens N]
                        [--split {reasoning,all,none}] [--allow KIND] [--workers N] [--json]
                        [--color {auto,always,never}]

Build training data from examples.

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  -o FILE, --output FILE
                        training data (train.jsonl)
  --validation FILE     validation data, a share of the examples
  --fraction FRACTION   the share of the validation data (0.1)
  --format {conversational,instruction,preference,text}
  --min-quality Q       only examples of at least this quality
  --tag TAG             only examples with this tag; repeatable
  --dedupe {normalised,exact,none}
  --max-tokens N        leave out longer examples
  --split {reasoning,all,none}
                        the answers that become rows of their own (reasoning)
  --allow KIND          accept secrets of this kind: jwt, card, ... or all; repeatable
  --workers N           processes for a large file (1)
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet data build --validation held.jsonl --fraction 0.2
  motet data build --format preference
""",
            "data check": """\
usage: motet data check [-h] [--log FILE] [--max-tokens N] [--html FILE] [--template FILE]
                        [--stop TOKEN] [--max-findings N] [--allow KIND] [--workers N] [--json]
                        [--color {auto,always,never}]
                        [file]

Check whether a file is valid training data (exit code 1 if not).

positional arguments:
  file                  training data; by default, or for -, standard input

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --max-tokens N        the longest sequence
  --html FILE           write a page with a histogram of lengths
  --template FILE       a chat template (Jinja) to check as well
  --stop TOKEN          a stop token of the template's model
  --max-findings N      findings to print; 100 by default, with --json all
  --allow KIND          accept secrets of this kind: jwt, card, ... or all; repeatable
  --workers N           processes for a large file (1)
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet data check train.jsonl
  motet data check train.jsonl --html report.html
""",
            "tune": """\
usage: motet tune [-h] [--log FILE] COMMAND ...

Fine-tune a model: from the price of a training to the test of its model.

options:
  -h, --help  show this help message and exit
  --log FILE  append requests and answers to a file, without API keys

commands:
  COMMAND
    estimate  price a training; the file is uploaded, nothing is trained
    start     upload the file, show the price, ask for confirmation, and train
    watch     show progress and loss until a job has ended; Ctrl-C leaves the job running
    list      list the jobs of the account, newest first
    cancel    cancel a job, and wait until it is cancelled
    download  download a checkpoint, or resume its download
    test      ask the tuned model and its base model the same prompts, and compare
""",
            "tune estimate": """\
usage: motet tune estimate [-h] [--log FILE] (-m MODEL | --from-checkpoint JOB[:STEP])
                           [--validation FILE] [--no-check] [--epochs N] [--evals N]
                           [--checkpoints N] [--batch-size N] [--learning-rate RATE]
                           [--warmup-ratio SHARE] [--weight-decay RATE] [--max-seq-length N]
                           [--lora-rank N] [--lora-alpha N] [--lora-dropout SHARE]
                           [--dpo-beta BETA] [--suffix NAME] [--seed N] [--method {sft,dpo}]
                           [--full] [--no-packing] [--base-url URL] [--json]
                           [--color {auto,always,never}]
                           file

Price a training; the file is uploaded, nothing is trained.

positional arguments:
  file                  training data: a .jsonl file, or the id of an uploaded one

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -m MODEL, --model MODEL
                        the model to train: openai/gpt-oss-20b
  --from-checkpoint JOB[:STEP]
                        continue from a checkpoint: the id of a job or the name of its model, and
                        optionally a step
  --validation FILE     validation data: a file, or an id
  --no-check            upload files without checking them
  --epochs N            passes over the examples (1)
  --evals N             evaluations on the validation data; by default one an epoch
  --checkpoints N       saved states of the model (1)
  --batch-size N        by default the largest
  --learning-rate RATE  1e-5 by default
  --warmup-ratio SHARE  of the steps, from 0 to 1
  --weight-decay RATE   0 by default
  --max-seq-length N    tokens of an example
  --lora-rank N         of the adapter
  --lora-alpha N        by default twice the rank
  --lora-dropout SHARE  0 by default
  --dpo-beta BETA       with --method dpo
  --suffix NAME         part of the new model's name
  --seed N              makes a training repeatable
  --method {sft,dpo}    dpo for preference data; sft by default
  --full                train all weights, not an adapter, where that is offered
  --no-packing          one example a sequence
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet tune estimate train.jsonl -m openai/gpt-oss-20b
""",
            "tune start": """\
usage: motet tune start [-h] [--log FILE] (-m MODEL | --from-checkpoint JOB[:STEP])
                        [--validation FILE] [--no-check] [--epochs N] [--evals N]
                        [--checkpoints N] [--batch-size N] [--learning-rate RATE]
                        [--warmup-ratio SHARE] [--weight-decay RATE] [--max-seq-length N]
                        [--lora-rank N] [--lora-alpha N] [--lora-dropout SHARE] [--dpo-beta BETA]
                        [--suffix NAME] [--seed N] [--method {sft,dpo}] [--full] [--no-packing]
                        [--yes] [--max-cost USD] [--watch] [--base-url URL] [--json]
                        [--color {auto,always,never}]
                        file

Upload the file, show the price, ask for confirmation, and train.

positional arguments:
  file                  training data: a .jsonl file, or the id of an uploaded one

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -m MODEL, --model MODEL
                        the model to train: openai/gpt-oss-20b
  --from-checkpoint JOB[:STEP]
                        continue from a checkpoint: the id of a job or the name of its model, and
                        optionally a step
  --validation FILE     validation data: a file, or an id
  --no-check            upload files without checking them
  --epochs N            passes over the examples (1)
  --evals N             evaluations on the validation data; by default one an epoch
  --checkpoints N       saved states of the model (1)
  --batch-size N        by default the largest
  --learning-rate RATE  1e-5 by default
  --warmup-ratio SHARE  of the steps, from 0 to 1
  --weight-decay RATE   0 by default
  --max-seq-length N    tokens of an example
  --lora-rank N         of the adapter
  --lora-alpha N        by default twice the rank
  --lora-dropout SHARE  0 by default
  --dpo-beta BETA       with --method dpo
  --suffix NAME         part of the new model's name
  --seed N              makes a training repeatable
  --method {sft,dpo}    dpo for preference data; sft by default
  --full                train all weights, not an adapter, where that is offered
  --no-packing          one example a sequence
  --yes                 start without confirmation at any price
  --max-cost USD        start without confirmation up to this price (exit code 3 above)
  --watch               watch the job until it has ended
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet tune start train.jsonl -m openai/gpt-oss-20b
  motet tune start train.jsonl -m openai/gpt-oss-20b --epochs 3 --max-cost 5 --watch
""",
            "tune watch": """\
usage: motet tune watch [-h] [--log FILE] [--timeout SECONDS] [--svg FILE] [--base-url URL]
                        [--json] [--color {auto,always,never}]
                        job

Show progress and loss until a job has ended; Ctrl-C leaves the job running.

positional arguments:
  job                   the id of the job

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --timeout SECONDS     stop watching then (exit code 3)
  --svg FILE            write the loss curve to a file
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet tune watch ft-1234 --svg loss.svg
""",
            "tune list": """\
usage: motet tune list [-h] [--log FILE] [--base-url URL] [--json] [--color {auto,always,never}]

List the jobs of the account, newest first.

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR
""",
            "tune cancel": """\
usage: motet tune cancel [-h] [--log FILE] [--timeout SECONDS] [--base-url URL] [--json]
                         [--color {auto,always,never}]
                         job

Cancel a job, and wait until it is cancelled.

positional arguments:
  job                   the id of the job

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --timeout SECONDS     for the waiting (300)
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR
""",
            "tune download": """\
usage: motet tune download [-h] [--log FILE] [-o PATH] [--kind {merged,adapter,model}] [--step N]
                           [--sha256 HEX] [--extract] [--base-url URL] [--json]
                           [--color {auto,always,never}]
                           job

Download a checkpoint, or resume its download.

positional arguments:
  job                   the id of the job

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -o PATH, --output PATH
                        a folder or a file (.)
  --kind {merged,adapter,model}
                        by default the whole model
  --step N              the checkpoint of this step; by default the last
  --sha256 HEX          the expected SHA-256 of the file
  --extract             unpack the archive
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet tune download ft-1234 -o models/ --extract
""",
            "tune test": """\
usage: motet tune test [-h] [--log FILE] [--base MODEL] [--limit N] [--parallel N]
                       [--max-cost USD] [--price INPUT,OUTPUT] [--effort {low,medium,high}]
                       [--max-tokens N] [--base-url URL] [--json] [--color {auto,always,never}]
                       model file

Ask the tuned model and its base model the same prompts, and compare.

positional arguments:
  model                 the id of a job, or the name of a model
  file                  held-out examples or prompts, in JSON lines

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --base MODEL          the model to compare with; by default the job's base model
  --limit N             the number of examples
  --parallel N          simultaneous requests (4)
  --max-cost USD        for all requests; ends the test (exit code 3)
  --price INPUT,OUTPUT  of the tuned model, US dollars for a million tokens
  --effort {low,medium,high}
                        the reasoning effort
  --max-tokens N        tokens of an answer, reasoning included
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet tune test ft-1234 held.jsonl --limit 20 --max-cost 1
""",
        }
    )
