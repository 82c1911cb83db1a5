//! The file that scoped-mcp writes for watchers outside: how the agent's modules are, without a word of what they say.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_gateway::{Caller, Gateway};
use bailiwick_model::time::Clock;
use serde_json::{Value, json};

use crate::environment::Environment;

/// Names the file.
const FILE_VARIABLE: &str = "SCOPED_MCP_HEALTH_FILE";

/// A file to keep up to date.
pub(super) struct HealthFile {
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

impl HealthFile {
    /// `None` when nobody wants it.
    pub(super) fn wanted(environment: &Environment, clock: &Arc<dyn Clock>) -> Option<Self> {
        let path = environment.get(FILE_VARIABLE).filter(|path| !path.trim().is_empty())?;
        Some(Self { path: PathBuf::from(path), clock: clock.clone() })
    }

    /// Writes the file now and after every change; never ends.
    pub(super) async fn keep(self, gateway: Gateway, caller: Arc<Caller>) {
        let (mut last, mut seen) = (Value::Null, 0);
        loop {
            seen = gateway.changed(&caller, seen).await;
            let report = gateway.module_report(&caller);
            if report == last {
                continue;
            }
            last = report.clone();
            let (path, text) = (self.path.clone(), dated(report, &self.clock.now().to_string()));
            let written = tokio::task::spawn_blocking(move || replace(&path, &text)).await;
            let path = self.path.display();
            match written {
                Ok(Ok(())) => {
                    tracing::info!(target: "ops", event = "health_file_written", %path, failed = %last["failed_count"], "written")
                }
                Ok(Err(cause)) => tracing::warn!(target: "ops", event = "health_file_write_failed", %path, %cause, "not written"),
                Err(cause) => tracing::warn!(target: "ops", event = "health_file_write_failed", %path, %cause, "not written"),
            }
        }
    }
}

fn dated(mut report: Value, now: &str) -> String {
    report["written_at"] = json!(now);
    format!("{report:#}\n")
}

/// A reader sees the old file or the new one, never half of one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&temporary, path)
}
