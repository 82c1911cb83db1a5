//! A Grafana with folders, dashboards, data sources and rules that answers as its API is documented, and complains of everything else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bailiwick_modules::{Access, OpenFault};
use serde_json::{Value, json};

use crate::service::{FakeService, Learned, Received, RecordingNetwork, Reply, host};
use crate::support::{Agent, try_open_in};

/// The service account's token.
pub(crate) const TOKEN: &str = "glsa_CANARY-77aa";

#[derive(Default)]
pub(crate) struct State {
    /// uid and title, in the order in which they were made.
    pub(crate) folders: Vec<(String, String)>,
    pub(crate) dashboards: BTreeMap<String, Dashboard>,
    pub(crate) sources: Vec<Value>,
    pub(crate) rules: Vec<Value>,
    /// Saves that somebody else's change comes before.
    pub(crate) interfering: u32,
    /// What was asked that the documentation does not know.
    pub(crate) complaints: Vec<String>,
    /// Refuse everything with this status, repeating the token.
    pub(crate) broken: Option<u16>,
}

pub(crate) struct Dashboard {
    pub(crate) folder: String,
    pub(crate) model: Value,
}

pub(crate) struct FakeGrafana {
    pub(crate) service: FakeService,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) network: Arc<RecordingNetwork>,
}

impl Drop for FakeGrafana {
    fn drop(&mut self) {
        let complaints = &self.state.lock().unwrap().complaints;
        assert!(complaints.is_empty() || std::thread::panicking(), "{complaints:#?}");
    }
}

impl FakeGrafana {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            sources: vec![
                source(1, "prom", "Prometheus", "prometheus", true),
                source(2, "sql-1", "Orders DB", "grafana-postgresql-datasource", false),
                source(3, "loki-1", "Logs", "loki", false),
                source(4, "flux", "Metrics", "influxdb", false),
                source(5, "odd", "Odd", "vendor-odd-datasource", false),
            ],
            ..State::default()
        }));
        let shared = state.clone();
        let service = FakeService::start(move |request| shared.lock().unwrap().answer(request)).await;
        Self { service, state, network: Arc::default() }
    }

    pub(crate) fn try_open(&self, org: Option<&str>, agent: &str, access: Option<Access>, config: &Value) -> Result<Agent, OpenFault> {
        let mut host = host(self.network.clone());
        host.secrets = Arc::new(Learned::default());
        let url = format!("{}/grafana/", self.service.url());
        try_open_in(org, &host, "grafana", agent, access, config, &[("GRAFANA_URL", &url), ("GRAFANA_SERVICE_ACCOUNT_TOKEN", TOKEN)])
    }

    /// The agent `a-1` with this configuration.
    pub(crate) fn open(&self, config: &Value) -> Agent {
        self.try_open(None, "a-1", None, config).unwrap()
    }

    pub(crate) fn folder(&self, uid: &str, title: &str) {
        self.state.lock().unwrap().folders.push((uid.to_owned(), title.to_owned()));
    }

    pub(crate) fn dashboard(&self, uid: &str, folder: &str, more: &Value) {
        let mut model = json!({ "id": 10, "uid": uid, "title": uid, "version": 1, "schemaVersion": 38, "panels": [] });
        model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.state.lock().unwrap().dashboards.insert(uid.to_owned(), Dashboard { folder: folder.to_owned(), model });
    }

    /// Method and target of everything received since the last look.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.service.take().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }
}

fn source(id: i64, uid: &str, name: &str, kind: &str, is_default: bool) -> Value {
    json!({ "id": id, "uid": uid, "orgId": 1, "name": name, "type": kind, "url": "http://10.0.0.9:9090", "user": "admin", "basicAuth": true,
        "basicAuthUser": "root", "isDefault": is_default, "jsonData": { "secret": "x" }, "readOnly": false })
}

fn refused(status: u16, body: &Value) -> Reply {
    Reply::new(status, body.to_string()).with("content-type", "application/json")
}

impl State {
    fn answer(&mut self, request: &Received) -> Reply {
        if let Some(status) = self.broken {
            return refused(status, &json!({ "message": request.header("authorization") }));
        }
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return refused(401, &json!({ "message": "Unauthorized" }));
        }
        let has_body = request.method == "POST";
        if (request.header("content-type") == Some("application/json")) != has_body || request.body.is_empty() == has_body {
            self.complaints.push(format!("body or type of {request:?}"));
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let Some(path) = path.strip_prefix("/grafana/api/") else { return self.complain(request) };
        match (request.method.as_str(), path.split('/').collect::<Vec<_>>().as_slice()) {
            ("GET", ["folders"]) => page(self.folders.iter().map(|(uid, title)| json!({ "uid": uid, "title": title })), &query),
            ("GET", ["folders", uid]) => found(self.folders.iter().find(|f| f.0 == *uid).map(|(uid, title)| json!({ "uid": uid, "title": title, "version": 1 }))),
            ("POST", ["folders"]) => self.make_folder(&request.json()),
            ("GET", ["search"]) => self.search(request, &query),
            ("GET", ["dashboards", "uid", uid]) => found(self.dashboards.get(*uid).map(|found| {
                json!({ "dashboard": found.model, "meta": { "folderUid": found.folder, "url": format!("/d/{uid}"), "version": found.model["version"] } })
            })),
            ("DELETE", ["dashboards", "uid", uid]) => found(self.dashboards.remove(*uid).map(|old| json!({ "title": old.model["title"], "id": 10 }))),
            ("POST", ["dashboards", "db"]) => self.save(&request.json()),
            ("GET", ["datasources"]) => Reply::json(&json!(self.sources)),
            ("GET", ["datasources", "name", name]) => {
                let name = name.replace("%20", " ");
                found(self.sources.iter().find(|source| source["name"] == name.as_str()).cloned())
            }
            ("POST", ["ds", "query"]) => Reply::json(&json!({ "results": { "A": { "frames": [], "asked": request.json() } } })),
            ("POST", ["v1", "provisioning", "alert-rules"]) => {
                let mut rule = request.json();
                rule["uid"] = format!("rule-{}", self.rules.len()).into();
                self.rules.push(rule.clone());
                Reply::new(201, rule.to_string())
            }
            _ => self.complain(request),
        }
    }

    fn complain(&mut self, request: &Received) -> Reply {
        self.complaints.push(format!("{} {}", request.method, request.target));
        refused(404, &json!({ "message": "Not found" }))
    }

    fn make_folder(&mut self, body: &Value) -> Reply {
        let (uid, title) = (body["uid"].as_str().unwrap().to_owned(), body["title"].as_str().unwrap().to_owned());
        if body.as_object().unwrap().len() != 2 || uid.len() > 40 {
            self.complaints.push(format!("folder {body}"));
        }
        if self.folders.iter().any(|folder| folder.0 == uid) {
            return refused(409, &json!({ "message": "a folder with that uid already exists" }));
        }
        self.folders.push((uid, title));
        Reply::json(body)
    }

    fn search(&mut self, request: &Received, query: &[(&str, &str)]) -> Reply {
        let value = |name: &str| query.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let (Some("dash-db"), Some(folder)) = (value("type"), value("folderUIDs")) else { return self.complain(request) };
        let inside = self.dashboards.iter().filter(|(_, dashboard)| dashboard.folder == folder);
        page(inside.map(|(uid, d)| json!({ "uid": uid, "title": d.model["title"], "type": "dash-db", "folderUid": d.folder })), query)
    }

    fn save(&mut self, body: &Value) -> Reply {
        let dashboard = &body["dashboard"];
        let folder = body["folderUid"].as_str().unwrap_or_default();
        if body["overwrite"] != false || body.as_object().unwrap().len() != 3 || !self.folders.iter().any(|known| known.0 == folder) {
            self.complaints.push(format!("saved {body}"));
        }
        let uid = dashboard["uid"].as_str().map_or_else(|| format!("new-{}", self.dashboards.len()), str::to_owned);
        let mut model = dashboard.clone();
        if let Some(old) = self.dashboards.get_mut(&uid) {
            if self.interfering > 0 {
                self.interfering -= 1;
                old.model["version"] = (old.model["version"].as_u64().unwrap() + 1).into();
                old.model["description"] = "changed in between".into();
            }
            if old.model["version"] != dashboard["version"] {
                return refused(412, &json!({ "message": "The dashboard has been changed by someone else", "status": "version-mismatch" }));
            }
            model["version"] = (old.model["version"].as_u64().unwrap() + 1).into();
        } else {
            (model["id"], model["uid"], model["version"]) = (11.into(), uid.as_str().into(), 1.into());
        }
        let answer = json!({ "id": model["id"], "uid": uid, "url": format!("/d/{uid}"), "status": "success", "version": model["version"] });
        self.dashboards.insert(uid, Dashboard { folder: folder.to_owned(), model });
        Reply::json(&answer)
    }
}

fn found(value: Option<Value>) -> Reply {
    value.map_or_else(|| refused(404, &json!({ "message": "not found" })), |value| Reply::json(&value))
}

/// `limit` entries of the page `page`, counted from 1.
fn page(entries: impl Iterator<Item = Value>, query: &[(&str, &str)]) -> Reply {
    let number =
        |name: &str, other: usize| query.iter().find(|(known, _)| *known == name).map_or(other, |(_, value)| value.parse().unwrap());
    let (limit, page) = (number("limit", 1_000).min(5_000), number("page", 1));
    Reply::json(&entries.skip(limit * (page - 1)).take(limit).collect::<Value>())
}
