"""`motet completion`: completion scripts for shells, made from the parser."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from motet.cli.parser import subcommands

EXAMPLES = (
    "motet completion bash > ~/.local/share/bash-completion/completions/motet",
    "motet completion zsh > ~/.zfunc/_motet          # a folder of $fpath",
    "motet completion fish > ~/.config/fish/completions/motet.fish",
)


@dataclass(slots=True)
class _Command:
    """What may follow the words of a command."""

    words: tuple[str, ...]
    """`()` for `motet` itself, else such as `("data", "add")`."""
    subcommands: dict[str, str] = field(default_factory=dict)
    """Names with their help texts."""
    options: dict[str, str] = field(default_factory=dict)
    """Long options with their help texts."""
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The values of options that have a fixed set."""
    values: list[str] = field(default_factory=list)
    """Options with another value, which is completed as a file name."""
    arguments: tuple[str, ...] = ()
    """The values of a positional argument that has a fixed set."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish")


def run(options: argparse.Namespace) -> None:
    commands = list(_commands(options.root, ()))
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell](commands), end="")


def _commands(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[_Command]:
    command = _Command(words)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            command.subcommands = {pseudo.dest: pseudo.help or "" for pseudo in action._choices_actions}
            continue
        choices = tuple(map(str, action.choices or ()))
        if not action.option_strings:
            command.arguments += choices
            continue
        # The last spelling is the long one.
        name = action.option_strings[-1]
        command.options[name] = action.help or ""
        if choices:
            command.choices[name] = choices
        elif action.nargs != 0:
            command.values.append(name)
    yield command
    for name, child in subcommands(parser).items():
        child.load()
        yield from _commands(child, (*words, name))


def _bash(commands: Sequence[_Command]) -> str:
    """A function that finds the command among the words, and offers what may follow it."""
    values, candidates = [], []
    for command in commands:
        path = " ".join(command.words)
        for option, choices in command.choices.items():
            values.append(f"{shlex.quote(f'{path} {option}')}) candidates={shlex.quote(' '.join(choices))} ;;")
        if command.values:
            patterns = "|".join([shlex.quote(f"{path} {option}") for option in command.values])
            values.append(f"{patterns}) ;;")
        following = " ".join([*command.subcommands, *command.arguments, *command.options])
        candidates.append(f"{shlex.quote(path)}) candidates={shlex.quote(following)} ;;")
    paths = "|".join(["", *[" ".join(command.words) for command in commands if command.words], ""])
    return f"""\
_motet() {{
    local word path='' candidates='' index
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    local paths={shlex.quote(paths)}
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${{COMP_WORDS[index]}}
        if [[ $paths == *"|${{path:+$path }}$word|"* ]]; then path="${{path:+$path }}$word"; fi
    done
    case "$path $previous" in
        {_BASH_BREAK.join(values)}
        *) case "$path" in
        {_BASH_BREAK.join(candidates)}
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$candidates" -- "$current"))
}}
complete -o default -F _motet motet
"""


_BASH_BREAK = "\n        "


def _zsh(commands: Sequence[_Command]) -> str:
    """A function for each command, with `_arguments`."""
    functions = [_zsh_function(command) for command in commands]
    start = 'if [[ $funcstack[1] == _motet ]]; then _motet "$@"; else compdef _motet motet; fi'
    return "\n\n".join(["#compdef motet", *functions, start]) + "\n"


def _zsh_function(command: _Command) -> str:
    name = "_".join(["_motet", *command.words])
    specs = [shlex.quote(_zsh_option(command, option)) for option in command.options]
    if not command.subcommands:
        values = f"({' '.join(command.arguments)})" if command.arguments else "_files"
        return f"{name}() {{\n    _arguments {_ZSH_BREAK.join([*specs, shlex.quote(f'*: :{values}')])}\n}}"
    children = [shlex.quote(f"{child}:{_zsh_escaped(text)}") for child, text in command.subcommands.items()]
    return f"""\
{name}() {{
    local state line
    local -a children=({" ".join(children)})
    _arguments -C {_ZSH_BREAK.join([*specs, "'1: :->command'", "'*:: :->rest'"])}
    case $state in
        command) _describe command children ;;
        rest) (( $+functions[{name}_$line[1]] )) && {name}_$line[1] ;;
    esac
}}"""


_ZSH_BREAK = " \\\n        "


def _zsh_option(command: _Command, option: str) -> str:
    values = ""
    if option in command.choices:
        values = f":value:({' '.join(command.choices[option])})"
    elif option in command.values:
        values = ":value:_files"
    return f"*{option}[{_zsh_escaped(command.options[option])}]{values}"


def _zsh_escaped(text: str) -> str:
    for character in "\\[]:":
        text = text.replace(character, f"\\{character}")
    return text


def _fish(commands: Sequence[_Command]) -> str:
    """A `complete` line for each option and command."""
    lines = ["complete -c motet -e"]
    for command in commands:
        condition = "; and ".join([f"__fish_seen_subcommand_from {word}" for word in command.words])
        if command.subcommands:
            others = " ".join(command.subcommands)
            no_other = f"not __fish_seen_subcommand_from {others}"
            here = f"{condition}; and {no_other}" if condition else "__fish_use_subcommand"
            for name, text in command.subcommands.items():
                lines.append(f"complete -c motet -f -n {shlex.quote(here)} -a {name} -d {shlex.quote(text)}")
        prefix = f"complete -c motet -n {shlex.quote(condition)}" if condition else "complete -c motet"
        for value in command.arguments:
            lines.append(f"{prefix} -f -a {value}")
        for option, text in command.options.items():
            value = ""
            if option in command.choices:
                value = f" -x -a {shlex.quote(' '.join(command.choices[option]))}"
            elif option in command.values:
                value = " -r"
            lines.append(f"{prefix} -l {option.lstrip('-')}{value} -d {shlex.quote(text)}")
    return "\n".join(lines) + "\n"
