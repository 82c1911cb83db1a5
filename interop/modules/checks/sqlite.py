"""sqlite: databases made by the system's sqlite3, by Python and by a homeserver; what the module writes is read by the first two."""

import base64
import json
import os
import shutil
import sqlite3
import stat
import subprocess

import install
from kit import INVALID, LIMIT, OUTSIDE
from servers import matrix

READS = ["sqlite_list_tables", "sqlite_query"]
WRITES = ["sqlite_create_table", "sqlite_execute"]
BLOB = bytes(range(256))

# Made by the sqlite3 program.
LIBRARY = """
PRAGMA journal_mode = WAL;
CREATE TABLE papers (id INTEGER PRIMARY KEY, title TEXT NOT NULL, year INTEGER, price REAL, cover BLOB);
INSERT INTO papers VALUES (1, 'On leases', 1989, 1.5, x'00ff80'), (2, 'Über Würde', 1966, 9e99, NULL);
INSERT INTO papers VALUES (3, '世界''s', 9007199254740993, -0.25, x'');
CREATE TABLE "select" ("from" TEXT, "order by" INTEGER);
CREATE TABLE words (word TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
INSERT INTO words VALUES ('a', 1), ('b', 2);
CREATE TABLE areas (w REAL, h REAL, area REAL GENERATED ALWAYS AS (w * h) STORED);
INSERT INTO areas VALUES (2, 3);
CREATE VIEW recent AS SELECT title FROM papers WHERE year > 1980;
CREATE INDEX by_year ON papers (year);
CREATE VIRTUAL TABLE notes USING fts5 (body);
INSERT INTO notes VALUES ('the quick brown fox'), ('lazy dogs');
CREATE TABLE parents (id INTEGER PRIMARY KEY);
CREATE TABLE children (parent INTEGER REFERENCES parents (id));
"""

REFUSED_QUERIES = {
    "DELETE": "DELETE FROM papers",
    "INSERT": "INSERT INTO words VALUES ('c', 3)",
    "DROP": "DROP TABLE papers",
    "ATTACH": "ATTACH DATABASE 'x.db' AS x",
    "PRAGMA": "PRAGMA journal_mode = DELETE",
    "a PRAGMA as a table": "SELECT * FROM pragma_database_list",
    "VACUUM INTO": "VACUUM INTO 'x.db'",
    "load_extension": "SELECT load_extension('x')",
    "two statements": "SELECT 1; SELECT 2",
    "a write after a comment": "SELECT 1 /* */; DELETE FROM papers",
    "CTE that writes": "WITH x AS (SELECT 1) DELETE FROM papers",
    "RETURNING": "DELETE FROM papers RETURNING id",
    "fts3_tokenizer": "SELECT fts3_tokenizer('simple')",
}
REFUSED_STATEMENTS = {
    "DROP": "DROP TABLE papers",
    "ATTACH": "ATTACH DATABASE 'x.db' AS x",
    "DETACH": "DETACH DATABASE main",
    "PRAGMA": "PRAGMA user_version = 7",
    "VACUUM": "VACUUM",
    "BEGIN": "BEGIN",
    "CREATE TRIGGER": "CREATE TRIGGER t AFTER INSERT ON words BEGIN DELETE FROM papers; END",
    "the schema table": "DELETE FROM sqlite_master",
    "two statements": "DELETE FROM words; DELETE FROM papers",
    "REINDEX": "REINDEX",
    "ANALYZE": "ANALYZE",
}
COUNT = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c {}) SELECT {} FROM c"
BAD_TEXT = {
    "empty": "",
    "only a comment": "-- nothing",
    "a syntax error": "SELEC 1",
    "no such table": "SELECT * FROM nowhere",
    "a placeholder": "SELECT ?",
}
ACCEPTED = {
    "UNION": ("SELECT 1 AS n UNION SELECT 2 ORDER BY n", [{"n": 1}, {"n": 2}]),
    "VALUES": ("VALUES (1)", [{"column1": 1}]),
    "a comment at the end": ("SELECT 1 AS n; -- done", [{"n": 1}]),
    "two semicolons": ("SELECT 1 AS n;;", [{"n": 1}]),
    "a window": ("SELECT word, sum(n) OVER (ORDER BY word) AS s FROM words", [{"word": "a", "s": 1}, {"word": "b", "s": 3}]),
    "JSON": ("SELECT value FROM json_each('[7,8]')", [{"value": 7}, {"value": 8}]),
    "no rows": ("SELECT 1 AS n WHERE 0", []),
    "full text": ("SELECT body FROM notes WHERE notes MATCH 'fox'", [{"body": "the quick brown fox"}]),
    "a view": ("SELECT * FROM recent ORDER BY 1", [{"title": "On leases"}, {"title": "世界's"}]),
    "a generated column": ("SELECT area FROM areas", [{"area": 6.0}]),
    "one name twice": ("SELECT 1 AS n, 2 AS n", [{"n": 1, "n_2": 2}]),
}


def check(world):
    folder = world.work / "databases"
    folder.mkdir(mode=0o700)
    mine = folder / "agent_build-01.db"
    shell(mine, LIBRARY)
    config = {"sqlite": {"mode": "write", "config": {"db_dir": str(folder)}}}
    with world.gateway(config) as gateway:
        world.listed(gateway, *READS, *WRITES)
        reads(world, gateway, mine)
        refusals(world, gateway, mine)
        writes(world, gateway, mine)
    integrity(world, mine)
    with world.gateway({"sqlite": {"mode": "read", "config": {"db_dir": str(folder)}}}) as gateway:
        world.listed(gateway, *READS)
        world.absent("a write in mode read is unknown", gateway.call("sqlite_execute", sql="DELETE FROM words"))
    with world.gateway({"sqlite": {"mode": "write", "config": {"db_dir": str(world.work / "fresh")}}}) as gateway:
        fresh(world, gateway, world.work / "fresh")
    homeserver(world)


def shell(file, script):
    done = subprocess.run(
        [install.program("sqlite3"), "-batch", "-bail", "-json", file], input=script, capture_output=True, text=True, check=True
    )
    return done.stdout


def rows(file, sql):
    with sqlite3.connect(file) as db:
        db.row_factory = sqlite3.Row
        found = [dict(row) for row in db.execute(sql)]
    db.close()
    return found


def plain(value):
    return {"$base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def reads(world, gateway, mine):
    tables = [
        row["name"] for row in rows(mine, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    ]
    listed = world.value(gateway.call("sqlite_list_tables")) or []
    own = {"areas", "children", "notes", "papers", "parents", "select", "words"}
    world.check("list_tables", None if own <= set(listed) <= set(tables) and listed == sorted(listed) else f"{listed}")
    for table in ("papers", "words", "areas"):
        expected = [{key: plain(value) for key, value in row.items()} for row in rows(mine, f"SELECT * FROM {table}")]
        world.gives(f"query of {table} made by sqlite3, in WAL mode", gateway.call("sqlite_query", sql=f"SELECT * FROM {table}"), expected)
    for label, (sql, expected) in ACCEPTED.items():
        world.gives(f"query: {label}", gateway.call("sqlite_query", sql=sql), expected)
    plan = gateway.call("sqlite_query", sql="EXPLAIN QUERY PLAN SELECT * FROM papers WHERE year = 1989")
    world.check("query: EXPLAIN QUERY PLAN", None if not plan.is_error and "by_year" in str(world.value(plan)) else plan.shown())
    world.gives("query: infinity is null", gateway.call("sqlite_query", sql="SELECT 9e999 AS x"), [{"x": None}])


def refusals(world, gateway, mine):
    before = shell(mine, ".dump")
    for label, sql in REFUSED_QUERIES.items():
        world.refused(f"query: {label}", gateway.call("sqlite_query", sql=sql), OUTSIDE)
    for label, sql in REFUSED_STATEMENTS.items():
        world.refused(f"execute: {label}", gateway.call("sqlite_execute", sql=sql), OUTSIDE)
    for label, sql in BAD_TEXT.items():
        world.refused(f"query: {label}", gateway.call("sqlite_query", sql=sql), INVALID)
    world.refused("query: too many rows", gateway.call("sqlite_query", sql=COUNT.format("LIMIT 1001", "n")), LIMIT)
    world.refused("query: a huge answer", gateway.call("sqlite_query", sql=COUNT.format("LIMIT 1000", f"'{'x' * 2000}' AS x")), LIMIT)
    endless = gateway.call("sqlite_query", sql=COUNT.format("", "count(*)"))
    world.refused("query: without end", endless, LIMIT)
    world.check("stopped within its limit of 5 s", None if endless.seconds < 10 else f"{endless.seconds:.1f} s")
    world.same("nothing changed, as sqlite3 dumps it", shell(mine, ".dump"), before)
    world.same("no other file was made", sorted(set(os.listdir(mine.parent)) - {mine.name + "-wal", mine.name + "-shm"}), [mine.name])


def writes(world, gateway, mine):
    execute = lambda label, sql, count, **more: world.gives(f"execute: {label}", gateway.call("sqlite_execute", sql=sql, **more), count)
    columns = {"id": "INTEGER PRIMARY KEY", "größe": "real not  null", "group": "TEXT DEFAULT ''", "raw": "BLOB"}
    world.gives("create_table", gateway.call("sqlite_create_table", name="order", columns=columns), True)
    world.gives("create_table again", gateway.call("sqlite_create_table", name="order", columns={"other": "TEXT"}), True)
    kept = [row["name"] for row in rows(mine, "SELECT name FROM pragma_table_info('order')")]
    world.same("its columns, as Python reads them", kept, list(columns))
    for label, bad in {"a type": {"a": "INTEGER); DROP TABLE papers; --"}, "a name": {"a b": "TEXT"}, "none": {}}.items():
        world.refused(f"create_table: {label}", gateway.call("sqlite_create_table", name="bad", columns=bad), INVALID | OUTSIDE)
    execute("INSERT", """INSERT INTO "order" (größe, "group", raw) VALUES (1.5, 'Ünïcode ''quoted'' 世界', x'00ff')""", 1)
    execute("parameters", """INSERT INTO "order" (größe, "group") VALUES (?, ?)""", 1, params=[2.5, "'; DROP TABLE papers; --"])
    execute("UPSERT", "INSERT INTO words VALUES ('a', 5), ('c', 3) ON CONFLICT (word) DO UPDATE SET n = excluded.n", 2)
    execute("UPDATE with a CTE", "WITH m AS (SELECT max(n) AS n FROM words) UPDATE words SET n = (SELECT n FROM m) WHERE word = 'b'", 1)
    execute("REPLACE", "REPLACE INTO words VALUES ('c', 4)", 1)
    execute("RETURNING", "DELETE FROM words WHERE word = 'c' RETURNING n", 1)
    execute("ALTER TABLE without a type", "ALTER TABLE words ADD COLUMN note", 0)
    execute("CREATE INDEX", "CREATE INDEX by_n ON words (n)", 0)
    execute("full text", "INSERT INTO notes VALUES ('seven foxes')", 1)
    expected = [(1, 1.5, "Ünïcode 'quoted' 世界", b"\x00\xff"), (2, 2.5, "'; DROP TABLE papers; --", None)]
    world.same(
        "what was inserted, as Python reads it", [tuple(row.values()) for row in rows(mine, 'SELECT * FROM "order" ORDER BY id')], expected
    )
    changed = json.loads(shell(mine, "SELECT word, n FROM words ORDER BY word;"))
    world.same("what was changed, as sqlite3 reads it", changed, [{"word": "a", "n": 5}, {"word": "b", "n": 5}])
    world.gives(
        "the index is used",
        gateway.call("sqlite_query", sql="SELECT word FROM words INDEXED BY by_n WHERE n = 5 ORDER BY word"),
        [{"word": "a"}, {"word": "b"}],
    )


def integrity(world, mine):
    found = json.loads(shell(mine, "PRAGMA integrity_check;"))
    world.same("integrity, as sqlite3 checks it", found, [{"integrity_check": "ok"}])


def fresh(world, gateway, folder):
    world.gives("a new database has no tables", gateway.call("sqlite_list_tables"), [])
    world.gives("a table in it", gateway.call("sqlite_create_table", name="t", columns={"a": "TEXT"}), True)
    file = folder / "agent_build-01.db"
    world.same(
        "modes of directory and file",
        (oct(stat.S_IMODE(folder.stat().st_mode)), oct(stat.S_IMODE(file.stat().st_mode))),
        (oct(0o700), oct(0o600)),
    )


def homeserver(world):
    """A database of some hundred tables and indexes that another program designed and filled."""
    folder = world.work / "homeserver"
    folder.mkdir(mode=0o700)
    with matrix.started(world.cache, world.work / "synapse") as server:
        user, token = server.register("admin", admin=True)
        server.room(token, name="Würfel")
    mine = folder / "agent_build-01.db"
    shutil.copy(server.database, mine)
    with world.gateway({"sqlite": {"mode": "read", "config": {"db_dir": str(folder), "max_rows": 10000}}}) as gateway:
        tables = sorted(
            row["name"] for row in rows(mine, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        )
        listed = world.value(gateway.call("sqlite_list_tables")) or []
        shadows = ("_content", "_segments", "_segdir", "_docsize", "_stat", "_data", "_idx", "_config")
        missing = [name for name in tables if name not in listed and not name.endswith(shadows)]
        world.check(f"a homeserver's database: {len(tables)} tables are listed", None if not missing else f"missing {missing}")
        wrong = []
        for table in listed:
            answer = gateway.call("sqlite_query", sql=f'SELECT * FROM "{table}"')
            expected = [{key: plain(value) for key, value in row.items()} for row in rows(mine, f'SELECT * FROM "{table}"')]
            if world.value(answer) != expected:
                wrong.append(f"{table}: {answer.shown()[:200]}")
        world.check("every row of every table is as Python reads it", None if not wrong else "; ".join(wrong[:3]))
        found = gateway.call("sqlite_query", sql="SELECT name FROM users")
        world.gives("its user", found, [{"name": user}])
