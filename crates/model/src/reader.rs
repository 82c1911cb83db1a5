//! Typed reading of a document: every wrong value is reported where it stands, and reading goes on.

use std::cell::RefCell;
use std::time::Duration;

use crate::document::{Entry, Node, Place, Value};
use crate::glob::Glob;
use crate::mistake::{Report, nearest, printable};
use crate::secret_text::SecretText;
use crate::shape::{Section, Shape};

/// Longest duration that may be written, in seconds: a day.
pub(crate) const SECONDS_MAX: f64 = 86_400.0;
/// Most entries of one list or mapping that a reader accepts.
pub(crate) const ENTRIES_MAX: usize = 1_000;
/// Longest text value in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 65_536;

/// The path of member `key` below `path`.
pub(crate) fn member(path: &str, key: &str) -> String {
    let key = printable(key);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// The path of list element `index` below `path`.
pub(crate) fn element(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// A value with its path and what it must be.
#[derive(Clone)]
pub(crate) struct Field<'d> {
    pub(crate) node: &'d Node,
    pub(crate) path: String,
    shape: Shape,
    report: &'d Report,
}

impl<'d> Field<'d> {
    pub(crate) fn new(node: &'d Node, path: String, shape: Shape, report: &'d Report) -> Self {
        Self { node, path, shape, report }
    }

    /// The document as a whole.
    pub(crate) fn root(node: &'d Node, section: &'static Section, report: &'d Report) -> Self {
        Self::new(node, String::new(), Shape::Section(section), report)
    }

    /// Another node in the place of this one.
    pub(crate) fn instead(&self, node: &'d Node) -> Field<'d> {
        Self::new(node, self.path.clone(), self.shape, self.report)
    }

    pub(crate) fn place(&self) -> Place {
        self.node.place
    }

    pub(crate) fn report(&self) -> &'d Report {
        self.report
    }

    /// The member `key` of a mapping, without any check.
    pub(crate) fn member(&self, key: &str) -> Option<Field<'d>> {
        let Value::Map(entries) = &self.node.value else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some(Self::new(&entry.node, member(&self.path, key), Shape::Any, self.report))
    }

    pub(crate) fn error(&self, message: impl Into<String>) {
        self.report.error(self.place(), &self.path, message);
    }

    pub(crate) fn error_hint(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.report.error_hint(self.place(), &self.path, message, hint);
    }

    pub(crate) fn warning(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.report.warning(self.place(), &self.path, message, hint);
    }

    /// The reader asks for something else than what is described: a mistake of ours that must not pass as an absent key.
    fn undescribed<T>(&self) -> Option<T> {
        self.error("this build cannot read the key");
        None
    }

    fn wrong<T>(&self, wanted: &str) -> Option<T> {
        match &self.node.value {
            Value::Unknown => {}
            Value::Pieces(_) => {
                self.error_hint("a secret cannot stand here", "`${secret:NAME}` is filled in under `headers` and `env` only");
            }
            Value::Number(_) | Value::Bool(_) if wanted == "text" => {
                self.error_hint(format!("must be text, not {}", self.node.value.type_name()), "put it into quotes");
            }
            other => self.error(format!("must be {wanted}, not {}", other.type_name())),
        }
        None
    }

    /// Text of bounded length without NUL.
    pub(crate) fn text(&self) -> Option<&'d str> {
        let Value::Text(text) = &self.node.value else { return self.wrong("text") };
        self.bounded(text)
    }

    fn bounded<'a>(&self, text: &'a str) -> Option<&'a str> {
        if text.len() > TEXT_BYTES_MAX {
            self.error(format!("is longer than {TEXT_BYTES_MAX} bytes"));
            return None;
        }
        if text.contains('\0') {
            self.error("must not contain a NUL character");
            return None;
        }
        Some(text)
    }

    /// Text that is not empty.
    pub(crate) fn filled(&self) -> Option<&'d str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.error("must not be empty");
            return None;
        }
        Some(text)
    }

    /// Text, or a number or boolean as its text: for arguments, variables and headers.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.node.value {
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            _ => self.text().map(str::to_owned),
        }
    }

    /// Like [`Field::scalar`], in which secrets may be named.
    pub(crate) fn secret_text(&self) -> Option<SecretText> {
        match &self.node.value {
            Value::Pieces(pieces) => Some(SecretText::from_pieces(pieces)),
            _ => self.scalar().map(|text| SecretText::plain(&text)),
        }
    }

    /// A boolean; also the words of YAML 1.1, and text out of a variable.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(value) => Some(*value),
            Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some(true),
                "false" | "no" | "off" => Some(false),
                _ => self.wrong("`true` or `false`"),
            },
            _ => self.wrong("`true` or `false`"),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    pub(crate) fn is_empty_text(&self) -> bool {
        matches!(&self.node.value, Value::Text(text) if text.is_empty())
    }

    /// Whether the value is `false` itself.
    pub(crate) fn is_false(&self) -> bool {
        self.node.value == Value::Bool(false)
    }

    /// A whole number within bounds; text out of a variable counts.
    pub(crate) fn integer(&self) -> Option<u64> {
        let Shape::Integer { min, max } = self.shape else { return self.undescribed() };
        let number = match &self.node.value {
            Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
            Value::Text(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => return self.wrong("a whole number"),
        };
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.error(format!("must be a whole number from {min} to {max}"));
        }
        number
    }

    /// A number; text out of a variable counts.
    pub(crate) fn number(&self) -> Option<f64> {
        let number = match &self.node.value {
            Value::Number(number) => number.as_f64(),
            Value::Text(text) => text.parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        };
        if number.is_none() {
            return self.wrong("a number");
        }
        number
    }

    /// A number of seconds, at most a day.
    pub(crate) fn seconds(&self) -> Option<Duration> {
        let Shape::Seconds { zero: zero_allowed } = self.shape else { return self.undescribed() };
        let seconds = self.number()?;
        if !(0.0..=SECONDS_MAX).contains(&seconds) || (seconds == 0.0 && !zero_allowed) {
            let from = if zero_allowed { "from 0" } else { "above 0" };
            self.error(format!("must be a number of seconds {from} up to {SECONDS_MAX}"));
            return None;
        }
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The meaning of one of the words; `table` has exactly the described ones.
    pub(crate) fn word<T: Copy>(&self, table: &[(&'static str, T)]) -> Option<T> {
        let Shape::Word(words, _) = self.shape else { return self.undescribed() };
        if !table.iter().map(|(word, _)| word).eq(words) {
            return self.undescribed();
        }
        let Value::Text(text) = &self.node.value else { return self.wrong(&one_of(words)) };
        let found = table.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            let message = format!("must be {}", one_of(words));
            match nearest(text, words.iter().copied()) {
                Some(word) => self.error_hint(message, format!("did you mean `{word}`?")),
                None => self.error(message),
            }
        }
        found
    }

    /// The elements of a list.
    pub(crate) fn list(&self) -> Option<Vec<Field<'d>>> {
        let shape = match self.shape {
            Shape::List(shape) | Shape::FullList(shape) => *shape,
            Shape::AnyList | Shape::Any => Shape::Any,
            _ => return self.undescribed(),
        };
        let Value::List(items) = &self.node.value else { return self.wrong("a list") };
        if items.len() > ENTRIES_MAX {
            self.error(format!("has more than {ENTRIES_MAX} entries"));
            return None;
        }
        Some(items.iter().enumerate().map(|(index, node)| Field::new(node, element(&self.path, index), shape, self.report)).collect())
    }

    /// A list of values that are read one by one; wrong ones are reported and left out.
    pub(crate) fn each<T>(&self, read: impl Fn(&Field<'d>) -> Option<T>) -> Option<Vec<T>> {
        Some(self.list()?.iter().filter_map(read).collect())
    }

    /// The entries of a mapping with free keys: key, its place, value.
    pub(crate) fn entries(&self) -> Option<Vec<(&'d Entry, Field<'d>)>> {
        let shape = match self.shape {
            Shape::Entries { value, .. } => *value,
            Shape::Modules => Shape::Section(&crate::manifest::MODULE),
            Shape::Config | Shape::AnyMap | Shape::Any => Shape::Any,
            _ => return self.undescribed(),
        };
        let Value::Map(entries) = &self.node.value else { return self.wrong("a mapping") };
        if entries.len() > ENTRIES_MAX {
            self.error(format!("has more than {ENTRIES_MAX} entries"));
            return None;
        }
        let field = |entry: &'d Entry| Field::new(&entry.node, member(&self.path, &entry.key), shape, self.report);
        Some(entries.iter().map(|entry| (entry, field(entry))).collect())
    }

    /// The same value, described by somebody else: the configuration of a module by its kind.
    pub(crate) fn shaped(&self, shape: Shape) -> Field<'d> {
        Self { shape, ..self.clone() }
    }

    /// A glob.
    pub(crate) fn glob(&self) -> Option<Glob> {
        let glob = Glob::parse(self.text()?);
        glob.map_err(|rule| self.error(rule)).ok()
    }

    /// A mapping with known keys. Reports at once what must be there and is not.
    pub(crate) fn table(&self) -> Option<Table<'d>> {
        let Shape::Section(section) = self.shape else { return self.undescribed() };
        let Value::Map(entries) = &self.node.value else { return self.wrong("a mapping") };
        let table = Table { field: self.clone(), entries, section, asked: RefCell::new(Vec::new()) };
        for key in section.keys.iter().filter(|key| key.required && table.entry(key.name).is_none()) {
            table.missing(key.name, None);
        }
        for need in section.needs.iter().filter(|need| table.says(need.when, need.word) && table.entry(need.key).is_none()) {
            table.missing(need.key, Some(need.hint));
        }
        Some(table)
    }
}

fn whole(number: f64) -> Option<u64> {
    // 2^53: beyond it a float no longer says which whole number was meant.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and within 0..=2^53")]
    (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
}

fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [only] => only.clone(),
        [first, second] => format!("{first} or {second}"),
        _ => format!("one of {}", words.join(", ")),
    }
}

/// A mapping with known keys. A key that is not described, or that nobody asked for, is a mistake; [`Table::finish`] says so.
pub(crate) struct Table<'d> {
    pub(crate) field: Field<'d>,
    entries: &'d [Entry],
    section: &'static Section,
    asked: RefCell<Vec<&'static str>>,
}

impl<'d> Table<'d> {
    /// The value of `key`; `None` when it is absent or null.
    pub(crate) fn get(&self, key: &'static str) -> Option<Field<'d>> {
        let described = self.section.keys.iter().find(|described| described.name == key)?;
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
        let entry = self.entry(key)?;
        Some(Field::new(&entry.node, member(&self.field.path, key), described.shape, self.field.report))
    }

    fn entry(&self, key: &str) -> Option<&'d Entry> {
        self.entries.iter().find(|entry| entry.key == key && entry.node.value != Value::Null)
    }

    fn says(&self, key: &str, word: &str) -> bool {
        self.entry(key).is_some_and(|entry| matches!(&entry.node.value, Value::Text(text) if text == word))
    }

    pub(crate) fn missing(&self, key: &str, hint: Option<&str>) {
        let (place, path, message) = (self.field.place(), member(&self.field.path, key), format!("missing key `{key}`"));
        match hint {
            Some(hint) => self.field.report.error_hint(place, &path, message, hint),
            None => self.field.report.error(place, &path, message),
        }
    }

    /// Reads `key` when it is there.
    pub(crate) fn read<T>(&self, key: &'static str, read: impl FnOnce(&Field<'d>) -> Option<T>) -> Option<T> {
        self.get(key).and_then(|field| read(&field))
    }

    /// Reports every key that was not asked for.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        let known: Vec<&str> = self.section.keys.iter().map(|key| key.name).filter(|key| asked.contains(key)).collect();
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            unknown_key(&self.field, entry, &known);
        }
    }
}

/// Reports `entry` of `parent` as a key that is not among `known`.
pub(crate) fn unknown_key(parent: &Field<'_>, entry: &Entry, known: &[&str]) {
    let hint = match nearest(&entry.key, known.iter().copied()) {
        Some(key) => format!("did you mean `{key}`?"),
        None if known.is_empty() => "no key is possible here".to_owned(),
        None => format!("possible keys: {}", known.join(", ")),
    };
    let message = format!("unknown key `{}`", printable(&entry.key));
    parent.report.error_hint(entry.key_place, &member(&parent.path, &entry.key), message, hint);
}
