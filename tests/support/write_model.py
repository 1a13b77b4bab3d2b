"""Writes a gpt-oss model with random weights as GGUF: `python write_model.py OUT.gguf`, about 20 MB, most of it vocabulary.

The architecture is gpt-oss's, with two layers of width 32 and four experts; the vocabulary is the real one, so that
what an engine does with tokens, special tokens and grammars is what it does with the real weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, TokenType

from motet import _core

WIDTH = 32
HEADS, KEY_HEADS, HEAD_WIDTH = 2, 1, 32
EXPERTS, EXPERT_WIDTH = 4, 32
LAYERS = 2
VOCABULARY = 201_088
LAST_NAMED_TOKEN = 200_018
"""Published models leave the ids behind it without a name."""


def byte_letters() -> dict[int, str]:
    """The letter of each byte in the token texts of GPT-2's and later vocabularies."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(0x100 + at) for at, byte in enumerate(others)}


def ordinary_tokens() -> list[bytes]:
    """The bytes of each ordinary token, by id."""
    tokens = [_core.decode_bytes([token]) for token in range(min(_core.SPECIAL_TOKENS.values()))]
    assert len(set(tokens)) == len(tokens)
    return tokens


def merges(tokens: list[bytes]) -> list[tuple[bytes, bytes]]:
    """The pairs of tokens that make a token, in the order of what they make."""
    rank = {token: at for at, token in enumerate(tokens)}
    pairs: list[tuple[bytes, bytes]] = []
    for token in tokens:
        halves = [(token[:at], token[at:]) for at in range(1, len(token))]
        parts = [(left, right) for left, right in halves if left in rank and right in rank]
        pairs += sorted(parts, key=lambda pair: (rank[pair[0]], rank[pair[1]]))
    return pairs


def add_vocabulary(writer: gguf.GGUFWriter) -> None:
    letters = byte_letters()

    def letters_of(token: bytes) -> str:
        return "".join([letters[byte] for byte in token])

    ordinary = ordinary_tokens()
    texts = [letters_of(token) for token in ordinary]
    types = [TokenType.NORMAL] * len(texts)
    names = {token: spelling for spelling, token in reversed(_core.SPECIAL_TOKENS.items())}
    for token in range(len(texts), VOCABULARY):
        named = token <= LAST_NAMED_TOKEN
        texts.append(names[token] if named else f"[PAD{token}]")
        types.append(TokenType.CONTROL if named else TokenType.UNUSED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-4o")
    writer.add_token_list(texts)
    writer.add_token_types(types)
    writer.add_token_merges([f"{letters_of(left)} {letters_of(right)}" for left, right in merges(ordinary)])
    writer.add_bos_token_id(_core.SPECIAL_TOKENS["<|startoftext|>"])
    writer.add_eos_token_id(_core.SPECIAL_TOKENS["<|return|>"])
    writer.add_pad_token_id(_core.SPECIAL_TOKENS["<|endoftext|>"])
    writer.add_add_bos_token(False)


def add_parameters(writer: gguf.GGUFWriter) -> None:
    writer.add_name("gpt-oss with random weights")
    writer.add_context_length(131_072)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(EXPERT_WIDTH)
    writer.add_expert_feed_forward_length(EXPERT_WIDTH)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(2)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(HEAD_WIDTH)
    writer.add_value_length(HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(150_000.0)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(32.0)
    writer.add_rope_scaling_orig_ctx_len(4096)
    writer.add_sliding_window(128)
    writer.add_vocab_size(VOCABULARY)


def add_weights(writer: gguf.GGUFWriter) -> None:
    random = np.random.default_rng(0)

    def add(name: str, *shape: int, type: GGMLQuantizationType = GGMLQuantizationType.F32) -> None:
        values = random.standard_normal(shape, np.float32) / np.sqrt(np.float32(shape[-1]))
        writer.add_tensor(name, gguf.quants.quantize(values, type), raw_dtype=type)

    def add_norm(name: str) -> None:
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    for name in ("token_embd", "output"):
        add(f"{name}.weight", VOCABULARY, WIDTH, type=GGMLQuantizationType.Q4_0)
    add_norm("output_norm.weight")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        add_norm(f"{block}.attn_norm.weight")
        add_norm(f"{block}.post_attention_norm.weight")
        for name, heads in (("attn_q", HEADS), ("attn_k", KEY_HEADS), ("attn_v", KEY_HEADS)):
            add(f"{block}.{name}.weight", heads * HEAD_WIDTH, WIDTH)
            add(f"{block}.{name}.bias", heads * HEAD_WIDTH)
        add(f"{block}.attn_output.weight", WIDTH, HEADS * HEAD_WIDTH)
        add(f"{block}.attn_output.bias", WIDTH)
        add(f"{block}.attn_sinks.weight", HEADS)
        add(f"{block}.ffn_gate_inp.weight", EXPERTS, WIDTH)
        add(f"{block}.ffn_gate_inp.bias", EXPERTS)
        for name, rows, columns in (
            ("ffn_gate_exps", EXPERT_WIDTH, WIDTH),
            ("ffn_up_exps", EXPERT_WIDTH, WIDTH),
            ("ffn_down_exps", WIDTH, EXPERT_WIDTH),
        ):
            # As in the published weights.
            add(f"{block}.{name}.weight", EXPERTS, rows, columns, type=GGMLQuantizationType.MXFP4)
            add(f"{block}.{name}.bias", EXPERTS, rows)


def main(path: Path) -> None:
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.GPT_OSS])
    add_parameters(writer)
    add_vocabulary(writer)
    add_weights(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
