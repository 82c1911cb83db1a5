//! Every fault does what its name says, and the honest client calls it a fault.

use bailiwick_testkit::client::{Client, Era, Fault as Seen};
use bailiwick_testkit::upstream::{Behaviour, FakeUpstream, Fault};
use serde_json::json;

async fn seen(fault: Fault) -> Seen {
    let fake = FakeUpstream::start(Behaviour { faults: [("tool:echo".to_owned(), fault)].into(), ..Behaviour::default() });
    let client = Client::http(&fake.url(), Era::LEGACY);
    client.call("write_note", json!({})).await.expect("only one tool has the fault");
    let fault = client.call("echo", json!({"payload": "x"})).await.expect_err("a fault is not a result");
    assert_eq!(fake.calls("echo").len(), 1, "the call has arrived all the same");
    fault
}

#[tokio::test]
async fn wrong_texts() {
    for fault in [Fault::Garbage, Fault::WrongId, Fault::Deep(1000)] {
        assert!(matches!(seen(fault.clone()).await, Seen::Broken(_)), "{fault:?}");
    }
    let rpc = Fault::Rpc { code: -32603, message: "no \"luck\"".into(), data: None };
    assert!(matches!(seen(rpc).await, Seen::Rpc { code: -32603, message, .. } if message == "no \"luck\""));
}

#[tokio::test]
async fn wrong_transport() {
    for fault in [Fault::Truncated, Fault::HangUp] {
        assert!(matches!(seen(fault.clone()).await, Seen::Lost(_)), "{fault:?}");
    }
    assert!(matches!(seen(Fault::Status(503)).await, Seen::Status(503, _)));
    assert!(matches!(seen(Fault::Redirect("http://127.0.0.1:1/".into())).await, Seen::Status(307, _)));
    assert!(matches!(seen(Fault::Endless).await, Seen::Broken(rule) if rule.contains("event of more than")));
}

#[tokio::test]
async fn sizes_and_doubled_members_reach_the_client() {
    let faults = [("tool:echo".to_owned(), Fault::Oversize(3 << 20)), ("tool:big".to_owned(), Fault::DuplicateMember)].into();
    let fake = FakeUpstream::start(Behaviour { faults, ..Behaviour::default() });
    let client = Client::http(&fake.url(), Era::LEGACY);
    let reply = client.request("tools/call", json!({"name": "echo"})).await.unwrap();
    assert!(reply.text.len() > 3 << 20);
    let reply = client.request("tools/call", json!({"name": "big"})).await.unwrap();
    assert_eq!(reply.text.matches("\"content\"").count(), 2);
}

#[tokio::test]
async fn silence_ends_when_the_caller_leaves() {
    let faults = [("tools/list".to_owned(), Fault::Silence)].into();
    let fake = FakeUpstream::start(Behaviour { faults, ..Behaviour::default() });
    let begun = Client::http(&fake.url(), Era::LEGACY).begin("tools/list", json!({}));
    let fake = tokio::task::spawn_blocking(move || {
        bailiwick_testkit::app::poll(std::time::Duration::from_secs(10), || (fake.count("tools/list") == 1).then_some(()));
        fake
    });
    let fake = fake.await.unwrap();
    begun.abandon();
    tokio::task::spawn_blocking(move || fake.wait_for_abandoned(1)).await.unwrap();
}

#[tokio::test]
async fn a_crash_cuts_everything() {
    let mut fake = FakeUpstream::start(Behaviour { crash_after: Some(2), ..Behaviour::default() });
    let client = Client::http(&fake.url(), Era::LEGACY);
    client.call("echo", json!({})).await.unwrap();
    assert!(matches!(client.call("echo", json!({})).await, Err(Seen::Lost(_))));
    assert!(matches!(client.call("echo", json!({})).await, Err(Seen::Lost(_))));
    assert_eq!(fake.calls("echo").len(), 2);
    fake.restart();
    client.call("echo", json!({})).await.unwrap();
}
