//! What is done at the server itself: setting it up anew, asking it for its tools, looking for what is wrong.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, server};
use bailiwick_gateway::{Diagnosis, DiagnosisQuirk, DiagnosisStep};
use bailiwick_store::ToolChanges;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::record::McpServerRecord;
use super::{ServerPath, example_path, schemas};
use crate::http::api::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use crate::http::api::route::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<RetrySetup>(), Route::of::<DiscoverTools>(), Route::of::<ExamineServer>()]
}

/// Sets a server up anew.
pub(crate) struct RetrySetup;

impl Operation for RetrySetup {
    const FACTS: Facts = Facts::new(
        "retry_setup",
        "servers",
        Verb::Post,
        "/v1/mcp/servers/{server_id}/retry-setup",
        Needs::Registrar,
        "Sets a server up anew; the status of the answer says how that went.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = McpServerRecord;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerRecord> {
        let org = acting.org(ask.org)?;
        let shown = server::retry(operations, acting, (&org, ask.path.server_id.0)).await?;
        Ok(McpServerRecord::of(shown, Some(&org)))
    }
}

/// What a listing changed. Names are in order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpToolChanges {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    /// Tools that the organisation never saw before.
    pub(crate) added: Vec<String>,
    /// Tools that are listed no longer.
    pub(crate) gone: Vec<String>,
    /// Tools that were gone and are listed again.
    pub(crate) returned: Vec<String>,
    /// Tools with another definition.
    pub(crate) changed: Vec<String>,
    /// Whether the list of allowed tools was filled with all of them, because there was none.
    pub(crate) filled: bool,
    /// Tools that the list of allowed tools did not name before: the policy for new tools decided about them.
    pub(crate) unreviewed: Vec<String>,
}

/// Asks a server for its tools.
pub(crate) struct DiscoverTools;

impl Operation for DiscoverTools {
    const FACTS: Facts = Facts::new(
        "discover_tools",
        "servers",
        Verb::Post,
        "/v1/mcp/servers/{server_id}/discover",
        Needs::OrgAdmin,
        "Asks a server for its tools, with the caller's connection or the organisation's.",
    );
    type Path = ServerPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = McpToolChanges;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpToolChanges> {
        let org = acting.org(ask.org)?;
        let id = ask.path.server_id;
        let ToolChanges { added, gone, returned, changed, filled, unreviewed } = server::discover(operations, acting, &org, id.0).await?;
        Ok(McpToolChanges { server_id: id.into(), added, gone, returned, changed, filled, unreviewed })
    }
}

/// How far the doctor may go.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoctorQuery {
    /// Whether a client may be made at the authorization server, which stays there; for who registered the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) register: Option<bool>,
}

/// What was found between the server's address and the page that a person would open.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpServerReport {
    #[schema(value_type = schemas::ServerId)]
    pub(crate) server_id: String,
    /// `ok`, `warn` or `fail`: the worst of all steps.
    pub(crate) verdict: String,
    /// The provider whose profile was gone by.
    pub(crate) profile: Option<String>,
    /// In their order.
    pub(crate) steps: Vec<McpServerReportStep>,
    /// In what the provider is known to differ; what was seen just now comes first.
    pub(crate) quirks: Vec<McpServerQuirk>,
    /// A client that was made and is still at the authorization server.
    pub(crate) left_behind: Option<String>,
}

/// One step.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpServerReportStep {
    /// One word.
    pub(crate) step: String,
    /// `ok`, `warn` or `fail`.
    pub(crate) verdict: String,
    /// What was found.
    pub(crate) text: String,
    /// What to do; empty when there is nothing to do.
    pub(crate) remedy: String,
}

/// A way in which a provider differs from what one would expect.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct McpServerQuirk {
    /// One word.
    pub(crate) id: String,
    /// What is so.
    pub(crate) line: String,
    /// What to do, or what the gateway does.
    pub(crate) remedy: String,
    /// Who says so.
    pub(crate) source: String,
    /// Whether it was seen just now.
    pub(crate) seen: bool,
}

impl McpServerReport {
    fn of(server_id: String, diagnosis: Diagnosis) -> Self {
        let Diagnosis { verdict, profile, steps, quirks, left_behind } = diagnosis;
        let step = |DiagnosisStep { step, verdict, text, remedy }: DiagnosisStep| McpServerReportStep {
            step: step.to_owned(),
            verdict: verdict.to_owned(),
            text,
            remedy,
        };
        let quirk = |DiagnosisQuirk { id, line, remedy, source, seen }: DiagnosisQuirk| McpServerQuirk { id, line, remedy, source, seen };
        let (steps, quirks) = (steps.into_iter().map(step).collect(), quirks.into_iter().map(quirk).collect());
        Self { server_id, verdict: verdict.to_owned(), profile, steps, quirks, left_behind }
    }
}

/// Looks for what is wrong with a server.
pub(crate) struct ExamineServer;

impl Operation for ExamineServer {
    const FACTS: Facts = Facts::new(
        "examine_server",
        "servers",
        Verb::Post,
        "/v1/mcp/servers/{server_id}/doctor",
        Needs::OrgAdmin,
        "Walks from a server's address to the page that a person would open, and says what is found.",
    );
    type Path = ServerPath;
    type Query = DoctorQuery;
    type Body = Nothing;
    type Answer = McpServerReport;

    fn example() -> Example {
        Example { path: example_path(), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<McpServerReport> {
        let org = acting.org(ask.org)?;
        let id = ask.path.server_id;
        let diagnosis = server::doctor(operations, acting, (&org, id.0), ask.query.register.unwrap_or_default()).await?;
        Ok(McpServerReport::of(id.into(), diagnosis))
    }
}
