//! Characters that a reader does not see but a model does: they carry orders past the person who approves a text, or split a
//! forbidden name. Where such a character has a visible effect (an emoji of several, a joined or right-to-left script) it may stay.

use super::Field;
use super::reason::{Reasons, Rule};

/// Unicode's `Default_Ignorable_Code_Point`, version 16.
const DEFAULT_IGNORABLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character is shown as nothing by a program that does not support it.
pub(super) fn default_ignorable(c: char) -> bool {
    // The first range begins behind ASCII, where nearly all characters are.
    !c.is_ascii() && DEFAULT_IGNORABLE.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// One reason per rule: the first place, and how many more.
pub(super) fn check(field: &Field<'_>, reasons: &mut Reasons) {
    for rule in [Rule::ControlCharacter, Rule::BidiCharacter, Rule::HiddenCharacter] {
        let found = Places::of(field.text, rule);
        if let Some((character, line, column)) = found.first {
            let more = if found.count > 1 { format!(", and {} more", found.count - 1) } else { String::new() };
            let detail = format!("U+{:04X} at line {line}, character {column}{more}", u32::from(character));
            reasons.add(rule, field.place.clone(), detail);
        }
    }
}

/// Whether a text holds what its reader does not see: control characters other than line ends and tabs, directions, and characters
/// without visible effect where they stand.
#[must_use]
pub fn hides(text: &str) -> bool {
    [Rule::ControlCharacter, Rule::BidiCharacter, Rule::HiddenCharacter].into_iter().any(|rule| Places::of(text, rule).count > 0)
}

struct Places {
    first: Option<(char, usize, usize)>,
    count: usize,
}

impl Places {
    fn of(text: &str, rule: Rule) -> Self {
        let right_to_left = text.chars().any(right_to_left);
        let mut places = Self { first: None, count: 0 };
        let (mut line, mut column, mut previous) = (1, 0, None);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            column += 1;
            let around = Around { previous, next: characters.peek().copied(), right_to_left };
            if broken_rule(character, &around) == Some(rule) {
                places.first.get_or_insert((character, line, column));
                places.count += 1;
            }
            if character == '\n' {
                (line, column) = (line + 1, 0);
            }
            previous = Some(character);
        }
        places
    }
}

/// What a character stands in.
struct Around {
    previous: Option<char>,
    next: Option<char>,
    right_to_left: bool,
}

fn broken_rule(c: char, around: &Around) -> Option<Rule> {
    match c {
        '\n' | '\t' | ' '..='~' => None,
        _ if c.is_control() => Some(Rule::ControlCharacter),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some(Rule::BidiCharacter),
        // Interlinear annotation is hidden without being default-ignorable.
        '\u{fff9}'..='\u{fffb}' => Some(Rule::HiddenCharacter),
        _ if default_ignorable(c) && !has_visible_effect(c, around) => Some(Rule::HiddenCharacter),
        _ => None,
    }
}

fn has_visible_effect(c: char, around: &Around) -> bool {
    let Some(previous) = around.previous else { return false };
    match c {
        // A joiner or non-joiner, in an emoji of several or between letters that join.
        '\u{200c}' | '\u{200d}' => around.next.is_some_and(|next| {
            let behind_emoji = emoji(previous) || previous == '\u{fe0f}';
            (c == '\u{200d}' && behind_emoji && emoji(next)) || (joins(previous) && joins(next))
        }),
        '\u{fe0e}' | '\u{fe0f}' if matches!(previous, '0'..='9' | '#' | '*') => true,
        '\u{fe00}'..='\u{fe0f}' => emoji(previous) || joins(previous) || ideograph(previous),
        '\u{e0100}'..='\u{e01ef}' => ideograph(previous),
        '\u{180b}'..='\u{180d}' | '\u{180f}' => matches!(previous, '\u{1820}'..='\u{18aa}'),
        '\u{200e}' | '\u{200f}' | '\u{61c}' => around.right_to_left,
        _ => false,
    }
}

/// Symbols and pictures, skin tones included.
fn emoji(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// Letters of scripts in which a joiner changes how a word looks: Arabic and its neighbours, the scripts of India and south-east Asia.
fn joins(c: char) -> bool {
    let script = matches!(c, '\u{620}'..='\u{109f}' | '\u{1780}'..='\u{18aa}' | '\u{a800}'..='\u{abff}' | '\u{fb50}'..='\u{fdff}'
        | '\u{fe70}'..='\u{fefc}' | '\u{10a00}'..='\u{11fff}');
    script && !default_ignorable(c)
}

fn ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}') && !default_ignorable(c)
}

fn right_to_left(c: char) -> bool {
    matches!(c, '\u{5d0}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
        && c.is_alphabetic()
}
