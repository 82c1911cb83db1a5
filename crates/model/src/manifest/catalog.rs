//! What the manifest parser has to know about module kinds; the module registry answers.

use serde::{Deserialize, Serialize};

/// Whether a tool changes anything. As a module's mode: `Read` gives the reading tools, `Write` gives all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Looks only.
    Read,
    /// May change something.
    Write,
}

impl Access {
    /// Whether a module in mode `mode` (`None` = no mode given) offers a tool of this access.
    #[must_use]
    pub const fn offered_in(self, mode: Option<Access>) -> bool {
        !matches!((mode, self), (Some(Access::Read), Access::Write))
    }
}

/// The shape of a configuration value; checked when the manifest is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// A string.
    Text,
    /// A string in which `{agent_id}` and `{agent_type}` are replaced; see [`crate::template`].
    Template,
    /// A whole number from zero on.
    Integer,
    /// A number, whole or not.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of strings, numbers and booleans as their text.
    TextList,
    /// A mapping to strings, numbers and booleans as their text.
    TextMap,
    /// Any list; the module checks what is in it.
    List,
    /// Any mapping; the module checks what is in it.
    Map,
}

/// One key that a module kind understands under `config`.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// The key as written.
    pub name: &'static str,
    /// Whether the module cannot start without it. An empty string or list counts as absent.
    pub required: bool,
    /// One line for people.
    pub doc: &'static str,
    /// What the value must be.
    pub kind: ConfigKind,
}

/// The module kinds of this build. `mcp_proxy` is not in it: the manifest parser knows that one itself.
pub trait ModuleCatalog {
    /// The configuration keys of `kind`; `None` when this build does not have the kind.
    fn config_keys(&self, kind: &str) -> Option<&[ConfigKey]>;

    /// All kinds, sorted.
    fn kinds(&self) -> Vec<&str>;

    /// The tools of `kind` without prefix; empty when not known beforehand.
    fn tools(&self, kind: &str) -> Vec<(String, Access)>;
}
