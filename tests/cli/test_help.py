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
        "view",
        "ask",
        "chat",
        "estimate",
        "run",
        "models",
        "health",
        "proxy",
        "serve",
        "demo",
        "completion",
    ]
    assert {name: help_of(name) for name in commands} == snapshot(
        {
            "": """\
usage: motet [-h] [--log FILE] [--version] COMMAND ...

Tokenize, render and parse gpt-oss's harmony format, and ask models.

options:
  -h, --help  show this help message and exit
  --log FILE  append requests and answers to a file, without API keys
  --version   show program's version number and exit

commands:
  COMMAND
    parse     parse a raw completion to typed messages
    explain   show a completion token by token, with the part and the channel of each
    view      show completions, prompts and runs: in the terminal, or as one HTML page
    diff      compare two completions, prompts or runs by frame and by token (exit code 1 if they
              differ)
    render    render chat messages as a prompt
    count     count the tokens of files, folders and standard input
    cost      price the rows of a table: prompts and completions, or their numbers of tokens
    costs     sum what the answers of a ledger cost, by day, model, label or channel
    ask       ask a model; the answer goes to standard output, its cost to standard error
    chat      hold a conversation in the terminal, with the cost of each answer
    run       run a tool loop: ask, call the tools, until the model has answered
    replay    go through a recorded run again, with other tools or another prompt from a step on
    estimate  estimate the cost of an answer; nothing is sent
    models    list the models with prices, context and grades
    health    check that a server responds and serves the model (exit code 1 if not)
    verify    probe how a server treats harmony (exit code 1 if a probe fails)
    batch     ask a table of prompts in files: from their limits to a table of answers with costs
    data      keep examples to train on, and build and check data sets
    tune      fine-tune a model: from the price of a training to the test of its model
    proxy     serve clean Chat, Responses and Messages APIs in front of a server of gpt-oss
    serve     serve scripted completions on this machine, to test clients without a key
    demo      replay a scripted tool call, with the cost by channel; needs no key and no network
    completion
              print a completion script for a shell

motet COMMAND --help has the options and examples of a command.
""",
            "parse": """\
usage: motet parse [-h] [--log FILE] [--ids | --text] [--stream] [--strict] [--tools FILE]
                   [--stripped {auto,always,never}] [--role ROLE] [--opened HEADER] [--json]
                   [--color {auto,always,never}] [-o FILE.parquet] [--keep COLUMNS] [--force]
                   [--column NAME] [--no-tokens]
                   [file]

Parse a raw completion to typed messages.

positional arguments:
  file                  a completion; by default, or for -, standard input

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --ids                 the input is a JSON list of token ids
  --text                the input is text, even if it looks like a list of ids
  --stream              print events while the input arrives
  --strict              refuse deviations from the format (exit code 4)
  --tools FILE          a JSON list of the model's tools: names or OpenAI tool dicts
  --stripped {auto,always,never}
                        whether to find frames in text from which a server removed the special
                        tokens (auto)
  --role ROLE           the role with which the prompt ended, or none (assistant)
  --opened HEADER       what else of the first frame the prompt contains: a channel, or the header
                        as written
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR
  --column NAME         the column with the completions
  --no-tokens           do not count the tokens of text, which is faster

tables:
  rows of a .parquet, .jsonl or .csv file; needs pyarrow (motet[tables])

  -o FILE.parquet, --output FILE.parquet
                        the table with the results
  --keep COLUMNS        columns to keep beside those that are read, separated by commas (all; of
                        JSONL the number of the line)
  --force               replace an output that another command has written

examples:
  motet parse completion.txt --json
  motet parse ids.json --strict --tools tools.json
  curl -N ... | motet parse --stream
  motet parse runs.parquet --column completion -o parsed.parquet
""",
            "render": """\
usage: motet render [-h] [--log FILE] [--tools FILE]
                    [--builtin {browser,container,python,repo_browser}] [--instructions TEXT]
                    [--reasoning-effort {low,medium,high}] [--current-date YYYY-MM-DD]
                    [--identity TEXT] [--knowledge-cutoff YYYY-MM] [--next-role NEXT_ROLE]
                    [--keep-analysis {turn,all,none,openai_harmony}]
                    [--dialect {motet,openai_harmony,oss_harmony,chat_template}] [--ids] [--json]
                    [--color {auto,always,never}]
                    [file]

Render chat messages as a prompt.

positional arguments:
  file                  a JSON list of messages, or {"messages": ..., "tools": ...}; by default,
                        or for -, standard input

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --tools FILE          a JSON list of tools
  --builtin {browser,container,python,repo_browser}
                        a built-in tool; repeatable
  --instructions TEXT   the developer message
  --reasoning-effort {low,medium,high}
                        medium by default
  --current-date YYYY-MM-DD
                        the date in the system message
  --identity TEXT       the first sentence of the system message
  --knowledge-cutoff YYYY-MM
                        as the system message says it
  --next-role NEXT_ROLE
                        the role whose header ends the prompt, or none (assistant)
  --keep-analysis {turn,all,none,openai_harmony}
                        which reasoning of the conversation stays (turn)
  --dialect {motet,openai_harmony,oss_harmony,chat_template}
                        the way of writing (motet)
  --ids                 print the token ids as a JSON list
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet render chat.json
  motet render chat.json --ids --reasoning-effort high
  motet render chat.json --tools tools.json --dialect chat_template
""",
            "count": """\
usage: motet count [-h] [--log FILE] [--special] [--json] [-o FILE.parquet] [--keep COLUMNS]
                   [--force] [--column NAME]
                   [file ...]

Count the tokens of files, folders and standard input.

positional arguments:
  file                  files, and folders with all UTF-8 files below them, hidden ones left out;
                        by default standard input

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --special             count spelled special tokens as one token each
  --json                print JSON
  --column NAME         the column with the texts

tables:
  rows of a .parquet, .jsonl or .csv file; needs pyarrow (motet[tables])

  -o FILE.parquet, --output FILE.parquet
                        the table with the results
  --keep COLUMNS        columns to keep beside those that are read, separated by commas (all; of
                        JSONL the number of the line)
  --force               replace an output that another command has written

examples:
  motet count README.md
  motet count src docs
  motet count --special prompt.txt
  motet count runs.parquet --column completion --special
""",
            "explain": """\
usage: motet explain [-h] [--log FILE] [--ids | --text] [--strict] [--tools FILE]
                     [--stripped {auto,always,never}] [--role ROLE] [--opened HEADER] [--json]
                     [--color {auto,always,never}]
                     [file]

Show a completion token by token, with the part and the channel of each.

positional arguments:
  file                  a completion; by default, or for -, standard input

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --ids                 the input is a JSON list of token ids
  --text                the input is text, even if it looks like a list of ids
  --strict              refuse deviations from the format (exit code 4)
  --tools FILE          a JSON list of the model's tools: names or OpenAI tool dicts
  --stripped {auto,always,never}
                        whether to find frames in text from which a server removed the special
                        tokens (auto)
  --role ROLE           the role with which the prompt ended, or none (assistant)
  --opened HEADER       what else of the first frame the prompt contains: a channel, or the header
                        as written
  --json                print JSON
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet explain completion.txt
  motet explain ids.json --strict
""",
            "view": """\
usage: motet view [-h] [--log FILE] [-o FILE] [--open] [--plain] [--euphony] [--tokens]
                  [--role ROLE] [--opened HEADER] [--tools FILE] [--color {auto,always,never}]
                  FILE [FILE ...]

Show completions, prompts and runs: in the terminal, or as one HTML page.

positional arguments:
  FILE                  completions, prompts, runs, episodes, cassettes, tables of these in JSONL
                        or Parquet, the SQLite state of a proxy; - for a completion on standard
                        input

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -o FILE, --output FILE
                        write one HTML page, which needs no network
  --open                open the page in the browser
  --plain               print text, also where the output is a terminal
  --euphony             print conversations as OpenAI's euphony reads them
  --tokens              show the bounds of tokens in the text
  --role ROLE           the role of raw completions (assistant)
  --opened HEADER       the header that the prompt opened, as analysis
  --tools FILE          a JSON list of the tools that the model was given
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet view run.json
  motet view completion.txt -o completion.html
  motet view cassette.jsonl --open
  motet view run.json --euphony > conversation.jsonl
""",
            "ask": """\
usage: motet ask [-h] [--log FILE] [-m SLUG] [--base-url URL] [--system TEXT] [-b FILE]
                 [--tools FILE] [--effort {low,medium,high}] [--temperature T] [--top-p P]
                 [--seed N] [--max-tokens N] [--max-cost USD] [--timeout SECONDS]
                 [--price INPUT,OUTPUT] [--lane {auto,chat,text,ids}]
                 [--color {auto,always,never}] [--no-reasoning] [--json]
                 [prompt ...]

Ask a model; the answer goes to standard output, its cost to standard error.

positional arguments:
  prompt                the question; by default, or for -, standard input

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -m SLUG, --model SLUG
                        a slug or a model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        the server; by default $TOGETHER_BASE_URL, else Together's
  --system TEXT         a system text
  -b FILE, --brief FILE
                        a file with a system text; repeatable
  --tools FILE          a JSON list of tools that the model may call
  --effort {low,medium,high}
                        the reasoning effort
  --temperature T       of the sampling, from 0
  --top-p P             of the sampling, from 0 to 1
  --seed N              of the sampling, where the server supports it
  --max-tokens N        tokens of an answer, reasoning included
  --max-cost USD        of an answer, which ends there (exit code 3)
  --timeout SECONDS     for a whole answer, retries included
  --price INPUT,OUTPUT  US dollars for a million tokens, as 0.15,0.60
  --lane {auto,chat,text,ids}
                        chat objects, text with special tokens, or token ids (auto)
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR
  --no-reasoning        do not show the reasoning
  --json                print the answer and its cost as JSON

examples:
  motet ask "Why is the sky blue?" --effort low
  git diff | motet ask --system "Review this change."
  motet ask Hello -m openai/gpt-oss-20b --base-url http://localhost:8000
""",
            "chat": """\
usage: motet chat [-h] [--log FILE] [-m SLUG] [--base-url URL] [--system TEXT] [-b FILE]
                  [--tools FILE] [--effort {low,medium,high}] [--temperature T] [--top-p P]
                  [--seed N] [--max-tokens N] [--max-cost USD] [--timeout SECONDS]
                  [--price INPUT,OUTPUT] [--lane {auto,chat,text,ids}]
                  [--color {auto,always,never}]

Hold a conversation in the terminal, with the cost of each answer.

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -m SLUG, --model SLUG
                        a slug or a model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        the server; by default $TOGETHER_BASE_URL, else Together's
  --system TEXT         a system text
  -b FILE, --brief FILE
                        a file with a system text; repeatable
  --tools FILE          a JSON list of tools that the model may call
  --effort {low,medium,high}
                        the reasoning effort
  --temperature T       of the sampling, from 0
  --top-p P             of the sampling, from 0 to 1
  --seed N              of the sampling, where the server supports it
  --max-tokens N        tokens of an answer, reasoning included
  --max-cost USD        of an answer, which ends there (exit code 3)
  --timeout SECONDS     for a whole answer, retries included
  --price INPUT,OUTPUT  US dollars for a million tokens, as 0.15,0.60
  --lane {auto,chat,text,ids}
                        chat objects, text with special tokens, or token ids (auto)
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet chat
  motet chat --system "Answer in one sentence." --effort low
  motet chat -m openai/gpt-oss-20b --base-url http://localhost:8000
""",
            "estimate": """\
usage: motet estimate [-h] [--log FILE] [-m SLUG] [--base-url URL] [--system TEXT] [-b FILE]
                      [--tools FILE] [--effort {low,medium,high}] [--temperature T] [--top-p P]
                      [--seed N] [--max-tokens N] [--max-cost USD] [--timeout SECONDS]
                      [--price INPUT,OUTPUT] [--lane {auto,chat,text,ids}]
                      [--color {auto,always,never}] [--json]
                      [prompt ...]

Estimate the cost of an answer; nothing is sent.

positional arguments:
  prompt                the question; by default, or for -, standard input

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -m SLUG, --model SLUG
                        a slug or a model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        the server; by default $TOGETHER_BASE_URL, else Together's
  --system TEXT         a system text
  -b FILE, --brief FILE
                        a file with a system text; repeatable
  --tools FILE          a JSON list of tools that the model may call
  --effort {low,medium,high}
                        the reasoning effort
  --temperature T       of the sampling, from 0
  --top-p P             of the sampling, from 0 to 1
  --seed N              of the sampling, where the server supports it
  --max-tokens N        tokens of an answer, reasoning included
  --max-cost USD        of an answer, which ends there (exit code 3)
  --timeout SECONDS     for a whole answer, retries included
  --price INPUT,OUTPUT  US dollars for a million tokens, as 0.15,0.60
  --lane {auto,chat,text,ids}
                        chat objects, text with special tokens, or token ids (auto)
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR
  --json                print JSON

examples:
  motet estimate "Why is the sky blue?" --max-tokens 500
  motet estimate --price 0.15,0.60 < prompt.txt
""",
            "run": """\
usage: motet run [-h] [--log FILE] [-m SLUG] [--base-url URL] [--system TEXT] [-b FILE]
                 [--effort {low,medium,high}] [--temperature T] [--top-p P] [--seed N]
                 [--max-tokens N] [--max-cost USD] [--timeout SECONDS] [--price INPUT,OUTPUT]
                 [--lane {auto,chat,text,ids}] [--color {auto,always,never}]
                 [--tool MODULE:FUNCTION] [--checkpoint FILE] [--unfinished {raise,rerun,skip}]
                 [--max-steps N] [--max-time SECONDS] [--tool-timeout SECONDS]
                 [--allow-text-calls] [--json]
                 [prompt ...]

Run a tool loop: ask, call the tools, until the model has answered.

positional arguments:
  prompt                the question; by default, or for -, standard input

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -m SLUG, --model SLUG
                        a slug or a model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        the server; by default $TOGETHER_BASE_URL, else Together's
  --system TEXT         a system text
  -b FILE, --brief FILE
                        a file with a system text; repeatable
  --effort {low,medium,high}
                        the reasoning effort
  --temperature T       of the sampling, from 0
  --top-p P             of the sampling, from 0 to 1
  --seed N              of the sampling, where the server supports it
  --max-tokens N        tokens of an answer, reasoning included
  --max-cost USD        of an answer, which ends there (exit code 3)
  --timeout SECONDS     for a whole answer, retries included
  --price INPUT,OUTPUT  US dollars for a million tokens, as 0.15,0.60
  --lane {auto,chat,text,ids}
                        chat objects, text with special tokens, or token ids (auto)
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR
  --tool MODULE:FUNCTION
                        a function of a module in this folder or of an installed package;
                        repeatable
  --checkpoint FILE     save the run here; resume it if the file exists
  --unfinished {raise,rerun,skip}
                        on resuming: calls that were interrupted end the run (raise), run again,
                        or are skipped
  --max-steps N         requests to the model (20)
  --max-time SECONDS    for the whole run
  --tool-timeout SECONDS
                        for each call
  --allow-text-calls    also run calls that were read from text, not from token ids
  --json                print the run as JSON

examples:
  motet run "Is Paris warm?" --tool weather:get_weather --max-cost 0.05
  motet run "Is Paris warm?" --tool weather:get_weather --checkpoint run.json
  motet run --tool weather:get_weather --checkpoint run.json   # resumes
""",
            "models": """\
usage: motet models [-h] [--log FILE] [--refresh] [--all] [--base-url URL] [--json | --markdown]

List the models with prices, context and grades.

options:
  -h, --help      show this help message and exit
  --log FILE      append requests and answers to a file, without API keys
  --refresh       fetch the current prices of the server
  --all           also list models that are no longer served
  --base-url URL  the server to ask; implies --refresh
  --json          print JSON, with the source of each figure
  --markdown      print the table as Markdown

examples:
  motet models
  motet models --refresh --json
  motet models --base-url http://localhost:8000
""",
            "health": """\
usage: motet health [-h] [--log FILE] [-m SLUG] [--base-url URL] [--json]

Check that a server responds and serves the model (exit code 1 if not).

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  -m SLUG, --model SLUG
                        a slug or a model id; by default $MOTET_MODEL, else together/gpt-oss/120b
  --base-url URL        the server; by default $TOGETHER_BASE_URL, else Together's
  --json                print JSON

examples:
  motet health
  motet health -m openai/gpt-oss-20b --base-url http://localhost:8000
""",
            "proxy": """\
usage: motet proxy [-h] [--log FILE] [--upstream URL] [--model NAME=URL] [--upstream-key KEY]
                   [--lane {auto,chat,text,ids}] [--price IN,OUT] [--host HOST] [--port PORT]
                   [--workers N] [--key KEY] [--state PLACE] [--timeout S] [--ignore-tool TYPE]
                   [--reasoning-key {reasoning_content,reasoning}] [--page]
                   [--color {auto,always,never}]

Serve clean Chat, Responses and Messages APIs in front of a server of gpt-oss.

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --upstream URL        the server of all models without one of their own
  --model NAME=URL      the server of a model; NAME=MODEL@URL if the server has another name for
                        it
  --upstream-key KEY    the key of the servers; by default $MOTET_UPSTREAM_KEY, else none
  --lane {auto,chat,text,ids}
                        how the servers are asked; auto: token ids of vLLM and SGLang, text of
                        llama.cpp, chat of others
  --price IN,OUT        US dollars for a million tokens of prompt and answer
  --host HOST           the address to listen on (127.0.0.1); others need keys
  --port PORT           8400 by default; 0 for a free one
  --workers N           processes that serve (1)
  --key KEY             a client's key: KEY, NAME:KEY or NAME:KEY:DOLLARS; @FILE has one a line;
                        by default $MOTET_PROXY_KEYS, separated by blanks; without keys only this
                        machine is served
  --state PLACE         where responses, reasoning and budgets are kept: a SQLite file,
                        redis://..., postgresql://..., or none
                        ($XDG_STATE_HOME/motet/proxy.sqlite3, else below ~/.local/state)
  --timeout S           seconds for an answer (3600)
  --ignore-tool TYPE    leave tools of this type out of requests, as web_search, instead of
                        refusing them
  --reasoning-key {reasoning_content,reasoning}
                        the key of reasoning in the Chat API (reasoning_content)
  --page                serve a page at / that shows what passes now
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet proxy --upstream http://localhost:8000
  motet proxy --model gpt-oss-20b=http://gpu1:8000 --model fast=openai/gpt-oss-120b@http://gpu2:8000
  motet proxy --upstream http://gpu:8000 --host 0.0.0.0 --key @keys.txt --price 0.15,0.60
""",
            "serve": """\
usage: motet serve [-h] [--log FILE]
                   [--face {together,vllm,sglang,llamacpp,ollama,lmstudio,groq,openrouter}]
                   [--port PORT] [--color {auto,always,never}]
                   [file ...]

Serve scripted completions on this machine, to test clients without a key.

positional arguments:
  file                  completions as a model writes them, one a file, served in turn

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --face {together,vllm,sglang,llamacpp,ollama,lmstudio,groq,openrouter}, --style {together,vllm,sglang,llamacpp,ollama,lmstudio,groq,openrouter}
                        the server that is imitated (together)
  --port PORT           8000 by default; 0 for a free one
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR

examples:
  motet serve
  motet serve answer-1.txt answer-2.txt --face vllm --port 0
""",
            "demo": """\
usage: motet demo [-h] [--log FILE] [--color {auto,always,never}]

Replay a scripted tool call, with the cost by channel; needs no key and no network.

options:
  -h, --help            show this help message and exit
  --log FILE            append requests and answers to a file, without API keys
  --color {auto,always,never}
                        auto: on a terminal, without $NO_COLOR
""",
            "completion": """\
usage: motet completion [-h] [--log FILE] SHELL

Print a completion script for a shell.

positional arguments:
  SHELL       bash, zsh or fish

options:
  -h, --help  show this help message and exit
  --log FILE  append requests and answers to a file, without API keys

examples:
  motet completion bash > ~/.local/share/bash-completion/completions/motet
  motet completion zsh > ~/.zfunc/_motet          # a folder of $fpath
  motet completion fish > ~/.config/fish/completions/motet.fish
""",
        }
    )
