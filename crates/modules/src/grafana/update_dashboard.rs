//! `update_dashboard`: new panels for a dashboard of the agent's folder.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::create_dashboard::saved_schema;
use super::dashboard::{check_panels, check_uid, panels_property, save_body, uid_property};
use super::{Command, Grafana, Job, references};
use crate::arguments::decode;
use crate::context::CallContext;
use crate::egress::HttpAnswer;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::service::json_body;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "update_dashboard", access: Access::Write, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    uid: String,
    panels: Vec<Value>,
}

fn spec() -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Update a dashboard".into(),
        description:
            "Replaces the panels of a dashboard in your Grafana folder; everything else of it stays. A change that somebody made in \
                      between is kept: the update is made again on top of it, once."
                .into(),
        input_schema: schema::object(&[("uid", uid_property()), ("panels", panels_property())], &["uid", "panels"]),
        output_schema: Some(saved_schema()),
        access: COMMAND.access,
        hints: Hints { destructive: true, idempotent: true, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(grafana: &Grafana, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { uid, panels } = decode(arguments)?;
    check_uid(&uid)?;
    check_panels(&panels)?;
    let panels = Value::Array(panels);
    grafana.refuse_references(&references::of_dashboard(&panels)?)?;
    Ok(Box::new(move |grafana, context| Box::pin(run(grafana, uid, panels, context))))
}

async fn run(grafana: &Grafana, uid: String, panels: Value, context: CallContext<'_>) -> Result<ToolOutput, ToolFault> {
    let mut answer = save(grafana, &uid, &panels, context).await?;
    if answer.status == StatusCode::PRECONDITION_FAILED {
        answer = save(grafana, &uid, &panels, context).await?;
    }
    ToolOutput::json(&json_body(&grafana.api.checked(answer)?)?)
}

/// Fetches the dashboard and saves it with `panels`, under the version that was fetched.
async fn save(grafana: &Grafana, uid: &str, panels: &Value, context: CallContext<'_>) -> Result<HttpAnswer, ToolFault> {
    let (mut found, folder) = grafana.own_dashboard(uid, context).await?;
    let mut dashboard = found["dashboard"].take();
    dashboard["panels"] = panels.clone();
    // Variables and annotations that are there already are saved again in the agent's name.
    grafana.check_references(&references::of_dashboard(&dashboard)?, context).await?;
    grafana.api.post_raw("/api/dashboards/db", &save_body(&dashboard, &folder), context).await
}
