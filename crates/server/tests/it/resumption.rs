//! Clients of older revisions that come back to their streams: `Last-Event-ID`, what is kept for how long, and for whom.

use std::time::{Duration, Instant};

use bailiwick_testkit::app::App;
use bailiwick_testkit::client::Era;
use bailiwick_testkit::upstream::{Act, Behaviour, Eras, FakeResource, FakeTool, FakeUpstream};
use serde_json::{Value, json};

use crate::base::{Base, on_both, wait_for_tool};
use crate::ear::{Ear, Event, Session, call};
use crate::scene::{client, started};

const WAIT_MAX: Duration = Duration::from_secs(15);
const NEWEST: &str = "2025-11-25";
const REVISIONS: [&str; 3] = [NEWEST, "2025-06-18", "2025-03-26"];

on_both! {
    the_answer_of_a_broken_call_waits_before_an_older_server,
    the_answer_of_a_broken_call_waits_before_a_newer_server,
    an_open_question_is_asked_again_and_the_answer_comes_live,
    nobody_reads_on_what_is_not_theirs,
    a_session_hears_each_change_once_and_reads_on,
    who_cancels_hears_no_more,
}

/// A server that asks, and one that says how far it is.
fn upstream(eras: Eras) -> FakeUpstream {
    let schema = json!({"type": "object", "properties": {"answer": {"type": "string"}}});
    let ask = Act::Ask { method: "elicitation/create".into(), params: json!({"message": "which?", "requestedSchema": schema}) };
    let mut tools = FakeTool::standard();
    tools.push(FakeTool::new("ask", ask));
    let resources = vec![FakeResource::text("note://one", "first")];
    FakeUpstream::start(Behaviour { eras, sessions: true, tools, resources, progress: 6, ..Behaviour::default() })
}

async fn ready<const N: usize>(base: &Base<'_>, upstream: &FakeUpstream, limits: &str, agents: [&str; N]) -> (App, [String; N]) {
    let more = format!("limits: {{{limits}}}\n");
    let (app, keys) = started(base.setup_before_with(upstream, &more), agents.map(|agent| (agent, "worker")));
    for key in &keys {
        wait_for_tool(&client(&app, key, Era::Modern), "fake__ask").await;
    }
    (app, keys)
}

/// The question of a call of `ask`, after the event without data that only 2025-11-25 knows.
async fn question(ear: &mut Ear, revision: &str) -> Event {
    let first = ear.one().await;
    if revision != NEWEST {
        return first;
    }
    assert_eq!((first.data.as_str(), first.retry.as_str()), ("", "1000"), "{first:?}");
    assert!(first.id.ends_with("-0"), "{first:?}");
    ear.one().await
}

fn is_answer(event: &Event, id: u64) {
    let message = event.message();
    assert_eq!(message["id"], id, "{message}");
    assert!(message["result"]["content"][0]["text"].as_str().unwrap().contains("forty-two"), "{message}");
}

async fn the_answer_of_a_broken_call_waits_before_an_older_server(base: &Base<'_>) {
    the_answer_waits(base, Eras::Legacy).await;
}

async fn the_answer_of_a_broken_call_waits_before_a_newer_server(base: &Base<'_>) {
    the_answer_waits(base, Eras::Modern).await;
}

async fn the_answer_waits(base: &Base<'_>, eras: Eras) {
    let upstream = upstream(eras);
    let (app, [key]) = ready(base, &upstream, "", ["w-1"]).await;
    for revision in REVISIONS {
        let session = Session::open(&app, &key, revision).await;
        let mut ear = session.call(7, "fake__ask", json!({})).await;
        let asked = question(&mut ear, revision).await;
        assert_eq!(asked.message()["method"], "elicitation/create");
        assert!(asked.id.ends_with("-1"), "{asked:?}");
        drop(ear);
        session.fill_in(&asked.message()).await;
        // Once, and again for a client that lost that too.
        let mut answered = Vec::new();
        for _ in 0..2 {
            answered = session.resume(&asked.id).await.unwrap().rest().await;
            assert_eq!(answered.len(), 1, "{revision}: {answered:?}");
            is_answer(&answered[0], 7);
            assert!(answered[0].id.ends_with("-2"), "{answered:?}");
        }
        let start = asked.id.replace("-1", "-0");
        let all = session.resume(&start).await.unwrap().rest().await;
        assert_eq!(all.len(), 1, "a question that has been answered is not asked again: {all:?}");
        assert_eq!(session.resume(&answered[0].id).await.err(), Some((204, String::new())), "nothing follows");
    }
}

async fn an_open_question_is_asked_again_and_the_answer_comes_live(base: &Base<'_>) {
    let upstream = upstream(Eras::Legacy);
    let (app, [key]) = ready(base, &upstream, "", ["w-1"]).await;
    for revision in REVISIONS {
        let session = Session::open(&app, &key, revision).await;
        let mut ear = session.call(8, "fake__ask", json!({})).await;
        let asked = question(&mut ear, revision).await;
        let mut again = session.resume(&asked.id.replace("-1", "-0")).await.unwrap();
        assert!(ear.next().await.is_none(), "one connection reads a stream");
        let repeated = again.one().await;
        assert_eq!((&repeated.id, &repeated.data), (&asked.id, &asked.data));
        let mut late = session.resume(&asked.id).await.unwrap();
        assert!(again.next().await.is_none());
        session.fill_in(&asked.message()).await;
        is_answer(&late.one().await, 8);
        assert!(late.next().await.is_none());
    }
}

async fn nobody_reads_on_what_is_not_theirs(base: &Base<'_>) {
    let upstream = upstream(Eras::Legacy);
    let (app, [key, other_key]) = ready(base, &upstream, "", ["w-1", "w-2"]).await;
    let session = Session::open(&app, &key, NEWEST).await;
    let (sibling, stranger) = (Session::open(&app, &key, NEWEST).await, Session::open(&app, &other_key, NEWEST).await);
    let (mut one, mut two) = (session.call(1, "fake__ask", json!({})).await, session.call(2, "fake__ask", json!({})).await);
    let (first, second) = (question(&mut one, NEWEST).await, question(&mut two, NEWEST).await);
    for asked in [&first, &second] {
        assert_eq!(sibling.refusal(&asked.id).await, 400, "another session");
        assert_eq!(stranger.refusal(&asked.id).await, 400, "another agent");
        assert_eq!(session.with_key(&other_key).refusal(&asked.id).await, 404, "another agent in this session");
        session.fill_in(&asked.message()).await;
    }
    is_answer(&one.one().await, 1);
    is_answer(&two.one().await, 2);
    for (asked, id) in [(&first, 1), (&second, 2)] {
        let rest = session.resume(&asked.id).await.unwrap().rest().await;
        assert_eq!(rest.len(), 1, "only of this stream: {rest:?}");
        is_answer(&rest[0], id);
    }
    let stream = first.id.trim_end_matches('1');
    for unknown in ["x", "7", "c0000000000000000-1", &format!("{stream}99"), &format!("{stream}01"), &first.id.to_uppercase()] {
        let (status, body) = session.resume(unknown).await.map(drop).unwrap_err();
        assert_eq!(status, 400, "{unknown}");
        assert!(body.contains("check before you repeat it"), "{body}");
    }
    let ended = Session::open(&app, &key, NEWEST).await;
    let asked = question(&mut ended.call(3, "fake__ask", json!({})).await, NEWEST).await;
    assert_eq!(ended.client().raw("DELETE", &[], "").await.unwrap().status, 204);
    assert_eq!(ended.refusal(&asked.id).await, 404);
    // The client breaks off at the first event id on a stream of 2026-07-28.
    let modern = client(&app, &key, Era::Modern);
    let spoken = modern.request("tools/call", json!({"name": "fake__echo", "arguments": {}, "_meta": {"progressToken": 1}})).await.unwrap();
    assert!(!spoken.notifications.is_empty());
    assert_eq!(modern.raw("GET", &[("last-event-id", &first.id)], "").await.unwrap().status, 405);
}

/// Another list of tools, announced.
fn change_tools(upstream: &FakeUpstream, name: &str) {
    upstream.set(|behaviour| behaviour.tools.push(FakeTool::new(name, Act::Echo)));
    upstream.announce();
}

async fn a_session_hears_each_change_once_and_reads_on(base: &Base<'_>) {
    let upstream = upstream(Eras::Legacy);
    let (app, [key]) = ready(base, &upstream, "streams_per_principal_max: 2", ["w-1"]).await;
    let session = Session::open(&app, &key, NEWEST).await;
    upstream.wait_for_listeners(1);
    let (mut first, mut second) = (session.get(&[]).await.unwrap(), session.get(&[]).await.unwrap());
    assert_eq!(session.get(&[]).await.err().unwrap().0, 429, "two places");
    let (begun, _) = (first.one().await, second.one().await);
    assert_eq!((begun.data.as_str(), begun.retry.as_str()), ("", "1000"), "{begun:?}");
    let change = |name: &'static str| change_tools(&upstream, name);
    let seen = client(&app, &key, Era::Modern);
    change("one");
    let heard = second.one().await;
    assert_eq!(heard.message()["method"], "notifications/tools/list_changed");
    drop(second);
    drop(first);
    // Nobody is connected to that stream when this happens, and yet it is kept for it or told on the other one.
    let mut again = loop {
        // The place of the connection that broke is free as soon as that is noticed.
        match session.resume(&heard.id).await {
            Ok(ear) => break ear,
            Err((status, body)) => assert_eq!(status, 429, "{body}"),
        }
    };
    change("two");
    let more = again.one().await;
    assert_eq!(more.message()["method"], "notifications/tools/list_changed");
    assert!(heard.id.ends_with("-1") && more.id.ends_with("-2"), "{heard:?} {more:?}");
    drop(again);
    wait_for_tool(&seen, "fake__two").await;
    change("three");
    wait_for_tool(&seen, "fake__three").await;
    session.client().request("resources/subscribe", json!({"uri": "note://one"})).await.unwrap();
    while upstream.subscribed().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut back = loop {
        match session.resume(&begun.id).await {
            Ok(ear) => break ear,
            Err((status, body)) => assert_eq!(status, 429, "{body}"),
        }
    };
    upstream.update("note://one");
    let told = back.one().await;
    assert_eq!(told.message()["method"], "notifications/resources/updated", "what went to the other stream is not on this one: {told:?}");
    assert!(told.id.ends_with("-1"), "{told:?}");
    // A client that comes back from another replica or start: everything may have changed.
    drop(back);
    let mut anew = loop {
        match session.resume("g0123456789abcdef-3").await {
            Ok(ear) => break ear,
            Err((status, body)) => assert_eq!(status, 429, "{body}"),
        }
    };
    assert!(anew.one().await.id.ends_with("-0"));
    let mut all = Vec::new();
    while all.len() < 3 {
        all.push(anew.one().await.message());
    }
    let methods: Vec<&str> = all.iter().map(|message| message["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["tools/list_changed", "resources/list_changed", "resources/updated"].map(|name| format!("notifications/{name}")));
    assert_eq!(all[2]["params"]["uri"], "note://one");
}

async fn who_cancels_hears_no_more(base: &Base<'_>) {
    let upstream = upstream(Eras::Legacy);
    let (app, [key]) = ready(base, &upstream, "", ["w-1"]).await;
    let cancel = |id: u64| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    for revision in REVISIONS {
        let session = Session::open(&app, &key, revision).await;
        let mut ear = session.call(9, "fake__ask", json!({})).await;
        let asked = question(&mut ear, revision).await;
        let (status, body) = session.post(&call(9, "fake__echo", json!({}))).await.map(drop).unwrap_err();
        let refused: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &refused["error"]["code"], &refused["id"]), (400, &json!(-32600), &json!(9)), "the id is taken");
        session.tell(&cancel(9)).await;
        assert!(ear.next().await.is_none(), "no answer follows");
        assert_eq!(session.resume(&asked.id).await.err(), Some((204, String::new())));
        let mut reused = session.call(9, "fake__echo", json!({"payload": "forty-two"})).await;
        is_answer(reused.rest().await.last().unwrap(), 9);
    }
    // Not even a stream had been opened.
    let session = Session::open(&app, &key, "2025-06-18").await;
    upstream.set(|behaviour| behaviour.progress = 0);
    let silent = call(10, "fake__sleep", json!({"ms": 20_000}));
    let (ended, ()) = tokio::join!(session.post(&silent), async {
        while upstream.calls("sleep").is_empty() {
            tokio::task::yield_now().await;
        }
        session.tell(&cancel(10)).await;
    });
    assert!(ended.unwrap().next().await.is_none());
}

/// The ids of a call's events, the last of them its answer, read to the end.
async fn spoken(session: &Session<'_>, tool: &str, arguments: Value) -> Vec<String> {
    let events = session.call(1, tool, arguments).await.rest().await;
    assert!(events.last().unwrap().message()["result"].is_object());
    events.into_iter().map(|event| event.id).collect()
}

async fn is_kept(session: &Session<'_>, last: &str) -> bool {
    match session.resume(last).await {
        Ok(mut ear) => !ear.rest().await.is_empty(),
        Err((status, body)) => {
            assert_eq!(status, 400, "{body}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_of_what_is_kept_holds() {
    let base = Base::sqlite("every_limit_of_what_is_kept_holds");
    let upstream = upstream(Eras::Legacy);
    let big = || json!({"bytes": 20_000});

    let (app, [key]) = ready(&base, &upstream, "resume_events_max: 3", ["w-1"]).await;
    let session = Session::open(&app, &key, NEWEST).await;
    let ids = spoken(&session, "fake__echo", json!({})).await;
    assert_eq!(ids.len(), 8, "a beginning, six steps, the answer: {ids:?}");
    let kept = async |at: usize| is_kept(&session, &ids[at]).await;
    assert_eq!((kept(0).await, kept(3).await, kept(4).await, kept(6).await), (false, false, true, true));

    let (app, [key]) = ready(&base, &upstream, "resume_stream_bytes_max: 4096", ["w-1"]).await;
    let session = Session::open(&app, &key, NEWEST).await;
    let ids = spoken(&session, "fake__big", big()).await;
    assert!(!is_kept(&session, &ids[6]).await, "the answer is too large to be kept, and was given whole");
    let ids = spoken(&session, "fake__echo", json!({})).await;
    assert!(is_kept(&session, &ids[0]).await);

    for limit in ["resume_streams_per_session_max: 2", "resume_streams_per_principal_max: 2", "resume_principal_bytes_max: 50000"] {
        let (app, [key]) = ready(&base, &upstream, limit, ["w-1"]).await;
        let session = Session::open(&app, &key, NEWEST).await;
        let (one, two) = (spoken(&session, "fake__big", big()).await, spoken(&session, "fake__big", big()).await);
        assert!(is_kept(&session, &one[6]).await && is_kept(&session, &two[6]).await, "{limit}");
        let other = Session::open(&app, &key, NEWEST).await;
        let three = spoken(&other, "fake__big", big()).await;
        assert_eq!(is_kept(&session, &one[6]).await, limit.contains("session"), "{limit}: the oldest goes, whatever session it is of");
        let four = spoken(&session, "fake__big", big()).await;
        assert!(!is_kept(&session, &one[6]).await && is_kept(&session, &four[6]).await && is_kept(&other, &three[6]).await, "{limit}");
    }

    let (app, [key, other_key]) = ready(&base, &upstream, "resume_bytes_max: 30000", ["w-1", "w-2"]).await;
    let (session, other) = (Session::open(&app, &key, NEWEST).await, Session::open(&app, &other_key, NEWEST).await);
    let (one, two) = (spoken(&session, "fake__big", big()).await, spoken(&other, "fake__big", big()).await);
    assert!(is_kept(&session, &one[6]).await && !is_kept(&other, &two[6]).await, "an agent cannot push out what is another's");

    let (app, [key]) = ready(&base, &upstream, "resume_seconds: 1", ["w-1"]).await;
    let session = Session::open(&app, &key, NEWEST).await;
    let ids = spoken(&session, "fake__echo", json!({})).await;
    let began = Instant::now();
    assert!(is_kept(&session, &ids[0]).await);
    while is_kept(&session, &ids[0]).await {
        assert!(began.elapsed() < WAIT_MAX, "it is kept for ever");
    }

    let (app, [key]) = ready(&base, &upstream, "resume_streams_per_session_max: 1", ["w-1"]).await;
    let session = Session::open(&app, &key, NEWEST).await;
    let mut running = session.call(1, "fake__ask", json!({})).await;
    let asked = question(&mut running, NEWEST).await;
    let plain = session.call(2, "fake__echo", json!({})).await.rest().await;
    assert!(
        plain.len() == 7 && plain.iter().all(|event| event.id.is_empty() && !event.data.is_empty()),
        "without a place no ids: {plain:?}"
    );
    session.fill_in(&asked.message()).await;
    is_answer(&running.one().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_takes_is_asked() {
    let (app, [key]) = started(crate::scene::setup(""), [("r-1", "reader")]);
    let session = Session::open(&app, &key, NEWEST).await;
    let status = async |accept: &str| session.get(&[("accept", accept)]).await.map(drop).err().map(|(status, _)| status);
    assert_eq!(status("application/json").await, Some(406));
    for accept in ["text/event-stream", "*/*", "text/event-stream, application/json"] {
        assert_eq!(status(accept).await, None, "{accept}");
    }
    for era in Era::ALL {
        let agent = client(&app, &key, era);
        agent.open().await.unwrap();
        assert!(agent.clone().header("accept", "*/*").tool_names().await.is_ok(), "{era:?}");
        assert!(agent.clone().header("accept", "text/html").tool_names().await.is_err(), "{era:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_says_that_it_does_not_have_the_stream_on_postgres() {
    let Some(base) = Base::postgres("another_replica_does_not_have_the_stream") else { return };
    let upstream = upstream(Eras::Legacy);
    let (first, [key]) = ready(&base, &upstream, "", ["w-1"]).await;
    let second = base.setup_before(&upstream).file("root.key", &first.place().read("root.key")).start();
    wait_for_tool(&client(&second, &key, Era::Modern), "fake__ask").await;
    let session = Session::open(&first, &key, NEWEST).await;
    let mut ear = session.call(7, "fake__ask", json!({})).await;
    let asked = question(&mut ear, NEWEST).await;
    let there = session.at(&second);
    assert_eq!(there.refusal(&asked.id).await, 400, "not 404: the session is known there");
    session.fill_in(&asked.message()).await;
    is_answer(&ear.one().await, 7);
    // What belongs to no call is heard there too.
    let begun = session.get(&[]).await.unwrap().one().await;
    let mut anew = there.resume(&begun.id).await.unwrap();
    assert!(anew.one().await.id.ends_with("-0"));
    assert_eq!(anew.one().await.message()["method"], "notifications/tools/list_changed");
}
