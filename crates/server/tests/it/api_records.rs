//! Instructions, runs, calls and feedback as people administer them: what agents do with tools and what people do here is one thing.

use bailiwick_testkit::app::{END_WAIT, poll};
use serde_json::{Value, json};

use crate::api::{Answer, Ask, Town};

const HOUSE: &str = "instructions: {blocklist: {Ann Example: word}}\nruns: {implicit: false}\nfeedback: true\n";
const TONE: &str = "/v1/orgs/acme/instructions/rule/tone";

fn put(town: &Town, who: &str, target: &str, body: &str) -> Answer {
    town.ask(who, "PUT", target, Some(&json!({"body": body, "title": "Tone"})))
}

#[test]
fn an_instruction_has_versions_that_can_be_seen_and_brought_back() {
    let town = Town::new(HOUSE);
    let first = put(&town, "org_admin", TONE, "Be brief.\r\nUse <tool:files_read_file> and <tool:gone>.");
    assert_eq!((first.status, first.header("etag")), (200, "\"1\""), "{first:?}");
    assert_eq!(first.json()["body"], "Be brief.\nUse <tool:files_read_file> and <tool:gone>.");
    assert_eq!(first.json()["unresolved_tools"], json!(["gone"]));
    assert_eq!(
        town.call("org_admin", "set_instruction", json!({"kind": "rule", "slug": "tone", "body": "Be kind."}))["structuredContent"]["version"],
        2
    );
    assert_eq!(town.ask("member", "GET", TONE, None).json()["body"], "Be kind.");
    assert!(town.ask("member", "GET", &format!("{TONE}?version=1"), None).body.contains("Be brief."));
    let versions = town.ask("member", "GET", &format!("{TONE}/versions"), None).json();
    let numbers: Vec<&Value> = versions["items"].as_array().unwrap().iter().map(|version| &version["version"]).collect();
    assert_eq!(numbers, [1, 2]);
    let outdated = Ask::by(town.key("org_admin")).header("if-match", "\"1\"").json(&json!({"body": "Late."})).send(&town.app, "PUT", TONE);
    assert_eq!((outdated.status, outdated.code()), (412, "version_conflict".into()));
    assert!(outdated.body.contains("newest version is 2"), "{}", outdated.body);
    let back = town.ask("org_admin", "POST", &format!("{TONE}/revert"), Some(&json!({"version": 1}))).json();
    assert_eq!((&back["version"], &back["title"]), (&json!(3), &json!("Tone")));
    assert_eq!(town.call("agent", "get_instruction", json!({"kind": "rule", "slug": "tone"}))["structuredContent"]["version"], 3);
    assert_eq!(town.ask("org_admin", "DELETE", TONE, None).status, 204);
    assert_eq!(town.ask("member", "GET", TONE, None).status, 404);
    assert_eq!(town.ask("member", "GET", &format!("{TONE}?version=2"), None).json()["body"], "Be kind.", "a run may follow it");
    assert_eq!(town.ask("org_admin", "POST", &format!("{TONE}/revert"), Some(&json!({"version": 9}))).status, 404);
    assert_eq!(town.ask("org_admin", "POST", &format!("{TONE}/revert"), Some(&json!({"version": 2}))).json()["version"], 4);
    assert_eq!(town.ask("member", "GET", "/v1/orgs/acme/instructions", None).json()["items"][0]["slug"], "tone");
}

#[test]
fn what_must_not_be_said_is_refused_with_every_reason_and_without_the_name() {
    let town = Town::new(HOUSE);
    let body = json!({"body": "As Ann Example says: \u{202e}no.", "title": "x".repeat(201)});
    let refused = town.ask("org_admin", "PUT", TONE, Some(&body));
    assert_eq!((refused.status, refused.code()), (422, "instruction_refused".into()));
    let problem = refused.json();
    let places: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().or(error["name"].as_str()).unwrap_or("?"))
        .collect();
    assert!(places.len() >= 3, "{problem}");
    assert!(!refused.body.contains("Ann Example"), "{}", refused.body);
    assert_eq!(town.ask("org_admin", "GET", TONE, None).status, 404, "nothing was written");
}

#[test]
fn a_group_has_texts_of_its_own_and_its_own_writers() {
    let town = Town::new(HOUSE);
    let mine = format!("{TONE}?group=data");
    assert_eq!(put(&town, "group", &mine, "Of the group.").status, 200);
    assert_eq!(put(&town, "group", TONE, "Of all.").status, 403, "not the organisation's");
    assert_eq!(put(&town, "group", &format!("{TONE}?group=other"), "Of others.").status, 403);
    assert_eq!(put(&town, "org_admin", &format!("{TONE}?group=nosuch"), "Of nobody.").status, 404, "a name that no group has");
    assert_eq!(town.ask("himself", "GET", &mine, None).json()["group"], "data", "bob is in it");
    let outside = town.ask("member", "GET", &mine, None);
    assert_eq!((outside.status, outside.code()), (403, "forbidden".into()), "mia is not");
    assert_eq!(town.ask("org_admin", "GET", &mine, None).json()["body"], "Of the group.");
    assert_eq!(town.ask("member", "GET", TONE, None).status, 404, "the organisation has none");
    let listed = |who: &str, query: &str| town.ask(who, "GET", &format!("/v1/orgs/acme/instructions{query}"), None).json()["items"].clone();
    assert_eq!(listed("himself", "").as_array().unwrap().len(), 0);
    assert_eq!(listed("himself", "?group=data&kind=rule").as_array().unwrap().len(), 1);
    assert_eq!(listed("himself", "?group=data&kind=skill").as_array().unwrap().len(), 0);
}

#[test]
fn the_check_finds_texts_that_name_tools_which_are_gone() {
    let town = Town::new(HOUSE);
    assert_eq!(put(&town, "org_admin", TONE, "Use <tool:files_read_file>.").status, 200);
    assert_eq!(put(&town, "org_admin", "/v1/orgs/acme/instructions/rule/old?group=data", "Use <tool:files_shred>.").status, 200);
    let found = town.ask("org_admin", "GET", "/v1/orgs/acme/instruction-check", None).json();
    assert_eq!(found["checked"], true);
    let broken: Vec<String> =
        found["broken"].as_array().unwrap().iter().map(|b| format!("{} {} {}", b["slug"], b["group"], b["unresolved_tools"])).collect();
    assert_eq!(broken, [r#""old" "data" ["files_shred"]"#]);
    // Here no agent is served, so nothing can be known.
    let local = town.app.command(&["instruction", "check", "--org", "acme"]);
    assert_eq!(local.status.code(), Some(6));
}

#[test]
fn a_run_can_be_looked_into_and_ended_with_a_reason() {
    let town = Town::new(HOUSE);
    assert_eq!(put(&town, "org_admin", TONE, "Be brief.").status, 200);
    let run = town.call("agent", "run_start", json!({"label": "work", "doctrine": "tone"}))["structuredContent"]["run_id"].clone();
    let run = run.as_str().unwrap();
    town.call("agent", "files_list_dir", json!({"path": ".", "_run_id": run}));
    let target = format!("/v1/orgs/acme/runs/{run}");
    let shown = town.ask("org_admin", "GET", &target, None).json();
    assert_eq!((&shown["state"], &shown["doctrine_kind"], &shown["doctrine_version"]), (&json!("open"), &json!("rule"), &json!(1)));
    let of_run =
        || town.ask("org_admin", "GET", &format!("/v1/orgs/acme/calls?run_id={run}"), None).json()["items"].as_array().unwrap().clone();
    // The readable rows are written behind the records.
    let calls = poll(END_WAIT, || Some(of_run()).filter(|calls| calls.len() == 2)).expect("two calls belong to it");
    let call = &calls[0];
    assert_eq!((&call["tool"], &call["run_source"], &call["ok"]), (&json!("files_list_dir"), &json!("explicit"), &json!(true)));
    assert_eq!(call["credential_kind"], "none");
    assert_eq!(call["tool_revision"].as_str().map(str::len), Some(16), "{call}");
    let end = |who: &str, reason: &str| {
        town.ask(who, "POST", &format!("{target}/finish"), Some(&json!({"outcome": "abandoned", "reason": reason})))
    };
    assert_eq!(end("member", "why").status, 403);
    assert_eq!(end("org_admin", " ").status, 400);
    let ended = end("org_admin", "Its agent is gone.").json();
    assert_eq!((&ended["outcome"], &ended["finish_reason"]), (&json!("abandoned"), &json!("Its agent is gone.")));
    assert_eq!(end("org_admin", "Again.").status, 409);
    let told = || town.ask("org_admin", "GET", "/v1/orgs/acme/events?tool=run-log%20finish&ok=true", None).json()["items"][0].clone();
    let told = poll(END_WAIT, || Some(told()).filter(|row| !row.is_null())).expect("it is recorded");
    assert_eq!((&told["server"], &told["note"]), (&json!(run), &json!("Its agent is gone.")));
    let open = town.ask("org_admin", "GET", "/v1/orgs/acme/runs?open=true", None).json();
    assert_eq!(open["items"], json!([]));
    assert_eq!(town.ask("org_admin", "GET", "/v1/orgs/acme/runs?outcome=abandoned", None).json()["items"][0]["run_id"], run);
    assert_eq!(town.ask("foreign", "GET", &format!("/v1/orgs/beta/runs/{run}"), None).status, 404);
}

#[test]
fn feedback_of_agents_and_people_is_resolved_once() {
    let town = Town::new(HOUSE);
    town.call("agent", "feedback", json!({"signal": "gap", "kind": "missing_tool", "target": "calendar"}));
    let body = json!({"signal": "tool_feedback", "kind": "zzz", "target": "files_read_file", "text": "Slow."});
    let given = town.ask("himself", "POST", "/v1/orgs/acme/feedback", Some(&body)).json();
    assert_eq!(
        (&given["source"], &given["sub"], &given["kind"], &given["kind_raw"]),
        (&json!("human"), &json!("bob"), &json!("other"), &json!("zzz"))
    );
    let listed = |query: &str| {
        town.ask("org_admin", "GET", &format!("/v1/orgs/acme/feedback{query}"), None).json()["items"].as_array().unwrap().clone()
    };
    assert_eq!(listed("").iter().map(|row| row["source"].as_str().unwrap()).collect::<Vec<_>>(), ["human", "agent"]);
    let target = format!("/v1/orgs/acme/feedback/{}/resolve", given["id"].as_str().unwrap());
    let resolve = |who: &str| town.ask(who, "POST", &target, Some(&json!({"resolution": "Faster now."})));
    assert_eq!(resolve("himself").status, 403);
    assert_eq!(resolve("org_admin").json()["resolution"], "Faster now.");
    assert_eq!(resolve("org_admin").status, 409);
    assert_eq!((listed("?resolved=false").len(), listed("?resolved=true").len(), listed("?signal=gap").len()), (1, 1, 1));
    for bad in [json!({"signal": "zzz", "kind": "bug", "target": "x"}), json!({"signal": "gap", "kind": "other", "target": " "})] {
        let status = town.ask("himself", "POST", "/v1/orgs/acme/feedback", Some(&bad)).status;
        assert!(matches!(status, 400 | 422), "{bad}: {status}");
    }
    let page = town.ask("org_admin", "GET", "/v1/orgs/acme/feedback?limit=1", None).json();
    let next = page["next_cursor"].as_str().unwrap();
    assert_eq!(listed(&format!("?limit=1&cursor={next}"))[0]["source"], "agent");
}

#[test]
fn a_group_that_gets_the_id_of_another_does_not_get_its_texts() {
    let town = Town::new(HOUSE);
    let text = "/v1/orgs/acme/instructions/rule/plan?group=law";
    let create = || town.ask("org_admin", "POST", "/v1/orgs/acme/groups", Some(&json!({"group": "law", "name": "Law"}))).status;
    assert_eq!(create(), 201);
    assert_eq!(put(&town, "org_admin", text, "Of the old group.").status, 200);
    assert_eq!(town.ask("org_admin", "DELETE", "/v1/orgs/acme/groups/law", None).status, 204);
    assert_eq!(create(), 201);
    let join = json!({"role": "group_admin"});
    assert_eq!(town.ask("org_admin", "PUT", "/v1/orgs/acme/groups/law/members/bob", Some(&join)).status, 200);
    let status = |target: &str| town.ask("himself", "GET", target, None).status;
    assert_eq!(status(text), 404);
    assert_eq!(status(&format!("{text}&version=1")), 404, "nor by its number");
    assert_eq!(status("/v1/orgs/acme/instructions/rule/plan/versions?group=law"), 404);
    let back = town.ask("himself", "POST", "/v1/orgs/acme/instructions/rule/plan/revert?group=law", Some(&json!({"version": 1})));
    assert_eq!(back.status, 404, "nor by bringing it back: {}", back.body);
    let read = town.call("himself", "get_instruction", json!({"kind": "rule", "slug": "plan", "version": 1}));
    assert_eq!(read["structuredContent"]["code"], "instruction_not_found", "{read}");
}

#[test]
fn what_cannot_be_seen_is_not_kept() {
    let town = Town::new(HOUSE);
    for hidden in ["a\u{200b}b", "\u{202e}evil", "tag\u{e0041}"] {
        let body = json!({"signal": "gap", "kind": "other", "target": "x", "text": hidden});
        assert_eq!(town.ask("himself", "POST", "/v1/orgs/acme/feedback", Some(&body)).status, 422, "{hidden:?}");
        let run = town.call("agent", "run_start", json!({"label": hidden}));
        assert_eq!(run["structuredContent"]["code"], "invalid_argument", "{run}");
    }
    let family = json!({"signal": "gap", "kind": "other", "target": "emoji", "text": "fine 👩\u{200d}👩\u{200d}👧"});
    assert_eq!(town.ask("himself", "POST", "/v1/orgs/acme/feedback", Some(&family)).status, 201, "a joiner that is seen");
}

#[test]
fn a_forbidden_name_is_told_to_administrators_of_the_organisation_alone() {
    let town = Town::new(HOUSE);
    let write = |who: &str, more: Value| {
        let mut arguments = json!({"kind": "rule", "slug": "x", "body": "Ask Ann Example."});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        town.call(who, "set_instruction", arguments)
    };
    let (group, org) = (write("group", json!({"group": "data"})), write("org_admin", json!({})));
    assert_eq!(group["structuredContent"]["code"], "instruction_refused", "{group}");
    assert!(!group.to_string().contains("Ann Example"), "{group}");
    assert_eq!(org["structuredContent"]["details"]["reasons"][0]["detail"], "contains the forbidden name `Ann Example`");
    assert!(!org["content"].to_string().contains("contains the forbidden name `Ann"), "what is said is recorded: {org}");
}

#[test]
fn agents_do_not_write_under_the_names_of_members() {
    let town = Town::new(HOUSE);
    let made = town.app.command(&["key", "create", "--org", "acme", "--agent-id", "ann", "--agent-type", "reader"]);
    let key = String::from_utf8(made.stdout).unwrap();
    let body = json!({"signal": "gap", "kind": "other", "target": "x"});
    let given = Ask::by(key.trim()).json(&body).send(&town.app, "POST", "/v1/orgs/acme/feedback").json();
    assert_eq!((&given["sub"], &given["source"]), (&json!("agent:ann"), &json!("agent")), "{given}");
}
