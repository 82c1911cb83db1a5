//! Faults of a request before it became a message, as HTTP answers.

use std::borrow::Cow;

use bailiwick_mcp::http_rules;
use bailiwick_mcp::{Frame, RpcError, encode, error};
use http::{HeaderValue, Response, StatusCode, header};

use crate::body::AnswerBody;
use crate::tokens::{self, Fingerprint, Resource};

/// A refusal at the door.
#[derive(Debug)]
pub(crate) struct HttpFault {
    status: StatusCode,
    message: Cow<'static, str>,
    remedy: &'static str,
    /// `WWW-Authenticate`, when the status is 401 or a scope is missing.
    challenge: Option<Box<Challenge>>,
    /// For the record.
    cause: Option<Box<Cause>>,
    /// `Allow`, when the status is 405.
    allow: Option<&'static str>,
    retry_after: Option<u16>,
}

/// The parts of `WWW-Authenticate: Bearer` (RFC 6750 section 3, RFC 9728 section 5.1).
#[derive(Debug, Default)]
struct Challenge {
    metadata: String,
    scope: String,
    error: Option<&'static str>,
}

/// What the record says of a refused credential.
#[derive(Debug)]
pub(crate) struct Cause {
    /// A word.
    pub(crate) reason: &'static str,
    /// What stands for the token.
    pub(crate) fingerprint: Fingerprint,
}

impl HttpFault {
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>, remedy: &'static str) -> Self {
        Self { status, message: message.into(), remedy, challenge: None, cause: None, allow: None, retry_after: None }
    }

    /// The status 401: with keys alone there are no discovery documents, so the challenge names none (ecosystem reference 1.4); see
    /// [`HttpFault::pointing_to`]. `error` is left out when there was no credential (RFC 6750 section 3.1).
    pub(crate) fn unauthorized(message: &'static str, error: Option<&'static str>) -> Self {
        let fault = Self::new(
            StatusCode::UNAUTHORIZED,
            message,
            "send `Authorization: Bearer KEY`; an operator makes one with `bailiwick key create`",
        );
        Self { challenge: Some(Box::new(Challenge { error, ..Challenge::default() })), ..fault }
    }

    /// What a refused token gets to hear; the reason itself goes to the record.
    pub(crate) fn refused_token(refusal: &tokens::Refusal) -> Self {
        let fault = match refusal.reason {
            tokens::Reason::KeysUnavailable => Self::unavailable("the keys of the token's issuer cannot be had at the moment"),
            tokens::Reason::ScopeMissing => {
                let fault = Self::new(StatusCode::FORBIDDEN, "the token lacks a scope", "get a token with every scope of the challenge");
                let scope = refusal.scopes.join(" ");
                let challenge = Challenge { scope, error: Some("insufficient_scope"), ..Challenge::default() };
                Self { challenge: Some(Box::new(challenge)), ..fault }
            }
            _ => Self::unauthorized("the token is not valid", Some("invalid_token")),
        };
        let cause = Cause { reason: refusal.reason.as_str(), fingerprint: refusal.fingerprint };
        Self { cause: Some(Box::new(cause)), ..fault }
    }

    /// The same, telling clients where they read how to get a token for the endpoint of `server` or the one of all.
    pub(crate) fn pointing_to(mut self, resource: &Resource, server: Option<&str>) -> Self {
        if let Some(challenge) = &mut self.challenge {
            challenge.metadata = resource.document_url(server);
            if challenge.scope.is_empty() {
                challenge.scope = resource.scope();
            }
        }
        if self.status == StatusCode::UNAUTHORIZED {
            self.remedy = "get a token from an authorization server that the resource's metadata names, or an API key from an operator";
        }
        self
    }

    /// What the record says.
    pub(crate) fn cause(&self) -> Option<&Cause> {
        self.cause.as_deref()
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

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn remedy(&self) -> &'static str {
        self.remedy
    }

    /// The body is a JSON-RPC error without id, so that every client can show it.
    pub(crate) fn into_response(self) -> Response<AnswerBody> {
        let text = format!("{}; {}", self.message, self.remedy);
        let fault = RpcError::new(error::INVALID_REQUEST, text);
        let mut response = json_response(self.status, encode::error(None, &fault));
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge.and_then(|challenge| challenge.to_header()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
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

impl Challenge {
    fn to_header(&self) -> Option<HeaderValue> {
        let error = self.error.unwrap_or_default();
        // None of them can hold a quote: addresses are encoded, scopes checked when the configuration is read.
        let parts = [("resource_metadata", self.metadata.as_str()), ("scope", self.scope.as_str()), ("error", error)];
        let parts: Vec<String> =
            parts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        HeaderValue::try_from(format!("Bearer {}", parts.join(", ")).trim_end()).ok()
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
