//! Which tools a server has, as it listed them to the organisation.

use bailiwick_contract::{Declared, Effective, TrustClass, effective};
use bailiwick_model::{OrgId, ServerId, Timestamp};
use bailiwick_store::KnownTool;
use serde_json::Value;

use crate::operations::fault::Done;
use crate::operations::{Acting, Operations, Required};

/// A tool with what is known of it. The definition is that of a third party.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name, as the server has it.
    pub name: String,
    /// What the server says that it does.
    pub description: Option<String>,
    /// The JSON Schema of its arguments; `None` for a tool that is gone.
    pub input_schema: Option<Value>,
    /// The facts that decide about it.
    pub contract: Effective,
    /// Whether it is exposed; `None`: the list of allowed tools is not configured.
    pub allowed: Option<bool>,
    /// Whether the last listing had it.
    pub present: bool,
    /// SHA-256 of its definition, in hexadecimal digits.
    pub digest: String,
    /// When it was first listed.
    pub first_seen: Timestamp,
    /// When it was last listed.
    pub last_seen: Timestamp,
}

/// The tools that a server listed to the organisation, by name, those that are gone included; for its members.
///
/// # Errors
/// `not_found`.
pub async fn tools(ops: &Operations, acting: &Acting, org: &OrgId, id: ServerId) -> Done<Vec<Tool>> {
    let reader = ops.reader(acting, org, Required::Member, "server tools").await?;
    let server = ops.store().servers().get(reader.scope(), id).await?;
    let known = ops.store().servers().tools(reader.scope(), id).await?;
    let allowed = |name: &str| server.allowed_tools.as_ref().map(|tools| tools.allows(name));
    Ok(known.into_iter().map(|tool| Tool { allowed: allowed(&tool.name), ..read(tool) }).collect())
}

fn read(tool: KnownTool) -> Tool {
    let KnownTool { name, definition, digest, present, first_seen, last_seen } = tool;
    let definition: Value = serde_json::from_slice(&definition).unwrap_or_default();
    let declared = Declared::read(definition.get("annotations"), definition.get("_meta"), &[]);
    let contract = effective(&name, &declared, TrustClass::ThirdParty, None);
    let description = definition["description"].as_str().filter(|_| present).map(str::to_owned);
    let input_schema = definition.get("inputSchema").filter(|_| present).cloned();
    Tool { name, description, input_schema, contract, allowed: None, present, digest, first_seen, last_seen }
}
