//! `credentials.source: vault` through the program: what reaches the vault and the service, and what stops the start.

use bailiwick_testkit::app::http_status;
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::recorder::{Asked, Recorder};
use crate::scene::{client, port, setup, started, talk};

const ROLE_ID: &str = "role-7d3a";
const SECRET_ID: &str = "canary-secret-id-1";
const VAULT_TOKEN: &str = "canary-vault-token-2";
const SERVICE_TOKEN: &str = "canary-service-token-3";

const MEASUREMENTS: &str = "#datatype,string,long,string\r\n#default,_result,,\r\n,result,table,_value\r\n,,0,cpu\r\n";

fn manifest(vault: &str, modules: &str) -> String {
    let source = "{source: vault, vault: {addr: '{addr}', path: 'scoped-mcp/{agent_type}'}}".replace("{addr}", vault);
    format!("agent_type: build\ncredentials: {source}\nmodules:\n{modules}")
}

const ONE_MODULE: &str = "  metrics: {type: influxdb, mode: read, config: {org: acme, buckets: [telemetry]}}\n";

fn granted(seconds: u64) -> (u16, Value) {
    (200, json!({ "auth": { "client_token": VAULT_TOKEN, "lease_duration": seconds, "renewable": true } }))
}

fn secret(service: &str) -> (u16, Value) {
    let entries = json!({ "INFLUXDB_URL": service, "INFLUXDB_TOKEN": SERVICE_TOKEN, "OTHER": "canary-unused-4" });
    (200, json!({ "data": { "data": entries, "metadata": { "version": 3 } } }))
}

/// A vault with leases of a second, for the service at this address; `renewal` answers renewals.
async fn vault_for(service: &str, renewal: (u16, Value)) -> Recorder {
    let service = service.to_owned();
    Recorder::start(move |asked| match asked.line.as_str() {
        "POST /v1/auth/approle/login" => granted(1),
        "POST /v1/auth/token/renew-self" => renewal.clone(),
        "GET /v1/secret/data/scoped-mcp/build" => secret(&service),
        _ => (404, json!({ "errors": [] })),
    })
    .await
}

fn program(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["run", "--manifest", "build.yml"]).env_clear().env("HOME", place.path()).current_dir(place.path());
    command.env("AGENT_ID", "b-1").env("AGENT_TYPE", "build").env("VAULT_ROLE_ID", ROLE_ID).env("VAULT_SECRET_ID", SECRET_ID);
    command
}

fn has_canary(text: &str) -> bool {
    text.contains("canary") || text.contains(ROLE_ID)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_vault_holds_reaches_the_service_and_the_token_is_kept_alive() {
    let service = Recorder::start(|_| (200, json!(MEASUREMENTS))).await;
    let vault = vault_for(&service.url, granted(3600)).await;
    let place = Place::new();
    place.file("build.yml", manifest(&vault.url, ONE_MODULE));
    let mut command = program(&place);
    command.env("VAULT_NAMESPACE", "team-a");
    let client = Client::stdio(command, Era::LEGACY);
    client.open().await.unwrap();
    let result = client.call("metrics_list_measurements", json!({ "bucket": "telemetry" })).await.unwrap();
    assert_eq!(result["structuredContent"], json!({ "result": ["cpu"] }));
    assert_eq!(service.asked()[0].header("authorization"), Some(format!("Token {SERVICE_TOKEN}").as_str()));

    let renewal = vault.awaits("POST /v1/auth/token/renew-self").await;
    let headers = |asked: &Asked| asked.headers.clone();
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    let login = json!({ "role_id": ROLE_ID, "secret_id": SECRET_ID }).to_string();
    let asked = vault.asked();
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines, ["POST /v1/auth/approle/login", "GET /v1/secret/data/scoped-mcp/build", "POST /v1/auth/token/renew-self"]);
    let json_headers = |length: usize| {
        vec![
            ("accept-encoding", "identity".to_owned()),
            ("content-length", length.to_string()),
            ("content-type", "application/json".to_owned()),
        ]
    };
    let with = |mut own: Vec<(&str, String)>, more: &[(&'static str, &str)]| {
        own.extend(more.iter().map(|(k, v)| (*k, (*v).to_owned())));
        own.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Vec<_>>()
    };
    let common = [("x-vault-namespace", "team-a"), ("x-vault-request", "true")];
    assert_eq!(headers(&asked[0]), with(json_headers(login.len()), &common));
    assert_eq!(asked[0].body, login);
    let tokened = [common[0], common[1], ("x-vault-token", VAULT_TOKEN)];
    assert_eq!(headers(&asked[1]), pairs(&[&[("accept-encoding", "identity")][..], &tokened].concat()));
    assert_eq!((headers(&renewal), renewal.body.as_str()), (with(json_headers(2), &tokened), "{}"));
    assert!(client.close().await.unwrap().unwrap().success());
    assert!(!has_canary(&client.stderr()), "{}", client.stderr());
}

/// Starts and expects the program to refuse; gives what it says.
async fn refusal(place: &Place) -> String {
    let output = program(place).stdin(std::process::Stdio::null()).output().await.unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    let all = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!has_canary(&all), "{all}");
    talk(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_does_not_give_the_secret_stops_the_start() {
    let echo = json!({ "errors": [format!("{SECRET_ID} {VAULT_TOKEN} {ROLE_ID}")] });
    let deleted = json!({ "data": { "data": null, "metadata": { "deletion_time": "2026-07-28T09:30:00Z" } } });
    for (line, answer, reason) in [
        ("POST /v1/auth/approle/login", (400, echo.clone()), "the login is refused (status 400)"),
        ("POST /v1/auth/approle/login", (503, echo.clone()), "it is sealed or not ready"),
        ("GET /v1/secret/data/scoped-mcp/build", (403, echo.clone()), "reading `scoped-mcp/build` in the engine `secret` is refused"),
        ("GET /v1/secret/data/scoped-mcp/build", (404, echo), "there is no secret `scoped-mcp/build` in the engine `secret`"),
        (
            "GET /v1/secret/data/scoped-mcp/build",
            (404, deleted),
            "the latest version of `scoped-mcp/build` in the engine `secret` is deleted",
        ),
    ] {
        let vault = Recorder::start(move |asked| if asked.line == line { answer.clone() } else { granted(60) }).await;
        let place = Place::new();
        place.file("build.yml", manifest(&vault.url, ONE_MODULE));
        let said = refusal(&place).await;
        assert!(said.contains("vault `127.0.0.1`") && said.contains(reason), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_missing_key_of_every_module_is_named_at_once() {
    let vault = Recorder::start(|asked| match asked.line.as_str() {
        "POST /v1/auth/approle/login" => granted(60),
        _ => (200, json!({ "data": { "data": { "INFLUXDB_URL": "http://127.0.0.1:1", "INFLUXDB_TOKEN": "", "SECOND_URL": [1] } } })),
    })
    .await;
    let second = "  second: {type: influxdb, mode: read, config: {org: acme, buckets: [b], \
                  credential_map: {INFLUXDB_URL: SECOND_URL, INFLUXDB_TOKEN: SECOND_TOKEN}}}\n";
    let place = Place::new();
    place.file("build.yml", manifest(&vault.url, &format!("{ONE_MODULE}{second}")));
    let said = refusal(&place).await;
    assert!(said.contains("missing credentials: INFLUXDB_TOKEN (module `metrics`); SECOND_URL, SECOND_TOKEN (module `second`)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_renewed_degrades_the_gateway_and_does_not_stop_it() {
    let service = Recorder::start(|_| (200, json!(MEASUREMENTS))).await;
    let vault = vault_for(&service.url, (403, json!({ "errors": ["permission denied"] }))).await;
    let setup = setup("").file("manifests/build.yml", &manifest(&vault.url, ONE_MODULE));
    let setup = setup.env("VAULT_ROLE_ID", ROLE_ID).env("VAULT_SECRET_ID", SECRET_ID);
    let (app, [key]) = started(setup, [("b-1", "build")]);
    let client = client(&app, &key, Era::Modern);
    client.open().await.unwrap();
    let arguments = json!({ "bucket": "telemetry" });
    client.call("metrics_list_measurements", arguments.clone()).await.unwrap();
    vault.awaits("POST /v1/auth/token/renew-self").await;
    while http_status(port(&app), "/health") != Some(503) {
        tokio::task::yield_now().await;
    }
    assert_eq!(http_status(port(&app), "/readyz"), Some(200));
    let verbose = Client::http(&format!("{}/readyz?verbose", app.base_url()), Era::Modern).raw("GET", &[], "").await.unwrap();
    let parts = verbose.json()["parts"].clone();
    assert!(parts.as_array().unwrap().contains(&json!({ "name": "vault", "ok": false })), "{parts}");
    let result = client.call("metrics_list_measurements", arguments).await.unwrap();
    assert_eq!(result["structuredContent"], json!({ "result": ["cpu"] }), "what is open works on");
    assert!(app.stderr().contains("the token is not renewed") && !has_canary(&app.stderr()), "{}", app.stderr());
}
