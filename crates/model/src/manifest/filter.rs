//! Rules over arguments and results (reference, tool modules sections 3 and 10).

use super::pattern::{self, Pattern};
use crate::reader::{Field, Table};
use crate::shape::{Also, Choice, Key, Section, Shape, formats, words};

/// What a matching rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterAction {
    /// Refuse the call or hold back the result.
    Block,
    /// Let it pass and record the match.
    Warn,
    /// Replace the match; results only.
    Redact,
}

/// An encoding that is undone before matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoding {
    /// Base64 with `+` and `/`.
    Base64,
    /// Base64 with `-` and `_`.
    UrlsafeBase64,
    /// Percent-encoding.
    Url,
}

/// One entry of `argument_filters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentFilter {
    /// Shown to operators, never to the agent.
    pub name: String,
    /// What it looks for.
    pub pattern: Pattern,
    /// Names of arguments that it looks at, and of members inside arguments, each with all that is below it; `*` = all. Never empty.
    pub fields: Vec<String>,
    /// `Block` (default) or `Warn`.
    pub action: FilterAction,
    /// Encodings to undo.
    pub decode: Vec<Decoding>,
}

/// One entry of `response_filters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseFilter {
    /// Shown to operators, never to the agent.
    pub name: String,
    /// What it looks for.
    pub pattern: Pattern,
    /// `Warn` (default), `Block` or `Redact`.
    pub action: FilterAction,
    /// Encodings to undo.
    pub decode: Vec<Decoding>,
}

const DECODINGS: [(&str, Decoding); 3] =
    [("base64", Decoding::Base64), ("urlsafe_base64", Decoding::UrlsafeBase64), ("url", Decoding::Url)];

const ARGUMENT_ACTIONS: [(&str, FilterAction); 2] = [("block", FilterAction::Block), ("warn", FilterAction::Warn)];
const RESPONSE_ACTIONS: [(&str, FilterAction); 3] =
    [("warn", FilterAction::Warn), ("block", FilterAction::Block), ("redact", FilterAction::Redact)];

const NAME: Key = Key::new("name", Shape::Filled, "Shown to operators, never to the agent.").required();
const PATTERN: Key = Key::new(
    "pattern",
    Shape::Format(&formats::PATTERN),
    "Regular expression, matched in linear time: no look-around, no back-references.",
)
.required();
const DECODE: Key = Key::new(
    "decode",
    Shape::List(&Shape::Word(&words(&DECODINGS), Also::Nothing)),
    "Encodings that are undone before matching; the text as it is is matched too.",
)
.or("[]");
const CASE: Key = Key::new("case_insensitive", Shape::Boolean, "Whether letter case is ignored.").or("false");

pub(super) static ARGUMENT: Section = Section {
    path: "argument_filters[]",
    doc: "A rule over the arguments of calls.",
    keys: &[
        NAME,
        PATTERN,
        Key::new("fields", Shape::FullList(&Shape::Filled), "Names of the arguments it looks at; `*` = all.").or("[\"*\"]"),
        Key::new("action", Shape::Word(&words(&ARGUMENT_ACTIONS), Also::Nothing), "Refuse the call, or let it pass and record the match.")
            .or("block"),
        DECODE,
        CASE,
    ],
    needs: &[],
    choice: Choice::Free,
};

pub(super) static RESPONSE: Section = Section {
    path: "response_filters[]",
    doc: "A rule over the results of calls.",
    keys: &[
        NAME,
        PATTERN,
        Key::new(
            "action",
            Shape::Word(&words(&RESPONSE_ACTIONS), Also::Nothing),
            "Let the result pass and record the match, hold the result back, or replace the match.",
        )
        .or("warn"),
        DECODE,
        CASE,
    ],
    needs: &[],
    choice: Choice::Free,
};

struct Common {
    name: String,
    pattern: Pattern,
    decode: Vec<Decoding>,
}

fn common(table: &Table<'_>) -> Option<Common> {
    let name = table.read("name", |f| f.filled().map(str::to_owned));
    let case_insensitive = table.read("case_insensitive", Field::boolean).unwrap_or(false);
    let pattern = table.read("pattern", |f| pattern::read(f, case_insensitive));
    let decode = table.read("decode", |f| f.each(|f| f.word(&DECODINGS))).unwrap_or_default();
    Some(Common { name: name?, pattern: pattern?, decode })
}

pub(super) fn argument(field: &Field<'_>) -> Option<ArgumentFilter> {
    let table = field.table()?;
    let common = common(&table);
    let fields = table.read("fields", |f| {
        let fields = f.each(|f| f.filled().map(str::to_owned))?;
        if f.list()?.is_empty() {
            f.error_hint("must not be empty", "leave it out to look at every argument");
        }
        Some(fields)
    });
    let action = table.read("action", |f| f.word(&ARGUMENT_ACTIONS));
    table.finish();
    let Common { name, pattern, decode } = common?;
    let fields = fields.unwrap_or_else(|| vec!["*".to_owned()]);
    Some(ArgumentFilter { name, pattern, fields, action: action.unwrap_or(FilterAction::Block), decode })
}

pub(super) fn response(field: &Field<'_>) -> Option<ResponseFilter> {
    let table = field.table()?;
    let common = common(&table);
    let action = table.read("action", |f| f.word(&RESPONSE_ACTIONS)).unwrap_or(FilterAction::Warn);
    table.finish();
    let Common { name, pattern, decode } = common?;
    Some(ResponseFilter { name, pattern, action, decode })
}
