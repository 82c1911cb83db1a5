-- Registered servers: the registry, who sees what of it, OAuth clients, connections, pending authorizations, tokens to be revoked.

-- owner_org NULL: the platform registered it. What was given by hand stands beside what discovery found.
CREATE TABLE mcp_servers (
    server_id TEXT NOT NULL PRIMARY KEY,
    owner_org TEXT REFERENCES organisations (org_id),
    is_global INTEGER NOT NULL CONSTRAINT mcp_servers_global_known CHECK (is_global IN (0, 1)),
    display_name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    server_url TEXT NOT NULL,
    registration_choice TEXT NOT NULL,
    registration_mode TEXT,
    auth_method TEXT,
    client_id TEXT,
    given_issuer TEXT,
    given_authorization_endpoint TEXT,
    given_token_endpoint TEXT,
    given_revocation_endpoint TEXT,
    found_issuer TEXT,
    found_authorization_endpoint TEXT,
    found_token_endpoint TEXT,
    found_revocation_endpoint TEXT,
    scopes TEXT NOT NULL,
    extra_auth_params TEXT NOT NULL,
    era TEXT NOT NULL,
    allowed_tools TEXT,
    new_tools_policy TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    status_at INTEGER NOT NULL,
    last_discovery_at INTEGER,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    modified_by TEXT NOT NULL
) STRICT;
CREATE INDEX mcp_servers_by_name ON mcp_servers (name_folded);
CREATE INDEX mcp_servers_by_owner ON mcp_servers (owner_org);

-- Who sees a server that is not global.
CREATE TABLE mcp_server_orgs (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    PRIMARY KEY (tenant_id, server_id)
) STRICT;
CREATE INDEX mcp_server_orgs_by_server ON mcp_server_orgs (server_id);

-- What a server listed to one organisation; what it shows to another is not known from here.
CREATE TABLE mcp_server_tools (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    name TEXT NOT NULL,
    definition BLOB NOT NULL,
    digest TEXT NOT NULL,
    present INTEGER NOT NULL CONSTRAINT mcp_server_tools_present_known CHECK (present IN (0, 1)),
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, server_id, name)
) STRICT;
CREATE INDEX mcp_server_tools_by_server ON mcp_server_tools (server_id);

CREATE TABLE server_org_contexts (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    context TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    modified_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, server_id)
) STRICT;
CREATE INDEX server_org_contexts_by_server ON server_org_contexts (server_id);

-- The secret that stands in for people without a connection. Its name only: the secret may be set anew at any time.
CREATE TABLE server_org_credentials (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    secret_name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    modified_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, server_id)
) STRICT;
CREATE INDEX server_org_credentials_by_server ON server_org_credentials (server_id);

CREATE TABLE org_settings (
    tenant_id TEXT NOT NULL PRIMARY KEY REFERENCES organisations (org_id),
    credential_fallback TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    modified_by TEXT NOT NULL
) STRICT;

-- What an issuer knows us as. The client secret is sealed: in server_secrets of the owner, or in platform_secrets.
CREATE TABLE server_clients (
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    issuer TEXT NOT NULL,
    registration_mode TEXT NOT NULL,
    client_id TEXT NOT NULL,
    auth_method TEXT NOT NULL,
    secret_version INTEGER,
    secret_expires_at INTEGER,
    redirect_uri TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (server_id, issuer)
) STRICT;

-- One row per organisation, server and holder; the holder '' is the organisation itself. version: of the tokens. resource NULL: the
-- server's own address.
CREATE TABLE connections (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    holder TEXT NOT NULL,
    token_status TEXT NOT NULL,
    issuer TEXT NOT NULL,
    resource TEXT,
    grant_kind TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires_at INTEGER,
    version INTEGER NOT NULL,
    has_refresh INTEGER NOT NULL CONSTRAINT connections_refresh_known CHECK (has_refresh IN (0, 1)),
    failure TEXT,
    refresh_until INTEGER,
    refresh_epoch INTEGER NOT NULL,
    refresh_attempted INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    last_used_at INTEGER,
    last_refresh_at INTEGER,
    PRIMARY KEY (tenant_id, server_id, holder)
) STRICT;
CREATE INDEX connections_by_server ON connections (server_id);
CREATE INDEX connections_by_holder ON connections (tenant_id, holder, server_id);

-- Authorizations that wait for their callback. Of the state only a digest is kept.
CREATE TABLE oauth_flows (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    state_digest TEXT NOT NULL,
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    holder TEXT NOT NULL,
    acting TEXT NOT NULL,
    issuer TEXT NOT NULL,
    iss_required INTEGER NOT NULL CONSTRAINT oauth_flows_iss_known CHECK (iss_required IN (0, 1)),
    redirect_uri TEXT NOT NULL,
    resource TEXT NOT NULL,
    scopes TEXT NOT NULL,
    browser_digest TEXT,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, state_digest)
) STRICT;
CREATE UNIQUE INDEX oauth_flows_by_state ON oauth_flows (state_digest);
CREATE INDEX oauth_flows_by_server ON oauth_flows (server_id);
CREATE INDEX oauth_flows_by_age ON oauth_flows (expires_at);

-- Tokens whose connection is gone, until the server was told. Names a server that may be gone as well.
CREATE TABLE token_revocations (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    revocation_id TEXT NOT NULL,
    server_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    client_id TEXT NOT NULL,
    auth_method TEXT NOT NULL,
    token_hint TEXT NOT NULL,
    has_secret INTEGER NOT NULL CONSTRAINT token_revocations_secret_known CHECK (has_secret IN (0, 1)),
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    leased_until INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, revocation_id)
) STRICT;
CREATE INDEX token_revocations_by_time ON token_revocations (next_at);

-- Every sealed value of an organisation that belongs to a server. A holder is a person, an issuer, a flow or a revocation, by kind.
-- No reference to mcp_servers: what is to be revoked outlives the server.
CREATE TABLE server_secrets (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    holder TEXT NOT NULL,
    version INTEGER NOT NULL,
    tenant_key INTEGER NOT NULL,
    data_key BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, server_id, kind, holder),
    FOREIGN KEY (tenant_id, tenant_key) REFERENCES tenant_keys (tenant_id, version)
) STRICT;
CREATE INDEX server_secrets_by_tenant_key ON server_secrets (tenant_id, tenant_key);
CREATE INDEX server_secrets_by_row ON server_secrets (tenant_id, (server_id || '/' || kind || '/' || holder), version);
