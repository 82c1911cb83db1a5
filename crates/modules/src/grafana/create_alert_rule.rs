//! `create_alert_rule`: a rule in the agent's folder.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::dashboard::check_title;
use super::{Command, Grafana, Job, object_schema, references};
use crate::arguments::decode;
use crate::context::CallContext;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "create_alert_rule", access: Access::Write, spec, prepare };

/// Most queries and expressions of a rule.
const QUERIES_MAX: usize = 50;
/// Largest `data`, as text.
const DATA_BYTES_MAX: usize = 256 << 10;
/// Longest text of a duration.
const FOR_CHARS_MAX: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    name: String,
    /// A map first: a structure would take a list as well.
    condition: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    #[serde(default)]
    data: Vec<Value>,
    #[serde(default = "for_default", rename = "for")]
    lasts: String,
    #[serde(default = "condition_default")]
    condition: String,
}

fn for_default() -> String {
    "5m".to_owned()
}

fn condition_default() -> String {
    "C".to_owned()
}

fn spec() -> ToolSpec {
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Create an alert rule".into(),
        description:
            "Creates an alert rule in your Grafana folder, in a group of your own. Its queries may use only data sources from the list \
                      of data sources, and expressions on them."
                .into(),
        input_schema: schema::object(
            &[("name", schema::property("string", "Title of the rule.", json!({ "maxLength": 200 }))), ("condition", condition_property())],
            &["name", "condition"],
        ),
        output_schema: Some(object_schema(&[("uid", "string", "Uid of the rule."), ("title", "string", "Its title.")])),
        access: COMMAND.access,
        hints: Hints { destructive: false, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn condition_property() -> Value {
    let data = "Queries and expressions in Grafana's model, each with refId, datasourceUid, relativeTimeRange and model.";
    let properties = json!({
        "data": { "type": "array", "items": { "type": "object" }, "maxItems": QUERIES_MAX, "default": [], "description": data },
        "for": { "type": "string", "default": "5m", "description": "How long the condition has to hold, like `5m` or `1h30m`." },
        "condition": { "type": "string", "default": "C", "description": "The refId in `data` that decides." },
    });
    let text = "What is watched: `data`, and how long it has to hold.";
    schema::property("object", text, json!({ "properties": properties, "additionalProperties": false }))
}

fn prepare(grafana: &Grafana, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { name, condition } = decode(arguments)?;
    check_title(&name)?;
    let condition: Condition = decode(&Value::Object(condition).to_string())?;
    check(&condition)?;
    let found = references::of_alert(&condition.data)?;
    grafana.refuse_references(&found)?;
    Ok(Box::new(move |grafana, context| {
        Box::pin(async move {
            grafana.check_references(&found, context).await?;
            run(grafana, &name, condition, context).await
        })
    }))
}

fn check(condition: &Condition) -> Result<(), ToolFault> {
    if condition.data.len() > QUERIES_MAX {
        let message = format!("there are more than {QUERIES_MAX} queries");
        return Err(ToolFault::limit("data", QUERIES_MAX as u64, message, "split them over several rules"));
    }
    if condition.data.iter().map(|query| query.to_string().len()).sum::<usize>() > DATA_BYTES_MAX {
        let message = format!("`data` is larger than {DATA_BYTES_MAX} bytes");
        return Err(ToolFault::limit("data_bytes", DATA_BYTES_MAX as u64, message, "split it over several rules"));
    }
    if !is_duration(&condition.lasts) {
        return Err(ToolFault::invalid("`for` is not a duration", "write it like `5m` or `1h30m`"));
    }
    let is_ref = (1..=64).contains(&condition.condition.len()) && !condition.condition.chars().any(char::is_control);
    is_ref.then_some(()).ok_or_else(|| ToolFault::invalid("`condition` is no refId", "name the entry of `data` that decides"))
}

/// `0`, or numbers with units.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let after = unit.strip_prefix("ms").or_else(|| unit.strip_prefix(['s', 'm', 'h', 'd', 'w', 'y']));
        let (true, Some(after)) = (unit.len() < rest.len(), after) else { return text == "0" };
        rest = after;
    }
    !text.is_empty() && text.len() <= FOR_CHARS_MAX
}

async fn run(grafana: &Grafana, name: &str, condition: Condition, context: CallContext<'_>) -> Result<ToolOutput, ToolFault> {
    let folder = grafana.folder.ensure(&grafana.api, context).await?;
    let rule = json!({
        "title": name,
        "condition": condition.condition,
        "data": condition.data,
        "folderUID": folder,
        "ruleGroup": format!("agent-{}", grafana.agent),
        "noDataState": "NoData",
        "execErrState": "Error",
        "for": condition.lasts,
    });
    let made = grafana.api.post("/api/v1/provisioning/alert-rules", &rule, context).await;
    if made.is_err() {
        grafana.folder.forget().await;
    }
    ToolOutput::json(&made?)
}

#[cfg(test)]
mod tests {
    use super::is_duration;

    #[test]
    fn durations() {
        for good in ["0", "0s", "5m", "1h30m", "500ms", "2d", "1w"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in ["", "m", "5", "5 m", "-5m", "5x", "1.5h", "5m;", "00000000000000000000m"] {
            assert!(!is_duration(bad), "{bad}");
        }
    }
}
