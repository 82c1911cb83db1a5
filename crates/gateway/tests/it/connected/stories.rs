//! The life of a connection at providers with the habits of real ones (governance reference 6.4): connect, call, refresh, step up, revoke,
//! consent again; and what the doctor says of each.

use std::time::Duration;

use bailiwick_gateway::Diagnosis;
use bailiwick_store::RegisteredServer;
use bailiwick_testkit::client::Era;
use bailiwick_testkit::provider::{Habits, Provider};
use serde_json::{Value, json};

use super::bench::{Bench, CALLBACK, Database, PUBLIC, by_hand};

/// One provider, and what is particular about it.
struct Story {
    profile: &'static str,
    habits: Habits,
    /// Paths for registration by hand.
    by_hand: Option<(&'static str, &'static str)>,
    /// Quirks that the doctor has to name.
    quirks: &'static [&'static str],
    /// Whether tokens can be given back.
    revokes: bool,
    /// Whether an authorization request may name scopes, so that more can be asked for.
    steps_up: bool,
}

fn stories() -> Vec<Story> {
    vec![
        Story {
            profile: "github",
            habits: Habits::github(CALLBACK),
            by_hand: Some(("/login/oauth/authorize", "/login/oauth/token")),
            quirks: &["no_registration"],
            revokes: false,
            steps_up: true,
        },
        Story {
            profile: "atlassian",
            habits: Habits::atlassian(),
            by_hand: None,
            quirks: &["scope_rejected", "dcr_only"],
            revokes: true,
            steps_up: false,
        },
        Story { profile: "linear", habits: Habits::linear(), by_hand: None, quirks: &["bearer_spelling"], revokes: true, steps_up: true },
        Story {
            profile: "notion",
            habits: Habits::notion(),
            by_hand: None,
            quirks: &["no_scopes_listed", "one_auth_method", "revocation_at_token_endpoint"],
            revokes: true,
            steps_up: true,
        },
        Story {
            profile: "sentry",
            habits: Habits::sentry(),
            by_hand: None,
            quirks: &["metadata_at_path_only"],
            revokes: true,
            steps_up: true,
        },
        Story {
            profile: "slack",
            habits: Habits::slack(CALLBACK),
            by_hand: Some(("/authorize", "/token")),
            quirks: &["no_registration"],
            revokes: true,
            steps_up: true,
        },
        Story {
            profile: "google",
            habits: Habits::google(CALLBACK),
            by_hand: Some(("/authorize", "/token")),
            quirks: &["no_registration"],
            revokes: true,
            steps_up: true,
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lives_through_all_its_days_at_every_provider() {
    for story in stories() {
        println!("{}", story.profile);
        Box::pin(live(story)).await;
    }
}

async fn live(story: Story) {
    let provider = Provider::start(story.habits);
    let bench = Bench::build(1, Database::Sqlite, story.profile).await;
    publish(&provider, &bench);
    let record = match story.by_hand {
        Some((authorize, token)) => bench.active(&provider, by_hand(&provider, authorize, token)).await,
        None => bench.active(&provider, |_| {}).await,
    };
    bench.connect(&provider, &record).await;

    let client = bench.client_with(0, "notes__echo").await;
    let said = client.call("notes__echo", json!({"text": "one"})).await.unwrap();
    assert_eq!(said["isError"], json!(false), "{said}");

    // The provider ends the token early: the call succeeds all the same.
    provider.expire_access_tokens();
    let refreshes = provider.grants("refresh_token").len();
    let said = client.call("notes__echo", json!({"text": "two"})).await.unwrap();
    assert_eq!(said["isError"], json!(false), "{said}");
    assert_eq!(provider.grants("refresh_token").len(), refreshes + 1);

    // The clock passes its end: it is refreshed before the call.
    bench.pass(Duration::from_secs(7200));
    let said = client.call("notes__echo", json!({"text": "three"})).await.unwrap();
    assert_eq!(said["isError"], json!(false), "{said}");
    assert_eq!(provider.grants("refresh_token").len(), refreshes + 2);

    step_up(&bench, &provider, story.steps_up).await;
    re_consent(&bench, &provider).await;
    give_back(&bench, &provider, &record, story.revokes).await;
    names_quirks(&bench, &record, story.quirks).await;
    bench.close().await;
}

/// Our client metadata document, where the provider looks for it.
fn publish(provider: &Provider, bench: &Bench) {
    let document = bench.gateway().connections().client_metadata().unwrap();
    provider.publish(&format!("{PUBLIC}/oauth/client-metadata.json"), document);
}

/// A tool that needs more than was granted: the person consents to more, and it works.
async fn step_up(bench: &Bench, provider: &Provider, possible: bool) {
    let client = bench.client(0, Era::Modern, json!({"elicitation": {"url": {}}})).await;
    let asked = client.request("tools/call", json!({"name": "notes__write_note", "arguments": {"text": "more"}})).await.unwrap().result;
    let link = asked["inputRequests"]["sign_in"]["params"]["url"].as_str().unwrap_or_else(|| panic!("no link: {asked}")).to_owned();
    bench.follow(provider, &link).await;
    let again = answered(&asked, "notes__write_note");
    let said = client.request("tools/call", again).await.unwrap().result;
    // Where no scope may be named, the provider alone decides, and the agent hears a clear word.
    assert_eq!(said["isError"], json!(!possible), "{said}");
    assert!(possible || said["structuredContent"]["code"] == "upstream_auth", "{said}");
}

/// Everything is revoked on the provider's page: the agent is given a link, and goes on afterwards.
async fn re_consent(bench: &Bench, provider: &Provider) {
    provider.revoke_everything();
    let client = bench.client(0, Era::Modern, json!({"elicitation": {"url": {}}})).await;
    let asked = client.request("tools/call", json!({"name": "notes__echo", "arguments": {"text": "four"}})).await.unwrap().result;
    let link = asked["inputRequests"]["sign_in"]["params"]["url"].as_str().unwrap_or_else(|| panic!("no link: {asked}")).to_owned();
    bench.follow(provider, &link).await;
    let said = client.call("notes__echo", json!({"text": "five"})).await.unwrap();
    assert_eq!(said["isError"], json!(false), "{said}");
}

/// The person disconnects: the provider hears of it.
async fn give_back(bench: &Bench, provider: &Provider, record: &RegisteredServer, revokes: bool) {
    let before = provider.revoked_families();
    let cascade = bench.store.connections().delete(&bench.scope(), record.id, &Bench::ann()).await.unwrap();
    assert_eq!(cascade.connections, 1);
    bench.gateway().connections().give_back_now().await.unwrap();
    assert_eq!(provider.revoked_families() > before, revokes, "whether tokens can be given back");
    assert!(bench.store.connections().open_access(&bench.scope(), record.id, &Bench::ann()).await.unwrap().is_none());
}

async fn names_quirks(bench: &Bench, record: &RegisteredServer, wanted: &[&str]) {
    let found: Diagnosis = bench.gateway().connections().doctor(Some(&bench.scope()), record, false).await.unwrap();
    for id in wanted {
        assert!(found.quirks.iter().any(|quirk| quirk.id == *id && !quirk.line.is_empty()), "{id}: {found:#?}");
    }
    assert_ne!(found.verdict, "fail", "{found:#?}");
}

/// The call again, with the answer that the person went there.
fn answered(asked: &Value, tool: &str) -> Value {
    json!({
        "name": tool, "arguments": {"text": "more"},
        "inputResponses": {"sign_in": {"action": "accept"}},
        "requestState": asked["requestState"],
    })
}
