//! Prompts, resources, completion, endpoints of single servers, and questions: what servers offer besides tools, and who gets it.

use bailiwick_testkit::app::{App, AppSetup};
use bailiwick_testkit::client::{Client, Era, Fault};
use bailiwick_testkit::upstream::{Act, Behaviour, FakeResource, FakeTool, FakeUpstream};
use serde_json::{Value, json};

use crate::base::{Base, on_both, wait_for_tool};
use crate::scene::{client, started, talk};

/// Sees all of the server but one tool, one resource and one prompt.
const NARROW: &str = "\
agent_type: narrow
servers:
  fake:
    prompts: {deny: [review]}
    resources: {deny: ['note://two']}
policy: {deny: [fake__write_note]}
";

/// Names its tools one by one.
const NAMED: &str = "\
agent_type: named
servers: {fake: {tools: {allow: [echo]}}}
";

on_both! {
    prompts_and_resources_follow_the_manifest,
    a_server_has_an_endpoint_of_its_own,
    a_doubled_uri_leads_to_the_server_that_gave_it,
    the_state_of_a_question_is_good_for_its_own_call_only,
    arrays_are_answered_where_they_exist,
}

fn with_manifests(setup: AppSetup) -> AppSetup {
    setup.file("manifests/narrow.yml", NARROW).file("manifests/named.yml", NAMED)
}

fn names(result: &Value, list: &str, member: &str) -> Vec<String> {
    result[list].as_array().unwrap().iter().map(|one| one[member].as_str().unwrap().to_owned()).collect()
}

/// A client that has been opened.
async fn opened(app: &App, key: &str, era: Era) -> Client {
    let client = client(app, key, era);
    client.open().await.unwrap();
    client
}

fn code_of(outcome: Result<bailiwick_testkit::client::Reply, Fault>) -> i64 {
    outcome.map(|reply| reply.text).unwrap_err().code().unwrap()
}

async fn prompts_and_resources_follow_the_manifest(base: &Base<'_>) {
    let upstream = FakeUpstream::start(Behaviour::rich());
    let setup = with_manifests(base.setup_before(&upstream));
    let (mut app, [key, named]) = started(setup, [("n-1", "narrow"), ("m-1", "named")]);
    wait_for_tool(&client(&app, &key, Era::Modern), "fake__echo").await;
    for era in Era::ALL {
        let agent = opened(&app, &key, era).await;
        let list = async |method: &str| agent.request(method, json!({})).await.unwrap().result;
        assert_eq!(names(&list("prompts/list").await, "prompts", "name"), ["fake__greet"]);
        assert_eq!(names(&list("resources/list").await, "resources", "uri"), ["note://one"]);
        assert_eq!(names(&list("resources/templates/list").await, "resourceTemplates", "uriTemplate"), ["file:///{path}"]);
        let prompt = agent.request("prompts/get", json!({"name": "fake__greet", "arguments": {"name": "x"}})).await.unwrap();
        assert!(prompt.result["messages"].is_array(), "{}", prompt.text);
        let read = agent.request("resources/read", json!({"uri": "note://one"})).await.unwrap();
        assert_eq!(read.result["contents"][0]["text"], "first", "{}", read.text);
        agent.request("resources/read", json!({"uri": "file:///a/b"})).await.unwrap();
        let argument = json!({"name": "name", "value": "al"});
        let complete = json!({"ref": {"type": "ref/prompt", "name": "fake__greet"}, "argument": argument});
        let completion = agent.request("completion/complete", complete).await.unwrap();
        assert_eq!(completion.result["completion"]["values"], json!(["alice", "albert"]), "{}", completion.text);

        upstream.clear();
        let missing = if era == Era::Modern { -32602 } else { -32002 };
        for uri in ["note://two", "bailiwick://fake/note://two", "note://two#x"] {
            let outcome = agent.request("resources/read", json!({"uri": uri})).await;
            assert!(uri.ends_with('x') || code_of(outcome) == missing, "{uri}");
        }
        assert_eq!(code_of(agent.request("prompts/get", json!({"name": "fake__review"})).await), -32602);
        let review = json!({"ref": {"type": "ref/prompt", "name": "fake__review"}, "argument": {"name": "name", "value": ""}});
        assert_eq!(code_of(agent.request("completion/complete", review).await), -32602);
        let reached: Vec<_> = upstream.arrivals().iter().map(|arrival| format!("{arrival:?}")).collect();
        assert!(!reached.iter().any(|arrival| arrival.contains("note://two\"") || arrival.contains("review")), "{reached:?}");

        let narrow = opened(&app, &named, era).await;
        let nothing = narrow.request("prompts/list", json!({})).await.unwrap().result;
        assert_eq!(nothing["prompts"], json!([]), "a grant that names its tools grants no prompts");
        assert_eq!(code_of(narrow.request("resources/read", json!({"uri": "note://one"})).await), missing);
    }
    assert_eq!(app.terminate().code(), Some(0), "{}", app.stderr());
    let rows = app.command(&["audit", "list", "--tool", "fake__greet", "-o", "json"]);
    let rows: Value = serde_json::from_slice(&rows.stdout).unwrap();
    assert!(rows.as_array().unwrap().len() >= 2 * Era::ALL.len(), "prompts and completions are on the ledger: {rows}");
    let proof = app.command(&["audit", "verify"]);
    assert_eq!(proof.status.code(), Some(0), "{}", talk(&proof));
}

async fn a_server_has_an_endpoint_of_its_own(base: &Base<'_>) {
    let upstream = FakeUpstream::start(Behaviour::rich());
    let servers = format!(
        "servers:\n  fake:\n    url: {0}\n    allow_private: [127.0.0.0/8]\n  other:\n    url: {0}\n    allow_private: [127.0.0.0/8]\n",
        upstream.url()
    );
    let (app, [key]) = started(with_manifests(base.setup(&servers)), [("n-1", "narrow")]);
    wait_for_tool(&client(&app, &key, Era::Modern), "fake__echo").await;
    let at = |name: &str, era| Client::http(&format!("{}/servers/{name}", app.mcp_url()), era).bearer(&key);
    for era in Era::ALL {
        let own = at("fake", era);
        own.open().await.unwrap();
        assert_eq!(
            own.tool_names().await.unwrap(),
            ["echo", "sleep", "big", "fail"],
            "the server's own names and order, without what policy denies"
        );
        assert_eq!(own.call("echo", json!({"payload": "hi"})).await.unwrap()["content"][0]["text"], "hi");
        let prompts = own.request("prompts/list", json!({})).await.unwrap().result;
        assert_eq!(names(&prompts, "prompts", "name"), ["greet"]);
        for hidden in ["write_note", "fake__echo", "none"] {
            assert_eq!(own.call(hidden, json!({})).await.unwrap_err().code(), Some(-32602), "{hidden}");
        }
    }
    let refused = async |name: &str| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
        let reply = at(name, Era::Modern).raw("POST", &[("content-type", "application/json")], body).await.unwrap();
        (reply.status, reply.body)
    };
    assert_eq!(refused("other").await, refused("none").await, "not granted and not there are the same");
    assert_eq!(refused("other").await.0, 404);
    assert_eq!(refused("fa%20ke").await.0, 404);
}

async fn a_doubled_uri_leads_to_the_server_that_gave_it(base: &Base<'_>) {
    let server = |text: &str| {
        let link = json!({"content": [{"type": "resource_link", "uri": "note://one", "name": "n", "x": 1.0}], "isError": false});
        FakeUpstream::start(Behaviour {
            tools: vec![FakeTool::new("link", Act::Result(link))],
            resources: vec![FakeResource::text("note://one", text), FakeResource::text(&format!("note://only-{text}"), text)],
            ..Behaviour::default()
        })
    };
    let (first, second) = (server("first"), server("second"));
    let entry = |name: &str, upstream: &FakeUpstream| format!("  {name}:\n    url: {}\n    allow_private: [127.0.0.0/8]\n", upstream.url());
    let servers = format!("servers:\n{}{}", entry("alpha", &first), entry("beta", &second));
    let setup = base.setup(&servers).file("manifests/both.yml", "agent_type: both\nservers: {alpha: {}, beta: {}}\n");
    let (app, [key]) = started(setup, [("b-1", "both")]);
    let agent = client(&app, &key, Era::Modern);
    wait_for_tool(&agent, "alpha__link").await;
    wait_for_tool(&agent, "beta__link").await;
    let list = agent.request("resources/list", json!({})).await.unwrap().result;
    let uris = names(&list, "resources", "uri");
    assert_eq!(uris, ["note://one", "note://only-first", "bailiwick://beta/note://one", "note://only-second"]);
    for (uri, text) in uris.iter().zip(["first", "first", "second", "second"]) {
        let read = agent.request("resources/read", json!({"uri": uri})).await.unwrap().result;
        assert_eq!((&read["contents"][0]["text"], &read["contents"][0]["uri"]), (&json!(text), &json!(uri)), "{read}");
    }
    for (tool, uri) in [("alpha__link", "note://one"), ("beta__link", "bailiwick://beta/note://one")] {
        let linked = agent.call(tool, json!({})).await.unwrap();
        assert_eq!(linked["content"][0], json!({"type": "resource_link", "uri": uri, "name": "n", "x": 1.0}));
    }
}

async fn the_state_of_a_question_is_good_for_its_own_call_only(base: &Base<'_>) {
    let asks = Act::Ask {
        method: "elicitation/create".into(),
        params: json!({"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}),
    };
    let upstream = FakeUpstream::start(Behaviour {
        tools: vec![FakeTool::new("ask", asks), FakeTool::new("echo", Act::Echo)],
        ..Behaviour::default()
    });
    let (app, [key, other]) = started(base.setup_before(&upstream), [("w-1", "worker"), ("w-2", "worker")]);
    let able = |key: &str| client(&app, key, Era::Modern).capabilities(json!({"elicitation": {}}));
    let (agent, foreign) = (able(&key), able(&other));
    wait_for_tool(&agent, "fake__ask").await;
    let ask = async |client: &Client, more: Value| {
        let mut params = json!({"name": "fake__ask", "arguments": {}});
        more.as_object().unwrap().iter().for_each(|(name, value)| params[name] = value.clone());
        client.request("tools/call", params).await
    };
    let asked = ask(&agent, json!({})).await.unwrap().result;
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let (key, state) = (asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone(), asked["requestState"].clone());
    let answers = json!({key: {"action": "accept", "content": {}}});
    let with = |state: &Value| json!({"inputResponses": answers, "requestState": state});
    let tampered = json!(format!("{}x", state.as_str().unwrap()));
    for refused in [
        ask(&foreign, with(&state)).await,
        ask(&agent, with(&tampered)).await,
        ask(&agent, json!({"arguments": {"payload": "other"}, "inputResponses": answers, "requestState": state})).await,
        ask(&agent, with(&json!(7))).await,
    ] {
        assert_eq!(code_of(refused), -32602);
    }
    let done = ask(&agent, with(&state)).await.unwrap().result;
    assert_eq!(done["resultType"], "complete", "{done}");
    let unable = client(&app, &other, Era::Modern);
    assert_eq!(code_of(ask(&unable, json!({})).await), -32021, "it did not say that it can be asked");
}

async fn arrays_are_answered_where_they_exist(base: &Base<'_>) {
    let upstream = FakeUpstream::start(Behaviour::default());
    let (app, [key]) = started(base.setup_before(&upstream), [("w-1", "worker")]);
    wait_for_tool(&client(&app, &key, Era::Modern), "fake__echo").await;
    let call = |id: u32, tool: &str| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": {"payload": "hi"}}});
    let messages = json!([
        call(1, "fake__echo"),
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        {"jsonrpc": "2.0", "id": "two", "method": "ping"},
        call(3, "fake__none"),
        {"jsonrpc": "2.0", "id": 4, "method": "initialize", "params": {}},
        {"id": 5},
    ]);
    for era in Era::ALL {
        let agent = opened(&app, &key, era).await;
        let body = messages.to_string();
        let headers = [("content-type", "application/json"), ("mcp-protocol-version", era.revision())];
        // Before 2025-06-18 nobody sends that header.
        let headers = if era.revision() == "2025-03-26" { &headers[..1] } else { &headers };
        let reply = agent.raw("POST", headers, body).await.unwrap();
        if era.revision() != "2025-03-26" {
            assert_eq!(reply.status, 400, "{era:?}");
            continue;
        }
        assert_eq!(reply.status, 200);
        let answers: Vec<Value> = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(answers.len(), 5, "{answers:?}");
        assert_eq!((&answers[0]["id"], &answers[0]["result"]["content"][0]["text"]), (&json!(1), &json!("hi")));
        assert_eq!(answers[1], json!({"jsonrpc": "2.0", "id": "two", "result": {}}));
        let codes: Vec<_> = answers[2..].iter().map(|answer| answer["error"]["code"].as_i64().unwrap()).collect();
        assert_eq!(codes, [-32602, -32600, -32600], "{answers:?}");
        for (body, status) in [("[]", 400), ("[", 400), (r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#, 202)] {
            assert_eq!(agent.raw("POST", &[("content-type", "application/json")], body.to_owned()).await.unwrap().status, status, "{body}");
        }
    }
}
