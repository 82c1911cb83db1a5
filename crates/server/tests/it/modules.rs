//! Modules that cannot be opened, that come later, and how the agent hears of it; names and blocks for clients of scoped-mcp.

use bailiwick_testkit::app::http_status;
use bailiwick_testkit::client::{Client, Era};
use bailiwick_testkit::place::Place;
use bailiwick_testkit::upstream::{Act, Behaviour, FakeTool, FakeUpstream};
use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::base::wait_for_tool;
use crate::scene::{client, code, port, setup, started, talk, text};

fn run(place: &Place, manifest: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["run", "--manifest", manifest]).env_clear().env("HOME", place.path());
    command.env("AGENT_ID", "r-1").env("AGENT_TYPE", "reader").current_dir(place.path());
    command
}

fn written(manifest: &str) -> Place {
    let place = Place::new();
    place.file("reader.yml", manifest.replace("{dir}", &place.path().to_string_lossy()));
    // A file where a directory has to be.
    place.file("blocked", "in the way");
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn every_module_that_cannot_be_opened_is_named_at_once() {
    let place = written(
        "agent_type: reader\nmodules:\n  \
         one: {type: filesystem, mode: read, config: {base_path: '{dir}/blocked/a'}}\n  \
         good: {type: filesystem, mode: read, config: {base_path: '{dir}/files'}}\n  \
         two: {type: sqlite, mode: read, config: {db_dir: '{dir}/blocked/b'}}\n",
    );
    let output = run(&place, "reader.yml").stdin(std::process::Stdio::null()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(talk(&output).contains("module `one`: ") && talk(&output).contains("module `two`: "), "{}", talk(&output));
    assert!(!talk(&output).contains("good"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optional_module_is_left_out_and_comes_back_by_itself() {
    let place = written(
        "agent_type: reader\nmodules:\n  \
         late: {type: filesystem, mode: read, optional: true, config: {base_path: '{dir}/blocked/a'}}\n  \
         files: {type: filesystem, mode: read, config: {base_path: '{dir}/files'}}\n\
         compat: {status_tool: true}\n",
    );
    let client = Client::stdio(run(&place, "reader.yml"), Era::Modern);
    assert_eq!(client.tool_names().await.unwrap(), ["files_list_dir", "files_read_file", "scoped_mcp_status"]);
    let status = client.call("scoped_mcp_status", json!({})).await.unwrap()["structuredContent"].clone();
    let expected = json!({
        "modules": {"late": {"status": "failed_init"}, "files": {"status": "running"}},
        "failed_count": 0, "total_count": 2, "healthy": true, "offline_optional_modules": ["late"],
    });
    assert_eq!(status, expected, "an optional module does not count against health");
    std::fs::remove_file(place.join("blocked")).unwrap();
    wait_for_tool(&client, "late_read_file").await;
    let status = client.call("scoped_mcp_status", json!({})).await.unwrap();
    assert_eq!((&status["structuredContent"]["modules"]["late"]["status"]), &json!("running"));
    assert_eq!(code(&client.call("late_read_file", json!({"path": "none.txt"})).await.unwrap()), "not_found");
    assert!(client.close().await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxied_server_that_starts_later_is_waited_for_and_counts_until_then() {
    let later = bailiwick_testkit::app::free_port();
    let manifest = format!(
        "agent_type: proxied\nmodules:\n  web: {{type: mcp_proxy, dependency_wait_interval_seconds: 0.05, config: {{url: 'http://127.0.0.1:{later}/mcp'}}}}\n"
    );
    let (app, [key]) = started(setup("").file("manifests/proxied.yml", &manifest), [("p-1", "proxied")]);
    let agent = client(&app, &key, Era::Modern);
    assert_eq!(http_status(port(&app), "/health"), Some(200), "nobody has called yet");
    assert!(agent.tool_names().await.unwrap().is_empty());
    let degraded = bailiwick_testkit::app::poll(std::time::Duration::from_secs(5), || {
        http_status(port(&app), "/health").filter(|status| *status == 503)
    });
    assert_eq!(degraded, Some(503), "a module that has to work does not");
    let upstream = FakeUpstream::start_on(Behaviour::default(), later);
    wait_for_tool(&agent, "web_echo").await;
    assert_eq!(text(&agent.call("web_echo", json!({"payload": "hi"})).await.unwrap()), "hi");
    let healthy = bailiwick_testkit::app::poll(std::time::Duration::from_secs(5), || {
        http_status(port(&app), "/health").filter(|status| *status == 200)
    });
    assert_eq!(healthy, Some(200));
    drop(upstream);
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_binary_blocks_give_way_and_doubled_names_are_understood() {
    let image = BASE64.encode(&vec![7; 30_000]);
    let content = json!({"content": [
        {"type": "image", "data": image, "mimeType": "image/png"},
        {"type": "resource_link", "uri": "x:full", "name": "full"},
    ]});
    let upstream =
        FakeUpstream::start(Behaviour { tools: vec![FakeTool::new("shot", Act::Result(content)).read_only()], ..Behaviour::default() });
    let proxy = |key: &str, more: &str| format!("  {key}: {{type: mcp_proxy, config: {{url: '{}'{more}}}}}\n", upstream.url());
    let manifest = format!(
        "agent_type: proxied\ncontent_limits: {{max_binary_bytes: 20000}}\ncompat: {{doubled_names: true}}\n\
         hitl: {{shadow: [quiet_*]}}\nmodules:\n{}{}{}{}",
        proxy("small", ""),
        proxy("large", ", max_binary_bytes: 40000"),
        proxy("any", ", max_binary_bytes: 0"),
        proxy("quiet", "")
    );
    let (app, [key]) = started(setup("").file("manifests/proxied.yml", &manifest), [("p-1", "proxied")]);
    let agent = client(&app, &key, Era::Modern);
    for tool in ["small_shot", "large_shot", "any_shot", "quiet_shot"] {
        wait_for_tool(&agent, tool).await;
    }
    let small = agent.call("small_shot", json!({})).await.unwrap();
    assert_eq!(text(&small), "[image of type image/png, 30000 bytes, left out: the limit is 20000 bytes]");
    assert_eq!(small["content"][1]["uri"], "x:full", "what stands beside it arrives");
    for tool in ["large_shot", "any_shot", "large_large_shot"] {
        assert_eq!(agent.call(tool, json!({})).await.unwrap()["content"][0]["data"], image.as_str(), "{tool}");
    }
    let listed = agent.tool_names().await.unwrap();
    assert!(!listed.iter().any(|name| name.starts_with("large_large")), "understood, and not listed: {listed:?}");
    let none = agent.call("large_large_none", json!({})).await.unwrap_err();
    assert_eq!(none.code(), Some(-32602));
    // A shadowed call is recorded, and the server hears nothing.
    let calls = upstream.calls("shot").len();
    let shadowed: Value = agent.call("quiet_shot", json!({})).await.unwrap();
    assert_eq!((&shadowed["structuredContent"]["shadow"], &shadowed["isError"]), (&json!(true), &json!(false)));
    assert_eq!(upstream.calls("shot").len(), calls);
}
