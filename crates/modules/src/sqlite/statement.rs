//! Exactly one statement, judged before it is stepped.

use bailiwick_model::Code;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::Value;
use rusqlite::{Batch, Statement};

use super::fault;
use super::gate::Purpose;
use super::session::{SQL_BYTES_MAX, Session};
use crate::fault::ToolFault;

/// Checks what can be seen without the engine.
pub(super) fn check_text(sql: &str) -> Result<(), ToolFault> {
    if sql.contains('\0') {
        return Err(ToolFault::invalid("the statement contains a NUL character", "remove it"));
    }
    if sql.len() > SQL_BYTES_MAX {
        let message = format!("the statement is longer than {SQL_BYTES_MAX} bytes");
        return Err(ToolFault::limit("sql_bytes", SQL_BYTES_MAX as u64, message, "pass values with params, or use several calls"));
    }
    Ok(())
}

/// Prepares `sql` under the session's guards, binds `params`, and refuses what `purpose` does not cover. The statement
/// may be stepped after this.
pub(super) fn prepare<'s>(session: &'s Session, sql: &str, params: &[Value], purpose: Purpose) -> Result<Statement<'s>, ToolFault> {
    let mut batch = Batch::new(&session.connection, sql);
    let first = batch.next().map_err(|e| fault::of(&e, session))?;
    let Some(mut statement) = first else {
        return Err(ToolFault::invalid("there is no statement", "write one SQL statement"));
    };
    // Anything after it, even something that cannot be parsed, makes it more than one.
    if !matches!(batch.next(), Ok(None)) {
        return Err(ToolFault::new(Code::SqlRefused, "one statement per call", "send the statements in separate calls"));
    }
    judge(session, &statement, sql, purpose)?;
    bind(session, &mut statement, params)?;
    session.gate.step();
    Ok(statement)
}

fn judge(session: &Session, statement: &Statement<'_>, sql: &str, purpose: Purpose) -> Result<(), ToolFault> {
    let gate = &session.gate;
    let fits = match purpose {
        Purpose::Read => statement.readonly(),
        // Some statements ask for nothing before they are stepped; their plans are of no use.
        Purpose::Plan => statement.is_explain() != 0 && (statement.readonly() || gate.wrote()),
        // A statement for which no write was authorised is a SELECT or something like VACUUM, which asks only when stepped.
        // A spatial index authorises its own writes when it is opened, so that a SELECT from it seems to write.
        Purpose::Write if statement.is_explain() != 0 || statement.readonly() || gate.forges_schema() => false,
        Purpose::Write => gate.wrote() || gate.changes_schema() || is_needless_create(session, statement, sql),
        Purpose::Ours => true,
    };
    if fits { Ok(()) } else { Err(fault::refused(&first_word(sql))) }
}

/// What the reading tool may do with `sql`. Only a guess from the text, so that the gate knows what to expect; the engine's word about the
/// prepared statement decides.
pub(super) fn reading(sql: &str) -> Purpose {
    if first_word(sql) == "EXPLAIN" { Purpose::Plan } else { Purpose::Read }
}

/// CREATE INDEX IF NOT EXISTS of an existing index asks for nothing and does nothing.
fn is_needless_create(session: &Session, statement: &Statement<'_>, sql: &str) -> bool {
    session.gate.untouched() && statement.column_count() == 0 && first_word(sql) == "CREATE"
}

fn bind(session: &Session, statement: &mut Statement<'_>, params: &[Value]) -> Result<(), ToolFault> {
    let wanted = statement.parameter_count();
    if wanted != params.len() {
        let message = format!("the statement has {wanted} placeholders and params has {} values", params.len());
        return Err(ToolFault::invalid(message, "give one value in params for each placeholder"));
    }
    for (index, value) in params.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value).map_err(|e| fault::of(&e, session))?;
    }
    Ok(())
}

/// The word a statement begins with, for messages.
fn first_word(sql: &str) -> String {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == '\u{feff}');
        rest = match (rest.strip_prefix("--"), rest.strip_prefix("/*")) {
            (Some(comment), _) => comment.split_once('\n').map_or("", |(_, after)| after),
            (_, Some(comment)) => comment.split_once("*/").map_or("", |(_, after)| after),
            _ => break,
        };
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).take(16).collect();
    if word.is_empty() { "this statement".to_owned() } else { word.to_ascii_uppercase() }
}

#[cfg(test)]
mod tests {
    use super::first_word;

    #[test]
    fn the_first_word_is_found_behind_comments() {
        assert_eq!(first_word(" -- x\n;/* y */\tvacuum into 'f'"), "VACUUM");
        assert_eq!(first_word("/* open"), "this statement");
    }
}
