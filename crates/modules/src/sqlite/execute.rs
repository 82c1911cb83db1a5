//! `execute`: one statement that changes data or adds to the schema.

use rusqlite::Statement;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::database::Database;
use super::gate::Purpose;
use super::query::{params_property, sql_property};
use super::session::Session;
use super::{Command, Job, fault, statement, values};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "execute", access: Access::Write, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    sql: String,
    #[serde(default)]
    params: Vec<Box<RawValue>>,
}

fn spec() -> ToolSpec {
    let about = "Runs one changing statement on your own SQLite database and returns the number of affected rows (0 for changes of the schema). \
                 Allowed: INSERT, UPDATE, DELETE, REPLACE, upserts, CREATE TABLE, CREATE INDEX, CREATE VIEW, ALTER TABLE (add or rename column, rename \
                 table). Refused: SELECT (use query), DROP, CREATE TRIGGER, PRAGMA, ATTACH, VACUUM, transaction control, several statements.";
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Change the database".into(),
        description: about.into(),
        input_schema: schema::object(&[("sql", sql_property("One changing statement.")), ("params", params_property())], &["sql"]),
        output_schema: Some(schema::wrapped(schema::property("integer", "Affected rows.", json!({ "minimum": 0 })))),
        access: COMMAND.access,
        hints: Hints { destructive: true, idempotent: false, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { sql, params } = decode(arguments)?;
    statement::check_text(&sql)?;
    let params = values::params(&params)?;
    Ok(Box::new(move |database: &Database, stop| {
        database.write(stop, |session| {
            let mut statement = statement::prepare(session, &sql, &params, Purpose::Write)?;
            ToolOutput::json(&step_out(session, &mut statement)?)
        })
    }))
}

/// Runs the statement to its end; rows of RETURNING are discarded, but all of them are computed, so that it completes.
/// Answers the affected rows.
pub(super) fn step_out(session: &Session, statement: &mut Statement<'_>) -> Result<u64, ToolFault> {
    let mut rows = statement.raw_query();
    while rows.next().map_err(|e| fault::of(&e, session))?.is_some() {}
    drop(rows);
    let counted = session.gate.wrote() && !session.gate.changes_schema();
    Ok(if counted { session.connection.changes() } else { 0 })
}
