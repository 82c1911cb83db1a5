//! Opens `influxdb` over a fake server.

use std::sync::Arc;

use bailiwick_modules::{Access, Host};
use serde_json::{Value, json};

use crate::service::{FakeService, Received, RecordingNetwork, Reply, host};
use crate::support::{Agent, try_open_on};

pub(crate) const TOKEN: &str = "canary-7Q2x==";

/// What a query without rows answers.
pub(crate) const NO_ROWS: &str = "\r\n";

pub(crate) fn config() -> Value {
    json!({ "org": "acme", "buckets": ["telemetry", "odd \"b${1}\\"] })
}

pub(crate) fn open_as(id: &str, host: &Host, service: &FakeService, access: Option<Access>, config: &Value) -> Agent {
    let credentials = [("INFLUXDB_URL", service.url()), ("INFLUXDB_TOKEN", TOKEN.to_owned())];
    let credentials: Vec<(&str, &str)> = credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
    try_open_on(host, "influxdb", id, access, config, &credentials).unwrap()
}

pub(crate) fn network() -> Host {
    host(Arc::new(RecordingNetwork::default()))
}

/// An agent `agent-1` and its server.
pub(crate) async fn agent(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Agent, FakeService) {
    let service = FakeService::start(answer).await;
    (open_as("agent-1", &network(), &service, None, &config()), service)
}

/// A server that answers every query with `csv`.
pub(crate) async fn answering(csv: &'static str) -> (Agent, FakeService) {
    agent(move |_| Reply::new(200, csv).with("content-type", "text/csv; charset=utf-8")).await
}

/// The Flux of the newest request.
pub(crate) fn flux(service: &FakeService) -> String {
    service.received().last().unwrap().json()["query"].as_str().unwrap().to_owned()
}

/// Name and value of every header but those that the client sets for itself.
pub(crate) fn headers(request: &Received) -> Vec<(&str, &str)> {
    let own = ["host", "user-agent", "accept-encoding", "content-length"];
    let mut all: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.retain(|(name, _)| !own.contains(name));
    all.sort_unstable();
    all
}
