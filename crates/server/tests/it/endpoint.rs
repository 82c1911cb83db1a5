//! The MCP endpoint of the running program: both eras, and what a careless or hostile client may send.

use bailiwick_testkit::app::http_status;
use bailiwick_testkit::client::{Client, Era, Fault};
use serde_json::{Value, json};

use crate::scene::{client, code, port, setup, started, text};

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_lists_calls_and_is_refused_alike() {
    let (app, [key]) = started(setup(""), [("r-1", "reader")]);
    app.place().file("files/agents/r-1/note.txt", "hello");
    app.place().file("files/agents/w-1/other.txt", "not yours");
    for era in Era::ALL {
        let client = client(&app, &key, era);
        client.open().await.unwrap();
        assert_eq!(client.tool_names().await.unwrap(), ["files_list_dir", "files_read_file"], "{era:?}");
        assert_eq!(text(&client.call("files_read_file", json!({"path": "note.txt"})).await.unwrap()), "hello");
        let escape = client.call("files_read_file", json!({"path": "../w-1/other.txt"})).await.unwrap();
        assert_eq!(code(&escape), "path_refused", "{era:?} {escape}");
        assert!(!escape.to_string().contains("not yours"));
        let write = client.call("files_write_file", json!({"path": "a", "content": "b"})).await.unwrap_err();
        let unknown = client.call("files_never_heard", json!({})).await.unwrap_err();
        assert_eq!((write.code(), unknown.code()), (Some(-32602), Some(-32602)));
        let (Fault::Rpc { message: hidden, .. }, Fault::Rpc { message: absent, .. }) = (write, unknown) else { panic!("errors") };
        assert_eq!(hidden.replace("files_write_file", ""), absent.replace("files_never_heard", ""));
        client.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_key_nothing_is_said_but_401() {
    let (app, [key]) = started(setup(""), [("r-1", "reader")]);
    let stranger = Client::http(&app.mcp_url(), Era::Modern);
    let wrong = key.replace(&key[20..24], "AAAA");
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("GET", &[]),
        ("DELETE", &[]),
        ("POST", &[]),
        ("POST", &[("authorization", "Bearer nonsense")]),
        ("POST", &[("authorization", "Basic bm86bm8=")]),
    ];
    for (method, headers) in cases {
        let reply = stranger.raw(method, headers, "{}").await.unwrap();
        assert_eq!(reply.status, 401, "{method} {headers:?}");
        // `auth: key` publishes no sign-in: a pointer to one makes clients drop their key.
        assert!(reply.header("www-authenticate").starts_with("Bearer"), "{method}");
        assert!(!reply.header("www-authenticate").contains("resource_metadata"));
    }
    let almost = stranger.raw("POST", &[("authorization", &format!("Bearer {wrong}"))], "{}").await.unwrap();
    assert_eq!(almost.status, 401);
    let other_page = stranger.raw("POST", &[("authorization", &format!("Bearer {key}"))], "{}").await.unwrap();
    assert_ne!(other_page.status, 401, "the key itself is good");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_an_answer_and_the_next_request_is_served() {
    let (app, [key]) = started(setup(""), [("r-1", "reader")]);
    let client = client(&app, &key, Era::LEGACY);
    client.open().await.unwrap();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let twice = r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#;
    let bodies: [(&str, &[u8]); 8] = [
        ("empty", b""),
        ("no json", b"{"),
        ("not utf-8", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}"),
        ("batch", b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]"),
        ("duplicate member", twice.as_bytes()),
        ("deep", deep.as_bytes()),
        ("wrong version", b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}"),
        ("id too large", b"{\"jsonrpc\":\"2.0\",\"id\":18446744073709551616,\"method\":\"ping\"}"),
    ];
    let json_type = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    for (what, body) in bodies {
        let reply = client.raw("POST", &json_type, body.to_vec()).await.unwrap();
        assert_eq!(reply.status, 400, "{what}: {}", reply.text());
        let error: Value = reply.json();
        assert!(matches!(error["error"]["code"].as_i64(), Some(-32700 | -32600)), "{what}: {error}");
    }
    let large = vec![b' '; (4 << 20) + 1];
    for round in 0..20 {
        // The answer comes early and yet reaches a sender that only looks for it when the whole body is out.
        let reply = client.raw("POST", &json_type, large.clone()).await.unwrap_or_else(|fault| panic!("round {round}: {fault}"));
        assert_eq!(reply.status, 413);
    }
    assert_eq!(client.raw("POST", &[("content-type", "text/plain")], "{}").await.unwrap().status, 415);
    let packed = [json_type[0], json_type[1], ("content-encoding", "gzip")];
    assert_eq!(client.raw("POST", &packed, "{}").await.unwrap().status, 415);
    assert_eq!(client.raw("PUT", &[], "{}").await.unwrap().status, 405);
    assert_eq!(client.tool_names().await.unwrap().len(), 2, "still served");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_host_and_origin_are_refused_with_a_good_key() {
    let (app, [key]) = started(setup(""), [("r-1", "reader")]);
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let fault = client(&app, &key, Era::Modern).header(name, value).open().await.unwrap_err();
        let status = match fault {
            Fault::Rpc { status, .. } => status.unwrap_or_default(),
            Fault::Status(status, _) => status,
            other => panic!("{name}: {other}"),
        };
        assert!((400..500).contains(&status), "{name}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_see_parts_and_numbers_and_no_names() {
    let app = setup("servers:\n  secret_project:\n    url: https://192.0.2.1/mcp\n").start();
    let probe = Client::http(&app.base_url(), Era::Modern);
    // The server's address is never dialled, so it fails: that degrades the service and does not make it unready.
    while http_status(port(&app), "/health") != Some(503) {
        tokio::task::yield_now().await;
    }
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/readyz?verbose", 200), ("/health", 503)] {
        let page = Client::http(&format!("{}{path}", app.base_url()), Era::Modern);
        let reply = page.raw("GET", &[], "").await.unwrap();
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert!(!reply.text().contains("secret_project"), "{path}: {}", reply.text());
    }
    let verbose = Client::http(&format!("{}/readyz?verbose", app.base_url()), Era::Modern).raw("GET", &[], "").await.unwrap();
    let names: Vec<String> =
        verbose.json()["parts"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["database", "ledger", "keys"]);
    assert_eq!(probe.raw("GET", &[], "").await.unwrap().status, 404);
}
