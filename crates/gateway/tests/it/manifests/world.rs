//! What the manifests lead to: services, a mail server, a vault and MCP servers, all on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bailiwick_testkit::service::{FakeService, Received, Reply};
use bailiwick_testkit::upstream::{Act, Behaviour, FakeTool, FakeUpstream};
use serde_json::json;

use crate::mail::MailServer;
use crate::town::Town;

const VAULT_ROLE: &str = "role-1";
const VAULT_SECRET: &str = "vault-secret-1";
const VAULT_TOKEN: &str = "vault-token-1";
/// What a vault is asked for, first and then.
pub(super) const VAULT_LOGIN: &str = "/v1/auth/approle/login";
pub(super) const VAULT_READ: &str = "/v1/secret/data/scoped-mcp/research";

/// All services in one: what each manifest's module asks for gets an answer of the right shape.
pub(super) fn service(request: &Received) -> Reply {
    let target = request.target.as_str();
    if target.starts_with("/v1/") {
        return vault(request);
    }
    if target.contains("/api/v2/query") {
        let csv = "#datatype,string,long,string,string\n#group,false,false,false,false\n#default,_result,,,\n,result,table,_value,host\n,,0,cpu,a\n";
        return Reply::new(200, csv).with("content-type", "text/csv");
    }
    let path = target.split('?').next().unwrap_or_default();
    Reply::json(&match (request.method.as_str(), path) {
        (_, "/api/v2/buckets") => json!({"id": "b1", "buckets": []}),
        (_, "/api/v2/orgs") => json!({"orgs": [{"id": "o1", "name": target.rsplit('=').next()}]}),
        ("POST", "/api/folders") => request.json(),
        ("GET", "/api/folders") => json!([{"uid": "f1", "title": "{folder}"}]),
        ("GET", path) if path.starts_with("/api/folders/") => json!({"uid": "f1", "title": "{folder}"}),
        ("GET", "/api/search") => json!([{"uid": "u1", "title": "d", "type": "dash-db", "folderUid": "f1"}]),
        ("GET", "/api/datasources") => {
            json!(["Metrics", "Prometheus", "Loki"].map(|name| json!({"uid": name, "name": name, "type": "prometheus"})))
        }
        ("GET", path) if path.starts_with("/api/datasources/name/") => {
            json!({"uid": "ds1", "name": path.trim_start_matches("/api/datasources/name/"), "type": "prometheus"})
        }
        ("GET", path) if path.starts_with("/api/dashboards/uid/") => {
            json!({"dashboard": {"uid": "u1", "title": "d", "version": 1, "panels": []}, "meta": {"folderUid": "f1"}})
        }
        _ => json!({"status": "success", "uid": "u1", "event_id": "$1"}),
    })
}

/// A vault that knows one role and one secret.
fn vault(request: &Received) -> Reply {
    let logs_in = || request.json() == json!({"role_id": VAULT_ROLE, "secret_id": VAULT_SECRET});
    match (request.method.as_str(), request.target.as_str()) {
        ("POST", VAULT_LOGIN) if logs_in() => {
            Reply::json(&json!({"auth": {"client_token": VAULT_TOKEN, "lease_duration": 3600, "renewable": true}}))
        }
        ("GET", VAULT_READ) if request.header("x-vault-token") == Some(VAULT_TOKEN) => {
            Reply::json(&json!({"data": {"data": {"NTFY_TOKEN": "ntfy-token-1"}, "metadata": {"version": 1}}}))
        }
        _ => Reply::new(403, r#"{"errors":["permission denied"]}"#),
    }
}

/// A server with these tools; a search of the web only looks.
pub(super) fn upstream(tools: &[&str]) -> FakeUpstream {
    let tool = |name: &&str| if *name == "web" { FakeTool::new(name, Act::Echo).read_only() } else { FakeTool::new(name, Act::Echo) };
    FakeUpstream::start(Behaviour { tools: tools.iter().map(tool).collect(), ..Behaviour::default() })
}

fn address(upstream: &FakeUpstream) -> SocketAddr {
    upstream.url().trim_start_matches("http://").split('/').next().unwrap().parse().unwrap()
}

pub(super) fn environment() -> BTreeMap<String, String> {
    let values = [
        ("PATH", "/usr/bin:/bin"),
        ("INFLUXDB_URL", "https://metrics.example.com"),
        ("INFLUXDB_TOKEN", "influx-token-1"),
        ("GRAFANA_URL", "https://grafana.example.com"),
        ("GRAFANA_SERVICE_ACCOUNT_TOKEN", "grafana-token-1"),
        ("NTFY_URL", "https://ntfy.example.com"),
        ("STATUS_API_TOKEN", "status-token-1"),
        ("SMTP_HOST", "mail.example.com"),
        ("SMTP_PORT", "587"),
        ("SMTP_USER", "mailer-1"),
        ("SMTP_PASSWORD", "mail-password-1"),
        ("MATRIX_HOMESERVER", "https://matrix.example.com"),
        ("TICKETS_TOKEN", "tickets-token-1"),
        ("INVENTORY_LOGIN", "inventory:login-1"),
        ("MATRIX_ACCESS_TOKEN", "matrix-token-1"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/slack-key-1"),
        ("DISCORD_WEBHOOK_URL", "https://discord.com/api/webhooks/1/discord-key-1"),
        ("QUEUE_TOKEN", "queue-token-1"),
        ("VAULT_ROLE_ID", VAULT_ROLE),
        ("VAULT_SECRET_ID", VAULT_SECRET),
    ];
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

pub(super) async fn town(service: &FakeService, servers: &[&FakeUpstream; 3]) -> Town {
    let mut town = Town::default();
    for host in [
        "metrics.example.com",
        "grafana.example.com",
        "ntfy.example.com",
        "status.example.com",
        "tickets.example.com",
        "matrix.example.com",
        "hooks.slack.com",
        "discord.com",
        "vault.example.com",
    ] {
        town.tls_door(host, 443, service.address).await;
    }
    town.door("mail.example.com", 587, MailServer::behind_tls().await.address);
    town.door("10.20.0.15", 8080, service.address);
    town.door("127.0.0.1", 8485, address(servers[0]));
    for (host, upstream) in [("desk.example.com", servers[1]), ("search.example.com", servers[2])] {
        town.tls_door(host, 443, address(upstream)).await;
    }
    town
}
