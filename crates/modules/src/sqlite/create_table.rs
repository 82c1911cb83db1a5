//! `create_table`: a table from a name and column types.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::database::Database;
use super::execute::step_out;
use super::gate::{Purpose, reserved_for_us};
use super::{Command, Job, statement};
use crate::arguments::decode;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};

/// Column types, in the form they are written to the schema.
const TYPES: &[&str] = &[
    "INTEGER",
    "TEXT",
    "REAL",
    "BLOB",
    "NUMERIC",
    "BOOLEAN",
    "INTEGER PRIMARY KEY",
    "INTEGER PRIMARY KEY AUTOINCREMENT",
    "TEXT PRIMARY KEY",
    "INTEGER NOT NULL",
    "TEXT NOT NULL",
    "REAL NOT NULL",
    "INTEGER UNIQUE",
    "TEXT UNIQUE",
    "INTEGER DEFAULT 0",
    "TEXT DEFAULT ''",
];
/// Longest name of a table or column.
const NAME_CHARS_MAX: usize = 128;
/// Most columns; the engine has the same limit.
const COLUMNS_MAX: usize = 256;

pub(super) const COMMAND: Command = Command { name: "create_table", access: Access::Write, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    name: String,
    columns: Columns,
}

/// Columns in the order in which they were written, which a map would lose.
struct Columns(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Columns;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from column name to type")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    if columns.len() == COLUMNS_MAX {
                        return Err(serde::de::Error::custom(format!("more than {COLUMNS_MAX} columns")));
                    }
                    columns.push(column);
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn spec() -> ToolSpec {
    let about =
        "Creates a table in your own SQLite database. If a table of this name exists, nothing changes and the answer is true as well.";
    let columns = json!({ "minProperties": 1, "maxProperties": COLUMNS_MAX, "additionalProperties": { "type": "string" } });
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Create a table".into(),
        description: about.into(),
        input_schema: schema::object(
            &[
                ("name", schema::property("string", "Name of the table: letters, digits and `_`, not beginning with a digit.", json!({}))),
                ("columns", schema::property("object", &format!("Column names with their types. Types: {}.", TYPES.join(", ")), columns)),
            ],
            &["name", "columns"],
        ),
        output_schema: Some(schema::wrapped(schema::property("boolean", "Always true; a refusal is an error.", json!({ "const": true })))),
        access: COMMAND.access,
        hints: Hints { destructive: false, idempotent: true, open_world: false, content: ContentTrust::Trusted },
    }
}

fn prepare(arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { name, columns } = decode(arguments)?;
    let sql = sql(&name, &columns.0)?;
    Ok(Box::new(move |database: &Database, stop| {
        database.write(stop, |session| {
            let mut statement = statement::prepare(session, &sql, &[], Purpose::Write)?;
            step_out(session, &mut statement)?;
            Ok(ToolOutput::done())
        })
    }))
}

fn sql(name: &str, columns: &[(String, String)]) -> Result<String, ToolFault> {
    if columns.is_empty() {
        return Err(ToolFault::invalid("columns is empty", "name at least one column with its type"));
    }
    let parts: Result<Vec<_>, _> =
        columns.iter().map(|(column, kind)| Ok::<_, ToolFault>(format!("{} {}", identifier(column)?, column_type(kind)?))).collect();
    Ok(format!("CREATE TABLE IF NOT EXISTS {} ({})", table(name)?, parts?.join(", ")))
}

fn table(name: &str) -> Result<String, ToolFault> {
    if name.to_ascii_lowercase().starts_with("sqlite_") || reserved_for_us(name) {
        return Err(ToolFault::invalid("the table name is reserved by the engine", "use another name"));
    }
    identifier(name)
}

/// A quoted name, so that reserved words work.
fn identifier(name: &str) -> Result<String, ToolFault> {
    let fits = name.chars().count() <= NAME_CHARS_MAX
        && name.chars().all(|c| c == '_' || c.is_alphanumeric())
        && !name.chars().next().is_none_or(char::is_numeric);
    if fits {
        return Ok(format!("\"{name}\""));
    }
    let remedy = format!("use letters, digits and `_`, not beginning with a digit, at most {NAME_CHARS_MAX} characters");
    Err(ToolFault::invalid("a table or column name is not an identifier", remedy))
}

fn column_type(kind: &str) -> Result<&'static str, ToolFault> {
    let words: Vec<String> = kind.split_whitespace().map(str::to_ascii_uppercase).collect();
    let wanted = words.join(" ");
    let known = TYPES.iter().find(|known| **known == wanted);
    known
        .copied()
        .ok_or_else(|| ToolFault::invalid("a column type is not one of the known types", format!("use one of: {}", TYPES.join(", "))))
}
