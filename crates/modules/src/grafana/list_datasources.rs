//! `list_datasources`: the data sources the agent may use.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Command, Grafana, Job};
use crate::arguments::decode;
use crate::context::CallContext;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "list_datasources", access: Access::Read, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {}

fn spec() -> ToolSpec {
    let text = json!({ "type": "string" });
    let fields = json!({ "uid": text, "name": text, "type": text, "isDefault": { "type": "boolean" } });
    let entries = json!({ "items": { "type": "object", "properties": fields } });
    ToolSpec {
        name: COMMAND.name.into(),
        title: "List data sources".into(),
        description: "Returns uid, name, type and isDefault of the Grafana data sources you may query and use in panels and rules.".into(),
        input_schema: schema::object(&[], &[]),
        output_schema: Some(schema::wrapped(schema::property("array", "The data sources.", entries))),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(_: &Grafana, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments {} = decode(arguments)?;
    Ok(Box::new(|grafana, context| Box::pin(run(grafana, context))))
}

async fn run(grafana: &Grafana, context: CallContext<'_>) -> Result<ToolOutput, ToolFault> {
    if grafana.sources.is_empty() && !grafana.lists_names {
        return ToolOutput::json::<[Value]>(&[]);
    }
    let mut all = grafana.all_sources(context).await?;
    if grafana.sources.is_empty() {
        let names: Vec<Value> = all.into_iter().map(|source| json!({ "name": source.name })).collect();
        return ToolOutput::json(&names);
    }
    all.retain(|source| grafana.sources.contains(&source.name));
    ToolOutput::json(&all)
}
