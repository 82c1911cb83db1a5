//! Which era a message belongs to, and whether its HTTP headers agree with its body (reference, protocol sections 2.2, 2.3 and 4.1).
//!
//! Pure: takes what was received, gives what it is. Whether a session exists and who may use it is decided elsewhere.

mod headers;
mod param_headers;
mod text;

use crate::encode;
use crate::error::{HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, UNSUPPORTED_VERSION, WireError};
use crate::json::Json;
use crate::message::{Message, Request};
use crate::meta::{Declared, RequestMeta};
use crate::method;
use crate::revision::{Era, Revision};

pub use crate::method::removed_in_modern;
pub use headers::{Field, Headers, MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
pub use param_headers::{ParamHeader, ParamKind, check_param_headers};
pub use text::{decode_text, encode_text};

/// What a message is part of.
#[allow(clippy::large_enum_variant, reason = "made and taken apart once per request; a box would cost an allocation")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// A self-describing message of the modern era; its headers agree with its body. The method may still be one that the era removed.
    Modern(Modern),
    /// A request that opens a legacy conversation.
    Initialize,
    /// Anything else of the legacy era.
    Legacy {
        /// The session header, form checked. Whether it exists and belongs to the caller is still open (404 if not).
        session: Option<Box<str>>,
        /// What `MCP-Protocol-Version` names; absent means 2025-03-26 or what the session knows.
        header_version: Option<Revision>,
    },
}

/// A modern message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modern {
    /// The revision it is written in, one that we serve.
    pub revision: Revision,
    /// Its metadata; on requests revision and client capabilities are present.
    pub meta: RequestMeta,
}

/// Tells the era of a message that came by POST or, with [`Headers::none`], over stdio.
///
/// Over stdio a notification or response without metadata looks legacy; there the caller knows how the process was opened.
///
/// # Errors
/// The refusals of reference, protocol sections 2.2, 2.3 and 4.1, each with the id of the request and its HTTP status: -32602 for missing
/// or malformed metadata, -32020 for headers, -32022 for a revision that is not served, -32600 for a message that may not be sent so.
pub fn classify(headers: &Headers<'_>, message: &Message) -> Result<Exchange, WireError> {
    decide(headers, message).map_err(|error| error.with_id(message.request_id().cloned()))
}

fn decide(headers: &Headers<'_>, message: &Message) -> Result<Exchange, WireError> {
    let meta = match message {
        Message::Response(_) => RequestMeta::default(),
        _ => RequestMeta::read(message.params())?,
    };
    if let Some(declared) = meta.revision.clone() {
        return modern(headers, message, &declared, meta);
    }
    if matches!(message, Message::Request(request) if request.method == method::INITIALIZE) {
        return Ok(Exchange::Initialize);
    }
    let session = headers.session_id()?;
    let header_version = headers.revision()?;
    match header_version {
        // With a session id the caller finds out whether the session speaks this revision: no legacy session does.
        Some(revision) if revision.era() == Era::Modern && session.is_none() => without_metadata(message, revision, meta),
        _ => Ok(Exchange::Legacy { session: session.map(Into::into), header_version }),
    }
}

/// The version header is modern, but the body does not say which revision it is.
fn without_metadata(message: &Message, revision: Revision, meta: RequestMeta) -> Result<Exchange, WireError> {
    match message {
        // Notifications need neither metadata nor matching headers.
        Message::Notification(_) => Ok(Exchange::Modern(Modern { revision, meta })),
        Message::Request(_) => Err(WireError::new(INVALID_PARAMS, "Invalid params: `_meta` needs io.modelcontextprotocol/protocolVersion")),
        Message::Response(_) => Err(WireError::new(INVALID_REQUEST, "Invalid request: a response may not be sent to this endpoint")),
    }
}

fn modern(headers: &Headers<'_>, message: &Message, declared: &Declared, meta: RequestMeta) -> Result<Exchange, WireError> {
    let request = match message {
        Message::Request(request) => Some(request),
        _ => None,
    };
    if request.is_some() && meta.client_capabilities.is_none() {
        return Err(WireError::new(INVALID_PARAMS, "Invalid params: `_meta` needs io.modelcontextprotocol/clientCapabilities"));
    }
    // A header that contradicts the body is the worse fault, so it is told first, even when the body names no known revision.
    if request.is_some() && !matches!(headers.protocol_version, Field::Absent) {
        agree(headers, &headers.protocol_version, MCP_PROTOCOL_VERSION, declared.as_str())?;
    }
    let revision = match declared {
        Declared::Known(revision) if revision.era() == Era::Modern => *revision,
        // A handshake revision exists, but cannot be spoken request by request: offer only those that can.
        Declared::Known(_) => return Err(unsupported(declared.as_str(), &Revision::MODERN)),
        Declared::Unknown(_) => return Err(unsupported(declared.as_str(), &Revision::SERVED)),
    };
    if let Some(request) = request {
        agree(headers, &headers.protocol_version, MCP_PROTOCOL_VERSION, revision.as_str())?;
        agree(headers, &headers.method, MCP_METHOD, &request.method)?;
        name_agrees(headers, request)?;
    }
    Ok(Exchange::Modern(Modern { revision, meta }))
}

/// -32022 with what we serve and what was asked for.
#[must_use]
pub fn unsupported_version(requested: &str) -> WireError {
    unsupported(Declared::read(requested).as_str(), &Revision::SERVED)
}

fn unsupported(requested: &str, supported: &[Revision]) -> WireError {
    let list = Json::from_serialize(supported).unwrap_or_else(|_| Json::from_static("[]"));
    let data = encode::object(&[("supported", &list), ("requested", &Json::from_text(requested))]);
    WireError::new(UNSUPPORTED_VERSION, "Unsupported protocol version").with_data(data)
}

fn mismatch(header: &str, what: &str) -> WireError {
    WireError::new(HEADER_MISMATCH, format!("Header mismatch: {header} {what}"))
}

/// The header must be there once and say exactly what the body says.
fn agree(headers: &Headers<'_>, field: &Field<'_>, name: &str, body: &str) -> Result<(), WireError> {
    if !headers.checked {
        return Ok(());
    }
    match field {
        Field::Text(text) if *text == body => Ok(()),
        Field::Text(_) => Err(mismatch(name, "does not match the body")),
        Field::Absent => Err(mismatch(name, "is missing")),
        Field::Malformed => Err(mismatch(name, "contains invalid characters")),
        Field::Doubled => Err(mismatch(name, "is given more than once")),
    }
}

/// The member of params that `Mcp-Name` repeats.
#[must_use]
pub fn named_by(method: &str) -> Option<&'static str> {
    match method {
        method::TOOLS_CALL | method::PROMPTS_GET => Some("name"),
        method::RESOURCES_READ => Some("uri"),
        method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => Some("taskId"),
        _ => None,
    }
}

fn name_agrees(headers: &Headers<'_>, request: &Request) -> Result<(), WireError> {
    let Some(member) = named_by(&request.method) else { return Ok(()) };
    let body = request.params.as_ref().and_then(|params| params.text_of(member));
    match (&headers.name, body) {
        // Params without a name are for the method to refuse; there is nothing to compare.
        (Field::Absent, None) => Ok(()),
        (Field::Text(_), None) if headers.checked => Err(mismatch(MCP_NAME, "names what the body does not")),
        (Field::Text(text), Some(body)) if headers.checked => match decode_text(text) {
            Some(decoded) if decoded == body => Ok(()),
            Some(_) => Err(mismatch(MCP_NAME, "does not match the body")),
            None => Err(mismatch(MCP_NAME, "is not valid Base64 of UTF-8 text")),
        },
        (field, body) => agree(headers, field, MCP_NAME, body.as_deref().unwrap_or_default()),
    }
}

/// The legacy session and the revision that the headers of an array of messages name.
///
/// # Errors
/// 400 or 404 for headers that cannot belong to a session; errors without id.
pub fn session_of_batch<'a>(headers: &Headers<'a>) -> Result<(Option<&'a str>, Option<Revision>), WireError> {
    Ok((headers.session_id()?, headers.revision()?))
}

/// The legacy session that a GET or DELETE belongs to, with the revision its header names.
///
/// # Errors
/// 405 for a request that is not of the legacy era, 400 or 404 for headers that cannot belong to a session; errors without id.
pub fn session_of_bare<'a>(headers: &Headers<'a>) -> Result<(&'a str, Option<Revision>), WireError> {
    let not_allowed = || WireError::new(INVALID_REQUEST, "Method not allowed: send a POST").with_status(405);
    let session = headers.session_id()?.ok_or_else(not_allowed)?;
    match headers.revision()? {
        Some(revision) if revision.era() == Era::Modern => Err(not_allowed()),
        revision => Ok((session, revision)),
    }
}
