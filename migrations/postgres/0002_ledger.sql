-- Ledger: the readable index of events, how far it follows the ledger, checkpoints, and the ledger's records.
-- The last two tables hold the records themselves: replicas share no disk.

CREATE TABLE events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- '' for the platform's own events.
    tenant_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    operator TEXT,
    agent_id TEXT,
    agent_type TEXT,
    server TEXT,
    tool TEXT,
    decision TEXT,
    code TEXT,
    ok BIGINT NOT NULL,
    error TEXT,
    duration_ms BIGINT,
    run_id TEXT,
    run_source TEXT,
    trace_id TEXT,
    args TEXT,
    args_digest TEXT,
    result_bytes BIGINT,
    credential_kind TEXT,
    note TEXT,
    writer TEXT NOT NULL,
    seq BIGINT NOT NULL
);
-- Every index costs each call about a microsecond; these three serve listing, showing and runs.
CREATE INDEX events_by_tenant ON events (tenant_id, id);
CREATE INDEX events_by_event_id ON events (event_id);
CREATE INDEX events_by_run ON events (tenant_id, run_id) WHERE run_id IS NOT NULL;

-- Up to which record of a chain every row is in `events`.
CREATE TABLE event_positions (
    origin TEXT NOT NULL,
    writer TEXT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (origin, writer)
);

CREATE TABLE ledger_checkpoints (
    origin TEXT NOT NULL,
    writer TEXT NOT NULL,
    size BIGINT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (origin, writer, size)
);

-- Where each chain stands; an insert of records must find its own epoch here.
CREATE TABLE ledger_writers (
    writer TEXT NOT NULL PRIMARY KEY,
    -- The last begin record, from which open intents are found.
    begun BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    head BYTEA NOT NULL,
    tree BYTEA NOT NULL
);

CREATE TABLE ledger_records (
    writer TEXT NOT NULL,
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (writer, seq)
);

ALTER TABLE events ENABLE ROW LEVEL SECURITY;
ALTER TABLE events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON events
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));
