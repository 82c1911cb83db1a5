//! The `params` argument: names and values for the query, in the order in which they are given.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::egress::segment;

/// The parameters as names and texts; a name occurs once for each value.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// `name=value` pairs joined with `&`, everything but unreserved characters percent-encoded.
    pub(super) fn encoded(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{}={}", segment(name), segment(value))).collect();
        pairs.join("&")
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(ParamsVisitor)
    }
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of query parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
        let mut pairs = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            match values(value.get()) {
                Some(texts) => pairs.extend(texts.into_iter().map(|text| (name.clone(), text))),
                None => return Err(A::Error::custom("a query parameter is a string, a number, a boolean or an array of those")),
            }
        }
        Ok(Params(pairs))
    }
}

/// The texts of one value; numbers as they are written, so that none is rounded.
fn values(raw: &str) -> Option<Vec<String>> {
    if !raw.starts_with('[') {
        return scalar(raw).map(|text| text.into_iter().collect());
    }
    let items: Vec<Box<RawValue>> = serde_json::from_str(raw).ok()?;
    items.iter().map(|item| scalar(item.get())).collect::<Option<Vec<_>>>().map(|texts| texts.into_iter().flatten().collect())
}

/// `None` for an array or object; nothing for null.
fn scalar(raw: &str) -> Option<Option<String>> {
    match raw.as_bytes().first()? {
        b'[' | b'{' => None,
        b'n' => Some(None),
        b'"' => serde_json::from_str(raw).ok().map(Some),
        _ => Some(Some(raw.to_owned())),
    }
}
