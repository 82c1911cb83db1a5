//! The one decision: may this agent see and call this tool?
//!
//! `tools/list` filters with [`decide`] and `tools/call` asks [`decide`], so that *visible = callable* holds by
//! construction (design section 3, stage 5; security reference section 2).

use crate::manifest::{Access, GlobLists, Manifest, STATUS_KEY, ServerGrant};
use crate::name::ServerName;

/// Where a tool comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// A module of the agent's own manifest, by its key.
    Module {
        /// Key in the manifest.
        key: &'a str,
    },
    /// The house itself: what the operator switched on for every agent.
    House,
    /// A server of the gateway.
    Server {
        /// Its name.
        name: &'a ServerName,
        /// The name at the server: of the tool or the prompt, or the URI of the resource.
        tool: &'a str,
    },
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A tool.
    #[default]
    Tool,
    /// A prompt of a server.
    Prompt,
    /// A resource of a server, or a template of resources; its name is the URI.
    Resource,
}

/// What the decision looks at. Nothing here is said by the caller.
#[derive(Clone, Copy, Debug)]
pub struct ToolFacts<'a> {
    /// What it is.
    pub kind: Kind,
    /// The name that agents see.
    pub served_name: &'a str,
    /// Where it comes from.
    pub source: Source<'a>,
    /// What it may do, by its effective contract: undeclared counts as [`Access::Write`].
    pub access: Access,
}

/// The outcome. A denied tool is not listed, and calling it is answered like a name that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Listed and callable.
    Allow,
    /// Neither; the reason is for operators.
    Deny(Denial),
}

/// Which rule denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The manifest does not have the module.
    NoModule,
    /// The manifest does not grant the server.
    NoServer,
    /// The module or server is granted for reading, and the tool may change something.
    ReadOnly,
    /// The server's lists (`tools`, `prompts`, `resources`) leave it out.
    ServerList,
    /// The server's `arguments` bind something that the tool does not have, or cannot be bound in it.
    Arguments,
    /// The manifest's `policy.allow` or `policy.deny` leaves it out.
    PolicyList,
}

impl Denial {
    /// The word in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoModule => "no_module",
            Self::NoServer => "no_server",
            Self::ReadOnly => "read_only",
            Self::ServerList => "server_list",
            Self::Arguments => "arguments",
            Self::PolicyList => "policy_list",
        }
    }
}

/// The rules of one agent type.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    modules: Vec<(String, Option<Access>)>,
    servers: Vec<ServerGrant>,
    policy: GlobLists,
}

impl Rules {
    /// Takes the rules out of a manifest.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let status = manifest.compat.status_tool.then(|| (STATUS_KEY.to_owned(), Some(Access::Read)));
        Self {
            modules: manifest.modules.iter().map(|m| (m.key.clone(), m.access)).chain(status).collect(),
            servers: manifest.servers.clone(),
            policy: manifest.policy.clone(),
        }
    }
}

/// Decides. Pure: the same arguments give the same answer, whoever asks and whenever.
#[must_use]
pub fn decide(rules: &Rules, tool: &ToolFacts<'_>) -> Decision {
    let by_source = match tool.source {
        Source::Module { key } => by_module(rules, key, tool.access),
        Source::House => Ok(()),
        Source::Server { name, tool: original } => by_server(rules, name, original, tool),
    };
    match by_source {
        Err(denial) => Decision::Deny(denial),
        // URIs are no served names: the server's own lists decide about resources.
        Ok(()) if tool.kind != Kind::Resource && !rules.policy.admits(tool.served_name) => Decision::Deny(Denial::PolicyList),
        Ok(()) => Decision::Allow,
    }
}

fn by_module(rules: &Rules, key: &str, access: Access) -> Result<(), Denial> {
    let (_, mode) = rules.modules.iter().find(|(k, _)| k == key).ok_or(Denial::NoModule)?;
    if access.offered_in(*mode) { Ok(()) } else { Err(Denial::ReadOnly) }
}

fn by_server(rules: &Rules, name: &ServerName, original: &str, facts: &ToolFacts<'_>) -> Result<(), Denial> {
    let grant = rules.servers.iter().find(|g| g.name == *name).ok_or(Denial::NoServer)?;
    let admitted = match facts.kind {
        Kind::Tool => grant.tools.admits(original),
        Kind::Prompt => grant.admits_prompt(original),
        Kind::Resource => grant.admits_resource(original),
    };
    if !admitted {
        return Err(Denial::ServerList);
    }
    if facts.access.offered_in(grant.access) { Ok(()) } else { Err(Denial::ReadOnly) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Place;
    use crate::glob::Glob;

    fn globs(list: &[&str]) -> Vec<Glob> {
        list.iter().map(|text| Glob::parse(text).unwrap()).collect()
    }

    fn rules() -> Rules {
        let tools = GlobLists { allow: Some(globs(&["get_*", "put_*"])), deny: globs(&["*_secret"]) };
        let grant = ServerGrant {
            name: ServerName::parse("tickets").unwrap(),
            tools,
            prompts: None,
            resources: None,
            access: None,
            arguments: Vec::new(),
            place: Place::default(),
        };
        let read_only = ServerGrant {
            name: ServerName::parse("wiki").unwrap(),
            tools: GlobLists::default(),
            access: Some(Access::Read),
            ..grant.clone()
        };
        Rules {
            modules: vec![("files".into(), Some(Access::Read)), ("db".into(), None)],
            servers: vec![grant, read_only],
            policy: GlobLists { allow: None, deny: globs(&["db_drop*"]) },
        }
    }

    fn module(served_name: &str, key: &str, access: Access) -> Decision {
        decide(&rules(), &ToolFacts { kind: Kind::Tool, served_name, source: Source::Module { key }, access })
    }

    fn server(name: &str, tool: &str, access: Access) -> Decision {
        let name = ServerName::parse(name).unwrap();
        let served_name = format!("{name}__{tool}");
        decide(&rules(), &ToolFacts { kind: Kind::Tool, served_name: &served_name, source: Source::Server { name: &name, tool }, access })
    }

    #[test]
    fn each_rule_denies_and_says_which() {
        use Denial::*;
        assert_eq!(module("files_read_file", "files", Access::Read), Decision::Allow);
        assert_eq!(module("files_write_file", "files", Access::Write), Decision::Deny(ReadOnly));
        assert_eq!(module("mail_send", "mail", Access::Read), Decision::Deny(NoModule));
        assert_eq!(module("db_execute", "db", Access::Write), Decision::Allow, "no mode offers everything");
        assert_eq!(module("db_drop_all", "db", Access::Read), Decision::Deny(PolicyList));
        assert_eq!(server("tickets", "get_ticket", Access::Write), Decision::Allow);
        assert_eq!(server("tickets", "get_secret", Access::Read), Decision::Deny(ServerList), "deny wins");
        assert_eq!(server("tickets", "list_tickets", Access::Read), Decision::Deny(ServerList));
        assert_eq!(server("wiki", "search", Access::Read), Decision::Allow);
        assert_eq!(server("wiki", "search", Access::Write), Decision::Deny(ReadOnly));
        assert_eq!(server("other", "search", Access::Read), Decision::Deny(NoServer));
    }

    #[test]
    fn nothing_granted_is_nothing_seen() {
        let facts = ToolFacts { kind: Kind::Tool, served_name: "x_y", source: Source::Module { key: "x" }, access: Access::Read };
        assert_eq!(decide(&Rules::default(), &facts), Decision::Deny(Denial::NoModule));
    }

    #[test]
    fn a_grant_that_names_its_tools_grants_prompts_and_resources_only_by_name() {
        let asked = |rules: &Rules, kind, server: &str, original: &str| {
            let name = ServerName::parse(server).unwrap();
            let source = Source::Server { name: &name, tool: original };
            decide(rules, &ToolFacts { kind, served_name: original, source, access: Access::Read }) == Decision::Allow
        };
        let mut rules = rules();
        for kind in [Kind::Prompt, Kind::Resource] {
            assert!(!asked(&rules, kind, "tickets", "x://a"), "its tools are named, this is not");
            assert!(asked(&rules, kind, "wiki", "x://a"), "granted as it is");
        }
        rules.servers[0].prompts = Some(GlobLists { allow: Some(globs(&["plan*"])), deny: Vec::new() });
        rules.servers[0].resources = Some(GlobLists { allow: None, deny: globs(&["x://secret/*"]) });
        assert!(asked(&rules, Kind::Prompt, "tickets", "plan_day") && !asked(&rules, Kind::Prompt, "tickets", "other"));
        assert!(asked(&rules, Kind::Resource, "tickets", "x://a") && !asked(&rules, Kind::Resource, "tickets", "x://secret/a"));
        assert!(asked(&rules, Kind::Resource, "tickets", "db_drop_all"), "policy lists are about served names");
        assert!(!asked(&rules, Kind::Prompt, "wiki", "db_drop_all"));
    }
}
