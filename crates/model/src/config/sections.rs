//! The small sections.

use std::time::Duration;

use crate::name::{NAME_CHARS_DEFAULT, NAME_CHARS_MAX, NAME_CHARS_MIN};
use crate::reader::Field;
use crate::shape::{Also, Choice, Key, Section, Shape, words};

const AUDIT_MODES: [(&str, AuditMode); 3] =
    [("strict", AuditMode::Strict), ("strict-writes", AuditMode::StrictWrites), ("best-effort", AuditMode::BestEffort)];
const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
const STOPPING: Shape = Shape::Integer { min: 0, max: SHUTDOWN_SECONDS_MAX };

pub(super) static NAMES: Section = Section {
    path: "names",
    doc: "The names of tools as agents see them.",
    keys: &[Key::new(
        "max_length",
        Shape::Integer { min: NAME_CHARS_MIN as u64, max: NAME_CHARS_MAX as u64 },
        "Longest name in characters; longer ones are cut and get a digest.",
    )
    .or("48")],
    needs: &[],
    choice: Choice::Free,
};

pub(super) static AUDIT: Section = Section {
    path: "audit",
    doc: "The ledger.",
    keys: &[
        Key::new(
            "mode",
            Shape::Word(&words(&AUDIT_MODES), Also::Nothing),
            "What waits for its record: every call, calls that may change something, or none (which is alarmed).",
        )
        .or("strict"),
        Key::new(
            "retention_days",
            Shape::Integer { min: 0, max: RETENTION_DAYS_MAX },
            "How long the readable call record stays; 0 = for ever. The ledger itself is not pruned.",
        )
        .or("90"),
    ],
    needs: &[],
    choice: Choice::Free,
};

pub(super) static LOG: Section = Section {
    path: "log",
    doc: "The operational log.",
    keys: &[
        Key::new("format", Shape::Word(&words(&LOG_FORMATS), Also::Nothing), "Lines for people, or one JSON object a line.").or("text"),
        Key::new("filter", Shape::Filled, "Directives such as `info,bailiwick_mcp=debug`.").or("info"),
    ],
    needs: &[],
    choice: Choice::Free,
};

pub(super) static SHUTDOWN: Section = Section {
    path: "shutdown",
    doc: "How the process stops.",
    keys: &[
        Key::new("ready_delay_seconds", STOPPING, "How long \"not ready\" is announced before the listener closes.").or("5"),
        Key::new("drain_seconds", STOPPING, "How long running calls may go on.").or("25"),
    ],
    needs: &[],
    choice: Choice::Free,
};

/// Days the readable call record stays when nothing else is written.
const RETENTION_DAYS_DEFAULT: u32 = 90;
/// Most days that may be written: a hundred years.
const RETENTION_DAYS_MAX: u64 = 36_500;
/// Longest stretch of stopping, in seconds.
const SHUTDOWN_SECONDS_MAX: u64 = 3_600;

/// `names`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamesConfig {
    /// Longest served tool name in characters: 42 to 64, default 48.
    pub max_length: usize,
}

/// When a call waits for its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditMode {
    /// Every call (default).
    #[default]
    Strict,
    /// Calls that may change something; reads go on when the ledger cannot record.
    StrictWrites,
    /// Calls go on without record; alarmed.
    BestEffort,
}

/// `audit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// When a call waits for its record.
    pub mode: AuditMode,
    /// How long the readable call record stays, in days; `None` (written 0) = for ever. Default 90. The ledger itself is not pruned by it.
    pub retention_days: Option<u32>,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people (default).
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Form of the lines.
    pub format: LogFormat,
    /// Directives such as `info,bailiwick_mcp=debug`; default `info`.
    pub filter: String,
}

/// `shutdown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// How long "not ready" is announced before the listener closes; default 5 s.
    pub ready_delay: Duration,
    /// How long running calls may go on; default 25 s.
    pub drain: Duration,
}

impl Default for NamesConfig {
    fn default() -> Self {
        Self { max_length: NAME_CHARS_DEFAULT }
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { mode: AuditMode::Strict, retention_days: Some(RETENTION_DAYS_DEFAULT) }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { ready_delay: Duration::from_secs(5), drain: Duration::from_secs(25) }
    }
}

pub(super) fn names(field: &Field<'_>) -> Option<NamesConfig> {
    let table = field.table()?;
    let max_length = table.read("max_length", |f| usize::try_from(f.integer()?).ok());
    table.finish();
    Some(max_length.map_or_else(NamesConfig::default, |max_length| NamesConfig { max_length }))
}

pub(super) fn audit(field: &Field<'_>) -> Option<AuditConfig> {
    let table = field.table()?;
    let mode = table.read("mode", |f| f.word(&AUDIT_MODES)).unwrap_or_default();
    let days = table.read("retention_days", |f| u32::try_from(f.integer()?).ok());
    table.finish();
    let days = days.unwrap_or(RETENTION_DAYS_DEFAULT);
    Some(AuditConfig { mode, retention_days: (days > 0).then_some(days) })
}

pub(super) fn log(field: &Field<'_>) -> Option<LogConfig> {
    let table = field.table()?;
    let format = table.read("format", |f| f.word(&LOG_FORMATS)).unwrap_or_default();
    let filter = table.read("filter", |f| f.filled().map(str::to_owned)).unwrap_or_else(|| LogConfig::default().filter);
    table.finish();
    Some(LogConfig { format, filter })
}

pub(super) fn shutdown(field: &Field<'_>) -> Option<ShutdownConfig> {
    let table = field.table()?;
    let default = ShutdownConfig::default();
    let seconds = |f: &Field<'_>| f.integer().map(Duration::from_secs);
    let ready_delay = table.read("ready_delay_seconds", seconds).unwrap_or(default.ready_delay);
    let drain = table.read("drain_seconds", seconds).unwrap_or(default.drain);
    table.finish();
    Some(ShutdownConfig { ready_delay, drain })
}
