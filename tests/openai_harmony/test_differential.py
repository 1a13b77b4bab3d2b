"""`motet.openai_harmony` beside openai-harmony 0.0.8, and `motet.oss_harmony` beside oss-harmony 0.0.11.

The states, messages, ids and errors are the same for any input.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import openai_harmony as peer_library
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet import openai_harmony, oss_harmony
from tests.support import harmony_streams
from tests.support import oss_harmony as oss_peer
from tests.support.harmony_streams import conversation_values, message_values, outcome, token_streams
from tests.support.hypothesis_profiles import examples

Pair = tuple[tuple[Any, Any], tuple[Any, Any]]
"""motet's module and its encoding; the peer and its encoding."""


@pytest.fixture(scope="module", params=["openai_harmony", "oss_harmony"])
def pair(request: pytest.FixtureRequest, lent_vocabulary: Path) -> Pair:
    ours, theirs = openai_harmony, peer_library
    if request.param == "oss_harmony":
        ours, theirs = oss_harmony, oss_peer.load()
    return tuple((each, each.load_harmony_encoding("HarmonyGptOss")) for each in (ours, theirs))


roles = st.sampled_from(["assistant", "assistant", None, "user", "tool", "system"])


@examples(200)
@given(token_streams(), roles, st.booleans(), st.lists(st.integers(0, 80), max_size=1))
def test_states_equal_after_each_token(
    pair: Pair, tokens: list[Any], role: str | None, strict: bool, ends: list[int]
) -> None:
    for at in ends:
        tokens.insert(at, None)
    tokens.append(None)
    ours = harmony_streams.states(*pair[0], tokens, role, strict)
    theirs = harmony_streams.states(*pair[1], tokens, role, strict)
    for at, (our_state, their_state) in enumerate(zip(ours, theirs, strict=True)):
        assert our_state == their_state, (at, tokens[: at + 1])


@examples(100)
@given(token_streams(), roles, st.booleans())
def test_parsed_messages_equal(pair: Pair, tokens: list[int], role: str | None, strict: bool) -> None:
    ours = harmony_streams.parsed(*pair[0], tokens, role, strict)
    assert ours == harmony_streams.parsed(*pair[1], tokens, role, strict)


@examples(60)
@given(conversation_values, st.booleans())
def test_rendered_ids_equal(pair: Pair, values: list[dict[str, Any]], drop: bool) -> None:
    ours, theirs = [harmony_streams.rendered(*side, values, drop) for side in pair]
    if pair[0][0] is oss_harmony and ours != theirs:
        ours, theirs = [
            [_rounded(side[1], result) for result in results]
            for side, results in zip(pair, (ours, theirs), strict=True)
        ]
    assert ours == theirs


def _rounded(encoding: Any, result: Any) -> Any:
    """The text of ids with fewer digits: of numbers in schemas, oss-harmony writes the last one more exactly."""
    return re.sub(r"(\d\.\d{8})\d+", r"\1", encoding.decode(result)) if isinstance(result, list) else result


wrong_values = (
    st.none() | st.integers(-2, 2) | st.floats(-100, 100) | st.booleans() | st.lists(st.text(max_size=2), max_size=1)
)
surrogates = st.text(st.characters(codec=None), max_size=4) | st.just("\ud800 \udc00\ud83d\ude00")


@examples(80)
@given(message_values(), st.data())
def test_invalid_fields_give_the_same_error(pair: Pair, values: dict[str, Any], data: Any) -> None:
    """Models do not validate assignments, so that any value reaches the renderer."""
    value = data.draw(wrong_values | surrogates)
    field = data.draw(
        st.sampled_from(["channel", "recipient", "content_type", "name", "role", "text", "tools", "effort"])
    )
    results = []
    for each, encoding in pair:
        message = harmony_streams.make_message(each, values)
        match field:
            case "name" | "role":
                setattr(message.author, field, value)
            case "text":
                message.content = [each.TextContent(text="")]
                message.content[0].text = value
            case "tools":
                message.content = [each.DeveloperContent()]
                message.content[0].tools = value
            case "effort":
                message.content = [each.SystemContent()]
                message.content[0].reasoning_effort = value
            case _:
                setattr(message, field, value)
        conversation = each.Conversation()
        conversation.messages = [message]
        results.append(
            [
                outcome(lambda encoding=encoding, message=message: encoding.render(message)),
                outcome(lambda encoding=encoding, all=conversation: encoding.render_conversation(all)),
            ]
        )
    assert results[0] == results[1]


specials = st.sampled_from(
    ["all", frozenset(), ("<|end|>",), {"<|start|>", "<|reserved_201088|>"}, {"<|endofprompt|>"}, {"a", "<|end|>"}]
) | st.sets(st.sampled_from(["<|end|>", "<|reserved_200018|>", "<|reserved_201088|>", "<|nope|>", "b"]))
texts = st.lists(
    st.sampled_from(
        ["<|end|>", "<|endofprompt|>", "<|reserved_200018|>", "<|reserved_201088|>", "<|", "<|nope|>", "ab"]
    )
    | st.text(st.characters(codec=None), max_size=6),
    max_size=5,
).map("".join)


@examples(120)
@given(texts, specials, specials | st.just("none"))
def test_any_text_encodes_equally(pair: Pair, text: str, allowed: Any, disallowed: Any) -> None:
    def encoded(encoding: Any) -> Any:
        return outcome(lambda: encoding.encode(text, allowed_special=allowed, disallowed_special=disallowed))

    ours, theirs = encoded(pair[0][1]), encoded(pair[1][1])
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        # Of two strings that begin at one place, the order of a set decides.
        assert ours[0] == theirs[0]
    else:
        assert ours == theirs


@examples(120)
@given(
    st.lists(st.integers(0, 201_089) | st.integers(0, 255) | st.sampled_from([200_018, 201_088, -1, 2**32]), max_size=6)
)
def test_any_ids_decode_equally(pair: Pair, ids: list[int]) -> None:
    for call in (
        lambda encoding: encoding.decode(ids),
        lambda encoding: encoding.decode(ids, "strict"),
        lambda encoding: encoding.decode_utf8(ids),
        lambda encoding: [encoding.is_special_token(token) for token in ids],
    ):
        assert outcome(lambda call=call: call(pair[0][1])) == outcome(lambda call=call: call(pair[1][1]))
