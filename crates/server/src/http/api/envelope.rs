//! The shapes that clients of the roboto seed know (reference, governance 5.3): `{"data": ...}`, `{"error": {"error_code", "message"}}`, and
//! the organisation in a header. They hold for everything below [`PLACES`], also where no operation is; the rest of the API has its own.

use axum::body::Body;
use bailiwick_gateway::operations::Fault;
use bailiwick_model::OrgId;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer;
use super::problem::ProblemPart;

/// Names the organisation to act in.
pub(crate) const ORG: HeaderName = HeaderName::from_static("x-roboto-org-id");

/// Where these shapes hold.
const PLACES: [&str; 2] = ["/v1/mcp/", "/v1/admin/mcp/"];

/// Whether they hold at this path.
pub(crate) fn covers(path: &str) -> bool {
    PLACES.iter().any(|place| path.starts_with(place))
}

/// A success.
#[derive(Serialize, Deserialize)]
pub(crate) struct Data<T> {
    pub(crate) data: T,
}

/// The body of a refusal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorDetails,
}

/// What was refused, and why.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorDetails {
    /// The word of the one vocabulary of refusals.
    pub(crate) error_code: String,
    /// What happened.
    pub(crate) message: String,
    /// What the caller can do about it.
    pub(crate) hint: String,
    /// The event on the ledger that tells of it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event_id: Option<String>,
    /// What is wrong with the request, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemPart>,
}

/// A refusal in this shape. What is invalid is 400 however it is, what contradicts is 409.
pub(crate) fn refused(status: StatusCode, fault: Fault) -> Response<Body> {
    let status = match status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        StatusCode::PRECONDITION_FAILED => StatusCode::CONFLICT,
        status => status,
    };
    let error = ErrorDetails {
        error_code: fault.code.to_string(),
        message: fault.message.into_owned(),
        hint: fault.remedy.into_owned(),
        event_id: fault.event.map(|event| event.to_string()),
        errors: fault.errors.into_iter().map(ProblemPart::from).collect(),
    };
    let mut response = answer::of_type("application/json", serde_json::to_string(&ErrorBody { error }).unwrap_or_default());
    *response.status_mut() = status;
    response
}

/// The organisation that a request names, if it names one.
///
/// # Errors
/// For a name that no organisation has, and for two.
pub(crate) fn org(headers: &HeaderMap) -> Result<Option<OrgId>, Fault> {
    let mut given = headers.get_all(ORG).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let read = value.to_str().ok().and_then(|text| OrgId::parse(text).ok()).filter(|_| given.next().is_none());
    read.map(Some).ok_or_else(|| Fault::invalid("X-Roboto-Org-Id", "the name of one organisation"))
}
