//! Quotations with their author (reference 2.3, rule 2): a closing quotation mark, then a dash and a name, or a name in parentheses. A
//! name begins with a capital letter; lower case stays allowed.

use unicode_normalization::UnicodeNormalization as _;

use super::Field;
use super::code_text::without_code;
use super::hidden::default_ignorable;
use super::reason::{Reasons, Rule};

/// Words between the parts of a name that are written small.
const PARTICLES: &[&str] = &["al", "bin", "d", "da", "de", "del", "den", "der", "di", "du", "la", "le", "van", "von", "y", "zu"];
/// Characters between parentheses that are looked at.
const PARENTHESES_CHARS_MAX: usize = 100;

/// One reason per text: the first attribution.
pub(super) fn check(field: &Field<'_>, reasons: &mut Reasons) {
    let text: String = without_code(field.text).chars().filter(|c| !default_ignorable(*c)).nfkc().collect();
    let quoted = |(at, mark): (usize, &str)| attributed(&text[at + mark.len()..]);
    if text.match_indices(['»', '"', '”']).any(quoted) {
        reasons.add(Rule::Attribution, field.place.clone(), "a quotation is attributed to a person");
    }
}

/// Whether what follows a closing quotation mark names somebody.
fn attributed(rest: &str) -> bool {
    let after = rest.trim_start();
    let same_line = !rest[..rest.len() - after.len()].contains('\n');
    match after.chars().next() {
        // At the beginning of a line a hyphen is a list.
        Some('-') => same_line && begins_with_name(&after[1..]),
        Some(dash @ ('—' | '–')) => begins_with_name(&after[dash.len_utf8()..]),
        Some('(') => is_name(&after[1..]),
        _ => false,
    }
}

fn begins_with_name(text: &str) -> bool {
    name_part(text.trim_start()).is_some()
}

/// Whether everything up to the closing parenthesis is a name, with something behind a comma perhaps: `(Jean de Brus, 2019)`.
fn is_name(text: &str) -> bool {
    let inside: String = text.chars().take(PARENTHESES_CHARS_MAX).take_while(|c| *c != ')').collect();
    if !text[inside.len()..].starts_with(')') {
        return false;
    }
    let mut words = inside.split(',').next().unwrap_or_default().split_whitespace();
    let part = |word: &str| name_part(word).is_some_and(str::is_empty) || PARTICLES.contains(&word);
    words.next().is_some_and(|first| name_part(first).is_some_and(str::is_empty)) && words.all(part)
}

/// What follows a capital letter and at least one more character of a name.
fn name_part(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next().filter(|c| c.is_uppercase())?;
    let after_first = characters.as_str();
    let rest = after_first.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '\'' | '’' | '.' | '-'));
    (rest.len() < after_first.len()).then_some(rest)
}
