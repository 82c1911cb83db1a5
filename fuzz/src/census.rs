//! What the limits of a JSON text count, counted by another parser: `serde_json`.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Counts of one text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Values and member names together.
    pub tokens: u32,
    /// Containers inside each other.
    pub depth: u32,
    /// Some object has a member name twice.
    pub doubled: bool,
}

impl Census {
    /// `None` when `serde_json` does not take the text. It refuses numbers beyond `f64` too, and depths beyond its own limit of 128.
    pub fn of(text: &[u8]) -> Option<Self> {
        let mut census = Self::default();
        let mut reader = serde_json::Deserializer::from_slice(text);
        Counting { census: &mut census, level: 0 }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(census)
    }
}

struct Counting<'c> {
    census: &'c mut Census,
    level: u32,
}

impl<'de> DeserializeSeed<'de> for Counting<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.census.tokens += 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counting<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let level = self.level + 1;
        self.census.depth = self.census.depth.max(level);
        while list.next_element_seed(Counting { census: self.census, level })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let level = self.level + 1;
        self.census.depth = self.census.depth.max(level);
        let mut names = HashSet::new();
        while let Some(name) = object.next_key::<String>()? {
            self.census.tokens += 1;
            self.census.doubled |= !names.insert(name);
            object.next_value_seed(Counting { census: self.census, level })?;
        }
        Ok(())
    }
}
