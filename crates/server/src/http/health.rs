//! `/livez`, `/readyz`, `/health`: what probes ask (reference, ecosystem section 4). No tenant data: nobody has to sign in here.

use axum::extract::RawQuery;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::routes::answer;

/// What the program says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether a load balancer may send calls here.
    pub ready: bool,
    /// The parts that readiness depends on, in the order in which they start.
    pub parts: Vec<Part>,
    /// Whether something else than these parts does not work, such as a server: calls are served, not all of them well.
    pub degraded: bool,
    /// How many of what: numbers only, e.g. `servers_failing`.
    pub counts: Vec<(String, u64)>,
}

/// One part of the program as last observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// A fixed word, e.g. `database`; never a name from a tenant's configuration.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
}

/// `/livez`: the process answers.
pub(super) fn live() -> Response {
    answer(StatusCode::OK, &json!({"status": "ok"}))
}

/// `/readyz`: 200 or 503; with `?verbose` each part by name.
pub(super) fn ready(health: &Health, RawQuery(query): &RawQuery) -> Response {
    let mut body = json!({"status": if health.ready { "ok" } else { "unavailable" }});
    let verbose = query.as_deref().is_some_and(|text| text.split('&').any(|pair| pair.split('=').next() == Some("verbose")));
    if verbose {
        let parts = health.parts.iter().map(|part| json!({"name": part.name, "ok": part.ok}));
        body["parts"] = Value::Array(parts.collect());
    }
    answer(status(health.ready), &body)
}

/// `/health`: counts only; 503 when anything is degraded.
pub(super) fn counts(health: &Health) -> Response {
    let degraded = health.parts.iter().filter(|part| !part.ok).count();
    let healthy = health.ready && degraded == 0 && !health.degraded;
    let mut body = json!({"status": if healthy { "ok" } else { "degraded" }, "parts": health.parts.len(), "parts_degraded": degraded});
    for (name, count) in &health.counts {
        body[name.as_str()] = json!(count);
    }
    answer(status(healthy), &body)
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
