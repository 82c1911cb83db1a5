//! From a service's answer to a result.

use http::header;
use serde_json::{Value, json};

use crate::egress::HttpAnswer;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;

/// A JSON object as it is, other JSON as `{"result": X}`, everything else as `{"text": X}`, where bytes that are no UTF-8 are replaced.
///
/// Objects and arrays are taken for JSON whatever the service calls them; a single number or word only when it says so.
pub(super) fn output(answer: &HttpAnswer) -> Result<ToolOutput, ToolFault> {
    let parsed = serde_json::from_slice::<Value>(&answer.body).ok();
    let value = match parsed {
        Some(object @ Value::Object(_)) => object,
        Some(array @ Value::Array(_)) => json!({ "result": array }),
        Some(scalar) if may_be_json(answer) => json!({ "result": scalar }),
        _ => json!({ "text": String::from_utf8_lossy(&answer.body) }),
    };
    ToolOutput::json(&value)
}

/// The same; an empty answer confirms the deletion.
pub(super) fn deleted(answer: &HttpAnswer) -> Result<ToolOutput, ToolFault> {
    if answer.body.is_empty() { ToolOutput::json(&json!({ "status": "deleted" })) } else { output(answer) }
}

fn may_be_json(answer: &HttpAnswer) -> bool {
    let Some(given) = answer.headers.get(header::CONTENT_TYPE) else { return true };
    let kind = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// Any object.
pub(super) fn schema() -> Value {
    schema::output(&[
        ("result", json!({ "description": "The service's JSON answer when it is not an object." })),
        ("text", schema::property("string", "The service's answer when it is not JSON.", json!({}))),
        ("status", json!({ "description": "`deleted` when a deletion is answered without content." })),
    ])
}
