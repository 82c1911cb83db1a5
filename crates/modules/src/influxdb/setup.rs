//! From configuration and credentials to a server and its buckets.

use std::time::Duration;

use bailiwick_model::AgentId;
use secrecy::ExposeSecret;

use super::Influxdb;
use super::bucket::{Buckets, NAME_BYTES_MAX, SEPARATOR_BYTES_MAX, SEPARATOR_CHARS};
use super::server::Server;
use super::table::Limits;
use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::egress::HttpLimits;
use crate::fault::OpenFault;
use crate::host::Host;
use crate::module::{Credentials, ModuleDraft, ModuleSetup};
use crate::service::{self, ALLOW_PRIVATE, CA_FILE};

pub(super) const URL: &str = "INFLUXDB_URL";
pub(super) const TOKEN: &str = "INFLUXDB_TOKEN";
pub(super) const ORG: &str = "INFLUXDB_ORG";

/// Most listed buckets.
const BUCKETS_MAX: usize = 1_000;
/// Highest configurable number of rows in one answer.
const ROWS_CEILING: u64 = 10_000;
/// Highest configurable size of one answer; still fits into one message.
const RESULT_BYTES_CEILING: u64 = 8 << 20;
/// Highest configurable size of what the server sends.
const RESPONSE_BYTES_CEILING: u64 = 64 << 20;
/// Highest configurable time of one request.
const TIMEOUT_SECONDS_CEILING: u64 = 15 * 60;

pub(super) const KEYS: &[ConfigKey] = &[
    key("org", false, "Organisation in InfluxDB, by name or identifier; the credential INFLUXDB_ORG wins over it.", ConfigKind::Text),
    key("buckets", true, "Buckets the agent may use beside those it creates.", ConfigKind::TextList),
    key(
        "bucket_separator",
        false,
        "What stands between the agent's id and the name of a bucket it creates: up to 8 of `-_.:`. Default `--`.",
        ConfigKind::Text,
    ),
    key("max_rows", false, "Most rows in one answer. Default 1000.", ConfigKind::Integer),
    key("max_result_bytes", false, "Largest answer to the agent, in bytes. Default 1 MiB.", ConfigKind::Integer),
    key("max_response_bytes", false, "Largest answer of the server, in bytes. Default 4 MiB.", ConfigKind::Integer),
    key("timeout_seconds", false, "Longest time of one request, in seconds. Default 30.", ConfigKind::Integer),
    ALLOW_PRIVATE,
    CA_FILE,
];

const fn key(name: &'static str, required: bool, doc: &'static str, kind: ConfigKind) -> ConfigKey {
    ConfigKey { name, required, doc, kind }
}

pub(super) fn open(setup: ModuleSetup<'_>) -> Result<Influxdb, OpenFault> {
    let config = ConfigReader::new(setup, KEYS)?;
    let (listed, separator, limits) = (buckets(&config)?, separator(&config)?, limits(&config)?);
    let missing = |name| OpenFault::about(name, "is missing", "give it in the source of the credentials");
    let credential = |name| setup.credentials.get(name).ok_or_else(|| missing(name));
    let client = service::client(URL, credential(URL)?.expose_secret(), &config, setup.host, http_limits(&config)?)?;
    let authorization = service::authorization("Token", TOKEN, credential(TOKEN)?)?;
    let org = match setup.credentials.get(ORG) {
        Some(org) => org.expose_secret().to_owned(),
        None => config
            .needed("org")
            .map_err(|fault| OpenFault { remedy: format!("write it, or give the credential {ORG}"), ..fault })?
            .to_owned(),
    };
    Ok(Influxdb {
        server: Server::new(client, authorization, org),
        buckets: Buckets::new(&setup, listed, separator),
        limits,
        mode: setup.access,
    })
}

pub(super) fn check(draft: ModuleDraft<'_>) -> Vec<OpenFault> {
    let Ok(anybody) = AgentId::parse("agent") else { return Vec::new() };
    let setup = ModuleSetup {
        key: "influxdb",
        org: None,
        agent_id: draft.agent_id.unwrap_or(&anybody),
        agent_type: draft.agent_type,
        access: None,
        config: draft.config,
        credentials: &Credentials::default(),
        host: &Host::isolated(),
    };
    let config = match ConfigReader::new(setup, KEYS) {
        Ok(config) => config,
        Err(fault) => return vec![fault],
    };
    let found = [
        buckets(&config).err(),
        separator(&config).err(),
        limits(&config).err(),
        http_limits(&config).err(),
        service::private_ranges(&config, ALLOW_PRIVATE.name).err(),
    ];
    found.into_iter().flatten().collect()
}

fn buckets(config: &ConfigReader<'_>) -> Result<Vec<String>, OpenFault> {
    let listed = config.texts("buckets")?;
    if listed.is_empty() || listed.len() > BUCKETS_MAX {
        return Err(OpenFault::about("buckets", "is empty or too long", format!("list 1 to {BUCKETS_MAX} buckets")));
    }
    for (index, name) in listed.iter().enumerate() {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            let rule = format!("write the name of a bucket, at most {NAME_BYTES_MAX} bytes");
            return Err(OpenFault::about(format!("buckets.{index}"), "is not a name of a bucket", rule));
        }
    }
    Ok(listed.into_iter().map(str::to_owned).collect())
}

fn separator<'a>(config: &ConfigReader<'a>) -> Result<Option<&'a str>, OpenFault> {
    let separator = config.text("bucket_separator")?;
    let sound = |text: &str| (1..=SEPARATOR_BYTES_MAX).contains(&text.len()) && text.chars().all(|c| SEPARATOR_CHARS.contains(&c));
    match separator {
        Some(text) if !sound(text) => {
            Err(OpenFault::about("bucket_separator", "cannot separate names", format!("write 1 to {SEPARATOR_BYTES_MAX} of `-_.:`")))
        }
        separator => Ok(separator),
    }
}

fn limits(config: &ConfigReader<'_>) -> Result<Limits, OpenFault> {
    Ok(Limits {
        rows: config.integer("max_rows", 1_000, 1, ROWS_CEILING)?,
        result_bytes: config.integer("max_result_bytes", 1 << 20, 1, RESULT_BYTES_CEILING)?,
    })
}

fn http_limits(config: &ConfigReader<'_>) -> Result<HttpLimits, OpenFault> {
    let bytes = config.integer("max_response_bytes", 4 << 20, 1, RESPONSE_BYTES_CEILING)?;
    Ok(HttpLimits {
        timeout: Duration::from_secs(config.integer("timeout_seconds", 30, 1, TIMEOUT_SECONDS_CEILING)?),
        response_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
    })
}
