//! `delete_dashboard`: removes a dashboard of the agent's folder.

use serde::Deserialize;
use serde_json::json;

use super::dashboard::{check_uid, path, uid_property};
use super::{Command, Grafana, Job};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "delete_dashboard", access: Access::Write, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    uid: String,
}

fn spec() -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Delete a dashboard".into(),
        description: "Deletes a dashboard of your Grafana folder; this cannot be taken back here.".into(),
        input_schema: schema::object(&[("uid", uid_property())], &["uid"]),
        output_schema: Some(schema::wrapped(schema::property("boolean", "Always true; a refusal is an error.", json!({ "const": true })))),
        access: COMMAND.access,
        hints: Hints { destructive: true, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(_: &Grafana, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { uid } = decode(arguments)?;
    check_uid(&uid)?;
    Ok(Box::new(move |grafana, context| {
        Box::pin(async move {
            grafana.own_dashboard(&uid, context).await?;
            grafana.api.delete(&path(&uid), context).await?;
            Ok(ToolOutput::done())
        })
    }))
}
