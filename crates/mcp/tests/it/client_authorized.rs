//! The `Authorization` header that changes while a server is in use, and what the server says when it is not enough.

use std::sync::Arc;

use bailiwick_mcp::client::{FaultKind, HttpEndpoint, Upstream};
use http::HeaderValue;
use serde_json::json;

use crate::client_fake::{Answer, Direct, Fake, call, discovery, options};

const CHALLENGE: &str = r#"Bearer error="invalid_token", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource""#;

async fn guarded() -> Fake {
    Fake::start(|seen| match seen.header("authorization") {
        Some("Bearer second") if seen.rpc() == "server/discover" => seen.result(discovery()),
        Some("Bearer second") => seen.result(json!({"content": []})),
        _ => Answer::http(401, &format!("www-authenticate: {CHALLENGE}\r\n"), ""),
    })
    .await
}

#[tokio::test]
async fn a_new_token_counts_from_the_next_request_on() {
    let fake = guarded().await;
    let endpoint: HttpEndpoint = fake.endpoint();
    let upstream = Upstream::http(&endpoint, Arc::new(Direct), options()).unwrap();
    endpoint.authorization.set(Some(HeaderValue::from_static("Bearer first")));
    let fault = call(&upstream, "echo", "{}").await.unwrap_err();
    let FaultKind::Auth(demand) = fault.kind else { panic!("{fault}") };
    assert_eq!((demand.status, demand.challenges), (401, vec![Box::from(CHALLENGE)]));

    endpoint.authorization.set(Some(HeaderValue::from_static("Bearer second")));
    upstream.forgive();
    call(&upstream, "echo", "{}").await.unwrap();
    let sent: Vec<_> = fake.seen().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent.first().cloned().flatten().as_deref(), Some("Bearer first"));
    assert!(sent[1..].iter().all(|one| one.as_deref() == Some("Bearer second")), "{sent:?}");
    assert!(!format!("{:?}", endpoint.authorization).contains("second"), "a Debug form shows no token");
}

#[tokio::test]
async fn huge_challenges_are_not_kept() {
    let fake = Fake::start(|_| {
        let long = "x".repeat(5_000);
        let short: String = (0..20).map(|n| format!("www-authenticate: Bearer realm=\"{n}\"\r\n")).collect();
        Answer::http(403, &format!("www-authenticate: Bearer realm=\"{long}\"\r\n{short}"), "")
    })
    .await;
    let fault = fake.upstream(options()).open().await.unwrap_err();
    let FaultKind::Auth(demand) = fault.kind else { panic!("{fault}") };
    assert_eq!((demand.status, demand.challenges.len()), (403, 8));
    assert!(demand.challenges.iter().all(|one| one.len() < 100), "{demand:?}");
}
