//! YAML (and so JSON) as a tree that remembers where every key and value stands.
//!
//! Hostile text costs bounded time: size, depth, nodes and alias expansion are limited. Duplicate keys are refused at every level.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use crate::mistake::{Mistake, Mistakes, Report, printable};
use crate::reader::{element, member};

/// Longest text that is looked at; beyond it nothing is parsed.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of mappings and lists.
pub const DOCUMENT_DEPTH_MAX: usize = 32;
/// Most keys, values and collections together, aliases expanded.
pub const DOCUMENT_NODES_MAX: usize = 50_000;
/// Most uses of anchors.
pub const DOCUMENT_ALIASES_MAX: usize = 256;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The file.
    #[default]
    File,
    /// This environment variable, put over the file.
    Environment(&'static str),
}

/// A position: line and column count from 1; 0 for a value from the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// File or environment.
    pub origin: Origin,
    /// Line.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

impl Place {
    /// The beginning of a file.
    pub const START: Self = Self { origin: Origin::File, line: 1, column: 1 };

    /// The place of a value from environment variable `name`.
    #[must_use]
    pub const fn environment(name: &'static str) -> Self {
        Self { origin: Origin::Environment(name), line: 0, column: 0 }
    }

    fn of(location: Location) -> Self {
        let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        Self { origin: Origin::File, line: clamp(location.line()), column: clamp(location.column()) }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it begins.
    pub place: Place,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key; scalars of other types as their text.
    pub key: String,
    /// Where the key begins.
    pub key_place: Place,
    /// The value.
    pub node: Node,
}

/// A piece of a text in which a secret is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Taken as it is.
    Plain(String),
    /// The name out of `${secret:NAME}`.
    Secret(String),
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// Text.
    Text(String),
    /// Text that names at least one secret; made by substitution only.
    Pieces(Vec<Piece>),
    /// A value that is already reported as wrong, such as one with an unset variable; nobody reports it again.
    Unknown,
    /// A list.
    List(Vec<Node>),
    /// A mapping in file order, keys unique.
    Map(Vec<Entry>),
}

impl Value {
    /// The word for the type in messages.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Pieces(_) => "text with a secret",
            Self::Unknown => "an unknown value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// A parsed text.
#[derive(Clone, Debug)]
pub struct Document {
    /// The value at top level; `Null` for an empty text.
    pub root: Node,
}

impl Document {
    /// Parses one YAML document.
    ///
    /// # Errors
    /// One [`Mistake`] with its position when the text is not YAML, has a duplicate key or exceeds a limit. Never the text itself.
    pub fn parse(file: &str, text: &str) -> Result<Self, Mistakes> {
        if text.len() > DOCUMENT_BYTES_MAX {
            let message = format!("the text is larger than {DOCUMENT_BYTES_MAX} bytes");
            return Err(Mistake::error(file, Place::START, "", message).into());
        }
        if text.trim_start_matches('\u{feff}').trim().is_empty() {
            return Ok(Self { root: Node { value: Value::Null, place: Place::START } });
        }
        build(text, DuplicateKeyPolicy::Error).map_err(|fault| explain(file, &fault).into())
    }

    /// Like [`Document::parse`], but goes on after duplicate keys: every one of them is reported, and the first of each is kept.
    /// `None` when there is nothing to go on with.
    pub(crate) fn read(text: &str, report: &Report) -> Option<Self> {
        let first = match Self::parse(report.file(), text) {
            Ok(document) => return Some(document),
            Err(mistakes) => mistakes,
        };
        // The strict pass knows every duplicate for what it is; this one finds where the others stand.
        let again = build(text, DuplicateKeyPolicy::LastWins);
        let duplicates = again.is_ok() && first.list().iter().all(|mistake| mistake.message.starts_with(DUPLICATE));
        let mut places = Vec::new();
        let document = again.ok().filter(|_| duplicates).map(|mut document| {
            single(&mut document.root, "", report, &mut places);
            document
        });
        for mistake in first.into_list().into_iter().filter(|mistake| !places.contains(&mistake.place)) {
            report.add(mistake);
        }
        document
    }

    /// Where the value at the dotted `path` stands, or its nearest ancestor that is there: `modules.docs.config.services.2.base_url`,
    /// list elements also as `services[2]`. Keys that hold dots themselves are found.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Place {
        let (mut node, mut rest) = (&self.root, path);
        while let Some((next, behind)) = step(node, rest) {
            (node, rest) = (next, behind.strip_prefix('.').unwrap_or(behind));
        }
        node.place
    }
}

/// One step down `path`: the longest key, or the index, that it begins with.
fn step<'n, 'p>(node: &'n Node, path: &'p str) -> Option<(&'n Node, &'p str)> {
    match &node.value {
        Value::Map(entries) => {
            let behind =
                |entry: &Entry| path.strip_prefix(entry.key.as_str()).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
            let found = entries.iter().filter_map(|entry| Some((entry, behind(entry)?)));
            found.max_by_key(|(entry, _)| entry.key.len()).map(|(entry, rest)| (&entry.node, rest))
        }
        Value::List(items) => {
            let path = path.strip_prefix('[').unwrap_or(path);
            let digits = path.bytes().take_while(u8::is_ascii_digit).count();
            let (index, rest) = path.split_at(digits);
            Some((items.get(index.parse::<usize>().ok()?)?, rest.strip_prefix(']').unwrap_or(rest)))
        }
        _ => None,
    }
}

/// Reports and removes every key that stands a second time in its mapping.
fn single(node: &mut Node, path: &str, report: &Report, places: &mut Vec<Place>) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().enumerate().for_each(|(index, item)| single(item, &element(path, index), report, places)),
        Value::Map(entries) => {
            let mut seen: HashMap<String, u32> = HashMap::new();
            entries.retain(|entry| {
                let Some(line) = seen.get(&entry.key) else {
                    seen.insert(entry.key.clone(), entry.key_place.line);
                    return true;
                };
                let message = format!("{DUPLICATE} `{}`", printable(&entry.key));
                let hint = format!("the first one is on line {line}; keep one of them");
                report.error_hint(entry.key_place, &member(path, &entry.key), message, hint);
                places.push(entry.key_place);
                false
            });
            entries.iter_mut().for_each(|entry| single(&mut entry.node, &member(path, &entry.key), report, places));
        }
        _ => {}
    }
}

fn build(text: &str, duplicates: DuplicateKeyPolicy) -> Result<Document, serde_saphyr::Error> {
    NODES.with(|nodes| nodes.set(0));
    let root = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options(duplicates))?;
    Ok(Document { root: node(root) })
}

/// How the report of a key that stands twice begins.
const DUPLICATE: &str = "duplicate key";

fn options(duplicates: DuplicateKeyPolicy) -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: duplicates,
        budget: serde_saphyr::budget! {
            max_events: 4 * DOCUMENT_NODES_MAX,
            max_nodes: DOCUMENT_NODES_MAX,
            max_depth: DOCUMENT_DEPTH_MAX,
            flow_nesting_limit: DOCUMENT_DEPTH_MAX,
            max_aliases: DOCUMENT_ALIASES_MAX,
            max_anchors: DOCUMENT_ALIASES_MAX,
            max_merge_keys: DOCUMENT_ALIASES_MAX,
            max_recorded_anchor_events: 4 * DOCUMENT_NODES_MAX,
            max_recorded_anchor_bytes: DOCUMENT_BYTES_MAX,
            max_total_scalar_bytes: 2 * DOCUMENT_BYTES_MAX,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: DOCUMENT_NODES_MAX,
            max_replay_stack_depth: DOCUMENT_DEPTH_MAX,
        },
        // Only `true` and `false`: `no` stays the text it looks like. Readers of booleans take the older words too.
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

thread_local! {
    /// Counts nodes of the document being parsed on this thread: the parser's own budget does not see merged keys twice.
    static NODES: Cell<usize> = const { Cell::new(0) };
}

struct Raw(Value);

fn node(spanned: Spanned<Raw>) -> Node {
    // The definition, not the alias, is where the text that is wrong stands.
    Node { value: spanned.value.0, place: Place::of(spanned.defined) }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seen = NODES.with(|nodes| {
            nodes.set(nodes.get() + 1);
            nodes.get()
        });
        if seen > DOCUMENT_NODES_MAX {
            return Err(D::Error::custom(TOO_MANY));
        }
        deserializer.deserialize_any(RawVisitor).map(Raw)
    }
}

const TOO_MANY: &str = "the text has too many values";
const NOT_FINITE: &str = "the number is not finite";
const NOT_EXACT: &str = "the number does not fit into 64 bits";

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Value, E> {
        Err(E::custom(NOT_EXACT))
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Value, E> {
        Err(E::custom(NOT_EXACT))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom(NOT_FINITE))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(item) = list.next_element::<Spanned<Raw>>()? {
            nodes.push(node(item));
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let value = map.next_value::<Spanned<Raw>>()?;
            entries.push(Entry { key: key.value, key_place: Place::of(key.defined), node: node(value) });
        }
        Ok(Value::Map(entries))
    }
}

/// Reads a key as text whatever its scalar type; a list or mapping as key is refused by the parser.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Spanned<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Spanned::<String>::deserialize(deserializer)
    }
}

fn several(file: &str, place: Place) -> Mistake {
    let hint = "give each document a file of its own, or take the line `---` out";
    Mistake::error(file, place, "", "a second YAML document begins here, and a file holds one").hint(hint)
}

/// Says what is wrong and where, without any of the text: a value may be a secret.
fn explain(file: &str, fault: &serde_saphyr::Error) -> Mistake {
    use serde_saphyr::Error as E;
    let fault = fault.without_snippet();
    let place = fault.location().map_or(Place::START, Place::of);
    let message = match fault {
        E::DuplicateMappingKey { key: Some(key), .. } => format!("{DUPLICATE} `{}`", printable(key)),
        E::DuplicateMappingKey { key: None, .. } => DUPLICATE.to_owned(),
        E::ExternalMessage { msg, .. } => format!("not valid YAML: {}", printable(msg)),
        E::Eof { .. } => "not valid YAML: the text ends too early".to_owned(),
        E::MultipleDocuments { .. } => return several(file, place),
        E::UnknownAnchor { .. } => "the alias refers to an anchor that does not exist".to_owned(),
        E::NullIntoString { .. } => "the key is empty".to_owned(),
        E::Budget { breach: serde_saphyr::budget::BudgetBreach::Documents { .. }, .. } => return several(file, place),
        E::Budget { .. }
        | E::AliasReplayCounterOverflow { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. } => "the text exceeds a limit on nesting, number of values or aliases".to_owned(),
        E::NonFiniteFloat { .. } => NOT_FINITE.to_owned(),
        E::Message { msg, .. } if [TOO_MANY, NOT_FINITE, NOT_EXACT].contains(&msg.as_str()) => msg.clone(),
        E::AliasError { error, .. } => return explain(file, error),
        _ => "not valid YAML, or a key or tag of a kind that is not supported".to_owned(),
    };
    Mistake::error(file, place, "", message)
}
