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
usage: motet data [-h] ACTION ...

positional arguments:
  ACTION
    add       add an example, or those that a file holds
    list      what there is, and how much of it
    show      an example as it would be trained on
    remove    take examples out of the file
    build     make training data of examples
    check     whether a file can be trained on, and what to mend

options:
  -h, --help  show this help message and exit
""",
            "data add": """\
usage: motet data add [-h] [-f FILE] [--request REQUEST] [--response RESPONSE]
                      [--thinking THINKING] [--system SYSTEM] [--rejected REJECTED]
                      [--completion FILE] [--from FILE] [--tools FILE] [--quality Q] [--tag TAG]
                      [--workers N] [--json] [--color {auto,always,never}]

options:
  -h, --help            show this help message and exit
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  --request REQUEST     what is asked; - for standard input
  --response RESPONSE   what is to be answered; - for standard input
  --thinking THINKING   what is to be thought before
  --system SYSTEM       the instructions that the model is given
  --rejected REJECTED   a worse answer, for preferences
  --completion FILE     the answer as a model wrote it: harmony, as text or as ids
  --from FILE           a saved run, a transcript, a cassette, or training data, one object a
                        line; - for standard input
  --tools FILE          a JSON list of the tools that the model was given
  --quality Q           from 0 to 1
  --tag TAG             may be given again
  --workers N           processes that share the work on a large file (1)
  --json                print JSON
  --color {auto,always,never}
""",
            "data list": """\
usage: motet data list [-h] [-f FILE] [--min-quality Q] [--tag TAG] [--stats] [--json]
                       [--color {auto,always,never}]

options:
  -h, --help            show this help message and exit
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  --min-quality Q       only those known to be at least that good
  --tag TAG             only those with this tag; may be given again
  --stats               the statistics alone
  --json                print JSON
  --color {auto,always,never}
""",
            "data show": """\
usage: motet data show [-h] [-f FILE] [--json] [--color {auto,always,never}] id

positional arguments:
  id                    the id, or how it begins

options:
  -h, --help            show this help message and exit
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  --json                print JSON
  --color {auto,always,never}
""",
            "data remove": """\
usage: motet data remove [-h] [-f FILE] [--json] [--color {auto,always,never}] id [id ...]

positional arguments:
  id                    the id, or how it begins

options:
  -h, --help            show this help message and exit
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  --json                print JSON
  --color {auto,always,never}
""",
            "data build": """\
usage: motet data build [-h] [-f FILE] [-o FILE] [--validation FILE] [--fraction FRACTION]
                        [--format {conversational,instruction,preference,text}] [--min-quality Q]
                        [--tag TAG] [--dedupe {normalised,exact,none}] [--max-tokens N]
                        [--split {reasoning,all,none}] [--allow KIND] [--workers N] [--json]
                        [--color {auto,always,never}]

options:
  -h, --help            show this help message and exit
  -f FILE, --file FILE  the file of examples (examples.jsonl)
  -o FILE, --output FILE
                        training data (train.jsonl)
  --validation FILE     write a share of it there, for validation
  --fraction FRACTION   the share of the validation (0.1)
  --format {conversational,instruction,preference,text}
  --min-quality Q       only those known to be at least that good
  --tag TAG             only those with this tag; may be given again
  --dedupe {normalised,exact,none}
  --max-tokens N        leave out what is longer
  --split {reasoning,all,none}
                        make a row of each answer of which
  --allow KIND          secrets of this kind may be there: jwt, card, ... or all; may be given
                        again
  --workers N           processes that share the work on a large file (1)
  --json                print JSON
  --color {auto,always,never}
""",
            "data check": """\
usage: motet data check [-h] [--max-tokens N] [--html FILE] [--max-findings N] [--allow KIND]
                        [--workers N] [--json] [--color {auto,always,never}]
                        [file]

positional arguments:
  file                  training data; standard input if it is left out or -

options:
  -h, --help            show this help message and exit
  --max-tokens N        how long a sequence may be
  --html FILE           write a page with a histogram of lengths
  --max-findings N      findings to print; 100 by default, with --json all
  --allow KIND          secrets of this kind may be there: jwt, card, ... or all; may be given
                        again
  --workers N           processes that share the work on a large file (1)
  --json                print JSON
  --color {auto,always,never}
""",
            "tune": """\
usage: motet tune [-h] VERB ...

positional arguments:
  VERB
    estimate  what a training will cost; the file is uploaded, nothing is trained
    start     upload, show the price, ask, and train
    watch     progress and loss until a job has ended; Ctrl-C leaves it running
    list      the jobs of the account, the newest first
    cancel    cancel a job, and wait until it is
    download  fetch a checkpoint; a download that was cut goes on
    test      ask the new model and its base model the same, and compare

options:
  -h, --help  show this help message and exit
""",
            "tune estimate": """\
usage: motet tune estimate [-h] -m MODEL [--validation FILE] [--no-check] [--epochs N] [--evals N]
                           [--checkpoints N] [--batch-size N] [--learning-rate RATE]
                           [--warmup-ratio SHARE] [--weight-decay RATE] [--max-seq-length N]
                           [--lora-rank N] [--lora-alpha N] [--lora-dropout SHARE]
                           [--dpo-beta BETA] [--suffix NAME] [--seed N] [--method {sft,dpo}]
                           [--full] [--no-packing] [--base-url URL] [--json]
                           [--color {auto,always,never}]
                           file

positional arguments:
  file                  training data: a .jsonl file, or the id of one that is uploaded

options:
  -h, --help            show this help message and exit
  -m MODEL, --model MODEL
                        the model to train: openai/gpt-oss-20b
  --validation FILE     held-out data whose loss is measured; a file, or an id
  --no-check            do not check the files before they are sent
  --epochs N            how often the examples are gone through; 1 by default
  --evals N             how often the validation data is looked at; by default once an epoch
  --checkpoints N       how many states of the model are kept; 1 by default
  --batch-size N        by default as large as possible
  --learning-rate RATE  1e-5 by default
  --warmup-ratio SHARE  of the steps, from 0 to 1
  --weight-decay RATE   0 by default
  --max-seq-length N    tokens of an example
  --lora-rank N         of the adapter
  --lora-alpha N        by default twice the rank
  --lora-dropout SHARE  0 by default
  --dpo-beta BETA       with --method dpo
  --suffix NAME         part of the new model's name
  --seed N              for a training that can be repeated
  --method {sft,dpo}    dpo for preference data; sft by default
  --full                train all weights, not an adapter, where that is offered
  --no-packing          do not put short examples together
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
""",
            "tune start": """\
usage: motet tune start [-h] -m MODEL [--validation FILE] [--no-check] [--epochs N] [--evals N]
                        [--checkpoints N] [--batch-size N] [--learning-rate RATE]
                        [--warmup-ratio SHARE] [--weight-decay RATE] [--max-seq-length N]
                        [--lora-rank N] [--lora-alpha N] [--lora-dropout SHARE] [--dpo-beta BETA]
                        [--suffix NAME] [--seed N] [--method {sft,dpo}] [--full] [--no-packing]
                        [--yes] [--max-cost USD] [--watch] [--base-url URL] [--json]
                        [--color {auto,always,never}]
                        file

positional arguments:
  file                  training data: a .jsonl file, or the id of one that is uploaded

options:
  -h, --help            show this help message and exit
  -m MODEL, --model MODEL
                        the model to train: openai/gpt-oss-20b
  --validation FILE     held-out data whose loss is measured; a file, or an id
  --no-check            do not check the files before they are sent
  --epochs N            how often the examples are gone through; 1 by default
  --evals N             how often the validation data is looked at; by default once an epoch
  --checkpoints N       how many states of the model are kept; 1 by default
  --batch-size N        by default as large as possible
  --learning-rate RATE  1e-5 by default
  --warmup-ratio SHARE  of the steps, from 0 to 1
  --weight-decay RATE   0 by default
  --max-seq-length N    tokens of an example
  --lora-rank N         of the adapter
  --lora-alpha N        by default twice the rank
  --lora-dropout SHARE  0 by default
  --dpo-beta BETA       with --method dpo
  --suffix NAME         part of the new model's name
  --seed N              for a training that can be repeated
  --method {sft,dpo}    dpo for preference data; sft by default
  --full                train all weights, not an adapter, where that is offered
  --no-packing          do not put short examples together
  --yes                 start without asking, whatever it costs
  --max-cost USD        start without asking up to this; not above it (exit code 3)
  --watch               and watch it until it has ended
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
""",
            "tune watch": """\
usage: motet tune watch [-h] [--timeout SECONDS] [--svg FILE] [--base-url URL] [--json]
                        [--color {auto,always,never}]
                        job

positional arguments:
  job                   its id

options:
  -h, --help            show this help message and exit
  --timeout SECONDS     give up after that (exit code 3)
  --svg FILE            keep the loss curve here, too
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
""",
            "tune list": """\
usage: motet tune list [-h] [--base-url URL] [--json] [--color {auto,always,never}]

options:
  -h, --help            show this help message and exit
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
""",
            "tune cancel": """\
usage: motet tune cancel [-h] [--timeout SECONDS] [--base-url URL] [--json]
                         [--color {auto,always,never}]
                         job

positional arguments:
  job                   its id

options:
  -h, --help            show this help message and exit
  --timeout SECONDS     to wait; 300 by default
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
""",
            "tune download": """\
usage: motet tune download [-h] [-o PATH] [--kind {merged,adapter,model}] [--step N]
                           [--sha256 HEX] [--extract] [--base-url URL] [--json]
                           [--color {auto,always,never}]
                           job

positional arguments:
  job                   its id

options:
  -h, --help            show this help message and exit
  -o PATH, --output PATH
                        a folder, or a file; here by default
  --kind {merged,adapter,model}
                        by default the whole model
  --step N              a checkpoint before the last
  --sha256 HEX          what the file has to have, if you know
  --extract             unpack it, too
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
""",
            "tune test": """\
usage: motet tune test [-h] [--base MODEL] [--limit N] [--parallel N] [--max-cost USD]
                       [--price IN/OUT] [--effort {low,medium,high}] [--max-tokens N]
                       [--base-url URL] [--json] [--color {auto,always,never}]
                       model file

positional arguments:
  model                 the id of a job, or the name of a model
  file                  held-out examples or prompts, JSONL

options:
  -h, --help            show this help message and exit
  --base MODEL          to compare with; by default the one that the job trained
  --limit N             how many examples
  --parallel N          asked at once; 4 by default
  --max-cost USD        for all of it; the rest is not asked (exit code 3)
  --price IN/OUT        of the new model, US dollars for a million tokens: 0.15/0.60
  --effort {low,medium,high}
                        how much the models are to think
  --max-tokens N        of an answer, reasoning included
  --base-url URL        by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON
  --color {auto,always,never}
""",
        }
    )
