//! Which tools of a server are exposed.

use std::collections::BTreeMap;

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, server};
use bailiwick_model::registered::NewToolsPolicy;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::record::McpServerRecord;
use super::{Id, ServerPath, example_path, schemas};
use crate::http::api::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use crate::http::api::route::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<SetAllowedTools>(), Route::of::<CopyAllowedTools>(), Route::of::<SetNewToolsPolicy>()]
}

/// Which tools are to be exposed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateMcpServerAllowedToolsRequest {
    /// Tool by tool; an empty object exposes nothing, null lets the next discovery name all that there are.
    // Null means something, so it is not what is absent.
    #[serde(deserialize_with = "given")]
    #[schema(required)]
    pub(crate) allowed_tools: Option<BTreeMap<String, bool>>,
}

fn given<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<BTreeMap<String, bool>>, D::Error> {
    Option::deserialize(reader)
}

/// Sets the list of allowed tools.
pub(crate) struct SetAllowedTools;

impl Operation for SetAllowedTools {
    const FACTS: Facts = Facts {
        versioned: true,
        ..Facts::new(
            "set_allowed_tools",
            "servers",
            Verb::Put,
            "/v1/mcp/servers/{server_id}/allowed-tools",
            Needs::Registrar,
            "Sets which tools of a server are exposed.",
        )
    };
    type Path = ServerPath;
    type Query = Nothing;
    type Body = UpdateMcpServerAllowedToolsRequest;
    type Answer = McpServerRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({"allowed_tools": {"search": true, "delete": false}}) }
    }

    fn version(answer: &McpServerRecord) -> Option<i64> {
        Some(answer.revision)
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerRecord> {
        let org = acting.org(ask.org)?;
        let at = (&org, ask.path.server_id.0);
        let shown = server::set_allowed_tools(operations, acting, at, ask.body.allowed_tools, ask.expected).await?;
        Ok(McpServerRecord::of(shown, Some(&org)))
    }
}

/// Whose list is to be taken over.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyMcpServerAllowedToolsRequest {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) source_server_id: Id,
}

/// Takes over a list of allowed tools.
pub(crate) struct CopyAllowedTools;

impl Operation for CopyAllowedTools {
    const FACTS: Facts = Facts::new(
        "copy_allowed_tools",
        "servers",
        Verb::Post,
        "/v1/mcp/servers/{server_id}/allowed-tools/copy",
        Needs::Registrar,
        "Takes over the list of allowed tools of another server as it is.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = CopyMcpServerAllowedToolsRequest;
    type Answer = McpServerRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({"source_server_id": "0123456789abcdef0123456789abcdef"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerRecord> {
        let org = acting.org(ask.org)?;
        let at = (&org, ask.path.server_id.0);
        let shown = server::copy_allowed_tools(operations, acting, at, ask.body.source_server_id.0).await?;
        Ok(McpServerRecord::of(shown, Some(&org)))
    }
}

/// What is to become of tools that appear later.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateNewToolsPolicyRequest {
    #[schema(value_type = schemas::NewToolsPolicy)]
    pub(crate) new_tools_policy: NewToolsPolicy,
}

/// Sets the policy for new tools.
pub(crate) struct SetNewToolsPolicy;

impl Operation for SetNewToolsPolicy {
    const FACTS: Facts = Facts::new(
        "set_new_tools_policy",
        "servers",
        Verb::Put,
        "/v1/mcp/servers/{server_id}/new-tools-policy",
        Needs::Registrar,
        "Sets what becomes of tools that a server lists later.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = UpdateNewToolsPolicyRequest;
    type Answer = McpServerRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({"new_tools_policy": "block"}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerRecord> {
        let org = acting.org(ask.org)?;
        let at = (&org, ask.path.server_id.0);
        let shown = server::set_new_tools_policy(operations, acting, at, ask.body.new_tools_policy).await?;
        Ok(McpServerRecord::of(shown, Some(&org)))
    }
}
