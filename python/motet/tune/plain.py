"""The conversations that most data sets are made of, told from all others at a glance: texts in turn, nothing wrong.

What is wrong with the others is for rows.py to say. Here nothing is said but yes or no, and no is never wrong.
"""

from __future__ import annotations

from typing import Any

__all__ = ["is_plain"]

_QUESTION = {"role", "content"}
_ANSWER = {"role", "content", "reasoning", "weight"}


def is_plain(messages: Any) -> bool:
    """Whether they are a system message or none, then questions and answers in turn, the last an answer that is
    learned: each a text, thoughts only where they are learned from or masked, and no other keys. Then no rule is
    broken."""
    if not isinstance(messages, list | tuple):
        return False
    last, learned, thought = None, False, False
    for message in messages:
        if not isinstance(message, dict):
            return False
        role, content = message.get("role"), message.get("content")
        if type(content) is not str or not content or content.isspace():
            return False
        if role == "assistant":
            if last != "user" or thought or not message.keys() <= _ANSWER:
                return False
            weight, reasoning = message.get("weight", 1), message.get("reasoning", " ")
            if type(weight) is not int or weight not in (0, 1) or type(reasoning) is not str or not reasoning:
                return False
            learned = weight == 1
            thought = learned and "reasoning" in message
        elif role == "user":
            if last == "user" or message.keys() != _QUESTION:
                return False
        elif role != "system" or last is not None or message.keys() != _QUESTION:
            return False
        last = role
    return last == "assistant" and learned
