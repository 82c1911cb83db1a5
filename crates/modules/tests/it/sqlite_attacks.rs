//! The table of statements: what each means to `query` and `execute`, and that nothing else is ever touched.

use std::fs;
use std::path::Path;
use std::time::Instant;

use bailiwick_model::Code;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Agent, open};

const CANARY: &str = "CANARY-93be";

/// The schema every statement meets.
const SCHEMA: &str = "
    CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, n REAL, b BLOB);
    INSERT INTO t(name, n, b) VALUES('ann', 1.5, x'00ff'), ('bob', 2, NULL), ('cat', -3, 'x');
    CREATE TABLE plain(a, b);
    INSERT INTO plain VALUES(1, 'one'), (2, 'two');
    CREATE INDEX plain_a ON plain(a);
    CREATE VIEW v AS SELECT name, n FROM t WHERE n > 0;
    CREATE VIRTUAL TABLE docs USING fts5(body);
    INSERT INTO docs VALUES('the quick brown fox'), ('a lazy dog');
    CREATE VIRTUAL TABLE boxes USING rtree(id, x1, x2);
    INSERT INTO boxes VALUES(1, 0, 10), (2, 20, 30);
    ANALYZE;
";

/// Statement, then the verdicts of `query` and `execute`: `+` done, `R` sql_refused, `I` invalid_argument, `L` limit_exceeded.
/// `{other}` is the file of another agent, `{out}` a file that must not come into being.
const STATEMENTS: &[(&str, &str)] = &[
    // Reading.
    ("SELECT 1", "+R"),
    ("select * from t", "+R"),
    ("SELECT name, count(*) FROM t GROUP BY name HAVING count(*) > 0 ORDER BY 1 LIMIT 5 OFFSET 0", "+R"),
    ("SELECT a.name, b.b FROM t a LEFT JOIN plain b ON a.id = b.a", "+R"),
    ("SELECT * FROM v", "+R"),
    ("SELECT * FROM main.t", "+R"),
    ("SELECT \"name\" FROM [t] WHERE `n` > 1", "+R"),
    ("SELECT name FROM sqlite_master", "+R"),
    ("SELECT sql FROM sqlite_schema WHERE type = 'table'", "+R"),
    ("VALUES (1, 2), (3, 4)", "+R"),
    ("SELECT 1 UNION SELECT 2", "+R"),
    ("SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT 4", "+R"),
    ("WITH x AS (SELECT 1 AS a) SELECT a FROM x", "+R"),
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100) SELECT sum(x) FROM c", "+R"),
    ("SELECT row_number() OVER (ORDER BY id) FROM t", "+R"),
    ("SELECT name FROM t WHERE id IN (SELECT a FROM plain)", "+R"),
    ("SELECT EXISTS(SELECT 1 FROM t)", "+R"),
    ("SELECT CASE WHEN 1 THEN 'a' ELSE 'b' END", "+R"),
    ("SELECT CAST('5' AS INTEGER)", "+R"),
    ("SELECT date('now'), strftime('%Y', 0, 'unixepoch')", "+R"),
    ("SELECT abs(-1), round(1.5), upper('a'), substr('abc', 2), coalesce(NULL, 1), hex('a'), quote('x')", "+R"),
    ("SELECT instr('abc', 'b'), replace('abc', 'b', 'x'), trim('  a '), trim('xax', 'x'), printf('%05d', 7)", "+R"),
    ("SELECT group_concat(name, ','), json_group_array(name), json_group_object(name, n), total(n) FROM t", "+R"),
    ("SELECT json_extract('{\"a\":[1,2]}', '$.a[1]'), '{\"a\":1}' ->> 'a', json_array(1, 2), json_valid('x')", "+R"),
    ("SELECT value FROM json_each('[1,2,3]')", "+R"),
    ("SELECT key, fullkey FROM json_tree('{\"a\":{\"b\":1}}')", "+R"),
    ("SELECT name FROM t WHERE name LIKE 'a%' OR name GLOB '[bc]*'", "+R"),
    ("SELECT name FROM t WHERE name LIKE 'a\\_%' ESCAPE '\\'", "+R"),
    ("SELECT body FROM docs WHERE docs MATCH 'quick'", "+R"),
    ("SELECT highlight(docs, 0, '[', ']'), bm25(docs) FROM docs WHERE docs MATCH 'dog' ORDER BY rank", "+R"),
    ("SELECT count(*) FROM boxes", "+R"),
    ("INSERT INTO boxes_node VALUES(9, x'00')", "RR"),
    ("SELECT id FROM boxes WHERE x1 <= 5 AND x2 >= 5", "+R"),
    ("SELECT random(), last_insert_rowid(), changes(), total_changes(), sqlite_version(), sqlite_source_id()", "+R"),
    ("SELECT typeof(b), length(b) FROM t", "+R"),
    ("SELECT name COLLATE NOCASE FROM t ORDER BY name COLLATE NOCASE DESC NULLS LAST", "+R"),
    ("SELECT 9223372036854775807, 9e999, -9e999, 0.1, NULL, x'ff'", "+R"),
    ("EXPLAIN QUERY PLAN SELECT * FROM t WHERE id = 1", "+R"),
    ("EXPLAIN SELECT 1", "+R"),
    ("SELECT 1;", "+R"),
    ("SELECT 1;;", "+R"),
    (";SELECT 1", "+R"),
    ("SELECT 1; -- done", "+R"),
    ("SELECT 1 /* a */ ; /* b */ -- c\n ; ", "+R"),
    ("-- first\nSELECT 1", "+R"),
    ("/* x; DROP TABLE t */ SELECT 1", "+R"),
    ("SELECT ';' || '--' || '/*'", "+R"),
    ("SELECT 'DROP TABLE t; ATTACH x'", "+R"),
    ("SELECT \"pragma\" FROM (SELECT 1 AS \"pragma\")", "+R"),
    ("SELECT 1 /* open", "+R"),
    ("\u{feff}SELECT 1", "+R"),
    // Nothing, or not SQL.
    ("", "II"),
    (" \n\t", "II"),
    (";", "II"),
    (";;;", "II"),
    ("-- only a comment", "II"),
    ("/* only a comment */", "II"),
    ("SELEC 1", "II"),
    ("SELECT", "II"),
    ("SELECT * FROM missing", "II"),
    ("SELECT missing FROM t", "II"),
    ("SELECT nosuch(1)", "II"),
    ("SELECT 'open", "II"),
    ("INSERT INTO missing VALUES(1)", "II"),
    ("INSERT INTO t(missing) VALUES(1)", "RI"),
    ("SELECT 1\0; DROP TABLE t", "II"),
    ("SELECT 'a\0b'", "II"),
    ("\\d t", "II"),
    (".tables", "II"),
    (".shell id", "II"),
    (".load /tmp/x.so", "II"),
    ("SHOW TABLES", "II"),
    ("COPY t TO PROGRAM 'id'", "II"),
    ("SELECT ?", "IR"),
    ("SELECT ?1, :a, @b, $c", "IR"),
    ("SELECT pg_sleep(10)", "II"),
    // Several statements.
    ("SELECT 1; SELECT 2", "RR"),
    ("SELECT 1;SELECT 2;", "RR"),
    ("SELECT 1; DROP TABLE t", "RR"),
    ("SELECT 1;\n-- x\nDELETE FROM t", "RR"),
    ("SELECT 1; nonsense", "RR"),
    ("SELECT 1; 'open", "RR"),
    ("INSERT INTO plain VALUES(9, 9); DROP TABLE t", "RR"),
    ("INSERT INTO plain VALUES(9, 9); INSERT INTO plain VALUES(8, 8)", "RR"),
    ("SELECT 1;/**/ATTACH '{other}' AS o", "RR"),
    ("BEGIN; DELETE FROM t; COMMIT", "RR"),
    ("; ; SELECT 1 ; ; SELECT 2", "RR"),
    // Changing rows.
    ("INSERT INTO plain VALUES(3, 'three')", "R+"),
    ("INSERT INTO plain(a) VALUES(3), (4), (5)", "R+"),
    ("INSERT INTO plain SELECT id, name FROM t", "R+"),
    ("INSERT INTO plain DEFAULT VALUES", "R+"),
    ("INSERT OR IGNORE INTO t(name) VALUES('ann')", "R+"),
    ("INSERT OR REPLACE INTO t(id, name) VALUES(1, 'new')", "R+"),
    ("REPLACE INTO t(id, name) VALUES(1, 'new')", "R+"),
    ("INSERT INTO t(name) VALUES('ann') ON CONFLICT(name) DO UPDATE SET n = 9", "R+"),
    ("INSERT INTO t(name) VALUES('ann') ON CONFLICT DO NOTHING", "R+"),
    ("INSERT INTO t(name) VALUES('dora') RETURNING id", "R+"),
    ("UPDATE t SET n = n + 1", "R+"),
    ("UPDATE t SET n = 0 WHERE id = 1 RETURNING *", "R+"),
    ("UPDATE plain SET b = t.name FROM t WHERE t.id = plain.a", "R+"),
    ("UPDATE OR IGNORE t SET name = 'x'", "R+"),
    ("DELETE FROM plain", "R+"),
    ("DELETE FROM t WHERE id = 1", "R+"),
    ("DELETE FROM t WHERE id IN (SELECT id FROM t LIMIT 1)", "R+"),
    ("WITH x AS (SELECT 7 AS a) INSERT INTO plain SELECT a, a FROM x", "R+"),
    ("WITH x AS (SELECT 1 AS a) DELETE FROM plain WHERE a IN (SELECT a FROM x)", "R+"),
    ("WITH x AS (SELECT 1 AS a) UPDATE plain SET b = 0 WHERE a IN (SELECT a FROM x)", "R+"),
    ("INSERT INTO docs VALUES('new words')", "R+"),
    ("DELETE FROM docs WHERE docs MATCH 'dog'", "R+"),
    ("INSERT INTO docs(docs) VALUES('optimize')", "R+"),
    ("UPDATE boxes SET x2 = 11 WHERE id = 1", "R+"),
    ("DELETE FROM t;", "R+"),
    ("DELETE FROM t -- all", "R+"),
    ("INSERT INTO t(id, name) VALUES(1, 'again')", "RI"),
    ("INSERT INTO t(id) VALUES('text')", "RI"),
    ("INSERT INTO v VALUES('x', 1)", "RI"),
    ("EXPLAIN DELETE FROM t", "+R"),
    ("EXPLAIN QUERY PLAN DELETE FROM t", "+R"),
    ("EXPLAIN QUERY PLAN DELETE FROM sqlite_schema", "RR"),
    ("EXPLAIN QUERY PLAN DROP TABLE t", "RR"),
    ("EXPLAIN QUERY PLAN VACUUM", "RR"),
    // Adding to the schema.
    ("CREATE TABLE fresh(a INTEGER PRIMARY KEY, b TEXT DEFAULT 'x' CHECK(length(b) < 9), c AS (a + 1))", "R+"),
    ("CREATE TABLE IF NOT EXISTS t(a)", "R+"),
    ("CREATE TABLE copied AS SELECT * FROM t", "R+"),
    ("CREATE TABLE strict_one(a INTEGER, b TEXT) STRICT", "R+"),
    ("CREATE TABLE keyed(a TEXT PRIMARY KEY, b UNIQUE) WITHOUT ROWID", "R+"),
    ("CREATE TABLE child(t_id INTEGER REFERENCES t(id) ON DELETE CASCADE)", "R+"),
    ("CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT)", "R+"),
    ("CREATE TABLE main.fresh(a)", "R+"),
    ("CREATE INDEX t_n ON t(n)", "R+"),
    ("CREATE UNIQUE INDEX t_u ON t(lower(name)) WHERE n > 0", "R+"),
    ("CREATE INDEX IF NOT EXISTS plain_a ON plain(a)", "R+"),
    ("CREATE VIEW w AS SELECT a FROM plain", "R+"),
    ("CREATE VIEW IF NOT EXISTS v AS SELECT 1", "R+"),
    ("ALTER TABLE plain ADD COLUMN c", "R+"),
    ("ALTER TABLE plain ADD COLUMN d INTEGER NOT NULL DEFAULT 0", "R+"),
    ("ALTER TABLE plain ADD COLUMN e CHECK(e IS NULL OR e > 0)", "R+"),
    ("ALTER TABLE plain RENAME COLUMN a TO aa", "R+"),
    ("ALTER TABLE plain RENAME TO plainer", "R+"),
    ("ALTER TABLE t RENAME TO people", "R+"),
    ("ALTER TABLE t RENAME COLUMN name TO title", "R+"),
    ("CREATE VIRTUAL TABLE words USING fts5(a, b)", "R+"),
    ("CREATE VIRTUAL TABLE areas USING rtree(id, x1, x2)", "R+"),
    ("CREATE TABLE t(a)", "RI"),
    ("CREATE TABLE twice(a, a)", "RI"),
    ("CREATE TABLE x(a, b AS (json_patch(a, a)))", "RR"),
    ("CREATE TABLE x(a, b AS (json_pretty(a)) STORED)", "RR"),
    ("CREATE TABLE x(a CHECK(load_extension(a)))", "RR"),
    ("CREATE INDEX x ON plain(json_patch(a, b))", "RR"),
    ("CREATE VIEW x AS SELECT load_extension('x')", "R+"),
    // Taking from the schema, or more than is given.
    ("DROP TABLE t", "RR"),
    ("DROP TABLE IF EXISTS t", "RR"),
    ("DROP TABLE IF EXISTS missing", "RR"),
    ("DROP INDEX plain_a", "RR"),
    ("DROP VIEW v", "RR"),
    ("DROP TABLE docs", "RR"),
    ("ALTER TABLE plain DROP COLUMN b", "RR"),
    ("CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM plain; END", "RR"),
    ("CREATE TRIGGER IF NOT EXISTS g AFTER INSERT ON t BEGIN SELECT 1; END", "RR"),
    ("CREATE TEMP TABLE x(a)", "RR"),
    ("CREATE TEMPORARY TABLE x AS SELECT 1", "RR"),
    ("CREATE TABLE temp.x(a)", "RR"),
    ("CREATE TEMP VIEW x AS SELECT 1", "RR"),
    ("CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END", "RR"),
    ("CREATE VIRTUAL TABLE x USING fts3(a)", "RR"),
    ("CREATE VIRTUAL TABLE x USING fts4(a)", "RR"),
    ("CREATE VIRTUAL TABLE x USING fts5vocab(docs, row)", "RR"),
    ("CREATE VIRTUAL TABLE x USING dbstat", "RR"),
    ("CREATE VIRTUAL TABLE x USING csv(filename='/etc/passwd')", "RR"),
    ("CREATE VIRTUAL TABLE temp.x USING fts5(a)", "RR"),
    ("CREATE TABLE pragma_x(a)", "RR"),
    ("CREATE TABLE dbstat(a)", "RR"),
    ("CREATE TABLE sqlite_x(a)", "II"),
    ("REINDEX", "RR"),
    ("REINDEX t", "RR"),
    ("ANALYZE", "RR"),
    ("ANALYZE t", "RR"),
    ("VACUUM", "RR"),
    ("VACUUM main", "RR"),
    ("VACUUM INTO '{out}'", "RR"),
    ("/* x */ VACUUM main INTO '{out}' -- y", "RR"),
    ("VACUUM INTO 'file:{out}?mode=rwc'", "RR"),
    ("BEGIN", "RR"),
    ("BEGIN IMMEDIATE", "RR"),
    ("BEGIN EXCLUSIVE TRANSACTION", "RR"),
    ("COMMIT", "RR"),
    ("END", "RR"),
    ("ROLLBACK", "RR"),
    ("SAVEPOINT s", "RR"),
    ("RELEASE s", "RR"),
    ("ROLLBACK TO s", "RR"),
    ("ATTACH '{other}' AS o", "RR"),
    ("ATTACH DATABASE '{out}' AS o", "RR"),
    ("ATTACH ':memory:' AS o", "RR"),
    ("ATTACH 'file:{other}?mode=ro' AS o", "RR"),
    ("ATTACH '/dev/shm/x' AS o KEY 'k'", "RR"),
    ("EXPLAIN ATTACH '{out}' AS o", "RR"),
    ("DETACH main", "RR"),
    // Pragmas, as statements and as tables.
    ("PRAGMA user_version", "RR"),
    ("PRAGMA user_version = 5", "RR"),
    ("PRAGMA table_info(t)", "RR"),
    ("PRAGMA main.table_info('t')", "RR"),
    ("PRAGMA query_only = OFF", "RR"),
    ("PRAGMA writable_schema = ON", "RR"),
    ("PRAGMA writable_schema = RESET", "RR"),
    ("PRAGMA journal_mode = WAL", "RR"),
    ("PRAGMA journal_mode = OFF", "RR"),
    ("PRAGMA trusted_schema = ON", "RR"),
    ("PRAGMA max_page_count = 4294967294", "RR"),
    ("PRAGMA temp_store_directory = '/tmp'", "RR"),
    ("PRAGMA data_version", "RR"),
    ("PRAGMA quick_check", "RR"),
    ("PRAGMA integrity_check", "RR"),
    ("PRAGMA wal_checkpoint(TRUNCATE)", "RR"),
    ("PRAGMA optimize", "RR"),
    ("PRAGMA hard_heap_limit = 1", "RR"),
    ("PRAGMA database_list", "RR"),
    ("EXPLAIN PRAGMA user_version", "RR"),
    ("SELECT * FROM pragma_table_info('t')", "RR"),
    ("SELECT * FROM pragma_table_xinfo('t')", "RR"),
    ("SELECT * FROM pragma_table_list", "RR"),
    ("SELECT * FROM pragma_index_list('t')", "RR"),
    ("SELECT * FROM pragma_database_list", "RR"),
    ("SELECT file FROM pragma_database_list()", "RR"),
    ("SELECT * FROM pragma_compile_options", "RR"),
    ("SELECT * FROM pragma_function_list", "RR"),
    ("SELECT * FROM pragma_module_list", "RR"),
    ("SELECT * FROM pragma_data_version", "RR"),
    ("SELECT * FROM pragma_user_version", "RR"),
    ("SELECT * FROM pragma_integrity_check", "RR"),
    ("SELECT * FROM PRAGMA_TABLE_INFO('t')", "RR"),
    ("SELECT * FROM main.pragma_table_info('t')", "RR"),
    ("SELECT count(*) FROM pragma_table_info('t')", "RR"),
    ("SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM pragma_user_version)", "RR"),
    ("WITH x AS (SELECT * FROM pragma_database_list) SELECT * FROM x", "RR"),
    ("INSERT INTO plain SELECT seq, file FROM pragma_database_list", "RR"),
    ("CREATE VIEW p AS SELECT * FROM pragma_database_list", "R+"),
    // The engine's own tables.
    ("INSERT INTO sqlite_master VALUES('table', 'x', 'x', 0, 'CREATE TABLE x(a)')", "RR"),
    ("UPDATE sqlite_master SET sql = 'CREATE TABLE t(x)' WHERE name = 't'", "RR"),
    ("UPDATE sqlite_schema SET rootpage = 2", "RR"),
    ("DELETE FROM sqlite_master", "RR"),
    ("DELETE FROM sqlite_schema WHERE name = 't'", "RR"),
    ("INSERT INTO sqlite_temp_master VALUES('table', 'x', 'x', 0, '')", "RR"),
    ("SELECT * FROM sqlite_temp_master", "RR"),
    ("SELECT * FROM sqlite_sequence", "RR"),
    ("UPDATE sqlite_sequence SET seq = 0", "RR"),
    ("DELETE FROM sqlite_sequence", "RR"),
    ("SELECT * FROM sqlite_stat1", "+R"),
    ("INSERT INTO sqlite_stat1 VALUES('t', NULL, '1')", "RR"),
    ("DELETE FROM sqlite_stat4", "RR"),
    ("DROP TABLE sqlite_sequence", "RR"),
    ("ALTER TABLE sqlite_sequence RENAME TO s", "RR"),
    ("ALTER TABLE sqlite_master ADD COLUMN x", "RR"),
    ("INSERT INTO docs_data VALUES(1, x'00')", "RR"),
    ("DELETE FROM boxes_node", "RR"),
    ("UPDATE docs_config SET v = 1", "RR"),
    ("CREATE INDEX i ON sqlite_master(name)", "RR"),
    ("WITH x AS (SELECT 1) UPDATE sqlite_master SET name = name", "RR"),
    ("INSERT INTO plain SELECT 1, 2 FROM sqlite_sequence", "RR"),
    ("SELECT * FROM dbstat", "RR"),
    ("SELECT name, pgsize FROM main.dbstat", "RR"),
    ("SELECT * FROM bytecode('SELECT 1')", "II"),
    ("SELECT * FROM sqlite_dbpage", "II"),
    ("SELECT * FROM sqlite_stmt", "II"),
    // Functions that reach out.
    ("SELECT load_extension('/tmp/x.so')", "RR"),
    ("SELECT load_extension('/tmp/x.so', 'entry')", "RR"),
    ("SELECT LOAD_EXTENSION('x')", "RR"),
    ("SELECT \"load_extension\"('x')", "RR"),
    ("INSERT INTO plain VALUES(load_extension('x'), 1)", "RR"),
    ("SELECT readfile('/etc/passwd')", "II"),
    ("SELECT writefile('{out}', 'x')", "II"),
    ("SELECT edit('x', 'vi')", "II"),
    ("SELECT fts3_tokenizer('simple')", "RR"),
    ("SELECT fts3_tokenizer('simple', x'4141414141414141')", "RR"),
    ("SELECT zeroblob(1000000000)", "RR"),
    ("INSERT INTO plain VALUES(zeroblob(1000000), 1)", "RR"),
    ("SELECT randomblob(1000000000)", "RR"),
    ("SELECT sqlite_compileoption_get(1)", "RR"),
    ("SELECT sqlite_log(1, 'x')", "RR"),
    ("SELECT rtreecheck('boxes')", "RR"),
    ("SELECT json_patch('{}', '{}')", "RR"),
    ("SELECT json_pretty('[]')", "RR"),
    ("SELECT eval('SELECT 1')", "II"),
    ("SELECT sqlite_rename_table('main', 't', 't', 'x', 'y', 0)", "II"),
];

/// A database directory with the agent's file, the file of another agent and nothing else.
struct World {
    dir: TempDir,
    agent: Agent,
}

impl World {
    fn new(template: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(template, dir.path().join("agent_a.db")).unwrap();
        fs::copy(template, dir.path().join("agent_a-b.db")).unwrap();
        let agent = open("sqlite", "a", None, &json!({ "db_dir": dir.path() }));
        Self { dir, agent }
    }

    fn expand(&self, template: &str) -> String {
        let dir = self.dir.path().to_str().unwrap();
        template.replace("{other}", &format!("{dir}/agent_a-b.db")).replace("{out}", &format!("{dir}/out.db"))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn template() -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("template.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection.execute("INSERT INTO plain VALUES(99, ?1)", [CANARY]).unwrap();
    connection.execute("DELETE FROM plain WHERE a = 99 AND b <> ?1", [CANARY]).unwrap();
    (dir, path)
}

fn letter(outcome: &Result<Value, Code>) -> char {
    match outcome {
        Ok(_) => '+',
        Err(Code::SqlRefused) => 'R',
        Err(Code::InvalidArgument) => 'I',
        Err(Code::LimitExceeded) => 'L',
        Err(_) => '?',
    }
}

#[tokio::test]
async fn every_statement_gets_its_verdict_and_nothing_else_changes() {
    let (_dir, template) = template();
    let untouched = fs::read(&template).unwrap();
    let mut wrong = Vec::new();
    for (statement, verdicts) in STATEMENTS {
        let mut seen = String::new();
        let mut told = Vec::new();
        for tool in ["query", "execute"] {
            let world = World::new(&template);
            let sql = world.expand(statement);
            let started = Instant::now();
            let outcome = world.agent.call(tool, &json!({ "sql": sql })).await;
            assert!(started.elapsed().as_secs() < 5, "{tool} {statement:?} hangs");
            let letter = letter(&outcome.clone().map_err(|f| f.code));
            seen.push(letter);
            told.extend(outcome.as_ref().err().map(|f| (f.message.clone(), f.cause.clone())));
            assert_eq!(world.names(), ["agent_a-b.db", "agent_a.db"], "{tool} {statement:?} leaves a file");
            assert!(
                fs::read(world.dir.path().join("agent_a-b.db")).unwrap() == untouched,
                "{tool} {statement:?} changes another agent's file"
            );
            if tool == "query" || letter != '+' {
                assert!(fs::read(world.dir.path().join("agent_a.db")).unwrap() == untouched, "{tool} {statement:?} changes the file");
            }
            if let Err(fault) = outcome {
                let shown = format!("{} {} {:?}", fault.message, fault.remedy, fault.details);
                assert!(!shown.contains(world.dir.path().to_str().unwrap()) || sql.contains(world.dir.path().to_str().unwrap()), "{shown}");
                assert!(!shown.contains('\u{1b}') && !fault.remedy.is_empty(), "{statement:?}: {shown}");
            }
        }
        if seen != *verdicts {
            wrong.push(format!("{statement:?}: {seen}, not {verdicts}: {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(STATEMENTS.len() >= 150);
}

/// Nothing the engine brings along is forgotten: every pragma, pragma table, virtual table and function of this build.
#[tokio::test]
async fn nothing_of_the_engine_is_open_by_oversight() {
    let (_dir, template) = template();
    let world = World::new(&template);
    let engine = Connection::open_in_memory().unwrap();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = engine.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let pragmas = names("SELECT name FROM pragma_pragma_list");
    assert!(pragmas.len() > 40);
    for pragma in pragmas {
        for sql in [
            format!("PRAGMA {pragma}"),
            format!("PRAGMA {pragma} = 1"),
            format!("PRAGMA {pragma}(1)"),
            format!("SELECT * FROM pragma_{pragma}"),
        ] {
            for tool in ["query", "execute"] {
                let outcome = world.agent.code(tool, &json!({ "sql": sql })).await;
                // Not every pragma has a table.
                let no_table = sql.starts_with("SELECT") && outcome == Err(Code::InvalidArgument);
                assert!(outcome == Err(Code::SqlRefused) || no_table, "{tool} {sql}: {outcome:?}");
            }
        }
    }
    let modules = names("SELECT DISTINCT name FROM pragma_module_list");
    assert!(modules.iter().any(|m| m == "fts5") && modules.iter().any(|m| m == "dbstat"), "{modules:?}");
    for module in modules {
        let outcome = world.agent.code("query", &json!({ "sql": format!("SELECT * FROM \"{module}\"") })).await;
        let allowed = ["json_each", "json_tree"].contains(&module.as_str());
        assert_eq!(outcome.is_ok(), allowed, "{module}: {outcome:?}");
        let outcome =
            world.agent.code("execute", &json!({ "sql": format!("CREATE VIRTUAL TABLE x_{module} USING \"{module}\"(a, b, c)") })).await;
        let allowed = ["fts5", "rtree", "rtree_i32"].contains(&module.as_str());
        assert_eq!(outcome.is_ok(), allowed, "{module}: {outcome:?}");
    }
    let denied = [
        "edit",
        "fts3_tokenizer",
        "json_patch",
        "json_pretty",
        "jsonb_group_array",
        "jsonb_group_object",
        "jsonb_patch",
        "load_extension",
        "randomblob",
        "readfile",
        "rtreecheck",
        "sqlite_compileoption_get",
        "sqlite_compileoption_used",
        "sqlite_log",
        "writefile",
        "zeroblob",
    ];
    for function in names("SELECT DISTINCT name FROM pragma_function_list WHERE name GLOB '[a-z]*'") {
        let mut refused = false;
        for arguments in ["", "1", "1, 1", "1, 1, 1"] {
            let sql = format!("SELECT \"{function}\"({arguments})");
            refused |= world.agent.code("query", &json!({ "sql": sql })).await == Err(Code::SqlRefused);
        }
        assert_eq!(refused, denied.contains(&function.as_str()), "{function}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_class() {
    let (_dir, template) = template();
    let world = World::new(&template);
    for (tool, sql, word) in [
        ("query", "DELETE FROM t", "DELETE"),
        ("query", "INSERT INTO t(name) VALUES('x')", "INSERT"),
        ("query", "VACUUM INTO 'x'", "VACUUM"),
        ("execute", "VACUUM", "VACUUM"),
        ("execute", "SELECT 1", "SELECT"),
        ("execute", "VALUES(1)", "VALUES"),
        ("execute", "DROP TABLE t", "DROP"),
        ("execute", "ALTER TABLE plain DROP COLUMN b", "ALTER TABLE DROP COLUMN"),
        ("execute", "CREATE TABLE temp.x(a)", "CREATE TEMP"),
        ("execute", "PRAGMA user_version", "PRAGMA"),
        ("execute", "ATTACH 'x' AS y", "ATTACH"),
        ("execute", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END", "CREATE TRIGGER"),
        ("execute", "BEGIN", "BEGIN"),
        ("execute", "SELECT 1; SELECT 2", "one statement per call"),
        ("query", "SELECT load_extension('x')", "load_extension"),
    ] {
        let fault = world.agent.call(tool, &json!({ "sql": sql })).await.unwrap_err();
        assert!(fault.code == Code::SqlRefused && fault.message.contains(word), "{sql}: {fault:?}");
    }
}

/// What stands in the schema of a file from elsewhere is judged like a statement.
#[tokio::test]
async fn an_evil_schema_reaches_nothing() {
    let (_dir, template) = template();
    let evil = Connection::open(&template).unwrap();
    // As an attacker would: without the checks that keep such a schema from being made.
    evil.execute_batch("PRAGMA trusted_schema = ON").unwrap();
    evil.execute_batch(
        "CREATE VIEW from_pragma AS SELECT * FROM pragma_database_list;
         CREATE VIEW from_load AS SELECT load_extension('/tmp/x.so') AS x;
         CREATE VIEW from_stat AS SELECT * FROM sqlite_stat1;
         CREATE VIEW from_counter AS SELECT * FROM sqlite_sequence;
         CREATE TABLE defaulted(a, b DEFAULT (json_patch('{}', '{}')));
         CREATE TRIGGER on_plain AFTER INSERT ON plain BEGIN SELECT load_extension('/tmp/x.so'); END;
         CREATE TRIGGER on_t AFTER UPDATE ON t BEGIN INSERT INTO sqlite_stat1 VALUES(1, 2, 3); END;",
    )
    .unwrap();
    drop(evil);
    let world = World::new(&template);
    for sql in ["SELECT * FROM from_pragma", "SELECT * FROM from_load", "SELECT * FROM from_counter"] {
        assert_eq!(world.agent.code("query", &json!({ "sql": sql })).await, Err(Code::SqlRefused), "{sql}");
    }
    let nulls = json!([{ "tbl": null, "idx": null, "stat": null }]);
    assert_eq!(world.agent.code("query", &json!({ "sql": "SELECT * FROM from_stat LIMIT 1" })).await, Ok(nulls));
    for sql in ["INSERT INTO plain VALUES(1, 1)", "UPDATE t SET n = 1"] {
        let fault = world.agent.call("execute", &json!({ "sql": sql })).await.unwrap_err();
        assert_eq!(fault.code, Code::SqlRefused, "{sql}: {fault:?}");
    }
    assert_eq!(world.agent.code("execute", &json!({ "sql": "INSERT INTO defaulted(a) VALUES(1)" })).await, Err(Code::InvalidArgument));
    assert_eq!(world.agent.code("execute", &json!({ "sql": "DELETE FROM docs" })).await, Ok(json!(2)));
}

/// A refused or failed statement leaves the connection as good as new.
#[tokio::test]
async fn nothing_lingers_after_a_refusal() {
    let (_dir, template) = template();
    let world = World::new(&template);
    for (statement, _) in STATEMENTS {
        let sql = world.expand(statement);
        if sql.starts_with("ALTER TABLE plain RENAME") || sql.starts_with("DELETE") || sql.contains("DELETE FROM plain") {
            continue;
        }
        for tool in ["execute", "query"] {
            let _ = world.agent.code(tool, &json!({ "sql": sql })).await;
        }
        let seen = world.agent.code("query", &json!({ "sql": "SELECT count(*) AS n FROM plain WHERE b = ?", "params": [CANARY] })).await;
        assert_eq!(seen, Ok(json!([{ "n": 1 }])), "after {statement:?}");
        let wrote = world.agent.code("execute", &json!({ "sql": "UPDATE plain SET a = a WHERE b = ?", "params": [CANARY] })).await;
        assert_eq!(wrote, Ok(json!(1)), "after {statement:?}");
    }
}
