//! Servers that change their mind about what they speak.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bailiwick_mcp::client::FaultKind;
use serde_json::{Value, json};

use crate::client_fake::{Answer, Fake, call, discovery, initialized, options, text};

#[tokio::test]
async fn a_header_mismatch_is_the_callers_to_see() {
    let fake = Fake::modern(|seen| seen.error(400, -32020, Value::Null)).await;
    let fault = call(&fake.upstream(options()), "x", "{}").await.unwrap_err();
    assert!(matches!(&fault.kind, FaultKind::Rpc(error) if error.code == -32020), "{fault:?}");
    assert_eq!(fake.methods(), ["server/discover", "tools/call"], "the same request would be refused again");
}

#[tokio::test]
async fn a_server_that_was_set_back_is_spoken_to_in_the_newest_common_revision() {
    for status in [400, 200] {
        let old = Arc::new(AtomicBool::new(false));
        let now = Arc::clone(&old);
        let refuse = json!({"supported": ["2025-06-18", "2025-03-26"], "requested": "2026-07-28"});
        let fake = Fake::start(move |seen| match (seen.rpc().as_str(), now.load(Ordering::SeqCst)) {
            ("server/discover", false) => seen.result(discovery()),
            ("initialize", true) => seen.result(initialized("2025-06-18")),
            ("notifications/initialized", true) => Answer::empty(202),
            ("tools/call", true) if seen.header("mcp-protocol-version") == Some("2025-06-18") => seen.result(json!({"old": true})),
            ("tools/call", false) => seen.result(json!({"old": false})),
            _ => seen.error(status, -32022, refuse.clone()),
        })
        .await;
        let upstream = fake.upstream(options());
        assert_eq!(text(&call(&upstream, "x", "{}").await.unwrap()), json!({"old": false}));
        old.store(true, Ordering::SeqCst);
        assert_eq!(text(&call(&upstream, "x", "{}").await.unwrap()), json!({"old": true}));
        let methods = fake.methods();
        assert_eq!(
            methods[2..],
            ["tools/call", "server/discover", "initialize", "notifications/initialized", "tools/call"],
            "status {status}"
        );
        assert_eq!(fake.seen()[4].json()["params"]["protocolVersion"], "2025-06-18", "the newest that both speak");
    }
}
