//! Reading the fields of one entry under `allowed_services`; mistakes are collected, each with its place.

use bailiwick_model::address::Cidr;
use serde_json::{Map, Value};

use crate::fault::OpenFault;

/// One mapping and the place where it stands.
pub(super) struct Entry<'a> {
    map: &'a Map<String, Value>,
    place: String,
    pub(super) faults: Vec<OpenFault>,
}

impl<'a> Entry<'a> {
    /// Notes every key that is not in `known`.
    pub(super) fn new(map: &'a Map<String, Value>, place: String, known: &[&str]) -> Self {
        let mut entry = Self { map, place, faults: Vec::new() };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            entry.fault(key, "is not a key of a service", format!("use one of: {}", known.join(", ")));
        }
        entry
    }

    pub(super) fn fault(&mut self, key: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(OpenFault::about(self.at(key), message, remedy));
    }

    /// The dotted place of `key`.
    pub(super) fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.place)
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        match self.value(key)? {
            Value::String(text) if !text.is_empty() => return Some(text),
            Value::String(_) => self.fault(key, "is empty", "write a text, or leave the key out"),
            _ => self.fault(key, "is not a text", "write a string"),
        }
        None
    }

    /// The same; its absence is a mistake.
    pub(super) fn needed(&mut self, key: &str) -> Option<&'a str> {
        if self.value(key).is_none() {
            self.fault(key, "is missing", "write a text");
        }
        self.text(key)
    }

    /// A list of texts; `None` when absent.
    pub(super) fn texts(&mut self, key: &str, most: usize) -> Option<Vec<&'a str>> {
        let Value::Array(items) = self.value(key)? else {
            self.fault(key, "is not a list", "write a list of strings");
            return None;
        };
        if items.len() > most {
            self.fault(key, format!("has more than {most} entries"), "write fewer, wider ones");
        }
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) => texts.push(text),
                None => self.fault(&format!("{key}.{index}"), "is not a text", "write a list of strings"),
            }
        }
        Some(texts)
    }

    /// A mapping; `None` when absent.
    pub(super) fn map(&mut self, key: &str) -> Option<&'a Map<String, Value>> {
        let map = self.value(key)?.as_object();
        if map.is_none() {
            self.fault(key, "is not a mapping", "write names and values");
        }
        map
    }

    /// A whole number within the bounds; `default` when absent. Text out of a variable counts.
    pub(super) fn integer(&mut self, key: &str, default: u64, max: u64) -> u64 {
        let whole = |value: &Value| value.as_u64().or_else(|| digits(value.as_str()?));
        match self.value(key).map(whole) {
            None => default,
            Some(Some(number)) if (1..=max).contains(&number) => number,
            Some(_) => {
                self.fault(key, "is out of range", format!("write a whole number from 1 to {max}"));
                default
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        let word = |value: &Value| value.as_bool().or_else(|| value.as_str()?.parse().ok());
        match self.value(key).map(word) {
            None => false,
            Some(Some(flag)) => flag,
            Some(None) => {
                self.fault(key, "is not a boolean", "write true or false");
                false
            }
        }
    }

    /// Ranges of addresses.
    pub(super) fn ranges(&mut self, key: &str, most: usize) -> Vec<Cidr> {
        let mut ranges = Vec::new();
        for (index, text) in self.texts(key, most).unwrap_or_default().into_iter().enumerate() {
            match Cidr::parse(text) {
                Ok(range) => ranges.push(range),
                Err(rule) => self.fault(&format!("{key}.{index}"), rule, "write a range like `10.0.0.0/8` or one address"),
            }
        }
        ranges
    }
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
