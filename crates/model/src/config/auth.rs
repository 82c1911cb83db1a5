//! Who may call, in its long form: API keys, and the issuers whose tokens are accepted beside them.

use super::issuer::{self, ISSUER, IssuerConfig};
use super::listen::{AUTH_WORDS, AUTHS};
use super::{AuthMode, Config};
use crate::document::Value;
use crate::id::OrgId;
use crate::reader::{Field, Table};
use crate::shape::{Also, Choice, Key, Section, Shape};

/// Most issuers: each costs memory for its keys, and a token is looked for in their list.
const ISSUERS_MAX: usize = 32;

pub(super) static AUTH: Section = Section {
    path: "auth",
    doc: "Who may call. API keys and tokens work side by side; a variable `BAILIWICK_AUTH` takes the place of the whole mapping.",
    keys: &[
        Key::new("mode", Shape::Word(&AUTH_WORDS, Also::Nothing), "As `auth` written as one word. With issuers only `key` is possible.")
            .or("key"),
        Key::new(
            "issuers",
            Shape::List(&Shape::Section(&ISSUER)),
            "Authorization servers whose access tokens (JWT) are accepted, at most 32.",
        )
        .or("[]"),
    ],
    needs: &[],
    choice: Choice::Free,
};

/// Reads `auth`, a word or a mapping.
pub(super) fn auth(field: &Field<'_>) -> Option<(AuthMode, Vec<IssuerConfig>)> {
    if !matches!(field.node.value, Value::Map(_)) {
        return field.shaped(Shape::Word(&AUTH_WORDS, Also::Nothing)).word(&AUTHS).map(|mode| (mode, Vec::new()));
    }
    let table = field.shaped(Shape::Section(&AUTH)).table()?;
    let mode = table.read("mode", |f| f.word(&AUTHS)).unwrap_or_default();
    let issuers = table.read("issuers", issuers).unwrap_or_default();
    table.finish();
    Some((mode, issuers))
}

fn issuers(field: &Field<'_>) -> Option<Vec<IssuerConfig>> {
    let listed = field.list()?;
    if listed.len() > ISSUERS_MAX {
        field.error(format!("has more than {ISSUERS_MAX} entries"));
        return None;
    }
    Some(listed.iter().filter_map(issuer::issuer).collect())
}

/// What concerns several issuers, or issuers and other keys, at once.
pub(super) fn check(root: &Table<'_>, config: &Config) {
    let Some(first) = config.issuers.first() else { return };
    let report = root.field.report();
    if config.auth == AuthMode::None {
        let message = "issuers have no effect where nobody has to prove who he is";
        report.error_hint(first.place, "auth.issuers", message, "write `mode: key`, or take the issuers away");
    }
    if config.public_url.is_none() && (config.listen.0.ip().is_unspecified() || config.listen.0.port() == 0) {
        let message = "tokens are issued for the address that clients use, and `listen` does not tell it";
        report.error_hint(first.place, "auth.issuers", message, "write `public_url`");
    }
    for (number, later) in config.issuers.iter().enumerate() {
        for earlier in config.issuers.iter().take(number) {
            if let Some((message, hint)) = conflict(earlier, later) {
                report.error_hint(later.place, &format!("auth.issuers[{number}]"), message, hint);
            }
        }
    }
}

/// Why two issuers cannot stand beside each other.
fn conflict(earlier: &IssuerConfig, later: &IssuerConfig) -> Option<(String, &'static str)> {
    if earlier.issuer == later.issuer {
        return Some((format!("has the same `issuer` as `{}`", earlier.name), "an issuer stands in the list once"));
    }
    if earlier.name == later.name {
        return Some((format!("has the same `name` as `{}`", earlier.issuer), "agents are named after it; choose another"));
    }
    // One prefix that begins the other is enough: a subject that begins with the rest would be somebody else's.
    let (one, other) = (&earlier.subject_prefix, &later.subject_prefix);
    if !one.starts_with(other.as_str()) && !other.starts_with(one.as_str()) {
        return None;
    }
    let org = shared_org(earlier, later)?;
    let message = format!("its subjects could be those of `{}`: both speak for organisation `{org}`", earlier.name);
    Some((message, "give each a `subject_prefix` that does not begin the other's, such as `corporate:`"))
}

fn shared_org<'c>(earlier: &'c IssuerConfig, later: &IssuerConfig) -> Option<&'c OrgId> {
    earlier.org.all().iter().find(|org| later.org.all().contains(org))
}
