//! How much a legacy server logs: one level for the whole session, the most verbose that anybody asked for (reference, protocol
//! section 5.1). In the modern era each request carries its own level.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::ask::Ask;
use super::cancel::Cancel;
use super::compose::Draft;
use super::fault::UpstreamFault;
use super::handshake::Session;
use super::request::is_lost;
use super::state::Inner;
use crate::meta::LogLevel;

/// The most verbose level that was ever asked for.
#[derive(Debug, Default)]
pub(super) struct Verbosity(Mutex<Option<LogLevel>>);

impl Verbosity {
    /// The level that holds from now on.
    fn raise(&self, level: LogLevel) -> LogLevel {
        let mut highest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Less severe is more verbose.
        let level = highest.map_or(level, |before| before.min(level));
        *highest = Some(level);
        level
    }

    fn get(&self) -> Option<LogLevel> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for `level` unless the session is as verbose already.
pub(super) async fn raise(inner: &Arc<Inner>, level: LogLevel) -> Result<(), UpstreamFault> {
    let level = inner.verbosity.raise(level);
    let (cancel, deadline) = (Cancel::new(), Instant::now() + inner.options.call_deadline);
    let session = inner.session(deadline, &cancel).await?;
    match apply(inner, &session, level, deadline).await {
        Err(fault) if is_lost(&fault, &session) => {
            inner.forget(&session);
            // Opening it again asks for the level.
            inner.session(deadline, &cancel).await.map(drop)
        }
        other => other,
    }
}

/// What was asked for holds for a new session too. A server that refuses serves all the same.
pub(super) async fn restore(inner: &Inner, session: &Session) {
    if let Some(level) = inner.verbosity.get() {
        let _ = apply(inner, session, level, Instant::now() + inner.options.probe_deadline).await;
    }
}

async fn apply(inner: &Inner, session: &Session, level: LogLevel, deadline: Instant) -> Result<(), UpstreamFault> {
    if session.dialect.is_modern() || !session.probe.offers("logging") {
        return Ok(());
    }
    let mut current = session.log_level.lock().await;
    if current.is_some_and(|current| current <= level) {
        return Ok(());
    }
    let (id, cancel) = (inner.next_id(), Cancel::new());
    let body = Draft::request(id, "logging/setLevel").text("level", level.as_str()).end();
    let ask = Ask { replayable: true, ..Ask::plain(id, "logging/setLevel", body, &session.dialect, deadline, &cancel) };
    session.wire.ask(&ask).await?;
    *current = Some(level);
    Ok(())
}
