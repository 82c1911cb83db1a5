//! Any JSON, as text: odd names, every spelling of numbers, white space in odd places.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;

/// The members of an object in order: name token with its quotes, value text.
pub(super) type Members = Vec<(String, String)>;

/// Names that are rewritten where they have a meaning, so they are put where they have none.
const MEANT: [&str; 8] = ["name", "uri", "_meta", "resultType", "ttlMs", "cacheScope", "outputSchema", "structuredContent"];
const NUMBERS: [&str; 14] = [
    "0",
    "-0",
    "1.0",
    "1e2",
    "1E+2",
    "-2.50e-3",
    "0.1000",
    "9007199254740993",
    "18446744073709551615",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "3.141592653589793238462643383279",
    "1e-400",
    "100000000000000000000e-20",
];
const SPACES: [&str; 6] = ["", "", "", " ", "\n", "\r\n\t "];

/// A string token: most as they are, some with every character escaped, some with what must be escaped.
pub(super) fn token(text: &str, escaped: bool) -> String {
    if !escaped {
        return serde_json::to_string(text).unwrap();
    }
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{units}\"")
}

fn string() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z]{0,6}",
        "\\PC{0,5}",
        prop::sample::select(vec!["😀/\\", "a\n\u{0}b", "\u{2028}\"", "file:///shared", "bailiwick://alpha/x", "1.0", "[1]"])
            .prop_map(str::to_owned),
    ];
    prop_oneof![
        4 => (text, prop::bool::weighted(0.2)).prop_map(|(text, escaped)| token(&text, escaped)),
        1 => Just(r#""a\/b\u00E9\ud83d\uDE00""#.to_owned()),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        3 => "[a-zA-Z_./$-]{0,6}",
        1 => "\\PC{0,4}",
        1 => prop::sample::select(MEANT.to_vec()).prop_map(str::to_owned),
    ];
    (text, prop::bool::weighted(0.2)).prop_map(|(text, escaped)| token(&text, escaped))
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(SPACES.to_vec())
}

/// Members without a doubled name.
fn distinct(mut members: Members) -> Members {
    let mut seen = HashSet::new();
    members.retain(|(name, _)| seen.insert(serde_json::from_str::<String>(name).unwrap()));
    members
}

/// The text of an object with the same space between all of its tokens.
pub(super) fn object(members: &Members, space: &str) -> String {
    let inner: Vec<String> = members.iter().map(|(name, value)| format!("{space}{name}{space}:{space}{value}{space}")).collect();
    format!("{{{}{space}}}", inner.join(","))
}

pub(super) fn array(elements: &[String], space: &str) -> String {
    let inner: Vec<String> = elements.iter().map(|element| format!("{space}{element}{space}")).collect();
    format!("[{}{space}]", inner.join(","))
}

/// Any value, a few levels deep.
pub(super) fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(NUMBERS.to_vec()).prop_map(str::to_owned),
        string(),
        prop::sample::select(vec!["true", "false", "null", "{ }", "[\n]", "{}"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 10, 4, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..4), space()).prop_map(|(elements, space)| array(&elements, space)),
            (vec((name(), inner), 0..4), space()).prop_map(|(members, space)| object(&distinct(members), space)),
        ]
    })
}

/// An object with these members and some that nobody knows, in any order and with any space. Unknown members never have a name that is
/// known at this place.
pub(super) fn extended(known: Members) -> impl Strategy<Value = String> {
    let names: HashSet<String> =
        known.iter().map(|(name, _)| serde_json::from_str(name).unwrap()).chain(MEANT.map(str::to_owned)).collect();
    let unknown = vec((name(), value()), 0..3).prop_map(move |members| {
        let mut members = distinct(members);
        members.retain(|(name, _)| !names.contains(&serde_json::from_str::<String>(name).unwrap()));
        members
    });
    let all = unknown.prop_map(move |mut members| {
        members.extend(known.iter().cloned());
        members
    });
    (all.prop_shuffle(), space()).prop_map(|(members, space)| object(&members, space))
}

/// A known member, its name written in one way or the other.
pub(super) fn known(name: &'static str, value: impl Strategy<Value = String>) -> impl Strategy<Value = (String, String)> {
    (prop::bool::weighted(0.1), value).prop_map(move |(escaped, value)| (token(name, escaped), value))
}

/// A member that may be absent.
pub(super) fn maybe(name: &'static str, value: impl Strategy<Value = String>) -> impl Strategy<Value = Option<(String, String)>> {
    prop::option::of(known(name, value))
}
