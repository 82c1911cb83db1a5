//! A whole contract as an author declares it, and its shape on the wire.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::lifecycle::{ALIASES_MAX, is_alias, is_lifecycle_text};
use crate::{ContentTrust, Idempotency, Lifecycle, Risk};

/// Key of the contract in a tool's `_meta`; the form that survives typed SDKs.
pub const META_KEY: &str = "dev.bailiwick/contract";

/// The facts about one tool (reference, governance section 7.1). Its serde form has the field names of the facts, not of the wire;
/// unknown fields and unknown words are errors, so that an author's own tests fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Plain", into = "Plain")]
pub struct Contract {
    /// What it may do to the world.
    pub risk: Risk,
    /// How far its response can be trusted.
    pub content_trust: ContentTrust,
    /// Whether it may be repeated.
    pub idempotent: Idempotency,
    /// Version, deprecation and former names.
    pub lifecycle: Lifecycle,
}

impl Contract {
    /// A contract with the defaults of the taxonomy: trusted content, not idempotent, version `1.0.0`.
    #[must_use]
    pub fn new(risk: Risk) -> Self {
        Self { risk, content_trust: ContentTrust::default(), idempotent: Idempotency::default(), lifecycle: Lifecycle::default() }
    }

    /// With this content trust.
    #[must_use]
    pub const fn content_trust(mut self, content_trust: ContentTrust) -> Self {
        self.content_trust = content_trust;
        self
    }

    /// Declared as safe to repeat.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = Idempotency::Idempotent;
        self
    }

    /// With this lifecycle.
    #[must_use]
    pub fn lifecycle(mut self, lifecycle: Lifecycle) -> Self {
        self.lifecycle = lifecycle;
        self
    }

    /// The members for `annotations` of a tool definition.
    #[must_use]
    pub fn annotations(&self) -> Map<String, Value> {
        wire(self.risk, self.content_trust, self.idempotent, &self.lifecycle)
    }

    /// Puts the contract into a tool definition: into `annotations` beside what stands there, and under [`META_KEY`] in `_meta`.
    pub fn put_into(&self, tool: &mut Map<String, Value>) {
        let members = self.annotations();
        merge(tool, "annotations", members.clone());
        merge(tool, "_meta", Map::from_iter([(META_KEY.to_owned(), Value::Object(members))]));
    }
}

/// The members on the wire (reference, governance section 7.2).
pub(crate) fn wire(risk: Risk, content: ContentTrust, idempotent: Idempotency, lifecycle: &Lifecycle) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("readOnlyHint".to_owned(), json!(risk == Risk::ReadOnly));
    members.insert("destructiveHint".to_owned(), json!(risk == Risk::Destructive));
    members.insert("idempotentHint".to_owned(), json!(idempotent.holds()));
    members.insert("risk_level".to_owned(), json!(risk.as_str()));
    members.insert("content_trust_risk".to_owned(), json!(content.as_str()));
    members.insert("version".to_owned(), json!(lifecycle.version));
    if let Some(since) = &lifecycle.deprecated_since {
        members.insert("deprecated_since".to_owned(), json!(since));
    }
    if !lifecycle.aliases.is_empty() {
        members.insert("aliases".to_owned(), json!(lifecycle.aliases));
    }
    members
}

/// Adds `members` to the object `name` of `tool`; a value there that is no object is replaced.
pub(crate) fn merge(tool: &mut Map<String, Value>, name: &str, members: Map<String, Value>) {
    match tool.get_mut(name) {
        Some(Value::Object(present)) => present.extend(members),
        _ => {
            tool.insert(name.to_owned(), Value::Object(members));
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    risk: Risk,
    #[serde(default)]
    content_trust: ContentTrust,
    #[serde(default)]
    idempotent: Idempotency,
    #[serde(default = "first_version")]
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deprecated_since: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

fn first_version() -> String {
    Lifecycle::default().version
}

impl TryFrom<Plain> for Contract {
    type Error = &'static str;

    fn try_from(plain: Plain) -> Result<Self, Self::Error> {
        if !is_lifecycle_text(&plain.version) || !plain.deprecated_since.as_deref().is_none_or(is_lifecycle_text) {
            return Err("`version` and `deprecated_since` have 1 to 64 visible ASCII characters");
        }
        if plain.aliases.len() > ALIASES_MAX || !plain.aliases.iter().all(|alias| is_alias(alias)) {
            return Err("`aliases` has at most 16 names of letters, digits, `_`, `.` and `-`, each at most 128 long");
        }
        let lifecycle = Lifecycle { version: plain.version, deprecated_since: plain.deprecated_since, aliases: plain.aliases };
        Ok(Self { risk: plain.risk, content_trust: plain.content_trust, idempotent: plain.idempotent, lifecycle })
    }
}

impl From<Contract> for Plain {
    fn from(contract: Contract) -> Self {
        let Contract { risk, content_trust, idempotent, lifecycle } = contract;
        let Lifecycle { version, deprecated_since, aliases } = lifecycle;
        Self { risk, content_trust, idempotent, version, deprecated_since, aliases }
    }
}
