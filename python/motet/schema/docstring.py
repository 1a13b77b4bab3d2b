"""Descriptions of a function and its parameters from its docstring: Google, numpy and Sphinx style."""

from __future__ import annotations

import re

__all__ = ["parse_docstring"]

_GOOGLE_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Example|Examples|Note|Notes|Attributes|See Also|Warns):\s*$"
)
_GOOGLE_PARAMETER = re.compile(r"^\s+\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")
_NUMPY_UNDERLINE = re.compile(r"^-{3,}\s*$")
_NUMPY_PARAMETER = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_SPHINX_FIELD = re.compile(r"^:(\w+)(?:\s+([^:]*?))?:\s*(.*)$")
_PARAMETER_SECTIONS = ("Args", "Arguments", "Parameters", "Other Parameters")


def parse_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The description of the function, without its sections, and that of each documented parameter."""
    lines = text.splitlines()
    if any(_SPHINX_FIELD.match(line) for line in lines):
        return _sphinx(lines)
    if any(_NUMPY_UNDERLINE.match(line) for line in lines[1:]):
        return _numpy(lines)
    return _google(lines)


def _joined(about: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(about)).strip()


def _google(lines: list[str]) -> tuple[str, dict[str, str]]:
    about: list[str] = []
    parameters: dict[str, str] = {}
    section, current, depth = "", "", 0
    for line in lines:
        heading = _GOOGLE_SECTION.match(line)
        indent = len(line) - len(line.lstrip())
        if heading:
            section, current, depth = heading[1], "", 0
        elif section and line.strip() and not indent:
            # A line without indentation ends the section.
            section = ""
            about += ["", line]
        elif not section:
            about.append(line)
        elif section in _PARAMETER_SECTIONS:
            depth = depth or indent
            parameter = _GOOGLE_PARAMETER.match(line) if indent <= depth else None
            if parameter:
                current = parameter[1]
                parameters[current] = parameter[2]
            elif current and line.strip():
                parameters[current] = f"{parameters[current]} {line.strip()}".strip()
    return _joined(about), parameters


def _numpy(lines: list[str]) -> tuple[str, dict[str, str]]:
    about: list[str] = []
    parameters: dict[str, str] = {}
    section = ""
    current: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if _NUMPY_UNDERLINE.match(line):
            continue
        if line.strip() and _NUMPY_UNDERLINE.match(following):
            section, current = line.strip(), []
        elif not section:
            about.append(line)
        elif section in _PARAMETER_SECTIONS:
            names = _NUMPY_PARAMETER.match(line)
            if names:
                current = [name.strip().lstrip("*") for name in names[1].split(",")]
                parameters.update(dict.fromkeys(current, ""))
            elif line.strip():
                parameters.update({name: f"{parameters[name]} {line.strip()}".strip() for name in current})
    return _joined(about), {name: text for name, text in parameters.items() if text}


def _sphinx(lines: list[str]) -> tuple[str, dict[str, str]]:
    about: list[str] = []
    parameters: dict[str, str] = {}
    in_fields, current = False, ""
    for line in lines:
        field = _SPHINX_FIELD.match(line)
        if field:
            in_fields, current = True, ""
            if field[1] in ("param", "parameter", "arg", "argument", "key", "keyword") and field[2]:
                # `:param int x:` has a type before the name.
                current = field[2].split()[-1].lstrip("*")
                parameters[current] = field[3]
        elif not in_fields:
            about.append(line)
        elif current and line[:1].isspace() and line.strip():
            parameters[current] = f"{parameters[current]} {line.strip()}".strip()
        elif line.strip() and not line[:1].isspace():
            in_fields, current = False, ""
            about += ["", line]
    return _joined(about), parameters
