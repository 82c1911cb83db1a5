//! Moving over JSON text at memory speed. `plain_run` serves the strict check; the `skip_*` functions move over text that has passed it.

use std::ops::Range;

use memchr::{memchr, memchr2};

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
const WORD_BYTES: usize = 8;
const BLOCK_BYTES: usize = 64;
/// Member names and identifiers are short: words are tried before blocks, whose set-up would cost more than it saves.
const WORDS_FIRST: usize = 4;

/// Where a run of string bytes that need no attention ends.
pub(super) struct Run {
    /// Offset of the first quote, backslash or control character, or the length of the text.
    pub(super) end: usize,
    /// False only when every byte of the run is ASCII; may be true without cause, since whole blocks are looked at.
    pub(super) maybe_wide: bool,
}

/// High bit set in the lowest byte of `word` that is a quote, a backslash or a control character; bits above it may be noise.
const fn special_bits(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    ((quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash) | control) & HIGH
}

const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Written without branches so that the compiler turns it into vector instructions.
fn look_at_block(block: &[u8; BLOCK_BYTES]) -> (bool, u8) {
    let mut hit = false;
    let mut all = 0;
    for byte in block {
        hit |= (*byte == b'"') | (*byte == b'\\') | (*byte < 0x20);
        all |= *byte;
    }
    (hit, all)
}

fn word_at(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk::<WORD_BYTES>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Moves from `from`, inside a string, to the next byte that needs attention.
#[inline]
pub(super) fn plain_run(text: &[u8], from: usize) -> Run {
    let mut at = from;
    let mut wide = 0_u64;
    for _ in 0..WORDS_FIRST {
        let Some(word) = word_at(text, at) else { return short_run(text, at, wide) };
        wide |= word;
        let bits = special_bits(word);
        if bits != 0 {
            return Run { end: at + bits.trailing_zeros() as usize / 8, maybe_wide: wide & HIGH != 0 };
        }
        at += WORD_BYTES;
    }
    long_run(text, at, wide)
}

fn long_run(text: &[u8], mut at: usize, mut wide: u64) -> Run {
    let (blocks, _) = text.get(at..).unwrap_or_default().as_chunks::<BLOCK_BYTES>();
    let mut all = 0;
    for block in blocks {
        let (hit, seen) = look_at_block(block);
        all |= seen;
        if hit {
            break;
        }
        at += BLOCK_BYTES;
    }
    wide |= u64::from(all);
    while let Some(word) = word_at(text, at) {
        wide |= word;
        let bits = special_bits(word);
        if bits != 0 {
            return Run { end: at + bits.trailing_zeros() as usize / 8, maybe_wide: wide & HIGH != 0 };
        }
        at += WORD_BYTES;
    }
    short_run(text, at, wide)
}

fn short_run(text: &[u8], from: usize, wide: u64) -> Run {
    let rest = text.get(from..).unwrap_or_default();
    let length = rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len());
    let wide = wide & HIGH != 0 || rest.iter().take(length).any(|byte| !byte.is_ascii());
    Run { end: from + length, maybe_wide: wide }
}

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// First offset at or after `at` that holds no white space.
pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| is_space(*byte)) {
        at += 1;
    }
    at
}

/// Offset behind the closing quote of the string that opens at `at`; checked text only.
fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Offset behind the value that begins at `at`; checked text only.
pub(super) fn skip_value(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => skip_string(text, at),
        b'{' | b'[' => skip_container(text, at),
        _ => {
            let rest = text.get(at..)?;
            let length = rest.iter().position(|b| matches!(b, b',' | b'}' | b']') || is_space(*b)).unwrap_or(rest.len());
            Some(at + length)
        }
    }
}

fn skip_container(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_u32;
    loop {
        match text.get(at)? {
            b'"' => {
                at = skip_string(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// One member of an object; offsets count from the opening brace's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The name between its quotes, still escaped.
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Walks over the members of checked object text without decoding them.
pub(super) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Members<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        let at = if text.first() == Some(&b'{') { 1 } else { text.len() };
        Self { text, at }
    }
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let open = skip_space(self.text, self.at);
        if self.text.get(open) != Some(&b'"') {
            return None;
        }
        let close = skip_string(self.text, open)?;
        let colon = skip_space(self.text, close);
        let start = skip_space(self.text, colon + 1);
        let end = skip_value(self.text, start)?;
        // Behind the value stands a comma or the closing brace; the next turn tells them apart by what follows.
        self.at = skip_space(self.text, end) + 1;
        Some(Member { name: open + 1..close - 1, value: start..end })
    }
}

/// Walks over the elements of checked array text.
pub(super) struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        let at = if text.first() == Some(&b'[') { 1 } else { text.len() };
        Self { text, at }
    }
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = skip_space(self.text, self.at);
        if matches!(self.text.get(start), None | Some(b']')) {
            return None;
        }
        let end = skip_value(self.text, start)?;
        self.at = skip_space(self.text, end) + 1;
        Some(start..end)
    }
}

/// True when the raw text between two quotes means `name`.
pub(super) fn name_is(raw: &[u8], name: &str) -> bool {
    if memchr(b'\\', raw).is_none() {
        return raw == name.as_bytes();
    }
    super::text::unescape(raw).is_some_and(|text| text == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_run_stops_at_the_first_special_byte_at_every_distance() {
        for length in 0..300 {
            for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
                let mut text = vec![b'x'; length];
                text.push(special);
                text.extend_from_slice(&[b'"'; 70]);
                let run = plain_run(&text, 0);
                assert_eq!((run.end, run.maybe_wide), (length, false), "{length} {special}");
            }
            let text = vec![0x7f; length];
            assert_eq!(plain_run(&text, 0).end, length, "no special byte at all");
        }
    }

    #[test]
    fn plain_run_reports_a_wide_byte_at_every_distance() {
        for length in 1..200 {
            for wide_at in 0..length {
                let mut text = vec![b'a'; length];
                text[wide_at] = 0xc3;
                text.push(b'"');
                let run = plain_run(&text, 0);
                assert_eq!((run.end, run.maybe_wide), (length, true), "{length} {wide_at}");
            }
        }
    }

    #[test]
    fn every_single_byte_is_classed_right() {
        for byte in 0..=255_u8 {
            for lead in [0, 3, 40, 100] {
                let mut text = vec![b' '; lead];
                text.push(byte);
                text.extend_from_slice(&[b' '; 90]);
                let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(plain_run(&text, 0).end, if special { lead } else { text.len() }, "{byte} at {lead}");
            }
        }
    }

    #[test]
    fn members_and_elements_keep_their_places() {
        let text = br#"{ "a" : [1, {"b":"}"}] ,"c\"":-1e3 }"#;
        let found: Vec<_> = Members::of(text).map(|m| (&text[m.name], &text[m.value])).collect();
        assert_eq!(found, [(&b"a"[..], &br#"[1, {"b":"}"}]"#[..]), (br#"c\""#, b"-1e3")]);
        let list = br#"[ 1 ,"]",[], {} ]"#;
        let found: Vec<_> = Elements::of(list).map(|r| &list[r]).collect();
        assert_eq!(found, [&b"1"[..], br#""]""#, b"[]", b"{}"]);
        assert_eq!(Elements::of(b"[ ]").count() + Members::of(b"{ }").count() + Members::of(b"[1]").count(), 0);
    }
}
