//! Configuration keys of a module kind, and reading their values.

use std::path::PathBuf;

use bailiwick_model::{AgentId, AgentType, OrgId, template};
use serde_json::{Map, Value};

pub use bailiwick_model::manifest::{ConfigKey, ConfigKind};

use crate::fault::OpenFault;
use crate::module::{ModuleDraft, ModuleSetup};

/// Reads typed values out of a `config` mapping. Messages name the key and the rule, never the value, which may be a
/// substituted secret.
#[derive(Clone, Copy, Debug)]
pub struct ConfigReader<'a> {
    config: &'a Map<String, Value>,
    org: Option<&'a OrgId>,
    agent_id: Option<&'a AgentId>,
    agent_type: &'a AgentType,
}

/// For a draft without an agent: the shortest id there is.
const STAND_IN: &str = "a";

impl<'a> From<ModuleDraft<'a>> for ConfigReader<'a> {
    /// A reader for [`ModuleKind::check`](crate::ModuleKind::check).
    fn from(draft: ModuleDraft<'a>) -> Self {
        Self { config: draft.config, org: None, agent_id: draft.agent_id, agent_type: draft.agent_type }
    }
}

impl<'a> ConfigReader<'a> {
    /// Refuses keys that are not in `known`.
    ///
    /// # Errors
    /// [`OpenFault`] naming the first unknown key.
    pub fn new(setup: ModuleSetup<'a>, known: &[ConfigKey]) -> Result<Self, OpenFault> {
        match setup.config.keys().find(|name| known.iter().all(|key| key.name != name.as_str())) {
            None => Ok(Self { config: setup.config, org: setup.org, agent_id: Some(setup.agent_id), agent_type: setup.agent_type }),
            Some(name) => {
                let names: Vec<_> = known.iter().map(|key| key.name).collect();
                Err(OpenFault::about(name, "is not a configuration key of this module", format!("use one of: {}", names.join(", "))))
            }
        }
    }

    fn map(&self) -> &'a Map<String, Value> {
        self.config
    }

    /// A text, or `None` when the key is absent or null.
    ///
    /// # Errors
    /// [`OpenFault`] for a value that is not a string.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, OpenFault> {
        match self.map().get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(OpenFault::about(key, "is not a text", "write a string")),
        }
    }

    /// A text that must be given and not be empty.
    ///
    /// # Errors
    /// [`OpenFault`] when it is absent, empty or no string.
    pub fn needed(&self, key: &str) -> Result<&'a str, OpenFault> {
        self.text(key)?.filter(|text| !text.trim().is_empty()).ok_or_else(|| OpenFault::about(key, "is missing or empty", "write a text"))
    }

    /// A list of texts; empty when the key is absent or null.
    ///
    /// # Errors
    /// [`OpenFault`] for anything else.
    pub fn texts(&self, key: &str) -> Result<Vec<&'a str>, OpenFault> {
        let fault = |key: String| OpenFault::about(key, "is not a text", "write a list of strings");
        match self.map().get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().enumerate().map(|(index, item)| item.as_str().ok_or_else(|| fault(format!("{key}.{index}")))).collect()
            }
            Some(_) => Err(OpenFault::about(key, "is not a list", "write a list of strings")),
        }
    }

    /// A path that must be given, made absolute against the working directory. No template fields: braces are literal.
    ///
    /// # Errors
    /// [`OpenFault`] when it is absent, empty or holds a NUL.
    pub fn path(&self, key: &str) -> Result<PathBuf, OpenFault> {
        let text = self.text(key)?.unwrap_or_default();
        if text.is_empty() || text.contains('\0') {
            return Err(OpenFault::about(key, "is missing or empty", "write the path of a directory"));
        }
        std::path::absolute(text).map_err(|e| OpenFault::about(key, format!("cannot be made absolute: {e}"), "write an absolute path"))
    }

    /// The directory named by `key`; for agents of another than the home organisation `<directory>.orgs/<organisation>`: beside it, not
    /// beneath it, so that no layout of the home organisation's agents reaches it.
    ///
    /// # Errors
    /// As [`path`](Self::path); for such an agent also when the directory is the root of the file system.
    pub fn place(&self, key: &str) -> Result<PathBuf, OpenFault> {
        let path = self.path(key)?;
        let Some(org) = self.org else { return Ok(path) };
        let Some(name) = path.file_name() else {
            return Err(OpenFault::about(
                key,
                "is the root of the file system",
                "name a directory, so that organisations can lie beside it",
            ));
        };
        let mut beside = name.to_owned();
        beside.push(".orgs");
        Ok(path.with_file_name(beside).join(org.as_str()))
    }

    /// A whole number within `min..=max`; `default` when the key is absent or null.
    ///
    /// # Errors
    /// [`OpenFault`] for any other value.
    pub fn integer(&self, key: &str, default: u64, min: u64, max: u64) -> Result<u64, OpenFault> {
        let value = match self.map().get(key) {
            None | Some(Value::Null) => return Ok(default),
            Some(value) => value.as_u64(),
        };
        match value {
            Some(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(OpenFault::about(key, "is out of range", format!("write a whole number from {min} to {max}"))),
        }
    }

    /// `true` or `false`; `default` when the key is absent or null.
    ///
    /// # Errors
    /// [`OpenFault`] for any other value.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, OpenFault> {
        match self.map().get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(OpenFault::about(key, "is not a boolean", "write true or false")),
        }
    }

    /// `template` with `{agent_id}` and `{agent_type}` replaced literally; `{{` and `}}` are literal braces (reference,
    /// tool modules section 2). Where no agent is known, an id of one letter stands in.
    ///
    /// # Errors
    /// [`OpenFault`] for any other field and for a stray brace.
    pub fn expand(&self, key: &str, template: &str) -> Result<String, OpenFault> {
        let fault = |cause: String| OpenFault::about(key, "is not a template", cause);
        let stand_in = AgentId::parse(STAND_IN).map_err(|cause| fault(cause.to_string()))?;
        template::render(template, self.agent_id.unwrap_or(&stand_in), self.agent_type).map_err(|cause| fault(cause.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::module::Credentials;

    const KNOWN: &[ConfigKey] = &[key("n"), key("f"), key("t"), key("neg"), key("real"), key("none")];

    const fn key(name: &'static str) -> ConfigKey {
        ConfigKey { name, required: false, doc: "", kind: ConfigKind::Text }
    }

    fn with_reader(config: Value, test: impl FnOnce(ConfigReader<'_>)) {
        let (id, kind) = (AgentId::parse("a-1").unwrap(), AgentType::parse("t_x").unwrap());
        let config = config.as_object().unwrap().clone();
        let setup = ModuleSetup {
            key: "k",
            org: None,
            agent_id: &id,
            agent_type: &kind,
            access: None,
            config: &config,
            credentials: &Credentials::default(),
            host: &crate::host::Host::isolated(),
        };
        test(ConfigReader::new(setup, KNOWN).unwrap());
    }

    #[test]
    fn templates_are_literal() {
        with_reader(json!({}), |reader| {
            assert_eq!(reader.expand("k", "x/{agent_type}/{{{agent_id}}}").unwrap(), "x/t_x/{a-1}");
            for bad in ["{", "}", "{agent_id", "{agent_id.__class__}", "{agent_id!r}", "{0}", "{}", "{agent_id}}", "{agent_name}"] {
                assert!(reader.expand("k", bad).is_err(), "{bad}");
            }
        });
    }

    #[test]
    fn values_are_typed_and_bounded() {
        with_reader(json!({"n": 5, "f": true, "t": "x", "neg": -1, "real": 1.5, "none": null}), |reader| {
            assert_eq!(reader.integer("n", 1, 1, 5), Ok(5));
            assert_eq!(reader.integer("none", 7, 1, 9), Ok(7));
            for bad in ["neg", "real", "t", "f"] {
                let fault = reader.integer(bad, 1, 1, 5).unwrap_err();
                assert_eq!(fault.key.as_deref(), Some(bad));
            }
            assert!(reader.integer("n", 1, 1, 4).is_err());
            assert_eq!(reader.flag("f", false), Ok(true));
            assert!(reader.flag("t", false).is_err());
            assert!(reader.text("n").is_err());
            assert!(reader.path("absent").is_err());
            assert!(reader.path("t").unwrap().is_absolute());
        });
    }
}
