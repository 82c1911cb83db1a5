//! A text in the forms that a receiver may make of it: as it stands, and with the declared encodings undone, also one inside another.

use std::sync::LazyLock;

use bailiwick_model::manifest::{Decoding, Pattern};
use data_encoding::{BASE64_NOPAD, Encoding};

use super::budget::{Budget, Crossed};

/// Encodings inside each other that are undone.
const LEVELS_MAX: usize = 3;
/// Shorter runs of Base64 characters inside other text are words.
const RUN_CHARS_MIN: usize = 16;

/// Encodings that a rule wants undone, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decode(u8);

const BASE64: u8 = 1;
const URL: u8 = 2;

impl Decode {
    /// Both alphabets of Base64 are read as one: receivers do the same.
    pub(super) fn of(declared: &[Decoding]) -> Self {
        let bit = |decoding: &Decoding| if *decoding == Decoding::Url { URL } else { BASE64 };
        Self(declared.iter().map(bit).fold(0, |bits, bit| bits | bit))
    }
}

/// In which form a pattern was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MatchedOn {
    Raw,
    Decoded,
}

impl MatchedOn {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Decoded => "decoded",
        }
    }
}

/// One text; decoded forms are made when a rule first asks for them.
pub(super) struct Forms<'t> {
    text: &'t str,
    decoded: [Option<Vec<String>>; 4],
}

impl<'t> Forms<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, decoded: [const { None }; 4] }
    }

    /// Looks for the pattern.
    ///
    /// # Errors
    /// When looking would cost more than the budget allows.
    pub(super) fn find(&mut self, pattern: &Pattern, decode: Decode, budget: &mut Budget) -> Result<Option<MatchedOn>, Crossed> {
        budget.look(self.text.len())?;
        if pattern.is_match(self.text) {
            return Ok(Some(MatchedOn::Raw));
        }
        if decode == Decode::default() {
            return Ok(None);
        }
        let forms = match self.decoded.get_mut(usize::from(decode.0)) {
            Some(Some(forms)) => forms,
            Some(place) => place.insert(undone(self.text, decode, budget)?),
            None => return Ok(None),
        };
        for form in forms {
            budget.look(form.len())?;
            if pattern.is_match(form) {
                return Ok(Some(MatchedOn::Decoded));
            }
        }
        Ok(None)
    }
}

fn undone(text: &str, decode: Decode, budget: &mut Budget) -> Result<Vec<String>, Crossed> {
    let mut all: Vec<String> = Vec::new();
    let mut level = vec![text.to_owned()];
    for _ in 0..LEVELS_MAX {
        let mut next: Vec<String> = Vec::new();
        for source in &level {
            for bit in [BASE64, URL].into_iter().filter(|bit| decode.0 & bit != 0) {
                let form = if bit == URL { percent(source, budget)? } else { base64(source, budget)? };
                next.extend(form.filter(|form| form != source && form != text && !next.contains(form) && !all.contains(form)));
            }
        }
        if next.is_empty() {
            break;
        }
        all.extend_from_slice(&next);
        level = next;
    }
    Ok(all)
}

/// `%XX` undone; what is no such triple stays.
fn percent(text: &str, budget: &mut Budget) -> Result<Option<String>, Crossed> {
    if !text.contains('%') {
        return Ok(None);
    }
    budget.decoded(text.len())?;
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Ok(Some(String::from_utf8_lossy(&out).into_owned()))
}

/// Base64 as lenient receivers read it: both alphabets, padding and white space anywhere or nowhere. A text that is something else as a
/// whole is searched for runs of it, each on a line of its own in the form.
fn base64(text: &str, budget: &mut Budget) -> Result<Option<String>, Crossed> {
    if text.bytes().all(|byte| is_base64(byte) || is_filler(byte)) {
        budget.decoded(text.len() / 4 * 3)?;
        return Ok(lenient(text).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).filter(|form| !form.is_empty()));
    }
    let runs = text.split(|c: char| !u8::try_from(c).is_ok_and(is_base64)).filter(|run| run.len() >= RUN_CHARS_MIN);
    let mut form = String::new();
    for run in runs {
        budget.decoded(run.len() / 4 * 3)?;
        if let Some(bytes) = lenient(run) {
            form.push_str(&String::from_utf8_lossy(&bytes));
            form.push('\n');
        }
    }
    Ok(Some(form).filter(|form| !form.is_empty()))
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

const fn is_filler(byte: u8) -> bool {
    byte == b'=' || byte.is_ascii_whitespace()
}

/// The bytes of a text of Base64 characters and fillers.
pub(super) fn lenient(text: &str) -> Option<Vec<u8>> {
    static LAX: LazyLock<Encoding> = LazyLock::new(|| {
        let mut specification = BASE64_NOPAD.specification();
        specification.check_trailing_bits = false;
        specification.encoding().unwrap_or(BASE64_NOPAD)
    });
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let mut digits: Vec<u8> = text.bytes().filter(|byte| !is_filler(*byte)).map(standard).collect();
    // One digit alone says nothing.
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    LAX.decode(&digits).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn budget(bytes: usize) -> Budget {
        Budget::new(bytes, Duration::from_secs(60), || Duration::ZERO)
    }

    fn found(text: &str, declared: &[Decoding]) -> Option<MatchedOn> {
        let pattern = Pattern::parse("hunter2", false).unwrap();
        Forms::of(text).find(&pattern, Decode::of(declared), &mut budget(1 << 20)).unwrap()
    }

    #[test]
    fn declared_encodings_are_undone_up_to_three_times() {
        use Decoding::{Base64, Url, UrlsafeBase64};
        let raw = "the hunter2 word";
        let once = data_encoding::BASE64.encode(raw.as_bytes());
        let twice = data_encoding::BASE64.encode(once.as_bytes());
        let thrice = data_encoding::BASE64URL_NOPAD.encode(twice.as_bytes());
        let fourfold = data_encoding::BASE64.encode(thrice.as_bytes());
        let both = [Base64, Url];
        for (text, declared, expected) in [
            (raw, &[][..], Some(MatchedOn::Raw)),
            (once.as_str(), &[], None),
            (&once, &[Url], None),
            (&once, &[Base64], Some(MatchedOn::Decoded)),
            (&once, &[UrlsafeBase64], Some(MatchedOn::Decoded)),
            (once.trim_end_matches('='), &[Base64], Some(MatchedOn::Decoded)),
            (&format!("\n{}\r\n {}\n", &once[..5], &once[5..]), &[Base64], Some(MatchedOn::Decoded)),
            (&format!("data:text/plain;base64,{once}"), &[Base64], Some(MatchedOn::Decoded)),
            (&twice, &[Base64], Some(MatchedOn::Decoded)),
            (&thrice, &[Base64], Some(MatchedOn::Decoded)),
            (&fourfold, &[Base64], None),
            ("%68unter2", &[Url], Some(MatchedOn::Decoded)),
            ("%2568%75nter2", &[Url], Some(MatchedOn::Decoded)),
            ("100%, %zz %68unter2 %", &[Url], Some(MatchedOn::Decoded)),
            (&once.replace('d', "%64"), &both, Some(MatchedOn::Decoded)),
            ("an ordinary sentence, nothing else", &both, None),
            ("", &both, None),
            ("%", &both, None),
            ("A", &both, None),
        ] {
            assert_eq!(found(text, declared), expected, "{text}");
        }
    }

    #[test]
    fn a_value_that_unfolds_beyond_the_budget_is_not_waved_through() {
        let long = data_encoding::BASE64.encode(&vec![b'x'; 3_000]);
        let pattern = Pattern::parse("hunter2", false).unwrap();
        let mut forms = Forms::of(&long);
        assert_eq!(forms.find(&pattern, Decode::of(&[Decoding::Base64]), &mut budget(2_999)), Err(Crossed::Bytes));
        // The text itself may be of any size.
        assert_eq!(forms.find(&pattern, Decode::of(&[]), &mut budget(0)), Ok(None));
        assert_eq!(Forms::of(&long).find(&pattern, Decode::of(&[Decoding::Base64]), &mut budget(1 << 20)), Ok(None));
    }
}
