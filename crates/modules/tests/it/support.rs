//! Opens modules the way the gateway does and calls them through the trait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::{AgentId, AgentType, Code, OrgId, Timestamp};
use bailiwick_modules::{Access, CallContext, Cancel, Host, ModuleDraft, ModuleRegistry, ModuleSetup, OpenFault, ToolFault, ToolModule};
use serde_json::Value;

/// Long enough for any call that is not meant to be slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// 2026-07-28T09:30:00Z, for calls that do not care.
const NOW: Timestamp = Timestamp::from_micros(1_785_231_000_000_000);

/// A call with this deadline.
pub(crate) fn context(deadline: Instant, cancel: &Cancel) -> CallContext<'_> {
    CallContext { deadline, cancel, call: "01J", now: NOW }
}

pub(crate) struct Agent(pub(crate) Arc<dyn ToolModule>);

/// Opens `kind` for the agent `id` of type `tester`.
pub(crate) fn try_open(kind: &str, id: &str, access: Option<Access>, config: &Value) -> Result<Agent, OpenFault> {
    try_open_on(&Host::isolated(), kind, id, access, config, &[])
}

/// Opens `kind` with credentials and a host.
pub(crate) fn try_open_on(
    host: &Host,
    kind: &str,
    id: &str,
    access: Option<Access>,
    config: &Value,
    credentials: &[(&str, &str)],
) -> Result<Agent, OpenFault> {
    try_open_in(None, host, kind, id, access, config, credentials)
}

/// The same for an agent of another organisation than the home one.
pub(crate) fn try_open_in(
    org: Option<&str>,
    host: &Host,
    kind: &str,
    id: &str,
    access: Option<Access>,
    config: &Value,
    credentials: &[(&str, &str)],
) -> Result<Agent, OpenFault> {
    let org = org.map(|org| OrgId::parse(org).unwrap());
    let credentials = credentials.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into())).collect();
    let setup = ModuleSetup {
        key: kind,
        org: org.as_ref(),
        agent_id: &AgentId::parse(id).unwrap(),
        agent_type: &AgentType::parse("tester").unwrap(),
        access,
        config: config.as_object().unwrap(),
        credentials: &credentials,
        host,
    };
    ModuleRegistry::with_builtin().get(kind).unwrap().open(setup).map(Agent)
}

/// The keys of the mistakes that the configuration alone shows, for an agent that is not known yet. Opening must refuse the first of them.
pub(crate) fn mistakes(kind: &str, config: &Value, credentials: &[(&str, &str)]) -> Vec<String> {
    mistakes_in(kind, None, config, credentials)
}

/// The same for an agent in the mode `access`.
pub(crate) fn mistakes_in(kind: &str, access: Option<Access>, config: &Value, credentials: &[(&str, &str)]) -> Vec<String> {
    let agent_type = AgentType::parse("tester").unwrap();
    let draft = ModuleDraft { agent_id: None, agent_type: &agent_type, access, config: config.as_object().unwrap() };
    let faults = ModuleRegistry::with_builtin().get(kind).unwrap().check(draft);
    let keys: Vec<String> = faults.into_iter().map(|fault| fault.key.unwrap()).collect();
    let opened = try_open_on(&Host::isolated(), kind, "a", access, config, credentials).err().map(|fault| fault.key.unwrap());
    assert_eq!(opened.is_some(), !keys.is_empty(), "{kind}: {keys:?} and {opened:?}");
    assert!(opened.is_none_or(|key| keys.contains(&key)), "{kind}: {keys:?}");
    keys
}

pub(crate) fn open(kind: &str, id: &str, access: Option<Access>, config: &Value) -> Agent {
    try_open(kind, id, access, config).unwrap()
}

impl Agent {
    /// The structured result.
    pub(crate) async fn call(&self, tool: &str, arguments: &Value) -> Result<Value, ToolFault> {
        self.call_until(tool, arguments, Instant::now() + PATIENCE, &Cancel::new()).await
    }

    pub(crate) async fn call_until(&self, tool: &str, arguments: &Value, deadline: Instant, cancel: &Cancel) -> Result<Value, ToolFault> {
        self.call_text(tool, &arguments.to_string(), deadline, cancel).await
    }

    /// With arguments as they are written.
    pub(crate) async fn call_as(&self, tool: &str, arguments: &str) -> Result<Value, ToolFault> {
        self.call_text(tool, arguments, Instant::now() + PATIENCE, &Cancel::new()).await
    }

    async fn call_text(&self, tool: &str, arguments: &str, deadline: Instant, cancel: &Cancel) -> Result<Value, ToolFault> {
        let output = self.0.call(tool, arguments, context(deadline, cancel)).await?;
        Ok(serde_json::from_str(&output.structured).unwrap())
    }

    /// The result, or the word of the refusal.
    pub(crate) async fn code(&self, tool: &str, arguments: &Value) -> Result<Value, Code> {
        self.call(tool, arguments).await.map_err(|f| f.code)
    }
}
