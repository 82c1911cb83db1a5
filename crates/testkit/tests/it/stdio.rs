//! The honest client against the program `fake-upstream`.

use std::time::Duration;

use bailiwick_testkit::app::poll;
use bailiwick_testkit::client::{Client, Era, Fault as Seen};
use bailiwick_testkit::place::Place;
use bailiwick_testkit::upstream::{Act, Behaviour, FakeTool, Fault, ProcessHabits, StdioUpstream};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use tokio::process::Command;

fn start(behaviour: Behaviour, place: &Place) -> (Client, StdioUpstream) {
    let fake = StdioUpstream::new(behaviour, &place.join("arrivals"));
    let mut command = Command::new(fake.program());
    command.args(fake.args());
    (Client::stdio(command, Era::LEGACY), fake)
}

#[tokio::test]
async fn both_eras_on_one_pipe_of_their_own() {
    for era in Era::ALL {
        let place = Place::new();
        let fake = StdioUpstream::new(Behaviour { progress: 2, ..Behaviour::default() }, &place.join("arrivals"));
        let mut command = Command::new(fake.program());
        command.args(fake.args());
        let client = Client::stdio(command, era);
        client.open().await.unwrap();
        assert_eq!(client.tool_names().await.unwrap()[0], "echo");
        let params = json!({"name": "echo", "arguments": {"payload": "x\ny"}, "_meta": {"progressToken": 9}});
        let reply = client.request("tools/call", params).await.unwrap();
        assert_eq!(reply.result["content"][0]["text"], "x\ny");
        assert_eq!(reply.notifications.len(), 2);
        assert_eq!(fake.calls("echo"), [r#"{"payload":"x\ny"}"#]);
        assert!(client.close().await.unwrap().unwrap().success());
    }
}

#[tokio::test]
async fn answers_come_as_they_are_ready_and_cancelled_ones_do_not() {
    let place = Place::new();
    let (client, fake) = start(Behaviour::default(), &place);
    let slow = client.begin("tools/call", json!({"name": "sleep", "arguments": {"ms": 60_000}}));
    tokio::task::spawn_blocking(move || fake.wait_for("sleep", 1)).await.unwrap();
    client.call("echo", json!({"payload": "quick"})).await.unwrap();
    client.notify("notifications/cancelled", json!({"requestId": slow.id})).await.unwrap();
    client.call("echo", json!({"payload": "after"})).await.unwrap();
    slow.abandon();
    client.close().await.unwrap();
}

#[tokio::test]
async fn changed_tools_are_announced() {
    let place = Place::new();
    let change = FakeTool::new("change", Act::ChangeTools(vec![FakeTool::new("fresh", Act::Echo)]));
    let (client, _) = start(Behaviour { tools: vec![change], ..Behaviour::default() }, &place);
    client.open().await.unwrap();
    let change = client.request("tools/call", json!({"name": "change"})).await.unwrap();
    let list = client.request("tools/list", json!({})).await.unwrap();
    assert_eq!(list.result["tools"][0]["name"], "fresh");
    let heard = change.notifications.iter().chain(&list.notifications).map(|n| &n["method"]);
    assert_eq!(heard.collect::<Vec<_>>(), ["notifications/tools/list_changed"]);
}

#[tokio::test]
async fn faults_end_the_pipe_or_break_a_line() {
    for (fault, lost) in
        [(Fault::Garbage, false), (Fault::WrongId, false), (Fault::HangUp, true), (Fault::Truncated, false), (Fault::Status(500), true)]
    {
        let place = Place::new();
        let faults = [("tools/list".to_owned(), fault.clone())].into();
        let (client, fake) = start(Behaviour { faults, ..Behaviour::default() }, &place);
        match client.tools().await.unwrap_err() {
            Seen::Lost(_) => assert!(lost, "{fault:?}"),
            Seen::Broken(_) => assert!(!lost, "{fault:?}"),
            other => panic!("{fault:?}: {other}"),
        }
        assert_eq!(fake.arrivals().len(), 1);
    }
}

#[tokio::test]
async fn a_stubborn_process_and_its_child() {
    let place = Place::new();
    let habits = ProcessHabits {
        ignores_eof: true,
        ignores_sigterm: true,
        grandchild: Some(place.join("grandchild")),
        stderr_bytes: 300_000,
        greeting: None,
        exit_at_start: None,
    };
    let (client, _) = start(Behaviour { process: habits, ..Behaviour::default() }, &place);
    client.open().await.unwrap();
    let pid = |text: &str| Pid::from_raw(text.trim().parse().unwrap()).unwrap();
    let grandchild = pid(&place.read("grandchild"));
    test_kill_process(grandchild).unwrap();
    let process = pid(&client.process_id().unwrap().to_string());
    kill_process(process, Signal::TERM).unwrap();
    client.request("ping", json!({})).await.unwrap();
    let flooded = tokio::task::spawn_blocking({
        let client = client.clone();
        move || poll(Duration::from_secs(10), || (client.stderr().len() >= 290_000).then_some(()))
    });
    assert!(flooded.await.unwrap().is_some());
    kill_process(process, Signal::KILL).unwrap();
    kill_process(grandchild, Signal::KILL).unwrap();
    assert!(matches!(client.request("ping", json!({})).await, Err(Seen::Lost(_))));
}

#[tokio::test]
async fn a_process_that_ends_or_greets() {
    let place = Place::new();
    let habits = ProcessHabits { exit_at_start: Some(3), ..ProcessHabits::default() };
    let (client, _) = start(Behaviour { process: habits, ..Behaviour::default() }, &place);
    assert!(matches!(client.open().await, Err(Seen::Lost(_))));
    assert_eq!(client.close().await.unwrap().unwrap().code(), Some(3));
    let habits = ProcessHabits { greeting: Some("Welcome!".into()), ..ProcessHabits::default() };
    let (client, _) = start(Behaviour { process: habits, ..Behaviour::default() }, &place);
    assert!(matches!(client.open().await, Err(Seen::Broken(_))));
}
