//! From configuration to services. Nothing here touches the network: a literal address is judged as it stands, a name at every connection.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bailiwick_model::address;
use bailiwick_model::glob::Glob;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use super::entry::Entry;
use super::headers::{self, Auth};
use super::service::Service;
use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::egress::{BaseUrl, HttpClient, HttpLimits, Rules, Tls, is_metadata_name};
use crate::fault::OpenFault;
use crate::module::ModuleSetup;
use crate::withheld::Withheld;

const SERVICES: &str = "allowed_services";
const SERVICES_MAX: usize = 64;
const NAME_CHARS_MAX: usize = 64;
const RANGES_MAX: usize = 64;
const GLOBS_MAX: usize = 256;
/// Highest configurable answer; one of this size still fits into one message.
const RESPONSE_BYTES_CEILING: u64 = 8 << 20;
const TIMEOUT_SECONDS_CEILING: u64 = 300;

pub(super) const KEYS: &[ConfigKey] = &[ConfigKey {
    name: SERVICES,
    required: true,
    doc: "The services the agent may call, each with a name, a base_url, the credential_key to send, and limits of its own.",
    kind: ConfigKind::List,
}];

/// The keys of one service.
const SERVICE_KEYS: [&str; 13] = [
    "name",
    "base_url",
    "credential_key",
    "auth",
    "credential_scope",
    "allowed_methods",
    "allowed_paths",
    "allow_private",
    "ca_file",
    "headers",
    "max_response_bytes",
    "timeout_seconds",
    "follow_redirects",
];

/// One entry, read.
struct Draft<'a> {
    name: &'a str,
    base: BaseUrl,
    credential_key: Option<&'a str>,
    auth: Auth,
    methods: Option<Vec<Method>>,
    paths: Option<Vec<Glob>>,
    rules: Rules,
    headers: HeaderMap,
    limits: HttpLimits,
    ca_file: Option<(&'a str, String)>,
    follow_redirects: bool,
}

/// The credentials that the services name.
pub(super) fn credential_keys(config: &Map<String, Value>) -> BTreeSet<&str> {
    entries(config).iter().filter_map(|entry| entry.get("credential_key")?.as_str()).filter(|key| !key.is_empty()).collect()
}

/// Every mistake in the configuration.
pub(super) fn check(config: &Map<String, Value>) -> Vec<OpenFault> {
    drafts(config).1
}

/// The services, ready to be called.
pub(super) fn open(setup: ModuleSetup<'_>) -> Result<Vec<Service>, OpenFault> {
    ConfigReader::new(setup, KEYS)?;
    let (drafts, faults) = drafts(setup.config);
    faults.into_iter().next().map_or(Ok(()), Err)?;
    drafts.into_iter().map(|draft| draft.open(setup)).collect()
}

fn entries(config: &Map<String, Value>) -> &[Value] {
    config.get(SERVICES).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn drafts(config: &Map<String, Value>) -> (Vec<Draft<'_>>, Vec<OpenFault>) {
    let given = entries(config);
    let (mut drafts, mut faults) = (Vec::new(), Vec::new());
    if given.is_empty() {
        faults.push(OpenFault::about(SERVICES, "names no service", "write a list of services with `name` and `base_url`"));
    }
    if given.len() > SERVICES_MAX {
        faults.push(OpenFault::about(SERVICES, format!("has more than {SERVICES_MAX} services"), "split them over several modules"));
    }
    let mut names = BTreeSet::new();
    for (index, value) in given.iter().enumerate() {
        let place = format!("{SERVICES}.{index}");
        let Some(map) = value.as_object() else {
            faults.push(OpenFault::about(place, "is not a mapping", "write `name` and `base_url` of the service"));
            continue;
        };
        let mut entry = Entry::new(map, place, &SERVICE_KEYS);
        let draft = Draft::read(&mut entry);
        if draft.as_ref().is_some_and(|draft| !names.insert(draft.name)) {
            entry.fault("name", "is the name of an earlier service", "give every service a name of its own");
        }
        faults.append(&mut entry.faults);
        drafts.extend(draft);
    }
    (drafts, faults)
}

impl<'a> Draft<'a> {
    fn read(entry: &mut Entry<'a>) -> Option<Self> {
        let name = entry.needed("name");
        if name.is_some_and(|name| name.trim() != name || name.chars().any(char::is_control) || name.chars().count() > NAME_CHARS_MAX) {
            entry.fault("name", "is no name", format!("write at most {NAME_CHARS_MAX} visible characters"));
        }
        let rules = Rules { allow_private: entry.ranges("allow_private", RANGES_MAX) };
        let base = base_url(entry, &rules);
        let credential_key = entry.text("credential_key");
        if credential_key.is_none() && entry.text("auth").is_some() {
            entry.fault("auth", "has no credential to send", "name the credential under `credential_key`");
        }
        if entry.text("credential_scope").is_some_and(|scope| scope != "own-origin") {
            entry.fault("credential_scope", "is not a known word", "write own-origin: the credential is sent to the service itself only");
        }
        let auth = Auth::read(entry);
        let headers = headers::read(entry, &auth.header());
        let limits = HttpLimits {
            timeout: Duration::from_secs(entry.integer("timeout_seconds", 15, TIMEOUT_SECONDS_CEILING)),
            response_bytes_max: usize::try_from(entry.integer("max_response_bytes", 1 << 20, RESPONSE_BYTES_CEILING)).unwrap_or(usize::MAX),
        };
        let (methods, paths) = (methods(entry), paths(entry));
        let ca_file = entry.text("ca_file").map(|path| (path, entry.at("ca_file")));
        let follow_redirects = entry.flag("follow_redirects");
        Some(Self { name: name?, base: base?, credential_key, auth, methods, paths, rules, headers, limits, ca_file, follow_redirects })
    }

    fn open(self, setup: ModuleSetup<'_>) -> Result<Service, OpenFault> {
        let mut headers = self.headers;
        let mut secrets = Vec::new();
        if let Some(key) = self.credential_key {
            let missing = || OpenFault::about(key, "is missing or empty", format!("set the credential for the service `{}`", self.name));
            let credential = setup.credentials.get(key).ok_or_else(missing)?;
            let (value, derived) = self.auth.value(key, credential)?;
            for secret in &derived {
                setup.host.secrets.learn(secret);
            }
            headers.insert(self.auth.header(), value);
            secrets = derived;
            secrets.push(secrecy::ExposeSecret::expose_secret(credential).to_owned());
        }
        let tls = self.ca_file.map_or(Ok(Tls::default()), |(path, key)| crate::service::trust_file(&key, path))?;
        Ok(Service {
            name: self.name.to_owned(),
            client: HttpClient::new(self.base, setup.host.egress.clone(), self.rules, tls, self.limits),
            headers,
            methods: self.methods,
            paths: self.paths,
            follow_redirects: self.follow_redirects,
            has_credential: self.credential_key.is_some(),
            withheld: Withheld::new(secrets.iter().map(String::as_str)),
        })
    }
}

fn base_url(entry: &mut Entry<'_>, rules: &Rules) -> Option<BaseUrl> {
    let text = entry.needed("base_url")?;
    let base = match BaseUrl::parse(text) {
        Ok(base) => base,
        Err(rule) => {
            entry.fault("base_url", rule, "write an address like `https://host/path`");
            return None;
        }
    };
    let path = base.path.to_ascii_lowercase();
    if path.contains("//") || ["%2e", "%2f", "%5c", "%25", ";"].iter().any(|part| path.contains(part)) {
        entry.fault("base_url", "has a path that servers read in different ways", "write plain names between single slashes");
    }
    if let Err(rule) = judge_host(&base.host, rules) {
        entry.fault("base_url", rule, "open the address under `allow_private` if the agent may reach it; metadata services stay closed");
    }
    Some(base)
}

/// What the host alone shows. A name is looked up and judged again at every connection.
fn judge_host(host: &str, rules: &Rules) -> Result<(), &'static str> {
    let may_dial = |address: IpAddr| address::check(address, &rules.allow_private).is_ok();
    if let Ok(literal) = host.parse::<IpAddr>() {
        return if may_dial(literal) { Ok(()) } else { Err("leads to an address that may not be dialled") };
    }
    if is_metadata_name(host) {
        return Err("is the name of a metadata service");
    }
    if host == "localhost" || host.ends_with(".localhost") {
        let is_open = may_dial(Ipv4Addr::LOCALHOST.into()) || may_dial(Ipv6Addr::LOCALHOST.into());
        return if is_open { Ok(()) } else { Err("leads to this machine") };
    }
    // Nobody serves the public under one label.
    if !host.contains('.') && rules.allow_private.is_empty() {
        return Err("is a name of one label, which leads to private addresses only");
    }
    Ok(())
}

fn methods(entry: &mut Entry<'_>) -> Option<Vec<Method>> {
    let words = entry.texts("allowed_methods", 8)?;
    if words.is_empty() {
        entry.fault("allowed_methods", "is empty", "leave the key out to allow every method");
    }
    let mut methods = Vec::new();
    for (index, word) in words.into_iter().enumerate() {
        match word.to_ascii_uppercase().as_str() {
            "GET" => methods.push(Method::GET),
            "POST" => methods.push(Method::POST),
            "PUT" => methods.push(Method::PUT),
            "DELETE" => methods.push(Method::DELETE),
            _ => entry.fault(&format!("allowed_methods.{index}"), "is not a method of this module", "write GET, POST, PUT or DELETE"),
        }
    }
    Some(methods)
}

fn paths(entry: &mut Entry<'_>) -> Option<Vec<Glob>> {
    let texts = entry.texts("allowed_paths", GLOBS_MAX)?;
    if texts.is_empty() {
        entry.fault("allowed_paths", "is empty", "leave the key out to allow every path");
    }
    let mut globs = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        match Glob::parse(text) {
            Ok(glob) if text.starts_with('/') => globs.push(glob),
            Ok(_) => {
                entry.fault(&format!("allowed_paths.{index}"), "does not begin with `/`", "write a path beneath base_url, `/**` for all")
            }
            Err(rule) => entry.fault(&format!("allowed_paths.{index}"), rule, "write a path beneath base_url like `/users/*`"),
        }
    }
    Some(globs)
}
