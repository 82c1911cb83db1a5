//! What modules over a webhook have in common: an address that is a secret in whole and belongs to one vendor.

use std::net::IpAddr;

use http::Method;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::context::CallContext;
use crate::egress::{BaseUrl, HttpClient, HttpRequest};
use crate::fault::{OpenFault, ToolFault};
use crate::module::{ModuleDraft, ModuleSetup};
use crate::notifier;
use crate::service::{self, ALLOW_PRIVATE, CA_FILE, NOTIFIER_LIMITS};
use crate::withheld::Withheld;

/// The configuration of every webhook module.
pub(crate) const KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: "any_host",
        required: false,
        doc: "Whether the address may lead to another host than the vendor's own. Default false.",
        kind: ConfigKind::Boolean,
    },
    ConfigKey {
        name: "allow_mentions",
        required: false,
        doc: "Whether messages may call people and groups by their mentions. Default false.",
        kind: ConfigKind::Boolean,
    },
    ALLOW_PRIVATE,
    CA_FILE,
];

/// A webhook and what may be written to it.
pub(crate) struct Webhook {
    client: HttpClient,
    /// Path and query of the address: the secret.
    target: String,
    withheld: Withheld,
    /// Whether mentions stay as they are.
    pub(crate) mentions: bool,
}

/// Every mistake that the configuration alone shows.
pub(crate) fn check(draft: ModuleDraft<'_>) -> Vec<OpenFault> {
    service::range_faults(&ConfigReader::from(draft))
}

/// Opens the webhook whose address is the credential `name`. The address must be https on one of `hosts` (or any, with `any_host`); http
/// only leads to this machine.
pub(crate) fn open(setup: ModuleSetup<'_>, name: &'static str, hosts: &[&str]) -> Result<Webhook, OpenFault> {
    let config = ConfigReader::new(setup, KEYS)?;
    let address = service::credential(&setup, name)?.expose_secret();
    // The query belongs to the request, not to the base.
    let (place, query) = address.split_once('?').map_or((address, None), |(place, query)| (place, Some(query)));
    if query.is_some_and(|query| query.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#')) {
        return Err(OpenFault::about(name, "has a query that cannot be sent", "paste the address as the vendor shows it"));
    }
    let client = service::client(name, place, &config, setup.host, NOTIFIER_LIMITS)?;
    check_base(client.base(), name, hosts, config.flag("any_host", false)?)?;
    let target = client.base().at(&query.map(|query| format!("?{query}")).unwrap_or_default());
    let secrets = secrets(&target);
    for secret in secrets {
        setup.host.secrets.learn(secret);
    }
    let withheld = Withheld::new(secrets.into_iter().chain([address]));
    Ok(Webhook { client, target, withheld, mentions: config.flag("allow_mentions", false)? })
}

fn check_base(base: &BaseUrl, name: &str, hosts: &[&str], any_host: bool) -> Result<(), OpenFault> {
    let here = base.host == "localhost" || base.host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if !base.https && !here {
        return Err(OpenFault::about(name, "does not begin with `https://`", "paste the address as the vendor shows it"));
    }
    if !any_host && !hosts.contains(&base.host.as_str()) {
        let remedy = format!("use an address on {}, or set any_host: true", hosts.join(" or "));
        return Err(OpenFault::about(name, "does not lead to the vendor's host", remedy));
    }
    if base.path.is_empty() {
        return Err(OpenFault::about(name, "has no path", "paste the whole address of the webhook"));
    }
    Ok(())
}

/// The parts of a webhook's path and query that give it away: with and without the slash in front, without the query, and the last segment.
fn secrets(target: &str) -> [&str; 4] {
    let path = target.split('?').next().unwrap_or(target);
    [target, target.trim_start_matches('/'), path, path.rsplit('/').next().unwrap_or(path)]
}

impl Webhook {
    /// Posts `body`.
    pub(crate) async fn post(&self, body: &Value, context: CallContext<'_>) -> Result<(), ToolFault> {
        let request = HttpRequest::new(Method::POST, self.target.clone()).with_body("application/json", body.to_string());
        notifier::confirmed(&self.client, &self.withheld, request, context).await
    }
}

/// Refuses a message without a visible character.
pub(crate) fn not_empty(argument: &str, text: &str) -> Result<(), ToolFault> {
    if text.trim().is_empty() {
        return Err(ToolFault::invalid(format!("`{argument}` is empty"), "write at least one character"));
    }
    Ok(())
}
