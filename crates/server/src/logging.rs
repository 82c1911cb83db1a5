//! Log lines: stderr for people and collectors, `--ops-log` as JSON lines, `--audit-log` as one line per call.
//!
//! Nothing here ever blocks the runtime: lines go through bounded queues to writer threads; what does not fit is dropped,
//! counted, and the count is written as soon as there is room. The ledger, not these files, is the record of truth.

mod call_log;
mod file;
mod json;
mod sink;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use bailiwick_model::time::Clock;

pub(crate) use call_log::FileCallLog;
pub(crate) use file::Rotation;

use crate::exit::{Exit, Failure};
use crate::system::SystemClock;
use json::JsonLines;
use sink::LineSink;

/// Lines of this target also go to `--ops-log`; each carries a field `event` with its fixed name.
pub(crate) const OPS: &str = "ops";
/// The same, but for `--ops-log` alone: what the command itself prints on stderr in its own words.
pub(crate) const OPS_FILE: &str = "ops_file";
/// What is logged when neither `RUST_LOG` nor the configuration says otherwise.
const FILTER_DEFAULT: &str = "info";

/// The form of the lines on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to log and where to.
#[derive(Debug, Default)]
pub(crate) struct LogOptions {
    pub(crate) format: LogFormat,
    /// In the form of `RUST_LOG`; `None` is `info`.
    pub(crate) filter: Option<String>,
    pub(crate) color: bool,
    pub(crate) ops_log: Option<PathBuf>,
    pub(crate) rotation: Rotation,
}

/// Keeps the writer threads.
#[must_use]
#[derive(Default)]
pub(crate) struct LogGuard(Vec<Arc<LineSink>>);

impl LogGuard {
    /// Writes what is queued, waiting at most a second for each place.
    pub(crate) fn finish(&mut self) {
        self.0.iter().for_each(|sink| sink.flush());
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// [`Exit::Usage`] for a filter that does not parse, [`Exit::Unavailable`] for a log file that cannot be opened.
pub(crate) fn start(options: &LogOptions) -> Result<LogGuard, Failure> {
    let text = options.filter.as_deref().unwrap_or(FILTER_DEFAULT);
    let filter = EnvFilter::try_new(text).map_err(|cause| {
        Failure::new(Exit::Usage, format!("the log filter `{text}` is not valid: {cause}"))
            .hint("write for example `info` or `warn,bailiwick_gateway=debug`")
    })?;
    let mut guard = LogGuard::default();
    let stderr = Arc::new(LineSink::start("log-stderr", io::stderr()));
    guard.0.push(Arc::clone(&stderr));
    let ops = match &options.ops_log {
        None => None,
        Some(path) => {
            let sink = Arc::new(LineSink::start("log-ops", file::RotatingFile::open(path, options.rotation)?));
            guard.0.push(Arc::clone(&sink));
            Some(JsonLines::new(sink).with_filter(filter_fn(|meta| meta.target() == OPS || meta.target() == OPS_FILE)))
        }
    };
    let json = match options.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    };
    let filter = filter.and(filter_fn(|meta| meta.target() != OPS_FILE));
    let people: Box<dyn Layer<Registry> + Send + Sync> = if json {
        Box::new(JsonLines::new(stderr).with_filter(filter))
    } else {
        let text = fmt::layer().with_timer(UtcTime).with_ansi(options.color).with_target(false);
        Box::new(text.with_writer(move || sink::LineWriter(Arc::clone(&stderr))).with_filter(filter))
    };
    // A second start in one process (tests) keeps the first one's places.
    let _ = Registry::default().with(people).with(ops).try_init();
    Ok(guard)
}

struct UtcTime;

impl FormatTime for UtcTime {
    fn format_time(&self, writer: &mut fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", SystemClock.now())
    }
}
