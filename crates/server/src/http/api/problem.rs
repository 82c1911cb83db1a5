//! Refusals as problem details (RFC 9457).

use axum::body::Body;
use bailiwick_gateway::Denied;
use bailiwick_gateway::operations::{Fault, Wrong};
use bailiwick_model::Code;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::operation::Verb;
use super::{answer, envelope};

/// A refusal with its status and headers.
pub(crate) struct Problem {
    status: StatusCode,
    fault: Box<Fault>,
    headers: Box<HeaderMap>,
}

/// The body of every refusal (RFC 9457, with members of our own).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProblemDetails {
    /// Where the code is described.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The status again.
    status: u16,
    /// What happened.
    pub(crate) detail: String,
    /// The address that was asked.
    instance: String,
    /// The word of the one vocabulary of refusals.
    pub(crate) code: String,
    /// What the caller can do about it.
    pub(crate) hint: String,
    /// The event on the ledger that tells of it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event_id: Option<String>,
    /// What is wrong with the request, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemPart>,
}

/// One part of a request that cannot be used.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProblemPart {
    /// JSON pointer into the body (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// The name of a parameter or header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// The rule that is broken.
    detail: String,
}

impl From<Wrong> for ProblemPart {
    fn from(Wrong { place, rule }: Wrong) -> Self {
        let in_body = place.is_empty() || place.starts_with('/');
        let (pointer, parameter) = if in_body { (Some(place), None) } else { (None, Some(place)) };
        Self { pointer, parameter, detail: rule }
    }
}

impl Problem {
    /// 405, saying what there is.
    pub(crate) fn method(method: &Method, known: impl Iterator<Item = Verb>) -> Self {
        let allow = known
            .map(|verb| if verb == Verb::Get { "GET, HEAD".to_owned() } else { verb.method().to_string() })
            .collect::<Vec<_>>()
            .join(", ");
        let shown: String = method.as_str().chars().take(16).collect();
        let fault = Fault::new(Code::MethodNotAllowed, format!("there is no `{shown}` at this address"), format!("use one of: {allow}"));
        let mut problem = Self::from(fault);
        if let Ok(value) = HeaderValue::try_from(allow) {
            problem.headers.insert(header::ALLOW, value);
        }
        problem
    }

    pub(crate) fn into_response(self, path: &str) -> Response<Body> {
        let Self { status, fault, headers } = self;
        if status.is_server_error() {
            tracing::warn!(target: "ops", event = "operation_failed", code = %fault.code, cause = fault.cause.as_deref(), "{}", fault.message);
        }
        if envelope::covers(path) {
            let mut response = envelope::refused(status, *fault);
            response.headers_mut().extend(*headers);
            return response;
        }
        let details = ProblemDetails {
            kind: format!("/docs#{}", fault.code),
            title: status.canonical_reason().unwrap_or("Refused").to_owned(),
            status: status.as_u16(),
            detail: fault.message.into_owned(),
            instance: path.to_owned(),
            code: fault.code.to_string(),
            hint: fault.remedy.into_owned(),
            event_id: fault.event.map(|event| event.to_string()),
            errors: fault.errors.into_iter().map(ProblemPart::from).collect(),
        };
        let mut response = answer::of_type("application/problem+json", serde_json::to_string(&details).unwrap_or_default());
        *response.status_mut() = status;
        response.headers_mut().extend(*headers);
        response
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let mut headers = Box::new(HeaderMap::new());
        if let Some(seconds) = fault.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        Self { status: status(&fault), fault: Box::new(fault), headers }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let Denied { status, message, remedy, headers } = denied;
        let code = match status {
            StatusCode::UNAUTHORIZED => Code::Auth,
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => Code::PolicyDenied,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Code::Deadline,
            StatusCode::PAYLOAD_TOO_LARGE => Code::LimitExceeded,
            StatusCode::TOO_MANY_REQUESTS => Code::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            status if status.is_client_error() => Code::InvalidArgument,
            _ => Code::Internal,
        };
        Self { status, fault: Box::new(Fault::new(code, message, remedy)), headers }
    }
}

/// The status of a code. A request that is not as the document describes it is 400; one that is, but cannot be done as it stands, 422.
fn status(fault: &Fault) -> StatusCode {
    match fault.code {
        Code::InvalidArgument if fault.errors.is_empty() => StatusCode::UNPROCESSABLE_ENTITY,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Auth => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::Conflict | Code::NeedsAuthorization | Code::ServerNotActive => StatusCode::CONFLICT,
        Code::VersionConflict => StatusCode::PRECONDITION_FAILED,
        Code::IdempotencyMismatch | Code::InstructionRefused => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Expired => StatusCode::GONE,
        Code::EgressDenied => StatusCode::UNPROCESSABLE_ENTITY,
        Code::UpstreamError | Code::UpstreamProtocol | Code::UpstreamUnreachable | Code::UpstreamAuth | Code::UpstreamRedirect => {
            StatusCode::BAD_GATEWAY
        }
        Code::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::AuditUnavailable | Code::Sealed | Code::ShuttingDown | Code::LimitExceeded => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
