//! What serving commands share at their start: log streams, and how a failed start is told.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use bailiwick_gateway::CallLog;
use bailiwick_model::config::{Config, LogFormat as Written};

use super::args::StreamArgs;
use super::context::Context;
use super::output;
use crate::exit::Failure;
use crate::logging::{self, FileCallLog, LogFormat, LogGuard, LogOptions, Rotation};

/// The stream behind `--audit-log`.
pub(super) type Log = Option<Arc<dyn CallLog>>;

/// Starts logging as flags, environment and configuration say, in this order.
///
/// # Errors
/// A filter that does not parse, or a file that cannot be opened.
pub(super) fn streams(context: &Context, config: &Config, args: &StreamArgs) -> Result<(LogGuard, Log), Failure> {
    let rotation = Rotation::from_environment(&context.environment)?;
    let written = config.origins.contains_key("log.format").then_some(match config.log.format {
        Written::Text => LogFormat::Text,
        Written::Json => LogFormat::Json,
    });
    let options = LogOptions {
        format: context.log_format.or(written).unwrap_or_default(),
        filter: Some(context.environment.get("RUST_LOG").unwrap_or(&config.log.filter).clone()),
        color: output::color(&context.environment, std::io::stderr().is_terminal()),
        ops_log: args.ops_log.clone(),
        rotation,
    };
    let mut guard = logging::start(&options)?;
    for step in &context.unhardened {
        tracing::warn!(target: "ops", event = "hardening_refused", step, "the system does not allow a step of hardening");
    }
    let open = |path: &Path| FileCallLog::open(path, rotation, &mut guard).map(|log| Arc::new(log) as Arc<dyn CallLog>);
    let call_log = args.audit_log.as_deref().map(open).transpose()?;
    Ok((guard, call_log))
}

/// A failed start also stands in the operational log; on stderr it is told by the one place that ends the process.
pub(super) fn report(outcome: &Result<(), Failure>) {
    if let Err(failure) = outcome {
        tracing::error!(target: logging::OPS_FILE, event = "startup_failed", class = ?failure.exit(), detail = failure.message(), "not running");
    }
}
