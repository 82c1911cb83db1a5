//! `--audit-log`: one JSON object per call or refusal, in the form that dashboards of scoped-mcp read.

use std::path::Path;
use std::sync::Arc;

use bailiwick_gateway::CallLog;
use serde_json::Value;

use super::LogGuard;
use super::file::{RotatingFile, Rotation};
use super::sink::LineSink;
use crate::exit::Failure;

/// The file behind `--audit-log`.
pub(crate) struct FileCallLog(Arc<LineSink>);

impl FileCallLog {
    /// Opens the file; `guard` writes what is queued when the process ends.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(path: &Path, rotation: Rotation, guard: &mut LogGuard) -> Result<Self, Failure> {
        let sink = Arc::new(LineSink::start("log-audit", RotatingFile::open(path, rotation)?));
        guard.0.push(Arc::clone(&sink));
        Ok(Self(sink))
    }
}

impl CallLog for FileCallLog {
    fn line(&self, line: &Value) {
        let mut text = line.to_string().into_bytes();
        text.push(b'\n');
        self.0.send(text);
    }
}
