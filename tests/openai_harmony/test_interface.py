"""The names, signatures and models of `motet.openai_harmony` are those of openai-harmony."""

from __future__ import annotations

import copy
import enum
import inspect
import os
import pickle
import subprocess
import sys
from typing import Any

import openai_harmony as peer_library
import pydantic
import pytest

from motet import openai_harmony as library
from tests.support.harmony_streams import outcome

ENCODING = library.load_harmony_encoding("HarmonyGptOss")
CLASSES = [
    name
    for name, item in vars(peer_library).items()
    if inspect.isclass(item) and item.__module__ == "openai_harmony" and not name.startswith("_")
]
SPECIAL = ("__init__", "__iter__", "__str__")


def parameters(function: Any) -> list[Any]:
    all_parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, _plain(each.default)) for each in all_parameters if each.name != "self"]


def _plain(default: Any) -> Any:
    return sorted(default) if isinstance(default, set | frozenset) else default


def test_all_public_names_exist() -> None:
    assert sorted(library.__all__) == sorted(peer_library.__all__)
    assert {"ReasoningEffort", "ToolNamespaceConfig", "RenderOptions", "ChannelConfig"} <= set(CLASSES)
    for name in [*CLASSES, "raise_disallowed_special_token", "load_harmony_encoding"]:
        assert hasattr(library, name)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_have_the_same_members(name: str) -> None:
    ours, theirs = getattr(library, name), getattr(peer_library, name)
    for member, item in vars(theirs).items():
        if member.startswith("_") and member not in SPECIAL:
            continue
        own = inspect.getattr_static(ours, member)
        if callable(getattr(theirs, member, None)) and not isinstance(item, enum.Enum):
            expected = parameters(getattr(theirs, member))
            assert parameters(getattr(ours, member))[: len(expected)] == expected, member
        elif isinstance(item, property):
            assert inspect.isdatadescriptor(own), member
    if issubclass(theirs, enum.Enum):
        pairs = zip(ours, theirs, strict=True)
        assert all((a.name, a.value, str(a)) == (b.name, b.value, str(b)) for a, b in pairs)
    if issubclass(theirs, pydantic.BaseModel):
        assert list(ours.model_fields) == list(theirs.model_fields)
        assert ours.model_json_schema()["properties"].keys() == theirs.model_json_schema()["properties"].keys()


def test_errors_are_runtime_errors_of_one_name() -> None:
    ours, theirs = library.HarmonyError, peer_library.HarmonyError
    assert (ours.__mro__[1:], ours.__name__) == (theirs.__mro__[1:], theirs.__name__)
    assert ours.__module__ == theirs.__module__
    error = pickle.loads(pickle.dumps(ours("text", 1)))
    assert type(error) is ours
    assert error.args == ("text", 1)


def built(library: Any) -> list[Any]:
    """Results of the builders and of reading and writing dicts, as plain values."""
    role, message = library.Role, library.Message
    system = library.SystemContent.new().with_browser_tool().with_python_tool().with_knowledge_cutoff("x")
    system = system.with_required_channels(["a"]).with_reasoning_effort(library.ReasoningEffort.HIGH)
    functions = [library.ToolDescription.new("f", "Does.", {"type": "object"})]
    developer = library.DeveloperContent.new().with_instructions("Be brief.").with_function_tools(functions)
    mixed = message.from_role_and_contents(role.SYSTEM, [system, library.TextContent(text="a")])
    call = message.from_role_and_content(role.ASSISTANT, "{}").with_channel("commentary").with_recipient("f")
    author = library.Author.new(role.TOOL, "f")
    result = message.from_author_and_content(author, "4").adding_content("5").with_content_type("json")
    conversation = library.Conversation.from_messages([mixed, call, result])
    return [
        [each.to_dict() for each in (system, developer, mixed, call, result, conversation)],
        [str(each) for each in (system, developer, mixed, call, result, conversation)],
        library.Conversation.from_json(conversation.to_json()) == conversation,
        list(conversation) == conversation.messages,
        [each.from_dict(each().to_dict()) == each() for each in (library.SystemContent, library.DeveloperContent)],
        call.model_copy(update={"recipient": None}).to_dict(),
        call.model_dump(),
        sorted(message.from_dict(call.to_dict()).model_fields_set),
        [
            outcome(failing)
            for failing in (
                lambda: role("bad"),
                lambda: message.from_dict({"role": "user"}),
                lambda: message.from_dict({"role": "x", "content": ""}),
                lambda: message.from_dict({"role": "user", "content": [{"type": "x"}]}),
                lambda: library.Content().to_dict(),
                lambda: library.load_harmony_encoding("bad"),
                lambda: library.Conversation.from_messages([1]),
                lambda: hash(call),
                lambda: library.raise_disallowed_special_token("<|end|>"),
            )
        ],
    ]


def test_builders_give_the_same_values() -> None:
    assert built(library) == built(peer_library)


def test_errors_of_arguments_are_the_same(peer: Any) -> None:
    def results(library: Any, encoding: Any) -> list[Any]:
        parser = library.StreamableParser(encoding, library.Role.ASSISTANT)
        conversation = library.Conversation()
        role = library.StreamState.HEADER
        return [
            outcome(call)
            for call in (
                lambda: parser.process(-1),
                lambda: parser.process("a"),
                lambda: parser.process(2**32),
                lambda: encoding.decode_utf8(["a"]),
                lambda: encoding.decode_utf8(5),
                lambda: encoding.decode([1, None]),
                lambda: encoding.is_special_token("a"),
                lambda: encoding.render_conversation_for_completion(conversation, "assistant"),
                lambda: encoding.render_conversation_for_completion(conversation, role),
                lambda: encoding.render_conversation({}),
                lambda: encoding.parse_messages_from_completion_tokens([200_005, 17196], library.Role.ASSISTANT),
                lambda: encoding.parse_messages_from_completion_tokens([], role),
                lambda: library.StreamableParser(encoding, role),
                lambda: encoding.encode("a", allowed_special=5),
            )
        ]

    assert results(library, ENCODING) == results(peer_library, peer)


def test_encoding_can_be_copied_and_a_parser_cannot() -> None:
    assert copy.deepcopy(ENCODING).encode("Hi") == pickle.loads(pickle.dumps(ENCODING)).encode("Hi")
    with pytest.raises(TypeError, match="cannot pickle"):
        copy.copy(library.StreamableParser(ENCODING, None))


def test_sets_of_the_encoding_are_the_same(peer: Any) -> None:
    assert ENCODING.special_tokens_set == peer.special_tokens_set
    assert sorted(ENCODING.stop_tokens()) == sorted(peer.stop_tokens())
    assert sorted(ENCODING.stop_tokens_for_assistant_actions()) == sorted(peer.stop_tokens_for_assistant_actions())
    assert ENCODING.name == peer.name


def test_subclass_of_the_parser_takes_its_own_arguments() -> None:
    class Named(library.StreamableParser):
        def __init__(self, name: str) -> None:
            super().__init__(ENCODING, library.Role.ASSISTANT)
            self.name = name

    parser = Named("a")
    assert parser.process(200_005) is parser
    assert (parser.name, parser.state) == ("a", library.StreamState.HEADER)


def test_reading_tokens_loads_no_models() -> None:
    """Importing pydantic takes several times as long as all else at start."""
    program = """
import sys
from motet.openai_harmony import Role, StreamableParser, load_harmony_encoding
encoding = load_harmony_encoding("HarmonyGptOss")
StreamableParser(encoding, Role.ASSISTANT).process(200005)
print("pydantic" in sys.modules, encoding.encode("Hi"))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert result.stdout == "False [12194]\n", result.stderr


def test_text_that_makes_the_peer_panic_encodes() -> None:
    assert len(ENCODING.encode("-" * 1_300_000)) < 100_000


def test_ids_of_no_token_are_freed_with_their_list() -> None:
    parser = library.StreamableParser(ENCODING, library.Role.ASSISTANT)
    for token in (*ENCODING.encode("<|channel|>final<|message|>", allowed_special="all"), 300_000):
        parser.process(token)
    # The variable and the call itself.
    item = parser.tokens[-1]
    assert item == 300_000
    assert sys.getrefcount(item) == 2
