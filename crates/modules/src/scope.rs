//! Scoping strategies: how the names an agent uses become names in a backend that agents share, and back.
//!
//! | Strategy | The agent's `x` is there | For |
//! |---|---|---|
//! | [`Prefix`] | `agents/<agent>/x` | object stores, paths |
//! | [`Namespace`] | `<agent>:x` | key-value stores, topics, buckets |
//! | [`AgentFile`] | a file of the agent's own, `agent_<agent>.db` | embedded databases |
//! | [`Allowlist`] | `x`, if the operator listed it | rooms, recipients, services |
//!
//! A strategy of your own implements [`Scoping`]. Every strategy keeps three promises; `tests/it/scope.rs` holds the built-in ones to them:
//!
//! 1. What comes back is what went in: `own(place(x)) == x` in the strategy's normal form.
//! 2. What is placed for one agent is never another's `own`, also when the id of one begins with the id of the other, and when agents of
//!    two organisations have the same id.
//! 3. A name that cannot be placed is refused before anything is asked of the backend.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use bailiwick_model::{AgentId, Code, OrgId};

use crate::fault::ToolFault;
use crate::filesystem::AgentPath;
use crate::module::ModuleSetup;

/// Longest name that is placed, in bytes.
pub const NAME_BYTES_MAX: usize = 1_024;

/// Whose names are placed. Ids of agents and organisations are lower-case letters, digits and `-`; what stands before or between them in a
/// placed name is none of these, so that no two owners share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `None` for the installation's own organisation.
    org: Option<OrgId>,
    agent: AgentId,
}

impl Owner {
    /// The agent a module is opened for.
    #[must_use]
    pub fn of(setup: &ModuleSetup<'_>) -> Self {
        Self { org: setup.org.cloned(), agent: setup.agent_id.clone() }
    }

    /// `<agent>`, or `@<organisation><separator><agent>` for an agent of another organisation.
    fn text(&self, separator: char) -> String {
        match &self.org {
            None => self.agent.to_string(),
            Some(org) => format!("@{org}{separator}{}", self.agent),
        }
    }
}

/// A mapping between the names of one agent and the names of a backend.
pub trait Scoping: Send + Sync + 'static {
    /// The backend's name for what the agent calls `name`.
    ///
    /// # Errors
    /// `scope_violation` or `path_refused` for a name outside, `invalid_argument` for one that makes no sense. The text repeats nothing of
    /// other agents and of the operator's lists.
    fn place(&self, name: &str) -> Result<String, ToolFault>;

    /// The agent's own name for `placed`, as found in the backend; `None` when it belongs to somebody else.
    fn own<'n>(&self, placed: &'n str) -> Option<Cow<'n, str>>;
}

fn sound(name: &str) -> Result<(), ToolFault> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(ToolFault::invalid(format!("the name is empty or longer than {NAME_BYTES_MAX} bytes"), "use a shorter name"));
    }
    if name.chars().any(char::is_control) {
        return Err(ToolFault::invalid("the name contains a control character", "use printable characters only"));
    }
    Ok(())
}

/// `<agent>:name`: one flat space of keys per agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    prefix: String,
}

impl Namespace {
    /// With `:` behind the agent's id.
    #[must_use]
    pub fn new(owner: &Owner) -> Self {
        Self { prefix: format!("{}:", owner.text(':')) }
    }

    /// What every placed name begins with, for listing the agent's own.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Scoping for Namespace {
    fn place(&self, name: &str) -> Result<String, ToolFault> {
        sound(name)?;
        Ok(format!("{}{name}", self.prefix))
    }

    fn own<'n>(&self, placed: &'n str) -> Option<Cow<'n, str>> {
        placed.strip_prefix(&self.prefix).filter(|name| !name.is_empty()).map(Cow::Borrowed)
    }
}

/// `<root>/agents/<agent>/path`: one tree per agent. Paths are normalised by text alone, so it is for stores that know no links; on a
/// disk, open names beneath a directory handle as `filesystem` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    prefix: String,
}

impl Prefix {
    /// Beneath `root`, which may be empty.
    #[must_use]
    pub fn new(root: &str, owner: &Owner) -> Self {
        let root = root.trim_matches('/');
        let slash = if root.is_empty() { "" } else { "/" };
        Self { prefix: format!("{root}{slash}agents/{}/", owner.text('/')) }
    }

    /// What every placed name begins with, for listing the agent's own.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Scoping for Prefix {
    fn place(&self, name: &str) -> Result<String, ToolFault> {
        let path = AgentPath::named(name.to_owned(), &[], "name a file")?;
        if path.inner().is_empty() {
            return Err(ToolFault::invalid("the path names your directory itself", "name something in it"));
        }
        Ok(format!("{}{}", self.prefix, path.inner()))
    }

    fn own<'n>(&self, placed: &'n str) -> Option<Cow<'n, str>> {
        let name = placed.strip_prefix(&self.prefix)?;
        // A backend may hold names that no agent could have written.
        let path = AgentPath::named(name.to_owned(), &[], "name a file").ok()?;
        (path.inner() == name).then_some(Cow::Borrowed(name))
    }
}

/// `<directory>/agent_<agent>.db`: everything the agent calls by name is in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFile {
    path: PathBuf,
}

impl AgentFile {
    /// In `directory`, which holds the files of one organisation's agents (see `ConfigReader::place`), ending in `.<extension>`.
    #[must_use]
    pub fn new(directory: &Path, agent: &AgentId, extension: &str) -> Self {
        Self { path: directory.join(format!("agent_{agent}.{extension}")) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Names that an operator listed; nothing else exists. Compared byte by byte.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Allowlist {
    what: &'static str,
    names: BTreeSet<String>,
}

impl Allowlist {
    /// `what` stands in refusals: `room`, `recipient`.
    pub fn new(what: &'static str, names: impl IntoIterator<Item = String>) -> Self {
        Self { what, names: names.into_iter().collect() }
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl fmt::Debug for Allowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allowlist({} of {})", self.names.len(), self.what)
    }
}

impl Scoping for Allowlist {
    fn place(&self, name: &str) -> Result<String, ToolFault> {
        if self.names.contains(name) {
            return Ok(name.to_owned());
        }
        let remedy = format!("use a {} that the operator has allowed", self.what);
        Err(ToolFault::new(Code::ScopeViolation, format!("this {} is not one of yours", self.what), remedy))
    }

    fn own<'n>(&self, placed: &'n str) -> Option<Cow<'n, str>> {
        self.names.contains(placed).then_some(Cow::Borrowed(placed))
    }
}
