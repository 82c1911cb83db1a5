//! The program with two kinds of agents, as most stories need it.

use std::process::Output;

use bailiwick_testkit::app::{App, AppSetup};
use bailiwick_testkit::client::{Client, Era};
use serde_json::Value;

/// A manifest that reads files; `{dir}` is the private directory.
pub(crate) const READER: &str = "\
agent_type: reader
modules:
  files:
    type: filesystem
    mode: read
    config: {base_path: '{dir}/files'}
";

/// A manifest that writes files.
pub(crate) const WRITER: &str = "\
agent_type: writer
modules:
  files:
    type: filesystem
    mode: write
    config: {base_path: '{dir}/files'}
";

/// Everything inside the private directory, on the program's own port, stopping at once.
pub(crate) const CONFIGURATION: &str = "\
listen: 127.0.0.1:{port}
state_dir: '{dir}/state'
root_key_file: '{dir}/root.key'
manifests: ['manifests/*.yml']
shutdown: {ready_delay_seconds: 0, drain_seconds: 10}
";

/// The program, set up but not started. `more` is added to the configuration.
pub(crate) fn setup(more: &str) -> AppSetup {
    App::program(env!("CARGO_BIN_EXE_bailiwick"))
        .config(&format!("{CONFIGURATION}{more}"))
        .file("manifests/reader.yml", READER)
        .file("manifests/writer.yml", WRITER)
}

/// The running program with keys of the agents `(id, type)`, made before the start so that they are known at once.
pub(crate) fn started<const N: usize>(setup: AppSetup, agents: [(&str, &str); N]) -> (App, [String; N]) {
    let keys = agents.map(|(id, kind)| setup.key(id, kind));
    (setup.start(), keys)
}

/// A client of the endpoint with this key.
pub(crate) fn client(app: &App, key: &str, era: Era) -> Client {
    Client::http(&app.mcp_url(), era).bearer(key)
}

/// The program's port.
pub(crate) fn port(app: &App) -> u16 {
    app.base_url().rsplit(':').next().unwrap().parse().unwrap()
}

/// The lines on stderr that are for people: log lines are JSON objects.
pub(crate) fn talk(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| !line.starts_with('{')).map(|line| format!("{line}\n")).collect()
}

/// The text of a tool result.
pub(crate) fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

/// The refusal code of a tool result.
pub(crate) fn code(result: &Value) -> &str {
    if result["isError"] == true { result["structuredContent"]["code"].as_str().unwrap_or("no code") } else { "not refused" }
}
