//! What an upstream's tool definition declares. Nothing in it is believed yet.

use serde_json::{Map, Value};

use crate::contract::META_KEY;
use crate::lifecycle::{ALIASES_MAX, is_alias, is_lifecycle_text};
use crate::{ContentLabels, ContentTrust, Idempotency, Risk};

/// Something about a declaration that an operator should see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// A value outside the taxonomy; the field counts as undeclared.
    Invalid {
        /// Name on the wire.
        field: &'static str,
    },
    /// `_meta` and `annotations` disagree; the stricter value counts.
    Conflict {
        /// Name on the wire.
        field: &'static str,
    },
}

impl Flag {
    /// The word in events and in the console.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid { .. } => "contract_invalid",
            Self::Conflict { .. } => "contract_conflict",
        }
    }
}

/// The standard hints of a tool's `annotations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `readOnlyHint`.
    pub read_only: Option<bool>,
    /// `destructiveHint`.
    pub destructive: Option<bool>,
    /// `openWorldHint`.
    pub open_world: Option<bool>,
}

/// The declared facts; `None` where nothing valid is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// `risk_level`.
    pub risk: Option<Risk>,
    /// `content_trust_risk`; more than one fact when sources disagree.
    pub content: Option<ContentLabels>,
    /// `idempotentHint`.
    pub idempotent: Option<Idempotency>,
    /// `version`.
    pub version: Option<String>,
    /// `deprecated_since`.
    pub deprecated_since: Option<String>,
    /// `aliases`.
    pub aliases: Vec<String>,
    /// Standard hints.
    pub hints: Hints,
    /// What an operator should see.
    pub flags: Vec<Flag>,
}

impl Declared {
    /// Reads the declaration out of a tool definition's raw `annotations` and `_meta`.
    ///
    /// Sources in order of precedence: `_meta["dev.bailiwick/contract"]`, `_meta[key]` for each of `alias_keys`, `annotations`. Where two
    /// disagree on risk, content trust or idempotency the stricter value counts; of the other fields the first source counts. Never fails.
    #[must_use]
    pub fn read(annotations: Option<&Value>, meta: Option<&Value>, alias_keys: &[&str]) -> Self {
        let mut declared = Self::default();
        let keys = std::iter::once(META_KEY).chain(alias_keys.iter().copied());
        for contract in keys.filter_map(|key| meta?.get(key)) {
            match contract {
                Value::Object(members) => declared.take(members),
                _ => declared.flag(Flag::Invalid { field: "_meta" }),
            }
        }
        match annotations {
            Some(Value::Object(members)) => {
                declared.take(members);
                declared.hints = declared.hints_of(members);
            }
            None | Some(Value::Null) => {}
            Some(_) => declared.flag(Flag::Invalid { field: "annotations" }),
        }
        declared
    }

    /// Whether any of the three facts that decide something is declared.
    #[must_use]
    pub const fn is_declared(&self) -> bool {
        self.risk.is_some() || self.content.is_some() || self.idempotent.is_some()
    }

    fn take(&mut self, members: &Map<String, Value>) {
        let risk = self.valid(members, "risk_level", |v| Risk::parse(v.as_str()?).ok());
        self.risk = self.agree("risk_level", self.risk, risk, Risk::max);
        let content = self.valid(members, "content_trust_risk", |v| ContentTrust::parse(v.as_str()?).ok().map(ContentLabels::from));
        self.content = self.agree("content_trust_risk", self.content, content, ContentLabels::join);
        let idempotent = self.valid(members, "idempotentHint", |v| v.as_bool().map(Idempotency::from));
        self.idempotent = self.agree("idempotentHint", self.idempotent, idempotent, Idempotency::stricter);
        let text = |v: &Value| v.as_str().filter(|text| is_lifecycle_text(text)).map(str::to_owned);
        let version = self.valid(members, "version", text);
        self.version = self.version.take().or(version);
        let since = self.valid(members, "deprecated_since", text);
        self.deprecated_since = self.deprecated_since.take().or(since);
        let aliases = self.valid(members, "aliases", aliases);
        if self.aliases.is_empty() {
            self.aliases = aliases.unwrap_or_default();
        }
    }

    fn hints_of(&mut self, members: &Map<String, Value>) -> Hints {
        Hints {
            read_only: self.valid(members, "readOnlyHint", Value::as_bool),
            destructive: self.valid(members, "destructiveHint", Value::as_bool),
            open_world: self.valid(members, "openWorldHint", Value::as_bool),
        }
    }

    fn valid<T>(&mut self, members: &Map<String, Value>, field: &'static str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        // SDKs write absent members as `null`.
        let value = members.get(field).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            self.flag(Flag::Invalid { field });
        }
        read
    }

    fn agree<T: Copy + PartialEq>(
        &mut self,
        field: &'static str,
        first: Option<T>,
        second: Option<T>,
        stricter: fn(T, T) -> T,
    ) -> Option<T> {
        match (first, second) {
            (Some(a), Some(b)) => {
                if a != b {
                    self.flag(Flag::Conflict { field });
                }
                Some(stricter(a, b))
            }
            _ => first.or(second),
        }
    }

    fn flag(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }
}

fn aliases(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array().filter(|list| list.len() <= ALIASES_MAX)?;
    list.iter().map(|alias| alias.as_str().filter(|alias| is_alias(alias)).map(str::to_owned)).collect()
}
