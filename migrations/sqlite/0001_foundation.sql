-- Foundation: organisations, agents, API keys, sealed values, sessions, server probes.
-- Types: only INTEGER, REAL, TEXT, BLOB. Times are microseconds since 1970 (UTC), ids and JSON are TEXT.
-- Tables with a column tenant_id belong to organisations; the others are the platform's.

CREATE TABLE organisations (
    org_id TEXT NOT NULL PRIMARY KEY CONSTRAINT organisations_id_filled CHECK (org_id <> ''),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;

-- One counter per kind of change that other processes must notice.
CREATE TABLE generations (
    topic TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

-- The platform's own key, wrapped by the root key. A row here means: sealed values exist.
CREATE TABLE platform_keys (
    version INTEGER NOT NULL PRIMARY KEY,
    root_key_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Values of the platform itself (checkpoint signing key), sealed under the platform key.
CREATE TABLE platform_secrets (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    data_key BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE tenant_keys (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    version INTEGER NOT NULL,
    root_key_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    wraps INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, version)
) STRICT;

CREATE TABLE agents (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    agent_id TEXT NOT NULL,
    agent_type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    disabled_at INTEGER,
    PRIMARY KEY (tenant_id, agent_id)
) STRICT;

CREATE TABLE api_keys (
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    label TEXT NOT NULL,
    mac BLOB NOT NULL,
    pepper_version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER,
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, agent_id)
) STRICT;
CREATE INDEX api_keys_by_agent ON api_keys (tenant_id, agent_id);
CREATE INDEX api_keys_by_generation ON api_keys (generation);

CREATE TABLE secrets (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    tenant_key INTEGER NOT NULL,
    data_key BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, name),
    FOREIGN KEY (tenant_id, tenant_key) REFERENCES tenant_keys (tenant_id, version)
) STRICT;

-- Keys of the keyed hashes in the ledger, one per organisation and version.
CREATE TABLE audit_keys (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    version INTEGER NOT NULL,
    tenant_key INTEGER NOT NULL,
    data_key BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, version),
    FOREIGN KEY (tenant_id, tenant_key) REFERENCES tenant_keys (tenant_id, version)
) STRICT;

-- Sessions of clients of the initialize revisions; the id itself is not kept, only its digest.
CREATE TABLE mcp_sessions (
    tenant_id TEXT NOT NULL,
    session_digest BLOB NOT NULL,
    agent_id TEXT NOT NULL,
    revision TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    client_info TEXT,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, session_digest),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, agent_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX mcp_sessions_by_agent ON mcp_sessions (tenant_id, agent_id, seen_at);

-- What an external server said of itself when it was last asked.
CREATE TABLE server_probes (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    probe TEXT NOT NULL,
    probed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, server)
) STRICT;
