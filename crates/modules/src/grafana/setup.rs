//! From configuration and credentials to an open instance.

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::Grafana;
use super::api::Api;
use super::dashboard::is_uid;
use super::datasources::is_name;
use super::folder::Folder;
use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::egress::{BaseUrl, HttpLimits};
use crate::fault::OpenFault;
use crate::module::{CredentialKey, ModuleSetup};
use crate::service::{ALLOW_PRIVATE, CA_FILE, authorization, client};
use crate::withheld::Withheld;

const URL: &str = "GRAFANA_URL";
const TOKEN: &str = "GRAFANA_SERVICE_ACCOUNT_TOKEN";
const SOURCES_MAX: usize = 1_000;
/// Dashboards grow large; a result that reaches the agent is bounded by the gateway.
const LIMITS: HttpLimits = HttpLimits { timeout: Duration::from_secs(30), response_bytes_max: 8 << 20 };

pub(super) const KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: "grafana_url",
        required: false,
        doc: "Address of Grafana; instead of the credential GRAFANA_URL.",
        kind: ConfigKind::Text,
    },
    ConfigKey {
        name: "allowed_datasources",
        required: false,
        doc: "Names of the data sources the agent may list, query and refer to. Default: none.",
        kind: ConfigKind::TextList,
    },
    ConfigKey {
        name: "folder_uid",
        required: false,
        doc: "Uid of the agent's folder, which has to exist. Default: a folder titled agent-{agent_id}, created at the first write.",
        kind: ConfigKind::Text,
    },
    ConfigKey {
        name: "legacy_list_datasources",
        required: false,
        doc: "Without allowed_datasources, list the names of all data sources instead of nothing. Default false.",
        kind: ConfigKind::Boolean,
    },
    ALLOW_PRIVATE,
    CA_FILE,
];

fn url(config: &Map<String, Value>) -> Option<&str> {
    config.get("grafana_url").and_then(Value::as_str).filter(|url| !url.is_empty())
}

pub(super) fn credentials(config: &Map<String, Value>) -> Vec<CredentialKey> {
    let token = CredentialKey::required(TOKEN);
    if url(config).is_some() { vec![token] } else { vec![CredentialKey::required(URL), token] }
}

/// Every mistake that the configuration alone shows.
pub(super) fn check(config: &Map<String, Value>) -> Vec<OpenFault> {
    let base = url(config).and_then(|url| BaseUrl::parse(url).err()).map(url_fault);
    let sources = config.get("allowed_datasources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let bad_source = |(index, name): (usize, &Value)| {
        let fault = || {
            let rule = "write at most 64 letters, digits, spaces and `_.-`";
            OpenFault::about(format!("allowed_datasources.{index}"), "is not a name of a data source", rule)
        };
        (!name.as_str().is_some_and(is_name)).then(fault)
    };
    let too_many = (sources.len() > SOURCES_MAX)
        .then(|| OpenFault::about("allowed_datasources", format!("has more than {SOURCES_MAX} names"), "list only what the agent needs"));
    let folder = config.get("folder_uid").filter(|uid| !uid.is_null() && !uid.as_str().is_some_and(is_uid));
    let folder = folder.map(|_| OpenFault::about("folder_uid", "is not a uid", "write 1 to 40 letters, digits, `-` and `_`"));
    base.into_iter().chain(sources.iter().enumerate().filter_map(bad_source)).chain(too_many).chain(folder).collect()
}

fn url_fault(rule: &'static str) -> OpenFault {
    OpenFault::about("grafana_url", rule, "write an address like `https://host/path`")
}

pub(super) fn open(setup: ModuleSetup<'_>) -> Result<Grafana, OpenFault> {
    let config = ConfigReader::new(setup, KEYS)?;
    check(setup.config).into_iter().next().map_or(Ok(()), Err)?;
    let missing = |name| OpenFault::about(name, "is missing or empty", "set the credential");
    let token = setup.credentials.get(TOKEN).ok_or_else(|| missing(TOKEN))?;
    let (name, address) = match url(setup.config) {
        Some(url) => ("grafana_url", url),
        None => (URL, setup.credentials.get(URL).ok_or_else(|| missing(URL))?.expose_secret()),
    };
    let folder = config.text("folder_uid")?.map_or_else(|| Folder::of(setup.agent_id, setup.org), Folder::pinned);
    Ok(Grafana {
        api: Api {
            client: client(name, address, &config, setup.host, LIMITS)?,
            authorization: authorization("Bearer", TOKEN, token)?,
            withheld: Withheld::new([token.expose_secret()]),
        },
        folder,
        agent: setup.agent_id.to_string(),
        sources: config.texts("allowed_datasources")?.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(),
        lists_names: config.flag("legacy_list_datasources", false)?,
        mode: setup.access,
    })
}
