//! The example manifests of scoped-mcp, which are to run unchanged. They are not part of this repository: `.ci/run` fetches them.

use std::path::{Path, PathBuf};

use super::scripts::{
    Script, bell, dashboards, files, messages, metrics, reading_tables, status, writing_dashboards, writing_metrics, writing_tables,
};

/// The folder with `manifests` and `vault` in it.
pub(super) const FOLDER: &str = "BAILIWICK_SEED_MANIFESTS";
const CACHED: &str = "scoped-mcp-1.19.1/examples";
pub(super) const VAULT: &str = "vault/manifest-vault.yml";

/// Without a list of data sources nobody queries one, in scoped-mcp as here.
const NO_SOURCES: &[(&str, &str)] = &[("grafana_query_datasource", "scope_violation")];

/// What an agent that only reads is to find, where two of the manifests say.
pub(super) const FOUND: &str = "/tmp/scoped-mcp-data/agents/research-01/note.txt";

pub(super) fn scripts() -> Vec<Script> {
    let messages = messages("oncall@example.com", "!alertroom:matrix.example.com");
    let ops =
        [metrics("alerts"), writing_metrics("metrics"), dashboards("Metrics"), writing_dashboards(), bell(), files("filesystem", true)];
    let monitor = [metrics("metrics"), dashboards("Metrics"), bell(), status("status_api")];
    vec![
        Script::new("manifests/build-agent.yml", "build-01", &[files("filesystem", true), writing_tables(), reading_tables()]),
        Script::new("manifests/monitor-agent.yml", "monitor-01", &monitor).refusing(NO_SOURCES),
        Script::new("manifests/notifier-agent.yml", "notifier-01", &[bell(), messages]),
        Script::new("manifests/ops-agent.yml", "ops-01", &ops).refusing(NO_SOURCES),
        Script::new("manifests/research-agent.yml", "research-01", &[files("filesystem", false), reading_tables()]),
        Script::new(VAULT, "research-01", &[files("filesystem", false)]),
    ]
}

/// Where they are; `None` when they cannot be had.
pub(super) fn folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = || {
        variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache"))).map(|base| base.join("bailiwick/interop"))
    };
    let folder = variable(FOLDER).or_else(|| Some(variable("BAILIWICK_INTEROP_CACHE").or_else(cache)?.join(CACHED)));
    folder.filter(|folder| folder.join("manifests").is_dir())
}

/// Every manifest that is there, sorted.
pub(super) fn present(folder: &Path) -> Vec<String> {
    let names = |inner: &str| {
        let entries = std::fs::read_dir(folder.join(inner)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.filter(|name| name.ends_with(".yml")).map(|name| format!("{inner}/{name}")).collect::<Vec<_>>()
    };
    let mut all = [names("manifests"), names("vault")].concat();
    all.sort();
    all
}
