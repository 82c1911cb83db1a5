//! Instructions, runs and feedback as clients of both eras see them: names, arguments and results of governance sections 2 to 4.

use std::sync::Arc;

use bailiwick_model::{AgentId, GroupId, Role, Subject};
use bailiwick_store::event::{Event, EventFilter, EventPage};
use bailiwick_store::{NewKey, OrgScope, Store};
use bailiwick_testkit::client::{Client, Era};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::door::Door;
use crate::house::{House, Plan};
use crate::town::Town;

const LEGACY: Era = Era::Legacy("2025-11-25");
const CONFIG: &str = "instructions: {text: House of tests., readme: Be kind., blocklist: {Ann Example: word}}\nruns: {}\nfeedback: true\n";
const TOOLS: [&str; 8] =
    ["feedback", "get_instruction", "list_feedback", "list_instructions", "readme_agent", "run_finish", "run_start", "set_instruction"];

struct World {
    house: House,
    door: Door,
    scope: OrgScope,
}

impl World {
    async fn build(config: &str) -> Self {
        // A manifest has a module; here only the tools of the house are of interest.
        let files = json!({"filesystem": {"mode": "read", "config": {"base_path": "/tmp/bailiwick-data"}}});
        let manifest = json!({"agent_type": "t", "modules": files, "policy": {"deny": ["filesystem_*"]}}).to_string();
        let plan = Plan { manifest: ("t.yml", &manifest), config, environment: Default::default(), network: Arc::new(Town::default()) };
        let house = House::build(plan).await.unwrap();
        let platform = house.store.platform("test").unwrap();
        let org = bailiwick_model::OrgId::parse("default").unwrap();
        house.store.orgs().ensure(&platform, &org).await.unwrap();
        let door = Door::open(&house.gateway).await;
        Self { scope: platform.within(&org), door, house }
    }

    fn store(&self) -> &Store {
        &self.house.store
    }

    /// A key of a fresh agent, and of a member with this role if one is named.
    async fn key(&self, agent: &str, member: Option<(&str, Role)>) -> String {
        let agent_id = AgentId::parse(agent).unwrap();
        let _ = self.store().agents().create(&self.scope, &agent_id, &self.house.agent_type).await;
        if let Some((name, role)) = member {
            let _ = self.store().members().add(&self.scope, &sub(name), Some(&format!("{name}@acme.example")), role).await;
        }
        let new = NewKey { agent_id, sub: member.map(|(name, _)| sub(name)), label: String::new(), expires_at: None };
        self.store().keys().create(&self.scope, new).await.unwrap().token.expose_secret().to_owned()
    }

    async fn client(&self, era: Era, agent: &str, member: Option<(&str, Role)>) -> Client {
        self.door.client(era, &self.key(agent, member).await).await
    }

    /// What stands in the readable record of calls of `tool`, oldest first; waits for the index, which follows the ledger.
    async fn rows(&self, tool: &str, count: usize) -> Vec<Event> {
        let filter = EventFilter { tool: Some(tool.to_owned()), ..EventFilter::default() };
        for _ in 0..500 {
            let mut rows = self.store().events().list(&self.scope, &filter, EventPage::Newest, 100).await.unwrap();
            if rows.len() >= count {
                rows.reverse();
                return rows;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the record of {tool} does not come");
    }
}

fn sub(name: &str) -> Subject {
    Subject::parse(name).unwrap()
}

/// The structured result of a call that must succeed.
async fn done(client: &Client, tool: &str, arguments: Value) -> Value {
    let result = client.call(tool, arguments).await.unwrap();
    assert_eq!(result["isError"], false, "{tool}: {result}");
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    let structured = result["structuredContent"].clone();
    assert!(text == structured || text == structured["result"], "the text mirrors the data: {result}");
    structured
}

/// The code of a call that must be refused.
async fn refused(client: &Client, tool: &str, arguments: Value) -> (String, Value) {
    let result = client.call(tool, arguments).await.unwrap();
    assert_eq!(result["isError"], true, "{tool}: {result}");
    (result["structuredContent"]["code"].as_str().unwrap().to_owned(), result["structuredContent"].clone())
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tools_have_the_shapes_of_the_reference_in_both_eras() {
    for era in [Era::Modern, LEGACY] {
        let world = World::build(CONFIG).await;
        let admin = world.client(era, "desk", Some(("ann", Role::OrgAdmin))).await;
        assert_eq!(admin.tool_names().await.unwrap(), TOOLS);
        let rule = json!({"kind": "rule", "slug": "tone", "body": "Be brief. Use <tool:run_start> and <tool:gone>.", "title": "Tone"});
        let written = done(&admin, "set_instruction", rule).await;
        assert_eq!(written, json!({"kind": "rule", "slug": "tone", "version": 1, "unresolved_tools": ["gone"]}));
        let again = done(&admin, "set_instruction", json!({"kind": "rule", "slug": "tone", "body": "Briefer."})).await;
        assert_eq!(again, json!({"kind": "rule", "slug": "tone", "version": 2}));

        let agent = world.client(era, "worker", None).await;
        let readme = done(&agent, "readme_agent", json!({})).await;
        assert_eq!((keys(&readme), &readme["scope"]), (vec!["instructions", "readme", "scope"], &json!("default")));
        assert_eq!(readme["readme"], "Be kind.");
        let listed = done(&agent, "list_instructions", json!({})).await;
        assert_eq!(keys(&listed), ["result"]);
        assert_eq!(keys(&listed["result"][0]), ["description", "kind", "slug", "title", "version"]);
        assert_eq!(listed["result"], readme["instructions"]);
        assert_eq!(done(&agent, "list_instructions", json!({"kind": "skill"})).await, json!({"result": []}));
        let newest = done(&agent, "get_instruction", json!({"kind": "rule", "slug": "tone"})).await;
        assert_eq!(newest, json!({"kind": "rule", "slug": "tone", "title": "", "version": 2, "body": "Briefer."}));
        let first = done(&agent, "get_instruction", json!({"kind": "rule", "slug": "tone", "version": 1})).await;
        assert_eq!((&first["version"], &first["title"]), (&json!(1), &json!("Tone")));

        let run = done(&agent, "run_start", json!({"label": "work", "doctrine": "tone"})).await;
        assert_eq!(keys(&run), ["doctrine", "doctrine_version", "label", "run_id"]);
        assert_eq!((&run["doctrine"], &run["doctrine_version"], &run["label"]), (&json!("tone"), &json!(2), &json!("work")));
        let id = run["run_id"].as_str().unwrap();
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id}");
        let said = done(&agent, "feedback", json!({"signal": "gap", "kind": "zzz", "target": "a tool", "text": "please"})).await;
        assert_eq!(said, json!({"ok": true, "signal": "gap", "target": "a tool"}));
        let ended = done(&agent, "run_finish", json!({"run_id": id, "outcome": "done", "note": "fine"})).await;
        assert_eq!(ended, json!({"ok": true, "run_id": id, "outcome": "done", "was_open": true}));
        let twice = done(&agent, "run_finish", json!({"run_id": id, "outcome": "done"})).await;
        assert_eq!(twice["was_open"], false);

        let feedback = done(&admin, "list_feedback", json!({"limit": 0})).await;
        let row = &feedback["result"][0];
        assert_eq!((&row["kind"], &row["kind_raw"], &row["run_id"]), (&json!("other"), &json!("zzz"), &json!(id)));
        assert_eq!((&row["sub"], &row["source"]), (&json!("agent:worker"), &json!("agent")));
        world.house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_refused_before_anything_else_is_looked_at() {
    let world = World::build(CONFIG).await;
    let text = |body: &str| json!({"kind": "rule", "slug": "tone", "body": body});
    let member = world.client(Era::Modern, "desk", Some(("bob", Role::Member))).await;
    for client in [&member, &world.client(Era::Modern, "worker", None).await] {
        for tool in ["set_instruction", "list_feedback"] {
            let arguments = if tool == "set_instruction" { text("names Ann Example") } else { json!({}) };
            let (code, told) = refused(client, tool, arguments).await;
            assert_eq!((code.as_str(), &told["details"]["actual"]), ("forbidden", &json!("member")), "{told}");
            assert_eq!(told["details"]["required"], "org_admin");
            assert!(!told.to_string().contains("Example"), "the rules are not told");
        }
    }
    // Whoever leaves the organisation has nothing to say, whatever his key says.
    world.store().members().remove(&world.scope, &sub("bob")).await.unwrap();
    let gone = member.call("readme_agent", json!({})).await;
    match gone {
        Ok(result) => assert_eq!(result["structuredContent"]["code"], "forbidden"),
        Err(fault) => assert!(format!("{fault:?}").contains("401"), "{fault:?}"),
    }

    let admin = world.client(Era::Modern, "head", Some(("ann", Role::OrgAdmin))).await;
    let (code, told) = refused(&admin, "set_instruction", text("As \"quoted\" - Ann Example\u{202e}")).await;
    assert_eq!(code, "instruction_refused");
    let reasons = told["details"]["reasons"].as_array().unwrap();
    assert!(reasons.len() >= 3 && reasons.iter().all(|reason| keys(reason) == ["detail", "field", "rule"]), "{told}");
    assert!(told["message"].as_str().unwrap().matches(" ; ").count() >= 2, "every reason, joined: {told}");
    for (kind, slug) in [("Rule", "x"), ("rule", "../x"), ("", "x"), ("rule", "")] {
        let (code, _) = refused(&admin, "set_instruction", json!({"kind": kind, "slug": slug, "body": "b"})).await;
        assert_eq!(code, "instruction_refused", "{kind}/{slug}");
    }
    let (code, told) = refused(&admin, "get_instruction", json!({"kind": "rule", "slug": "none"})).await;
    assert!(code == "instruction_not_found" && told["message"].as_str().unwrap().contains("rule/none"), "{told}");
    let (code, _) = refused(&admin, "set_instruction", json!({"kind": "rule", "slug": "a", "body": "b", "more": 1})).await;
    assert_eq!(code, "invalid_argument");
    done(&admin, "set_instruction", json!({"kind": "rule", "slug": "a", "body": "b", "expected_version": 0})).await;
    let (code, told) = refused(&admin, "set_instruction", json!({"kind": "rule", "slug": "a", "body": "c", "expected_version": 0})).await;
    assert_eq!((code.as_str(), &told["details"]["current_version"]), ("version_conflict", &json!(1)));
    let (code, _) = refused(&admin, "run_finish", json!({"run_id": "0", "outcome": "great"})).await;
    assert_eq!(code, "run_outcome_invalid");
    let (code, _) = refused(&admin, "feedback", json!({"signal": "shout", "kind": "bug", "target": "t"})).await;
    assert_eq!(code, "invalid_argument");
    world.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_have_texts_of_their_own() {
    let world = World::build(CONFIG).await;
    let group = GroupId::parse("data").unwrap();
    let admin = world.client(Era::Modern, "head", Some(("ann", Role::OrgAdmin))).await;
    world.store().groups().create(&world.scope, &group, "Data").await.unwrap();
    let lead = world.client(Era::Modern, "desk", Some(("bob", Role::Member))).await;
    world.store().groups().put_member(&world.scope, &group, &sub("bob"), Role::GroupAdmin).await.unwrap();
    let outsider = world.client(Era::Modern, "other", Some(("eve", Role::Member))).await;

    let own = json!({"kind": "rule", "slug": "tone", "body": "Ours.", "group": "data"});
    let (code, told) = refused(&outsider, "set_instruction", own.clone()).await;
    assert_eq!((code.as_str(), &told["details"]["required"]), ("forbidden", &json!("group_admin")));
    assert_eq!(refused(&lead, "set_instruction", json!({"kind": "rule", "slug": "tone", "body": "All."})).await.0, "forbidden");
    done(&lead, "set_instruction", own).await;
    done(&admin, "set_instruction", json!({"kind": "rule", "slug": "tone", "body": "All."})).await;
    done(&admin, "set_instruction", json!({"kind": "readme", "slug": "agent", "body": "Written."})).await;
    let readme = done(&lead, "readme_agent", json!({})).await;
    assert_eq!(readme["readme"], "Be kind.\n\nWritten.");
    let owners: Vec<Option<&str>> = readme["instructions"].as_array().unwrap().iter().map(|entry| entry["group"].as_str()).collect();
    assert_eq!(owners, [None, None, Some("data")]);
    let get = |group: Value| json!({"kind": "rule", "slug": "tone", "group": group});
    assert_eq!(done(&lead, "get_instruction", get(Value::Null)).await["body"], "All.");
    assert_eq!(done(&lead, "get_instruction", get(json!("data"))).await["body"], "Ours.");
    assert_eq!(refused(&outsider, "get_instruction", get(json!("data"))).await.0, "instruction_not_found");
    assert_eq!(done(&outsider, "list_instructions", json!({"kind": "rule"})).await["result"].as_array().unwrap().len(), 1);
    world.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_modern_client_belong_to_the_run_they_name_or_to_the_only_one() {
    let world = World::build("instructions: {}\nruns: {implicit: false}\n").await;
    let key = world.key("worker", None).await;
    let client = world.door.client(Era::Modern, &key).await;
    done(&client, "list_instructions", json!({})).await;
    let outer = done(&client, "run_start", json!({"label": "outer"})).await["run_id"].as_str().unwrap().to_owned();
    done(&client, "list_instructions", json!({})).await;
    // Two open runs and no word which: nobody guesses.
    let inner = done(&client, "run_start", json!({"label": "inner"})).await["run_id"].as_str().unwrap().to_owned();
    done(&client, "list_instructions", json!({})).await;
    done(&client, "list_instructions", json!({"_run_id": outer})).await;
    let named = json!({"name": "list_instructions", "arguments": {}, "_meta": {"dev.bailiwick/runId": inner}});
    client.request("tools/call", named).await.unwrap();
    // Another client of the same agent may name it; another agent may not.
    let second = world.door.client(Era::Modern, &world.key("worker", None).await).await;
    done(&second, "list_instructions", json!({})).await;
    done(&second, "list_instructions", json!({"_run_id": outer})).await;
    let stranger = world.client(Era::Modern, "stranger", None).await;
    assert_eq!(refused(&stranger, "list_instructions", json!({"_run_id": outer})).await.0, "run_unknown");
    assert_eq!(done(&stranger, "run_finish", json!({"run_id": outer, "outcome": "done"})).await["was_open"], false);

    done(&client, "run_finish", json!({"run_id": outer, "outcome": "done"})).await;
    done(&client, "list_instructions", json!({})).await;
    assert_eq!(refused(&client, "list_instructions", json!({"_run_id": outer})).await.0, "run_unknown");
    let rows = world.rows("list_instructions", 9).await;
    let told: Vec<(Option<&str>, Option<&str>)> = rows.iter().map(|row| (row.run_id.as_deref(), row.run_source.as_deref())).collect();
    let (outer_, inner_) = (Some(outer.as_str()), Some(inner.as_str()));
    let wanted = [
        (None, None),
        (outer_, Some("inferred")),
        (None, None),
        (outer_, Some("explicit")),
        (inner_, Some("explicit")),
        (None, None),
        (outer_, Some("explicit")),
        (inner_, Some("inferred")),
    ];
    let own: Vec<_> = rows.iter().zip(&told).filter(|(row, _)| row.ok).map(|(_, told)| *told).collect();
    assert_eq!(own, wanted);
    assert!(rows.iter().all(|row| !row.args.as_deref().unwrap_or_default().contains("_run_id")), "taken out");
    let starts = world.rows("run_start", 2).await;
    assert_eq!(starts.iter().map(|row| row.run_id.as_deref()).collect::<Vec<_>>(), [outer_, inner_], "the row carries the new run");
    world.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legacy_session_has_a_stack_and_a_client_that_reconnects_finds_its_run() {
    let world = World::build("instructions: {}\nruns: {implicit: false}\n").await;
    let key = world.key("worker", None).await;
    let (first, second) = (world.door.client(LEGACY, &key).await, world.door.client(LEGACY, &key).await);
    assert_ne!(first.session(), second.session());
    let start = async |client: &Client, label: &str| {
        done(client, "run_start", json!({"label": label})).await["run_id"].as_str().unwrap().to_owned()
    };
    let outer = start(&first, "outer").await;
    let inner = start(&first, "inner").await;
    let other = start(&second, "other").await;
    done(&first, "list_instructions", json!({})).await;
    done(&second, "list_instructions", json!({})).await;
    // Out of order: the inner one stays active.
    done(&first, "run_finish", json!({"run_id": outer, "outcome": "done"})).await;
    done(&first, "list_instructions", json!({})).await;
    // The connection and the session are gone; the run is not.
    first.close().await.unwrap();
    let back = world.door.client(LEGACY, &key).await;
    done(&back, "list_instructions", json!({"_run_id": inner})).await;
    let ended = done(&back, "run_finish", json!({"run_id": inner, "outcome": "blocked"})).await;
    assert_eq!(ended["was_open"], true);
    done(&back, "list_instructions", json!({})).await;
    let rows = world.rows("list_instructions", 5).await;
    let told: Vec<(Option<&str>, Option<&str>)> = rows.iter().map(|row| (row.run_id.as_deref(), row.run_source.as_deref())).collect();
    let (inner, other) = (Some(inner.as_str()), Some(other.as_str()));
    let wanted = [
        (inner, Some("session")),
        (other, Some("session")),
        (inner, Some("session")),
        (inner, Some("explicit")),
        (other, Some("inferred")),
    ];
    assert_eq!(told, wanted);
    world.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_word_about_runs_every_call_has_one_all_the_same() {
    let world = World::build("instructions: {}\nruns: {}\n").await;
    let client = world.client(Era::Modern, "worker", None).await;
    for _ in 0..3 {
        done(&client, "list_instructions", json!({})).await;
    }
    let rows = world.rows("list_instructions", 3).await;
    assert!(rows[0].run_id.is_some() && rows.iter().all(|row| row.run_id == rows[0].run_id), "{rows:?}");
    world.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greeting_says_what_this_caller_can_use() {
    for era in [Era::Modern, LEGACY] {
        let world = World::build(CONFIG).await;
        let key = world.key("worker", None).await;
        let greeting = world.door.client(era, &key).await.open().await.unwrap();
        let text = greeting["instructions"].as_str().unwrap();
        assert!(text.starts_with("House of tests.\n\n"), "{text}");
        for word in ["readme_agent", "list_instructions", "get_instruction", "run_start", "run_finish", "feedback", "set_instruction"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        world.house.close().await;
    }
    let plain = World::build("{}").await;
    let client = plain.client(Era::Modern, "worker", None).await;
    assert!(client.open().await.unwrap().get("instructions").is_none());
    assert!(client.tool_names().await.unwrap().is_empty());
    plain.house.close().await;
}
