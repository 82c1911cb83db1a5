//! What a checked manifest still lacks, found without opening, starting or dialling anything.

use std::collections::{BTreeMap, HashMap};

use bailiwick_model::config::Config;
use bailiwick_model::document::Document;
use bailiwick_model::manifest::{CredentialSource, Manifest, ModuleEntry};
use bailiwick_model::mistake::nearest;
use bailiwick_model::{Mistake, Sensitive};
use bailiwick_modules::{ModuleDraft, ModuleRegistry};

use crate::credentials;

/// Every credential that a module requires and the manifest's source does not have: one error for all modules, one warning for the
/// optional ones. Reads the source, so a secrets file is opened; of a vault, which would have to be dialled, only the variables of its login
/// are looked at. Nothing of the values is in a message.
#[must_use]
pub fn missing_credentials(
    manifest: &Manifest,
    document: &Document,
    modules: &ModuleRegistry,
    environment: &BTreeMap<String, String>,
) -> Vec<Mistake> {
    let wanted: Vec<(&ModuleEntry, Vec<String>)> = manifest.modules.iter().map(|entry| (entry, required(entry, modules))).collect();
    if wanted.iter().all(|(_, names)| names.is_empty()) {
        return Vec::new();
    }
    let present = match credentials::look(&manifest.credentials, environment) {
        Ok(Some(present)) => present,
        Ok(None) => return Vec::new(),
        Err(cause) => return vec![Mistake::error(&manifest.file, document.place_of("credentials"), "credentials", cause)],
    };
    let lacks = |name: &String| present.get(name).is_none_or(|value: &Sensitive| value.expose().is_empty());
    let missing: Vec<(&ModuleEntry, Vec<String>)> =
        wanted.into_iter().map(|(entry, names)| (entry, names.into_iter().filter(lacks).collect())).collect();
    let told = |optional: bool| {
        let of: Vec<_> = missing.iter().filter(|(entry, names)| entry.optional == optional && !names.is_empty()).collect();
        let (first, _) = of.first()?;
        let path = if of.len() == 1 { format!("modules.{}", first.key) } else { "modules".to_owned() };
        let parts: Vec<String> = of.iter().map(|(entry, names)| format!("{} (module `{}`)", quoted(names), entry.key)).collect();
        let mistake = Mistake::error(&manifest.file, first.place, &path, format!("missing credentials: {}", parts.join(", ")));
        let mistake = mistake.hint(remedy(&manifest.credentials.source));
        Some(if optional { mistake.warning() } else { mistake })
    };
    [told(false), told(true)].into_iter().flatten().collect()
}

/// Names in the credential source, each once.
fn required(entry: &ModuleEntry, modules: &ModuleRegistry) -> Vec<String> {
    let mut names: Vec<String> = match &entry.proxy {
        Some(proxy) => proxy.transport.secret_names().map(str::to_owned).collect(),
        None => {
            let declared = modules.get(&entry.kind).map(|kind| kind.credentials(&entry.config)).unwrap_or_default();
            let mapped = |name: &str| entry.credential_map.get(name).map_or(name, String::as_str).to_owned();
            declared.iter().filter(|key| key.required).map(|key| mapped(&key.name)).collect()
        }
    };
    let mut seen = HashMap::new();
    names.retain(|name| seen.insert(name.clone(), ()).is_none());
    names
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn remedy(source: &CredentialSource) -> String {
    match source {
        CredentialSource::Env => "set them in the environment; an empty value counts as missing".to_owned(),
        CredentialSource::File { path } => format!("add them to the secrets file `{path}`; an empty value counts as missing"),
        CredentialSource::Vault(vault) => format!("add them to the secret `{}`; an empty value counts as missing", vault.path),
    }
}

/// What module kinds find in their own configuration beyond the shape of its values.
#[must_use]
pub fn module_faults(manifest: &Manifest, document: &Document, modules: &ModuleRegistry) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for entry in &manifest.modules {
        let Some(kind) = modules.get(&entry.kind) else { continue };
        let draft = ModuleDraft { agent_id: None, agent_type: &manifest.agent_type, access: entry.access, config: &entry.config };
        for fault in kind.check(draft) {
            let below = fault.key.as_deref().map(|key| format!(".{key}")).unwrap_or_default();
            let path = format!("modules.{}.config{below}", entry.key);
            let mistake = Mistake::error(&manifest.file, document.place_of(&path), &indexed(&path), fault.message);
            mistakes.push(if fault.remedy.is_empty() { mistake } else { mistake.hint(fault.remedy) });
        }
    }
    mistakes
}

/// `a.2.b` as the reader of manifests writes it: `a[2].b`.
fn indexed(path: &str) -> String {
    let mut shown = String::new();
    for part in path.split('.') {
        if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            shown.push_str(&format!("[{part}]"));
        } else {
            shown.push_str(if shown.is_empty() { "" } else { "." });
            shown.push_str(part);
        }
    }
    shown
}

/// Servers that `manifest` grants and no configuration of `configs` declares. None where servers are registered (`connections`): whatever is
/// granted may come.
#[must_use]
pub fn unknown_servers(manifest: &Manifest, configs: &[&Config]) -> Vec<Mistake> {
    if configs.iter().any(|config| config.connections.is_some()) {
        return Vec::new();
    }
    let known: Vec<&str> = configs.iter().flat_map(|config| &config.servers).map(|server| server.name.as_str()).collect();
    let unknown = manifest.servers.iter().filter(|grant| !known.contains(&grant.name.as_str()));
    let told = |grant: &bailiwick_model::manifest::ServerGrant| {
        let hint = match nearest(grant.name.as_str(), known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add it under `servers` in bailiwick.yml, or take it out of the manifest".to_owned(),
        };
        let path = format!("servers.{}", grant.name);
        Mistake::error(&manifest.file, grant.place, &path, format!("server `{}` is not configured", grant.name)).hint(hint)
    };
    unknown.map(told).collect()
}
