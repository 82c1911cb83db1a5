//! Arguments that a manifest binds to its agent, before a real server that keeps what it gets.

mod attacks;

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::{AgentId, OrgId};
use bailiwick_modules::egress::SystemNetwork;
use bailiwick_store::NewKey;
use bailiwick_store::event::{Event, EventFilter, EventPage};
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::upstream::{Act, Behaviour, FakePrompt, FakeResource, FakeTool, FakeUpstream};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::door::Door;
use crate::house::{Agent, House, Plan};
use attacks::{Fate, ROWS};

const RULES: &str = r#"
      "create_*":
        project: {fixed: "agents-{agent_id}"}
        assignee: {default: "{agent_id}"}
        dry_run: {fixed: true}
        force: {hidden: true}
        filter/owner: {fixed: "{agent_id}"}
      write_file:
        path: {prefix: "agents/{agent_id}/"}
      read_many:
        paths: {prefix: "agents/{agent_id}/"}
      tag:
        label: {allow: ["team-*", "{agent_type}", "{agent_id}:*"]}
        number: {allow: [1, 2], default: 1}
      search:
        filter/owner: {allow: ["{agent_id}"]}
"#;

fn tool(name: &str, schema: Value) -> FakeTool {
    let tool = FakeTool::new(name, Act::Result(json!({"content": [{"type": "text", "text": "done"}], "resultType": "complete"})));
    tool.with("inputSchema", schema)
}

fn create_ticket() -> FakeTool {
    let schema = json!({"type": "object", "properties": {
        "title": {"type": "string"},
        "project": {"type": "string", "x-mcp-header": "Project"},
        "assignee": {"type": ["string", "null"], "description": "Who.", "x-mcp-header": "Assignee"},
        "dry_run": {"type": "boolean"},
        "force": {"type": "boolean"},
        "filter": {"type": "object", "properties": {"owner": {"type": "string"}, "state": {"type": "string"}}, "required": ["owner"]},
    }, "required": ["project", "assignee"]});
    tool("create_ticket", schema).with("annotations", json!({"x-own": [1.0, "\u{e4}"]}))
}

fn tools() -> Vec<FakeTool> {
    let text = || json!({"type": "string"});
    vec![
        create_ticket(),
        tool("write_file", json!({"type": "object", "properties": {"path": text(), "mode": text()}})),
        tool("read_many", json!({"type": "object", "properties": {"paths": {"type": "array", "items": text(), "description": "Which."}}})),
        tool("tag", json!({"type": "object", "properties": {"label": {}, "number": {"type": "integer"}}, "additionalProperties": false})),
        tool(
            "search",
            json!({"type": "object", "properties": {"text": text(), "filter": {"$ref": "#/$defs/Filter", "description": "Where."}},
                "$defs": {"Filter": {"type": "object", "properties": {"owner": {"type": "string"}}}}}),
        ),
        tool("free", json!({"type": "object"})),
        // These cannot be bound.
        tool("create_note", json!({"type": "object", "properties": {"title": text()}})),
    ]
}

struct World {
    house: House,
    fake: FakeUpstream,
}

impl World {
    async fn start(behaviour: Behaviour) -> Self {
        Self::with(behaviour, |fake| {
            let config = format!("servers:\n  up: {{url: '{}', allow_private: [127.0.0.0/8]}}\n", fake.url());
            (format!("agent_type: t\nservers:\n  up:\n    arguments:{RULES}"), config)
        })
        .await
    }

    async fn with(behaviour: Behaviour, texts: impl FnOnce(&FakeUpstream) -> (String, String)) -> Self {
        let fake = FakeUpstream::start(behaviour);
        let (manifest, config) = texts(&fake);
        let plan =
            Plan { manifest: ("t.yml", &manifest), config: &config, environment: Default::default(), network: Arc::new(SystemNetwork) };
        let house = House::build(plan).await.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Self { house, fake }
    }

    async fn rows(&self, tool: &str, count: usize) -> Vec<Event> {
        let platform = self.house.store.platform("test").unwrap();
        let scope = platform.within(&OrgId::parse("default").unwrap());
        let filter = EventFilter { tool: Some(tool.to_owned()), ..EventFilter::default() };
        for _ in 0..500 {
            let rows = self.house.store.events().list(&scope, &filter, EventPage::Newest, 100).await.unwrap();
            if rows.len() >= count {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the record of {tool} does not come");
    }

    async fn client(&self, id: &str) -> Client {
        let (platform, org) = (self.house.store.platform("test").unwrap(), OrgId::parse("default").unwrap());
        self.house.store.orgs().ensure(&platform, &org).await.unwrap();
        let scope = platform.within(&org);
        let agent_id = AgentId::parse(id).unwrap();
        let _ = self.house.store.agents().create(&scope, &agent_id, &self.house.agent_type).await;
        let new = NewKey { agent_id, sub: None, label: String::new(), expires_at: None };
        let key = self.house.store.keys().create(&scope, new).await.unwrap().token.expose_secret().to_owned();
        let door = Door::open(&self.house.gateway).await;
        door.client(Era::Modern, &key).await
    }
}

fn behaviour() -> Behaviour {
    Behaviour { tools: tools(), ..Behaviour::default() }
}

async fn definition(agent: &Agent, name: &str) -> Value {
    let list = agent.ask("tools/list", json!({})).await;
    list["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_gets_around_its_rules_in_either_era() {
    let world = World::start(behaviour()).await;
    let (older, newer) = (world.house.agent("a-1").await.unwrap(), world.house.silent("a-1").await.unwrap());
    older.tools_with(&["up__create_ticket"]).await;
    let mut wrong = Vec::new();
    for (number, (tool, arguments, fate)) in ROWS.iter().enumerate() {
        for (modern, agent) in [(false, &older), (true, &newer)] {
            world.fake.clear();
            let answer = agent.call_text(modern, &format!("up__{tool}"), arguments).await;
            let (code, calls) = (answer["result"]["structuredContent"]["code"].clone(), world.fake.calls(tool));
            let good = match fate {
                Fate::Sent(sent) => calls == [if sent.is_empty() { *arguments } else { *sent }] && answer["result"]["isError"] != true,
                Fate::Refused(wanted) => {
                    let remedy = answer["result"]["structuredContent"]["remedy"].as_str().unwrap_or_default();
                    calls.is_empty() && code == *wanted && !remedy.is_empty()
                }
                Fate::Fault(wanted) => calls.is_empty() && answer["error"]["code"] == *wanted,
            };
            if !good {
                wrong.push(format!("row {number} modern {modern}: {tool} {arguments} {fate:?}\n  {answer}\n  {calls:?}"));
            }
        }
    }
    assert!(ROWS.len() >= 60 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_shows_what_is_left_and_every_other_byte_as_it_was() {
    let world = World::start(behaviour()).await;
    let agent = world.house.agent("a-1").await.unwrap();
    agent.tools_with(&["up__create_ticket"]).await;
    let shown = definition(&agent, "up__create_ticket").await;
    let rest = json!({"type": "object", "properties": {
        "title": {"type": "string"},
        "assignee": {"type": ["string", "null"], "description": "Who.", "x-mcp-header": "Assignee", "default": "a-1"},
        "filter": {"type": "object", "properties": {"state": {"type": "string"}}, "additionalProperties": false},
    }, "additionalProperties": false});
    assert_eq!(shown["inputSchema"], rest);
    assert_eq!(shown["annotations"], json!({"x-own": [1.0, "\u{e4}"]}));
    assert_eq!(shown["description"], "Fake tool create_ticket.");

    let path = definition(&agent, "up__write_file").await["inputSchema"].clone();
    assert_eq!(path["required"], json!(["path"]));
    assert!(path["properties"]["path"]["description"].as_str().unwrap().contains("begins with `agents/a-1/`"), "{path}");
    let paths = definition(&agent, "up__read_many").await["inputSchema"]["properties"]["paths"].clone();
    assert!(paths["description"].as_str().unwrap().starts_with("Which. Give a text that begins"), "{paths}");

    let tag = definition(&agent, "up__tag").await["inputSchema"].clone();
    assert_eq!(tag["properties"]["number"], json!({"type": "integer", "enum": [1, 2], "default": 1}));
    assert_eq!(tag["properties"]["label"], json!({"description": "Give one of `team-*`, `t`, `a-1:*`."}));
    assert_eq!(tag["required"], json!(["label"]));
    let search = definition(&agent, "up__search").await["inputSchema"].clone();
    assert_eq!(
        (&search["required"], &search["properties"]["filter"]["properties"]["owner"]["enum"]),
        (&json!(["filter"]), &json!(["a-1"]))
    );
    assert_eq!(search["properties"]["filter"]["description"], "Where.");
    assert_eq!(definition(&agent, "up__free").await["inputSchema"], json!({"type": "object"}), "no rules, no change");

    let other = world.house.agent("b").await.unwrap();
    assert_eq!(
        definition(&other, "up__create_ticket").await["inputSchema"]["properties"]["assignee"]["default"],
        "b",
        "each agent its own"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_cannot_be_bound_is_not_served_and_operators_are_told() {
    let world = World::start(behaviour()).await;
    let agent = world.house.agent("a-1").await.unwrap();
    let names = agent.tools_with(&["up__create_ticket"]).await;
    assert!(!names.contains(&"up__create_note".to_owned()), "{names:?}");
    let answer = agent.call_text(false, "up__create_note", r#"{"title":"x"}"#).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert_eq!(world.fake.calls("create_note"), [""; 0]);
    let health = world.house.gateway.health().await;
    let part = health.parts.iter().find(|part| part.name == "arguments:t/a-1").expect("a part of the health");
    assert!(!part.ok && part.detail.contains("`create_note` of `up`: not served: it has no argument `project`"), "{}", part.detail);
    let row = &world.rows("up__create_note", 1).await[0];
    assert_eq!(row.error.as_ref().map(|error| error.to_string().contains("arguments")), Some(true), "{row:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_that_leave_a_way_around_are_not_served() {
    let text = json!({"type": "string"});
    let all = [
        ("composed", json!({"type": "object", "properties": {"project": text}, "anyOf": [{"properties": {"project": {}}}]})),
        ("pattern", json!({"type": "object", "properties": {"project": text}, "patternProperties": {"^p": {}}})),
        ("spelling", json!({"type": "object", "properties": {"project": text, "Pro_ject": text}})),
        ("type", json!({"type": "object", "properties": {"project": {"type": "integer"}}})),
        ("choice", json!({"type": "object", "properties": {"project": {"enum": ["x", "y"]}}})),
        ("lost", json!({"type": "object", "properties": {"project": {"$ref": "https://schemas.invalid/x"}}})),
        ("elsewhere", json!({"type": "object", "additionalProperties": text})),
        ("good", json!({"type": "object", "properties": {"project": text}})),
    ];
    let tools = all.iter().map(|(name, schema)| tool(name, schema.clone())).collect();
    let world = World::with(Behaviour { tools, ..Behaviour::default() }, |fake| {
        let config = format!("servers:\n  up: {{url: '{}', allow_private: [127.0.0.0/8]}}\n", fake.url());
        ("agent_type: t\nservers: {up: {arguments: {'*': {project: {fixed: p}}, slip: {x: {fixed: 1}}}}}\n".into(), config)
    })
    .await;
    let agent = world.house.agent("a").await.unwrap();
    assert_eq!(agent.tools_with(&["up__good"]).await, ["up__good"]);
    let health = world.house.gateway.health().await;
    let detail = &health.parts.iter().find(|part| part.name == "arguments:t/a").unwrap().detail;
    assert!(detail.ends_with("and 7 more"), "seven tools, and a glob that matches none: {detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_changes_keeps_its_rules_or_is_gone() {
    let world = World::start(behaviour()).await;
    let agent = world.house.agent("a-1").await.unwrap();
    agent.tools_with(&["up__create_ticket"]).await;
    let mut grown = create_ticket();
    grown.definition["inputSchema"]["properties"]["urgent"] = json!({"type": "boolean"});
    grown.definition["inputSchema"]["properties"]["project"] = json!({"description": "Any project."});
    let marker = tool("marker", json!({"type": "object"}));
    world.fake.set(|behaviour| behaviour.tools = vec![grown.clone(), marker]);
    world.fake.announce();
    agent.tools_with(&["up__marker"]).await;
    let shown = definition(&agent, "up__create_ticket").await["inputSchema"]["properties"].clone();
    assert!(shown["urgent"].is_object() && shown["project"].is_null(), "{shown}");
    world.fake.clear();
    agent.call_text(false, "up__create_ticket", r#"{"urgent":true}"#).await;
    let sent = r#"{"urgent":true,"project":"agents-a-1","assignee":"a-1","dry_run":true,"filter":{"owner":"a-1"}}"#;
    assert_eq!(world.fake.calls("create_ticket"), [sent]);

    grown.definition["inputSchema"]["properties"].as_object_mut().unwrap().remove("project");
    let second = tool("second_marker", json!({"type": "object"}));
    world.fake.set(|behaviour| behaviour.tools = vec![grown, second]);
    world.fake.announce();
    let names = agent.tools_with(&["up__second_marker"]).await;
    assert_eq!(names, ["up__second_marker"], "without the argument the tool would act anywhere");
    world.fake.clear();
    let answer = agent.call_text(false, "up__create_ticket", "{}").await;
    assert_eq!((&answer["error"]["code"], world.fake.calls("create_ticket").len()), (&json!(-32602), 0), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_say_what_is_sent_and_never_speak_for_a_hidden_argument() {
    let world = World::start(behaviour()).await;
    let client = world.client("a-1").await;
    client.call("up__create_ticket", json!({})).await.unwrap();
    let arrivals = world.fake.arrivals();
    let call = arrivals.iter().find(|arrival| arrival.tool.as_deref() == Some("create_ticket")).unwrap();
    assert_eq!((call.headers["mcp-param-project"].as_str(), call.headers["mcp-param-assignee"].as_str()), ("agents-a-1", "a-1"));
    world.fake.clear();
    let sly = client.clone().header("mcp-param-project", "other");
    let fault = sly.call("up__create_ticket", json!({})).await.unwrap_err();
    assert_eq!((fault.code(), world.fake.calls("create_ticket").len()), (Some(-32020), 0), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_has_the_arguments_as_sent_or_as_refused() {
    let world = World::start(behaviour()).await;
    let agent = world.house.agent("a-1").await.unwrap();
    agent.tools_with(&["up__create_ticket"]).await;
    agent.call("up__create_ticket", json!({"title": "x"})).await;
    let row = world.rows("up__create_ticket", 1).await.remove(0);
    let shown = format!("{row:?}");
    assert!(shown.contains("agents-a-1"), "{shown}");
    agent.call("up__write_file", json!({"path": "agents/other/x"})).await;
    let row = world.rows("up__write_file", 1).await.remove(0);
    let shown = format!("{row:?}");
    assert!(shown.contains("agents/other/x") && shown.contains("scope_violation"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_asked_back_keeps_its_rules() {
    let question =
        json!({"mode": "form", "message": "Sure?", "requestedSchema": {"type": "object", "properties": {"ok": {"type": "boolean"}}}});
    let act = Act::Ask { method: "elicitation/create".into(), params: question };
    let asks = FakeTool { act, ..create_ticket() };
    let world = World::start(Behaviour { tools: vec![asks], ..Behaviour::default() }).await;
    let client = world.client("a-1").await.capabilities(json!({"elicitation": {"form": {}}}));
    let first = client.call("up__create_ticket", json!({"title": "x"})).await.unwrap();
    assert_eq!(first["resultType"], "input_required", "{first}");
    let key = first["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let mut again = json!({"name": "up__create_ticket", "arguments": {"title": "x"}, "requestState": first["requestState"],
        "inputResponses": {key: {"action": "accept", "content": {"ok": true}}}});
    client.request("tools/call", again.clone()).await.unwrap();
    let sent = r#"{"title":"x","project":"agents-a-1","assignee":"a-1","dry_run":true,"filter":{"owner":"a-1"}}"#;
    assert_eq!(world.fake.calls("create_ticket"), [sent, sent]);
    world.fake.clear();
    again["arguments"]["project"] = json!("other");
    let refused = client.request("tools/call", again).await.unwrap().result;
    assert_eq!(
        (&refused["structuredContent"]["code"], world.fake.calls("create_ticket").len()),
        (&json!("scope_violation"), 0),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_and_resources_are_no_way_around() {
    let behaviour =
        || Behaviour { prompts: vec![FakePrompt::new("greet")], resources: vec![FakeResource::text("note://one", "first")], ..behaviour() };
    for is_proxy in [false, true] {
        let world = World::with(behaviour(), |fake| {
            let rules = "{write_file: {path: {prefix: 'agents/{agent_id}/'}}}";
            if is_proxy {
                let module = format!("{{type: mcp_proxy, config: {{url: '{}', arguments: {rules}}}}}", fake.url());
                (format!("agent_type: t\nmodules: {{up: {module}}}\n"), String::new())
            } else {
                let config = format!("servers:\n  up: {{url: '{}', allow_private: [127.0.0.0/8]}}\n", fake.url());
                (format!("agent_type: t\nservers: {{up: {{arguments: {rules}}}}}\n"), config)
            }
        })
        .await;
        let agent = world.house.agent("a-1").await.unwrap();
        let name = if is_proxy { "up_write_file" } else { "up__write_file" };
        agent.tools_with(&[name]).await;
        assert_eq!(agent.ask("prompts/list", json!({})).await["prompts"], json!([]), "proxy {is_proxy}");
        assert_eq!(agent.ask("resources/list", json!({})).await["resources"], json!([]), "proxy {is_proxy}");
        let read = agent.ask("resources/read", json!({"uri": "note://one"})).await;
        assert!(read["error"].is_object() && world.fake.count("resources/read") == 0, "proxy {is_proxy}: {read}");
        let reference = json!({"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "name", "value": "a"}});
        let completed = agent.ask("completion/complete", reference).await;
        assert!(completed["error"].is_object() && world.fake.count("completion/complete") == 0, "proxy {is_proxy}: {completed}");
        agent.call(name, json!({"path": "agents/b/x"})).await;
        assert_eq!(world.fake.calls("write_file"), [""; 0], "proxy {is_proxy}");
        agent.call(name, json!({"path": "agents/a-1/x"})).await;
        assert_eq!(world.fake.calls("write_file"), [r#"{"path":"agents/a-1/x"}"#], "proxy {is_proxy}");
    }
}
