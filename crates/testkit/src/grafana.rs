//! What a Grafana keeps and answers: folders, dashboards, data sources and rules, as its API is documented; it complains of everything else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::service::{Received, Reply};

/// The service account's token.
pub const TOKEN: &str = "glsa_CANARY-77aa";
/// What stands in front of every path.
const ROOT: &str = "/grafana/api/";

/// One Grafana; [`Grafana::answer`] is what a [`FakeService`](crate::service::FakeService) says.
#[derive(Default)]
pub struct Grafana {
    /// uid and title, in the order in which they were made.
    pub folders: Vec<(String, String)>,
    /// By uid.
    pub dashboards: BTreeMap<String, Dashboard>,
    /// As the API lists them.
    pub sources: Vec<Value>,
    /// As they were sent, with the uid they got.
    pub rules: Vec<Value>,
    /// Saves that somebody else's change comes before.
    pub interfering: u32,
    /// What was asked that the documentation does not know.
    pub complaints: Vec<String>,
    /// Refuse everything with this status, repeating the token.
    pub broken: Option<u16>,
}

/// One dashboard and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Dashboard {
    /// The folder's uid.
    pub folder: String,
    /// Its model.
    pub model: Value,
}

/// The uid of the dashboard that was the `number`th of this title to lie in the folder, from 0. It says nothing of either (FNV-1a).
#[must_use]
pub fn uid_of(folder: &str, title: &str, number: usize) -> String {
    let text = format!("{folder}\n{title}\n{number}");
    let digest = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("d{digest:016x}")
}

/// A data source with more in it than an agent may see.
#[must_use]
pub fn source(id: i64, uid: &str, name: &str, kind: &str, is_default: bool) -> Value {
    json!({ "id": id, "uid": uid, "orgId": 1, "name": name, "type": kind, "url": "http://10.0.0.9:9090", "user": "admin", "basicAuth": true,
        "basicAuthUser": "root", "isDefault": is_default, "jsonData": { "secret": "x" }, "readOnly": false })
}

fn refused(status: u16, body: &Value) -> Reply {
    Reply::new(status, body.to_string()).with("content-type", "application/json")
}

impl Grafana {
    /// The answer to one request.
    #[must_use]
    pub fn answer(&mut self, request: &Received) -> Reply {
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
        let Some(path) = path.strip_prefix(ROOT) else { return self.complain(request) };
        match (request.method.as_str(), path.split('/').collect::<Vec<_>>().as_slice()) {
            ("GET", ["folders"]) => page(self.folders.iter().map(|(uid, title)| json!({ "uid": uid, "title": title })), &query),
            ("GET", ["folders", uid]) => {
                let folder = self.folders.iter().find(|folder| folder.0 == *uid);
                found(folder.map(|(uid, title)| json!({ "uid": uid, "title": title, "version": 1 })))
            }
            ("POST", ["folders"]) => self.make_folder(&request.json()),
            ("GET", ["search"]) => self.search(request, &query),
            ("GET", ["dashboards", "uid", uid]) => found(self.dashboards.get(*uid).map(|found| {
                let meta = json!({ "folderUid": found.folder, "url": format!("/d/{uid}"), "version": found.model["version"] });
                json!({ "dashboard": found.model, "meta": meta })
            })),
            ("DELETE", ["dashboards", "uid", uid]) => {
                found(self.dashboards.remove(*uid).map(|old| json!({ "title": old.model["title"], "id": 10 })))
            }
            ("POST", ["dashboards", "db"]) => self.save(&request.json()),
            ("GET", ["datasources"]) => Reply::json(&json!(self.sources)),
            ("GET", ["datasources", "name", name]) => {
                let name = name.replace("%20", " ");
                found(self.sources.iter().find(|source| source["name"] == name.as_str()).cloned())
            }
            ("POST", ["ds", "query"]) => Reply::json(&json!({ "results": { "A": { "frames": [], "asked": request.json() } } })),
            ("POST", ["v1", "provisioning", "alert-rules"]) => self.add_rule(request.json()),
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
        let uid = dashboard["uid"].as_str().map_or_else(|| self.free_uid(folder, dashboard), str::to_owned);
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

    fn free_uid(&self, folder: &str, dashboard: &Value) -> String {
        let title = dashboard["title"].as_str().unwrap_or_default();
        (0..).map(|number| uid_of(folder, title, number)).find(|uid| !self.dashboards.contains_key(uid)).unwrap()
    }

    /// Rules are counted by folder, so that what one agent sees does not depend on another's.
    fn add_rule(&mut self, mut rule: Value) -> Reply {
        let number = self.rules.iter().filter(|known| known["folderUID"] == rule["folderUID"]).count();
        rule["uid"] = format!("rule-{number}").into();
        self.rules.push(rule.clone());
        Reply::new(201, rule.to_string())
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
