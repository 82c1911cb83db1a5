//! What is compared: answers, the state of every service and directory, and what arrived at the services.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_testkit::flux;
use bailiwick_testkit::grafana::Grafana;
use bailiwick_testkit::influxdb::Influx;
use bailiwick_testkit::service::Received;
use bailiwick_testkit::upstream::FakeUpstream;
use serde_json::Value;

use super::plan::BASE;

/// Owner and name of a thing, then what is in it. The operator's things have the owner `""`.
pub(crate) type State = BTreeMap<(String, String), String>;
/// What arrived, by service, sorted.
pub(crate) type Requests = BTreeMap<&'static str, Vec<String>>;

/// What may differ between two worlds though nobody looked at anybody, and the reason:
///
/// - the directory of the world, because each has one of its own;
/// - `event_id`, because the ids of calls come from one source of randomness for all agents of a gateway;
/// - `modified`, because the disk's clock is not the test's.
pub(crate) fn normal(answer: &str, base: &str) -> String {
    let mut text = answer.replace(base, BASE);
    // Results stand in an answer twice: as data, and written out in a text.
    for marker in ["\"event_id\":\"", "\"modified\":\"", "\\\"modified\\\":\\\""] {
        text = blank(&text, marker, &['"', '\\']);
    }
    text
}

/// The text with `*` for everything from behind `marker` to one of `ends`, wherever it occurs.
fn blank(text: &str, marker: &str, ends: &[char]) -> String {
    let mut parts = text.split(marker);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(marker);
        out.push('*');
        out.push_str(part.find(ends).map_or("", |end| &part[end..]));
    }
    out
}

/// Everything there is in directories and services that keep something.
pub(crate) fn state(base: &Path, grafana: &Grafana, influx: &Influx) -> State {
    let mut state = State::new();
    walk(base, base, &mut state);
    for (name, points) in &influx.buckets {
        let owner = name.split_once("--").map_or("", |(owner, _)| owner);
        state.insert((owner.to_owned(), format!("bucket {name}")), format!("{points:?}"));
    }
    let owner = |folder: &str| folder.strip_prefix("agent-").unwrap_or_default().to_owned();
    for (uid, title) in &grafana.folders {
        state.insert((owner(uid), format!("folder {uid}")), title.clone());
    }
    for (uid, dashboard) in &grafana.dashboards {
        state.insert((owner(&dashboard.folder), format!("dashboard {uid}")), dashboard.model.to_string());
    }
    for rule in &grafana.rules {
        state.insert((owner(rule["folderUID"].as_str().unwrap()), format!("rule {}", rule["uid"])), rule.to_string());
    }
    state
}

/// Files and directories beneath `agents/<owner>`, and `db/agent_<owner>.db`, byte for byte; everything else is nobody's.
fn walk(base: &Path, directory: &Path, state: &mut State) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
        let mut parts = name.split('/');
        let owner = match (parts.next(), parts.next()) {
            (Some("agents"), Some(owner)) => owner,
            (Some("db"), Some(file)) => file.strip_prefix("agent_").and_then(|rest| rest.strip_suffix(".db")).unwrap_or_default(),
            _ => "",
        };
        let content = if path.is_dir() { String::new() } else { String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned() };
        state.insert((owner.to_owned(), format!("file {name}")), content);
        if path.is_dir() {
            walk(base, &path, state);
        }
    }
}

/// What arrived at every service. Transactions of Matrix and message ids of mails are blanked: they are made of the ids of calls.
pub(crate) fn requests(
    received: &BTreeMap<&'static str, Vec<Received>>,
    servers: &BTreeMap<&'static str, FakeUpstream>,
    mails: &[String],
) -> Requests {
    let mut all: Requests = received.iter().map(|(name, requests)| (*name, requests.iter().map(written).collect())).collect();
    for (name, server) in servers {
        let calls = server.arrivals().into_iter().filter(|arrival| arrival.method == "tools/call");
        all.insert(name, calls.map(|call| format!("{:?} {:?}", call.tool, call.arguments)).collect());
    }
    all.insert("mail", mails.iter().map(|mail| blank(mail, "Message-ID: ", &['\r'])).collect());
    all.values_mut().for_each(|requests| requests.sort_unstable());
    all
}

/// A request with the headers that a module chooses.
fn written(request: &Received) -> String {
    let target = blank(&request.target, "/send/m.room.message/", &['?']);
    let headers: Vec<Option<&str>> = ["authorization", "title", "priority", "tags"].map(|name| request.header(name)).into();
    format!("{} {target} {headers:?} {}", request.method, request.text())
}

/// The topics, folders and buckets that a request names as the place where it acts. What stands in values is nobody's place.
pub(crate) fn places(service: &str, request: &Received) -> Vec<String> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let parameter = |name: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let found = match service {
        "ntfy" => vec![Some(path.trim_start_matches('/').to_owned())],
        "grafana" => vec![parameter("folderUIDs"), text(&body["folderUid"]), text(&body["folderUID"]), text(&body["ruleGroup"])],
        "influxdb" => vec![parameter("bucket"), body["query"].as_str().and_then(queried), text(&body["name"])],
        _ => Vec::new(),
    };
    found.into_iter().flatten().collect()
}

/// The bucket of a query.
fn queried(source: &str) -> Option<String> {
    let (_, rest) = source.split_once("(bucket: ")?;
    flux::string(rest).ok().map(|(bucket, _)| bucket)
}
