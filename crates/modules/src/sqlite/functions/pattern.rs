//! LIKE and GLOB with the engine's meaning and a look at the clock.

use rusqlite::{Error, Result, ffi};

use crate::sqlite::session::PATTERN_BYTES_MAX;
use crate::sqlite::watch::Watch;

/// Comparisons between two looks at the clock.
const STEPS_PER_LOOK: u32 = 1 << 20;

/// One element of a pattern: what a single character has to be, or any number of characters.
enum Element<S> {
    Many,
    One(S),
}

/// Matches `text` as a whole. Goes back only to the last `Many`, so the time is at most the product of the lengths.
fn matches<S>(pattern: &[Element<S>], fits: impl Fn(&S, char) -> bool, text: &str, watch: &Watch) -> Result<bool> {
    let (mut at, mut rest) = (0, text.chars());
    // Where the last `Many` stands, and the text that was left when it was last tried.
    let mut star: Option<(usize, std::str::Chars<'_>)> = None;
    let mut steps = 0;
    loop {
        steps += 1;
        if steps == STEPS_PER_LOOK {
            steps = 0;
            if watch.expired() {
                return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
            }
        }
        if let Some(Element::Many) = pattern.get(at) {
            at += 1;
            if at == pattern.len() {
                return Ok(true);
            }
            star = Some((at, rest.clone()));
            continue;
        }
        match (pattern.get(at), rest.next()) {
            (None, None) => return Ok(true),
            (Some(Element::One(element)), Some(c)) if fits(element, c) => at += 1,
            // The text has ended: going back would only make it end sooner.
            (Some(_), None) => return Ok(false),
            _ => {
                let Some((after, left)) = &mut star else { return Ok(false) };
                if left.next().is_none() {
                    return Ok(false);
                }
                at = *after;
                rest = left.clone();
            }
        }
    }
}

fn check_length(pattern: &str) -> Result<()> {
    if pattern.len() <= PATTERN_BYTES_MAX {
        return Ok(());
    }
    Err(Error::UserFunctionError("LIKE or GLOB pattern too complex".into()))
}

/// `%` any characters, `_` one character, upper and lower case of ASCII letters alike.
pub(super) struct Like {
    elements: Vec<Element<Option<char>>>,
    /// The pattern ends in the escape character and fits nothing.
    broken: bool,
}

impl Like {
    pub(super) fn new(pattern: &str, escape: Option<char>) -> Result<Self> {
        check_length(pattern)?;
        let mut elements = Vec::with_capacity(pattern.len());
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            elements.push(match c {
                _ if Some(c) == escape => match chars.next() {
                    Some(literal) => Element::One(Some(literal)),
                    None => return Ok(Self { elements: Vec::new(), broken: true }),
                },
                '%' => Element::Many,
                '_' => Element::One(None),
                literal => Element::One(Some(literal)),
            });
        }
        Ok(Self { elements, broken: false })
    }

    pub(super) fn matches(&self, text: &str, watch: &Watch) -> Result<bool> {
        if self.broken {
            return Ok(false);
        }
        matches(&self.elements, |wanted, c| wanted.is_none_or(|w| w.eq_ignore_ascii_case(&c)), text, watch)
    }
}

/// What one character may be.
enum Class {
    Any,
    Exactly(char),
    Set { ranges: Vec<(char, char)>, inverted: bool },
}

/// `*` any characters, `?` one character, `[a-z]` one of a set, `[^a-z]` one outside; upper and lower case differ.
pub(super) struct Glob {
    elements: Vec<Element<Class>>,
    /// A set that is not closed: the pattern fits nothing.
    broken: bool,
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Result<Self> {
        check_length(pattern)?;
        let mut elements = Vec::with_capacity(pattern.len());
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            elements.push(match c {
                '*' => Element::Many,
                '?' => Element::One(Class::Any),
                '[' => match set(&mut chars) {
                    Some(class) => Element::One(class),
                    None => return Ok(Self { elements: Vec::new(), broken: true }),
                },
                literal => Element::One(Class::Exactly(literal)),
            });
        }
        Ok(Self { elements, broken: false })
    }

    pub(super) fn matches(&self, text: &str, watch: &Watch) -> Result<bool> {
        if self.broken {
            return Ok(false);
        }
        let fits = |class: &Class, c: char| match class {
            Class::Any => true,
            Class::Exactly(wanted) => *wanted == c,
            Class::Set { ranges, inverted } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *inverted,
        };
        matches(&self.elements, fits, text, watch)
    }
}

/// The set after `[`; `None` when it is not closed. A `]` in front is a member.
fn set(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Class> {
    let inverted = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    if chars.next_if_eq(&']').is_some() {
        ranges.push((']', ']'));
    }
    loop {
        let low = match chars.next()? {
            ']' => return Some(Class::Set { ranges, inverted }),
            low => low,
        };
        let mut ahead = chars.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) if high != ']' => {
                *chars = ahead;
                ranges.push((low, high));
            }
            _ => ranges.push((low, low)),
        }
    }
}
