//! Everything that belongs to an organisation, as the database and the disk have it. Which tables these are is found in the schema itself, so a
//! new table is among them.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_testkit::app::App;
use data_encoding::HEXLOWER;
use rusqlite::Connection;

use crate::base::Base;

/// Table or file, and what is in it.
pub(crate) type Rows = BTreeMap<String, Vec<String>>;

/// The columns that say whose a row is.
const OWNER: [&str; 2] = ["tenant_id", "org_id"];
/// Tables of no organisation, and why they have none.
const PLATFORM: [(&str, &str); 11] = [
    ("_sqlx_migrations", "which changes of the schema were made"),
    ("schema_migrations", "the same, on the other database"),
    ("generations", "counters that tell other processes that something has changed; no data"),
    ("platform_keys", "the platform's own key"),
    ("platform_secrets", "the platform's own sealed values"),
    ("event_positions", "how far the index follows a chain that all organisations share"),
    ("ledger_checkpoints", "signed states of that chain"),
    ("ledger_writers", "where that chain stands"),
    ("mcp_servers", "servers that several organisations may share; who sees one stands in `mcp_server_orgs`"),
    ("server_clients", "what the issuer of such a server knows us as"),
    ("ledger_records", "that chain; what organisations see of it is `events`, which has an owner"),
];
/// What may change without anybody's doing: by being used by its owner, or by a look at a server.
const RESTLESS: [(&str, &str); 2] = [("api_keys", "last_used_at"), ("server_probes", "probed_at")];
const NOT_REGISTERED: &str = "nobody can be reached at the registered servers; `store/tests/it/cascades.rs` compares these rows";
/// Tables in which an organisation need not have rows, and why.
const EMPTY: [(&str, &str); 9] = [
    ("platform_admins", "nobody of the organisation is one"),
    ("rate_counters", "the manifest has no rates"),
    ("module_memory", "no module of the manifest remembers anything"),
    ("server_probes", "the servers are asked anew by each start"),
    ("connections", NOT_REGISTERED),
    ("mcp_server_tools", NOT_REGISTERED),
    ("oauth_flows", NOT_REGISTERED),
    ("server_secrets", NOT_REGISTERED),
    ("token_revocations", NOT_REGISTERED),
];

/// All rows of `org`, and all its files.
pub(crate) fn of(base: &Base<'_>, app: &App, org: &str) -> Rows {
    let mut rows = match base {
        Base::Sqlite => sqlite(&app.place().join("state/bailiwick.db"), org),
        Base::Postgres(server, database) => {
            let ask = |sql: &str| server.sql(database, sql).lines().map(str::to_owned).collect();
            postgres(&ask, org)
        }
    };
    // An organisation that is not the installation's own has its files beside the directory that the manifest names.
    for folder in ["files.orgs", "tables.orgs"] {
        files(&app.place().join(folder).join(org), &mut rows);
    }
    rows
}

/// Every table has something to lose.
pub(crate) fn is_full(rows: &Rows) {
    let bare =
        |(name, rows): (&String, &Vec<String>)| (rows.is_empty() && !EMPTY.iter().any(|(known, _)| known == name)).then(|| name.clone());
    let bare: Vec<String> = rows.iter().filter_map(bare).collect();
    assert!(bare.is_empty(), "nothing of the organisation is in {bare:?}: let isolation/fill.rs put something there, or say why not");
    for folder in ["files.orgs", "tables.orgs"] {
        let found = rows.keys().any(|name| name.starts_with("file ") && name.contains(folder));
        assert!(found, "no file of the organisation was found in {folder}");
    }
}

/// The column that says whose a row is; the test ends for a table that has none and is not known.
fn owner<'c>(table: &str, columns: &'c [String]) -> Option<&'c String> {
    let owner = columns.iter().find(|column| OWNER.contains(&column.as_str()));
    let known = PLATFORM.iter().any(|(name, _)| *name == table);
    assert!(owner.is_some() != known, "`{table}` has no owner and is not named in isolation/rows.rs, or has one and is");
    owner
}

fn is_restless(table: &str, column: &str) -> bool {
    RESTLESS.contains(&(table, column))
}

fn sqlite(path: &Path, org: &str) -> Rows {
    let database = Connection::open(path).unwrap();
    let ask = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let tables = ask("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'");
    let mut rows = Rows::new();
    for table in tables {
        let columns = ask(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let Some(owner) = owner(&table, &columns) else { continue };
        let shown: Vec<String> =
            columns.iter().filter(|column| !is_restless(&table, column)).map(|column| format!("quote({column})")).collect();
        let of_table = ask(&format!("SELECT {} AS row FROM {table} WHERE {owner} = '{org}' ORDER BY row", shown.join(" || '|' || ")));
        rows.insert(table, of_table);
    }
    rows
}

fn postgres(ask: &dyn Fn(&str) -> Vec<String>, org: &str) -> Rows {
    let schema = "table_schema = current_schema()";
    let tables = ask(&format!("SELECT table_name FROM information_schema.tables WHERE {schema} AND table_type = 'BASE TABLE'"));
    let mut rows = Rows::new();
    for table in tables {
        let columns = ask(&format!("SELECT column_name FROM information_schema.columns WHERE {schema} AND table_name = '{table}'"));
        let Some(owner) = owner(&table, &columns) else { continue };
        let restless: String = RESTLESS.iter().filter(|(name, _)| *name == table).map(|(_, column)| format!(" - '{column}'")).collect();
        let shown = format!("(to_jsonb(one){restless})::text");
        rows.insert(table.clone(), ask(&format!("SELECT {shown} FROM {table} one WHERE {owner} = '{org}' ORDER BY 1")));
    }
    rows
}

/// Files beneath a directory, byte for byte.
fn files(directory: &Path, rows: &mut Rows) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, rows);
        } else {
            rows.insert(format!("file {}", path.display()), vec![HEXLOWER.encode(&std::fs::read(&path).unwrap())]);
        }
    }
}

/// Ends the test when they differ, and says where.
pub(crate) fn are_the_same(before: &Rows, after: &Rows) {
    for (name, rows) in before {
        let now = after.get(name).unwrap_or_else(|| panic!("`{name}` is gone"));
        let lost: Vec<_> = rows.iter().filter(|row| !now.contains(row)).take(3).collect();
        let new: Vec<_> = now.iter().filter(|row| !rows.contains(row)).take(3).collect();
        assert!(rows == now, "`{name}` of the other organisation has changed\n  lost: {lost:#?}\n  new: {new:#?}");
    }
    let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    assert!(new.is_empty(), "the other organisation has got {new:?}");
}
