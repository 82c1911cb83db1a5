//! Which parts of a text are not shown because their key looks like one of a credential (reference, tool modules section 7).

use std::ops::Range;

use bailiwick_model::document::{Document, Node, Origin, Place, Value};
use bailiwick_store::ledger::redact::is_sensitive_key;

/// Names that a slip of one letter does not make harmless.
const RESEMBLED: [&str; 9] =
    ["password", "passwd", "secret", "token", "apikey", "accesstoken", "refreshtoken", "authorization", "credentials"];

/// The section of manifests that says where credentials come from, and its keys whose values are no secrets. Everything else in it may have
/// been taken for the place to write them down.
const SECTION: &str = "credentials";
const SECTION_KEYS: [&str; 8] = ["source", "path", "strict_permissions", "vault", "addr", "auth", "kv_version", "mount"];

/// The hidden stretches of a text, from one position to another; line and column count from 1.
pub(super) struct Hidden {
    stretches: Vec<((u32, u32), (u32, u32))>,
}

impl Hidden {
    /// From a credential's value to whatever comes next in the tree.
    pub(super) fn of(document: &Document) -> Self {
        let mut spots = Vec::new();
        collect(&document.root, false, Level::Top, &mut spots);
        spots.sort_unstable();
        let next = |index: usize| spots[index + 1..].iter().map(|(at, _)| *at).find(|at| *at > spots[index].0);
        let secret = spots.iter().enumerate().filter(|(_, (_, secret))| *secret);
        Self { stretches: secret.map(|(index, (at, _))| (*at, next(index).unwrap_or((u32::MAX, 1)))).collect() }
    }

    /// Without a tree: from a credential's key to the next line that has a key, is indented no deeper and is outside any quotation.
    pub(super) fn guess(lines: &[&str]) -> Self {
        let mut stretches = Vec::new();
        let mut open: Option<((u32, u32), usize, usize)> = None;
        let mut in_section = false;
        for (number, line) in (1..).zip(lines) {
            let indent = indent_of(line);
            if let Some((from, depth, quotes)) = open
                && indent <= depth
                && quotes % 2 == 0
                && line.contains(':')
            {
                stretches.push((from, (number, 1)));
                open = None;
            }
            if indent == 0 && !line.is_empty() && open.is_none() {
                in_section = line.strip_prefix(SECTION).is_some_and(|rest| rest.trim() == ":");
            }
            if open.is_none() {
                let column = if in_section { section_value(line) } else { sensitive_value(line) };
                open = column.map(|column| ((number, column), indent, 0));
            }
            if let Some((from, _, quotes)) = &mut open {
                let seen =
                    if from.0 == number { line.char_indices().nth(from.1 as usize - 1).map_or("", |(at, _)| &line[at..]) } else { line };
                *quotes += seen.matches(['"', '\'']).count();
            }
        }
        stretches.extend(open.map(|(from, _, _)| (from, (u32::MAX, 1))));
        Self { stretches }
    }

    /// The hidden ranges of characters of line `number`.
    pub(super) fn on(&self, number: u32, chars: &[char]) -> Vec<Range<usize>> {
        let touching = self.stretches.iter().filter(|((from, _), (to, _))| (*from..=*to).contains(&number));
        let ranges = touching.map(|(from, to)| {
            let start = if from.0 == number { from.1 as usize - 1 } else { 0 };
            let end = if to.0 == number { before(chars, to.1 as usize - 1) } else { chars.len() };
            start..end.min(chars.len())
        });
        let holds_something = |range: &Range<usize>| chars.get(range.clone()).is_some_and(|part| !part.iter().all(|c| c.is_whitespace()));
        ranges.chain(user_information(chars)).filter(|range| holds_something(range) && !is_reference(&chars[range.clone()])).collect()
    }
}

/// Where in a file a mapping stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    /// In [`SECTION`] at top level.
    Section,
    Elsewhere,
}

impl Level {
    /// Where `value` of `key` stands, and whether it may be a secret: also what stands in place of a mapping.
    fn below(self, key: &str, value: &Value) -> (Self, bool) {
        let is_map = matches!(value, Value::Map(_));
        match self {
            Self::Top if key == SECTION => (Self::Section, !is_map),
            Self::Section if key == "vault" => (Self::Section, !is_map),
            Self::Section if SECTION_KEYS.contains(&key) => (Self::Elsewhere, matches!(value, Value::Map(_) | Value::List(_))),
            Self::Section => (Self::Elsewhere, true),
            Self::Top | Self::Elsewhere => (Self::Elsewhere, is_sensitive(key)),
        }
    }
}

/// Every key and scalar with whether it is (part of) a credential.
fn collect(node: &Node, secret: bool, level: Level, spots: &mut Vec<((u32, u32), bool)>) {
    let at = |place: Place| (place.line, place.column);
    match &node.value {
        _ if node.place.origin != Origin::File => {}
        Value::Map(entries) => {
            for entry in entries.iter().filter(|entry| entry.key_place.origin == Origin::File) {
                spots.push((at(entry.key_place), false));
                let (below, sensitive) = level.below(&entry.key, &entry.node.value);
                collect(&entry.node, secret || sensitive, below, spots);
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, secret, Level::Elsewhere, spots)),
        _ => spots.push((at(node.place), secret)),
    }
}

fn is_sensitive(key: &str) -> bool {
    let folded = || key.chars().filter(char::is_ascii_alphanumeric).take(32).collect::<String>().to_lowercase();
    is_sensitive_key(key, &[]) || RESEMBLED.iter().any(|name| strsim::osa_distance(&folded(), name) <= 1)
}

/// The column behind the first key of the line that looks like one of a credential.
fn sensitive_value(line: &str) -> Option<u32> {
    let ends = line.char_indices().filter(|(_, c)| *c == ':');
    let found = ends.map(|(at, _)| at).find(|at| {
        let before = line[..*at].trim_end().trim_end_matches(['"', '\'']);
        is_sensitive(before.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).next().unwrap_or_default())
    })?;
    u32::try_from(line[..=found].chars().count() + 1).ok()
}

/// The column behind the first key of a line of [`SECTION`], unless its value is no secret; a line without a key is hidden.
fn section_value(line: &str) -> Option<u32> {
    if indent_of(line) == 0 || line.trim().is_empty() {
        return None;
    }
    let Some(at) = line.find(':') else { return Some(1) };
    let is_plain = SECTION_KEYS.contains(&line[..at].trim());
    if is_plain { None } else { u32::try_from(line[..=at].chars().count() + 1).ok() }
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// What stands between a value and the key behind it on the same line is not part of the value.
fn before(chars: &[char], next: usize) -> usize {
    let mut end = next.min(chars.len());
    while end > 0 && chars[end - 1].is_whitespace() {
        end -= 1;
    }
    if end > 0 && chars[end - 1] == ',' { end - 1 } else { next }
}

/// `USER:PASSWORD` of addresses.
fn user_information(chars: &[char]) -> impl Iterator<Item = Range<usize>> + '_ {
    let starts = (0..chars.len().saturating_sub(3)).filter(|at| chars[*at..].starts_with(&[':', '/', '/']));
    starts.filter_map(|at| {
        let start = at + 3;
        let length = chars[start..].iter().take_while(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '#')).count();
        let end = chars[start..start + length].iter().rposition(|c| *c == '@')?;
        Some(start..start + end)
    })
}

/// `${NAME}` says where the value is, not what it is.
fn is_reference(chars: &[char]) -> bool {
    let text: String = chars.iter().take(200).collect();
    let text = text.trim().trim_matches(['"', '\'']);
    text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(|name| !name.contains(['$', '}']))
}
