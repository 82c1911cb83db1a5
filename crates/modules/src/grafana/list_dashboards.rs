//! `list_dashboards`: what lies in the agent's folder.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Command, Grafana, Job};
use crate::arguments::decode;
use crate::context::CallContext;
use crate::egress::segment;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "list_dashboards", access: Access::Read, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {}

fn spec() -> ToolSpec {
    let entries = json!({ "items": { "type": "object", "properties": { "uid": { "type": "string" }, "title": { "type": "string" } } } });
    ToolSpec {
        name: COMMAND.name.into(),
        title: "List dashboards".into(),
        description: "Returns the dashboards in your Grafana folder with uid, title, address and tags; other folders are not shown.".into(),
        input_schema: schema::object(&[], &[]),
        output_schema: Some(schema::wrapped(schema::property("array", "The dashboards.", entries))),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(_: &Grafana, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments {} = decode(arguments)?;
    Ok(Box::new(|grafana, context| Box::pin(run(grafana, context))))
}

async fn run(grafana: &Grafana, context: CallContext<'_>) -> Result<ToolOutput, ToolFault> {
    let Some(folder) = grafana.folder.find(&grafana.api, context).await? else { return ToolOutput::json::<[Value]>(&[]) };
    let path = format!("/api/search?type=dash-db&folderUIDs={}&", segment(&folder));
    let mut found = grafana.api.list(&path, "dashboards", context).await?;
    // A Grafana that does not know the parameter gives everything.
    found.retain(|entry| entry["folderUid"] == folder.as_str());
    ToolOutput::json(&found)
}
