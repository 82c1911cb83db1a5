//! Fills both organisations with the same things under the same names. What is free text carries the organisation's mark; beside every thing
//! with a name that both have stands one whose name has the mark in it.

use bailiwick_testkit::client::{Client, Era};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

use super::pool::{Kind, Values};
use super::wire::Wire;
use super::world::{Side, World};
use crate::base::wait_for_tool;
use crate::scene::client;

/// Who is in an organisation, and as what.
const MEMBERS: [(&str, &str); 7] = [
    ("ann", "org_admin"),
    ("gil", "group_admin"),
    ("lee", "member"),
    ("bob", "member"),
    ("mia", "member"),
    ("tom", "member"),
    ("sue", "member"),
];
/// People with a key.
const PEOPLE: [&str; 5] = ["ann", "gil", "lee", "bob", "mia"];
/// Keys of the agent, runs, reports and sessions: some are told to the attackers, some never are.
const TWINS: usize = 6;
const LEGACY: Era = Era::Legacy("2025-11-25");

/// What there is in one organisation.
pub(crate) struct Filled {
    /// Who, and his key.
    pub(crate) keys: Vec<(&'static str, String)>,
    pub(crate) values: Values,
}

impl Filled {
    pub(crate) fn key(&self, name: &str) -> &str {
        &self.keys.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn note(&mut self, kind: Kind, value: impl Into<String>) {
        self.values.entry(kind).or_default().push(value.into());
    }
}

/// Somebody above both, at work.
struct Above<'w> {
    world: &'w World,
    wire: Wire,
}

impl Above<'_> {
    async fn ask(&mut self, method: &str, path: &str, body: Value) -> Value {
        let request = self.wire.request(Some(&self.world.above)).method(method).uri(path).header("content-type", "application/json");
        let told = self.wire.send(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await;
        assert!(told.status < 300, "{method} {path}: {} {}", told.status, told.json());
        told.json()
    }
}

pub(crate) async fn fill(world: &World, side: Side) -> Filled {
    let mut filled = Filled { keys: Vec::new(), values: Values::new() };
    filled.note(Kind::Org, side.org);
    let mut above = Above { world, wire: Wire::new(&world.app.base_url()) };
    people(&mut above, side, &mut filled).await;
    things(&mut above, side, &mut filled).await;
    keys(&mut above, side, &mut filled).await;
    let of = |who: &str| client(&world.app, filled.key(who), Era::Modern);
    let (ann, gil, bob, worker) = (of("ann"), of("gil"), of("bob"), of("worker"));
    wait_for_tool(&worker, &format!("{}-desk__tell", side.org)).await;
    servers(world, side, &mut filled).await;
    texts(&ann, &gil, side, &mut filled).await;
    for who in [&worker, &bob] {
        work(who, side, &mut filled).await;
    }
    state(world, side, &mut filled).await;
    sessions(world, &mut filled).await;
    filled
}

async fn people(above: &mut Above<'_>, side: Side, filled: &mut Filled) {
    let (org, mark) = (side.org, side.mark);
    let hidden = format!("{mark}-sub");
    for (sub, role) in MEMBERS.into_iter().chain([(hidden.as_str(), "member"), (side.only, "member")]) {
        let body =
            json!({"sub": sub, "role": role, "email": format!("{mark}-{sub}@{org}.example").replace(&format!("{mark}-{mark}"), mark)});
        above.ask("POST", &format!("/v1/orgs/{org}/members"), body).await;
        filled.note(Kind::Sub, sub);
    }
    let hidden_group = format!("{mark}-group");
    for group in ["data", "spare", side.only, &hidden_group] {
        above.ask("POST", &format!("/v1/orgs/{org}/groups"), json!({"group": group, "name": format!("{mark} {group}")})).await;
        filled.note(Kind::Group, group);
        for (sub, role) in [("gil", "group_admin"), ("lee", "group_admin"), ("bob", "member"), ("tom", "member")] {
            above.ask("PUT", &format!("/v1/orgs/{org}/groups/{group}/members/{sub}"), json!({"role": role})).await;
        }
    }
}

async fn things(above: &mut Above<'_>, side: Side, filled: &mut Filled) {
    let (org, mark) = (side.org, side.mark);
    let hidden = format!("{mark}-agent");
    for agent in ["worker", "desk", "spare", side.only, &hidden] {
        let body = json!({"agent_id": agent, "agent_type": "reader"});
        above.ask("POST", &format!("/v1/orgs/{org}/agents"), body).await;
        filled.note(Kind::Agent, agent);
    }
    let hidden = format!("{}_TOKEN", mark.to_uppercase());
    for name in ["API_TOKEN", "SPARE_TOKEN", &side.only.to_uppercase(), &hidden] {
        above.ask("PUT", &format!("/v1/orgs/{org}/secrets/{name}"), json!({"value": format!("{mark}-secret-{name}")})).await;
        filled.note(Kind::Secret, name);
    }
    filled.note(Kind::Secret, "DESK_TOKEN");
}

async fn keys(above: &mut Above<'_>, side: Side, filled: &mut Filled) {
    let path = format!("/v1/orgs/{}/keys", side.org);
    for who in PEOPLE {
        let body = json!({"agent_id": "desk", "sub": who, "note": format!("{} of {who}", side.mark), "expires_at": null});
        let made = above.ask("POST", &path, body).await;
        filled.keys.push((who, made["token"].as_str().unwrap().to_owned()));
    }
    for number in 0..TWINS {
        let made =
            above.ask("POST", &path, json!({"agent_id": "worker", "note": format!("{} {number}", side.mark), "expires_at": null})).await;
        filled.note(Kind::Key, made["id"].as_str().unwrap());
        // The last of them works; the others are there to be named.
        filled.keys.retain(|(who, _)| *who != "worker");
        filled.keys.push(("worker", made["token"].as_str().unwrap().to_owned()));
    }
    // A request that was repeated is kept under its name; the attackers will use the same names.
    for name in IDEMPOTENCY {
        let request = above.wire.request(Some(filled.key("ann"))).method("POST").uri(format!("/v1/orgs/{}/groups", side.org));
        let body = json!({"group": format!("kept-{name}"), "name": format!("{} kept {name}", side.mark)}).to_string();
        let request = request.header("content-type", "application/json").header("idempotency-key", name);
        let told = above.wire.send(request.body(Full::new(Bytes::from(body))).unwrap()).await;
        assert_eq!(told.status, 201, "{}", told.json());
        filled.note(Kind::Group, format!("kept-{name}"));
    }
}

/// Servers that nobody can reach: what is kept of them is an organisation's all the same.
async fn servers(world: &World, side: Side, filled: &mut Filled) {
    let mut wire = Wire::new(&world.app.base_url());
    let ann = filled.key("ann").to_owned();
    let hidden = format!("{}-server", side.mark);
    for name in ["shelf", "spare-shelf", side.only, &hidden] {
        let new = json!({"server_url": "http://127.0.0.1:1/mcp", "display_name": name});
        let made = tell(&mut wire, &ann, "POST", "/v1/mcp/servers", new).await;
        let id = made["data"]["server_id"].as_str().unwrap().to_owned();
        let context = json!({"context": format!("{} about {name}", side.mark)});
        tell(&mut wire, &ann, "PUT", &format!("/v1/mcp/servers/{id}/org-context"), context).await;
        tell(&mut wire, &ann, "PUT", &format!("/v1/mcp/servers/{id}/org-credential"), json!({"secret_name": "DESK_TOKEN"})).await;
        let tools = json!({"allowed_tools": {format!("{}-tool", side.mark): true}});
        tell(&mut wire, &ann, "PUT", &format!("/v1/mcp/servers/{id}/allowed-tools"), tools).await;
        filled.note(Kind::Server, id);
    }
    tell(&mut wire, &ann, "PUT", "/v1/mcp/settings", json!({"org_credential_fallback": "service_only"})).await;
}

async fn tell(wire: &mut Wire, key: &str, method: &str, path: &str, body: Value) -> Value {
    let request = wire.request(Some(key)).method(method).uri(path).header("content-type", "application/json");
    let told = wire.send(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await;
    assert!(told.status < 300, "{method} {path}: {} {}", told.status, told.json());
    told.json()
}

/// The names that both organisations give to requests that may be repeated.
pub(crate) const IDEMPOTENCY: [&str; 3] = ["k-1", "k-2", "k-3"];

/// The structured result of a call that must succeed.
async fn call(client: &Client, tool: &str, arguments: Value) -> Value {
    let result = client.call(tool, arguments).await.unwrap();
    assert_eq!(result["isError"], false, "{tool}: {result}");
    result["structuredContent"].clone()
}

async fn texts(ann: &Client, gil: &Client, side: Side, filled: &mut Filled) {
    let hidden = format!("{}-rule", side.mark);
    for (kind, slug) in [("rule", "tone"), ("skill", "deploy"), ("readme", "agent"), ("rule", side.only), ("rule", &hidden)] {
        for version in 1..=3 {
            let text = |of: &str| format!("{} {of} {version} of {kind} {slug}", side.mark);
            let arguments = json!({"kind": kind, "slug": slug, "title": text("title"), "description": text("about"), "body": text("body")});
            call(ann, "set_instruction", arguments).await;
        }
        filled.note(Kind::Doc, kind);
        filled.note(Kind::Slug, slug);
    }
    for slug in ["tone", "habits"] {
        let body = format!("{} says the group of {slug}", side.mark);
        call(gil, "set_instruction", json!({"kind": "rule", "slug": slug, "body": body, "title": side.mark, "group": "data"})).await;
    }
    filled.note(Kind::Slug, "habits");
    (1..=4).for_each(|version| filled.note(Kind::Version, version.to_string()));
}

/// Runs, reports, files, tables, and calls of servers.
async fn work(client: &Client, side: Side, filled: &mut Filled) {
    let mark = side.mark;
    for number in 0..TWINS {
        let run = call(client, "run_start", json!({"label": format!("{mark} run {number}"), "doctrine": "tone"})).await;
        let run = run["run_id"].as_str().unwrap().to_owned();
        let report =
            json!({"signal": "gap", "kind": "other", "target": format!("{mark} target"), "text": format!("{mark} text"), "_run_id": run});
        call(client, "feedback", report).await;
        if number % 2 == 0 {
            call(client, "run_finish", json!({"run_id": run, "outcome": "blocked", "note": format!("{mark} note")})).await;
        }
        filled.note(Kind::Run, run);
    }
    for (tool, arguments) in [
        ("files_write_file", json!({"path": "notes.txt", "content": format!("{mark} in a file")})),
        ("files_write_file", json!({"path": format!("{mark}.txt"), "content": "a name"})),
        ("files_write_file", json!({"path": format!("{}.txt", side.only), "content": format!("{mark} alone")})),
        ("tables_create_table", json!({"name": "notes", "columns": {"text": "TEXT"}})),
        ("tables_execute", json!({"sql": "INSERT INTO notes (text) VALUES (?1)", "params": [format!("{mark} in a table")]})),
        ("shared__echo", json!({"payload": format!("{mark} said to all")})),
    ] {
        let result = client.call(tool, arguments).await.unwrap();
        assert_eq!(result["isError"], false, "{tool}: {result}");
    }
    let told = client.call(&format!("{}-desk__tell", side.org), json!({})).await.unwrap();
    assert!(told.to_string().contains(mark), "{told}");
}

/// Questions that wait for their answers.
async fn state(world: &World, side: Side, filled: &mut Filled) {
    let able = client(&world.app, filled.key("worker"), Era::Modern).capabilities(json!({"elicitation": {}}));
    for _ in 0..TWINS {
        let params = json!({"name": format!("{}-desk__ask", side.org), "arguments": {}});
        let asked = able.request("tools/call", params).await.unwrap().result;
        filled.note(Kind::State, asked["requestState"].as_str().unwrap_or_else(|| panic!("{asked}")));
    }
}

async fn sessions(world: &World, filled: &mut Filled) {
    for who in ["worker", "ann"] {
        for _ in 0..TWINS {
            let session = client(&world.app, filled.key(who), LEGACY);
            session.open().await.unwrap();
            session.request("resources/subscribe", json!({"uri": "note://one"})).await.unwrap();
            filled.note(Kind::Session, session.session().unwrap());
        }
    }
}
