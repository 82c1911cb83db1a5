//! Statements that are made to last, to grow or to crash.

use std::time::{Duration, Instant};

use bailiwick_model::Code;
use bailiwick_modules::Cancel;
use serde_json::json;

use crate::support::{Agent, open};

/// How long any of them may keep a caller; far above the limit of a statement, far below what they would take.
const PATIENCE: Duration = Duration::from_secs(8);

fn agent(dir: &tempfile::TempDir) -> Agent {
    open("sqlite", "a", None, &json!({ "db_dir": dir.path(), "statement_timeout_ms": 200 }))
}

/// Bombs for `query`, each with the words of its end: `time`, `size` (of a value, or of the statement), or a row or byte limit.
const BOMBS: &[(&str, &str)] = &[
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c", "time"),
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT x + 1 FROM c) SELECT max(x) FROM c", "time"),
    ("WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM c) SELECT x FROM c ORDER BY x DESC", "time"),
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT 1 FROM c WHERE x = 2", "time"),
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT length(group_concat(x)) FROM c", "either"),
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000) SELECT count(*) FROM c a, c b, c d", "time"),
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) OVER (ORDER BY x) FROM c", "time"),
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c", "rows"),
    ("WITH RECURSIVE c(x) AS (SELECT 'a' UNION ALL SELECT x || x FROM c) SELECT length(x) FROM c", "size"),
    ("SELECT printf('%.*c', 3000000, 'a') AS x", "bytes"),
    ("SELECT length(printf('%.*c', 3000000, 'a') || printf('%.*c', 3000000, 'b'))", "size"),
    ("SELECT replace(printf('%.*c', 4000000, 'a'), 'a', 'aa')", "size"),
    ("SELECT replace(printf('%.*c', 4000, 'a'), 'a', printf('%.*c', 4000, 'b'))", "size"),
    ("SELECT hex(printf('%.*c', 4000000, 'a'))", "size"),
    ("SELECT group_concat(printf('%.*c', 1000000, 'a')) FROM json_each('[1,2,3,4,5,6,7,8,9]')", "size"),
    ("SELECT json_group_array(printf('%.*c', 1000000, 'a')) FROM json_each('[1,2,3,4,5,6,7,8,9]')", "size"),
    ("SELECT json_group_object(value, printf('%.*c', 1000000, 'a')) FROM json_each('[1,2,3,4,5,6,7,8,9]')", "size"),
    ("SELECT printf('%.*c', 4000000, 'a') LIKE '%' || printf('%.*c', 990, 'a') || 'b'", "time"),
    ("SELECT printf('%.*c', 4000000, 'a') LIKE '%_' || printf('%.*c', 980, 'a') || 'b%c'", "time"),
    ("SELECT printf('%.*c', 4000000, 'a') GLOB '*' || printf('%.*c', 990, 'a') || 'b'", "time"),
    ("SELECT 'x' LIKE printf('%.*c', 1001, '%')", "size"),
    ("SELECT 'x' GLOB printf('%.*c', 1001, '*')", "size"),
];

/// Statements that would take the engine's own functions minutes and are answered at once here.
const DEFUSED: &[&str] = &[
    "SELECT instr(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'a') || 'b') AS x",
    "SELECT length(replace(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'a') || 'b', '')) AS x",
    "SELECT length(trim(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'b') || 'a')) AS x",
    "SELECT length(rtrim(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'b') || 'a')) AS x",
    "SELECT length(ltrim(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'b') || 'a')) AS x",
    "SELECT length(unhex(printf('%.*c', 4000000, 'z'), printf('%.*c', 2000000, 'y') || 'z')) AS x",
    "SELECT length(printf('%.*c', 2147483647, 'a')) AS x",
    "SELECT length(printf('%5000000d', 1)) AS x",
];

#[tokio::test]
async fn every_bomb_ends_at_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(&dir);
    for (sql, end) in BOMBS {
        let started = Instant::now();
        let fault = agent.call("query", &json!({ "sql": sql })).await.expect_err(sql);
        assert!(started.elapsed() < PATIENCE, "{sql} took {:?}", started.elapsed());
        assert_eq!(fault.code, Code::LimitExceeded, "{sql}: {fault:?}");
        let limit = fault.details.as_ref().map_or("size", |d| d["limit"].as_str().unwrap());
        let wanted = match *end {
            "time" => limit == "statement_timeout_ms",
            "rows" => limit == "max_rows",
            "bytes" => limit == "max_result_bytes",
            "size" => limit == "size",
            _ => true,
        };
        assert!(wanted, "{sql}: {fault:?}");
    }
    for sql in DEFUSED {
        let started = Instant::now();
        assert!(agent.call("query", &json!({ "sql": sql })).await.is_ok(), "{sql}");
        assert!(started.elapsed() < PATIENCE, "{sql} took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn statements_that_are_too_large_are_refused_when_prepared() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(&dir);
    let columns = (0..300).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
    for sql in [
        format!("SELECT {}1{}", "(SELECT ".repeat(200), ")".repeat(200)),
        format!("SELECT {}1", "- ".repeat(500)),
        format!("SELECT 1{}", " + 1".repeat(500)),
        vec!["SELECT 1"; 60].join(" UNION ALL "),
        format!("SELECT {}", vec!["1"; 300].join(", ")),
        format!("SELECT printf({})", vec!["1"; 70].join(", ")),
        format!("SELECT * FROM {}", (0..70).map(|n| format!("(SELECT 1) a{n}")).collect::<Vec<_>>().join(", ")),
    ] {
        let outcome = agent.call("query", &json!({ "sql": sql })).await.unwrap_err();
        assert_eq!(outcome.code, Code::LimitExceeded, "{:.60}: {outcome:?}", sql);
    }
    assert_eq!(agent.code("execute", &json!({ "sql": format!("CREATE TABLE wide({columns})") })).await, Err(Code::LimitExceeded));
}

#[tokio::test]
async fn a_stopped_write_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(&dir);
    agent.call("execute", &json!({ "sql": "CREATE TABLE t(a)" })).await.unwrap();
    let bomb = "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c";
    assert_eq!(agent.code("execute", &json!({ "sql": bomb })).await, Err(Code::LimitExceeded));
    assert_eq!(agent.code("query", &json!({ "sql": "SELECT count(*) AS n FROM t" })).await, Ok(json!([{ "n": 0 }])));
    assert_eq!(agent.code("execute", &json!({ "sql": "INSERT INTO t VALUES(1)" })).await, Ok(json!(1)));
}

#[tokio::test]
async fn deadline_and_cancel_end_a_statement() {
    let dir = tempfile::tempdir().unwrap();
    let agent = open("sqlite", "a", None, &json!({ "db_dir": dir.path(), "statement_timeout_ms": 600_000 }));
    let endless = json!({ "sql": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c" });
    let started = Instant::now();
    let fault = agent.call_until("query", &endless, Instant::now() + Duration::from_millis(50), &Cancel::new()).await.unwrap_err();
    assert_eq!(fault.code, Code::Deadline);
    let cancel = Cancel::new();
    let far = Instant::now() + Duration::from_secs(600);
    let (fault, ()) = tokio::join!(agent.call_until("query", &endless, far, &cancel), async {
        tokio::task::yield_now().await;
        cancel.cancel();
    });
    assert_eq!(fault.unwrap_err().code, Code::Cancelled);
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(agent.code("query", &json!({ "sql": "SELECT 1 AS x" })).await, Ok(json!([{ "x": 1 }])));
}

/// Sorting and collecting go to files once the engine's memory is full: those of one statement are bounded too.
#[tokio::test]
async fn temporary_files_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let config = json!({ "db_dir": dir.path(), "statement_timeout_ms": 60_000, "max_temp_bytes": 8 << 20 });
    let agent = open("sqlite", "a", None, &config);
    agent.call("execute", &json!({ "sql": "CREATE TABLE t(a)" })).await.unwrap();
    let rows = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x || printf('%.*c', 2000, 'a') AS y FROM c";
    for (tool, sql) in [
        ("query", format!("SELECT max(y) FROM (SELECT y FROM ({rows}) ORDER BY y DESC LIMIT -1 OFFSET 1)")),
        ("query", format!("SELECT count(*) FROM (SELECT DISTINCT y FROM ({rows}))")),
        ("query", format!("SELECT count(*) FROM (SELECT y, count(*) FROM ({rows}) GROUP BY y)")),
        ("execute", format!("INSERT INTO t SELECT y FROM ({rows}) ORDER BY y DESC")),
    ] {
        let fault = agent.call(tool, &json!({ "sql": sql })).await.expect_err(&sql);
        assert_eq!(fault.code, Code::LimitExceeded, "{sql}: {fault:?}");
        assert_eq!(fault.details, Some(json!({ "limit": "max_temp_bytes", "value": 8 << 20 })), "{sql}");
        assert!(fault.remedy.contains("WHERE"), "{fault:?}");
    }
    let modest = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000) SELECT count(*) AS n FROM \
                  (SELECT x || printf('%.*c', 2000, 'a') AS y FROM c ORDER BY y DESC LIMIT -1 OFFSET 1)";
    assert_eq!(agent.code("query", &json!({ "sql": modest })).await, Ok(json!([{ "n": 999 }])));
}
