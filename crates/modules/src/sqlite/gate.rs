//! The authorizer: what a statement may do, decided by the engine's own account of it. Everything not named here is denied.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};

/// Functions that reach outside the database, allocate by a number, or cost more than their arguments show.
const FUNCTIONS_DENIED: &[&str] = &[
    "load_extension",
    "readfile",
    "writefile",
    "edit",
    "fts3_tokenizer",
    "zeroblob",
    "randomblob",
    "rtreecheck",
    // Quadratic in the number of members, without a point at which they could be stopped.
    "json_patch",
    "jsonb_patch",
    // Grow to 2 GB before their size is looked at; the other JSON aggregates are replaced in `functions.rs`.
    "json_pretty",
    "jsonb_group_array",
    "jsonb_group_object",
];

/// Virtual tables that exist without being created and show more than the agent's data.
const TABLES_DENIED: &[&str] = &["dbstat", "bytecode", "tables_used", "fsdir", "completion"];

/// Virtual table modules an agent may create.
const MODULES_ALLOWED: &[&str] = &["fts5", "rtree", "rtree_i32"];

/// The inner tables of a spatial index are named after it.
const RTREE_SUFFIXES: &[&str] = &["_node", "_rowid", "_parent"];

/// What the statement is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Looks only.
    #[default]
    Read,
    /// Shows how the engine would do something, without doing it.
    Plan,
    /// Changes data, or adds to the schema.
    Write,
    /// A constant statement of this module; nothing of an agent in it.
    Ours,
}

#[derive(Debug, Default)]
struct Record {
    purpose: Purpose,
    /// The statement is being stepped: what the engine asks for now comes from its own inner statements.
    stepping: bool,
    /// A write to a table of the agent was authorised.
    wrote: bool,
    /// A change of the schema was authorised.
    schema: bool,
    /// Among them an ALTER TABLE.
    altered: bool,
    /// Rows of the schema table are to change; fine only as a part of `schema`.
    schema_rows: bool,
    /// Anything at all was asked for.
    touched: bool,
    denied: Option<String>,
}

/// Remembers what one statement asked for. Lives as long as its connection; begun anew for each statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<Record>>);

impl Gate {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new statement is about to be prepared.
    pub(super) fn begin(&self, purpose: Purpose) {
        *self.record() = Record { purpose, ..Record::default() };
    }

    /// The statement was prepared and is about to be stepped.
    pub(super) fn step(&self) {
        self.record().stepping = true;
    }

    /// The first thing that was denied, as a name for the agent.
    pub(super) fn denied(&self) -> Option<String> {
        self.record().denied.clone()
    }

    /// Whether the prepared statement writes to a table of the agent.
    pub(super) fn wrote(&self) -> bool {
        self.record().wrote
    }

    /// Whether the prepared statement changes the schema in a permitted way.
    pub(super) fn changes_schema(&self) -> bool {
        self.record().schema
    }

    /// Whether the prepared statement asked for nothing at all.
    pub(super) fn untouched(&self) -> bool {
        !self.record().touched
    }

    /// Whether the prepared statement writes to the schema table without being a permitted change of the schema.
    pub(super) fn forges_schema(&self) -> bool {
        let record = self.record();
        record.schema_rows && !record.schema
    }

    /// The engine's question.
    pub(super) fn decide(&self, context: AuthContext<'_>) -> Authorization {
        let mut record = self.record();
        if record.purpose == Purpose::Ours {
            return Authorization::Allow;
        }
        record.touched = true;
        // What ANALYZE once left (it is denied here) reads as null: spatial indexes look it up whenever they are opened.
        if matches!(context.action, AuthAction::Read { table_name, .. } if table_name.eq_ignore_ascii_case("sqlite_stat1")) {
            return Authorization::Ignore;
        }
        match record.decide(context.action, context.database_name) {
            Ok(()) => Authorization::Allow,
            Err(class) => {
                record.denied.get_or_insert(class);
                Authorization::Deny
            }
        }
    }
}

impl Record {
    fn decide(&mut self, action: AuthAction<'_>, database: Option<&str>) -> Result<(), String> {
        match action {
            AuthAction::Select | AuthAction::Recursive => Ok(()),
            AuthAction::Read { table_name, .. } => self.read(table_name),
            AuthAction::Function { function_name } => self.function(function_name),
            AuthAction::Pragma { pragma_name, pragma_value } => self.pragma(pragma_name, pragma_value),
            // Only DROP COLUMN names something behind the table, and it is the column. One named `main` gets no further than its function.
            AuthAction::AlterTable { .. } if self.purpose == Purpose::Write && database.is_some_and(|name| name != "main") => {
                Err("ALTER TABLE DROP COLUMN".to_owned())
            }
            // `CREATE TABLE temp.x` is asked for like any other table.
            _ if database.is_some_and(|name| name != "main") && !self.renames_in_temp(action) => Err("CREATE TEMP".to_owned()),
            _ if self.purpose == Purpose::Write => self.write(action),
            // A spatial index prepares its writing statements when it is opened, even for reading. A statement of the agent
            // that writes to such a table is refused for not being read-only (`statement.rs`), and the connection is, too.
            AuthAction::Insert { table_name } | AuthAction::Update { table_name, .. } | AuthAction::Delete { table_name }
                if RTREE_SUFFIXES.iter().any(|suffix| table_name.ends_with(suffix)) =>
            {
                Ok(())
            }
            // Nothing of a plan is carried out (`statement.rs` sees to it that it is one).
            AuthAction::Insert { table_name } | AuthAction::Update { table_name, .. } | AuthAction::Delete { table_name }
                if self.purpose == Purpose::Plan && !reserved(&table_name.to_ascii_lowercase()) =>
            {
                self.wrote = true;
                Ok(())
            }
            _ => Err(class(action)),
        }
    }

    fn read(&self, table: &str) -> Result<(), String> {
        let name = table.to_ascii_lowercase();
        let own_schema = name == "sqlite_master" || name == "sqlite_schema";
        let inner = (self.schema && name.starts_with("sqlite_")) || (self.altered && name == "pragma_quick_check");
        if own_schema || inner || !reserved(&name) { Ok(()) } else { Err(format!("reading {name}")) }
    }

    fn function(&self, function: &str) -> Result<(), String> {
        let name = function.to_ascii_lowercase();
        let allowed = match name.strip_prefix("sqlite_") {
            Some("version" | "source_id") => true,
            // How the engine rewrites the schema for RENAME; `sqlite_drop_column` stays denied, and DROP COLUMN with it.
            Some(inner) => self.altered && inner.starts_with("rename_"),
            // A new spatial index begins with an empty page.
            None if name == "zeroblob" => self.stepping && self.schema,
            None => !FUNCTIONS_DENIED.contains(&name.as_str()),
        };
        if allowed { Ok(()) } else { Err(format!("the function {name}")) }
    }

    /// Never for the agent. While a statement is stepped, full-text search asks whether the file was changed by others, ALTER
    /// TABLE ADD COLUMN has its constraints checked, and a new spatial index asks for the page size.
    fn pragma(&self, name: &str, value: Option<&str>) -> Result<(), String> {
        let name = name.to_ascii_lowercase();
        let asked = match name.as_str() {
            "data_version" => value.is_none(),
            "page_size" => value.is_none() && self.schema,
            "quick_check" => self.altered,
            _ => false,
        };
        let inner = self.stepping && asked;
        if inner { Ok(()) } else { Err("PRAGMA".to_owned()) }
    }

    /// A renamed table or column is looked for in temporary views and triggers too, though there are none.
    fn renames_in_temp(&self, action: AuthAction<'_>) -> bool {
        self.altered && matches!(action, AuthAction::Update { table_name, .. } if is_schema(table_name))
    }

    fn write(&mut self, action: AuthAction<'_>) -> Result<(), String> {
        match action {
            AuthAction::Insert { table_name } | AuthAction::Update { table_name, .. } if is_schema(table_name) => self.schema_rows = true,
            // The engine moves the counter of AUTOINCREMENT when a table is renamed.
            AuthAction::Update { table_name, .. } if self.altered && table_name.eq_ignore_ascii_case("sqlite_sequence") => {}
            AuthAction::Insert { table_name } | AuthAction::Update { table_name, .. } | AuthAction::Delete { table_name }
                if !reserved(&table_name.to_ascii_lowercase()) =>
            {
                self.wrote = true;
            }
            AuthAction::CreateTable { table_name } if !reserved_for_us(table_name) => self.schema = true,
            AuthAction::CreateView { view_name } if !reserved_for_us(view_name) => self.schema = true,
            AuthAction::CreateIndex { .. } => self.schema = true,
            AuthAction::CreateVtable { table_name, module_name }
                if !reserved_for_us(table_name) && MODULES_ALLOWED.contains(&module_name.to_ascii_lowercase().as_str()) =>
            {
                self.schema = true;
            }
            AuthAction::AlterTable { .. } => {
                self.schema = true;
                self.altered = true;
            }
            // The new index is filled.
            AuthAction::Reindex { .. } if self.schema => {}
            other => return Err(class(other)),
        }
        Ok(())
    }
}

fn is_schema(table: &str) -> bool {
    ["sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"].iter().any(|name| table.eq_ignore_ascii_case(name))
}

/// Names (in lower case) that never belong to the agent.
fn reserved(name: &str) -> bool {
    name.starts_with("sqlite_") || name.starts_with("pragma_") || TABLES_DENIED.contains(&name)
}

/// Names an agent could create but not use. `sqlite_` is left to the engine, which makes such tables itself.
pub(super) fn reserved_for_us(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("pragma_") || TABLES_DENIED.contains(&name.as_str())
}

/// What was asked for, in words an agent knows from SQL.
fn class(action: AuthAction<'_>) -> String {
    let word = match action {
        AuthAction::Attach { .. } => "ATTACH",
        AuthAction::Detach { .. } => "DETACH",
        // The agent's own statements cannot name these tables for writing; the engine changes them for whoever adds or drops.
        AuthAction::Insert { table_name } if is_schema(table_name) => "CREATE",
        AuthAction::Update { table_name, .. } if is_schema(table_name) => "ALTER TABLE",
        AuthAction::Delete { table_name } if is_schema(table_name) => "DROP",
        AuthAction::Insert { table_name } if reserved(&table_name.to_ascii_lowercase()) => return format!("writing {table_name}"),
        AuthAction::Update { table_name, .. } if reserved(&table_name.to_ascii_lowercase()) => return format!("writing {table_name}"),
        AuthAction::Delete { table_name } if reserved(&table_name.to_ascii_lowercase()) => return format!("writing {table_name}"),
        AuthAction::Insert { .. } => "INSERT",
        AuthAction::Update { .. } => "UPDATE",
        AuthAction::Delete { .. } => "DELETE",
        AuthAction::CreateTable { .. } => "CREATE TABLE",
        AuthAction::CreateIndex { .. } => "CREATE INDEX",
        AuthAction::CreateView { .. } => "CREATE VIEW",
        AuthAction::CreateTrigger { .. } | AuthAction::CreateTempTrigger { .. } => "CREATE TRIGGER",
        AuthAction::CreateTempTable { .. } | AuthAction::CreateTempIndex { .. } | AuthAction::CreateTempView { .. } => "CREATE TEMP",
        AuthAction::CreateVtable { module_name, .. } => return format!("CREATE VIRTUAL TABLE USING {module_name}"),
        AuthAction::DropTable { .. } | AuthAction::DropTempTable { .. } | AuthAction::DropVtable { .. } => "DROP TABLE",
        AuthAction::DropIndex { .. } | AuthAction::DropTempIndex { .. } => "DROP INDEX",
        AuthAction::DropView { .. } | AuthAction::DropTempView { .. } => "DROP VIEW",
        AuthAction::DropTrigger { .. } | AuthAction::DropTempTrigger { .. } => "DROP TRIGGER",
        AuthAction::AlterTable { .. } => "ALTER TABLE",
        AuthAction::Reindex { .. } => "REINDEX",
        AuthAction::Analyze { .. } => "ANALYZE",
        AuthAction::Savepoint { .. } => "SAVEPOINT",
        AuthAction::Transaction { operation: TransactionOperation::Begin } => "BEGIN",
        AuthAction::Transaction { .. } => "transaction control",
        _ => "this kind of statement",
    };
    word.to_owned()
}
