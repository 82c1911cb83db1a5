//! One JSON-RPC message: reading it strictly, keeping its values as text.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::error::{INVALID_REQUEST, RpcError, WireError};
use crate::json::{FaultKind, Json, Kind, Limits, Part, push_string};
use crate::request_id::RequestId;

/// Longest id text; ids are echoed and kept while a call runs.
pub const ID_BYTES_MAX: usize = 1024;
/// Longest method name; methods are compared, logged and sent in headers.
pub const METHOD_BYTES_MAX: usize = 256;

/// Id of a request. Numbers are exact: a fraction, an exponent or more than 64 bits is refused rather than rounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// An integer within `i64`.
    Integer(i64),
    /// An integer above `i64::MAX` within `u64`.
    Unsigned(u64),
    /// A string of at most [`ID_BYTES_MAX`] bytes.
    Text(Box<str>),
}

impl Id {
    /// Reads the value of an `id` member; None for anything that is no valid id, `null` included.
    #[must_use]
    pub fn read(value: &Json) -> Option<Self> {
        match value.kind() {
            Kind::String => value.string().filter(|text| text.len() <= ID_BYTES_MAX).map(|text| Self::Text(text.into())),
            Kind::Number => value.integer().map(Self::Integer).or_else(|| value.unsigned().map(Self::Unsigned)),
            _ => None,
        }
    }

    /// Appends the id as JSON.
    pub(crate) fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(number) => push_display(out, number),
            Self::Unsigned(number) => push_display(out, number),
            Self::Text(text) => push_string(out, text),
        }
    }

    /// The id as JSON text.
    #[must_use]
    pub fn as_json(&self) -> Json {
        let mut out = Vec::new();
        self.push(&mut out);
        Json::checked(out.into())
    }
}

/// Appends what `value` displays; writing to memory cannot fail.
pub(crate) fn push_display(out: &mut Vec<u8>, value: impl fmt::Display) {
    let _ = std::io::Write::write_fmt(out, format_args!("{value}"));
}

impl From<i64> for Id {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Id {
    /// The same number gives the same id, whichever type it came from.
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Unsigned(number), Self::Integer)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl fmt::Display for Id {
    /// The id as JSON, so that `1` and `"1"` can be told apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_json().as_str())
    }
}

/// A message that wants an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id, unique among the sender's open requests.
    pub id: Id,
    /// What to do; borrowed for the methods of the protocol.
    pub method: Cow<'static, str>,
    /// An object when present.
    pub params: Option<Json>,
}

/// A message that wants none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What happened.
    pub method: Cow<'static, str>,
    /// An object when present.
    pub params: Option<Json>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Id of the request; None only for an error about a request that could not be read.
    pub id: Option<Id>,
    /// The `result` value as it came, or the error.
    pub outcome: Result<Json, RpcError>,
}

/// Any message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A notification.
    Notification(Notification),
    /// A response.
    Response(Response),
}

impl Message {
    /// Method of a request or notification.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::Request(request) => Some(&request.method),
            Self::Notification(notification) => Some(&notification.method),
            Self::Response(_) => None,
        }
    }

    /// Parameters of a request or notification.
    #[must_use]
    pub fn params(&self) -> Option<&Json> {
        match self {
            Self::Request(request) => request.params.as_ref(),
            Self::Notification(notification) => notification.params.as_ref(),
            Self::Response(_) => None,
        }
    }

    /// Id of a request; an answer to it carries the same.
    #[must_use]
    pub const fn request_id(&self) -> Option<&Id> {
        match self {
            Self::Request(request) => Some(&request.id),
            _ => None,
        }
    }
}

/// Reads exactly one message from `body`. Values share the memory of `body`.
///
/// Members that JSON-RPC does not define are ignored. `params: null` counts as absent, since some senders write it.
///
/// # Errors
/// -32700 for what is not JSON; -32600 for what is no single JSON-RPC message, crosses a limit or has a member name twice. The id is given
/// whenever it could be read, even from a request that is no JSON, as long as its brackets and quotes hold.
pub fn decode(body: Bytes, limits: &Limits) -> Result<Message, WireError> {
    let json = Json::inspect_or_peek(body.clone(), limits, "id").map_err(|(fault, peeked)| {
        let id = match fault.kind {
            // What the check has moved past proves nothing without syntax: brackets and quotes must hold to the end.
            FaultKind::Syntax | FaultKind::Utf8 | FaultKind::Number => RequestId::of(&body),
            _ => peeked.as_ref().and_then(Id::read).or_else(|| RequestId::of(&body)),
        };
        WireError::from(fault).with_id(id)
    })?;
    read(&json)
}

/// Reads the message from checked text.
///
/// # Errors
/// As [`decode`], without the errors of the check.
pub fn read(json: &Json) -> Result<Message, WireError> {
    match json.kind() {
        Kind::Object => {}
        Kind::Array => return Err(invalid("a body holds exactly one message; batches were removed in 2025-06-18")),
        _ => return Err(invalid("a message is an object")),
    }
    let envelope = Envelope::read(json);
    envelope.message().map_err(|error| error.with_id(json.member("id").as_ref().and_then(Id::read)))
}

fn invalid(what: &'static str) -> WireError {
    WireError::new(INVALID_REQUEST, format!("Invalid request: {what}"))
}

#[derive(Default)]
struct Envelope {
    version_right: bool,
    id: IdMember,
    method: Option<Result<Cow<'static, str>, WireError>>,
    params: Option<Json>,
    result: Option<Json>,
    error: Option<Json>,
}

#[derive(Default)]
enum IdMember {
    #[default]
    Absent,
    Null,
    Valid(Id),
    Invalid,
}

impl Envelope {
    fn read(json: &Json) -> Self {
        let mut envelope = Self::default();
        json.each_member(|name, value| match name {
            "jsonrpc" => envelope.version_right = value.raw() == b"\"2.0\"" || value.string().is_some_and(|text| text == "2.0"),
            "id" => envelope.id = IdMember::read(&value.to_json()),
            "method" => envelope.method = Some(method_name(value)),
            "params" => envelope.params = Some(value.to_json()).filter(|params| !params.is_null()),
            "result" => envelope.result = Some(value.to_json()),
            "error" => envelope.error = Some(value.to_json()),
            _ => {}
        });
        envelope
    }

    fn message(self) -> Result<Message, WireError> {
        if !self.version_right {
            return Err(invalid("`jsonrpc` must be \"2.0\""));
        }
        let Some(method) = self.method else { return self.response() };
        if self.result.is_some() || self.error.is_some() {
            return Err(invalid("a message with `method` has neither `result` nor `error`"));
        }
        let (method, params) = (method?, self.params);
        if params.as_ref().is_some_and(|params| !params.is_object()) {
            return Err(invalid("`params` must be an object"));
        }
        match self.id {
            IdMember::Absent => Ok(Message::Notification(Notification { method, params })),
            IdMember::Valid(id) => Ok(Message::Request(Request { id, method, params })),
            IdMember::Null | IdMember::Invalid => Err(invalid(INVALID_ID)),
        }
    }

    fn response(self) -> Result<Message, WireError> {
        let id = match self.id {
            IdMember::Valid(id) => Some(id),
            IdMember::Absent | IdMember::Null => None,
            IdMember::Invalid => return Err(invalid(INVALID_ID)),
        };
        match (self.result, self.error) {
            (Some(result), None) if id.is_some() => Ok(Message::Response(Response { id, outcome: Ok(result) })),
            (Some(_), None) => Err(invalid("a result needs the `id` of its request")),
            (None, Some(error)) => Ok(Message::Response(Response { id, outcome: Err(rpc_error(&error)?) })),
            (Some(_), Some(_)) => Err(invalid("a response has either `result` or `error`")),
            (None, None) => Err(invalid("a message needs `method`, `result` or `error`")),
        }
    }
}

const INVALID_ID: &str = "`id` must be a string of at most 1024 bytes or an integer of at most 64 bits";

impl IdMember {
    fn read(value: &Json) -> Self {
        if value.is_null() { Self::Null } else { Id::read(value).map_or(Self::Invalid, Self::Valid) }
    }
}

fn method_name(value: Part<'_>) -> Result<Cow<'static, str>, WireError> {
    let name = value.string().ok_or_else(|| invalid("`method` must be a string"))?;
    if name.len() > METHOD_BYTES_MAX {
        return Err(invalid("`method` is longer than 256 bytes"));
    }
    Ok(match crate::method::known(&name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.into_owned()),
    })
}

fn rpc_error(value: &Json) -> Result<RpcError, WireError> {
    let code = value.member("code").and_then(|code| code.integer());
    let code = code.ok_or_else(|| invalid("`error` needs an integer `code`"))?;
    let message = value.text_of("message").ok_or_else(|| invalid("`error` needs a `message` text"))?;
    Ok(RpcError { code, message: Cow::Owned(message.into_owned()), data: value.member("data") })
}
