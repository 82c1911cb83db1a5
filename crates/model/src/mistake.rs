//! What is wrong in a manifest or a configuration: all of it in one pass, with place and remedy, never with the value.

use std::cell::RefCell;
use std::fmt;

use crate::document::{Document, Origin, Place};

/// Most mistakes that are kept; the rest is counted.
pub const MISTAKES_MAX: usize = 100;
/// Longest piece of foreign text (a key) in a message, in characters.
const SHOWN_CHARS_MAX: usize = 64;

/// Whether a mistake stops the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// One thing that is wrong. Prints as a compiler would:
///
/// ```text
/// error: unknown key `moed`
///   --> research.yml:12:5  modules.docs.moed
/// hint: did you mean `mode`?
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Name of the file.
    pub file: String,
    /// Where.
    pub place: Place,
    /// Dotted path of the key, such as `modules.docs.mode`; empty for the document as a whole.
    pub path: String,
    /// The rule that is broken and at most the type of the value.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether it stops the start.
    pub severity: Severity,
    /// Whether a strict reader makes an error of this warning.
    pub strict: bool,
}

impl Mistake {
    /// An error without hint.
    #[must_use]
    pub fn error(file: &str, place: Place, path: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place,
            path: path.to_owned(),
            message: message.into(),
            hint: None,
            severity: Severity::Error,
            strict: false,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {}\n  --> ", self.message)?;
        match self.place.origin {
            Origin::File => write!(f, "{}:{}:{}", self.file, self.place.line, self.place.column)?,
            Origin::Environment(name) => write!(f, "environment variable {name}")?,
        }
        if !self.path.is_empty() {
            write!(f, "  {}", self.path)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// At least one mistake. Prints one block each with an empty line between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    list: Vec<Mistake>,
    dropped: usize,
}

impl Mistakes {
    /// The mistakes in the order of the file, at most [`MISTAKES_MAX`].
    #[must_use]
    pub fn list(&self) -> &[Mistake] {
        &self.list
    }

    pub(crate) fn into_list(self) -> Vec<Mistake> {
        self.list
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self { list: vec![mistake], dropped: 0 }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            mistake.fmt(f)?;
        }
        if self.dropped > 0 {
            write!(f, "\n\nerror: and {} more", self.dropped)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Collects mistakes during one pass.
#[derive(Debug)]
pub(crate) struct Report {
    file: String,
    state: RefCell<(Vec<Mistake>, usize)>,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), state: RefCell::new((Vec::new(), 0)) }
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    pub(crate) fn error(&self, place: Place, path: &str, message: impl Into<String>) {
        self.add(Mistake::error(&self.file, place, path, message));
    }

    pub(crate) fn error_hint(&self, place: Place, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Mistake::error(&self.file, place, path, message).hint(hint));
    }

    pub(crate) fn warning(&self, place: Place, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Mistake::error(&self.file, place, path, message).hint(hint).warning());
    }

    /// A warning that a strict reader takes for an error.
    pub(crate) fn lenient(&self, place: Place, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Mistake { strict: true, ..Mistake::error(&self.file, place, path, message).hint(hint).warning() });
    }

    pub(crate) fn add(&self, mistake: Mistake) {
        let (list, dropped) = &mut *self.state.borrow_mut();
        if list.len() < MISTAKES_MAX {
            list.push(mistake);
        } else if mistake.severity == Severity::Error {
            *dropped += 1;
        }
    }

    pub(crate) fn finish<T>(self, value: Option<T>, document: Option<Document>) -> Reading<T> {
        let (mistakes, dropped) = self.state.into_inner();
        let mut reading = Reading { value, document, mistakes, dropped };
        if reading.value.is_none() && !reading.is_refused() {
            reading.mistakes.push(Mistake::error(&self.file, Place::START, "", "the text could not be read"));
        }
        reading.sort();
        reading
    }
}

/// What came out of one text: the value as far as it could be read, and everything there is to say about it.
#[derive(Debug)]
pub struct Reading<T> {
    /// What was read. There may be one although there are errors: then what is wrong is left out of it.
    pub value: Option<T>,
    /// The text as a tree, variables replaced; `None` when it is not YAML.
    pub document: Option<Document>,
    /// Errors and warnings in the order of the text, at most [`MISTAKES_MAX`] from reading.
    pub mistakes: Vec<Mistake>,
    /// Further errors that were counted and not kept.
    pub dropped: usize,
}

impl<T> Reading<T> {
    /// Whether there is an error.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.dropped > 0 || self.mistakes.iter().any(|mistake| mistake.severity == Severity::Error)
    }

    /// How many errors there are, and how many warnings.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let errors = self.mistakes.iter().filter(|mistake| mistake.severity == Severity::Error).count();
        (errors + self.dropped, self.mistakes.len() - errors)
    }

    /// Makes errors of the warnings that strictness is about.
    pub fn be_strict(&mut self) {
        for mistake in self.mistakes.iter_mut().filter(|mistake| mistake.strict) {
            mistake.severity = Severity::Error;
        }
    }

    /// Adds what somebody else found, in its place.
    pub fn extend(&mut self, mistakes: impl IntoIterator<Item = Mistake>) {
        self.mistakes.extend(mistakes);
        self.sort();
    }

    fn sort(&mut self) {
        self.mistakes.sort_by_key(|mistake| (mistake.place.line, mistake.place.column));
    }

    /// The value with its warnings.
    ///
    /// # Errors
    /// Every error when there is one.
    pub fn finish(self) -> Result<(T, Vec<Mistake>), Mistakes> {
        let refused = self.is_refused();
        match self.value {
            Some(value) if !refused => Ok((value, self.mistakes)),
            _ => {
                let errors = self.mistakes.into_iter().filter(|mistake| mistake.severity == Severity::Error);
                Err(Mistakes { list: errors.collect(), dropped: self.dropped })
            }
        }
    }
}

/// Foreign text for a message: control and invisible characters escaped, cut after 64 characters.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN_CHARS_MAX {
            shown.push_str("...");
            break;
        }
        if c == '`' || c == '\'' || c == '"' || c == '\\' {
            shown.push(c);
        } else {
            shown.extend(c.escape_debug());
        }
    }
    shown
}

/// The word of `candidates` that `word` was probably meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are not misspelt keys, and comparing them costs length times length.
    if word.len() > SHOWN_CHARS_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate));
    scored.filter(|(score, _)| *score >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}
