//! What changes at a server, and the resources that are watched.

use std::time::Duration;

use bailiwick_mcp::Json;
use bailiwick_mcp::client::{Cancel, FaultKind, Outgoing};
use bailiwick_testkit::upstream::{Act, Behaviour, Eras, FakeTool, FakeUpstream, News};
use serde_json::json;

use crate::client_fake::{options, told};
use crate::client_kit::{ERAS, Server, ask, http, next};

fn fake(eras: Eras) -> FakeUpstream {
    FakeUpstream::start(Behaviour { eras, sessions: true, ..Behaviour::rich() })
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_say_what_changed() {
    for eras in ERAS {
        let fake = fake(eras);
        let upstream = http(&fake, options());
        let mut notices = upstream.notices();
        upstream.open().await.unwrap();
        fake.wait_for_listeners(1);
        for news in [News::Tools, News::Prompts, News::Resources, News::Updated("note://one".into())] {
            fake.tell(news);
        }
        let done = News::Other { method: "notifications/elicitation/complete".into(), params: r#"{"elicitationId":"e"}"#.into() };
        fake.tell(done);
        assert_eq!(next(&mut notices).await, "ToolsChanged");
        assert_eq!(next(&mut notices).await, "PromptsChanged");
        assert_eq!(next(&mut notices).await, "ResourcesChanged");
        assert!(next(&mut notices).await.starts_with("ElicitationComplete"), "nobody subscribed to a resource");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_tells_over_its_pipe() {
    for eras in ERAS {
        let news = vec![News::Tools, News::Prompts, News::Resources, News::Updated("note://one".into())];
        let tools = vec![FakeTool::new("tell", Act::Announce(news))];
        let server = Server::stdio(&Behaviour { tools, eras, ..Behaviour::rich() });
        let upstream = server.upstream();
        let mut notices = upstream.notices();
        upstream.subscribe("note://one").await.unwrap();
        let cancel = Cancel::new();
        // A modern child may hear of the subscription a little later.
        while eras == Eras::Modern
            && !server.of("subscriptions/listen").iter().any(|listen| listen.message.to_string().contains("note://one"))
        {
            tokio::task::yield_now().await;
        }
        upstream.call(ask("tools/call", Some("tell"), &cancel)).await.unwrap();
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last: &String| !last.starts_with("note://one")) {
            heard.push(next(&mut notices).await);
        }
        for notice in ["ToolsChanged", "PromptsChanged", "ResourcesChanged", r#"note://one {"uri":"note://one"}"#] {
            assert!(heard.iter().any(|one| one == notice), "{notice} among {heard:?}");
        }
        upstream.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_stream_is_replaced_without_a_gap_when_other_resources_are_wanted() {
    let fake = fake(Eras::Modern);
    let upstream = http(&fake, options());
    let mut notices = upstream.notices();
    upstream.subscribe("note://one").await.unwrap();
    upstream.subscribe("note://one").await.unwrap();
    upstream.subscribe("note://two").await.unwrap();
    let wants = |uris: &serde_json::Value| {
        let last = fake.arrivals().into_iter().rfind(|arrival| arrival.method == "subscriptions/listen");
        last.is_some_and(|last| &last.message["params"]["notifications"]["resourceSubscriptions"] == uris)
    };
    let until = |uris: serde_json::Value| {
        let wants = &wants;
        async move {
            while !wants(&uris) {
                tokio::task::yield_now().await;
            }
        }
    };
    until(json!(["note://one", "note://two"])).await;
    fake.wait_for_listeners(1);
    assert!(fake.count("subscriptions/listen") <= 3, "changes are collected");
    // The server has taken the request; a moment later it listens to it.
    let heard = loop {
        fake.update("note://two");
        if let Ok(heard) = tokio::time::timeout(Duration::from_millis(100), next(&mut notices)).await {
            break heard;
        }
    };
    assert_eq!(heard, r#"note://two {"uri":"note://two"}"#);
    upstream.unsubscribe("note://one").await;
    upstream.unsubscribe("note://two").await;
    until(json!(["note://one"])).await;
    fake.update("note://one");
    // For a moment both streams tell the same.
    while next(&mut notices).await != r#"note://one {"uri":"note://one"}"# {}
    let all = fake.arrivals().pop().unwrap().message["params"]["notifications"].clone();
    assert_eq!(
        (&all["toolsListChanged"], &all["promptsListChanged"], &all["resourcesListChanged"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert!(!told(&mut notices).contains(&"Reopened".to_owned()), "a replaced stream misses nothing, so nobody has to look again");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_while_the_resources_change() {
    const CHANGES: usize = 4;
    let fake = fake(Eras::Modern);
    let upstream = http(&fake, options());
    let mut notices = upstream.notices();
    upstream.open().await.unwrap();
    fake.wait_for_listeners(1);
    let changing = async {
        for number in 0..CHANGES {
            upstream.subscribe(&format!("file:///{number}")).await.unwrap();
            while fake.count("subscriptions/listen") < number + 2 {
                tokio::task::yield_now().await;
            }
        }
    };
    let telling = async {
        for number in 0.. {
            let params = format!(r#"{{"elicitationId":"{number}"}}"#);
            fake.tell(News::Other { method: "notifications/elicitation/complete".into(), params });
            while !next(&mut notices).await.contains(&format!(r#"\"elicitationId\":\"{number}\""#)) {}
        }
    };
    tokio::select! {
        () = changing => {}
        () = telling => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_server_is_asked_once_for_each_resource_and_again_in_a_new_session() {
    let fake = fake(Eras::Legacy);
    let upstream = http(&fake, options());
    let mut notices = upstream.notices();
    for uri in ["note://one", "note://one", "note://two"] {
        upstream.subscribe(uri).await.unwrap();
    }
    assert_eq!((fake.count("resources/subscribe"), fake.subscribed().len()), (2, 2));
    upstream.unsubscribe("note://one").await;
    upstream.unsubscribe("note://two").await;
    upstream.unsubscribe("note://never").await;
    assert_eq!((fake.count("resources/unsubscribe"), fake.subscribed()), (1, vec!["note://one".to_owned()]));
    fake.wait_for_listeners(1);
    fake.update("note://one");
    assert_eq!(next(&mut notices).await, r#"note://one {"uri":"note://one"}"#);

    fake.forget_sessions();
    let cancel = Cancel::new();
    let arguments = Json::from_static("{}");
    upstream.call(Outgoing { arguments: Some(&arguments), ..ask("tools/call", Some("echo"), &cancel) }).await.unwrap();
    assert_eq!(next(&mut notices).await, "Reopened");
    fake.wait_for_method("resources/subscribe", 3);
    assert_eq!(next(&mut notices).await, "Reopened", "what changed before the resource was subscribed to again was told to nobody");
    assert_eq!(fake.subscribed(), ["note://one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_subscribed_to_is_refused() {
    for eras in ERAS {
        let plain = FakeUpstream::start(Behaviour { eras, sessions: true, ..Behaviour::default() });
        let fault = http(&plain, options()).subscribe("note://one").await.unwrap_err();
        assert!(matches!(&fault.kind, FaultKind::Rpc(error) if error.code == -32601) && !fault.sent, "{fault:?}");
        let fake = fake(eras);
        let upstream = http(&fake, options());
        let fault = upstream.subscribe(&"x".repeat(10_000)).await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::TooLarge), "{fault:?}");
        if eras == Eras::Legacy {
            let fault = upstream.subscribe("note://none").await.unwrap_err();
            assert!(matches!(&fault.kind, FaultKind::Rpc(error) if error.code == -32002), "{fault:?}");
            upstream.unsubscribe("note://none").await;
            assert_eq!(fake.count("resources/unsubscribe"), 0, "what was refused is not wanted");
        }
        for number in 0..1_000 {
            upstream.subscribe(&format!("file:///{number}")).await.unwrap();
        }
        let fault = upstream.subscribe("file:///more").await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::TooLarge) && !fault.sent, "{fault:?}");
        upstream.subscribe("file:///7").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_opened_again_and_everybody_told() {
    for eras in ERAS {
        let mut fake = fake(eras);
        let upstream = http(&fake, options());
        let mut notices = upstream.notices();
        upstream.open().await.unwrap();
        fake.wait_for_listeners(1);
        fake.restart();
        assert_eq!(next(&mut notices).await, "Reopened");
        fake.wait_for_listeners(1);
        fake.tell(News::Prompts);
        assert_eq!(next(&mut notices).await, "PromptsChanged");
    }
}
