//! `bailiwick run`: one agent over stdio, in every era, under the same rules.

use std::process::Stdio;

use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use bailiwick_testkit::upstream::{Behaviour, StdioUpstream};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::scene::{READER, code, text};

/// `bailiwick ARGS` with nothing in its environment but what it needs, and places of its own.
fn program(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(args).env_clear().env("HOME", place.path()).env("AGENT_ID", "r-1").env("AGENT_TYPE", "reader").current_dir(place.path());
    command
}

fn place() -> Place {
    let place = Place::new();
    place.file("reader.yml", READER.replace("{dir}", &place.path().to_string_lossy()));
    place.file("files/agents/r-1/note.txt", "hello");
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_works_over_a_pipe_and_ends_with_it() {
    for (era, args) in Era::ALL.into_iter().zip([
        &["run", "--manifest", "reader.yml"][..],
        &["--manifest", "reader.yml"],
        &["--manifest=reader.yml"],
        &["run", "--manifest=reader.yml"],
    ]) {
        let place = place();
        let client = Client::stdio(program(&place, args), era);
        client.open().await.unwrap();
        assert_eq!(client.tool_names().await.unwrap(), ["files_list_dir", "files_read_file"]);
        assert_eq!(text(&client.call("files_read_file", json!({"path": "note.txt"})).await.unwrap()), "hello");
        let escape = client.call("files_read_file", json!({"path": "../../../reader.yml"})).await.unwrap();
        assert_eq!(code(&escape), "path_refused");
        let status = client.close().await.unwrap().unwrap();
        assert!(status.success(), "{era:?}: {status} {}", client.stderr());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_on_the_pipe_is_answered_and_the_next_line_is_served() {
    let place = place();
    let mut child = program(&place, &["run", "--manifest", "reader.yml"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = [
        "{",
        "[]",
        "null",
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        "",
        "\u{1}",
        r#"{"jsonrpc":"2.0","id":"last","method":"ping"}"#,
    ];
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.join("\n").as_bytes()).await.unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer["id"] == "last");
    assert_eq!(good, [&json!({"jsonrpc": "2.0", "id": "last", "result": {}})]);
    assert_eq!(bad.len(), 5, "{bad:?}");
    assert!(bad.iter().all(|answer| matches!(answer["error"]["code"].as_i64(), Some(-32700 | -32600))), "{bad:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_hears_no_more_and_an_id_in_use_is_refused() {
    let place = place();
    let slow = StdioUpstream::new(Behaviour::default(), &place.join("arrivals"));
    let args: Vec<String> = slow.args().into_iter().map(|arg| arg.into_string().unwrap()).collect();
    let module = json!({"type": "mcp_proxy", "config": {"command": slow.program(), "args": args}});
    place.file("slow.yml", json!({"agent_type": "reader", "modules": {"slow": module}}).to_string());
    let mut child = program(&place, &["run", "--manifest", "slow.yml"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let say = |id: Option<u8>, method: &str, params: Value| {
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        id.into_iter().for_each(|id| message["id"] = json!(id));
        format!("{message}\n")
    };
    let opening = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    input.write_all((say(Some(0), "initialize", opening) + &say(Some(1), "tools/list", json!({}))).as_bytes()).await.unwrap();
    let mut answer = async |id: u8| loop {
        let message: Value = serde_json::from_str(&output.next_line().await.unwrap().unwrap()).unwrap();
        if message["id"] == id {
            break message;
        }
    };
    let listed = answer(1).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    let tool = tools.iter().find_map(|tool| tool["name"].as_str().filter(|name| name.ends_with("sleep"))).unwrap();
    let call = say(Some(2), "tools/call", json!({"name": tool, "arguments": {"ms": 20_000}}));
    input.write_all(call.as_bytes()).await.unwrap();
    slow.wait_for("sleep", 1);
    input.write_all(call.as_bytes()).await.unwrap();
    assert_eq!(answer(2).await["error"]["code"], -32600, "the id is taken");
    let cancelled = say(None, "notifications/cancelled", json!({"requestId": 2}));
    input.write_all((cancelled + &say(Some(3), "ping", json!({}))).as_bytes()).await.unwrap();
    answer(3).await;
    drop(input);
    while let Some(line) = output.next_line().await.unwrap() {
        assert_ne!(serde_json::from_str::<Value>(&line).unwrap()["id"], 2, "{line}");
    }
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_streams_of_scoped_mcp_are_written() {
    let place = place();
    let args = ["run", "--manifest", "reader.yml", "--audit-log", "logs/audit.jsonl", "--ops-log", "logs/ops.jsonl"];
    let client = Client::stdio(program(&place, &args), Era::LEGACY);
    client.open().await.unwrap();
    client.call("files_read_file", json!({"path": "note.txt"})).await.unwrap();
    client.call("files_read_file", json!({"path": "../x"})).await.unwrap();
    assert!(client.close().await.unwrap().unwrap().success());
    let lines = |name: &str| place.read(name).lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
    let events = |name: &str| lines(name).iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let calls = lines("logs/audit.jsonl");
    assert_eq!(events("logs/audit.jsonl"), ["tool_call", "scope_violation"]);
    assert_eq!((&calls[0]["agent_id"], &calls[0]["tool"], &calls[0]["status"]), (&json!("r-1"), &json!("files_read_file"), &json!("ok")));
    assert_eq!((&calls[1]["status"], &calls[1]["level"], &calls[1]["logger"]), (&json!("blocked"), &json!("warning"), &json!("audit")));
    let ops = events("logs/ops.jsonl");
    for (earlier, later) in [
        ("startup", "identity_resolved"),
        ("identity_resolved", "manifest_loaded"),
        ("manifest_loaded", "server_ready"),
        ("server_ready", "stopped"),
    ] {
        let at = |name: &str| ops.iter().position(|event| event == name).unwrap_or_else(|| panic!("{name} in {ops:?}"));
        assert!(at(earlier) < at(later), "{ops:?}");
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |name: &str| place.join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("logs"), mode("logs/audit.jsonl"), mode("logs/ops.jsonl")), (0o700, 0o600, 0o600));
}

/// Starts and expects the program to refuse; gives exit code and what it says.
async fn refusal(place: &Place, args: &[&str], more: &[(&str, &str)], without: &[&str]) -> (Option<i32>, String) {
    let mut command = program(place, args);
    command.envs(more.iter().copied()).stdin(Stdio::null());
    for name in without {
        command.env_remove(name);
    }
    let output = command.output().await.unwrap();
    assert!(output.stdout.is_empty(), "stdout is for JSON-RPC only");
    (output.status.code(), crate::scene::talk(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_the_agent_is_must_be_clear() {
    let place = place();
    let run = &["run", "--manifest", "reader.yml"];
    assert_eq!(
        refusal(&place, run, &[], &["AGENT_ID", "AGENT_TYPE"]).await,
        (
            Some(2),
            "error: Required environment variable(s) not set: AGENT_ID, AGENT_TYPE\n\
             hint: set them where the MCP client starts `bailiwick run`, for example `AGENT_ID=research-01 AGENT_TYPE=research`\n"
                .into()
        )
    );
    let rule = "lower-case letters, digits and `-`, beginning with a letter or digit, at most 63 characters";
    assert_eq!(
        refusal(&place, run, &[("AGENT_ID", "../x")], &[]).await,
        (Some(2), format!("error: `AGENT_ID` is not a valid agent id: {rule}\n"))
    );
    let mismatch = refusal(&place, run, &[("AGENT_TYPE", "writer")], &[]).await;
    assert_eq!(
        mismatch,
        (
            Some(2),
            "error: the manifest does not fit `AGENT_TYPE`\n\
             error: the manifest is for agents of type `reader`, not `writer`\n  --> reader.yml:1:13  agent_type\n\
             hint: start the agent with the manifest of its type, or correct AGENT_TYPE\n\
             hint: `--allow-type-mismatch` serves the manifest all the same\n"
                .into()
        )
    );
    let allowed = Client::stdio(
        {
            let mut command = program(&place, &["run", "--manifest", "reader.yml", "--allow-type-mismatch"]);
            command.env("AGENT_TYPE", " writer\n");
            command
        },
        Era::Modern,
    );
    assert_eq!(allowed.tool_names().await.unwrap().len(), 2);
    assert!(allowed.close().await.unwrap().unwrap().success());
    assert!(allowed.stderr().contains("agent_type_mismatch"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_manifest_is_told_in_one_pass_and_nothing_starts() {
    let place = place();
    place.file("bad.yml", "agent_type: reader\nmodules:\n  files:\n    type: filesystem\n    moed: read\n    config: {base_pth: /x}\n");
    let (status, talk) = refusal(&place, &["run", "--manifest", "bad.yml"], &[], &[]).await;
    assert_eq!(status, Some(2));
    for part in [
        "error: the manifest `bad.yml` is not valid\n",
        "--> bad.yml:5:5  modules.files.moed",
        "hint: did you mean `mode`?",
        "base_pth",
        "missing key `base_path`",
    ] {
        assert!(talk.contains(part), "{part} in {talk}");
    }
    assert!(!place.join(".local").exists(), "nothing was opened");
    let (status, talk) = refusal(&place, &["run", "--manifest", "none.yml"], &[], &[]).await;
    assert_eq!((status, talk.as_str()), (Some(6), "error: cannot read the manifest `none.yml`: No such file or directory (os error 2)\n"));
}

/// A URI may hold what a rule keeps from passing on: it stands neither as the tool nor anywhere else.
#[tokio::test(flavor = "multi_thread")]
async fn the_call_log_names_the_server_of_a_resource() {
    let place = place();
    let upstream = StdioUpstream::new(Behaviour::rich(), &place.join("arrivals"));
    let args: Vec<String> = upstream.args().into_iter().map(|arg| arg.into_string().unwrap()).collect();
    let module = json!({"type": "mcp_proxy", "config": {"command": upstream.program(), "args": args}});
    let filters = json!([{"name": "no-canaries", "pattern": "canary-[0-9]+"}]);
    place.file("notes.yml", json!({"agent_type": "reader", "modules": {"notes": module}, "argument_filters": filters}).to_string());
    let client = Client::stdio(program(&place, &["run", "--manifest", "notes.yml", "--audit-log", "audit.jsonl"]), Era::LEGACY);
    client.open().await.unwrap();
    client.request("resources/read", json!({"uri": "note://one"})).await.unwrap();
    client.request("resources/read", json!({"uri": "note://canary-5"})).await.unwrap_err();
    assert!(client.close().await.unwrap().unwrap().success());
    let text = place.read("audit.jsonl");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown = |line: &Value| json!([line["event"], line["tool"], line["method"], line["args"]]);
    let wanted = [
        json!(["tool_call", "notes", "resources/read", {"uri": "note://one"}]),
        json!(["argument_filter_blocked", "notes", "resources/read", null]),
    ];
    assert_eq!(lines.iter().map(shown).collect::<Vec<_>>(), wanted);
    assert!(!text.contains("canary"), "{text}");
}

/// Over a pipe a caller can match a refusal to its request by the id only.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_read_is_answered_by_its_id() {
    let place = place();
    let mut child = program(&place, &["run", "--manifest", "reader.yml"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let call = |id: u8, path: &str| {
        format!(
            r#"{{"method":"tools/call","params":{{"name":"files_read_file","arguments":{{"path":"{path}"}}}},"jsonrpc":"2.0","id":{id}}}"#
        )
    };
    let mut lines: Vec<Vec<u8>> = ["x".repeat(20 << 20), "y".repeat(5 << 20), r"\ud800".to_owned(), "?".to_owned(), r"\q".to_owned()]
        .iter()
        .zip(1..)
        .map(|(path, id)| call(id, path).into_bytes())
        .collect();
    let mark = lines[3].iter().position(|byte| *byte == b'?').unwrap();
    lines[3][mark] = 0xff;
    lines.push(br#"{"jsonrpc":"2.0","id":6,"method":"ping"}"#.to_vec());
    let mut input = child.stdin.take().unwrap();
    tokio::spawn(async move { input.write_all(&lines.join(&b'\n')).await.unwrap() });
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut answers: Vec<(i64, i64)> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|answer| (answer["id"].as_i64().unwrap(), answer["error"]["code"].as_i64().unwrap_or_default()))
        .collect();
    answers.sort_unstable();
    assert_eq!(answers, [(1, -32600), (2, -32600), (3, -32700), (4, -32700), (5, -32700), (6, 0)]);
}
