//! Answers: JSON, never cached, never guessed at.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// Says that an answer was kept from an earlier request of the same name.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A success.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// The version of what is shown.
    pub(crate) version: Option<i64>,
    /// JSON; `None` with 204.
    pub(crate) body: Option<String>,
    /// Whether it was kept from an earlier request.
    pub(crate) replayed: bool,
}

impl Reply {
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = match self.body {
            Some(text) => of_type("application/json", text),
            None => bare(Body::empty()),
        };
        *response.status_mut() = self.status;
        if let Some(tag) = self.version.and_then(|version| HeaderValue::try_from(format!("\"{version}\"")).ok()) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        if self.replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// An answer of a media type.
pub(crate) fn of_type(media_type: &'static str, text: impl Into<Body>) -> Response<Body> {
    let mut response = bare(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn bare(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
