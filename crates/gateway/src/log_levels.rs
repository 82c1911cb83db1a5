//! Of which severity legacy sessions want log messages (`logging/setLevel`, protocol reference 5.1).

use std::collections::HashMap;

use bailiwick_mcp::meta::LogLevel;

use crate::lock::SharedLock;

/// Sessions whose level is held; beyond that those of sessions that set theirs again.
const SESSIONS_MAX: usize = 10_000;

/// The levels by session.
#[derive(Default)]
pub(crate) struct LogLevels(SharedLock<HashMap<Box<str>, LogLevel>>);

impl LogLevels {
    pub(crate) fn of(&self, session: &str) -> Option<LogLevel> {
        self.0.read().get(session).copied()
    }

    pub(crate) fn set(&self, session: &str, level: LogLevel) {
        let mut levels = self.0.write();
        if levels.len() >= SESSIONS_MAX {
            levels.clear();
        }
        levels.insert(session.into(), level);
    }

    /// The most talkative level of any session, which is what servers are asked for.
    pub(crate) fn lowest(&self) -> Option<LogLevel> {
        self.0.read().values().min().copied()
    }

    pub(crate) fn forget(&self, session: &str) {
        self.0.write().remove(session);
    }
}
