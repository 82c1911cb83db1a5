//! What must never be in an answer: the other organisation's mark in every usual spelling, and ids that were given to it alone.

use aho_corasick::AhoCorasick;
use data_encoding::{BASE64, HEXLOWER};

/// What every free text, every secret and every id of a kind has somewhere that belongs to the organisation and was never said to the
/// attackers. Letters and digits only, so that it fits into every field.
pub(crate) const MARK: &str = "zq7bellumk3";
/// The same for the attackers, so that both have the same data.
pub(crate) const OWN_MARK: &str = "zq7acmexxk3";

/// What is shown before and behind something that was found.
const SHOWN_BYTES: usize = 300;

/// Finds the mark and the ids.
pub(crate) struct Evidence {
    any_case: AhoCorasick,
    exact: AhoCorasick,
}

impl Evidence {
    /// `ids`: what exists in the other organisation only and was never named to an attacker.
    pub(crate) fn new(ids: &[String]) -> Self {
        let any_case = AhoCorasick::builder().ascii_case_insensitive(true).build(spellings()).unwrap();
        let exact = AhoCorasick::new(aligned().iter().chain(ids)).unwrap();
        Self { any_case, exact }
    }

    /// What of it is in there, with its surroundings.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<String> {
        let found = self.any_case.find(bytes).or_else(|| self.exact.find(bytes))?;
        let shown = found.start().saturating_sub(SHOWN_BYTES)..(found.end() + SHOWN_BYTES).min(bytes.len());
        Some(format!("{} in: {}", String::from_utf8_lossy(&bytes[found.range()]), String::from_utf8_lossy(&bytes[shown])))
    }
}

/// As text, hexadecimal, escaped by JSON and by percent signs.
fn spellings() -> Vec<String> {
    let escaped = |before: &str, zeros: &str| MARK.bytes().map(|byte| format!("{before}{zeros}{byte:02x}")).collect::<String>();
    vec![MARK.to_owned(), HEXLOWER.encode(MARK.as_bytes()), escaped("\\u", "00"), escaped("%", ""), escaped("%25", "")]
}

/// In Base64, wherever in a longer text the mark stands: what its neighbours change is cut off. No letter of ours is one in which the
/// alphabet for addresses differs. Names of secrets have the mark in capital letters, which are others in Base64.
fn aligned() -> Vec<String> {
    let at = |(mark, before): (&str, usize)| {
        let bytes = [vec![0; before], mark.as_bytes().to_vec()].concat();
        let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        BASE64.encode(&bytes)[first..end].to_owned()
    };
    let capital = MARK.to_uppercase();
    [MARK, &capital].into_iter().flat_map(|mark| (0..3).map(move |before| (mark, before))).map(at).collect()
}

#[test]
fn the_mark_is_found_in_every_spelling() {
    let evidence = Evidence::new(&["0123456789abcdef".to_owned()]);
    let text = |before: &str| format!("{before}x{MARK}42");
    for before in ["", "a", "ab", "abc"] {
        let plain = text(before);
        assert!(evidence.find(plain.as_bytes()).is_some());
        let capital = BASE64.encode(plain.to_uppercase().as_bytes());
        for spelt in [BASE64.encode(plain.as_bytes()), HEXLOWER.encode(plain.as_bytes()), plain.to_uppercase(), capital] {
            assert!(evidence.find(spelt.as_bytes()).is_some(), "{spelt}");
        }
    }
    assert!(evidence.find(br#"{"id":"0123456789abcdef"}"#).is_some());
    assert!(evidence.find(OWN_MARK.as_bytes()).is_none());
}
