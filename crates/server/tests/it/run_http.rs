//! `bailiwick run --transport http`: one agent on a port of this machine, behind one token.

use std::process::Stdio;

use bailiwick_testkit::app::{free_port, http_status, poll};
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::scene::{READER, code, talk, text};

const TOKEN: &str = "a-token-of-some-length-4711";

fn place() -> Place {
    let place = Place::new();
    place.file("reader.yml", READER.replace("{dir}", &place.path().to_string_lossy()));
    place.file("files/agents/r-1/note.txt", "hello");
    place
}

fn command(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["run", "--manifest", "reader.yml"]).args(args).env_clear().env("HOME", place.path());
    command.env("AGENT_ID", "r-1").env("AGENT_TYPE", "reader").env("SCOPED_MCP_BEARER_TOKEN", TOKEN).current_dir(place.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Started and listening.
fn started(command: &mut Command, port: u16) -> Child {
    let child = command.spawn().unwrap();
    let up = poll(std::time::Duration::from_secs(30), || http_status(port, "/livez").filter(|status| *status == 200));
    assert_eq!(up, Some(200));
    child
}

async fn ended(mut child: Child) -> (Option<i32>, String) {
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let stderr = child.stderr.take().unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut { stderr }, &mut text).await.unwrap();
    (child.wait().await.unwrap().code(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_served_to_whoever_has_the_token() {
    let (place, port) = (place(), free_port());
    // Whatever the gateway's own configuration says of credentials.
    place.file("bailiwick.yml", "auth: none\n");
    let health = place.join("health.json");
    let mut run = command(&place, &["--transport", "http", "--port", &port.to_string(), "--path", "/agent"]);
    let child = started(run.env("SCOPED_MCP_HEALTH_FILE", &health), port);
    let url = format!("http://127.0.0.1:{port}/agent");
    for era in Era::ALL {
        let client = Client::http(&url, era).bearer(TOKEN);
        client.open().await.unwrap();
        assert_eq!(client.tool_names().await.unwrap(), ["files_list_dir", "files_read_file"]);
        assert_eq!(text(&client.call("files_read_file", json!({"path": "note.txt"})).await.unwrap()), "hello");
        assert_eq!(code(&client.call("files_read_file", json!({"path": "../x"})).await.unwrap()), "path_refused");
    }
    for token in ["", "x", &TOKEN[..TOKEN.len() - 1], &format!("{TOKEN}x"), "another-token-of-length-4711"] {
        let client = if token.is_empty() { Client::http(&url, Era::Modern) } else { Client::http(&url, Era::Modern).bearer(token) };
        let refused = client.raw("POST", &[], "{}").await.unwrap();
        assert_eq!(refused.status, 401, "{token}");
    }
    let foreign = Client::http(&url, Era::Modern).bearer(TOKEN);
    assert_eq!(foreign.raw("POST", &[("origin", "https://example.org")], "{}").await.unwrap().status, 403);
    assert_eq!(http_status(port, "/health"), Some(200));
    let written: Value =
        poll(std::time::Duration::from_secs(10), || serde_json::from_str(&std::fs::read_to_string(&health).ok()?).ok()).unwrap();
    assert_eq!(
        (&written["healthy"], &written["total_count"], &written["modules"]["files"]["status"]),
        (&json!(true), &json!(1), &json!("running"))
    );
    assert!(written["written_at"].is_string());
    let (status, stderr) = ended(child).await;
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(stderr.matches("bearer_auth_401_burst").count(), 1, "{stderr}");
    assert!(!stderr.contains(TOKEN), "the token is told nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_safely_is_refused() {
    let place = place();
    let port = free_port().to_string();
    for (args, token, part) in [
        (&["--transport", "http"][..], TOKEN, "--port"),
        (&["--transport", "http", "--port", &port], " ", "`SCOPED_MCP_BEARER_TOKEN` is not set"),
        (&["--transport", "http", "--port", &port], "ä", "characters that no header can carry"),
        (&["--transport", "http", "--port", &port, "--host", "0.0.0.0"], TOKEN, "`--host` must be an address of this machine"),
        (&["--transport", "http", "--port", &port, "--host", "example.org"], TOKEN, "`--host` must be an address of this machine"),
        (&["--transport", "http", "--port", &port, "--path", "health"], TOKEN, "`--path`: must be a path such as `/mcp`"),
        (&["--transport", "http", "--port", &port, "--path", "/health"], TOKEN, "`--path`: this path serves something else"),
        (&["--port", &port], TOKEN, "`--port` says nothing about stdio"),
    ] {
        let output = command(&place, args).env("SCOPED_MCP_BEARER_TOKEN", token).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", talk(&output));
        assert!(talk(&output).contains(part), "{args:?}: {}", talk(&output));
        assert!(!place.join(".local").exists(), "nothing was opened");
    }
}
