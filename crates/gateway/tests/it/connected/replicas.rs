//! Two gateways on one database, one token that has ended, sixteen calls at once, and a provider that takes each refresh token once.

use std::time::Duration;

use bailiwick_testkit::client::Client;
use bailiwick_testkit::provider::{Habits, Provider};
use serde_json::{Value, json};

use super::bench::{Bench, Database};

const CALLS: usize = 16;

struct Town {
    provider: Provider,
    bench: Bench,
    clients: Vec<Client>,
}

/// Two replicas, connected, each with a client of Ann's; the token has ended.
async fn town(database: Database, habits: Habits) -> Town {
    let provider = Provider::start(habits);
    let bench = Bench::build(2, database, "todoist").await;
    provider.publish("https://gateway.example.com/oauth/client-metadata.json", bench.gateway().connections().client_metadata().unwrap());
    let record = bench.active(&provider, |_| {}).await;
    bench.connect(&provider, &record).await;
    let clients = vec![bench.client_with(0, "notes__echo").await, bench.client_with(1, "notes__echo").await];
    // Each has called before, so that both hold the token that ends now.
    for client in &clients {
        good(&client.call("notes__echo", json!({"text": "before"})).await.unwrap());
    }
    provider.expire_access_tokens();
    bench.pass(Duration::from_secs(7200));
    Town { provider, bench, clients }
}

fn good(said: &Value) {
    assert_eq!(said["isError"], json!(false), "{said}");
}

async fn sixteen(town: &Town) -> Vec<Value> {
    let calls = (0..CALLS).map(|number| {
        let client = town.clients[number % 2].clone();
        tokio::spawn(async move { client.call("notes__echo", json!({"text": number.to_string()})).await.unwrap() })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.push(call.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_calls_on_two_replicas_make_one_refresh() {
    for database in Database::each() {
        let town = town(database, Habits::default()).await;
        for said in sixteen(&town).await {
            good(&said);
        }
        assert_eq!(town.provider.grants("refresh_token").len(), 1);
        assert_eq!(town.provider.revoked_families(), 0, "a retired refresh token was used again");
        town.bench.close().await;
    }
}

/// The provider carried the refresh out, and its answer was lost. Where the old token may come again once, nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_reply_is_made_good_where_the_provider_allows_it() {
    for database in Database::each() {
        let town = town(database, Habits { reuse_grace: 1, ..Habits::default() }).await;
        town.provider.lose_refresh_replies(1);
        for said in sixteen(&town).await {
            good(&said);
        }
        assert_eq!(town.provider.grants("refresh_token").len(), 2, "one, and one retry");
        town.bench.close().await;
    }
}

/// Where it may not, the person is asked once more, and nothing is tried for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_reply_asks_for_consent_where_it_cannot_be_made_good() {
    for database in Database::each() {
        let town = town(database, Habits::default()).await;
        town.provider.lose_refresh_replies(1);
        for said in sixteen(&town).await {
            assert_eq!(said["structuredContent"]["code"], "needs_authorization", "{said}");
        }
        assert_eq!(town.provider.grants("refresh_token").len(), 2, "one, and one retry");
        let link = sixteen(&town).await[0]["structuredContent"]["details"]["url"].as_str().unwrap().to_owned();
        assert_eq!(town.provider.grants("refresh_token").len(), 2, "a dead token is not tried again");
        town.bench.follow(&town.provider, &link).await;
        for said in sixteen(&town).await {
            good(&said);
        }
        town.bench.close().await;
    }
}

/// A provider that is down is left in peace, and the connection lives on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_replies_lost_end_the_connection() {
    for database in Database::each() {
        let town = town(database, Habits { reuse_grace: 5, ..Habits::default() }).await;
        town.provider.lose_refresh_replies(10);
        for said in sixteen(&town).await {
            assert_eq!(said["structuredContent"]["code"], "needs_authorization", "{said}");
        }
        assert_eq!(town.provider.grants("refresh_token").len(), 2, "one, and one retry");
        town.bench.close().await;
    }
}
