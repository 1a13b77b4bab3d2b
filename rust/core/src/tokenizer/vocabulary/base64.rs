//! Base64, as `.tiktoken` files hold their tokens. The build checks the vocabulary with it, and the core writes it out.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends the base64 of `bytes`, padded.
pub(crate) fn push(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let value = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let place = DIGITS[(value >> (18 - 6 * digit)) as usize & 63];
            out.push(if digit <= chunk.len() { place } else { b'=' });
        }
    }
}
