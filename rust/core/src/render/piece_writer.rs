//! The writers of pieces, that is of markers and text. Only a [`Marker`] makes a special token; text is encoded as
//! ordinary text, whatever it spells. So content cannot become structure.

use crate::marker::Marker;
use crate::tokenizer;

/// Receives a frame as markers and text.
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

/// Writes text with spelled markers.
impl Writer for String {
    fn mark(&mut self, marker: Marker) {
        self.push_str(marker.spelling());
    }

    fn text(&mut self, text: &str) {
        self.push_str(text);
    }
}
