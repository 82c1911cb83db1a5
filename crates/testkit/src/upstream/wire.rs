//! The little of JSON-RPC that a fake server needs. Values stay as they came: an echoed payload is never decoded.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The revision without a handshake.
pub(crate) const MODERN: &str = "2026-07-28";
/// The revisions with `initialize` that fakes and clients of this crate speak, newest first.
pub(crate) const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
pub(super) struct Params<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) uri: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) cursor: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "protocolVersion")]
    pub(super) protocol_version: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "requestId")]
    pub(super) request_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "requestState")]
    pub(super) request_state: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "inputResponses")]
    pub(super) input_responses: Option<&'a RawValue>,
    #[serde(borrow, rename = "ref")]
    pub(super) reference: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) argument: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) level: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) notifications: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    pub(super) meta: Option<Meta<'a>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    pub(super) version: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    pub(super) capabilities: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/logLevel")]
    pub(super) log_level: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "progressToken")]
    pub(super) progress_token: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
pub(super) struct Arguments<'a> {
    #[serde(borrow)]
    pub(super) payload: Option<&'a RawValue>,
    pub(super) ms: Option<u64>,
    pub(super) bytes: Option<usize>,
}

pub(super) fn result(id: &str, result: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(result.len() + id.len() + 36);
    text.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    text.extend_from_slice(id.as_bytes());
    text.extend_from_slice(br#","result":"#);
    text.extend_from_slice(result.as_bytes());
    text.push(b'}');
    text
}

pub(super) fn error(id: &str, code: i64, message: &str, data: Option<&str>) -> Vec<u8> {
    let message = serde_json::Value::from(message);
    let data = data.map(|d| format!(r#","data":{d}"#)).unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}{data}}}}}"#).into_bytes()
}

pub(super) fn notification(method: &str, params: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#).into_bytes()
}

/// `=?base64?...?=` is the form of a header value that is not plain ASCII (protocol reference section 2.2).
pub(super) fn decode_header(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix("=?base64?").and_then(|v| v.strip_suffix("?=")) {
        None => Some(value.into()),
        Some(code) => {
            let bytes = data_encoding::BASE64.decode(code.as_bytes()).ok()?;
            String::from_utf8(bytes).ok().map(Cow::from)
        }
    }
}
