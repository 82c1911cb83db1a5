-- Foundation: organisations, agents, API keys, sealed values, sessions, server probes.
-- Types: only BIGINT, SMALLINT, DOUBLE PRECISION, TEXT, BYTEA. Times are microseconds since 1970 (UTC), ids and JSON are TEXT.
-- Tables with a column tenant_id belong to organisations; the others are the platform's.

CREATE TABLE organisations (
    org_id TEXT NOT NULL PRIMARY KEY CONSTRAINT organisations_id_filled CHECK (org_id <> ''),
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL
);

-- One counter per kind of change that other processes must notice.
CREATE TABLE generations (
    topic TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

-- The platform's own key, wrapped by the root key. A row here means: sealed values exist.
CREATE TABLE platform_keys (
    version BIGINT NOT NULL PRIMARY KEY,
    root_key_id TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- Values of the platform itself (checkpoint signing key), sealed under the platform key.
CREATE TABLE platform_secrets (
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    data_key BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE tenant_keys (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    version BIGINT NOT NULL,
    root_key_id TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    wraps BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

CREATE TABLE agents (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    agent_id TEXT NOT NULL,
    agent_type TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    disabled_at BIGINT,
    PRIMARY KEY (tenant_id, agent_id)
);

CREATE TABLE api_keys (
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    label TEXT NOT NULL,
    mac BYTEA NOT NULL,
    pepper_version BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT,
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, agent_id)
);
CREATE INDEX api_keys_by_agent ON api_keys (tenant_id, agent_id);
CREATE INDEX api_keys_by_generation ON api_keys (generation);

CREATE TABLE secrets (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    tenant_key BIGINT NOT NULL,
    data_key BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, name),
    FOREIGN KEY (tenant_id, tenant_key) REFERENCES tenant_keys (tenant_id, version)
);

-- Keys of the keyed hashes in the ledger, one per organisation and version.
CREATE TABLE audit_keys (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    version BIGINT NOT NULL,
    tenant_key BIGINT NOT NULL,
    data_key BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, version),
    FOREIGN KEY (tenant_id, tenant_key) REFERENCES tenant_keys (tenant_id, version)
);

-- Sessions of clients of the initialize revisions; the id itself is not kept, only its digest.
CREATE TABLE mcp_sessions (
    tenant_id TEXT NOT NULL,
    session_digest BYTEA NOT NULL,
    agent_id TEXT NOT NULL,
    revision TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    client_info TEXT,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, session_digest),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, agent_id) ON DELETE CASCADE
);
CREATE INDEX mcp_sessions_by_agent ON mcp_sessions (tenant_id, agent_id, seen_at);

-- What an external server said of itself when it was last asked.
CREATE TABLE server_probes (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    probe TEXT NOT NULL,
    probed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, server)
);

-- Row security: a transaction sees the rows of the organisation it is bound to, and without a binding none.

ALTER TABLE tenant_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenant_keys
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
ALTER TABLE agents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON agents
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON api_keys
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON secrets
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE audit_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_keys
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE mcp_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE mcp_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mcp_sessions
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE server_probes ENABLE ROW LEVEL SECURITY;
ALTER TABLE server_probes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON server_probes
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

-- The verification of API keys looks across organisations: it reads these two tables and nothing else, and only when it says so.
CREATE POLICY platform_read ON api_keys FOR SELECT USING (current_setting('app.platform', true) = 'keys');
CREATE POLICY platform_read ON agents FOR SELECT USING (current_setting('app.platform', true) = 'keys');
