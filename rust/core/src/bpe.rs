//! One piece of text to ids: byte pair encoding, exactly as the definition has it, in the fewest steps.
//!
//! The definition: of all neighbouring parts whose joined bytes are a token, the pair with the lowest id is joined, the
//! leftmost of several, until none is left. What is done instead, and why it gives the same:
//!
//! **A token is the merge of one pair.** Inside the bytes of a token the same merges come in the same order wherever it
//! stands, so two parts join exactly if *they* are the pair that their token was made of. A merge is a look at two ids,
//! not at bytes.
//!
//! **One token.** A piece that is a token is that token. Nine pieces of ten are.
//!
//! **Neighbours decide.** Tokens are the encoding of their joined bytes exactly if each two neighbours are the encoding
//! of theirs: a merge across a border would have to happen between two of them first. Whether two are, their own
//! merges tell ([`are_neighbours`]).
//!
//! **Units.** Merging may begin with whole characters instead of bytes wherever no merge can join a part of the character
//! to what stands beside it before the character itself is complete. Let a part that the character's own merges make
//! at its edge be used up by the merge `k`. It could be joined across the edge only by a merge lower than `k`
//! that takes this part on this side; the build looks for such merges, and notes by which bytes beside it a
//! character must be taken apart ([`vocab::unit`]). Of Chinese and Japanese prose 98 characters of 100 stay whole.
//!
//! **Windows.** A long piece is merged in windows of 64 units, each beginning a few tokens before the end of the last.
//! If the first token of a window is the one that stood there before, or can be a neighbour of the one before it, all
//! neighbours fit, and so the whole is exact.
//!
//! **Worst case.** Where windows do not fit together, as in long runs of one character, the piece is walked with the
//! longest tokens that fit ([`walk`]), which is linear. A window costs at most 64 merges and three more tries, so all of
//! it is linear in the text, in time and in memory.

use crate::cache::Key;
use crate::vocab::{self, NONE};

/// Appends the ids of a piece.
pub(crate) fn encode(piece: &[u8], out: &mut Vec<u32>) {
    if piece.len() <= 16 {
        encode_short(Key::new(&vocab::chunk(piece), piece.len()), out);
    } else {
        encode_long(piece, out);
    }
}

/// Appends the ids of a piece of up to 16 bytes.
#[inline(never)]
pub(crate) fn encode_short(key: Key, out: &mut Vec<u32>) {
    let id = vocab::lookup_key(key);
    if id != NONE {
        out.push(id);
    } else {
        let bytes = (u128::from(key.second) << 64 | u128::from(key.first)).to_le_bytes();
        let mut window = Window::<16>::new(bytes.get(..key.length).unwrap_or_default(), 0);
        window.merge();
        window.tokens().for_each(|id| out.push(id));
    }
}

/// Appends the ids of a longer piece.
#[inline(never)]
pub(crate) fn encode_long(piece: &[u8], out: &mut Vec<u32>) {
    let id = vocab::lookup_long(piece);
    if id != NONE {
        out.push(id);
    } else if repeats(piece) {
        walk(piece, out);
    } else {
        windows(piece, out);
    }
}

/// Whether a piece begins with a run of one character: such runs are walked faster than merged.
fn repeats(piece: &[u8]) -> bool {
    let from = |at| piece.get(at..).and_then(<[u8]>::first_chunk::<60>);
    (1..=4).any(|period| from(period).is_some() && from(0) == from(period))
}

/// A window is merged as if it were alone, so that its last tokens are not to be trusted: this many.
const DOUBTFUL: usize = 3;

/// Fewer tokens in a window are long ones, as in a run of spaces: walking makes them without merging.
const FEW: usize = 12;

/// How often windows are tried that begin earlier, where one does not fit, before the piece is walked.
const TRIES: usize = 3;

/// Merges a piece window by window. Each begins with the tokens that were doubtful in the one before.
fn windows(piece: &[u8], out: &mut Vec<u32>) {
    let (mut at, start, mut expected) = (0, out.len(), NONE);
    let (mut furthest, mut tries) = (0, 0);
    loop {
        let mut window = Window::<64>::new(piece, at);
        window.merge();
        let last = window.end == piece.len();
        let count = window.count();
        let sure =
            if last { count } else { count.checked_sub(DOUBTFUL).filter(|_| count >= FEW).unwrap_or(0) };
        // Two neighbours from one window are neighbours; others have to be asked.
        let before = out.get(start..).and_then(<[u32]>::last);
        let fits =
            before.is_none_or(|&before| window.ids[0] == expected || are_neighbours(before, window.ids[0]));
        if fits && sure > 0 {
            for (number, id) in window.tokens().enumerate() {
                if number == sure {
                    expected = id;
                    break;
                }
                out.push(id);
                at += length_of(id);
            }
            if last {
                return;
            }
        }
        if at > furthest {
            (furthest, tries) = (at, 0);
            continue;
        }
        tries += 1;
        let back = 4 * tries;
        if tries > TRIES || out.len() - start <= back {
            out.truncate(start);
            walk(piece, out);
            return;
        }
        at -= out
            .drain(out.len() - back..)
            .rev()
            .map(|id| {
                expected = id;
                length_of(id)
            })
            .sum::<usize>();
    }
}

/// Up to 64 units of a piece, and the tokens that they merge into.
struct Window<const UNITS: usize> {
    /// The tokens, each at the place of its first unit.
    ids: [u32; UNITS],
    /// For each token the one that it makes with the next, or [`NONE`], above 6 bits of its own place.
    keys: [u64; UNITS],
    /// A bit for each place that has a token.
    alive: u64,
    units: usize,
    /// Where the window ends in the piece.
    end: usize,
}

impl<const UNITS: usize> Window<UNITS> {
    #[inline(always)]
    fn new(piece: &[u8], from: usize) -> Window<UNITS> {
        let mut window = Window { ids: [0; UNITS], keys: [u64::MAX; UNITS], alive: 0, units: 0, end: from };
        while let Some(rest) = piece.get(window.end..).filter(|rest| !rest.is_empty())
            && window.units + rest.len().min(4) <= UNITS
        {
            let before = if window.end == 0 { 0 } else { piece[window.end - 1] };
            window.take(rest, before);
        }
        window.alive = u64::MAX >> (64 - window.units);
        for place in 0..window.units - 1 {
            window.keys[place] = key(window.ids[place], window.ids[place + 1], place);
        }
        window
    }

    /// Takes the first character of `rest`, as one unit or as its bytes.
    #[inline(always)]
    fn take(&mut self, rest: &[u8], before: u8) {
        let (point, length) = match *rest {
            [a @ 0xc2..0xe0, b, ..] => (usize::from(a & 31) << 6 | usize::from(b & 63), 2),
            [a @ 0xe0..0xf0, b, c, ..] => {
                (usize::from(a & 15) << 12 | usize::from(b & 63) << 6 | usize::from(c & 63), 3)
            }
            [a @ 0xf0..=0xf4, b, c, d, ..] => {
                let high = usize::from(a & 7) << 18 | usize::from(b & 63) << 12;
                (high | usize::from(c & 63) << 6 | usize::from(d & 63), 4)
            }
            _ => (0, 1),
        };
        self.end += length;
        if length > 1 {
            let behind = rest.get(length).copied().unwrap_or(0);
            let unit = vocab::unit(point, before, behind);
            if unit != NONE {
                self.push(unit);
                return;
            }
        }
        for &byte in rest.iter().take(length) {
            self.push(vocab::single(byte));
        }
    }

    #[inline(always)]
    fn push(&mut self, id: u32) {
        self.ids[self.units % UNITS] = id;
        self.units += 1;
    }

    #[inline(always)]
    fn merge(&mut self) {
        loop {
            let lowest = self.lowest();
            let (id, place) = ((lowest >> 6) as u32, lowest as usize % UNITS);
            if id == NONE {
                return;
            }
            self.ids[place] = id;
            let behind = self.alive & (u64::MAX << place << 1);
            let gone = behind.trailing_zeros() as usize % UNITS;
            self.alive &= !(1 << gone);
            self.keys[gone] = u64::MAX;
            let behind = behind & (behind - 1);
            self.keys[place] = if behind == 0 {
                u64::MAX
            } else {
                key(id, self.ids[behind.trailing_zeros() as usize % UNITS], place)
            };
            let before = self.alive & ((1 << place) - 1);
            if before != 0 {
                let before = before.ilog2() as usize % UNITS;
                self.keys[before] = key(self.ids[before], id, before);
            }
        }
    }

    /// Four at a time, and not as vectors: what was written a moment ago as one key is slow to read as part of a vector.
    #[inline(always)]
    fn lowest(&self) -> u64 {
        let mut lowest = [u64::MAX; 4];
        for four in self.keys[..self.units.next_multiple_of(4).min(UNITS)].as_chunks::<4>().0 {
            for (lowest, key) in lowest.iter_mut().zip(four) {
                *lowest = (*lowest).min(*key);
            }
        }
        lowest[0].min(lowest[1]).min(lowest[2].min(lowest[3]))
    }

    fn count(&self) -> usize {
        self.alive.count_ones() as usize
    }

    #[inline(always)]
    fn tokens(&self) -> impl Iterator<Item = u32> {
        let mut alive = self.alive;
        std::iter::from_fn(move || {
            let place = alive.trailing_zeros() as usize;
            alive &= alive.wrapping_sub(1);
            self.ids.get(place).copied()
        })
    }
}

#[inline(always)]
fn key(left: u32, right: u32, place: usize) -> u64 {
    u64::from(vocab::merge(left, right)) << 6 | place as u64
}

/// The longest tokens that fit together, taking back those behind which nothing fits.
///
/// Tokens are the encoding of their joined bytes exactly if each two neighbours are the encoding of theirs. So the
/// text is walked with the longest token that fits its neighbour; where none does, the token before is taken back,
/// and its end is marked as one from which there is no way on. Each end is marked once, and a token has few
/// prefixes: the walk is linear, whatever the text.
fn walk(piece: &[u8], out: &mut Vec<u32>) {
    let start = out.len();
    let mut dead = vec![0_u64; piece.len() / 64 + 1];
    let mut known = vec![Verdict::NONE; if piece.len() < LONG { 16 } else { KNOWN }];
    let mut at = 0;
    let mut next = vocab::longest(piece);
    // The longest token at `at`, if it is known.
    let mut longest = next;
    while next != NONE {
        let end = at + length_of(next);
        let before = out.get(start..).and_then(<[u32]>::last).copied();
        let open = dead[end / 64] >> (end % 64) & 1 == 0;
        if open && before.is_none_or(|before| look_up_neighbours(before, next, &mut known)) {
            out.push(next);
            // In a run the same is found again and again.
            let ahead = |at: usize| piece.get(at..).and_then(<[u8]>::first_chunk::<{ vocab::LONGEST }>);
            let same = longest != NONE && ahead(end).is_some() && ahead(at) == ahead(end);
            at = end;
            next = if same { longest } else { vocab::longest(piece.get(at..).unwrap_or_default()) };
            longest = next;
            continue;
        }
        next = vocab::prefix(next);
        if let (NONE, Some(before)) = (next, before) {
            dead[at / 64] |= 1 << (at % 64);
            out.pop();
            at -= length_of(before);
            next = before;
            longest = NONE;
        }
    }
}

/// Whether two tokens can be neighbours, as it was found before.
#[derive(Clone, Copy)]
struct Verdict {
    left: u32,
    right: u32,
    fits: bool,
}

impl Verdict {
    const NONE: Verdict = Verdict { left: NONE, right: NONE, fits: false };
}

/// How many verdicts are kept. In a long run of one character the same few hundred pairs are asked for again and again.
const KNOWN: usize = 2048;

/// From this many bytes on it is worth to keep them.
const LONG: usize = 2048;

fn look_up_neighbours(left: u32, right: u32, known: &mut [Verdict]) -> bool {
    let slot = (left.wrapping_mul(31) ^ right.wrapping_mul(0x9e37_79b1) >> 16) as usize % known.len();
    if known[slot].left != left || known[slot].right != right {
        known[slot] = Verdict { left, right, fits: are_neighbours(left, right) };
    }
    known[slot].fits
}

#[inline(always)]
fn length_of(id: u32) -> usize {
    vocab::token_bytes(id).map_or(0, <[u8]>::len)
}

/// Whether two tokens stay as they are when their joined bytes are encoded.
///
/// They do not if something merges across their border on the way. So the merges that made the two are undone, the
/// last one first: each step gives the tokens that stood at the border when merges of `limit` and above were still
/// to come, and a merge of these two below `limit` would have come first. Of equal ones the left comes first, which
/// the `+ 1` of a right token says.
fn are_neighbours(mut left: u32, mut right: u32) -> bool {
    let mut limit = NONE;
    loop {
        if vocab::merge(left, right) < limit {
            return false;
        }
        let (inner_left, inner_right) = (vocab::halves(left).1, vocab::halves(right).0);
        match (inner_left == left, inner_right == right) {
            (true, true) => return true,
            (false, whole) if whole || left > right => (left, limit) = (inner_left, left),
            _ => (right, limit) = (inner_right, right + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(piece: &[u8]) -> u32 {
        vocab::lookup(piece)
    }

    /// The definition, with nothing done to make it fast.
    fn plain(piece: &[u8]) -> Vec<u32> {
        let mut starts: Vec<usize> = (0..=piece.len()).collect();
        loop {
            let joined = starts.windows(3).map(|place| token(&piece[place[0]..place[2]])).enumerate();
            match joined.min_by_key(|(_, id)| *id) {
                Some((at, id)) if id != NONE => _ = starts.remove(at + 1),
                _ => return starts.windows(2).map(|place| token(&piece[place[0]..place[1]])).collect(),
            }
        }
    }

    fn walked(piece: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        walk(piece, &mut ids);
        ids
    }

    fn in_windows(piece: &[u8]) -> Vec<u32> {
        let mut ids = vec![NONE];
        windows(piece, &mut ids);
        ids.split_off(1)
    }

    fn in_one(piece: &[u8]) -> Vec<u32> {
        let mut window = Window::<16>::new(piece, 0);
        window.merge();
        let (tokens, mut ids) = (window.tokens().collect(), Vec::new());
        encode_short(Key::new(&vocab::chunk(piece), piece.len()), &mut ids);
        assert_eq!(ids, tokens, "{piece:?}");
        tokens
    }

    #[test]
    fn every_token_is_merged_to_itself() {
        for id in 0..vocab::FIRST_SPECIAL {
            let token = vocab::token_bytes(id).expect("a token");
            assert_eq!(walked(token), [id]);
            assert_eq!(in_windows(token), [id]);
            if token.len() <= 16 {
                assert_eq!(in_one(token), [id]);
            }
        }
    }

    /// The parts of characters are where units could go wrong: each character that is a token, beside others.
    #[test]
    fn units_change_nothing() {
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let texts =
            (0..vocab::FIRST_SPECIAL).filter_map(|id| std::str::from_utf8(vocab::token_bytes(id)?).ok());
        let characters: Vec<char> = texts
            .filter_map(|text| {
                let mut characters = text.chars();
                characters.next().filter(|c| !c.is_ascii() && characters.next().is_none())
            })
            .collect();
        assert!(characters.len() > 5000);
        for &c in &characters {
            for _ in 0..40 {
                let mut near = || {
                    let block = (c as u32 & !0x7f) + random(128) as u32;
                    let any = characters[random(characters.len())];
                    [char::from_u32(block).unwrap_or(any), any, ' ', '-', 'p', '\n', 'i'][random(7)]
                };
                let text = String::from_iter([near(), near(), c, near(), near()]);
                assert_eq!(in_windows(text.as_bytes()), plain(text.as_bytes()), "{text:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn all_ways_follow_the_definition(
            piece in "[a-z]{2,120}|[\u{4e00}-\u{4fff}]{1,40}|[ab]{2,90}|\\PC{1,50}|[ \t]{2,90}|[а-я]{2,90}|[-=_*# ]{2,90}"
        ) {
            let bytes = piece.as_bytes();
            let expected = plain(bytes);
            if bytes.len() <= 16 {
                prop_assert_eq!(&in_one(bytes), &expected);
            }
            prop_assert_eq!(&in_windows(bytes), &expected);
            prop_assert_eq!(&walked(bytes), &expected);
        }

        #[test]
        fn a_piece_may_begin_inside_a_character(text in "\\PC{4,90}|[а-я]{4,90}|[\u{4e00}-\u{4fff}]{4,60}", skipped in 0_usize..4) {
            let piece = &text.as_bytes()[skipped..];
            let expected = plain(piece);
            prop_assert_eq!(&in_windows(piece), &expected);
            prop_assert_eq!(&walked(piece), &expected);
        }
    }
}
