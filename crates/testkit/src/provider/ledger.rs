//! What a provider remembers: requests, clients, flows, families of tokens.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::habits::Habits;

/// Signs of a token (RFC 6750 section 2.1), the plain ones in front.
const SIGNS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=";
/// Those that every grammar takes: letters, digits and the first three others.
const PLAIN_SIGNS: usize = 65;
/// Requests kept.
const SENT_MAX: usize = 100_000;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The parameters of the query, in order.
    pub query: Vec<(String, String)>,
    /// Headers by lower-case name, in order.
    pub headers: Vec<(String, String)>,
    /// The fields of a form, in order; empty for other bodies.
    pub form: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Sent {
    /// A parameter of the query.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// A field of the form.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        find(&self.form, name)
    }

    /// A header, `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

fn find<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A client of the authorization server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) redirect_uris: Vec<String>,
    pub(super) secret: Option<String>,
    /// Made by request.
    pub(super) registered: bool,
}

/// An authorization request, and the code for it once it was approved.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) state: String,
    pub(super) challenge: String,
    pub(super) resource: String,
    pub(super) scopes: Vec<String>,
    pub(super) offline: bool,
}

/// The tokens that came of one authorization.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) client_id: String,
    pub(super) resource: String,
    pub(super) scopes: Vec<String>,
    pub(super) refresh: Option<String>,
    /// Retired refresh tokens, and how often they came again.
    pub(super) retired: BTreeMap<String, u32>,
    pub(super) revoked: bool,
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) sent: Vec<Sent>,
    pub(super) documents: BTreeMap<String, Value>,
    pub(super) clients: BTreeMap<String, Client>,
    pub(super) flows: BTreeMap<String, Flow>,
    pub(super) codes: BTreeMap<String, Flow>,
    pub(super) families: Vec<Family>,
    /// Live access tokens, and the family of each.
    access: BTreeMap<String, usize>,
    /// So many refresh replies will be lost.
    pub(super) losing: u32,
    /// Every code, token and secret that was handed out.
    pub(super) minted: Vec<String>,
    made: u64,
}

impl Ledger {
    pub(super) fn note(&mut self, sent: Sent) {
        assert!(self.sent.len() < SENT_MAX, "more than {SENT_MAX} requests");
        self.sent.push(sent);
    }

    /// A name that was not there before.
    pub(super) fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("fake-{what}-{:06}", self.made)
    }

    /// A value that is nobody else's to know.
    pub(super) fn mint(&mut self, what: &str, habits: &Habits) -> String {
        let name = self.make(what);
        let value = habits.random_values.map_or(name, |seed| random(seed, self.made));
        self.minted.push(value.clone());
        value
    }

    pub(super) fn grant_access(&mut self, family: usize, habits: &Habits) -> String {
        let token = self.mint("access", habits);
        self.access.insert(token.clone(), family);
        token
    }

    /// The scopes of a token that is good.
    pub(super) fn scopes_of(&self, access: &str) -> Option<&[String]> {
        let family = self.families.get(*self.access.get(access)?)?;
        (!family.revoked).then_some(family.scopes.as_slice())
    }

    pub(super) fn expire_access_tokens(&mut self) {
        self.access.clear();
    }

    pub(super) fn revoke_everything(&mut self) {
        self.families.iter_mut().for_each(|family| family.revoked = true);
    }

    pub(super) fn revoked_families(&self) -> usize {
        self.families.iter().filter(|family| family.revoked).count()
    }

    /// The family that a refresh token is or was of.
    pub(super) fn family_of(&self, refresh: &str) -> Option<usize> {
        let is_of = |family: &Family| family.refresh.as_deref() == Some(refresh) || family.retired.contains_key(refresh);
        self.families.iter().position(is_of)
    }

    /// Revokes a token and, with a refresh token, everything that came of it.
    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(family) = self.family_of(token) {
            self.families[family].revoked = true;
        }
        self.access.remove(token);
    }
}

/// 24 to 55 signs. Every third value has no sign that is special anywhere, so that it passes for a word.
fn random(seed: u64, number: u64) -> String {
    let block = |part: u8| Sha256::digest([&seed.to_le_bytes()[..], &number.to_le_bytes(), &[part]].concat());
    let signs = if number.is_multiple_of(3) { &SIGNS[..PLAIN_SIGNS] } else { SIGNS };
    let bytes: Vec<u8> = block(0).iter().chain(&block(1)).copied().collect();
    let length = 24 + usize::from(bytes[63] % 32);
    bytes.iter().take(length).map(|byte| char::from(signs[usize::from(*byte) % signs.len()])).collect()
}
