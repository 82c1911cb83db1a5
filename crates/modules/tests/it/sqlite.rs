//! What the sqlite tools do for an agent that minds its own database.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bailiwick_model::Code;
use bailiwick_modules::{Access, Cancel};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Agent, mistakes, open, try_open};

struct Desk {
    dir: TempDir,
    agent: Agent,
}

fn desk(extra: Value) -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path(), extra);
    Desk { dir, agent }
}

fn agent(dir: &Path, extra: Value) -> Agent {
    let mut config = json!({ "db_dir": dir });
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    open("sqlite", "a", None, &config)
}

impl Desk {
    async fn query(&self, sql: &str) -> Result<Value, Code> {
        self.agent.code("query", &json!({ "sql": sql })).await
    }

    async fn execute(&self, sql: &str) -> Result<Value, Code> {
        self.agent.code("execute", &json!({ "sql": sql })).await
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("agent_a.db")
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_fresh_agent_reads_an_empty_database() {
    let desk = desk(json!({}));
    assert_eq!(desk.query("SELECT 1 AS one").await, Ok(json!([{ "one": 1 }])));
    assert_eq!(desk.agent.code("list_tables", &json!({})).await, Ok(json!([])));
    assert_eq!(desk.query("SELECT * FROM sqlite_master").await, Ok(json!([])));
    assert_eq!(desk.query("SELECT * FROM t").await, Err(Code::InvalidArgument));
    assert_eq!(desk.query("CREATE TABLE t(a)").await, Err(Code::SqlRefused));
    assert_eq!(desk.query("PRAGMA user_version").await, Err(Code::SqlRefused));
    assert!(!desk.file().exists());
}

#[tokio::test]
async fn rows_are_written_and_read() {
    let desk = desk(json!({}));
    assert_eq!(desk.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)").await, Ok(json!(0)));
    assert_eq!(desk.execute("INSERT INTO t(b) VALUES('x'), ('y'), ('z')").await, Ok(json!(3)));
    assert_eq!(desk.execute("UPDATE t SET b = upper(b) WHERE a > 1").await, Ok(json!(2)));
    assert_eq!(desk.execute("DELETE FROM t WHERE a = 99").await, Ok(json!(0)));
    assert_eq!(desk.execute("CREATE INDEX i ON t(b)").await, Ok(json!(0)));
    assert_eq!(desk.execute("CREATE INDEX IF NOT EXISTS i ON t(b)").await, Ok(json!(0)));
    assert_eq!(desk.execute("CREATE TABLE c AS SELECT * FROM t").await, Ok(json!(0)));
    let rows = desk.query("SELECT a, b FROM t ORDER BY a").await;
    assert_eq!(rows, Ok(json!([{ "a": 1, "b": "x" }, { "a": 2, "b": "Y" }, { "a": 3, "b": "Z" }])));
    assert_eq!(desk.agent.code("list_tables", &json!({})).await, Ok(json!(["c", "t"])));
}

#[tokio::test]
async fn a_changing_statement_can_be_explained_and_is_not_run() {
    let desk = desk(json!({}));
    desk.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)").await.unwrap();
    desk.execute("INSERT INTO t(b) VALUES('x')").await.unwrap();
    for sql in ["DELETE FROM t WHERE a = 1", "UPDATE t SET b = 'y' WHERE a = 1"] {
        let plan = desk.query(&format!("EXPLAIN QUERY PLAN {sql}")).await.unwrap();
        assert!(plan[0]["detail"].as_str().unwrap().contains("SEARCH t"), "{plan}");
    }
    assert_eq!(desk.query("SELECT b FROM t").await, Ok(json!([{ "b": "x" }])));
}

/// <https://sqlite.org/lang_mathfunc.html>
#[tokio::test]
async fn mathematical_functions_are_there() {
    let desk = desk(json!({}));
    for (sql, value) in [
        ("ceil(1.2)", json!(2.0)),
        ("ceiling(-1)", json!(-1)),
        ("floor('7')", json!(7)),
        ("floor('-1.5')", json!(-2.0)),
        ("trunc(-1.9)", json!(-1.0)),
        ("floor('x')", json!(null)),
        ("pi() > 3.14 AND pi() < 3.15", json!(1)),
        ("pow(2, 10)", json!(1024.0)),
        ("power('2', 0.5) = sqrt(2)", json!(1)),
        ("sqrt(-1)", json!(null)),
        ("sqrt('inf')", json!(null)),
        ("ln(0)", json!(null)),
        ("log(100)", json!(2.0)),
        ("log(2, 8)", json!(3.0)),
        ("log2(8)", json!(3.0)),
        ("log(1, 8)", json!(null)),
        ("mod(7.5, 2)", json!(1.5)),
        ("mod(1, 0)", json!(null)),
        ("degrees(pi())", json!(180.0)),
        ("radians(180) = pi()", json!(1)),
        ("round(sin(pi() / 2) + cos(0) + tan(0) + atan2(0, 1) + exp(0), 9)", json!(3.0)),
        ("round(asinh(sinh(1)) + acosh(cosh(1)) + atanh(tanh(0.5)) + asin(0) + acos(1) + atan(0), 9)", json!(2.5)),
        ("sin(NULL)", json!(null)),
    ] {
        assert_eq!(desk.query(&format!("SELECT {sql} AS x")).await, Ok(json!([{ "x": value }])), "{sql}");
    }
}

#[tokio::test]
async fn returning_commits_and_discards_its_rows() {
    let desk = desk(json!({}));
    desk.execute("CREATE TABLE t(a)").await.unwrap();
    assert_eq!(desk.execute("INSERT INTO t VALUES(1), (2), (3) RETURNING a, a * 2").await, Ok(json!(3)));
    assert_eq!(desk.query("SELECT count(*) AS n FROM t").await, Ok(json!([{ "n": 3 }])));
    let other = Connection::open(desk.file()).unwrap();
    assert_eq!(other.execute("INSERT INTO t VALUES(4)", []).unwrap(), 1);
}

#[tokio::test]
async fn the_file_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("x/dbs");
    let module = agent(&inner, json!({}));
    assert_eq!(mode(&inner), 0o700);
    module.call("execute", &json!({ "sql": "CREATE TABLE t(a)" })).await.unwrap();
    assert_eq!(mode(&inner.join("agent_a.db")), 0o600);
    fs::set_permissions(inner.join("agent_a.db"), fs::Permissions::from_mode(0o644)).unwrap();
    agent(&inner, json!({}));
    assert_eq!(mode(&inner.join("agent_a.db")), 0o600);
}

#[tokio::test]
async fn values_keep_their_meaning() {
    let desk = desk(json!({}));
    let rows = desk
        .query("SELECT 9223372036854775807 AS big, -9007199254740993 AS odd, 9e999 AS inf, -9e999 AS ninf, 1.0 AS real, NULL AS n")
        .await;
    assert_eq!(
        rows,
        Ok(json!([{ "big": i64::MAX, "odd": -9_007_199_254_740_993_i64, "inf": null, "ninf": null, "real": 1.0, "n": null }]))
    );
    let rows = desk.query("SELECT x'00ff' AS b, CAST(x'ff41' AS TEXT) AS torn, 'é' AS t, '' AS e").await;
    assert_eq!(rows, Ok(json!([{ "b": { "$base64": "AP8=" }, "torn": { "$base64": "/0E=" }, "t": "é", "e": "" }])));
    let rows = desk.query("SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a").await;
    assert_eq!(rows, Ok(json!([{ "a": 1, "a_3": 2, "a_2": 3, "a_4": 4 }])));
    assert_eq!(desk.query("SELECT 1 AS \"q\"\"\u{1f600}\"").await, Ok(json!([{ "q\"\u{1f600}": 1 }])));
}

#[tokio::test]
async fn columns_come_in_their_order() {
    let desk = desk(json!({}));
    let cancel = Cancel::new();
    let context = crate::support::context(Instant::now() + Duration::from_secs(30), &cancel);
    let output = desk.agent.0.call("query", r#"{"sql":"SELECT 1 AS z, 2 AS a UNION ALL SELECT 3, 4"}"#, context).await.unwrap();
    assert_eq!(output.structured, r#"[{"z":1,"a":2},{"z":3,"a":4}]"#);
    assert_eq!(output.text, None);
}

#[tokio::test]
async fn parameters_are_bound() {
    let desk = desk(json!({}));
    desk.execute("CREATE TABLE t(a, b)").await.unwrap();
    let insert = json!({ "sql": "INSERT INTO t VALUES(?, ?)", "params": ["x'); DROP TABLE t; --", { "$base64": "AP8=" }] });
    assert_eq!(desk.agent.code("execute", &insert).await, Ok(json!(1)));
    let select = json!({ "sql": "SELECT a, hex(b) AS h, ?2 AS n, typeof(?3) AS k, ?4 AS f FROM t WHERE a = ?1",
        "params": ["x'); DROP TABLE t; --", i64::MIN, true, null] });
    let rows = desk.agent.code("query", &select).await;
    assert_eq!(rows, Ok(json!([{ "a": "x'); DROP TABLE t; --", "h": "00FF", "n": i64::MIN, "k": "integer", "f": null }])));
    for (sql, params) in [
        ("SELECT ?", json!([])),
        ("SELECT 1", json!([1])),
        ("SELECT ?", json!([[1]])),
        ("SELECT ?", json!([{ "a": 1 }])),
        ("SELECT ?", json!([u64::MAX])),
        ("SELECT ?2", json!([1])),
    ] {
        assert_eq!(desk.agent.code("query", &json!({ "sql": sql, "params": params })).await, Err(Code::InvalidArgument), "{sql} {params}");
    }
}

#[tokio::test]
async fn tables_are_created_from_names_and_types() {
    let desk = desk(json!({}));
    let create = async |name: &str, columns: Value| desk.agent.code("create_table", &json!({ "name": name, "columns": columns })).await;
    let columns = json!({ "id": "integer  primary\tkey autoincrement", "order": "Text Not Null", "größe": "real", "flag": "boolean", "s": "TEXT DEFAULT ''" });
    assert_eq!(create("select", columns).await, Ok(json!(true)));
    assert_eq!(create("select", json!({ "other": "TEXT" })).await, Ok(json!(true)));
    assert_eq!(create("SELECT", json!({ "other": "TEXT" })).await, Ok(json!(true)));
    assert_eq!(create("данные_1", json!({ "a": "BLOB" })).await, Ok(json!(true)));
    let names = desk.query("SELECT * FROM \"select\"").await;
    assert_eq!(names, Ok(json!([])));
    desk.execute("INSERT INTO \"select\"(\"order\") VALUES('x')").await.unwrap();
    assert_eq!(desk.query("SELECT \"order\", s FROM \"select\"").await, Ok(json!([{ "order": "x", "s": "" }])));
    assert_eq!(desk.agent.code("list_tables", &json!({})).await, Ok(json!(["select", "данные_1"])));
    for (name, columns) in [
        ("t", json!({})),
        ("t", json!({ "a": "VARCHAR(10)" })),
        ("t", json!({ "a": "TEXT, b TEXT" })),
        ("t", json!({ "a": "TEXT DEFAULT 'x'" })),
        ("t", json!({ "a": "" })),
        ("t", json!({ "a": "TEXT", "A": "TEXT" })),
        ("t", json!({ "a b": "TEXT" })),
        ("t", json!({ "": "TEXT" })),
        ("t", json!({ "a\" TEXT); --": "TEXT" })),
        ("t", json!({ "a": 5 })),
        ("", json!({ "a": "TEXT" })),
        ("1t", json!({ "a": "TEXT" })),
        ("t;", json!({ "a": "TEXT" })),
        ("main.t", json!({ "a": "TEXT" })),
        ("t\"x", json!({ "a": "TEXT" })),
        ("sqlite_t", json!({ "a": "TEXT" })),
        ("pragma_t", json!({ "a": "TEXT" })),
        (&"t".repeat(129), json!({ "a": "TEXT" })),
    ] {
        assert_eq!(create(name, columns.clone()).await, Err(Code::InvalidArgument), "{name} {columns}");
    }
}

#[tokio::test]
async fn columns_are_created_in_the_order_given() {
    let desk = desk(json!({}));
    let cancel = Cancel::new();
    let context = crate::support::context(Instant::now() + Duration::from_secs(30), &cancel);
    let text = r#"{"name":"t","columns":{"z":"TEXT","a":"TEXT","m":"TEXT"}}"#;
    assert_eq!(desk.agent.0.call("create_table", text, context).await.unwrap().structured, "true");
    desk.execute("INSERT INTO t VALUES('1', '2', '3')").await.unwrap();
    assert_eq!(desk.query("SELECT z, a, m FROM t").await, Ok(json!([{ "z": "1", "a": "2", "m": "3" }])));
}

#[tokio::test]
async fn limits_have_names_and_are_exact() {
    let desk = desk(json!({ "max_rows": 3, "max_result_bytes": 200 }));
    let rows = |n: u32| format!("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {n}) SELECT x FROM c");
    assert_eq!(desk.query(&rows(3)).await.unwrap().as_array().unwrap().len(), 3);
    let fault = desk.agent.call("query", &json!({ "sql": rows(4) })).await.unwrap_err();
    assert_eq!(fault.details, Some(json!({ "limit": "max_rows", "value": 3 })));
    assert!(fault.message.contains('3') && fault.remedy.contains("LIMIT"), "{fault:?}");
    // `[{"x":"` and `"}]` leave 190.
    assert!(desk.query("SELECT printf('%.*c', 190, 'a') AS x").await.is_ok());
    let fault = desk.agent.call("query", &json!({ "sql": "SELECT printf('%.*c', 194, 'a') AS x" })).await.unwrap_err();
    assert_eq!(fault.details, Some(json!({ "limit": "max_result_bytes", "value": 200 })));
    let long = format!("SELECT '{}'", "x".repeat(65_536));
    assert_eq!(desk.query(&long).await, Err(Code::LimitExceeded));
}

#[tokio::test]
async fn the_database_has_a_largest_size() {
    let desk = desk(json!({ "max_db_bytes": 131_072 }));
    desk.execute("CREATE TABLE t(a)").await.unwrap();
    let mut stored = 0;
    let full = loop {
        match desk.execute("INSERT INTO t VALUES(printf('%.*c', 8000, 'a'))").await {
            Ok(_) => stored += 1,
            Err(code) => break code,
        }
        assert!(stored < 50);
    };
    assert_eq!(full, Code::LimitExceeded);
    assert!(stored > 5 && fs::metadata(desk.file()).unwrap().len() <= 131_072);
    assert_eq!(desk.execute("DELETE FROM t").await, Ok(json!(stored)));
    assert_eq!(desk.execute("INSERT INTO t VALUES(1)").await, Ok(json!(1)));
}

#[tokio::test]
async fn a_lock_of_another_process_is_waited_for_and_then_reported() {
    let desk = desk(json!({ "busy_timeout_ms": 50 }));
    desk.execute("CREATE TABLE t(a)").await.unwrap();
    let other = Connection::open(desk.file()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let fault = desk.agent.call("execute", &json!({ "sql": "INSERT INTO t VALUES(1)" })).await.unwrap_err();
    assert!(fault.code == Code::UpstreamTimeout && fault.code.retryable(), "{fault:?}");
    assert_eq!(desk.query("SELECT * FROM t").await, Err(Code::UpstreamTimeout));
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(desk.execute("INSERT INTO t VALUES(1)").await, Ok(json!(1)));
    assert_eq!(desk.query("SELECT * FROM t").await, Ok(json!([{ "a": 1 }])));
}

/// What a writer killed in the middle of its work leaves behind: a changed file and the journal to undo it.
#[tokio::test]
async fn a_reader_recovers_what_a_killed_writer_left() {
    let desk = desk(json!({}));
    let wreck = tempfile::tempdir().unwrap();
    let path = wreck.path().join("agent_a.db");
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("PRAGMA cache_size = 5; CREATE TABLE t(a); INSERT INTO t VALUES('before');").unwrap();
    writer.execute_batch("BEGIN; UPDATE t SET a = 'during';").unwrap();
    for _ in 0..200 {
        writer.execute("INSERT INTO t VALUES(printf('%.*c', 2000, 'a'))", []).unwrap();
    }
    fs::copy(&path, desk.file()).unwrap();
    fs::copy(path.with_extension("db-journal"), desk.file().with_extension("db-journal")).unwrap();
    assert_eq!(desk.query("SELECT a FROM t").await, Ok(json!([{ "a": "before" }])));
    assert!(!desk.file().with_extension("db-journal").exists());
}

#[tokio::test]
async fn a_replaced_file_is_noticed() {
    let desk = desk(json!({}));
    desk.execute("CREATE TABLE old(a)").await.unwrap();
    assert_eq!(desk.agent.code("list_tables", &json!({})).await, Ok(json!(["old"])));
    fs::remove_file(desk.file()).unwrap();
    assert_eq!(desk.agent.code("list_tables", &json!({})).await, Ok(json!([])));
    desk.execute("CREATE TABLE new(a)").await.unwrap();
    assert_eq!(desk.agent.code("list_tables", &json!({})).await, Ok(json!(["new"])));
}

#[tokio::test]
async fn links_and_special_files_are_no_database() {
    let desk = desk(json!({}));
    let other = desk.dir.path().join("agent_b.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE secret(a)").unwrap();
    let make: [&dyn Fn(); 3] =
        [&|| std::os::unix::fs::symlink(&other, desk.file()).unwrap(), &|| fs::hard_link(&other, desk.file()).unwrap(), &|| {
            rustix::fs::mknodat(rustix::fs::CWD, desk.file(), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap()
        }];
    for (n, make) in make.iter().enumerate() {
        make();
        assert_eq!(desk.agent.code("list_tables", &json!({})).await, Err(Code::Internal), "{n}");
        assert_eq!(desk.execute("CREATE TABLE t(a)").await, Err(Code::Internal), "{n}");
        fs::remove_file(desk.file()).unwrap();
    }
    fs::write(desk.file(), "this is not a database file, but it is long enough to be one".repeat(20)).unwrap();
    let fault = desk.agent.call("query", &json!({ "sql": "SELECT * FROM sqlite_master" })).await.unwrap_err();
    assert_eq!(fault.code, Code::Internal);
    assert!(fault.cause.is_some() && !fault.message.contains("agent_a"), "{fault:?}");
}

#[tokio::test]
async fn agents_whose_names_begin_alike_never_meet() {
    let dir = tempfile::tempdir().unwrap();
    let ids = ["a", "a-", "a-b", "ab"];
    let agents = ids.map(|id| open("sqlite", id, None, &json!({ "db_dir": dir.path() })));
    for (agent, id) in agents.iter().zip(ids) {
        agent.call("create_table", &json!({ "name": format!("of_{}", id.replace('-', "_")), "columns": { "a": "TEXT" } })).await.unwrap();
    }
    for (agent, id) in agents.iter().zip(ids) {
        assert_eq!(agent.code("list_tables", &json!({})).await, Ok(json!([format!("of_{}", id.replace('-', "_"))])));
        assert!(dir.path().join(format!("agent_{id}.db")).exists());
    }
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let desk = std::sync::Arc::new(desk(json!({})));
    desk.execute("CREATE TABLE t(a)").await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..60 {
        let desk = std::sync::Arc::clone(&desk);
        calls.spawn(async move {
            if n % 3 == 0 { desk.execute("INSERT INTO t VALUES(1)").await } else { desk.query("SELECT count(*) AS n FROM t").await }
        });
    }
    while let Some(outcome) = calls.join_next().await {
        assert!(outcome.unwrap().is_ok());
    }
    assert_eq!(desk.query("SELECT count(*) AS n FROM t").await, Ok(json!([{ "n": 20 }])));
    desk.agent.0.close().await;
    assert_eq!(desk.query("SELECT count(*) AS n FROM t").await, Ok(json!([{ "n": 20 }])));
}

#[tokio::test]
async fn the_mode_decides_what_is_offered() {
    let dir = tempfile::tempdir().unwrap();
    let names = |access| open("sqlite", "a", access, &json!({ "db_dir": dir.path() }));
    let reader = names(Some(Access::Read));
    assert_eq!(reader.0.tools().iter().map(|t| t.name.as_ref()).collect::<Vec<_>>(), ["query", "list_tables"]);
    for tool in ["execute", "create_table", "drop"] {
        assert_eq!(reader.code(tool, &json!({ "sql": "DELETE FROM t" })).await, Err(Code::PolicyDenied));
        assert_eq!(reader.0.confine(tool, "{}").map_err(|f| f.code), Err(Code::PolicyDenied));
    }
    assert_eq!(names(None).0.tools().len(), 4);
    assert_eq!(names(Some(Access::Write)).0.tools().len(), 4);
}

#[test]
fn configuration_faults_name_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("file"), "").unwrap();
    for (config, key) in [
        (json!({}), "db_dir"),
        (json!({ "db_path": "x" }), "db_path"),
        (json!({ "db_dir": at, "db_path": "x" }), "db_path"),
        (json!({ "db_dir": at.join("file") }), "db_dir"),
        (json!({ "db_dir": at, "max_row": 5 }), "max_row"),
        (json!({ "db_dir": at, "max_rows": 0 }), "max_rows"),
        (json!({ "db_dir": at, "max_result_bytes": 1_000_000_000 }), "max_result_bytes"),
        (json!({ "db_dir": at, "statement_timeout_ms": 0 }), "statement_timeout_ms"),
        (json!({ "db_dir": at, "max_db_bytes": 1 }), "max_db_bytes"),
        (json!({ "db_dir": at, "busy_timeout_ms": "2s" }), "busy_timeout_ms"),
    ] {
        let fault = try_open("sqlite", "a", None, &config).err().unwrap();
        assert_eq!(fault.key.as_deref(), Some(key), "{config}");
    }
    // What needs no disk to see is found by `validate`, too.
    let all = json!({ "db_dir": at, "max_rows": 0, "max_result_bytes": 9 << 20, "statement_timeout_ms": 0, "max_db_bytes": 1, "busy_timeout_ms": 60_001 });
    let keys = ["max_rows", "max_result_bytes", "statement_timeout_ms", "max_db_bytes", "busy_timeout_ms"];
    assert_eq!(mistakes("sqlite", &all, &[]), keys);
    assert!(mistakes("sqlite", &json!({ "db_dir": at }), &[]).is_empty());
    let hint = try_open("sqlite", "a", None, &json!({ "db_path": "x" })).err().unwrap();
    assert!(hint.remedy.contains("db_dir"));
}
