//! Connections of the organisation that need no person: the client has rights of its own, proved by a secret or a key.

use std::time::Duration;

use bailiwick_model::registered::{AuthMethod, NewServer};
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::provider::{Habits, Provider};
use secrecy::ExposeSecret;
use serde_json::json;

use super::bench::{Bench, CALLBACK, Database, by_hand, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_works_with_the_rights_of_the_organisations_client() {
    let provider = Provider::start(Habits::slack(CALLBACK));
    let bench = Bench::build(1, Database::Sqlite, "slack").await;
    let fill = by_hand(&provider, "/authorize", "/token");
    let record = bench
        .active(&provider, |new: &mut NewServer| {
            fill(new);
            new.auth_method = Some(AuthMethod::ClientSecretPost);
        })
        .await;
    bench.gateway().connections().connect_as_client(&bench.scope(), &record).await.unwrap();
    let robot = Client::http(bench.replicas[0].door.url(), Era::Modern).bearer(bench.robot.expose_secret());
    robot.open().await.unwrap();
    wait_for(&robot, "notes__echo").await;
    for round in 0..3 {
        let calls = (0..8).map(|_| {
            let robot = robot.clone();
            tokio::spawn(async move { robot.call("notes__echo", json!({"text": "by myself"})).await.unwrap() })
        });
        for call in calls.collect::<Vec<_>>() {
            let said = call.await.unwrap();
            assert_eq!(said["isError"], json!(false), "{said}");
        }
        assert_eq!(provider.grants("client_credentials").len(), round + 1, "one request a life");
        // There is nothing to refresh it with: it is asked for again, once for all who wait.
        provider.expire_access_tokens();
        bench.pass(Duration::from_secs(7200));
    }
    bench.close().await;
}
