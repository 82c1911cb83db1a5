//! A call without a connection: each client gets the link in the form that it can handle, and the same call succeeds afterwards.

use bailiwick_testkit::client::{Era, Fault};
use bailiwick_testkit::provider::{Habits, Provider};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::bench::{Bench, Database, wait_for};

const CALL: &str = "tools/call";

fn echo() -> Value {
    json!({"name": "notes__echo", "arguments": {"text": "hello"}})
}

/// A bench whose server is known, and where Ann has no connection any more.
async fn disconnected(provider: &Provider) -> Bench {
    let bench = Bench::build(1, Database::Sqlite, "todoist").await;
    provider.publish("https://gateway.example.com/oauth/client-metadata.json", bench.gateway().connections().client_metadata().unwrap());
    let record = bench.active(provider, |_| {}).await;
    bench.connect(provider, &record).await;
    bench.client_with(0, "notes__echo").await;
    bench.store.connections().delete(&bench.scope(), record.id, &Bench::ann()).await.unwrap();
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_modern_client_is_asked_in_a_result() {
    let provider = Provider::start(Habits::default());
    let bench = disconnected(&provider).await;
    let client = bench.client(0, Era::Modern, json!({"elicitation": {"url": {}}})).await;
    let asked = client.request(CALL, echo()).await.unwrap().result;
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let question = &asked["inputRequests"]["sign_in"];
    assert_eq!((question["method"].as_str(), question["params"]["mode"].as_str()), (Some("elicitation/create"), Some("url")), "{asked}");
    let link = question["params"]["url"].as_str().unwrap().to_owned();
    let answer = |action: &str, state: &Value| {
        let mut call = echo();
        call["inputResponses"] = json!({"sign_in": {"action": action}});
        call["requestState"] = state.clone();
        call
    };
    // Agreed to too early: asked again. Declined: a clear end.
    let again = client.request(CALL, answer("accept", &asked["requestState"])).await.unwrap().result;
    assert_eq!(again["resultType"], "input_required", "{again}");
    let declined = client.request(CALL, answer("decline", &asked["requestState"])).await.unwrap().result;
    assert_eq!(declined["structuredContent"]["code"], "needs_authorization", "{declined}");
    assert!(declined["structuredContent"]["details"]["url"].is_string(), "{declined}");
    // A state of somebody else's making does not count.
    let forged = client.request(CALL, answer("accept", &json!("bm90LW91cnM"))).await;
    assert!(matches!(&forged, Err(Fault::Rpc { code: -32602, .. })), "{forged:?}");
    bench.follow(&provider, &link).await;
    let done = client.request(CALL, answer("accept", &asked["requestState"])).await.unwrap().result;
    assert_eq!(done["isError"], json!(false), "{done}");
    assert!(provider.mcp_arrivals().iter().all(|arrival| !arrival.message.to_string().contains("inputResponses")), "our question is ours");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_2025_11_25_is_asked_with_an_error() {
    let provider = Provider::start(Habits::default());
    let bench = disconnected(&provider).await;
    let client = bench.client(0, Era::Legacy("2025-11-25"), json!({"elicitation": {"url": {}}})).await;
    let Err(Fault::Rpc { code, data, .. }) = client.request(CALL, echo()).await else { panic!("an error was expected") };
    assert_eq!(code, -32042);
    let elicitation = &data["elicitations"][0];
    assert_eq!(elicitation["mode"], "url", "{data}");
    assert!(elicitation["elicitationId"].is_string(), "{data}");
    bench.follow(&provider, elicitation["url"].as_str().unwrap()).await;
    let done = client.request(CALL, echo()).await.unwrap().result;
    assert_eq!(done["isError"], json!(false), "{done}");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_client_gets_the_link_in_a_tool_error() {
    let provider = Provider::start(Habits::default());
    let bench = disconnected(&provider).await;
    for (era, capabilities) in [
        (Era::Modern, json!({})),
        (Era::Modern, json!({"elicitation": {"form": {}}})),
        (Era::Legacy("2025-11-25"), json!({"elicitation": {}})),
        (Era::Legacy("2025-06-18"), json!({})),
    ] {
        let client = bench.client(0, era, capabilities).await;
        let said = client.request(CALL, echo()).await.unwrap().result;
        assert_eq!(said["isError"], json!(true), "{said}");
        let facts = &said["structuredContent"];
        assert_eq!(facts["code"], "needs_authorization", "{said}");
        let link = facts["details"]["url"].as_str().unwrap();
        assert!(said["content"][0]["text"].as_str().unwrap().contains(link), "{said}");
    }
    bench.close().await;
}

/// An agent that acts for nobody may connect for nobody; the organisation's own connection serves it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_by_itself_needs_the_organisations_connection() {
    let provider = Provider::start(Habits::default());
    let bench = disconnected(&provider).await;
    let url = bench.replicas[0].door.url();
    let robot = bailiwick_testkit::client::Client::http(url, Era::Modern).bearer(bench.robot.expose_secret());
    robot.open().await.unwrap();
    wait_for(&robot, "notes__echo").await;
    let said = robot.request(CALL, echo()).await.unwrap().result;
    assert_eq!(said["structuredContent"]["code"], "needs_authorization", "{said}");
    assert_eq!(said["structuredContent"]["details"]["url"], Value::Null, "{said}");

    let record = bench.store.servers().by_name(&bench.scope(), &"notes".to_owned().try_into().unwrap()).await.unwrap();
    let link =
        bench.gateway().connections().person_link(&bench.scope(), &record, &bailiwick_model::registered::Holder::Organisation, "ann").await;
    bench.follow(&provider, &link.unwrap()).await;
    let done = robot.request(CALL, echo()).await.unwrap().result;
    assert_eq!(done["isError"], json!(false), "{done}");
    bench.close().await;
}
