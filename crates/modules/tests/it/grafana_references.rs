//! The table of data source references: what may be stored in a dashboard or rule, and what not.

use bailiwick_model::Code;
use serde_json::{Value, json};

use crate::grafana_fake::FakeGrafana;

/// With `Prometheus` (uid `prom`, the default) and `Logs` (uid `loki-1`) opened, then without any. `+` stored, `S` scope_violation,
/// `I` invalid_argument.
fn panels() -> Vec<(Value, char, char)> {
    let target = |source: Value| json!([{ "type": "timeseries", "targets": [{ "refId": "A", "datasource": source }] }]);
    let own = |source: Value| json!([{ "type": "timeseries", "datasource": source }]);
    vec![
        (json!([]), '+', '+'),
        (json!([{ "type": "text", "options": { "content": "x" } }]), '+', '+'),
        (json!([{ "type": "row", "panels": [] }]), '+', '+'),
        (json!([{ "type": "timeseries", "targets": [] }]), '+', '+'),
        // Every way of naming one.
        (own(json!({ "type": "prometheus", "uid": "prom" })), '+', 'S'),
        (own(json!({ "uid": "loki-1" })), '+', 'S'),
        (own(json!("Prometheus")), '+', 'S'),
        (own(json!("loki-1")), '+', 'S'),
        (own(json!({ "uid": "Logs" })), '+', 'S'),
        (own(json!(3)), '+', 'S'),
        (target(json!({ "uid": "prom" })), '+', 'S'),
        (own(json!({ "uid": "sql-1" })), 'S', 'S'),
        (own(json!("Orders DB")), 'S', 'S'),
        (own(json!("sql-1")), 'S', 'S'),
        (own(json!(2)), 'S', 'S'),
        (own(json!("2")), 'S', 'S'),
        (own(json!({ "id": 2 })), 'S', 'S'),
        (own(json!({ "name": "Orders DB" })), 'S', 'S'),
        (own(json!({ "uid": "prom", "UID": "sql-1" })), 'S', 'S'),
        (target(json!({ "uid": "sql-1" })), 'S', 'S'),
        (own(json!({ "uid": "unknown" })), 'S', 'S'),
        (own(json!("prometheus")), 'S', 'S'),
        (own(json!(" Prometheus")), 'S', 'S'),
        // The default, named or left out.
        (own(json!(null)), '+', 'S'),
        (own(json!("")), '+', 'S'),
        (own(json!("default")), '+', 'S'),
        (own(json!({})), '+', 'S'),
        (own(json!({ "type": "prometheus" })), '+', 'S'),
        (own(json!({ "uid": null })), '+', 'S'),
        (target(json!(null)), '+', 'S'),
        (json!([{ "type": "timeseries", "targets": [{ "refId": "A", "expr": "up" }] }]), '+', 'S'),
        (json!([{ "type": "timeseries", "datasource": { "uid": "-- Mixed --" }, "targets": [{ "refId": "A" }] }]), '+', 'S'),
        (json!([{ "type": "timeseries", "datasource": { "uid": "loki-1" }, "targets": [{ "refId": "A" }] }]), '+', 'S'),
        // What is no data source of the organisation.
        (own(json!({ "type": "datasource", "uid": "-- Mixed --" })), '+', '+'),
        (own(json!("-- Mixed --")), '+', '+'),
        (own(json!({ "type": "datasource", "uid": "-- Dashboard --" })), '+', '+'),
        (own(json!({ "type": "datasource", "uid": "grafana" })), '+', '+'),
        (own(json!("-- Grafana --")), '+', '+'),
        (target(json!({ "type": "__expr__", "uid": "__expr__" })), '+', '+'),
        (target(json!("-100")), '+', '+'),
        (target(json!(-100)), '+', '+'),
        (
            json!([{ "datasource": "-- Mixed --", "targets": [{ "datasource": { "uid": "prom" } }, { "datasource": { "uid": "__expr__" } }] }]),
            '+',
            'S',
        ),
        (
            json!([{ "datasource": "-- Mixed --", "targets": [{ "datasource": { "uid": "prom" } }, { "datasource": { "uid": "sql-1" } }] }]),
            'S',
            'S',
        ),
        (own(json!("-- mixed --")), 'S', 'S'),
        // At every depth and under every spelling of the key.
        (json!([{ "type": "row", "panels": [{ "panels": [{ "datasource": { "uid": "sql-1" } }] }] }]), 'S', 'S'),
        (json!([{ "type": "row", "panels": [{ "datasource": { "uid": "prom" } }] }]), '+', 'S'),
        (json!([{ "options": { "deep": [[{ "datasource": "Orders DB" }]] } }]), 'S', 'S'),
        (json!([{ "fieldConfig": { "defaults": { "links": [{ "internal": { "datasourceUid": "sql-1" } }] } } }]), 'S', 'S'),
        (json!([{ "targets": [{ "datasource": { "uid": "prom" }, "queries": [{ "datasourceName": "Orders DB" }] }] }]), 'S', 'S'),
        (json!([{ "datasourceId": 2 }]), 'S', 'S'),
        (json!([{ "datasource_uid": "sql-1" }]), 'S', 'S'),
        (json!([{ "Datasource": { "uid": "sql-1" } }]), 'S', 'S'),
        (json!([{ "DATASOURCEUID": "sql-1" }]), 'S', 'S'),
        (json!([{ "data\u{17f}ource": { "uid": "sql-1" } }]), 'S', 'S'),
        (json!([{ "alert": { "conditions": [{ "query": { "datasourceId": 2 } }] } }]), 'S', 'S'),
        (json!([{ "templating": { "list": [{ "type": "query", "datasource": { "uid": "sql-1" } }] } }]), 'S', 'S'),
        (json!([{ "templating": { "list": [{ "type": "query", "query": "x" }] } }]), '+', 'S'),
        (json!([{ "templating": { "list": [{ "type": "custom", "query": "a,b" }] } }]), '+', '+'),
        (json!([{ "annotations": { "list": [{ "builtIn": 1, "datasource": { "uid": "-- Grafana --" } }] } }]), '+', '+'),
        (json!([{ "annotations": { "list": [{ "name": "x" }] } }]), '+', 'S'),
        // What cannot be judged.
        (own(json!({ "uid": "$ds" })), 'S', 'S'),
        (own(json!("${DS_PROMETHEUS}")), 'S', 'S'),
        (own(json!("[[ds]]")), 'S', 'S'),
        (own(json!("prom$x")), 'S', 'S'),
        (json!([{ "libraryPanel": { "uid": "lib", "name": "x" } }]), 'S', 'S'),
        (json!([{ "type": "row", "panels": [{ "libraryPanel": {} }] }]), 'S', 'S'),
        (json!([{ "libraryPanel": null }]), '+', '+'),
        // What is no reference at all.
        (own(json!([])), 'I', 'I'),
        (own(json!(["prom"])), 'I', 'I'),
        (own(json!(true)), 'I', 'I'),
        (own(json!({ "uid": { "uid": "prom" } })), 'I', 'I'),
        (json!(["text"]), 'I', 'I'),
        (json!([null]), 'I', 'I'),
    ]
}

fn verdict(letter: char) -> Result<(), Code> {
    match letter {
        '+' => Ok(()),
        'S' => Err(Code::ScopeViolation),
        _ => Err(Code::InvalidArgument),
    }
}

const WRITES: [&str; 3] = ["/grafana/api/dashboards/db", "/grafana/api/folders", "/grafana/api/v1/provisioning/alert-rules"];

/// Calls and counts what was written; what is plain from the arguments costs no call at all.
async fn call(grafana: &FakeGrafana, agent: &crate::support::Agent, tool: &str, arguments: &Value) -> Result<(), Code> {
    let called = agent.code(tool, arguments).await.map(drop);
    let lines = grafana.lines();
    let wrote = lines.iter().any(|line| WRITES.iter().any(|path| *line == format!("POST {path}")));
    assert_eq!(wrote, called.is_ok(), "{tool} {arguments} {lines:?}");
    let confined = agent.0.confine(tool, &arguments.to_string()).map_err(|fault| fault.code);
    if confined.is_err() {
        assert_eq!((confined, lines.len()), (called, 0), "{tool} {arguments}");
    }
    called
}

#[tokio::test]
async fn dashboards_refer_to_opened_data_sources_only() {
    let grafana = FakeGrafana::start().await;
    grafana.folder("agent-a-1", "agent-a-1");
    grafana.dashboard("mine", "agent-a-1", &json!({}));
    let some = grafana.open(&json!({ "allowed_datasources": ["Prometheus", "Logs"] }));
    let none = grafana.open(&json!({}));
    for (panels, with, without) in panels() {
        for (agent, letter) in [(&some, with), (&none, without)] {
            let create = json!({ "title": "t", "panels": panels });
            assert_eq!(call(&grafana, agent, "create_dashboard", &create).await, verdict(letter), "{panels}");
            let update = json!({ "uid": "mine", "panels": panels });
            assert_eq!(call(&grafana, agent, "update_dashboard", &update).await, verdict(letter), "{panels}");
            if letter != '+' && without == letter {
                assert!(none.0.confine("create_dashboard", &create.to_string()).is_err(), "shown by the arguments alone: {panels}");
            }
        }
    }
}

#[tokio::test]
async fn another_default_or_a_double_meaning_is_noticed() {
    let grafana = FakeGrafana::start().await;
    let agent = grafana.open(&json!({ "allowed_datasources": ["Logs"] }));
    let panels = |source: Value| json!({ "title": "t", "panels": [{ "datasource": source }] });
    assert_eq!(
        call(&grafana, &agent, "create_dashboard", &panels(json!(null))).await,
        Err(Code::ScopeViolation),
        "Prometheus is the default"
    );
    assert_eq!(call(&grafana, &agent, "create_dashboard", &panels(json!("Logs"))).await, Ok(()));
    // Somebody names a data source like the uid of another.
    grafana.state.lock().unwrap().sources[1]["name"] = "loki-1".into();
    assert_eq!(call(&grafana, &agent, "create_dashboard", &panels(json!({ "uid": "loki-1" }))).await, Err(Code::ScopeViolation));
    grafana.state.lock().unwrap().sources[1]["uid"] = "Logs".into();
    assert_eq!(call(&grafana, &agent, "create_dashboard", &panels(json!("Logs"))).await, Err(Code::ScopeViolation));
}

#[tokio::test]
async fn what_somebody_else_put_into_a_dashboard_counts_as_well() {
    let grafana = FakeGrafana::start().await;
    grafana.folder("agent-a-1", "agent-a-1");
    let agent = grafana.open(&json!({ "allowed_datasources": ["Logs"] }));
    for (more, wanted) in [
        (json!({ "templating": { "list": [{ "type": "query", "datasource": { "uid": "loki-1" } }] } }), Ok(())),
        (json!({ "templating": { "list": [{ "type": "query", "datasource": { "uid": "sql-1" } }] } }), Err(Code::ScopeViolation)),
        (json!({ "annotations": { "list": [{ "datasource": "Orders DB" }] } }), Err(Code::ScopeViolation)),
        (json!({ "annotations": { "list": [{ "builtIn": 1, "datasource": "-- Grafana --" }] } }), Ok(())),
        // Replaced, so it does not count.
        (json!({ "panels": [{ "datasource": { "uid": "sql-1" } }] }), Ok(())),
    ] {
        grafana.dashboard("mine", "agent-a-1", &more);
        let update = json!({ "uid": "mine", "panels": [{ "datasource": { "uid": "loki-1" } }] });
        assert_eq!(call(&grafana, &agent, "update_dashboard", &update).await, wanted, "{more}");
    }
}

#[tokio::test]
async fn rules_refer_to_opened_data_sources_only() {
    let grafana = FakeGrafana::start().await;
    let some = grafana.open(&json!({ "allowed_datasources": ["Prometheus"] }));
    let none = grafana.open(&json!({}));
    for (query, with, without) in [
        (json!({ "refId": "A", "datasourceUid": "prom" }), '+', 'S'),
        (json!({ "refId": "A", "datasourceUid": "sql-1" }), 'S', 'S'),
        (json!({ "refId": "A", "datasourceUid": "Orders DB" }), 'S', 'S'),
        (json!({ "refId": "A", "DatasourceUID": "sql-1" }), 'S', 'S'),
        (json!({ "refId": "A", "datasourceUid": "prom", "datasourceUID": "sql-1" }), 'S', 'S'),
        (json!({ "refId": "A", "datasourceUid": "prom", "model": { "datasource": { "uid": "sql-1" } } }), 'S', 'S'),
        (json!({ "refId": "A", "datasourceUid": "prom", "model": { "datasource": { "uid": "prom" } } }), '+', 'S'),
        (json!({ "refId": "A", "datasourceUid": "prom", "model": { "deep": [{ "datasourceId": 2 }] } }), 'S', 'S'),
        (json!({ "refId": "A", "datasourceUid": "__expr__" }), '+', '+'),
        (json!({ "refId": "A", "datasourceUid": "-100" }), '+', '+'),
        (json!({ "refId": "A", "datasourceUid": "" }), '+', 'S'),
        (json!({ "refId": "A" }), '+', 'S'),
        (json!({ "refId": "A", "datasourceUid": null }), '+', 'S'),
        (json!({ "refId": "A", "datasourceUid": "${ds}" }), 'S', 'S'),
        (json!({ "refId": "A", "datasourceUid": ["prom"] }), 'I', 'I'),
        (json!(null), 'I', 'I'),
    ] {
        for (agent, letter) in [(&some, with), (&none, without)] {
            let rule = json!({ "name": "n", "condition": { "data": [{ "datasourceUid": "__expr__" }, query] } });
            assert_eq!(call(&grafana, agent, "create_alert_rule", &rule).await, verdict(letter), "{query}");
        }
    }
}
