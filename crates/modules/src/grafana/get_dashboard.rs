//! `get_dashboard`: one dashboard of the agent's folder.

use serde::Deserialize;

use super::dashboard::{check_uid, uid_property};
use super::{Command, Grafana, Job, object_schema};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "get_dashboard", access: Access::Read, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    uid: String,
}

fn spec() -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Get a dashboard".into(),
        description: "Returns a dashboard of your Grafana folder: its model and what Grafana says about it.".into(),
        input_schema: schema::object(&[("uid", uid_property())], &["uid"]),
        output_schema: Some(object_schema(&[
            ("dashboard", "object", "The dashboard's model."),
            ("meta", "object", "Folder, address, times and rights."),
        ])),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(_: &Grafana, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { uid } = decode(arguments)?;
    check_uid(&uid)?;
    Ok(Box::new(move |grafana, context| {
        Box::pin(async move {
            let (found, _) = grafana.own_dashboard(&uid, context).await?;
            ToolOutput::json(&found)
        })
    }))
}
