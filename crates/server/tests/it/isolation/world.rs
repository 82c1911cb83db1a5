//! The program with the two organisations, before anything is in them.

use bailiwick_testkit::app::{App, AppSetup};
use bailiwick_testkit::upstream::{Act, Behaviour, FakeResource, FakeTool, FakeUpstream};
use serde_json::json;

use super::evidence::{MARK, OWN_MARK};
use crate::api::done;
use crate::base::Base;

/// Every agent may everything at every server; which of them there are is decided by its organisation.
const MANIFEST: &str = "\
agent_type: reader
modules:
  files: {type: filesystem, mode: write, config: {base_path: '{dir}/files', extended_tools: true}}
  tables: {type: sqlite, mode: write, config: {db_dir: '{dir}/tables'}}
servers: {shared: {}, acme-desk: {}, bellum-desk: {}}
";
/// The attackers are at home here: their places have no organisation in their names, so they are the ones to reach out of them.
const HOUSE: &str = "org: acme\ninstructions: {readme: Be kind., blocklist: {Ann Example: word}}\nruns: {}\nfeedback: true\n\
connections: {allow_loopback_http: true, allow_hosts: [127.0.0.1]}\n";

/// One of the two.
#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub(crate) org: &'static str,
    pub(crate) mark: &'static str,
    /// The name of one more thing of each kind, which the other side has heard of, but has not itself.
    pub(crate) only: &'static str,
}

/// The attackers.
pub(crate) const ACME: Side = Side { org: "acme", mark: OWN_MARK, only: "charter" };
/// Who must not notice them.
pub(crate) const BELLUM: Side = Side { org: "bellum", mark: MARK, only: "treaty" };

/// See the module.
pub(crate) struct World {
    pub(crate) app: App,
    /// The server that only bellum sees.
    pub(crate) desk: FakeUpstream,
    /// Kept running.
    _others: [FakeUpstream; 2],
    /// The key of somebody above both.
    pub(crate) above: String,
}

impl World {
    pub(crate) fn new(base: &Base<'_>) -> Self {
        let (desk, own, shared) = (desk(BELLUM), desk(ACME), FakeUpstream::start(quiet(Behaviour::default())));
        let server =
            |name: &str, of: &FakeUpstream, more: &str| format!("  {name}: {{url: '{}', allow_private: [127.0.0.0/8]{more}}}\n", of.url());
        let of = |org: &str| format!(", org: {org}, headers: {{Authorization: 'Bearer ${{secret:DESK_TOKEN}}'}}");
        let servers = [server("shared", &shared, ""), server("acme-desk", &own, &of("acme")), server("bellum-desk", &desk, &of("bellum"))];
        let setup = base.setup(&format!("{HOUSE}servers:\n{}", servers.concat())).file("manifests/reader.yml", MANIFEST);
        let above = people(&setup);
        Self { app: setup.start(), desk, _others: [own, shared], above }
    }
}

/// What there has to be before the program starts. Gives the key of somebody above both.
fn people(setup: &AppSetup) -> String {
    for org in ["ops", ACME.org, BELLUM.org] {
        done(setup, &["org", "create", org]);
    }
    done(setup, &["user", "add", "pam", "--org", "ops"]);
    done(setup, &["platform-admin", "add", "pam", "--org", "ops"]);
    for side in [ACME, BELLUM] {
        let file = setup.place().file(&format!("token-{}", side.org), token(side));
        done(setup, &["secret", "set", "DESK_TOKEN", "--org", side.org, "--from-file", file.to_str().unwrap()]);
        std::fs::remove_file(file).unwrap();
    }
    let key = done(setup, &["key", "create", "--org", "ops", "--agent-id", "desk", "--agent-type", "reader", "--user", "pam"]);
    key.trim().to_owned()
}

/// The credential of the organisation's own server.
fn token(side: Side) -> String {
    format!("{}-desk-token", side.mark)
}

/// A server with a mark on everything it offers.
fn desk(side: Side) -> FakeUpstream {
    let ask = Act::Ask {
        method: "elicitation/create".into(),
        params: json!({"message": format!("who, {}?", side.mark), "requestedSchema": {"type": "object", "properties": {}}}),
    };
    let told = json!({"content": [{"type": "text", "text": format!("{} told", side.mark)}]});
    let described = |tool: FakeTool| tool.with("description", json!(format!("A tool of {}.", side.mark)));
    let tools = vec![FakeTool::new("ask", ask), FakeTool::new("tell", Act::Result(told)), FakeTool::new("echo", Act::Echo)];
    FakeUpstream::start(Behaviour {
        tools: tools.into_iter().map(described).collect(),
        resources: vec![
            FakeResource::text("note://one", &format!("{} note", side.mark)),
            FakeResource::text(&format!("note://{}", side.mark), "a name"),
        ],
        bearer: Some(token(side)),
        record: side.org == BELLUM.org,
        ..Behaviour::rich()
    })
}

/// Hundreds of thousands of calls are not kept.
fn quiet(behaviour: Behaviour) -> Behaviour {
    Behaviour { record: false, ..behaviour }
}
