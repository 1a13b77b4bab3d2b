//! Base64 as `.tiktoken` files hold tokens. `build.rs` includes this file to compute the checksum of the vocabulary.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends the base64 of `bytes`, padded.
pub(crate) fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let value = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let digit = DIGITS[(value >> (18 - 6 * index)) as usize & 63];
            out.push(if index <= chunk.len() { digit } else { b'=' });
        }
    }
}
