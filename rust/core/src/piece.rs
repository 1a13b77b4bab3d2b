//! Pieces: the alphabet between structure and bytes. Only a [`Marker`] makes a control token; text, whatever it
//! spells, is encoded as ordinary text. That user content cannot become structure follows from these types.

use crate::marker::Marker;
use crate::tokenizer;

/// What frames are written to: markers and text, one after the other.
pub trait Writer {
    fn mark(&mut self, marker: Marker);
    fn text(&mut self, text: &str);
}

/// Writes token ids.
impl Writer for Vec<u32> {
    fn mark(&mut self, marker: Marker) {
        self.push(marker.id());
    }

    fn text(&mut self, text: &str) {
        tokenizer::encode_into(text, self);
    }
}

/// Writes text, with the markers spelled.
impl Writer for String {
    fn mark(&mut self, marker: Marker) {
        self.push_str(marker.spelling());
    }

    fn text(&mut self, text: &str) {
        self.push_str(text);
    }
}
