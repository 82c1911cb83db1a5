//! From the engine's errors to answers.

use bailiwick_model::Code;
use rusqlite::{Error, ErrorCode, ffi};

use super::session::Session;
use crate::arguments::clean;
use crate::fault::ToolFault;

/// Extended code: a journal is waiting to be rolled back.
const READONLY_ROLLBACK: i32 = ffi::SQLITE_READONLY | (3 << 8);
/// Extended code: a write-ahead log is waiting to be recovered.
const READONLY_RECOVERY: i32 = ffi::SQLITE_READONLY | (1 << 8);

/// How the parser words that one of our limits was crossed; it has no code for it.
const LIMIT_PHRASES: &[&str] = &["too many", "at most", "too large", "too complex", "too big", "parser stack overflow"];

/// How the parser words that it does not do this at all; again without a code.
const REFUSAL_PHRASES: &[&str] = &["may not be modified", "may not be altered", "may not be indexed", "unsafe use of"];

/// The engine's error, which rusqlite keeps apart when it knows where in the text it occurred.
fn engine(error: &Error) -> Option<&ffi::Error> {
    match error {
        Error::SqlInputError { error, .. } => Some(error),
        other => other.sqlite_error(),
    }
}

fn code(error: &Error) -> Option<ErrorCode> {
    engine(error).map(|e| e.code)
}

/// A statement of a class that is not run.
pub(super) fn refused(class: &str) -> ToolFault {
    ToolFault::new(
        Code::SqlRefused,
        format!("{class} is not allowed"),
        "query runs SELECT, VALUES, WITH and EXPLAIN QUERY PLAN (of changing statements too); execute runs INSERT, UPDATE, DELETE, REPLACE, CREATE TABLE/INDEX/VIEW and ALTER TABLE",
    )
}

/// The connection could not be made ready.
pub(super) fn opening(error: Error) -> ToolFault {
    match code(&error) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => locked(),
        _ => ToolFault::internal(format!("sqlite: {error}")),
    }
}

/// Whether a reading connection failed because a writer died and left work behind.
pub(super) fn needs_recovery(error: &Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|e| [READONLY_ROLLBACK, READONLY_RECOVERY].contains(&e.extended_code) || e.code == ErrorCode::CannotOpen)
}

/// What the agent is told when preparing or stepping its statement failed.
pub(super) fn of(error: &Error, session: &Session) -> ToolFault {
    if let Some(verdict) = session.watch.verdict() {
        return verdict;
    }
    if let Some(class) = session.gate.denied() {
        return refused(&class);
    }
    let message = message(error);
    match code(error) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => locked(),
        Some(ErrorCode::DiskFull) => {
            ToolFault::new(Code::LimitExceeded, "the database has reached its largest size", "delete rows that are no longer needed")
        }
        Some(ErrorCode::TooBig | ErrorCode::OutOfMemory) => too_much(&message),
        Some(ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied) => refused("this statement"),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange) => rejected(&message),
        Some(ErrorCode::Unknown) if REFUSAL_PHRASES.iter().any(|phrase| message.contains(phrase)) => {
            ToolFault::new(Code::SqlRefused, format!("the engine refuses the statement: {message}"), "work with your own tables only")
        }
        Some(ErrorCode::Unknown) if LIMIT_PHRASES.iter().any(|phrase| message.contains(phrase)) => too_much(&message),
        Some(ErrorCode::Unknown) => rejected(&message),
        _ => ToolFault::internal(format!("sqlite: {error}")),
    }
}

fn message(error: &Error) -> String {
    clean(match error {
        Error::SqlInputError { msg, .. } | Error::SqliteFailure(_, Some(msg)) => msg,
        _ => "the statement failed",
    })
}

fn rejected(message: &str) -> ToolFault {
    ToolFault::invalid(format!("the engine rejects the statement: {message}"), "correct the statement")
}

fn too_much(message: &str) -> ToolFault {
    ToolFault::new(Code::LimitExceeded, format!("the statement crosses a limit: {message}"), "use a smaller or simpler statement")
}

fn locked() -> ToolFault {
    ToolFault::new(Code::UpstreamTimeout, "the database is locked by another process", "call again later")
}
