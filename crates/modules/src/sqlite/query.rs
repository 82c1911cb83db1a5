//! `query`: rows of one reading statement.

use rusqlite::Statement;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::database::Database;
use super::session::{Limits, Session};
use super::{Command, Job, fault, statement, values};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "query", access: Access::Read, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    sql: String,
    #[serde(default)]
    params: Vec<Box<RawValue>>,
}

fn spec() -> ToolSpec {
    let about = "Runs one reading statement (SELECT, VALUES, WITH, UNION, EXPLAIN QUERY PLAN) on your own SQLite database and returns the rows as \
                 objects. EXPLAIN QUERY PLAN also takes a changing statement and does not run it. Writing, PRAGMA, ATTACH and several statements are refused. Bytes come as {\"$base64\": \"...\"}.";
    let rows = json!({ "items": { "type": "object" } });
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Query the database".into(),
        description: about.into(),
        input_schema: schema::object(&[("sql", sql_property("One reading statement.")), ("params", params_property())], &["sql"]),
        output_schema: Some(schema::wrapped(schema::property("array", "The rows; members are columns in order.", rows))),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

pub(super) fn sql_property(description: &str) -> serde_json::Value {
    schema::property("string", description, json!({ "maxLength": super::session::SQL_BYTES_MAX }))
}

pub(super) fn params_property() -> serde_json::Value {
    let about = "Values for the placeholders of the statement, in order: null, booleans, numbers, texts or {\"$base64\": \"...\"}.";
    schema::property("array", about, json!({ "default": [], "maxItems": 1000 }))
}

fn prepare(arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { sql, params } = decode(arguments)?;
    statement::check_text(&sql)?;
    let params = values::params(&params)?;
    Ok(Box::new(move |database: &Database, stop| {
        let purpose = statement::reading(&sql);
        database.read(purpose, stop, |session| {
            let mut statement = statement::prepare(session, &sql, &params, purpose)?;
            let structured = rows(session, &mut statement, &database.limits)?;
            Ok(ToolOutput { structured, text: None })
        })
    }))
}

/// Steps the statement to its end and writes the rows as a JSON array.
fn rows(session: &Session, statement: &mut Statement<'_>, limits: &Limits) -> Result<String, ToolFault> {
    let keys = keys(statement)?;
    let mut out = vec![b'['];
    let mut count = 0;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|e| fault::of(&e, session))? {
        count += 1;
        if count > limits.rows {
            let message = format!("the answer has more than {} rows", limits.rows);
            return Err(ToolFault::limit("max_rows", limits.rows, message, "add LIMIT (and OFFSET) to the statement"));
        }
        out.extend_from_slice(if count == 1 { b"{" } else { b",{" });
        for (index, key) in keys.iter().enumerate() {
            out.extend_from_slice(key);
            let value = row.get_ref(index).map_err(|e| fault::of(&e, session))?;
            values::write(&mut out, value)?;
            if out.len() as u64 > limits.result_bytes {
                let message = format!("the answer is larger than {} bytes", limits.result_bytes);
                return Err(ToolFault::limit("max_result_bytes", limits.result_bytes, message, "select fewer columns or add LIMIT"));
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    String::from_utf8(out).map_err(|e| ToolFault::internal(format!("rows are not UTF-8: {e}")))
}

/// `"name":` for each column, encoded once, with the comma in front where one belongs.
fn keys(statement: &Statement<'_>) -> Result<Vec<Vec<u8>>, ToolFault> {
    let encode = |(index, name): (usize, String)| {
        let mut key = if index == 0 { Vec::new() } else { vec![b','] };
        serde_json::to_writer(&mut key, &name).map_err(|e| ToolFault::internal(e.to_string()))?;
        key.push(b':');
        Ok(key)
    };
    values::column_names(&statement.column_names()).into_iter().enumerate().map(encode).collect()
}
