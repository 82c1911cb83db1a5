//! One world: a gateway with every built-in module, and fakes with a memory behind all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bailiwick_testkit::grafana::{Grafana, TOKEN, source};
use bailiwick_testkit::influxdb::Influx;
use bailiwick_testkit::service::{FakeService, Received, Reply};
use bailiwick_testkit::upstream::{Behaviour, FakeUpstream};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::evidence::{self, Requests, State};
use super::plan::{BASE, Operation};
use crate::house::{Agent, House, Plan};
use crate::mail::MailServer;
use crate::town::Town;

/// One tool of every module and server; when all are there, the agent has opened.
const OPENED: [&str; 13] = [
    "filesystem_search",
    "sqlite_query",
    "ntfy_send",
    "smtp_send",
    "matrix_send",
    "slack_webhook_send",
    "discord_webhook_send",
    "http_proxy_put",
    "grafana_create_dashboard",
    "influxdb_create_bucket",
    "desk_echo",
    "shared__echo",
    "shared__write_note",
];
const CONFIG: &str = "servers:\n  shared: {url: 'http://shared.example.com/mcp', trust: first_party, allow_http: true}\n";
/// Services that keep nothing.
const CONFIRMING: [(&str, &str, u16); 5] = [
    ("ntfy", "ntfy.example.com", 80),
    ("matrix", "matrix.example.com", 80),
    ("notes", "notes.example.com", 80),
    ("slack", "127.0.0.1", 8_601),
    ("discord", "127.0.0.1", 8_602),
];

pub(crate) struct World {
    house: House,
    town: Arc<Town>,
    dir: TempDir,
    grafana: Arc<Mutex<Grafana>>,
    influx: Arc<Mutex<Influx>>,
    services: BTreeMap<&'static str, FakeService>,
    servers: BTreeMap<&'static str, FakeUpstream>,
    mail: MailServer,
}

/// What is left of a world that has ended.
pub(crate) struct Remains {
    pub(crate) state: State,
    pub(crate) requests: Requests,
    /// Everything that the HTTP services received, by service.
    pub(crate) received: BTreeMap<&'static str, Vec<Received>>,
}

impl World {
    pub(crate) async fn build() -> Self {
        let dir = TempDir::new().unwrap();
        let (mut town, mut services) = (Town::default(), BTreeMap::new());
        let grafana = Arc::new(Mutex::new(grafana()));
        let influx = Arc::new(Mutex::new(influx()));
        let (shared_grafana, shared_influx) = (grafana.clone(), influx.clone());
        services.insert("grafana", FakeService::start(move |request| shared_grafana.lock().unwrap().answer(request)).await);
        services.insert("influxdb", FakeService::start(move |request| shared_influx.lock().unwrap().answer(request)).await);
        town.door("grafana.example.com", 80, services["grafana"].address);
        town.door("influxdb.example.com", 80, services["influxdb"].address);
        for (name, host, port) in CONFIRMING {
            let service = FakeService::start(confirm).await;
            town.door(host, port, service.address);
            services.insert(name, service);
        }
        let mut servers = BTreeMap::new();
        for name in ["desk", "shared"] {
            let server = FakeUpstream::start(Behaviour::default());
            town.door(&format!("{name}.example.com"), 80, ([127, 0, 0, 1], server.port()).into());
            servers.insert(name, server);
        }
        let mail = MailServer::plain().await;
        town.door("127.0.0.1", 2_525, mail.address);
        let town = Arc::new(town);
        let manifest = manifest(dir.path());
        let plan = Plan { manifest: ("neighbours.yml", &manifest), config: CONFIG, environment: environment(), network: town.clone() };
        let house = House::build(plan).await.unwrap();
        Self { house, town, dir, grafana, influx, services, servers, mail }
    }

    /// Lets the agent in and waits until everything of it is open.
    pub(crate) async fn player(&self, id: &str) -> Player {
        let agent = self.house.agent(id).await.unwrap();
        let seen = agent.tools_with(&OPENED).await;
        let missing: Vec<&&str> = OPENED.iter().filter(|tool| !seen.iter().any(|known| known == *tool)).collect();
        assert!(missing.is_empty(), "{id} lacks {missing:?}");
        Player { agent, base: self.dir.path().to_owned() }
    }

    /// Closes the gateway and looks at what there is.
    pub(crate) async fn end(self) -> Remains {
        self.house.close().await;
        let (grafana, influx) = (self.grafana.lock().unwrap(), self.influx.lock().unwrap());
        assert!(grafana.complaints.is_empty(), "{:#?}", grafana.complaints);
        assert!(influx.complaints.is_empty(), "{:#?}", influx.complaints);
        let strayed = self.town.strayed.lock().unwrap();
        assert!(strayed.is_empty(), "dialled outside: {strayed:?}");
        let received: BTreeMap<&'static str, Vec<Received>> = self.services.iter().map(|(name, fake)| (*name, fake.take())).collect();
        let requests = evidence::requests(&received, &self.servers, &self.mail.mails.lock().unwrap());
        Remains { state: evidence::state(self.dir.path(), &grafana, &influx), requests, received }
    }
}

/// An agent and the world it plays in.
pub(crate) struct Player {
    agent: Agent,
    base: PathBuf,
}

impl Player {
    /// Plays the operations one after the other; gives what came of each.
    pub(crate) async fn play(&self, operations: &[Operation]) -> Vec<String> {
        let base = self.base.to_str().unwrap();
        let mut transcript = Vec::new();
        for Operation { method, params } in operations {
            let params: Value = serde_json::from_str(&params.to_string().replace(BASE, base)).unwrap();
            let answer = match *method {
                "notifications/cancelled" => {
                    self.agent.say(json!({ "jsonrpc": "2.0", "method": method, "params": params })).await.unwrap_or_default()
                }
                _ => self.agent.ask(method, params).await,
            };
            transcript.push(evidence::normal(&answer.to_string(), base));
        }
        transcript
    }
}

/// Data sources of each agent that were opened for nobody, and one for both.
fn grafana() -> Grafana {
    let sources = vec![
        source(1, "metrics", "Metrics", "prometheus", false),
        source(2, "private-a", "Private a", "prometheus", true),
        source(3, "private-a-b", "Private a-b", "prometheus", false),
    ];
    Grafana { sources, ..Grafana::default() }
}

/// What the operator listed, and what nobody may see.
fn influx() -> Influx {
    let point = |text: &str| [(("cpu0,who=operator".to_owned(), 1), [("note".to_owned(), text.to_owned())].into())].into();
    Influx { buckets: ["telemetry", "private"].map(|name| (name.to_owned(), point(name))).into(), ..Influx::default() }
}

/// Says back what it was asked, so that an answer that goes astray shows.
fn confirm(request: &Received) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    if path.contains("/directory/room/") {
        return Reply::json(&json!({ "room_id": "!resolved:matrix.example" }));
    }
    Reply::json(&json!({ "event_id": "$1", "asked": format!("{} {}", request.method, request.target), "body": request.text() }))
}

fn manifest(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "agent_type: neighbour
modules:
  filesystem: {{mode: write, config: {{base_path: '{dir}', extended_tools: true}}}}
  sqlite: {{mode: write, config: {{db_dir: '{dir}/db'}}}}
  ntfy: {{mode: write}}
  smtp: {{mode: write, config: {{from_address: agents@example.org, allowed_recipients: [ops@example.org], tls: none, auth: none}}}}
  matrix: {{mode: write, config: {{allowed_rooms: ['!ops:matrix.example', '#ops:matrix.example']}}}}
  slack_webhook: {{mode: write, config: {{any_host: true}}}}
  discord_webhook: {{mode: write, config: {{any_host: true}}}}
  http_proxy: {{mode: write, config: {{allowed_services: [{{name: notes, base_url: 'http://notes.example.com/api'}}]}}}}
  grafana: {{mode: write, config: {{allowed_datasources: [Metrics]}}}}
  influxdb: {{mode: write, config: {{org: acme, buckets: [telemetry]}}}}
  desk: {{type: mcp_proxy, config: {{url: 'http://desk.example.com/mcp'}}}}
servers:
  shared: {{mode: write}}
"
    )
}

fn environment() -> BTreeMap<String, String> {
    let values = [
        ("NTFY_URL", "http://ntfy.example.com"),
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", "2525"),
        ("MATRIX_HOMESERVER", "http://matrix.example.com"),
        ("MATRIX_ACCESS_TOKEN", "matrix-token-1"),
        ("SLACK_WEBHOOK_URL", "http://127.0.0.1:8601/services/T0/B0/slack-key-1"),
        ("DISCORD_WEBHOOK_URL", "http://127.0.0.1:8602/api/webhooks/1/discord-key-1"),
        ("GRAFANA_URL", "http://grafana.example.com/grafana"),
        ("GRAFANA_SERVICE_ACCOUNT_TOKEN", TOKEN),
        ("INFLUXDB_URL", "http://influxdb.example.com"),
        ("INFLUXDB_TOKEN", "influx-token-1"),
    ];
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
