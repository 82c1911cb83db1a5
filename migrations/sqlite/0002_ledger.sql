-- Ledger: the readable index of events, how far it follows the ledger, checkpoints, and the ledger's records.
-- The last two tables are filled on PostgreSQL only: with SQLite the records are in segment files beside the database.

CREATE TABLE events (
    -- Never given twice, so that a cursor stays good when old rows are removed.
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- '' for the platform's own events.
    tenant_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    operator TEXT,
    agent_id TEXT,
    agent_type TEXT,
    server TEXT,
    tool TEXT,
    decision TEXT,
    code TEXT,
    ok INTEGER NOT NULL,
    error TEXT,
    duration_ms INTEGER,
    run_id TEXT,
    run_source TEXT,
    trace_id TEXT,
    args TEXT,
    args_digest TEXT,
    result_bytes INTEGER,
    credential_kind TEXT,
    note TEXT,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL
) STRICT;
-- Every index costs each call about a microsecond; these three serve listing, showing and runs.
CREATE INDEX events_by_tenant ON events (tenant_id);
CREATE INDEX events_by_event_id ON events (event_id);
CREATE INDEX events_by_run ON events (tenant_id, run_id) WHERE run_id IS NOT NULL;

-- Up to which record of a chain every row is in `events`.
CREATE TABLE event_positions (
    origin TEXT NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (origin, writer)
) STRICT;

CREATE TABLE ledger_checkpoints (
    origin TEXT NOT NULL,
    writer TEXT NOT NULL,
    size INTEGER NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (origin, writer, size)
) STRICT;

-- Where each chain stands; an insert of records must find its own epoch here.
CREATE TABLE ledger_writers (
    writer TEXT NOT NULL PRIMARY KEY,
    -- The last begin record, from which open intents are found.
    begun INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    head BLOB NOT NULL,
    tree BLOB NOT NULL
) STRICT;

CREATE TABLE ledger_records (
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (writer, seq)
) STRICT;
