//! `create_dashboard`: a new dashboard in the agent's folder.

use serde::Deserialize;
use serde_json::{Value, json};

use super::dashboard::{check_panels, check_title, panels_property, save_body};
use super::{Command, Grafana, Job, object_schema, references};
use crate::arguments::decode;
use crate::context::CallContext;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "create_dashboard", access: Access::Write, spec, prepare };

/// The version of the dashboard model that is sent; Grafana brings older ones up to date.
const SCHEMA_VERSION: u32 = 38;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    title: String,
    panels: Vec<Value>,
}

fn spec() -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Create a dashboard".into(),
        description:
            "Creates a dashboard in your Grafana folder and returns its uid, address and version. Nothing is overwritten. Panels may \
                      use only data sources from the list of data sources."
                .into(),
        input_schema: schema::object(
            &[("title", schema::property("string", "Title of the dashboard.", json!({ "maxLength": 200 }))), ("panels", panels_property())],
            &["title", "panels"],
        ),
        output_schema: Some(saved_schema()),
        access: COMMAND.access,
        hints: Hints { destructive: false, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

/// What Grafana says of a saved dashboard.
pub(super) fn saved_schema() -> Value {
    object_schema(&[
        ("uid", "string", "Uid of the dashboard."),
        ("url", "string", "Its path in Grafana."),
        ("version", "integer", "Its version."),
        ("status", "string", "`success`."),
    ])
}

fn prepare(grafana: &Grafana, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { title, panels } = decode(arguments)?;
    check_title(&title)?;
    check_panels(&panels)?;
    let dashboard = json!({ "id": null, "uid": null, "title": title, "panels": panels, "schemaVersion": SCHEMA_VERSION });
    let found = references::of_dashboard(&dashboard)?;
    grafana.refuse_references(&found)?;
    Ok(Box::new(move |grafana, context| {
        Box::pin(async move {
            grafana.check_references(&found, context).await?;
            run(grafana, &dashboard, context).await
        })
    }))
}

async fn run(grafana: &Grafana, dashboard: &Value, context: CallContext<'_>) -> Result<ToolOutput, ToolFault> {
    let folder = grafana.folder.ensure(&grafana.api, context).await?;
    let saved = grafana.api.post("/api/dashboards/db", &save_body(dashboard, &folder), context).await;
    if saved.is_err() {
        grafana.folder.forget().await;
    }
    ToolOutput::json(&saved?)
}
