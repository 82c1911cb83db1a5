//! What an answer must look like, era by era (protocol reference sections 2.3, 2.4, 3.1; ecosystem reference section 2).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Era, Fault};

type Checked = Result<(), String>;

/// Envelope of the answer to `id`: gives the result.
pub(super) fn message(text: &str, id: i64, status: Option<u16>) -> Result<Value, Fault> {
    let broken = |rule: &str| Fault::Broken(format!("{rule}: {}", shorten(text)));
    let Ok(Value::Object(mut message)) = serde_json::from_str::<Value>(text) else {
        return Err(match status {
            Some(status) if !(200..300).contains(&status) => Fault::Status(status, shorten(text)),
            _ => broken("the answer is not a JSON object"),
        });
    };
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(match status {
            Some(status) if status >= 400 => Fault::Status(status, shorten(text)),
            _ => broken("jsonrpc is not \"2.0\""),
        });
    }
    let outcome = match (message.remove("result"), message.remove("error")) {
        (Some(result), None) => Ok(result),
        (None, Some(error)) => Err(error),
        _ => return Err(broken("exactly one of result and error")),
    };
    // An error about a message that could not be read has no id to repeat.
    let unread = outcome.is_err() && matches!(message.get("id"), None | Some(Value::Null));
    if !unread && message.get("id") != Some(&Value::from(id)) {
        return Err(broken("the id is not that of the request"));
    }
    match outcome {
        Ok(Value::Object(result)) if status.is_none_or(|s| s == 200) => Ok(Value::Object(result)),
        Ok(Value::Object(_)) => Err(broken("a result with another status than 200")),
        Ok(_) => Err(broken("the result is not an object")),
        Err(error) => Err(rpc_error(&error, status).unwrap_or_else(|| broken("error needs an integer code and a message"))),
    }
}

fn rpc_error(error: &Value, status: Option<u16>) -> Option<Fault> {
    let (code, message) = (error.get("code")?.as_i64()?, error.get("message")?.as_str()?);
    Some(Fault::Rpc { status, code, message: message.to_owned(), data: error.get("data").cloned().unwrap_or_default() })
}

pub(super) fn result(era: Era, method: &str, result: &Value) -> Checked {
    let object = result.as_object().ok_or("the result is not an object")?;
    match era {
        Era::Modern => modern_result(method, object)?,
        Era::Legacy(_) => {
            for member in ["resultType", "ttlMs", "cacheScope"] {
                ensure(!object.contains_key(member), || format!("{member} in an answer of the initialize era"))?;
            }
        }
    }
    if method == "tools/call" && object.get("resultType").is_none_or(|t| t == "complete") {
        call_result(era, object)?;
    }
    Ok(())
}

fn modern_result(method: &str, result: &Map<String, Value>) -> Checked {
    let kind = result.get("resultType").and_then(Value::as_str);
    ensure(kind.is_some(), || "resultType is missing".into())?;
    let cacheable = ["server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"];
    if kind == Some("complete") && cacheable.contains(&method) {
        ensure(result.get("ttlMs").is_some_and(Value::is_u64), || "ttlMs is not an integer of 0 or more".into())?;
        let scope = result.get("cacheScope").and_then(Value::as_str);
        ensure(matches!(scope, Some("public" | "private")), || "cacheScope is neither public nor private".into())?;
    }
    Ok(())
}

fn call_result(era: Era, result: &Map<String, Value>) -> Checked {
    let content = result.get("content").and_then(Value::as_array).ok_or("content is not an array")?;
    for block in content {
        let kind = block.get("type").and_then(Value::as_str).ok_or("a content block without type")?;
        ensure(kind != "text" || block.get("text").is_some_and(Value::is_string), || "a text block without text".into())?;
    }
    ensure(result.get("isError").is_none_or(Value::is_boolean), || "isError is not a boolean".into())?;
    if let (Era::Legacy(_), Some(structured)) = (era, result.get("structuredContent")) {
        ensure(structured.is_object(), || "structuredContent that is no object, in the initialize era".into())?;
    }
    Ok(())
}

/// The result of `initialize` or `server/discover`.
pub(super) fn opened(era: Era, result: &Value) -> Checked {
    ensure(result["capabilities"].is_object(), || "capabilities is not an object".into())?;
    match era {
        Era::Modern => {
            let versions = result["supportedVersions"].as_array().ok_or("supportedVersions is not an array")?;
            ensure(versions.iter().any(|v| v == era.revision()), || "supportedVersions lacks the revision that was answered".into())?;
            let newest_first = versions.windows(2).all(|pair| pair[0].as_str() > pair[1].as_str());
            ensure(newest_first, || "supportedVersions is not newest first".into())
        }
        Era::Legacy(_) => {
            let version = result["protocolVersion"].as_str().ok_or("protocolVersion is missing")?;
            ensure(version < crate::upstream::wire::MODERN, || format!("initialize answered with {version}"))?;
            let info = &result["serverInfo"];
            ensure(info["name"].is_string() && info["version"].is_string(), || "serverInfo lacks name or version".into())
        }
    }
}

pub(super) fn tools(tools: &[Value]) -> Checked {
    let mut names = HashSet::new();
    for tool in tools {
        let name = tool["name"].as_str().ok_or("a tool without a name")?;
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        ensure(plain && (1..=128).contains(&name.len()), || format!("tool name {name:?}"))?;
        ensure(names.insert(name), || format!("tool {name} twice"))?;
        let schema = &tool["inputSchema"];
        ensure(schema["type"] == "object", || format!("{name}: inputSchema is not an object schema"))?;
        ensure(schema.get("properties").is_none_or(Value::is_object), || format!("{name}: properties is not an object"))?;
        ensure(schema.get("required").is_none_or(Value::is_array), || format!("{name}: required is not an array"))?;
        for (member, fits) in [("title", tool["title"].is_string()), ("description", tool["description"].is_string())] {
            ensure(tool.get(member).is_none() || fits, || format!("{name}: {member} is not a string"))?;
        }
        ensure(tool.get("annotations").is_none_or(Value::is_object), || format!("{name}: annotations is not an object"))?;
    }
    Ok(())
}

/// Progress carries the request's token and rises; nothing else than progress and log lines comes on a request's stream.
pub(super) fn notifications(seen: &[Value], token: &Value) -> Checked {
    let mut last = f64::NEG_INFINITY;
    for notification in seen {
        ensure(notification.get("id").is_none(), || "a request on the stream of an answer".into())?;
        if notification["method"] != "notifications/progress" {
            continue;
        }
        let params = &notification["params"];
        ensure(!token.is_null() && params["progressToken"] == *token, || format!("progress under a foreign token: {params}"))?;
        let progress = params["progress"].as_f64().ok_or("progress without a number")?;
        ensure(progress > last, || "progress that does not rise".into())?;
        last = progress;
    }
    Ok(())
}

fn ensure(holds: bool, rule: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(rule()) }
}

pub(super) fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 300;
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_of_another_request_or_era_is_caught() {
        assert!(message(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, 7, Some(200)).is_ok());
        for (text, rule) in [
            (r#"{"jsonrpc":"2.0","id":"7","result":{}}"#, "id"),
            (r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":""}}"#, "exactly one"),
            (r#"{"jsonrpc":"2.0","id":7,"result":[]}"#, "not an object"),
            (r#"{"jsonrpc":"2.0","id":7,"error":{"code":"x","message":""}}"#, "integer code"),
            (r#"{"id":7,"result":{}}"#, "jsonrpc"),
        ] {
            let Err(Fault::Broken(why)) = message(text, 7, Some(200)) else { panic!("{text}") };
            assert!(why.contains(rule), "{why}");
        }
        assert!(result(Era::Modern, "ping", &json!({})).is_err());
        assert!(result(Era::LEGACY, "ping", &json!({"resultType": "complete"})).is_err());
        assert!(result(Era::Modern, "tools/list", &json!({"resultType": "complete", "tools": []})).is_err());
        assert!(result(Era::LEGACY, "tools/call", &json!({"content": [{"type": "text"}]})).is_err());
    }

    #[test]
    fn progress_must_be_ours_and_rise() {
        let step = |token: Value, progress: f64| json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": progress}});
        assert!(notifications(&[step(json!("t"), 1.0), step(json!("t"), 2.0)], &json!("t")).is_ok());
        assert!(notifications(&[step(json!("t"), 2.0), step(json!("t"), 2.0)], &json!("t")).is_err());
        assert!(notifications(&[step(json!("u"), 1.0)], &json!("t")).is_err());
        assert!(notifications(&[step(json!(null), 1.0)], &json!(null)).is_err());
    }
}
