//! How the modules of one agent are, as scoped-mcp tells it: words and counts, no address, path or message.

use bailiwick_mcp::client::UpstreamState;
use bailiwick_model::manifest::{Manifest, ModuleEntry};
use bailiwick_model::upstream::Transport;
use serde_json::{Map, Value, json};

use crate::servers::Server;

/// The state of one entry of `modules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModuleState {
    pub(crate) key: String,
    pub(crate) optional: bool,
    /// `running`, `failed_init` (could not be opened) or `failed_startup` (its server does not answer).
    pub(crate) status: &'static str,
    /// For modules that pass the tools of a server on.
    pub(crate) inventory: Option<Value>,
}

/// The states of all modules of one agent, in the order of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report(pub(crate) Vec<ModuleState>);

impl ModuleState {
    /// Whether the module does its work.
    pub(crate) fn works(&self) -> bool {
        self.status == "running"
    }

    pub(crate) fn of(entry: &ModuleEntry, opened: bool, server: Option<&Server>) -> Self {
        let status = match server {
            _ if !opened => "failed_init",
            Some(server) if !answers(server) => "failed_startup",
            _ => "running",
        };
        let inventory = server.filter(|_| status == "running").map(|server| inventory(entry, server));
        Self { key: entry.key.clone(), optional: entry.optional, status, inventory }
    }
}

/// Whether the last that was seen of it is good.
fn answers(server: &Server) -> bool {
    let healthy = server.status().is_none_or(|status| matches!(status.state, UpstreamState::Ready | UpstreamState::Idle));
    server.is_settled() && server.offer().failure.is_none() && healthy
}

fn inventory(entry: &ModuleEntry, server: &Server) -> Value {
    let proxy = entry.proxy.as_ref();
    json!({
        "tool_count": server.offer().tools.len(),
        "transport": proxy.map(|proxy| if matches!(proxy.transport, Transport::Http { .. }) { "http" } else { "stdio" }),
        "allowlisted": proxy.is_some_and(|proxy| !proxy.tool_allowlist.is_empty()),
        "denylisted": proxy.is_some_and(|proxy| !proxy.tool_denylist.is_empty()),
    })
}

impl Report {
    pub(crate) fn of<'s>(manifest: &Manifest, opened: impl Fn(usize) -> bool, server: impl Fn(&str) -> Option<&'s Server>) -> Self {
        let state = |(number, entry): (usize, &ModuleEntry)| {
            ModuleState::of(entry, opened(number), entry.proxy.as_ref().and_then(|_| server(&entry.key)))
        };
        Self(manifest.modules.iter().enumerate().map(state).collect())
    }

    /// Modules that do not work although they have to.
    pub(crate) fn failed(&self) -> usize {
        self.0.iter().filter(|module| !module.works() && !module.optional).count()
    }

    /// Optional modules that do not work.
    pub(crate) fn offline(&self) -> usize {
        self.0.iter().filter(|module| !module.works() && module.optional).count()
    }

    /// The form of the status tool and of the health file.
    pub(crate) fn to_value(&self) -> Value {
        let of = |module: &ModuleState| (module.key.clone(), json!({"status": module.status}));
        let mut report = json!({
            "modules": self.0.iter().map(of).collect::<Map<_, _>>(),
            "failed_count": self.failed(),
            "total_count": self.0.len(),
            "healthy": self.failed() == 0,
        });
        let mut offline: Vec<&str> = self.0.iter().filter(|m| !m.works() && m.optional).map(|m| m.key.as_str()).collect();
        if !offline.is_empty() {
            offline.sort_unstable();
            report["offline_optional_modules"] = json!(offline);
        }
        let inventory: Map<String, Value> = self.0.iter().filter_map(|m| Some((m.key.clone(), m.inventory.clone()?))).collect();
        if !inventory.is_empty() {
            report["tool_inventory"] = Value::Object(inventory);
        }
        report
    }
}
