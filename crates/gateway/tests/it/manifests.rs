//! Every manifest in `examples/manifests`, as it stands: what the agent sees, and one call of every tool that comes back with a result.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_testkit::service::{FakeService, Received, Reply};
use bailiwick_testkit::upstream::{Act, Behaviour, FakeTool, FakeUpstream};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::house::{House, Plan};
use crate::town::{Town, acceptor, certificate_pem};

/// How often a list is asked for until the servers are in it, and the pause between.
const LOOKS_MAX: u32 = 500;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Tools and their arguments.
type Calls = Vec<(&'static str, Value)>;

/// File, agent, and the calls in an order in which each finds what it needs. Together they name every tool the agent sees.
fn scripts() -> Vec<(&'static str, &'static str, Calls)> {
    let files = |key: &'static str, write: bool| {
        let tools: [(&str, Value); 4] = [
            ("write_file", json!({"path": "note.txt", "content": "hello"})),
            ("read_file", json!({"path": "note.txt"})),
            ("list_dir", json!({})),
            ("delete_file", json!({"path": "note.txt"})),
        ];
        let wanted = move |(tool, _): &(&str, Value)| write || matches!(*tool, "read_file" | "list_dir");
        let named = move |(tool, arguments): (&str, Value)| (leak(format!("{key}_{tool}")), arguments);
        tools.into_iter().filter(wanted).map(named).collect::<Vec<_>>()
    };
    let reading_tables = vec![("sqlite_list_tables", json!({})), ("sqlite_query", json!({"sql": "SELECT 1 AS one"}))];
    let writing_tables = vec![
        ("sqlite_create_table", json!({"name": "t", "columns": {"id": "INTEGER PRIMARY KEY", "text": "TEXT"}})),
        ("sqlite_execute", json!({"sql": "INSERT INTO t (text) VALUES (?1)", "params": ["x"]})),
    ];
    let bell = vec![("ntfy_send", json!({"title": "t", "message": "m"}))];
    let metrics = |bucket: &str| {
        vec![
            ("influxdb_query", json!({"bucket": bucket, "filters": [{"field": "host", "op": "==", "value": "a"}]})),
            ("influxdb_list_measurements", json!({"bucket": bucket})),
            ("influxdb_get_schema", json!({"bucket": bucket, "measurement": "cpu"})),
        ]
    };
    let writing_metrics = |bucket: &str| {
        vec![
            ("influxdb_write_points", json!({"bucket": bucket, "measurement": "cpu", "points": [{"fields": {"load": 0.5}}]})),
            ("influxdb_create_bucket", json!({"name": "scratch"})),
            ("influxdb_delete_points", json!({"bucket": bucket, "measurement": "cpu", "start": "-1h", "stop": "now()"})),
        ]
    };
    let dashboards = |source: &str| {
        vec![
            ("grafana_list_dashboards", json!({})),
            ("grafana_get_dashboard", json!({"uid": "u1"})),
            ("grafana_list_datasources", json!({})),
            ("grafana_query_datasource", json!({"datasource": source, "query": "up"})),
        ]
    };
    let writing_dashboards = vec![
        ("grafana_create_dashboard", json!({"title": "d", "panels": []})),
        ("grafana_update_dashboard", json!({"uid": "u1", "panels": []})),
        ("grafana_create_alert_rule", json!({"name": "r", "condition": {"data": []}})),
        ("grafana_delete_dashboard", json!({"uid": "u1"})),
    ];
    let messages = vec![
        ("smtp_send", json!({"to": "ops@example.org", "subject": "s", "body": "b"})),
        ("matrix_send", json!({"room": "!OGEhHVWSdvArJzumhm:matrix.example", "message": "m"})),
        ("slack_webhook_send", json!({"text": "t"})),
        ("discord_webhook_send", json!({"content": "c"})),
    ];
    let status = vec![("http_proxy_get", json!({"service": "status", "path": "now"}))];
    let services = vec![
        ("http_proxy_get", json!({"service": "inventory", "path": "hosts"})),
        ("http_proxy_get", json!({"service": "tickets", "path": "tickets/7"})),
        ("http_proxy_post", json!({"service": "tickets", "path": "tickets", "body": {"title": "t"}})),
        ("http_proxy_put", json!({"service": "tickets", "path": "tickets/7", "body": {}})),
        ("http_proxy_delete", json!({"service": "tickets", "path": "tickets/7"})),
    ];
    let search = json!({"query": "x"});
    vec![
        ("build-agent.yml", "build-01", [files("filesystem", true), writing_tables, reading_tables.clone()].concat()),
        ("dashboards-agent.yml", "dashboards-01", [writing_dashboards.clone(), dashboards("Loki")].concat()),
        ("docs-agent.yml", "docs-01", [files("handbook", false), files("drafts", true)].concat()),
        ("metrics-agent.yml", "metrics-01", [metrics("telemetry"), writing_metrics("telemetry")].concat()),
        ("monitor-agent.yml", "monitor-01", [metrics("metrics"), dashboards("Metrics"), bell.clone(), status].concat()),
        ("notify-agent.yml", "notify-01", [bell.clone(), messages].concat()),
        (
            "ops-agent.yml",
            "ops-01",
            [
                metrics("alerts"),
                writing_metrics("metrics"),
                dashboards("Metrics"),
                writing_dashboards.clone(),
                bell,
                files("filesystem", true),
            ]
            .concat(),
        ),
        ("proxy-agent.yml", "queue-01", vec![("task-queue_push", search.clone())]),
        ("research-agent.yml", "research-01", [files("filesystem", false), reading_tables].concat()),
        ("services-agent.yml", "services-01", services),
        ("support-agent.yml", "support-01", vec![("tickets__find", search.clone()), ("search__web", search)]),
    ]
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Calls that their manifest gives to a person first, or to nobody.
const REFUSED: [(&str, &str); 3] =
    [("drafts_delete_file", "approval_required"), ("http_proxy_put", "scope_violation"), ("http_proxy_delete", "scope_violation")];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/manifests")
}

/// All services in one: what each manifest's module asks for gets an answer of the right shape.
fn service(request: &Received) -> Reply {
    let target = request.target.as_str();
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

/// A mail server that takes everything once the connection is wrapped.
async fn mail_server() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(b"220 mail ESMTP\r\n").await;
                if mail(&mut stream, "250-mail\r\n250 STARTTLS\r\n").await
                    && let Ok(mut wrapped) = acceptor().accept(stream).await
                {
                    mail(&mut wrapped, "250-mail\r\n250 AUTH PLAIN LOGIN\r\n").await;
                }
            });
        }
    });
    address
}

/// One conversation; `true` when the client wants to go on behind TLS.
async fn mail(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), greeting: &str) -> bool {
    let (mut stream, mut line, mut in_mail) = (BufReader::new(stream), String::new(), false);
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            _ if in_mail && line.trim_end() != "." => "",
            "EHLO" => greeting,
            "STARTTLS" => "220 go on\r\n",
            "AUTH" => "235 ok\r\n",
            "DATA" => "354 go on\r\n",
            _ => "250 ok\r\n",
        };
        in_mail = word == "DATA" || in_mail && line.trim_end() != ".";
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return false;
        }
        if word == "STARTTLS" {
            return true;
        }
        line.clear();
    }
    false
}

/// A server with these tools; a search of the web only looks.
fn upstream(tools: &[&str]) -> FakeUpstream {
    let tool = |name: &&str| if *name == "web" { FakeTool::new(name, Act::Echo).read_only() } else { FakeTool::new(name, Act::Echo) };
    FakeUpstream::start(Behaviour { tools: tools.iter().map(tool).collect(), ..Behaviour::default() })
}

fn address(upstream: &FakeUpstream) -> SocketAddr {
    upstream.url().trim_start_matches("http://").split('/').next().unwrap().parse().unwrap()
}

fn environment() -> BTreeMap<String, String> {
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
    ];
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

async fn town(service: &FakeService, servers: &[&FakeUpstream; 3]) -> Town {
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
    ] {
        town.tls_door(host, 443, service.address).await;
    }
    town.door("mail.example.com", 587, mail_server().await);
    town.door("10.20.0.15", 8080, service.address);
    town.door("127.0.0.1", 8485, address(servers[0]));
    for (host, upstream) in [("desk.example.com", servers[1]), ("search.example.com", servers[2])] {
        town.tls_door(host, 443, address(upstream)).await;
    }
    town
}

async fn settled(house: &House, wanted: &[&str]) -> Vec<String> {
    for _ in 0..LOOKS_MAX {
        let tools = house.tools().await;
        if wanted.iter().all(|name| tools.iter().any(|tool| tool == name)) {
            return tools;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    house.tools().await
}

async fn play(file: &str, agent: &str, calls: &[(&'static str, Value)], servers: &[&FakeUpstream; 3]) {
    let folder = format!("agent-{agent}");
    let fake = FakeService::start(move |request| {
        let reply = service(request);
        // Grafana keeps the agent's dashboards in whatever folder the agent asked for.
        reply.map_body(|body| body.replace("{folder}", &folder))
    })
    .await;
    let town = Arc::new(town(&fake, servers).await);
    let config = "servers:\n  tickets: {url: 'https://desk.example.com/mcp'}\n  search: {url: 'https://search.example.com/mcp', trust: first_party}\n";
    let text = std::fs::read_to_string(examples().join(file)).unwrap();
    let plan = Plan { manifest: (file, &text), config, agent_id: agent, environment: environment(), network: town.clone() };
    let house = House::build(plan).await.unwrap_or_else(|fault| panic!("{file}: {fault}"));
    let mut wanted: Vec<&str> = calls.iter().map(|(tool, _)| *tool).collect();
    let seen = settled(&house, &wanted).await;
    wanted.sort_unstable();
    wanted.dedup();
    assert_eq!(seen, wanted, "{file}: the list");
    for (tool, arguments) in calls {
        let result = house.call(tool, arguments.clone()).await;
        if let Some((_, word)) = REFUSED.iter().find(|(refused, _)| refused == tool) {
            assert_eq!(result["structuredContent"]["code"], *word, "{file}: {tool}: {result}");
        } else {
            assert_eq!(result["isError"], false, "{file}: {tool}: {result} {:#?}", fake.received().last());
        }
    }
    house.close().await;
    assert!(town.strayed.lock().unwrap().is_empty(), "{file}: {:?}", town.strayed);
}

/// What agents that only read are to find, where their manifests say.
const FOUND: [&str; 2] = ["/tmp/bailiwick-data/handbook/agents/docs-01/note.txt", "/tmp/bailiwick-data/agents/research-01/note.txt"];

fn lay_out() {
    for file in FOUND.map(Path::new) {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "hello").unwrap();
    }
}

/// Run by the test below in a process of its own, whose trust store is the certificate of the town.
#[test]
#[ignore = "started by every_example_runs_unchanged"]
fn inside_the_town() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let servers =
            [upstream(&["push", "purge_queue"]), upstream(&["find", "delete_all", "admin_reset", "bulk_close"]), upstream(&["web"])];
        let servers = [&servers[0], &servers[1], &servers[2]];
        lay_out();
        let mut played = Vec::new();
        for (file, agent, calls) in scripts() {
            play(file, agent, &calls, &servers).await;
            played.push(file.to_owned());
        }
        let mut present: Vec<String> =
            std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        present.sort();
        assert_eq!(played, present, "every example is played");
    });
}

#[test]
fn every_example_runs_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let trust = dir.path().join("town.pem");
    std::fs::write(&trust, certificate_pem()).unwrap();
    let mut inside = Command::new(std::env::current_exe().unwrap());
    inside.args(["--exact", "manifests::inside_the_town", "--ignored", "--nocapture"]).env("SSL_CERT_FILE", &trust);
    let output = inside.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
