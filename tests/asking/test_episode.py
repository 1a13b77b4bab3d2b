"""Conversations as values: what they are made of, their hashes, and their way through JSON."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet
from motet import DeveloperContent, Episode, Exchange, Message, Preamble, Reasoning, Text, ToolCall, ToolResult
from tests.support.hypothesis_profiles import examples

TEXT = st.text(max_size=8) | st.sampled_from(["", "\n", "a\nb", "\ud800", "2:{}", '"'])
ASKED = st.one_of(
    st.builds(Message, st.just("user"), st.builds(Text, TEXT).map(lambda part: (part,)), st.none() | TEXT),
    st.builds(Message, st.just("tool"), st.builds(ToolResult, TEXT, TEXT, st.none() | TEXT).map(lambda part: (part,))),
    st.builds(Message, st.just("developer"), st.builds(DeveloperContent, TEXT).map(lambda part: (part,))),
)
PARTS = st.one_of(
    *[st.builds(kind, TEXT) for kind in (Reasoning, Preamble, Text)], st.builds(ToolCall, TEXT, TEXT, TEXT)
)
ANSWERS = st.builds(Message, st.just("assistant"), st.lists(PARTS, max_size=3).map(tuple))
EXCHANGES = st.builds(Exchange, st.lists(ASKED, max_size=3).map(tuple), ANSWERS)
EPISODES = st.builds(Episode, st.lists(EXCHANGES, max_size=3).map(tuple), TEXT)


def message_of(role: Any, text: str) -> Message:
    return Message(role, (Text(text),))


def contents(episode: Episode) -> str:
    return json.dumps(episode.to_dict(), sort_keys=True)


@examples(100)
@given(EPISODES, EPISODES)
def test_hashes_are_equal_exactly_for_equal_contents(first: Episode, other: Episode) -> None:
    assert (first.hash == other.hash) is (contents(first) == contents(other))
    assert first.id == first.hash[:16]
    assert len(bytes.fromhex(first.hash)) == 32


@examples(100)
@given(EPISODES)
def test_an_episode_survives_json_and_pickle(episode: Episode) -> None:
    for again in (Episode.from_dict(json.loads(json.dumps(episode.to_dict()))), pickle.loads(pickle.dumps(episode))):
        assert again == episode
        assert again.hash == episode.hash
        assert again.messages == episode.messages


@examples(100)
@given(EPISODES, st.data())
def test_hash_depends_on_the_order_of_exchanges(episode: Episode, data: st.DataObject) -> None:
    mixed = data.draw(st.permutations(episode.exchanges))
    other = Episode(tuple(mixed), episode.system)
    assert (other.hash == episode.hash) is (contents(other) == contents(episode))


@pytest.mark.parametrize(
    ("first", "other"),
    [
        # Joined with a line's end, or put side by side, these would be the same.
        (([message_of("user", "a\nb")], "c"), ([message_of("user", "a")], "b\nc")),
        (([message_of("user", "a"), message_of("user", "b")], "c"), ([message_of("user", "ab")], "c")),
        (
            ([message_of("user", "a"), message_of("user", "")], "c"),
            ([message_of("user", ""), message_of("user", "a")], "c"),
        ),
        (([message_of("user", "a")], "b"), ([message_of("developer", "a")], "b")),
    ],
)
def test_distinct_conversations_have_distinct_bytes(first: Any, other: Any) -> None:
    hashes = [Episode().add(question, message_of("assistant", answered)).hash for question, answered in (first, other)]
    assert hashes[0] != hashes[1]


def test_briefs_come_first_and_count_in_the_hash() -> None:
    exchange = Exchange((message_of("user", "a"),), message_of("assistant", "b"))
    plain, briefed = Episode((exchange,)), Episode((exchange,), "Be brief.")
    assert plain.hash != briefed.hash
    assert [message.role for message in plain.messages] == ["user", "assistant"]
    assert briefed.messages == (Message("developer", (DeveloperContent("Be brief."),)), *plain.messages)


def test_adding_returns_a_new_episode() -> None:
    first = Episode(system="Be brief.")
    messages = [message_of("user", "a")]
    second = first.add(messages, message_of("assistant", "b"))
    messages.append(message_of("user", "never"))
    third = second.add([message_of("user", "c")], message_of("assistant", "d"))
    assert [len(episode) for episode in (first, second, third)] == [0, 1, 2]
    assert second.exchanges[0].input == (message_of("user", "a"),)
    assert third.exchanges[:1] == second.exchanges
    assert third.system == "Be brief."
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.system = "other"  # type: ignore[misc]
    assert len({first, second, third, second.add([message_of("user", "c")], message_of("assistant", "d"))}) == 3


def test_exchange_has_its_own_hash() -> None:
    exchange = Exchange((message_of("user", "a"),), message_of("assistant", "b"))
    assert exchange.id == exchange.hash[:16]
    assert exchange.hash == Exchange((message_of("user", "a"),), message_of("assistant", "b")).hash
    assert exchange.hash != Episode((exchange,)).hash


def test_results_without_an_id_keep_their_name() -> None:
    """The tool is identified by name alone."""

    def episode(name: str) -> Episode:
        call = Message("assistant", (ToolCall("now", "{}", "c1"),))
        result = Message("tool", (ToolResult("", "12", name),))
        return Episode().add([message_of("user", "Late?")], call).add([result], message_of("assistant", "Noon."))

    assert episode("now").hash != episode("then").hash
    again = Episode.from_dict(json.loads(json.dumps(episode("now").to_dict())))
    assert motet.render(again.messages).ids == motet.render(episode("now").messages).ids


@pytest.mark.parametrize(
    "shape",
    [
        None,
        [],
        {},
        "episode",
        {"system": ""},
        {"exchanges": []},
        {"system": 5, "exchanges": []},
        {"system": None, "exchanges": []},
        {"system": "", "exchanges": 5},
        {"system": "", "exchanges": "ab"},
        {"system": "", "exchanges": {"a": 1}},
        {"system": "", "exchanges": [{"input": []}]},
        {"system": "", "exchanges": [{"input": 5, "output": {}}]},
        {"system": "", "exchanges": [{"input": [], "output": {"role": "nobody", "content": []}}]},
        {"system": "", "exchanges": [{"input": [{"role": "user", "content": "Hi"}], "output": {}}]},
    ],
    ids=lambda shape: repr(shape)[:50],
)
def test_invalid_episodes_are_refused(shape: Any) -> None:
    with pytest.raises(ValueError, match="not the dict of an episode"):
        Episode.from_dict(shape)
