"""The page: one file that loads nothing, whose data cannot act."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import motet
from tests.support.transcripts import HOSTILE, RUN


class Page(HTMLParser):
    """The elements of a page, and the texts of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open][-1] += data

    def data(self) -> Any:
        return json.loads(self.texts["script"][0])


def test_page_has_no_address_to_load() -> None:
    page = Page(motet.transcript(RUN).to_html())
    names = {name for _, attributes in page.elements for name in attributes}
    assert names & {"src", "href", "style", "srcset", "action"} == set()
    assert not any(name.startswith("on") for name in names)
    assert "url(" not in page.texts["style"][0]
    assert "@import" not in page.texts["style"][0]


def test_policy_allows_the_own_script_and_style_alone() -> None:
    page = Page(motet.transcript(RUN).to_html())
    policy = next(attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes)
    assert policy is not None
    assert "default-src 'none'" in policy
    for text in (page.texts["style"][0], page.texts["script"][-1]):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy


def test_hostile_texts_stay_data() -> None:
    harmless = Page(motet.transcript(RUN).to_html())
    text = motet.transcript(HOSTILE, title=HOSTILE).to_html()
    page = Page(text)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\u200b\ufeff]", text)
    assert "".join([frame["text"] for frame in page.data()[0]["frames"]]) == HOSTILE


def test_page_writes_no_markup_from_texts() -> None:
    script = Page(motet.transcript(RUN).to_html()).texts["script"][-1]
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(|XMLHttp|import\(", script
    )


def test_data_has_tokens_repairs_calls_and_steps() -> None:
    (data,) = Page(motet.transcript(RUN).to_html()).data()
    assert [frame["text"] for frame in data["frames"]] == [
        "".join([span.text for span in frame.spans]) for frame in motet.transcript(RUN).frames
    ]
    for frame in data["frames"]:
        assert sum(frame["tokens"]["lengths"]) == len(frame["text"])
        assert len(frame["tokens"]["lengths"]) == len(frame["tokens"]["ids"])
    assert data["calls"] == [{"call": 2, "result": 3, "signal": "success", "seconds": 0.5}]
    assert [step["n"] for step in data["steps"]] == [1, 2]


def test_place_of_a_repair_is_in_the_data() -> None:
    (data,) = Page(motet.transcript("<|channel|>final<|message|>a<|channel|>b<|end|>").to_html()).data()
    (repair,) = data["frames"][0]["repairs"]
    assert (repair["code"], repair["tokens"]) == ("marker_in_content", [4, 5])


def test_notebooks_show_the_page_apart_from_their_own() -> None:
    page = Page(motet.transcript(HOSTILE)._repr_html_())
    assert [tag for tag, _ in page.elements] == ["iframe"]
    assert page.elements[0][1]["sandbox"] == "allow-scripts"


def test_euphony_has_a_message_for_each_frame() -> None:
    conversation = motet.transcript(RUN).to_euphony()
    assert [message["role"] for message in conversation["messages"]] == [
        "user",
        "assistant",
        "assistant",
        "tool",
        "assistant",
    ]
    call = conversation["messages"][2]
    assert (call["channel"], call["recipient"]) == ("commentary", "functions.get_weather")
    assert call["content"] == [{"content_type": "code", "text": '{"city": "Paris"}', "language": "json"}]
