//! The calls of each example, in an order in which each finds what it needs. Together they name every tool the agent sees.

use serde_json::{Value, json};

/// Tools and their arguments.
pub(super) type Calls = Vec<(&'static str, Value)>;

/// One manifest, whose agent, and its calls.
pub(super) struct Script {
    /// Beneath the folder of the examples.
    pub(super) file: &'static str,
    pub(super) agent: &'static str,
    pub(super) calls: Calls,
    /// Calls that the manifest gives to a person first, or to nobody, and the word they are refused with.
    pub(super) refused: &'static [(&'static str, &'static str)],
}

impl Script {
    pub(super) fn new(file: &'static str, agent: &'static str, calls: &[Calls]) -> Self {
        Self { file, agent, calls: calls.concat(), refused: &[] }
    }

    pub(super) fn refusing(mut self, refused: &'static [(&'static str, &'static str)]) -> Self {
        self.refused = refused;
        self
    }
}

/// The examples of this repository.
pub(super) fn ours() -> Vec<Script> {
    let search = json!({"query": "x"});
    vec![
        Script::new("build-agent.yml", "build-01", &[files("filesystem", true), writing_tables(), reading_tables()]),
        Script::new("dashboards-agent.yml", "dashboards-01", &[writing_dashboards(), dashboards("Loki")]),
        Script::new("docs-agent.yml", "docs-01", &[files("handbook", false), files("drafts", true)])
            .refusing(&[("drafts_delete_file", "approval_required")]),
        Script::new("metrics-agent.yml", "metrics-01", &[metrics("telemetry"), writing_metrics("telemetry")]),
        Script::new("monitor-agent.yml", "monitor-01", &[metrics("metrics"), dashboards("Metrics"), bell(), status("status")]),
        Script::new("notify-agent.yml", "notify-01", &[bell(), messages("ops@example.org", "!OGEhHVWSdvArJzumhm:matrix.example")]),
        Script::new(
            "ops-agent.yml",
            "ops-01",
            &[
                metrics("alerts"),
                writing_metrics("metrics"),
                dashboards("Metrics"),
                writing_dashboards(),
                bell(),
                files("filesystem", true),
            ],
        ),
        Script::new("proxy-agent.yml", "queue-01", &[vec![("task-queue_push", search.clone())]]),
        Script::new("research-agent.yml", "research-01", &[files("filesystem", false), reading_tables()]),
        Script::new("scoped-agent.yml", "scoped-01", &[vec![("tickets__find", search.clone())]]),
        Script::new("services-agent.yml", "services-01", &[services()])
            .refusing(&[("http_proxy_put", "scope_violation"), ("http_proxy_delete", "scope_violation")]),
        Script::new("support-agent.yml", "support-01", &[vec![("tickets__find", search.clone()), ("search__web", search)]]),
    ]
}

pub(super) fn files(key: &str, write: bool) -> Calls {
    let tools: [(&str, Value); 4] = [
        ("write_file", json!({"path": "note.txt", "content": "hello"})),
        ("read_file", json!({"path": "note.txt"})),
        ("list_dir", json!({})),
        ("delete_file", json!({"path": "note.txt"})),
    ];
    let wanted = |(tool, _): &(&str, Value)| write || matches!(*tool, "read_file" | "list_dir");
    let named = |(tool, arguments): (&str, Value)| (leak(format!("{key}_{tool}")), arguments);
    tools.into_iter().filter(wanted).map(named).collect()
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

pub(super) fn reading_tables() -> Calls {
    vec![("sqlite_list_tables", json!({})), ("sqlite_query", json!({"sql": "SELECT 1 AS one"}))]
}

pub(super) fn writing_tables() -> Calls {
    vec![
        ("sqlite_create_table", json!({"name": "t", "columns": {"id": "INTEGER PRIMARY KEY", "text": "TEXT"}})),
        ("sqlite_execute", json!({"sql": "INSERT INTO t (text) VALUES (?1)", "params": ["x"]})),
    ]
}

pub(super) fn bell() -> Calls {
    vec![("ntfy_send", json!({"title": "t", "message": "m"}))]
}

pub(super) fn metrics(bucket: &str) -> Calls {
    vec![
        ("influxdb_query", json!({"bucket": bucket, "filters": [{"field": "host", "op": "==", "value": "a"}]})),
        ("influxdb_list_measurements", json!({"bucket": bucket})),
        ("influxdb_get_schema", json!({"bucket": bucket, "measurement": "cpu"})),
    ]
}

pub(super) fn writing_metrics(bucket: &str) -> Calls {
    vec![
        ("influxdb_write_points", json!({"bucket": bucket, "measurement": "cpu", "points": [{"fields": {"load": 0.5}}]})),
        ("influxdb_create_bucket", json!({"name": "scratch"})),
        ("influxdb_delete_points", json!({"bucket": bucket, "measurement": "cpu", "start": "-1h", "stop": "now()"})),
    ]
}

pub(super) fn dashboards(source: &str) -> Calls {
    vec![
        ("grafana_list_dashboards", json!({})),
        ("grafana_get_dashboard", json!({"uid": "u1"})),
        ("grafana_list_datasources", json!({})),
        ("grafana_query_datasource", json!({"datasource": source, "query": "up"})),
    ]
}

pub(super) fn writing_dashboards() -> Calls {
    vec![
        ("grafana_create_dashboard", json!({"title": "d", "panels": []})),
        ("grafana_update_dashboard", json!({"uid": "u1", "panels": []})),
        ("grafana_create_alert_rule", json!({"name": "r", "condition": {"data": []}})),
        ("grafana_delete_dashboard", json!({"uid": "u1"})),
    ]
}

pub(super) fn messages(recipient: &str, room: &str) -> Calls {
    vec![
        ("smtp_send", json!({"to": recipient, "subject": "s", "body": "b"})),
        ("matrix_send", json!({"room": room, "message": "m"})),
        ("slack_webhook_send", json!({"text": "t"})),
        ("discord_webhook_send", json!({"content": "c"})),
    ]
}

pub(super) fn status(service: &str) -> Calls {
    vec![("http_proxy_get", json!({"service": service, "path": "now"}))]
}

fn services() -> Calls {
    vec![
        ("http_proxy_get", json!({"service": "inventory", "path": "hosts"})),
        ("http_proxy_get", json!({"service": "tickets", "path": "tickets/7"})),
        ("http_proxy_post", json!({"service": "tickets", "path": "tickets", "body": {"title": "t"}})),
        ("http_proxy_put", json!({"service": "tickets", "path": "tickets/7", "body": {}})),
        ("http_proxy_delete", json!({"service": "tickets", "path": "tickets/7"})),
    ]
}
