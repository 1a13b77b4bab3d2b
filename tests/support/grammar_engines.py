"""Engines that constrain decoding, with motet's own vocabulary: llguidance for Lark, xgrammar for GBNF and tags."""

from __future__ import annotations

import functools
import importlib
import sys
import types
from typing import Any

import llguidance
import numpy
import tiktoken
from llguidance.tiktoken import lltokenizer_from_encoding

import motet

__all__ = ["Engine", "Llguidance", "Xgrammar"]

RETURN, CALL = motet.STOP_TOKENS[0], motet.STOP_TOKENS[2]


class Engine:
    """A compiled grammar; each matcher starts at its beginning."""

    def accepts(self, ids: list[int], *, stops: list[int] | None = None) -> bool:
        """Whether each id is allowed in turn, and the end is reached. `stops`: the stop tokens of the request, where the
        engine takes them."""
        matcher = self.matcher() if stops is None else self.matcher(stops)
        return all(self.take(matcher, token) for token in ids) and self.is_done(matcher, ids)

    def matcher(self, stops: list[int] | None = None) -> Any: ...
    def take(self, matcher: Any, token: int) -> bool: ...
    def is_done(self, matcher: Any, ids: list[int]) -> bool: ...


@functools.cache
def _lark_tokenizer() -> Any:
    # As servers have it: the model ends with <|return|>.
    return lltokenizer_from_encoding(tiktoken.get_encoding("o200k_harmony"), eos_token=[RETURN])


class Llguidance(Engine):
    def __init__(self, grammar: str) -> None:
        failed, messages = llguidance.LLMatcher.validate_grammar_with_warnings(grammar, _lark_tokenizer())
        assert not failed, messages
        self.warnings = messages
        self._grammar = grammar

    def matcher(self, stops: list[int] | None = None) -> Any:
        return llguidance.LLMatcher(_lark_tokenizer(), self._grammar, log_level=0)

    def take(self, matcher: Any, token: int) -> bool:
        if matcher.is_stopped():
            return False
        return bool(self.allowed(matcher, token) and matcher.consume_token(token))

    def allowed(self, matcher: Any, token: int) -> bool:
        mask = matcher.compute_bitmask()
        return bool(mask[token // 8] >> token % 8 & 1)

    def choices(self, matcher: Any) -> Any:
        """The tokens that may come next, as an ascending numpy array: there may be 200,000 of them."""
        mask = numpy.frombuffer(matcher.compute_bitmask(), numpy.uint8)
        return numpy.flatnonzero(numpy.unpackbits(mask, bitorder="little"))

    def is_done(self, matcher: Any, ids: list[int]) -> bool:
        return bool(matcher.is_accepting())


@functools.cache
def _xgrammar() -> Any:
    """xgrammar without torch, which it imports for masks on a GPU only."""
    import tvm_ffi  # noqa: F401  # It must not see what stands in for torch.

    class StandIn(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {"__init__": lambda self, *_, **__: None})

    names = ("torch", "transformers")
    missing = {name: StandIn(name) for name in names if name not in sys.modules}
    sys.modules.update(missing)
    try:
        return importlib.import_module("xgrammar")
    finally:
        for name in missing:
            del sys.modules[name]


@functools.cache
def _compiler(stops: tuple[int, ...]) -> Any:
    xgrammar = _xgrammar()
    vocabulary = [motet.decode_bytes([token]) for token in range(motet.VOCAB_SIZE)]
    info = xgrammar.TokenizerInfo(vocabulary, xgrammar.VocabType.RAW, stop_token_ids=list(stops))
    # Without a limit it keeps every grammar, of up to 500 MB, while the process lives.
    return xgrammar.GrammarCompiler(info, max_threads=1, cache_limit_bytes=300 << 20)


class Xgrammar(Engine):
    """Reads GBNF (a `str`) and structural tags. `stops` are the ids that end its sequences."""

    def __init__(self, grammar: str | dict[str, Any], stops: tuple[int, ...]) -> None:
        compiler = _compiler(stops)
        self._stops = stops
        read = compiler.compile_grammar if isinstance(grammar, str) else compiler.compile_structural_tag
        self._compiled = read(grammar)

    def matcher(self, stops: list[int] | None = None) -> Any:
        return _xgrammar().GrammarMatcher(self._compiled, override_stop_tokens=stops)

    def take(self, matcher: Any, token: int) -> bool:
        return bool(matcher.accept_token(token))

    def is_done(self, matcher: Any, ids: list[int]) -> bool:
        # Ended by a stop token of the engine, or where the grammar has the stop token itself; not by both.
        stops = [token for token in ids[-2:] if token in (RETURN, CALL)]
        return bool(matcher.is_terminated() or matcher.is_completed()) and stops == ids[-1:]
