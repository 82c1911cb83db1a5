//! The requests of the HTTP API of InfluxDB 2.x that the tools need.

use bailiwick_model::Code;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::context::CallContext;
use crate::egress::{HttpAnswer, HttpClient, HttpRequest, segment};
use crate::fault::ToolFault;
use crate::service;

/// The form of an organisation's identifier: 16 hexadecimal digits.
const ID_BYTES: usize = 16;

pub(super) struct Server {
    client: HttpClient,
    authorization: HeaderValue,
    /// Name or identifier of the organisation there.
    org: String,
    org_id: OnceCell<String>,
}

impl Server {
    pub(super) fn new(client: HttpClient, authorization: HeaderValue, org: String) -> Self {
        Self { client, authorization, org, org_id: OnceCell::new() }
    }

    fn request(&self, method: Method, path: &str, parameters: &[(&str, &str)]) -> HttpRequest {
        let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", segment(value))).collect();
        let target = self.client.base().at(&format!("{path}?{}", pairs.join("&")));
        HttpRequest::new(method, target.trim_end_matches('?').to_owned()).with(header::AUTHORIZATION, self.authorization.clone())
    }

    async fn send(&self, request: HttpRequest, accept: &'static str, context: CallContext<'_>) -> Result<HttpAnswer, ToolFault> {
        Ok(self.client.send(request.with(header::ACCEPT, HeaderValue::from_static(accept)), context).await?)
    }

    /// Runs Flux and gives the annotated CSV.
    pub(super) async fn query(&self, flux: &str, context: CallContext<'_>) -> Result<Bytes, ToolFault> {
        let dialect = json!({
            "annotations": ["datatype", "group", "default"], "commentPrefix": "#", "dateTimeFormat": "RFC3339", "delimiter": ",", "header": true,
        });
        let body = json!({ "query": flux, "type": "flux", "dialect": dialect });
        let request = self.request(Method::POST, "/api/v2/query", &[("org", &self.org)]).with_body("application/json", body.to_string());
        Ok(service::success(self.send(request, "application/csv", context).await?)?.body)
    }

    /// Writes line protocol with times in nanoseconds.
    pub(super) async fn write(&self, bucket: &str, lines: String, context: CallContext<'_>) -> Result<(), ToolFault> {
        let parameters = [("org", self.org.as_str()), ("bucket", bucket), ("precision", "ns")];
        let request = self.request(Method::POST, "/api/v2/write", &parameters).with_body("text/plain; charset=utf-8", lines);
        service::success(self.send(request, "application/json", context).await?).map(drop)
    }

    /// Deletes what `predicate` selects.
    pub(super) async fn delete(&self, bucket: &str, selection: &Value, context: CallContext<'_>) -> Result<(), ToolFault> {
        let request = self.request(Method::POST, "/api/v2/delete", &[("org", &self.org), ("bucket", bucket)]);
        let request = request.with_body("application/json", selection.to_string());
        service::success(self.send(request, "application/json", context).await?).map(drop)
    }

    /// Whether the organisation has a bucket of exactly this name.
    pub(super) async fn has_bucket(&self, name: &str, context: CallContext<'_>) -> Result<bool, ToolFault> {
        let request = self.request(Method::GET, "/api/v2/buckets", &[("org", &self.org), ("name", name)]);
        let answer = self.send(request, "application/json", context).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let found = service::json_body(&service::success(answer)?)?;
        Ok(found["buckets"].as_array().is_some_and(|all| all.iter().any(|bucket| bucket["name"] == *name)))
    }

    /// Creates a bucket whose points live for `days`, for ever with 0.
    ///
    /// # Errors
    /// `already_exists` when the server has one of this name.
    pub(super) async fn create_bucket(&self, name: &str, days: u64, context: CallContext<'_>) -> Result<(), ToolFault> {
        let org_id = self.org_id.get_or_try_init(|| self.find_org(context)).await?;
        let rules = if days == 0 { json!([]) } else { json!([{ "type": "expire", "everySeconds": days * 86_400 }]) };
        let body = json!({ "orgID": org_id, "name": name, "retentionRules": rules });
        let request = self.request(Method::POST, "/api/v2/buckets", &[]).with_body("application/json", body.to_string());
        let answer = self.send(request, "application/json", context).await?;
        let conflict = answer.status.is_client_error() && service::json_body(&answer).is_ok_and(|body| body["code"] == "conflict");
        if conflict { Err(exists()) } else { service::success(answer).map(drop) }
    }

    async fn find_org(&self, context: CallContext<'_>) -> Result<String, ToolFault> {
        if self.org.len() == ID_BYTES && self.org.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(self.org.clone());
        }
        let request = self.request(Method::GET, "/api/v2/orgs", &[("org", &self.org)]);
        let found = service::json_body(&service::success(self.send(request, "application/json", context).await?)?)?;
        let named = found["orgs"].as_array().into_iter().flatten().find(|org| org["name"] == self.org.as_str());
        let unknown =
            || ToolFault::new(Code::UpstreamError, "the service does not know the organisation", "ask the operator to correct `org`");
        named.and_then(|org| org["id"].as_str()).map(str::to_owned).ok_or_else(unknown)
    }
}

/// The name is taken, by whomever.
pub(super) fn exists() -> ToolFault {
    ToolFault::new(
        Code::AlreadyExists,
        "there is a bucket of this name already",
        "choose another name, or ask the operator to allow the bucket",
    )
}
