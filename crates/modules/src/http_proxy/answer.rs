//! From a service's answer to a result.

use http::header;
use serde_json::{Value, json};

use crate::egress::HttpAnswer;
use crate::exact_json::compact;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::service::without_mark;

/// A JSON object as it is, other JSON as `{"result": X}`, everything else as `{"text": X}`, where bytes that are no UTF-8 are replaced.
///
/// Objects and arrays are taken for JSON whatever the service calls them; a single number or word only when it says so. JSON stays as the
/// service wrote it; an object with a member twice is a text, because as an object it would lose one of them.
pub(super) fn output(answer: &HttpAnswer) -> Result<ToolOutput, ToolFault> {
    let body = without_mark(&answer.body);
    match compact(body) {
        Some(object) if object.starts_with('{') => Ok(ToolOutput { structured: object, text: None }),
        Some(value) if value.starts_with('[') || may_be_json(answer) => {
            Ok(ToolOutput { structured: format!(r#"{{"result":{value}}}"#), text: None })
        }
        _ => ToolOutput::json(&json!({ "text": String::from_utf8_lossy(body) })),
    }
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
