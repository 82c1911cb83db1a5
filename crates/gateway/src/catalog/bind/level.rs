//! The rules of one tool as a tree, and what they make of the arguments of a call.

use std::fmt::Write as _;

use bailiwick_mcp::Json;
use bailiwick_model::Code;
use bailiwick_model::binding::{Limit, Outside, Pattern, Rule};
use serde_json::{Value, json};

use crate::refusal::Refusal;

/// What of an allow list is told in a message or description.
const TOLD_BYTES_MAX: usize = 1 << 10;

/// The rules for the members of one object.
pub(crate) struct Level {
    /// Each name once.
    pub(super) bound: Vec<(Box<str>, Node)>,
    /// All members that the tool's schema has here, sorted. Others are refused: a server may take another spelling for a bound one.
    pub(super) declared: Vec<Box<str>>,
}

pub(super) enum Node {
    /// One argument.
    Leaf(Leaf),
    /// An object with bound members.
    Inner(Level),
}

pub(super) enum Leaf {
    Fixed(Json),
    Hidden,
    Open { limit: Limit, default: Option<Json> },
}

impl Leaf {
    pub(super) fn of(rule: &Rule) -> Self {
        let json = |value: &Value| Json::from_serialize(value).unwrap_or_else(|_| Json::from_static("null"));
        match rule {
            Rule::Fixed(value) => Self::Fixed(json(value)),
            Rule::Hidden => Self::Hidden,
            Rule::Open { limit, default } => Self::Open { limit: limit.clone(), default: default.as_ref().map(json) },
        }
    }
}

/// Where and how a call breaks a rule. Never says a value of the caller.
#[derive(Debug)]
pub(crate) struct Breach {
    /// Names from the inside out.
    way: Vec<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The caller brings what is not his to give.
    NotYours,
    /// It has to be given: without it the server would choose.
    Missing {
        wanted: String,
    },
    /// An object was expected.
    NoObject,
    /// Beside a bound argument only what the schema has may stand.
    Undeclared,
    Outside {
        why: Outside,
        wanted: String,
    },
}

impl Level {
    /// The arguments as they are sent; `None` when they are sent as they came. Every other byte of them stays.
    ///
    /// # Errors
    /// [`Breach`] with the first rule that is broken.
    pub(crate) fn apply(&self, arguments: &Json) -> Result<Option<Json>, Breach> {
        self.object(Some(arguments))
    }

    fn object(&self, given: Option<&Json>) -> Result<Option<Json>, Breach> {
        let given = given.filter(|json| !json.is_null());
        if let Some(given) = given {
            self.only_declared(given)?;
        }
        let mut sent: Vec<(&str, Json)> = Vec::new();
        for (name, node) in &self.bound {
            let member = given.and_then(|given| given.member(name));
            let changed = match node {
                Node::Leaf(leaf) => leaf.apply(member.as_ref()),
                Node::Inner(level) => level.object(member.as_ref()),
            };
            let changed = changed.map_err(|breach| breach.under(name))?;
            sent.extend(changed.map(|json| (&**name, json)));
        }
        if sent.is_empty() {
            return Ok(None);
        }
        let sent: Vec<(&str, &Json)> = sent.iter().map(|(name, json)| (*name, json)).collect();
        let empty = Json::from_static("{}");
        Ok(Some(given.unwrap_or(&empty).edit(&[], &sent)))
    }

    fn only_declared(&self, given: &Json) -> Result<(), Breach> {
        if !given.is_object() {
            return Err(Kind::NoObject.into());
        }
        let known = |name: &str| self.declared.binary_search_by(|own| (**own).cmp(name)).is_ok();
        if given.members().all(|(name, _)| known(&name)) { Ok(()) } else { Err(Kind::Undeclared.into()) }
    }
}

impl Leaf {
    fn apply(&self, given: Option<&Json>) -> Result<Option<Json>, Breach> {
        match (self, given) {
            (Self::Fixed(_) | Self::Hidden, Some(_)) => Err(Kind::NotYours.into()),
            (Self::Fixed(value), None) => Ok(Some(value.clone())),
            (Self::Hidden, None) => Ok(None),
            (Self::Open { limit, default }, given) => match (given.filter(|json| !json.is_null()), default) {
                (None, Some(default)) => Ok(Some(default.clone())),
                (None, None) => Err(Kind::Missing { wanted: told(limit) }.into()),
                (Some(given), _) => {
                    if *limit == Limit::None {
                        return Ok(None);
                    }
                    // What no value can hold, such as a number that is too large, fits no rule.
                    let admitted = given.decode::<Value>().map_err(|_| Outside::Kind).and_then(|value| limit.admits(&value));
                    admitted.map(|()| None).map_err(|why| Kind::Outside { why, wanted: told(limit) }.into())
                }
            },
        }
    }
}

impl From<Kind> for Breach {
    fn from(kind: Kind) -> Self {
        Self { way: Vec::new(), kind }
    }
}

impl Breach {
    fn under(mut self, name: &str) -> Self {
        self.way.push(name.to_owned());
        self
    }
}

impl From<Breach> for Refusal {
    fn from(breach: Breach) -> Self {
        let way: Vec<&str> = breach.way.iter().rev().map(String::as_str).collect();
        let path = format!("/{}", way.join("/"));
        let (code, message, remedy) = breach.kind.told(&path);
        Self::new(code, message, remedy).with_details(json!({"path": path})).because(format!("{path}: {:?}", breach.kind))
    }
}

impl Kind {
    fn told(&self, path: &str) -> (Code, String, String) {
        match self {
            Self::NotYours => (
                Code::ScopeViolation,
                format!("argument `{path}` is set for you and cannot be given"),
                "leave the argument out and call again".into(),
            ),
            Self::Missing { wanted } => (Code::InvalidArgument, format!("argument `{path}` must be given"), format!("give {wanted}")),
            Self::NoObject => {
                (Code::InvalidArgument, format!("argument `{path}` must be an object"), "correct the argument and call again".into())
            }
            Self::Undeclared => (
                Code::InvalidArgument,
                format!("`{path}` has an argument that the tool's input schema does not list"),
                "send only arguments that the schema lists, spelled as they are there".into(),
            ),
            Self::Outside { why: Outside::Path(fault), wanted } => {
                (Code::PathRefused, format!("argument `{path}` has {fault}, which is refused here"), format!("give {wanted}"))
            }
            Self::Outside { why, wanted } => {
                let what = match why {
                    Outside::EmptyList => "is an empty list, which a server may take for everything",
                    Outside::LongList => "has too many elements",
                    _ => "is outside of what this agent may give",
                };
                (Code::ScopeViolation, format!("argument `{path}` {what}"), format!("give {wanted}"))
            }
        }
    }
}

/// What a limit lets through, in words.
pub(super) fn told(limit: &Limit) -> String {
    match limit {
        Limit::None => "any value".into(),
        Limit::Prefix(prefix) => {
            format!("a text that begins with `{prefix}` and stays below it: no `.` or `..` segment, `//`, backslash or percent-encoding")
        }
        Limit::Allow(patterns) => {
            let mut told = String::from("one of ");
            for (at, pattern) in patterns.iter().enumerate() {
                if told.len() > TOLD_BYTES_MAX {
                    let _ = write!(told, " and {} more", patterns.len() - at);
                    break;
                }
                let comma = if at > 0 { ", " } else { "" };
                let _ = match pattern {
                    Pattern::Exactly(Value::String(text)) | Pattern::Like(text) => write!(told, "{comma}`{text}`"),
                    Pattern::Exactly(value) => write!(told, "{comma}`{value}`"),
                };
            }
            told
        }
    }
}
