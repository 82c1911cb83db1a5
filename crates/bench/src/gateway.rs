//! The program `bailiwick` with everything on: key authentication, a manifest, the ledger in its default mode.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bailiwick_testkit::app::App;

use crate::Outcome;
use crate::load::Target;
use crate::process::{self, Memory};

/// Reads see every tool of a server whose word is trusted; effects see one tool of the same server as a stranger.
const READS: &str = "agent_type: bench-reads\nservers:\n  reads: {}\n";
const EFFECTS: &str = "agent_type: bench-effects\nservers:\n  effects:\n    tools:\n      allow: [echo]\n";

/// The running gateway.
pub(crate) struct Gateway {
    /// The process.
    pub(crate) app: App,
    reads_key: String,
    effects_key: String,
}

/// The program to measure: the given one, or this workspace's, built in release mode.
pub(crate) fn program(given: Option<&Path>) -> Outcome<PathBuf> {
    if let Some(given) = given {
        return std::path::absolute(given).map_err(|e| format!("{}: {e}", given.display()));
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--package", "bailiwick", "--bin", "bailiwick"]).current_dir(workspace);
    match command.status() {
        Ok(status) if status.success() => Ok(beside_this("bailiwick")?),
        Ok(status) => Err(format!("cargo build of bailiwick: {status}")),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

/// `target/release/NAME`, whatever profile this program itself was built in.
fn beside_this(name: &str) -> Outcome<PathBuf> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = exe.parent().and_then(Path::parent).ok_or("this program lies in no target directory")?;
    Ok(target.join("release").join(name))
}

impl Gateway {
    /// Starts the program in front of `upstream`; it ends with the harness's words when it does not get ready.
    pub(crate) fn start(program: &Path, upstream: &str, environment: &[(&str, &str)]) -> Outcome<Self> {
        if !program.is_file() {
            return Err(format!("{} is not there", program.display()));
        }
        let mut setup = App::program(program).config(&config(upstream)).file("reads.yml", READS).file("effects.yml", EFFECTS);
        let reads_key = setup.key("bench-reads-01", "bench-reads");
        let effects_key = setup.key("bench-effects-01", "bench-effects");
        for (name, value) in environment {
            setup = setup.env(name, value);
        }
        Ok(Self { app: setup.start(), reads_key, effects_key })
    }

    /// How the load generator reaches it.
    pub(crate) fn target(&self, tools: usize) -> Target {
        Target {
            name: "gateway",
            url: self.app.mcp_url(),
            read_prefix: "reads__",
            effects_prefix: "effects__",
            read_token: Some(self.reads_key.clone()),
            effects_token: Some(self.effects_key.clone()),
            tools,
        }
    }

    /// Processor time so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.app.process_id().and_then(process::cpu).unwrap_or_default()
    }

    /// Memory now.
    pub(crate) fn memory(&self) -> Memory {
        self.app.process_id().and_then(process::memory).unwrap_or_default()
    }
}

/// Limits are raised where the load of one benchmark client would meet what keeps one agent in its place.
fn config(upstream: &str) -> String {
    let server = |trust: &str| format!("{{url: \"{upstream}\", trust: {trust}, allow_private: [127.0.0.1/32]}}");
    format!(
        "listen: 127.0.0.1:{{port}}\n\
         state_dir: {{dir}}/state\n\
         manifests: [\"{{dir}}/reads.yml\", \"{{dir}}/effects.yml\"]\n\
         log: {{filter: warn}}\n\
         shutdown: {{ready_delay_seconds: 0, drain_seconds: 5}}\n\
         limits:\n  \
           connections_per_source_max: 10000\n  \
           in_flight_per_principal_max: 2000\n  \
           in_flight_per_org_max: 2000\n  \
           in_flight_per_upstream_max: 2000\n  \
           result_text_bytes_max: 8388608\n\
         servers:\n  reads: {}\n  effects: {}\n",
        server("first_party"),
        server("third_party")
    )
}
