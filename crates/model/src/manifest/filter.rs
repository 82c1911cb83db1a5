//! Rules over arguments and results (reference, tool modules sections 3 and 10).

use regex::{Regex, RegexBuilder};

use crate::reader::{Field, Table};

/// Longest pattern in bytes.
pub const PATTERN_BYTES_MAX: usize = 4_096;
/// Largest compiled pattern in bytes.
const PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of groups in a pattern.
const PATTERN_DEPTH_MAX: u32 = 64;

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
    /// Regular expression that compiles; see [`compiled`].
    pub pattern: String,
    /// Argument names it looks at; `*` = all. Never empty.
    pub fields: Vec<String>,
    /// `Block` (default) or `Warn`.
    pub action: FilterAction,
    /// Encodings to undo.
    pub decode: Vec<Decoding>,
    /// Whether letter case is ignored; default false.
    pub case_insensitive: bool,
}

/// One entry of `response_filters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseFilter {
    /// Shown to operators, never to the agent.
    pub name: String,
    /// Regular expression.
    pub pattern: String,
    /// `Warn` (default), `Block` or `Redact`.
    pub action: FilterAction,
    /// Encodings to undo.
    pub decode: Vec<Decoding>,
    /// Whether letter case is ignored; default false.
    pub case_insensitive: bool,
}

const DECODINGS: [(&str, Decoding); 3] =
    [("base64", Decoding::Base64), ("urlsafe_base64", Decoding::UrlsafeBase64), ("url", Decoding::Url)];

struct Common {
    name: String,
    pattern: String,
    decode: Vec<Decoding>,
    case_insensitive: bool,
}

fn common(table: &Table<'_>) -> Option<Common> {
    let name = table.require("name").and_then(|f| f.filled().map(str::to_owned));
    let pattern = table.require("pattern").and_then(|f| pattern(&f));
    let decode = table.read("decode", |f| f.each(|f| f.word(&DECODINGS))).unwrap_or_default();
    let case_insensitive = table.read("case_insensitive", Field::boolean).unwrap_or(false);
    Some(Common { name: name?, pattern: pattern?, decode, case_insensitive })
}

fn pattern(field: &Field<'_>) -> Option<String> {
    let pattern = field.text()?;
    if pattern.is_empty() {
        field.error_hint("must not be empty", "an empty pattern matches everything");
        return None;
    }
    if pattern.len() > PATTERN_BYTES_MAX {
        field.error(format!("is longer than {PATTERN_BYTES_MAX} bytes"));
        return None;
    }
    if let Err(fault) = compiled(pattern, false) {
        field.error_hint(fault, "patterns are regular expressions that are matched in linear time: no look-around and no back-references");
        return None;
    }
    Some(pattern.to_owned())
}

/// The pattern as a program for the linear-time engine, of bounded size.
///
/// # Errors
/// What is wrong with it, without the pattern.
pub fn compiled(pattern: &str, case_insensitive: bool) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    builder.case_insensitive(case_insensitive).size_limit(PATTERN_PROGRAM_BYTES_MAX).nest_limit(PATTERN_DEPTH_MAX);
    builder.build().map_err(|fault| match fault {
        regex::Error::CompiledTooBig(limit) => format!("the compiled pattern would be larger than {limit} bytes"),
        // The last line is the rule; those before show the pattern.
        fault => {
            let text = fault.to_string();
            let rule = text.lines().last().unwrap_or_default();
            format!("not a pattern: {}", rule.strip_prefix("error: ").unwrap_or(rule))
        }
    })
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
    let action = table.read("action", |f| f.word(&[("block", FilterAction::Block), ("warn", FilterAction::Warn)]));
    table.finish();
    let Common { name, pattern, decode, case_insensitive } = common?;
    let fields = fields.unwrap_or_else(|| vec!["*".to_owned()]);
    Some(ArgumentFilter { name, pattern, fields, action: action.unwrap_or(FilterAction::Block), decode, case_insensitive })
}

pub(super) fn response(field: &Field<'_>) -> Option<ResponseFilter> {
    let table = field.table()?;
    let common = common(&table);
    let words = [("warn", FilterAction::Warn), ("block", FilterAction::Block), ("redact", FilterAction::Redact)];
    let action = table.read("action", |f| f.word(&words)).unwrap_or(FilterAction::Warn);
    table.finish();
    let Common { name, pattern, decode, case_insensitive } = common?;
    Some(ResponseFilter { name, pattern, action, decode, case_insensitive })
}
