//! Faults of a request before it became a message, as HTTP answers.

use std::borrow::Cow;

use bailiwick_mcp::http_rules;
use bailiwick_mcp::{Frame, RpcError, encode, error};
use http::{HeaderValue, Response, StatusCode, header};

use crate::body::AnswerBody;

/// A refusal at the door.
#[derive(Debug)]
pub(crate) struct HttpFault {
    status: StatusCode,
    message: Cow<'static, str>,
    remedy: &'static str,
    /// `WWW-Authenticate`, when the status is 401.
    challenge: Option<&'static str>,
    /// `Allow`, when the status is 405.
    allow: Option<&'static str>,
    retry_after: Option<u16>,
}

impl HttpFault {
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>, remedy: &'static str) -> Self {
        Self { status, message: message.into(), remedy, challenge: None, allow: None, retry_after: None }
    }

    /// 401. `auth: key` publishes no discovery documents, so the challenge names none (ecosystem reference 1.4).
    pub(crate) fn unauthorized(message: &'static str, challenge: &'static str) -> Self {
        let fault = Self::new(
            StatusCode::UNAUTHORIZED,
            message,
            "send `Authorization: Bearer KEY`; an operator makes one with `bailiwick key create`",
        );
        Self { challenge: Some(challenge), ..fault }
    }

    pub(crate) fn method_not_allowed() -> Self {
        let fault = Self::new(StatusCode::METHOD_NOT_ALLOWED, "this endpoint takes POST", "send one JSON-RPC message by POST");
        Self { allow: Some("POST"), ..fault }
    }

    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        let fault = Self::new(StatusCode::SERVICE_UNAVAILABLE, message, "try again in a moment");
        Self { retry_after: Some(1), ..fault }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The body is a JSON-RPC error without id, so that every client can show it.
    pub(crate) fn into_response(self) -> Response<AnswerBody> {
        let text = format!("{}; {}", self.message, self.remedy);
        let fault = RpcError::new(error::INVALID_REQUEST, text);
        let mut response = json_response(self.status, encode::error(None, &fault));
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<http_rules::Refusal> for HttpFault {
    fn from(refusal: http_rules::Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let remedy = match status {
            StatusCode::FORBIDDEN => "an operator allows it with `allowed_hosts` or `allowed_origins`",
            StatusCode::NOT_ACCEPTABLE => "send `Accept: application/json, text/event-stream`",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "send `Content-Type: application/json` without `Content-Encoding`",
            _ => "correct the request",
        };
        Self::new(status, refusal.reason(), remedy)
    }
}

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, frame: Frame) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(frame));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
