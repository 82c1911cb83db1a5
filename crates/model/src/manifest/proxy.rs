//! Configuration of `mcp_proxy` modules (reference, tool modules section 8.10).

use std::time::Duration;

use super::arguments::{self, ARGUMENTS, ToolArguments};
use super::settings::binary_bytes;
use crate::reader::{Field, Table};
use crate::shape::{Choice, Key, Section, Shape};
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
    /// Arguments that are bound to the agent.
    pub arguments: Vec<ToolArguments>,
    /// Limit for opening and listing; default 10 s.
    pub discovery_timeout: Duration,
    /// Largest binary block in a result in bytes: `None` = as the manifest's `content_limits` say, `Some(None)` = no limit.
    pub binary_bytes_max: Option<Option<u64>>,
    /// Protocol era; default `Auto`.
    pub era: EraChoice,
}

pub(crate) static PROXY: Section = Section {
    path: "modules.KEY.config (mcp_proxy)",
    doc: "One MCP server of the agent's own: `url` for a server over HTTP, or `command` for a child process.",
    keys: &[
        upstream::URL,
        upstream::COMMAND,
        upstream::ARGS,
        upstream::ENV,
        upstream::HEADERS,
        Key::new("tool_allowlist", Shape::List(&Shape::Filled), "The server's own tool names that are served; empty = all.").or("[]"),
        Key::new(
            "tool_denylist",
            Shape::List(&Shape::Filled),
            "The server's own tool names that are not served; applied after the allowlist.",
        )
        .or("[]"),
        ARGUMENTS,
        Key::new("discovery_timeout_seconds", Shape::Seconds { zero: false }, "Limit for opening and listing.").or("10"),
        Key::new(
            "max_binary_bytes",
            super::settings::BINARY_BYTES,
            "Largest binary block in a result in bytes; 0 = no limit. Absent: as `content_limits` says.",
        ),
        upstream::ERA,
    ],
    needs: &[],
    choice: Choice::OneOf(&["url", "command"]),
};

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
    let arguments = table.read(ARGUMENTS.name, arguments::read).unwrap_or_default();
    let discovery_timeout = table.read("discovery_timeout_seconds", |f: &Field<'_>| f.seconds());
    let binary_bytes_max = table.read("max_binary_bytes", binary_bytes);
    let era = upstream::era(&table);
    table.finish();
    Some(ProxyConfig {
        transport: transport?,
        tool_allowlist,
        tool_denylist,
        arguments,
        discovery_timeout: discovery_timeout.unwrap_or(DISCOVERY_TIMEOUT_DEFAULT),
        binary_bytes_max,
        era,
    })
}
