//! External servers an agent may use, and globs over served names (our additions to the original manifest).

use super::arguments::{self, ARGUMENTS, ToolArguments};
use super::catalog::Access;
use crate::document::Place;
use crate::glob::Glob;
use crate::name::ServerName;
use crate::reader::Field;
use crate::shape::{Also, Choice, Key, Section, Shape, formats, words};

const MODES: [(&str, Option<Access>); 2] = [("read", Some(Access::Read)), ("write", Some(Access::Write))];
/// `read`, `write`, or an empty text for no mode.
pub(super) const MODE: Shape = Shape::Word(&words(&MODES), Also::Empty);
const GLOBS: Shape = Shape::List(&Shape::Format(&formats::TOOL_GLOB));

const ALLOW: Key = Key::new("allow", GLOBS, "What is admitted. Absent: everything; empty: nothing.");
const DENY: Key = Key::new("deny", GLOBS, "What is not admitted after all; wins over `allow`.").or("[]");

pub(super) static POLICY: Section = Section {
    path: "policy",
    doc: "Globs over the names of tools as the agent sees them, over modules and servers alike.",
    keys: &[ALLOW, DENY],
    needs: &[],
    choice: Choice::Free,
};

static LISTS: Section = Section {
    path: "servers.NAME.tools",
    doc: "Globs over the server's own names (`prompts` likewise; `resources`: over URIs).",
    keys: &[ALLOW, DENY],
    needs: &[],
    choice: Choice::Free,
};

pub(super) static GRANT: Section = Section {
    path: "servers.NAME",
    doc: "What the agent may use of a server that bailiwick.yml declares. `NAME:` with nothing behind it grants the server as it is.",
    keys: &[
        Key::new("mode", MODE, "`read` narrows to tools whose effective risk is read-only."),
        Key::new("tools", Shape::Section(&LISTS), "Over the server's own tool names."),
        Key::new(
            "prompts",
            Shape::Section(&LISTS),
            "Over the server's own prompt names. Absent: all, unless `tools.allow` or `arguments` narrows the grant.",
        ),
        Key::new(
            "resources",
            Shape::Section(&LISTS),
            "Over resource URIs. Absent: all, unless `tools.allow` or `arguments` narrows the grant.",
        ),
        ARGUMENTS,
    ],
    needs: &[],
    choice: Choice::Free,
};

/// `allow` and `deny`. An absent `allow` admits everything, an empty one nothing; `deny` wins.
#[derive(Clone, Debug, Default)]
pub struct GlobLists {
    /// `None` = absent.
    pub allow: Option<Vec<Glob>>,
    /// Empty when absent.
    pub deny: Vec<Glob>,
}

impl ServerGrant {
    /// Whether the prompt `name` is granted. A grant that names its tools one by one, or binds their arguments, grants nothing it does not
    /// name: a prompt or resource would be a way around.
    #[must_use]
    pub fn admits_prompt(&self, name: &str) -> bool {
        self.prompts.as_ref().map_or(self.is_whole(), |lists| lists.admits(name))
    }

    /// Whether the resource or template `uri` is granted; see [`admits_prompt`](Self::admits_prompt).
    #[must_use]
    pub fn admits_resource(&self, uri: &str) -> bool {
        self.resources.as_ref().map_or(self.is_whole(), |lists| lists.admits(uri))
    }

    fn is_whole(&self) -> bool {
        self.tools.allow.is_none() && self.arguments.is_empty()
    }
}

impl GlobLists {
    /// Whether `name` passes both lists.
    #[must_use]
    pub fn admits(&self, name: &str) -> bool {
        self.allow.as_ref().is_none_or(|globs| globs.iter().any(|g| g.matches(name))) && !self.deny.iter().any(|g| g.matches(name))
    }
}

/// One entry under `servers`.
#[derive(Clone, Debug)]
pub struct ServerGrant {
    /// A server of the gateway.
    pub name: ServerName,
    /// Over the upstream's own tool names.
    pub tools: GlobLists,
    /// Over the upstream's own prompt names; absent: all, unless `tools.allow` or `arguments` narrows the grant.
    pub prompts: Option<GlobLists>,
    /// Over resource URIs; absent: all, unless `tools.allow` or `arguments` narrows the grant.
    pub resources: Option<GlobLists>,
    /// `Read` = only tools whose effective risk is `read-only`; `None` = no narrowing by mode.
    pub access: Option<Access>,
    /// Arguments that are bound to the agent.
    pub arguments: Vec<ToolArguments>,
    /// Where the entry stands.
    pub place: Place,
}

pub(super) fn read(field: &Field<'_>) -> Option<Vec<ServerGrant>> {
    let mut grants = Vec::new();
    for (entry, field) in field.entries()? {
        let name = ServerName::parse(&entry.key);
        if let Err(fault) = &name {
            field.report().error(entry.key_place, &field.path, fault.to_string());
        }
        if let Ok(name) = name {
            grants.extend(grant(name, entry.key_place, &field));
        }
    }
    Some(grants)
}

fn grant(name: ServerName, place: Place, field: &Field<'_>) -> Option<ServerGrant> {
    let mut grant =
        ServerGrant { name, tools: GlobLists::default(), prompts: None, resources: None, access: None, arguments: Vec::new(), place };
    // `tickets:` with nothing behind it grants the server as it is.
    if field.is_null() {
        return Some(grant);
    }
    let table = field.table()?;
    grant.tools = table.read("tools", lists).unwrap_or_default();
    grant.prompts = table.read("prompts", lists);
    grant.resources = table.read("resources", lists);
    grant.access = table.read("mode", mode).flatten();
    if let Some(field) = table.get(ARGUMENTS.name) {
        grant.arguments = arguments::read(&field).unwrap_or_default();
        arguments::check_lists(&grant.arguments, &field.path, &grant.tools, &field);
    }
    table.finish();
    Some(grant)
}

/// Reads [`MODE`].
pub(super) fn mode(field: &Field<'_>) -> Option<Option<Access>> {
    if field.is_empty_text() {
        return Some(None);
    }
    field.word(&MODES)
}

pub(super) fn lists(field: &Field<'_>) -> Option<GlobLists> {
    let table = field.table()?;
    let lists = GlobLists {
        allow: table.read("allow", |f| f.each(Field::glob)),
        deny: table.read("deny", |f| f.each(Field::glob)).unwrap_or_default(),
    };
    table.finish();
    Some(lists)
}
