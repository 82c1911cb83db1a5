//! The services behind a row, and holding a call against what the row says.

use std::path::Path;
use std::sync::Arc;

use bailiwick_model::manifest::Manifest;
use bailiwick_modules::{ModuleRegistry, OpenFault};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::row::{Holds, Mail, Request, Row};
use super::wire::{Seen, Tap, requests};
use crate::grafana_fake::{FakeGrafana, TOKEN};
use crate::mail_reader;
use crate::mail_server;
use crate::service::{FakeService, Received, RecordingNetwork, Reply, host};
use crate::support::{Agent, try_open_on};

/// Where every service seems to be; the network leads it to the fake.
const ADDRESS: &str = "127.0.0.1:9";
pub(super) const BEARER: &str = "Bearer token-1";
pub(super) const INFLUX: &str = "Token token-1";
pub(super) const ROOM: &str = "!OGEhHVWSdvArJzumhm:matrix.org";
/// The usual sender.
pub(super) const FROM: &str = "Agent <agent@mail.example>";
/// Where every alias leads.
pub(super) const LED: &str = "!led/../../away?x#y:matrix.org";
const HOOK: &str = "http://127.0.0.1:9/services/T0/B0/key-of-the-hook";
const ENVELOPE: &str = "EHLO [127.0.0.1]\r\nMAIL FROM:<agent@mail.example>\r\nRCPT TO:<{to}>\r\nDATA\r\n";
const FAREWELL: &str = "QUIT\r\n";
/// Every header of a mail.
const MAIL_HEADERS: [&str; 8] =
    ["Content-Transfer-Encoding", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"];

pub(super) struct Scene {
    tap: Arc<Tap>,
    /// What the rows call `DIR`.
    dir: TempDir,
    _service: Option<FakeService>,
    _grafana: Option<FakeGrafana>,
}

impl Scene {
    pub(super) async fn of(row: &Row) -> Self {
        let dir = TempDir::new().unwrap();
        let leading = |address| Arc::new(RecordingNetwork { leads_to: Some(address), ..Default::default() });
        match row.module {
            "smtp" => {
                let (network, _) = mail_server::network(mail_server::Script::default());
                Self { tap: Arc::new(Tap::new(Arc::new(network))), dir, _service: None, _grafana: None }
            }
            "grafana" => {
                let grafana = FakeGrafana::start().await;
                grafana.folder("agent-a-1", "agent-a-1");
                grafana.folder("theirs", "agent-a-10");
                grafana.dashboard("mine", "agent-a-1", &json!({}));
                grafana.dashboard("foreign", "theirs", &json!({}));
                let tap = Arc::new(Tap::new(leading(grafana.service.address)));
                Self { tap, dir, _service: None, _grafana: Some(grafana) }
            }
            _ => {
                let service = FakeService::start(answer).await;
                Self { tap: Arc::new(Tap::new(leading(service.address))), dir, _service: Some(service), _grafana: None }
            }
        }
    }

    fn open(&self, row: &Row) -> Result<Agent, OpenFault> {
        let mut config = configured(row.module, &row.config, self.dir.path());
        if !row.variables.is_empty() {
            config = through_manifest(row, &config)?;
        }
        let mut credentials = credentials(row.module);
        credentials.retain(|(name, _)| row.credentials.iter().all(|(other, _)| other != name));
        credentials.extend_from_slice(&row.credentials);
        try_open_on(&host(self.tap.clone()), row.module, "a-1", None, &config, &credentials)
    }

    /// What is wrong with the row, if anything is.
    pub(super) async fn judge(&self, row: &Row) -> Result<(), String> {
        let agent = match (self.open(row), &row.holds) {
            (Err(fault), Holds::Unopened(key)) if fault.key.as_deref() == Some(key) => {
                told(&[&fault.message, &fault.remedy])?;
                return if self.tap.is_silent() { Ok(()) } else { Err("opening asked somebody".to_owned()) };
            }
            (Err(fault), _) => return Err(format!("does not open: {fault}")),
            (Ok(_), Holds::Unopened(key)) => return Err(format!("opens in spite of `{key}`")),
            (Ok(agent), _) => agent,
        };
        let confined = agent.0.confine(row.tool, &row.arguments).map_err(|fault| fault.code);
        let called = agent.call_as(row.tool, &row.arguments).await;
        if let Err(fault) = &called {
            told(&[&fault.message, &fault.remedy])?;
        }
        match (&row.holds, called) {
            (Holds::Refused(code), Err(fault)) if fault.code == *code && confined == Err(*code) => {
                if self.tap.is_silent() {
                    Ok(())
                } else {
                    Err("refused, and yet somebody was asked".to_owned())
                }
            }
            (Holds::RefusedAfter(code, wanted), Err(fault)) if fault.code == *code => self.sent(wanted),
            (Holds::Sent(wanted), Ok(_)) => self.sent(wanted),
            (Holds::Mailed(mail), Ok(_)) => self.mailed(mail),
            (Holds::Written(path, content), Ok(_)) => self.written(path, content),
            (_, called) => Err(format!("ends as {called:?}, confined as {confined:?}")),
        }
    }

    fn sent(&self, wanted: &[Request]) -> Result<(), String> {
        let mut seen = Vec::new();
        for bytes in self.tap.bytes() {
            seen.extend(requests(&bytes)?);
        }
        let wanted: Vec<Seen> = wanted.iter().map(whole).collect();
        if seen == wanted { Ok(()) } else { Err(format!("sent {}\ninstead of {}", shown(&seen), shown(&wanted))) }
    }

    fn mailed(&self, mail: &Mail) -> Result<(), String> {
        let [bytes] = <[_; 1]>::try_from(self.tap.bytes()).map_err(|all| format!("{} connections", all.len()))?;
        let said = String::from_utf8(bytes).map_err(|_| "said something that is not UTF-8".to_owned())?;
        let envelope = ENVELOPE.replace("{to}", &mail.to);
        let content = said.strip_prefix(&envelope).and_then(|rest| rest.strip_suffix(FAREWELL));
        let (headers, body) = mail_reader::read(content.ok_or_else(|| format!("another dialogue: {said:?}"))?)?;
        let mut names: Vec<&str> = headers.keys().map(String::as_str).collect();
        names.sort_unstable();
        let read = |name: &str| mail_reader::decoded(headers[name].as_str().unwrap_or_default());
        let lines = mail.body.replace("\r\n", "\n").replace('\n', "\r\n");
        let is_body = body.trim_end_matches("\r\n") == lines.trim_end_matches("\r\n");
        if names == MAIL_HEADERS
            && headers["From"] == mail.from.as_str()
            && read("Subject") == mail.subject
            && headers["To"] == mail.to.as_str()
            && is_body
        {
            return Ok(());
        }
        Err(format!("mailed {said:?}"))
    }

    fn written(&self, path: &str, content: &str) -> Result<(), String> {
        let mut found = Vec::new();
        files(self.dir.path(), &mut found);
        let wanted = [(self.dir.path().join(path), content.as_bytes().to_vec())];
        if found == wanted && self.tap.is_silent() { Ok(()) } else { Err(format!("wrote {found:?}")) }
    }
}

/// Both sentences are there, and no byte of an argument can make a terminal or a log line of them.
fn told(sentences: &[&str]) -> Result<(), String> {
    let fine = sentences.iter().all(|text| !text.trim().is_empty() && !text.chars().any(char::is_control));
    if fine { Ok(()) } else { Err(format!("tells {sentences:?}")) }
}

fn files(dir: &Path, found: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push((path.clone(), std::fs::read(&path).unwrap())) }
    }
}

/// With what every request has.
fn whole(request: &Request) -> Seen {
    let body = request.body.clone().unwrap_or_default();
    let agent = concat!("bailiwick/", env!("CARGO_PKG_VERSION"));
    let mut headers: Vec<(String, String)> = [("accept-encoding", "identity"), ("host", ADDRESS), ("user-agent", agent)]
        .into_iter()
        .chain(request.headers.iter().map(|(name, value)| (*name, value.as_str())))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if request.body.is_some() {
        headers.push(("content-length".to_owned(), body.len().to_string()));
    }
    headers.sort();
    Seen { line: format!("{} HTTP/1.1", request.line), headers, body: body.into_bytes() }
}

fn shown(all: &[Seen]) -> String {
    all.iter().map(|seen| format!("\n  {:?} {:?} {:?}", seen.line, seen.headers, String::from_utf8_lossy(&seen.body))).collect()
}

fn configured(module: &str, more: &Value, dir: &Path) -> Value {
    let mut usual = match module {
        "slack_webhook" | "discord_webhook" => json!({ "any_host": true }),
        "smtp" => json!({ "from_address": FROM, "allowed_recipients": ["ops@example.org"], "tls": "none", "auth": "none" }),
        "matrix" => json!({ "allowed_rooms": [ROOM] }),
        "http_proxy" => json!({ "name": "s", "base_url": format!("http://{ADDRESS}/api/v1"), "allow_private": ["127.0.0.0/8"] }),
        "influxdb" => json!({ "org": "acme", "buckets": ["telemetry"] }),
        "grafana" => json!({ "allowed_datasources": ["Prometheus", "Orders DB"] }),
        "filesystem" => json!({ "base_path": dir }),
        _ => json!({}),
    };
    usual.as_object_mut().unwrap().extend(more.as_object().unwrap_or(&Map::new()).clone());
    if module == "http_proxy" { json!({ "allowed_services": [usual] }) } else { usual }
}

/// What the module gets when `config` stands in a manifest.
fn through_manifest(row: &Row, config: &Value) -> Result<Value, OpenFault> {
    let lookup = |name: &str| row.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    // JSON is YAML.
    let text = json!({ "agent_type": "tester", "modules": { row.module: { "config": config } } }).to_string();
    let parsed = Manifest::parse("agent.yml", &text, &lookup, &ModuleRegistry::with_builtin());
    let (mut manifest, _) = parsed.map_err(|mistakes| {
        let said = mistakes.to_string();
        let key = said.split(".config.").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
        OpenFault::about(key, said.lines().next().unwrap_or_default(), "correct the manifest")
    })?;
    Ok(Value::Object(manifest.modules.remove(0).config))
}

fn credentials(module: &str) -> Vec<(&'static str, &'static str)> {
    let service = "http://127.0.0.1:9";
    match module {
        "ntfy" => vec![("NTFY_URL", service)],
        "slack_webhook" => vec![("SLACK_WEBHOOK_URL", HOOK)],
        "discord_webhook" => vec![("DISCORD_WEBHOOK_URL", HOOK)],
        "smtp" => vec![("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", "25")],
        "matrix" => vec![("MATRIX_HOMESERVER", service), ("MATRIX_ACCESS_TOKEN", "token-1")],
        "http_proxy" => vec![("KEY", "token-1")],
        "influxdb" => vec![("INFLUXDB_URL", service), ("INFLUXDB_TOKEN", "token-1")],
        "grafana" => vec![("GRAFANA_URL", "http://127.0.0.1:9/grafana"), ("GRAFANA_SERVICE_ACCOUNT_TOKEN", TOKEN)],
        _ => Vec::new(),
    }
}

/// What every service but Grafana answers.
fn answer(request: &Received) -> Reply {
    if request.target.starts_with("/api/v2/query") {
        return Reply::new(200, "\r\n").with("content-type", "text/csv");
    }
    Reply::json(&json!({ "event_id": "$1", "room_id": LED, "buckets": [] }))
}
