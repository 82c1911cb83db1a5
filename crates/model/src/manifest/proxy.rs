//! Configuration of `mcp_proxy` modules (reference, tool modules section 8.10).

use std::time::Duration;

use super::settings::binary_bytes;
use crate::reader::{Field, Table};
use crate::upstream::{self, EraChoice, Transport, is_plain_remote};

/// The module kind that the manifest parser knows itself.
pub const PROXY_KIND: &str = "mcp_proxy";

/// One external MCP server behind a module key.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// How it is reached.
    pub transport: Transport,
    /// Raw upstream names; empty = all.
    pub tool_allowlist: Vec<String>,
    /// Raw upstream names, applied after the allowlist.
    pub tool_denylist: Vec<String>,
    /// Limit for opening and listing; default 10 s.
    pub discovery_timeout: Duration,
    /// Largest binary block in a result in bytes: `None` = as the manifest's `content_limits` say, `Some(None)` = no limit.
    pub binary_bytes_max: Option<Option<u64>>,
    /// Protocol era; default `Auto`.
    pub era: EraChoice,
}

/// Limit for opening and listing when the manifest says nothing.
const DISCOVERY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

pub(super) fn read(table: Table<'_>) -> Option<ProxyConfig> {
    let transport = upstream::transport(&table);
    if let Some(Transport::Http { url, .. }) = &transport
        && is_plain_remote(url)
        && let Some(field) = table.get("url")
    {
        field.warning("plain http to another machine: anyone on the way reads and changes what is sent", "use https");
    }
    let names = |key| table.read(key, |f| f.each(|f| f.filled().map(str::to_owned))).unwrap_or_default();
    let (tool_allowlist, tool_denylist) = (names("tool_allowlist"), names("tool_denylist"));
    let discovery_timeout = table.read("discovery_timeout_seconds", |f: &Field<'_>| f.seconds(false));
    let binary_bytes_max = table.read("max_binary_bytes", binary_bytes);
    let era = upstream::era(&table);
    table.finish();
    Some(ProxyConfig {
        transport: transport?,
        tool_allowlist,
        tool_denylist,
        discovery_timeout: discovery_timeout.unwrap_or(DISCOVERY_TIMEOUT_DEFAULT),
        binary_bytes_max,
        era,
    })
}
