//! One external MCP server.

use std::collections::BTreeMap;
use std::time::Duration;

use bailiwick_contract::TrustClass;

use crate::address::Cidr;
use crate::document::Place;
use crate::id::OrgId;
use crate::name::{ServerName, folded};
use crate::reader::{Field, Table};
use crate::shape::{Also, Choice, Key, Section, Shape, formats, words};
use crate::upstream::{self, EraChoice, Transport, is_plain_remote};

const TRUST: [(&str, TrustClass); 3] =
    [("third_party", TrustClass::ThirdParty), ("verified", TrustClass::Verified), ("first_party", TrustClass::FirstParty)];

pub(super) static SERVER: Section = Section {
    path: "servers.NAME",
    doc: "One external MCP server; the name prefixes its tools (`NAME__tool`). `url` for a server over HTTP, `command` for a child process.",
    keys: &[
        upstream::URL,
        upstream::COMMAND,
        upstream::ARGS,
        upstream::ENV,
        upstream::HEADERS,
        Key::new("allow_http", Shape::Boolean, "Whether plain http to another machine is accepted.").or("false"),
        upstream::ERA,
        Key::new("trust", Shape::Word(&words(&TRUST), Also::Nothing), "How far the server's own word about its tools counts.")
            .or("third_party"),
        Key::new("timeout_seconds", Shape::Seconds { zero: false }, "Deadline of one call. Absent: `limits.call_deadline_seconds`."),
        Key::new("allow_private", Shape::List(&Shape::Format(&formats::CIDR)), "Ranges it may be dialled in although they are not public.")
            .or("[]"),
        Key::new("org", Shape::Format(&formats::ORG), "The only organisation that sees it. Absent: all."),
    ],
    needs: &[],
    choice: Choice::OneOf(&["url", "command"]),
};

/// One entry under `servers`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Prefix of its tools.
    pub name: ServerName,
    /// How it is reached.
    pub transport: Transport,
    /// Protocol era; default `Auto`.
    pub era: EraChoice,
    /// How far its own word about its tools counts; default `ThirdParty`.
    pub trust: TrustClass,
    /// Deadline of one call; default `limits.call_deadline_seconds`.
    pub timeout: Option<Duration>,
    /// Ranges it may be dialled in although they are not public.
    pub allow_private: Vec<Cidr>,
    /// The only organisation that sees it; `None` = all.
    pub org: Option<OrgId>,
    /// Where the entry stands.
    pub place: Place,
}

pub(super) fn servers(field: &Field<'_>) -> Option<Vec<ServerConfig>> {
    let mut servers: Vec<ServerConfig> = Vec::new();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (entry, field) in field.entries()? {
        let name = ServerName::parse(&entry.key);
        if let Err(fault) = &name {
            field.report().error_hint(entry.key_place, &field.path, fault.to_string(), "the name prefixes the server's tools");
        }
        if let Some(other) = seen.insert(folded(&entry.key), &entry.key) {
            let message = format!("the name is too close to `{other}`: letter case does not count, and `-` is `_`");
            field.report().error_hint(entry.key_place, &field.path, message, "rename one of them");
        }
        let Some(table) = field.table() else { continue };
        servers.extend(server(table, name.ok(), entry.key_place));
    }
    Some(servers)
}

fn server(table: Table<'_>, name: Option<ServerName>, place: Place) -> Option<ServerConfig> {
    let transport = upstream::transport(&table);
    let allow_http = table.read("allow_http", Field::boolean).unwrap_or(false);
    if let Some(Transport::Http { url, .. }) = &transport
        && !allow_http
        && is_plain_remote(url)
        && let Some(field) = table.get("url")
    {
        field.error_hint(
            "plain http to another machine: anyone on the way reads and changes what is sent",
            "use https, or set `allow_http: true`",
        );
    }
    let era = upstream::era(&table);
    let trust = table.read("trust", |f| f.word(&TRUST)).unwrap_or_default();
    let timeout = table.read("timeout_seconds", |f| f.seconds());
    let cidr = |f: &Field<'_>| Cidr::parse(f.filled()?).map_err(|rule| f.error(rule)).ok();
    let allow_private = table.read("allow_private", |f| f.each(cidr)).unwrap_or_default();
    let org = table.read("org", super::parse::org);
    table.finish();
    Some(ServerConfig { name: name?, transport: transport?, era, trust, timeout, allow_private, org, place })
}
