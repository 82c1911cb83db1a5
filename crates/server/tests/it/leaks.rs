//! A hundred random credentials through every module, on calls that succeed and on calls that fail in every way a service knows; the services
//! repeat whatever they were sent. Afterwards no byte that left or was kept may hold one of them, in any usual spelling.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use bailiwick_testkit::service::{FakeService, Received, Reply};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::scene::code;

/// Rounds, each with fresh credentials in all modules.
const ROUNDS: u64 = 100;
/// What the services answer, turn by turn; 200 is a success, 0 is no status that HTTP knows.
const STATUSES: [u16; 8] = [200, 400, 401, 403, 404, 500, 302, 0];

const MANIFEST: &str = "\
agent_type: courier
credentials: {credentials}
modules:
  ntfy: {config: {topic: 'agents-{agent_id}'}}
  matrix: {config: {allowed_rooms: ['!room:server']}}
  slack_webhook: {config: {any_host: true}}
  discord_webhook: {config: {any_host: true}}
  smtp: {config: {from_address: from@example.com, allowed_recipients: [to@example.com], tls: none}}
  http_proxy:
    mode: write
    config:
      allowed_services:
        - {name: bearer, base_url: '{url}/b', credential_key: BEARER_TOKEN, allow_private: [127.0.0.0/8]}
        - {name: header, base_url: '{url}/h', credential_key: HEADER_TOKEN, auth: 'header:X-Api-Key', allow_private: [127.0.0.0/8]}
        - {name: basic, base_url: '{url}/p', credential_key: BASIC_PAIR, auth: basic, allow_private: [127.0.0.0/8]}
  grafana: {mode: write, config: {allowed_datasources: [metrics]}}
  influxdb: {mode: write, config: {org: home, buckets: [metrics]}}
";

/// Every tool of the manifest, with arguments that the module accepts.
fn calls() -> Vec<(&'static str, Value)> {
    let mut calls = vec![
        ("ntfy_send", json!({"title": "t", "message": "m"})),
        ("matrix_send", json!({"room": "!room:server", "message": "m"})),
        ("slack_webhook_send", json!({"text": "t"})),
        ("discord_webhook_send", json!({"content": "c"})),
        ("smtp_send", json!({"to": "to@example.com", "subject": "s", "body": "b"})),
        ("grafana_list_dashboards", json!({})),
        ("grafana_get_dashboard", json!({"uid": "u1"})),
        ("grafana_list_datasources", json!({})),
        ("grafana_query_datasource", json!({"datasource": "metrics", "query": "up"})),
        ("grafana_create_dashboard", json!({"title": "d", "panels": []})),
        ("grafana_update_dashboard", json!({"uid": "u1", "panels": []})),
        ("grafana_delete_dashboard", json!({"uid": "u1"})),
        ("grafana_create_alert_rule", json!({"name": "r", "condition": {"data": []}})),
        ("influxdb_query", json!({"bucket": "metrics", "filters": [{"field": "f", "op": "==", "value": 1}]})),
        ("influxdb_list_measurements", json!({"bucket": "metrics"})),
        ("influxdb_get_schema", json!({"bucket": "metrics", "measurement": "m"})),
        ("influxdb_write_points", json!({"bucket": "metrics", "measurement": "m", "points": [{"fields": {"f": 1}}]})),
        ("influxdb_create_bucket", json!({"name": "b"})),
        (
            "influxdb_delete_points",
            json!({"bucket": "metrics", "measurement": "m", "start": "2026-01-01T00:00:00Z", "stop": "2026-01-02T00:00:00Z"}),
        ),
    ];
    for service in ["bearer", "header", "basic"] {
        calls.push(("http_proxy_get", json!({"service": service, "path": "x"})));
        calls.push(("http_proxy_post", json!({"service": service, "path": "x", "body": {"a": 1}})));
        calls.push(("http_proxy_put", json!({"service": service, "path": "x"})));
        calls.push(("http_proxy_delete", json!({"service": service, "path": "x"})));
    }
    calls
}

/// The credentials of one round: names as the modules ask for them.
struct Round {
    credentials: Vec<(&'static str, String)>,
    /// What must not be found.
    canaries: Vec<String>,
}

fn random_text(alphabet: &[u8], length: usize) -> String {
    let state = RandomState::new();
    let pick = |index: usize| {
        let mut hasher = state.build_hasher();
        hasher.write_usize(index);
        char::from(alphabet[usize::try_from(hasher.finish() % alphabet.len() as u64).unwrap()])
    };
    (0..length).map(pick).collect()
}

impl Round {
    fn new(number: u64, url: &str, mail_port: u16) -> Self {
        let plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let odd = b"abcXYZ019-._~+/=!#$%&'()*,;<>?@[]^`{|}\"\\:";
        // Tokens of every kind of alphabet; what stands in an address keeps to letters and digits.
        let token = || if number.is_multiple_of(2) { random_text(plain, 24) } else { random_text(odd, 24) };
        let word = || random_text(plain, 24);
        let (user, password) = (word(), token());
        let in_url = [word(), word(), word(), word(), word(), word()];
        let tokens = [token(), token(), token(), token(), token(), token()];
        let [ntfy, matrix, slack, discord, grafana, influx] = &in_url;
        let credentials = vec![
            ("NTFY_URL", format!("{url}/ntfy/{ntfy}")),
            ("NTFY_TOKEN", tokens[0].clone()),
            ("MATRIX_HOMESERVER", format!("{url}/matrix/{matrix}")),
            ("MATRIX_ACCESS_TOKEN", tokens[1].clone()),
            ("SLACK_WEBHOOK_URL", format!("{url}/services/T0/B0/{slack}")),
            ("DISCORD_WEBHOOK_URL", format!("{url}/api/webhooks/7/{discord}")),
            ("SMTP_HOST", "127.0.0.1".to_owned()),
            ("SMTP_PORT", mail_port.to_string()),
            ("SMTP_USER", user.clone()),
            ("SMTP_PASSWORD", password.clone()),
            ("BEARER_TOKEN", tokens[2].clone()),
            ("HEADER_TOKEN", tokens[3].clone()),
            ("BASIC_PAIR", format!("{user}:{password}")),
            ("GRAFANA_URL", format!("{url}/grafana/{grafana}")),
            ("GRAFANA_SERVICE_ACCOUNT_TOKEN", tokens[4].clone()),
            ("INFLUXDB_URL", format!("{url}/influx/{influx}")),
            ("INFLUXDB_TOKEN", tokens[5].clone()),
        ];
        let canaries = in_url.into_iter().chain(tokens).chain([user, password]).collect();
        Self { credentials, canaries }
    }
}

/// The canary as it would stand in text, JSON, an address, Base64 (also behind a user name) and hexadecimal.
pub(crate) fn spellings(canary: &str) -> Vec<String> {
    let inside = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let (once, twice) = (inside(canary), inside(&inside(canary)));
    let bytes = canary.as_bytes();
    let percent = |keep: &[u8]| -> String {
        bytes
            .iter()
            .map(|b| if b.is_ascii_alphanumeric() || keep.contains(b) { char::from(*b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    vec![
        canary.to_owned(),
        inside(&twice),
        once.replace('/', "\\/"),
        twice,
        once,
        percent(b""),
        percent(b"-._~"),
        BASE64.encode(bytes).trim_end_matches('=').to_owned(),
        BASE64URL_NOPAD.encode(bytes),
        HEXLOWER.encode(bytes),
    ]
}

/// Repeats everything it was sent, in the shape in which each service answers.
fn echo(request: &Received, status: u16) -> Reply {
    let mut sent: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    sent.push(request.target.clone());
    sent.push(String::from_utf8_lossy(&request.body).into_owned());
    let decoded = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    sent.extend(decoded.and_then(|pair| BASE64.decode(pair.as_bytes()).ok()).map(|pair| String::from_utf8_lossy(&pair).into_owned()));
    let host = request.header("host").unwrap_or_default();
    let told = sent.join(" | ");
    if status != 200 {
        return Reply::new(status, format!("<html>{told}"))
            .with("location", format!("http://{host}{}", request.target))
            .with("x-told", told.replace(['\r', '\n'], " "));
    }
    if request.target.contains("/api/v2/query") {
        let cell = told.replace('"', "\"\"");
        return Reply::new(
            200,
            format!("#datatype,string,long,string\n#group,false,false,false\n#default,_result,,\n,result,table,_value\n,,0,\"{cell}\"\n"),
        )
        .with("content-type", "text/csv");
    }
    Reply::json(
        &grafana(request, &told)
            .unwrap_or_else(|| json!({ "event_id": "$e", "id": "i", "told": told, "orgs": [{"id": "o", "name": "home"}], "buckets": [] })),
    )
}

/// The few answers that let calls go on to the end.
fn grafana(request: &Received, told: &str) -> Option<Value> {
    let (_, path) = request.target.split_once("/grafana/")?;
    let path = path.split('?').next()?.split_once('/').map_or("", |(_, path)| path);
    let folder = json!({"uid": "agent-c-1", "title": "agent-c-1", "told": told});
    Some(match (request.method.as_str(), path.split('/').take(3).collect::<Vec<_>>().as_slice()) {
        ("GET", ["api", "folders"]) => json!([folder]),
        (_, ["api", "folders", ..]) => folder,
        ("GET", ["api", "search"]) => json!([{"uid": "u1", "title": told, "type": "dash-db", "folderUid": "agent-c-1"}]),
        ("GET", ["api", "datasources", ..]) if path.contains("/name/") => {
            json!({"uid": "ds", "name": "metrics", "type": "prometheus", "url": told})
        }
        ("GET", ["api", "datasources"]) => json!([{"uid": "ds", "name": "metrics", "type": "prometheus", "isDefault": true, "url": told}]),
        ("GET", ["api", "dashboards", ..]) => {
            json!({"dashboard": {"uid": "u1", "title": told, "version": 1, "panels": []}, "meta": {"folderUid": "agent-c-1"}})
        }
        _ => json!({"uid": "u1", "status": "success", "told": told}),
    })
}

/// A mail server that repeats the words of the login, and takes the mail or not.
async fn mail_server(status: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let good = status.load(Ordering::Relaxed) == 200;
            tokio::spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let (mut lines, mut heard, mut in_mail) = (BufReader::new(reader).lines(), String::new(), false);
                let _ = writer.write_all(b"220 mail ESMTP\r\n").await;
                while let Ok(Some(line)) = lines.next_line().await {
                    let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
                    heard.push_str(&line);
                    let answer = match word.as_str() {
                        _ if in_mail && line != "." => continue,
                        "EHLO" => "250-mail\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
                        "AUTH" if good => "235 ok\r\n".to_owned(),
                        "AUTH" => format!("535 not with {heard}\r\n"),
                        "DATA" => "354 go on\r\n".to_owned(),
                        _ => "250 ok\r\n".to_owned(),
                    };
                    in_mail = word == "DATA";
                    if writer.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

async fn round(place: &Place, number: u64, url: &str, mail_port: u16, status: &AtomicU16) -> (Round, String, [Vec<String>; 2]) {
    let round = Round::new(number, url, mail_port);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["run", "--manifest", "courier.yml", "--audit-log", "logs/audit.jsonl", "--ops-log", "logs/ops.jsonl"]).env_clear();
    command
        .env("HOME", place.path())
        .env("AGENT_ID", "c-1")
        .env("AGENT_TYPE", "courier")
        .env("RUST_LOG", "debug")
        .current_dir(place.path());
    // Half of the rounds read the credentials from a file.
    let source = if number % 4 < 2 {
        command.envs(round.credentials.iter().map(|(name, value)| (*name, value.as_str())));
        "{source: env}"
    } else {
        let lines: String =
            round.credentials.iter().map(|(name, value)| format!("{name}: {}\n", serde_json::to_string(value).unwrap())).collect();
        place.file("credentials.yml", lines);
        "{source: file, path: credentials.yml}"
    };
    place.file("courier.yml", MANIFEST.replace("{credentials}", source).replace("{url}", url));
    let client = Client::stdio(command, if number.is_multiple_of(3) { Era::LEGACY } else { Era::Modern });
    let mut said = client.open().await.unwrap_or_else(|fault| panic!("{fault:?} {}", client.stderr())).to_string();
    said.push_str(&format!("{:?}", client.tools().await.unwrap()));
    let mut ended = [Vec::new(), Vec::new()];
    for turn in [0, 1 + usize::try_from(number).unwrap() % (STATUSES.len() - 1)] {
        status.store(STATUSES[turn], Ordering::Relaxed);
        for (tool, arguments) in calls() {
            let result = client.call(tool, arguments).await;
            let fine = result.as_ref().is_ok_and(|result| result["isError"] != true);
            ended[usize::from(fine)].push(format!("{} {tool} {}", STATUSES[turn], result.as_ref().map_or("", |result| code(result))));
            said.push_str(&format!("{result:?}"));
            said.push_str(&result.map_or_else(|_| String::new(), |result| result.to_string()));
        }
    }
    client.close().await.unwrap();
    said.push_str(&client.stderr());
    std::fs::remove_file(place.join("credentials.yml")).ok();
    (round, said, ended)
}

/// Every file that is kept, as bytes.
pub(crate) fn files(dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), bytes));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_of_any_module_is_ever_seen_again() {
    let status = Arc::new(AtomicU16::new(200));
    let said = status.clone();
    let service = FakeService::start(move |request| echo(request, said.load(Ordering::Relaxed))).await;
    let mail_port = mail_server(status.clone()).await;
    let place = Place::new();
    let mut outputs = Vec::new();
    let mut canaries: Vec<(String, String)> = Vec::new();
    for number in 0..ROUNDS {
        let (round, said, [failed, done]) = round(&place, number, &service.url(), mail_port, &status).await;
        let wrong =
            |ended: &[String], good: bool| ended.iter().filter(|call| call.starts_with("200 ") == good).cloned().collect::<Vec<_>>();
        let (failed, done) = (wrong(&failed, true), wrong(&done, false));
        assert!(failed.is_empty() && done.is_empty(), "round {number}: {failed:#?} failed, {done:#?} did not");
        outputs.push((format!("round {number}"), said.into_bytes()));
        canaries.extend(round.canaries.iter().flat_map(|canary| spellings(canary).into_iter().map(|spelling| (canary.clone(), spelling))));
    }
    files(place.path(), &mut outputs);
    assert!(outputs.iter().any(|(name, _)| name.contains("audit.jsonl")) && outputs.iter().any(|(name, _)| name.ends_with(".db")));
    let patterns: Vec<&str> = canaries.iter().map(|(_, spelling)| spelling.as_str()).collect();
    let matcher = aho_corasick::AhoCorasick::new(&patterns).unwrap();
    for (name, bytes) in &outputs {
        if let Some(found) = matcher.find(bytes) {
            let (from, to) = (found.start().saturating_sub(200), (found.end() + 100).min(bytes.len()));
            panic!("{name} holds {:?}: …{}…", canaries[found.pattern().as_usize()], String::from_utf8_lossy(&bytes[from..to]));
        }
    }
    // The search itself must be able to find: the services were sent what is nowhere else.
    let received: Vec<String> = service.received().iter().map(|request| format!("{request:?}")).collect();
    assert!(canaries.iter().filter(|(canary, _)| received.iter().any(|text| text.contains(canary.as_str()))).count() > 100);
}
