//! Names that no text may contain, found in every spelling that looks the same to a reader.

use std::fmt;

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization as _;

use super::Field;
use super::hidden::default_ignorable;
use super::reason::{Reason, Reasons, Rule};

/// Names on one list.
pub const BLOCKLIST_TERMS_MAX: usize = 1_000;
/// Longest name.
pub const TERM_CHARS_MAX: usize = 200;

/// Where a name counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TermMode {
    /// As a word of its own: `antoninien` does not contain `Antonini`. Scripts without spaces need `Substring`.
    #[default]
    Word,
    /// Anywhere, also within words.
    Substring,
}

/// Why a name cannot be on a blocklist; the message does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTerm(&'static str);

impl fmt::Display for InvalidTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidTerm {}

/// One forbidden name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    text: Box<str>,
    folded: Box<str>,
    mode: TermMode,
}

impl Term {
    /// A name of 1 to [`TERM_CHARS_MAX`] characters, of which at least one can be seen.
    ///
    /// # Errors
    /// [`InvalidTerm`] for any other text: an empty name would be found everywhere.
    pub fn new(text: &str, mode: TermMode) -> Result<Self, InvalidTerm> {
        if text.chars().count() > TERM_CHARS_MAX {
            return Err(InvalidTerm("a forbidden name has at most 200 characters"));
        }
        let folded = folded(text);
        let folded = folded.trim();
        if folded.is_empty() {
            return Err(InvalidTerm("a forbidden name needs at least one visible character"));
        }
        Ok(Self { text: text.into(), folded: folded.into(), mode })
    }

    /// The name as given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it counts.
    #[must_use]
    pub const fn mode(&self) -> TermMode {
        self.mode
    }

    /// Whether it occurs in a text that went through [`folded`].
    fn occurs_in(&self, text: &str) -> bool {
        let mut from = 0;
        while let Some(found) = text.get(from..).and_then(|rest| rest.find(&*self.folded)) {
            let start = from + found;
            let end = start + self.folded.len();
            if self.mode == TermMode::Substring || (edge(&text[..start], &text[start..]) && edge(&text[..end], &text[end..])) {
                return true;
            }
            // The next occurrence may overlap this one.
            from = start + text[start..].chars().next().map_or(1, char::len_utf8);
        }
        false
    }
}

/// Whether a word may end between the two parts. `_` separates words, since names are joined with it in slugs.
fn edge(before: &str, after: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !(word(before.chars().next_back()) && word(after.chars().next()))
}

/// At most [`BLOCKLIST_TERMS_MAX`] names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocklist(Vec<Term>);

impl Blocklist {
    /// A list of names.
    ///
    /// # Errors
    /// [`InvalidTerm`] when there are more than [`BLOCKLIST_TERMS_MAX`].
    pub fn new(terms: Vec<Term>) -> Result<Self, InvalidTerm> {
        if terms.len() > BLOCKLIST_TERMS_MAX { Err(InvalidTerm("a blocklist has at most 1,000 names")) } else { Ok(Self(terms)) }
    }

    /// The names.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.0
    }

    /// One reason for each name that occurs.
    pub(super) fn check(&self, field: &Field<'_>, reasons: &mut Reasons) {
        if self.0.is_empty() {
            return;
        }
        let text = folded(field.text);
        let spaced = field.name.then(|| text.replace(['-', '_'], " "));
        for term in &self.0 {
            if term.occurs_in(&text) || spaced.as_deref().is_some_and(|spaced| term.occurs_in(spaced)) {
                let detail = "contains a forbidden name".to_owned();
                reasons.push(Reason { rule: Rule::Blocklist, field: field.place.clone(), detail, term: Some(term.text.to_string()) });
            }
        }
    }
}

/// The form in which texts are compared: without default-ignorable characters, NFKC, full case folding, and every run of white space
/// as one space. Folding can undo the normal form, so it is made twice.
fn folded(text: &str) -> String {
    let seen: String = text.chars().filter(|c| !default_ignorable(*c)).nfkc().collect();
    let lower: String = UniCase::unicode(&seen).to_folded_case().nfkc().collect();
    let mut folded = String::with_capacity(lower.len());
    for character in UniCase::unicode(&lower).to_folded_case().nfkc() {
        match character {
            space if space.is_whitespace() && folded.ends_with(' ') => {}
            space if space.is_whitespace() => folded.push(' '),
            other => folded.push(other),
        }
    }
    folded
}
