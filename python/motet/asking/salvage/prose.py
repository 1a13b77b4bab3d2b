"""The prose around a value: whether it shows an example, refuses, or only considers."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["is_example", "without_span"]

MAX_PROSE_CHARS = 600
"""An answer with more prose explains something; a value in it is part of the explanation."""
_WINDOW = 240
"""Characters of a thought before and behind a value that belong to it."""

# A value beside such a word shows a form, in any sentence of the paragraph.
_EXAMPLES = (
    *("example", "examples", "e\\.g", "for instance", "such as", "looks? like", "sample", "hypothetical(ly)?"),
    *("schema", "template", "placeholder", "you (can|could|may|might|should)", "beispiel", "exemple", "ejemplo"),
    *("esempio", "exemplo", "пример"),
)
# A value in a sentence with such a word, or before one, may be refused, corrected, or only considered.
_REFUSALS = (
    *("can'?t", "cannot", "can not", "could not", "couldn'?t", "unable", "won'?t", "will not", "would", "wouldn'?t"),
    *("sorry", "apologi[sz]e", "refus(e|al)", "not allowed", "not (able|going|to)", "do not", "don'?t", "doesn'?t"),
    *("should not", "shouldn'?t", "must not", "mustn'?t", "never", "instead of", "rather than", "without calling"),
    *("if you", "could", "might", "but", "however", "wrong", "incorrect", "invalid", "avoid", "no need", "need not"),
    *("not needed", "alternatively", "either", "no", "kann nicht", "leider", "ne (peux|puis) pas", "désolé"),
    *("no puedo", "lo siento", "non posso", "não posso", "не могу", "к сожалению"),
)
# A value within a program is a part of it.
_PROGRAM = re.compile(r"\bassert\b|\bimport \w|\bdef \w+\(|==|=>|\w = \S")
_EXAMPLE = re.compile(rf"\b(?:{'|'.join(_EXAMPLES)})\b|例|示例|예를", re.IGNORECASE)
_REFUSAL = re.compile(rf"\b(?:{'|'.join(_REFUSALS)})\b|无法|不能|抱歉|できません|죄송", re.IGNORECASE)
_APOSTROPHE = "\u2019"
_FENCE_BEFORE = re.compile(r"```[\w-]*[ \t]*\n?[ \t]*\Z|`\Z")
_FENCE_BEHIND = re.compile(r"\s*```|`")
_SCAFFOLD = re.compile(
    r"\b(?:functions[.:][\w.-]*|action|input|tools?|calls?|calling|arguments|args|function|json|code|commentary|to"
    r"|assistant|python_tag|tool_calls)\b",
    re.IGNORECASE,
)
"""Words that belong to the form of a call, not to a preamble."""
_LETTERS = re.compile(r"[^\W\d_]")
_SENTENCE = re.compile(r"[.!?]\s+|\n")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


def is_example(text: str, start: int, end: int, *, is_thought: bool) -> bool:
    """True if the prose around a place of a text says that the value there may not be meant as the answer. Of an answer
    all prose counts, programs included; of a thought the paragraph, and for refusals the sentence and the next one."""
    before, behind = text[:start].replace(_APOSTROPHE, "'"), text[end:].replace(_APOSTROPHE, "'")
    if not is_thought:
        is_long = len(before.strip()) + len(behind.strip()) > MAX_PROSE_CHARS
        signs = (_EXAMPLE, _REFUSAL, _PROGRAM)
        return is_long or any(sign.search(prose) for sign in signs for prose in (before, behind))
    before, behind = _PARAGRAPH.split(before[-_WINDOW:])[-1], _PARAGRAPH.split(behind[:_WINDOW])[0]
    if _EXAMPLE.search(before) or _EXAMPLE.search(behind):
        return True
    return any(_REFUSAL.search(prose) for prose in (_SENTENCE.split(before)[-1], *_SENTENCE.split(behind)[:2]))


def without_span(text: str, start: int, end: int, names: Iterable[str] = ()) -> str:
    """The prose around a place, without the code fence around it. Empty if it has only the form of a call: `names` of
    tools, brackets, words such as `Action:`."""
    before, behind = text[:start], text[end:]
    if (opening := _FENCE_BEFORE.search(before)) and (closing := _FENCE_BEHIND.match(behind)):
        before, behind = before[: opening.start()], behind[closing.end() :]
    prose = "\n".join([part for part in (before.strip(), behind.strip()) if part])
    rest = prose
    for name in names:
        rest = rest.replace(name, " ")
    return prose if _LETTERS.search(_SCAFFOLD.sub("", rest)) else ""
