//! The facts that decide (reference, governance section 7.3): defaults, then what the name suggests, then what is declared as far as the
//! server is trusted, then an operator's override.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::contract::{META_KEY, merge, wire};
use crate::declared::Declared;
use crate::heuristic::risk_of_name;
use crate::{ContentLabels, ContentTrust, Idempotency, Lifecycle, Risk, TrustClass};

/// Which layer a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nothing is known.
    Default,
    /// The tool's name or a standard hint.
    Heuristic,
    /// The server's declaration.
    Declared,
    /// An operator.
    Override,
}

/// A value and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// The layer that decided.
    pub source: Source,
}

impl<T> Fact<T> {
    const fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }
}

/// An operator's word on a contract; the only way down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Override {
    /// Replaces the risk.
    pub risk: Option<Risk>,
    /// Replaces the content trust.
    pub content_trust: Option<ContentTrust>,
    /// Replaces the idempotency.
    pub idempotent: Option<Idempotency>,
}

/// The facts that decide about one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// What it may do to the world.
    pub risk: Fact<Risk>,
    /// What is known against its response.
    pub content: Fact<ContentLabels>,
    /// Whether it may be repeated.
    pub idempotent: Fact<Idempotency>,
    /// Version, deprecation and former names, as declared; grants nothing.
    pub lifecycle: Lifecycle,
}

/// Computes the facts for the tool `name` (the upstream's own name) of a server of class `trust`.
#[must_use]
pub fn effective(name: &str, declared: &Declared, trust: TrustClass, operator: Option<&Override>) -> Effective {
    let mut facts = Effective {
        risk: risk(name, declared, trust),
        content: content(declared, trust),
        idempotent: idempotent(declared, trust),
        lifecycle: Lifecycle {
            version: declared.version.clone().unwrap_or_else(|| Lifecycle::default().version),
            deprecated_since: declared.deprecated_since.clone(),
            aliases: declared.aliases.clone(),
        },
    };
    let Some(operator) = operator else { return facts };
    if let Some(risk) = operator.risk {
        facts.risk = Fact::new(risk, Source::Override);
    }
    if let Some(content) = operator.content_trust {
        facts.content = Fact::new(content.into(), Source::Override);
    }
    if let Some(idempotent) = operator.idempotent {
        facts.idempotent = Fact::new(idempotent, Source::Override);
    }
    facts
}

fn risk(name: &str, declared: &Declared, trust: TrustClass) -> Fact<Risk> {
    let guess = guess(name, declared, trust);
    let undeclared = guess.map_or(Fact::new(Risk::HighRiskWrite, Source::Default), |risk| Fact::new(risk, Source::Heuristic));
    let Some(word) = declared.risk else { return undeclared };
    let floor = match trust {
        TrustClass::FirstParty => None,
        TrustClass::Verified => guess.map(|risk| Fact::new(risk, Source::Heuristic)),
        TrustClass::ThirdParty => Some(undeclared),
    };
    match floor {
        Some(floor) if floor.value > word => floor,
        _ => Fact::new(word, Source::Declared),
    }
}

/// What name and standard hints suggest.
fn guess(name: &str, declared: &Declared, trust: TrustClass) -> Option<Risk> {
    if declared.hints.destructive == Some(true) {
        return Some(Risk::Destructive);
    }
    let by_name = risk_of_name(name);
    let believed = trust != TrustClass::ThirdParty && declared.hints.read_only == Some(true);
    match by_name {
        None if believed => Some(Risk::ReadOnly),
        other => other,
    }
}

fn content(declared: &Declared, trust: TrustClass) -> Fact<ContentLabels> {
    let untrusted = ContentLabels::from(ContentTrust::Untrusted);
    let closed_world = trust == TrustClass::FirstParty && declared.hints.open_world == Some(false);
    let undeclared =
        if closed_world { Fact::new(ContentLabels::TRUSTED, Source::Heuristic) } else { Fact::new(untrusted, Source::Default) };
    let Some(word) = declared.content else { return undeclared };
    // Only our own servers can vouch for their content; the word of others adds to what is known.
    let value = if trust == TrustClass::FirstParty { word } else { word.join(untrusted) };
    let source = if value == word || value != untrusted { Source::Declared } else { Source::Default };
    Fact::new(value, source)
}

fn idempotent(declared: &Declared, trust: TrustClass) -> Fact<Idempotency> {
    match declared.idempotent {
        Some(word) if trust != TrustClass::ThirdParty || !word.holds() => Fact::new(word, Source::Declared),
        _ => Fact::new(Idempotency::NotIdempotent, Source::Default),
    }
}

impl Effective {
    /// The members for `annotations` towards clients: the contract and all four standard hints, computed from these facts.
    #[must_use]
    pub fn annotations(&self) -> Map<String, Value> {
        let mut members = wire(self.risk.value, self.content.value.gravest(), self.idempotent.value, &self.lifecycle);
        let reaches_out = matches!(self.risk.value, Risk::ExternalPublication | Risk::PaidOperation);
        members.insert("openWorldHint".to_owned(), json!(reaches_out || self.content.value.untrusted()));
        members
    }

    /// Writes the facts over a tool definition's `annotations` and `_meta`, keeping every other member. Where more than one fact is known
    /// about the content, `_meta` lists them all under `content_trust_labels`.
    pub fn put_into(&self, tool: &mut Map<String, Value>) {
        let members = self.annotations();
        let mut meta = members.clone();
        let labels: Vec<&str> = self.content.value.words().collect();
        if labels.len() > 1 {
            meta.insert("content_trust_labels".to_owned(), json!(labels));
        }
        merge(tool, "annotations", members);
        merge(tool, "_meta", Map::from_iter([(META_KEY.to_owned(), Value::Object(meta))]));
    }
}
