//! `list_tables`: the names of the tables.

use serde::Deserialize;
use serde_json::json;

use super::database::Database;
use super::gate::Purpose;
use super::{Command, Job, fault};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

/// Tables that are listed at most.
const TABLES_MAX: usize = 10_000;

/// Neither the engine's own tables nor the inner ones of full-text and spatial indexes.
const TABLES: &str = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";

pub(super) const COMMAND: Command = Command { name: "list_tables", access: Access::Read, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {}

fn spec() -> ToolSpec {
    let names = json!({ "items": { "type": "string" } });
    ToolSpec {
        name: COMMAND.name.into(),
        title: "List tables".into(),
        description:
            "Returns the sorted names of the tables in your own SQLite database. Read their columns from sqlite_master with query.".into(),
        input_schema: schema::object(&[], &[]),
        output_schema: Some(schema::wrapped(schema::property("array", "The names, sorted.", names))),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(arguments: &str) -> Result<Job, ToolFault> {
    let Arguments {} = decode(arguments)?;
    Ok(Box::new(|database: &Database, stop| {
        database.read(Purpose::Ours, stop, |session| {
            let failed = |e: rusqlite::Error| fault::of(&e, session);
            let mut statement = session.connection.prepare(TABLES).map_err(failed)?;
            let mut rows = statement.query([]).map_err(failed)?;
            let mut names: Vec<String> = Vec::new();
            while let Some(row) = rows.next().map_err(failed)? {
                if names.len() == TABLES_MAX {
                    let message = format!("there are more than {TABLES_MAX} tables");
                    return Err(ToolFault::limit("tables", TABLES_MAX as u64, message, "query sqlite_master with a WHERE clause"));
                }
                names.push(row.get(0).map_err(failed)?);
            }
            ToolOutput::json(&names)
        })
    }))
}
