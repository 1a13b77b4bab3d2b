//! Text to pre-tokens, by the split pattern of `o200k_base`.

pub(super) mod block;
pub(super) mod scalar;
