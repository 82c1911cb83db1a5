//! The module kinds of this build, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_model::Access;
use bailiwick_model::manifest::{ConfigKey, ModuleCatalog};

use crate::module::ModuleKind;

/// The kinds that come with the program.
#[must_use]
pub fn builtin() -> Vec<Arc<dyn ModuleKind>> {
    vec![
        Arc::new(crate::discord_webhook::Kind),
        Arc::new(crate::filesystem::Kind),
        Arc::new(crate::grafana::Kind),
        Arc::new(crate::http_proxy::Kind),
        Arc::new(crate::influxdb::Kind),
        Arc::new(crate::matrix::Kind),
        Arc::new(crate::ntfy::Kind),
        Arc::new(crate::slack_webhook::Kind),
        Arc::new(crate::smtp::Kind),
        Arc::new(crate::sqlite::Kind),
    ]
}

/// Looks kinds up by the word a manifest uses.
#[derive(Clone)]
pub struct ModuleRegistry {
    kinds: BTreeMap<&'static str, Arc<dyn ModuleKind>>,
}

/// Two kinds of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTaken(
    /// The name.
    pub &'static str,
);

impl std::fmt::Display for NameTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a module kind named `{}` exists already; give yours another name", self.0)
    }
}

impl std::error::Error for NameTaken {}

impl ModuleRegistry {
    /// No kinds at all.
    #[must_use]
    pub fn empty() -> Self {
        Self { kinds: BTreeMap::new() }
    }

    /// The kinds of [`builtin`].
    #[must_use]
    pub fn with_builtin() -> Self {
        Self { kinds: builtin().into_iter().map(|kind| (kind.name(), kind)).collect() }
    }

    /// Adds a kind.
    ///
    /// # Errors
    /// [`NameTaken`]: a kind never replaces another, so that a plug-in cannot stand in for a built-in guard.
    pub fn add(&mut self, kind: Arc<dyn ModuleKind>) -> Result<(), NameTaken> {
        let name = kind.name();
        if self.kinds.contains_key(name) {
            return Err(NameTaken(name));
        }
        self.kinds.insert(name, kind);
        Ok(())
    }

    /// The kind named `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn ModuleKind>> {
        self.kinds.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.keys().copied()
    }
}

/// What the manifest parser asks about the kinds.
impl ModuleCatalog for ModuleRegistry {
    fn config_keys(&self, kind: &str) -> Option<&[ConfigKey]> {
        self.get(kind).map(|kind| kind.config_keys())
    }

    fn kinds(&self) -> Vec<&str> {
        self.names().collect()
    }

    fn tools(&self, kind: &str) -> Vec<(String, Access)> {
        let tools = self.get(kind).map(|kind| kind.tools()).unwrap_or_default();
        tools.into_iter().map(|(name, access)| (name.to_owned(), access)).collect()
    }
}

impl Default for ModuleRegistry {
    fn default() -> Self {
        Self::with_builtin()
    }
}

impl std::fmt::Debug for ModuleRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ModuleRegistry").field(&self.kinds.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_never_replaces_another() {
        let mut registry = ModuleRegistry::with_builtin();
        assert_eq!(
            registry.names().collect::<Vec<_>>(),
            ["discord_webhook", "filesystem", "grafana", "http_proxy", "influxdb", "matrix", "ntfy", "slack_webhook", "smtp", "sqlite"]
        );
        assert_eq!(registry.add(Arc::new(crate::sqlite::Kind)), Err(NameTaken("sqlite")));
        let mut empty = ModuleRegistry::empty();
        assert_eq!(empty.add(Arc::new(crate::sqlite::Kind)), Ok(()));
        assert!(empty.get("filesystem").is_none());
    }
}
