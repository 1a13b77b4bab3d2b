"""The encoding: conversations to tokens, tokens to messages and text."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, get_args

from motet import _core
from motet.errors import SpecialTokenError
from motet.openai_harmony.error import HarmonyError

if TYPE_CHECKING:
    from motet.openai_harmony.content import Conversation, Message, RenderConversationConfig, RenderOptions
    from motet.openai_harmony.role import Role

__all__ = ["HarmonyEncoding", "HarmonyEncodingName", "load_harmony_encoding", "raise_disallowed_special_token"]

_Specials = Literal["all"] | AbstractSet[str]
_Disallowed = Literal["all"] | Collection[str]

Dialect: TypeAlias = Literal["openai_harmony", "oss_harmony"]
"""Whose ids and headers: those of openai-harmony 0.0.8, or of oss-harmony 0.0.11."""
Mode: TypeAlias = Literal["exact", "tolerant"]
"""How completions are read: as that library does, or as motet does, which repairs what does not follow the format."""


class HarmonyEncodingName(StrEnum):
    """The names of encodings."""

    HARMONY_GPT_OSS = "HarmonyGptOss"


class HarmonyEncoding:
    """gpt-oss's encoding. `load_harmony_encoding` returns one."""

    mode: Mode = "exact"
    """How completions are read where nothing else is said: see `StreamableParser`."""

    def __init__(self, inner: _core._HarmonyEncoding) -> None:
        self._inner = inner

    def __reduce__(self) -> tuple[Any, ...]:
        return make_encoding, (self.dialect, self.mode)

    @property
    def dialect(self) -> Dialect:
        """Whose ids and headers these are."""
        return self._inner.dialect

    @property
    def name(self) -> str:
        """`"HarmonyGptOss"`."""
        return HarmonyEncodingName.HARMONY_GPT_OSS.value

    @functools.cached_property
    def special_tokens_set(self) -> set[str]:
        """The spellings of all 1,091 special tokens."""
        return set(self._inner.special_tokens())

    def render_conversation_for_completion(
        self, conversation: Conversation, next_turn_role: Role, config: RenderConversationConfig | None = None
    ) -> list[int]:
        """The tokens of a prompt: the conversation, and the beginning of the next message.

        Raises `HarmonyError` for messages that cannot be rendered.
        """
        return self._inner.render_conversation_for_completion(
            conversation.to_json(), str(next_turn_role.value), _drops_analysis(config)
        )

    def render_conversation(
        self, conversation: Conversation, config: RenderConversationConfig | None = None
    ) -> list[int]:
        """The tokens of a conversation. Raises `RuntimeError` for messages that cannot be rendered."""
        return self._inner.render_conversation(conversation.to_json(), _drops_analysis(config))

    def render_conversation_for_training(
        self, conversation: Conversation, config: RenderConversationConfig | None = None
    ) -> list[int]:
        """The tokens of a conversation, with `<|return|>` behind a final answer at its end.

        Reasoning is left out as in prompts, unless `config` says otherwise. Raises `RuntimeError` for messages that
        cannot be rendered.
        """
        return self._inner.render_conversation_for_training(conversation.to_json(), _drops_analysis(config))

    def render(self, message: Message, render_options: RenderOptions | None = None) -> list[int]:
        """The tokens of one message. Raises `RuntimeError` for a message that cannot be rendered."""
        has_tools = False if render_options is None else render_options.conversation_has_function_tools
        return self._inner.render_message(message.to_json(), has_tools)

    def parse_messages_from_completion_tokens(
        self, tokens: Sequence[int], role: Role | None = None, *, strict: bool = True, mode: Mode | None = None
    ) -> list[Message]:
        """The messages of a completion; what `StreamableParser` reads.

        `role`: that with which the prompt ended; `None`: the tokens begin with `<|start|>`. `strict`, `mode`: see
        `StreamableParser`. Raises `HarmonyError` for tokens that do not follow the format.
        """
        role_name = None if role is None else str(role.value)
        return make_messages(self._inner.parse_messages(list(tokens), role_name, strict, mode or self.mode))

    def decode_utf8(self, tokens: Sequence[int]) -> str:
        """The text of tokens. Raises `HarmonyError` for bytes that are not UTF-8, and for an unknown token."""
        return self._inner.decode_utf8(list(tokens))

    def decode(self, tokens: Sequence[int], errors: str = "replace") -> str:
        """The text of tokens. `errors` is that of `bytes.decode`. Raises `HarmonyError` for an unknown token."""
        return self._inner.decode_bytes(list(tokens)).decode("utf-8", errors=errors)

    def encode(
        self,
        text: str,
        *,
        allowed_special: _Specials = frozenset(),
        disallowed_special: _Disallowed = "all",
    ) -> list[int]:
        """The tokens of a text.

        Spellings of special tokens become special tokens if they are in `allowed_special`. They raise `HarmonyError`
        if they are in `disallowed_special` (by default: all that are not allowed), and are ordinary text if they are
        in neither.
        """
        if not allowed_special and not disallowed_special:
            return _core.encode(text)
        if not allowed_special and disallowed_special == "all":
            specials, others = _no_specials()
        else:
            specials, others = _prepared_specials(_key(allowed_special), _key(disallowed_special))
        if others is not None and (match := others.search(text)):
            raise_disallowed_special_token(match.group())
        try:
            return specials.encode(text)
        except SpecialTokenError as error:
            raise_disallowed_special_token(error.token)

    def is_special_token(self, token: int) -> bool:
        """Whether a token is special."""
        return self._inner.is_special_token(token)

    def stop_tokens(self) -> list[int]:
        """The tokens that end a message: `<|return|>`, `<|end|>`, `<|call|>`."""
        return self._inner.stop_tokens()

    def stop_tokens_for_assistant_actions(self) -> list[int]:
        """The tokens that end a completion: `<|return|>`, `<|call|>`."""
        return self._inner.stop_tokens_for_assistant_actions()


def _drops_analysis(config: RenderConversationConfig | None) -> bool:
    return True if config is None else config.auto_drop_analysis


def make_messages(rows: list[tuple[Role, str | None, str | None, str | None, str | None, str]]) -> list[Message]:
    """The messages of the native parser as models."""
    from motet.openai_harmony.content import Author, Message, TextContent

    return [
        Message(
            author=Author(role=role, name=name),
            content=[TextContent(text=text)],
            channel=channel,
            recipient=recipient,
            content_type=content_type,
        )
        for role, name, channel, recipient, content_type, text in rows
    ]


def _key(specials: _Specials | _Disallowed) -> Literal["all"] | frozenset[str]:
    return "all" if specials == "all" else frozenset(specials)


@functools.lru_cache(maxsize=128)
def _prepared_specials(
    allowed: Literal["all"] | frozenset[str], disallowed: Literal["all"] | frozenset[str]
) -> tuple[_core._HarmonySpecialTokens, re.Pattern[str] | None]:
    """What becomes of the spellings of special tokens, and a pattern if others are disallowed, too."""
    known = frozenset(_core._HarmonyEncoding("openai_harmony").special_tokens())
    tokens = known if allowed == "all" else allowed
    refused = known - tokens if disallowed == "all" else disallowed
    # A pattern for all of them, as the first in the text is the one that the error names.
    pattern = None if refused <= known else re.compile("|".join(map(re.escape, refused)))
    return _core._HarmonySpecialTokens(tokens, () if pattern else refused), pattern


@functools.cache
def _no_specials() -> tuple[_core._HarmonySpecialTokens, re.Pattern[str] | None]:
    """`_prepared_specials` of the defaults."""
    return _prepared_specials(frozenset(), "all")


def raise_disallowed_special_token(token: str) -> NoReturn:
    """Raises the error of `HarmonyEncoding.encode` for a special token in the text."""
    raise HarmonyError(
        f"Encountered text corresponding to disallowed special token {token!r}.\n"
        "If you want this text to be encoded as a special token, "
        f"pass it to `allowed_special`, e.g. `allowed_special={{'{token}', ...}}`.\n"
        "If you want this text to be encoded as normal text, disable the check for this token "
        f"by passing `disallowed_special=(enc.special_tokens_set - {{'{token}'}})`.\n"
        "To disable this check for all special tokens, pass `disallowed_special=()`.\n"
    ) from None


def load_harmony_encoding(name: str | HarmonyEncodingName, *, mode: Mode = "exact") -> HarmonyEncoding:
    """The encoding of a name; `HarmonyEncodingName.HARMONY_GPT_OSS` is the only one.

    `mode`: how completions are read where nothing else is said: see `StreamableParser`. Reads and downloads nothing:
    the vocabulary is part of the package. Raises `ValueError` for another name.
    """
    check_name(name)
    return make_encoding("openai_harmony", mode)


def check_name(name: str | HarmonyEncodingName) -> None:
    """Raises `ValueError` for a name that no encoding has."""
    if str(name) != HarmonyEncodingName.HARMONY_GPT_OSS.value:
        raise ValueError(f"Invalid HarmonyEncodingName: {name}")


def make_encoding(dialect: Dialect, mode: Mode) -> HarmonyEncoding:
    """An encoding of either library."""
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be 'exact' or 'tolerant', not {mode!r}")
    encoding = HarmonyEncoding(_core._HarmonyEncoding(dialect))
    encoding.mode = mode
    return encoding
