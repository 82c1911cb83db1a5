//! A server that says its credential back wherever it can: no client sees it.

use bailiwick_testkit::client::Era;
use bailiwick_testkit::upstream::{Act, Behaviour, Eras, FakeResource, FakeTool, FakeUpstream, News};
use serde_json::{Value, json};

use crate::base::{Base, wait_for_tool};
use crate::ear::Session;
use crate::scene::{client, started};

const CANARY: &str = "canary-7f3a91c2-do-not-show";
const MASKED: &str = "<redacted-value>";
const WATCHED: &str = "note://one";

/// A server that wants the canary as its key, and repeats it in definitions, progress, log messages and updates.
fn parrot() -> FakeUpstream {
    let spoken = json!({"method": "notifications/message", "params": {"level": "error", "data": {"key": CANARY}}});
    let tool = FakeTool::new("repeat", Act::Notify(vec![spoken])).with("description", json!(format!("Uses the key {CANARY}.")));
    FakeUpstream::start(Behaviour {
        eras: Eras::Legacy,
        sessions: true,
        tools: vec![tool],
        resources: vec![FakeResource::text(WATCHED, "first")],
        logging: true,
        bearer: Some(CANARY.into()),
        progress: 2,
        progress_message: Some(format!("sent {CANARY}")),
        ..Behaviour::default()
    })
}

/// The text, in which something was masked and nothing is left.
fn clean(what: &str, text: &str) {
    assert!(!text.contains(CANARY), "{what} shows it: {text}");
    assert!(text.contains(MASKED), "{what} never came: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_a_server_repeats_reaches_no_client() {
    let upstream = parrot();
    let servers = format!(
        "servers:\n  fake:\n    url: {}\n    allow_private: [127.0.0.0/8]\n    headers: {{Authorization: 'Bearer {CANARY}'}}\n",
        upstream.url()
    );
    let setup = Base::sqlite("canary").setup(&servers).file("manifests/worker.yml", "agent_type: worker\nservers: {fake: {}}\n");
    let (app, [key]) = started(setup, [("w-1", "worker")]);
    wait_for_tool(&client(&app, &key, Era::Modern), "fake__repeat").await;
    for era in Era::ALL {
        let agent = client(&app, &key, era);
        agent.open().await.unwrap();
        clean("the definition", &json!(agent.tools().await.unwrap()).to_string());
        if era != Era::Modern {
            agent.request("logging/setLevel", json!({"level": "debug"})).await.unwrap();
        }
        let meta = match era {
            Era::Modern => json!({"progressToken": 5, "io.modelcontextprotocol/logLevel": "debug"}),
            Era::Legacy(_) => json!({"progressToken": 5}),
        };
        let reply = agent.request("tools/call", json!({"name": "fake__repeat", "arguments": {}, "_meta": meta})).await.unwrap();
        let said = |method: &str| {
            let of_kind: Vec<&Value> = reply.notifications.iter().filter(|one| one["method"] == method).collect();
            json!(of_kind).to_string()
        };
        clean("progress", &said("notifications/progress"));
        clean("a log message", &said("notifications/message"));
    }
    let session = Session::open(&app, &key, "2025-06-18").await;
    let mut ear = session.get(&[]).await.unwrap();
    session.client().request("resources/subscribe", json!({"uri": WATCHED})).await.unwrap();
    while upstream.subscribed().is_empty() {
        tokio::task::yield_now().await;
    }
    let params = json!({"uri": WATCHED, "title": format!("read with {CANARY}")}).to_string();
    upstream.tell(News::Other { method: "notifications/resources/updated".into(), params });
    let updated = loop {
        let event = ear.one().await;
        if event.message()["method"] == "notifications/resources/updated" {
            break event.data;
        }
    };
    clean("an update", &updated);
    assert!(!app.stderr().contains(CANARY), "nor does the operator");
}
