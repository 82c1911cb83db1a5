//! Calls to Grafana's HTTP API, each with the service account's token.

use bailiwick_model::Code;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::context::CallContext;
use crate::egress::{HttpAnswer, HttpClient, HttpRequest};
use crate::fault::ToolFault;
use crate::service::{json_body, success};
use crate::withheld::Withheld;

/// Entries asked for in one page of a list; the most that Grafana gives for folders by default.
pub(super) const PAGE_ENTRIES: usize = 1_000;
/// Pages read of one list.
const PAGES_MAX: usize = 20;

/// The door to one Grafana.
pub(super) struct Api {
    pub(super) client: HttpClient,
    pub(super) authorization: HeaderValue,
    pub(super) withheld: Withheld,
}

impl Api {
    /// The answer to a GET of `path`, which is percent-encoded.
    pub(super) async fn get(&self, path: &str, context: CallContext<'_>) -> Result<Value, ToolFault> {
        json_body(&self.checked(self.send(Method::GET, path, None, context).await?)?)
    }

    /// The same; `None` when there is no such thing.
    pub(super) async fn find(&self, path: &str, context: CallContext<'_>) -> Result<Option<Value>, ToolFault> {
        let answer = self.send(Method::GET, path, None, context).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(None) } else { json_body(&self.checked(answer)?).map(Some) }
    }

    /// All entries of a list that is given in pages; `path` ends where `limit` and `page` follow.
    pub(super) async fn list(&self, path: &str, what: &str, context: CallContext<'_>) -> Result<Vec<Value>, ToolFault> {
        let mut all = Vec::new();
        for page in 1..=PAGES_MAX {
            let entries = array(self.get(&format!("{path}limit={PAGE_ENTRIES}&page={page}"), context).await?)?;
            let is_last = entries.len() < PAGE_ENTRIES;
            all.extend(entries);
            if is_last {
                return Ok(all);
            }
        }
        let most = PAGES_MAX * PAGE_ENTRIES;
        Err(ToolFault::limit("entries", most as u64, format!("there are more than {most} {what}"), "ask the operator to tidy up"))
    }

    /// The answer to a POST of `body`, whatever its status.
    pub(super) async fn post_raw(&self, path: &str, body: &Value, context: CallContext<'_>) -> Result<HttpAnswer, ToolFault> {
        self.send(Method::POST, path, Some(body), context).await
    }

    /// The answer to a POST of `body`.
    pub(super) async fn post(&self, path: &str, body: &Value, context: CallContext<'_>) -> Result<Value, ToolFault> {
        json_body(&self.checked(self.post_raw(path, body, context).await?)?)
    }

    pub(super) async fn delete(&self, path: &str, context: CallContext<'_>) -> Result<(), ToolFault> {
        self.checked(self.send(Method::DELETE, path, None, context).await?).map(drop)
    }

    /// The answer when its status says that it went well.
    pub(super) fn checked(&self, answer: HttpAnswer) -> Result<HttpAnswer, ToolFault> {
        success(self.withheld.clean_refusal(answer))
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>, context: CallContext<'_>) -> Result<HttpAnswer, ToolFault> {
        let mut request = HttpRequest::new(method, self.client.base().at(path)).with(header::AUTHORIZATION, self.authorization.clone());
        if let Some(body) = body {
            request = request.with_body("application/json", body.to_string());
        }
        self.client.send(request, context).await.map_err(ToolFault::from).map_err(|mut fault| {
            fault.cause = fault.cause.map(|cause| self.withheld.clean(&cause));
            fault
        })
    }
}

/// The entries of an answer that has to be a list.
pub(super) fn array(value: Value) -> Result<Vec<Value>, ToolFault> {
    match value {
        Value::Array(entries) => Ok(entries),
        _ => Err(unreadable("a list was expected")),
    }
}

/// The text under `key` of an answer that has to have one.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, ToolFault> {
    value[key].as_str().ok_or_else(|| unreadable("a text was expected"))
}

fn unreadable(cause: &str) -> ToolFault {
    ToolFault::new(Code::UpstreamProtocol, "Grafana's answer is not what its API documents", "ask the operator to look at Grafana")
        .because(cause)
}
