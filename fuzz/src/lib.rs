//! What several targets share.

mod census;

pub use census::Census;

/// Longest chunk that [`Cuts`] gives.
const CHUNK_BYTES_MAX: usize = 33;

/// Takes `data` apart in front of its first bytes that are settings of the target; `None` when it is too short.
pub fn settings<const N: usize>(data: &[u8]) -> Option<(&[u8; N], &[u8])> {
    data.split_first_chunk::<N>()
}

/// Cuts a stream into chunks whose sizes follow from `seed`, so that a found input tells its own cuts.
pub struct Cuts<'d> {
    rest: &'d [u8],
    state: u32,
}

impl<'d> Cuts<'d> {
    pub fn new(rest: &'d [u8], seed: u8) -> Self {
        Self { rest, state: u32::from(seed) * 2 + 1 }
    }

    /// The next number of a small generator (Numerical Recipes).
    fn next_number(&mut self) -> u32 {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.state >> 16
    }
}

impl<'d> Iterator for Cuts<'d> {
    type Item = &'d [u8];

    fn next(&mut self) -> Option<&'d [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        // Half of the chunks are one or two bytes: most mistakes are at borders.
        let number = self.next_number() as usize;
        let length = if number & 1 == 0 { 1 + (number >> 1) % 2 } else { 1 + (number >> 1) % CHUNK_BYTES_MAX };
        let (chunk, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        Some(chunk)
    }
}

/// A stretch of `text` up to the first `mark` and what is behind it; all of it when there is no mark.
pub fn split_at_mark<'d>(text: &'d [u8], mark: &[u8]) -> (&'d [u8], &'d [u8]) {
    match text.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&text[..at], &text[at + mark.len()..]),
        None => (text, &[]),
    }
}
