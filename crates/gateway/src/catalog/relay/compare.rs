//! Comparing texts member by member and byte by byte, read by another parser than the one that relays.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a value must look like after it was relayed.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// These bytes.
    Bytes(String),
    /// An object with these members in this order.
    Object(Vec<(String, Wanted)>),
    /// An array of these.
    Array(Vec<Wanted>),
}

impl Wanted {
    /// The object as it came, one level open.
    pub(super) fn object(text: &str) -> Self {
        Self::Object(members(text).into_iter().map(|(name, value)| (name, Self::Bytes(value))).collect())
    }

    /// The array as it came, with each element changed.
    pub(super) fn array(text: &str, change: impl Fn(&str) -> Self) -> Self {
        let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap();
        Self::Array(elements.into_iter().map(|element| change(element.get())).collect())
    }

    pub(super) fn text_of(&self, name: &str) -> Option<String> {
        match self {
            Self::Object(members) => members.iter().find(|(member, _)| member == name).and_then(|(_, value)| match value {
                Self::Bytes(text) => Some(text.clone()),
                _ => None,
            }),
            _ => None,
        }
    }

    /// Puts a member where it stands, or at the end.
    pub(super) fn set(&mut self, name: &str, value: Self) {
        let Self::Object(members) = self else { panic!("no object") };
        match members.iter_mut().find(|(member, _)| member == name) {
            Some(slot) => slot.1 = value,
            None => members.push((name.to_owned(), value)),
        }
    }

    pub(super) fn set_text(&mut self, name: &str, text: &str) {
        self.set(name, Self::Bytes(serde_json::to_string(text).unwrap()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        let Self::Object(members) = self else { panic!("no object") };
        members.retain(|(member, _)| member != name);
    }

    /// Where the text is another one; line breaks between tokens may have become spaces.
    pub(super) fn difference(&self, text: &str) -> Option<String> {
        match self {
            Self::Bytes(wanted) if on_one_line(wanted) == on_one_line(text) => None,
            Self::Bytes(wanted) => Some(format!("wanted {wanted}, got {text}")),
            Self::Array(wanted) => {
                let Ok(found) = serde_json::from_str::<Vec<&RawValue>>(text) else { return Some(format!("no array: {text}")) };
                if wanted.len() != found.len() {
                    return Some(format!("wanted {} elements: {text}", wanted.len()));
                }
                wanted.iter().zip(found).find_map(|(wanted, found)| wanted.difference(found.get()))
            }
            Self::Object(wanted) => {
                let found = members(text);
                let names = |all: &mut dyn Iterator<Item = &String>| all.map(String::as_str).collect::<Vec<_>>().join(" | ");
                let (left, right) = (names(&mut wanted.iter().map(|(n, _)| n)), names(&mut found.iter().map(|(n, _)| n)));
                if left != right {
                    return Some(format!("wanted members {left}, got {right}"));
                }
                wanted.iter().zip(&found).find_map(|((name, wanted), (_, found))| Some(format!("{name}: {}", wanted.difference(found)?)))
            }
        }
    }
}

fn on_one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Names and value texts of an object in order.
pub(super) fn members(text: &str) -> Vec<(String, String)> {
    serde_json::from_str::<Ordered>(text).unwrap().0
}

/// The value text of one member.
pub(super) fn member(text: &str, name: &str) -> Option<String> {
    members(text).into_iter().find(|(member, _)| member == name).map(|(_, value)| value)
}

/// What a string member means.
pub(super) fn string(text: &str, name: &str) -> Option<String> {
    serde_json::from_str(&member(text, name)?).ok()
}

struct Ordered(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Ordered, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = object.next_entry::<String, &RawValue>()? {
            members.push((name, value.get().to_owned()));
        }
        Ok(Ordered(members))
    }
}

#[test]
fn other_bytes_of_the_same_meaning_are_a_difference() {
    let wanted = Wanted::object(r#"{"a":{"n":1.0},"b":"\u00e9"}"#);
    assert_eq!(wanted.difference(r#"{ "a":{"n":1.0} ,"b":"\u00e9"}"#), None, "space around members is nobody's");
    for other in [
        r#"{"a":{"n":1},"b":"\u00e9"}"#,
        r#"{"a":{"n":1.0},"b":"é"}"#,
        r#"{"a":{"n": 1.0},"b":"\u00e9"}"#,
        r#"{"b":"\u00e9","a":{"n":1.0}}"#,
        r#"{"a":{"n":1.0}}"#,
        r#"{"a":{"n":1.0},"b":"\u00e9","c":1}"#,
    ] {
        assert!(wanted.difference(other).is_some(), "{other}");
    }
}
