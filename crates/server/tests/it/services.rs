//! Modules over HTTP services through the program: credentials from the environment, every tool, and nothing secret on the way back.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::scene::{code, text};

const TOKEN: &str = "CANARY-services-0001";
const GRAFANA_TOKEN: &str = "CANARY-grafana-0002";

/// Method, target, `Authorization` and body of a request.
type Seen = Arc<Mutex<Vec<(String, String, String, Value)>>>;

/// Answers on loopback like a service with an address for everything, and like the part of Grafana that is asked.
async fn service(seen: Seen) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let seen = seen.clone();
        async move {
            let credential = headers["authorization"].to_str().unwrap().to_owned();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let answer = answer(&method, &uri, &credential);
            seen.lock().unwrap().push((method.to_string(), uri.to_string(), credential, body));
            answer
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn answer(method: &Method, uri: &Uri, credential: &str) -> Response {
    let value = match (method.as_str(), uri.path()) {
        ("DELETE", "/api/things/1") => return StatusCode::NO_CONTENT.into_response(),
        ("GET", "/api/list") => json!([1, 2]),
        ("GET", "/api/echo") => json!({ "you_sent": credential }),
        ("GET", "/api/busy") => return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "2")], "later").into_response(),
        ("GET", "/api/exact") => return r#"{"id":123456789012345678901234567890}"#.into_response(),
        ("GET", "/api/refused") => return (StatusCode::BAD_REQUEST, credential.to_owned()).into_response(),
        ("GET", "/grafana/api/folders") => json!([{ "uid": "f", "title": "agent-s-1" }]),
        ("GET", "/grafana/api/search") => json!([{ "uid": "d", "title": "Load", "folderUid": "f" }]),
        ("GET", "/grafana/api/dashboards/uid/d") => json!({ "dashboard": { "uid": "d", "version": 3 }, "meta": { "folderUid": "f" } }),
        ("GET", "/grafana/api/datasources") => {
            json!([{ "id": 1, "uid": "p", "name": "Prom", "type": "prometheus", "url": "http://x", "isDefault": true }])
        }
        ("GET", "/grafana/api/datasources/name/Prom") => json!({ "uid": "p", "name": "Prom", "type": "prometheus" }),
        ("POST", "/grafana/api/ds/query") => json!({ "results": {} }),
        _ => json!({ "uid": "d", "done": true }),
    };
    value.to_string().into_response()
}

fn manifest(service: &str) -> String {
    format!(
        "agent_type: services
modules:
  api:
    type: http_proxy
    mode: write
    config:
      allowed_services:
        - {{name: things, base_url: '{service}/api/', credential_key: THINGS_TOKEN, allow_private: [127.0.0.1]}}
  grafana:
    mode: write
    config: {{grafana_url: '{service}/grafana', allowed_datasources: [Prom]}}
"
    )
}

fn program(place: &Place, tokens: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["run", "--manifest", "services.yml"]).env_clear().current_dir(place.path());
    command.env("HOME", place.path()).env("AGENT_ID", "s-1").env("AGENT_TYPE", "services").envs(tokens.iter().copied());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_works_with_credentials_from_the_environment() {
    let seen = Seen::default();
    let service = service(seen.clone()).await;
    let place = Place::new();
    place.file("services.yml", manifest(&service));
    let client = Client::stdio(program(&place, &[("THINGS_TOKEN", TOKEN), ("GRAFANA_SERVICE_ACCOUNT_TOKEN", GRAFANA_TOKEN)]), Era::Modern);
    client.open().await.unwrap();
    let mut names = client.tool_names().await.unwrap();
    names.sort();
    let grafana = [
        "create_alert_rule",
        "create_dashboard",
        "delete_dashboard",
        "get_dashboard",
        "list_dashboards",
        "list_datasources",
        "query_datasource",
        "update_dashboard",
    ];
    let wanted: Vec<String> = ["delete", "get", "post", "put"]
        .map(|name| format!("api_{name}"))
        .into_iter()
        .chain(grafana.map(|name| format!("grafana_{name}")))
        .collect();
    assert_eq!(names, wanted);

    let call = |tool: &'static str, arguments: Value| {
        let client = &client;
        async move {
            let result = client.call(tool, arguments).await.unwrap();
            assert!(!result.to_string().contains("CANARY"), "{tool}: {result}");
            result
        }
    };
    let structured = |result: Value| result["structuredContent"].clone();
    let thing = |path: &str| json!({ "service": "things", "path": path });
    assert_eq!(
        structured(call("api_get", json!({ "service": "things", "path": "/list", "params": { "q": "a b" } })).await),
        json!({ "result": [1, 2] })
    );
    assert_eq!(structured(call("api_post", json!({ "service": "things", "path": "/things", "body": { "n": 1 } })).await)["done"], true);
    assert_eq!(structured(call("api_put", thing("/things/1")).await)["done"], true);
    assert_eq!(structured(call("api_delete", thing("/things/1")).await), json!({ "status": "deleted" }));
    assert!(text(&call("api_get", thing("/echo")).await).contains("<redacted-value>"));
    assert_eq!(code(&call("api_get", thing("/refused")).await), "upstream_error");
    let busy = call("api_get", thing("/busy")).await["structuredContent"].clone();
    assert_eq!((&busy["retryable"], &busy["details"]["retry_after_ms"]), (&json!(true), &json!(2000)), "{busy}");
    assert_eq!(text(&call("api_get", thing("/exact")).await), r#"{"id":123456789012345678901234567890}"#);
    assert_eq!(code(&call("api_get", thing("/../grafana/api/folders")).await), "scope_violation");
    assert_eq!(code(&call("api_get", json!({ "service": "other", "path": "/" })).await), "scope_violation");

    assert_eq!(structured(call("grafana_list_dashboards", json!({})).await)["result"][0]["uid"], "d");
    assert_eq!(structured(call("grafana_get_dashboard", json!({ "uid": "d" })).await)["dashboard"]["version"], 3);
    let sources = json!([{ "uid": "p", "name": "Prom", "type": "prometheus", "isDefault": true }]);
    assert_eq!(structured(call("grafana_list_datasources", json!({})).await)["result"], sources);
    assert!(structured(call("grafana_query_datasource", json!({ "datasource": "Prom", "query": "up" })).await)["results"].is_object());
    let panels = json!([{ "type": "timeseries", "datasource": { "uid": "p" } }]);
    assert_eq!(structured(call("grafana_create_dashboard", json!({ "title": "t", "panels": panels })).await)["uid"], "d");
    assert_eq!(structured(call("grafana_update_dashboard", json!({ "uid": "d", "panels": panels })).await)["uid"], "d");
    assert_eq!(structured(call("grafana_delete_dashboard", json!({ "uid": "d" })).await), json!({ "result": true }));
    let rule = json!({ "name": "n", "condition": { "data": [{ "refId": "C", "datasourceUid": "p" }] } });
    assert_eq!(structured(call("grafana_create_alert_rule", rule).await)["uid"], "d");
    let foreign = json!({ "title": "t", "panels": [{ "datasource": "Secret" }] });
    assert_eq!(code(&call("grafana_create_dashboard", foreign).await), "scope_violation");

    assert!(client.close().await.unwrap().unwrap().success());
    assert!(!client.stderr().contains("CANARY"));
    let seen = seen.lock().unwrap();
    for (method, target, credential, _) in seen.iter() {
        let token = if target.starts_with("/api/") { TOKEN } else { GRAFANA_TOKEN };
        assert_eq!(*credential, format!("Bearer {token}"), "{method} {target}");
    }
    assert_eq!((seen[0].1.as_str(), &seen[1].3, &seen[2].3), ("/api/list?q=a%20b", &json!({ "n": 1 }), &json!({})));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_missing_credential_is_named_at_once() {
    let place = Place::new();
    place.file("services.yml", manifest("http://127.0.0.1:1"));
    let output = program(&place, &[("THINGS_TOKEN", "")]).stdin(std::process::Stdio::null()).output().await.unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(talk.contains("`THINGS_TOKEN` (module `api`), `GRAFANA_SERVICE_ACCOUNT_TOKEN` (module `grafana`)"), "{talk}");
}
