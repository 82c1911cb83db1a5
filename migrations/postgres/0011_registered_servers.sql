-- Registered servers: the registry, who sees what of it, OAuth clients, connections, pending authorizations, tokens to be revoked.

-- owner_org NULL: the platform registered it. What was given by hand stands beside what discovery found.
CREATE TABLE mcp_servers (
    server_id TEXT NOT NULL PRIMARY KEY,
    owner_org TEXT REFERENCES organisations (org_id),
    is_global BIGINT NOT NULL CONSTRAINT mcp_servers_global_known CHECK (is_global IN (0, 1)),
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
    status_at BIGINT NOT NULL,
    last_discovery_at BIGINT,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    modified_at BIGINT NOT NULL,
    modified_by TEXT NOT NULL
);
CREATE INDEX mcp_servers_by_name ON mcp_servers (name_folded);
CREATE INDEX mcp_servers_by_owner ON mcp_servers (owner_org);

-- Who sees a server that is not global.
CREATE TABLE mcp_server_orgs (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    PRIMARY KEY (tenant_id, server_id)
);
CREATE INDEX mcp_server_orgs_by_server ON mcp_server_orgs (server_id);

-- What a server listed to one organisation; what it shows to another is not known from here.
CREATE TABLE mcp_server_tools (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    name TEXT NOT NULL,
    definition BYTEA NOT NULL,
    digest TEXT NOT NULL,
    present BIGINT NOT NULL CONSTRAINT mcp_server_tools_present_known CHECK (present IN (0, 1)),
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, server_id, name)
);
CREATE INDEX mcp_server_tools_by_server ON mcp_server_tools (server_id);

CREATE TABLE server_org_contexts (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    context TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    modified_at BIGINT NOT NULL,
    modified_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, server_id)
);
CREATE INDEX server_org_contexts_by_server ON server_org_contexts (server_id);

-- The secret that stands in for people without a connection. Its name only: the secret may be set anew at any time.
CREATE TABLE server_org_credentials (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    secret_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    modified_at BIGINT NOT NULL,
    modified_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, server_id)
);
CREATE INDEX server_org_credentials_by_server ON server_org_credentials (server_id);

CREATE TABLE org_settings (
    tenant_id TEXT NOT NULL PRIMARY KEY REFERENCES organisations (org_id),
    credential_fallback TEXT NOT NULL,
    modified_at BIGINT NOT NULL,
    modified_by TEXT NOT NULL
);

-- What an issuer knows us as. The client secret is sealed: in server_secrets of the owner, or in platform_secrets.
CREATE TABLE server_clients (
    server_id TEXT NOT NULL REFERENCES mcp_servers (server_id),
    issuer TEXT NOT NULL,
    registration_mode TEXT NOT NULL,
    client_id TEXT NOT NULL,
    auth_method TEXT NOT NULL,
    secret_version BIGINT,
    secret_expires_at BIGINT,
    redirect_uri TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (server_id, issuer)
);

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
    expires_at BIGINT,
    version BIGINT NOT NULL,
    has_refresh BIGINT NOT NULL CONSTRAINT connections_refresh_known CHECK (has_refresh IN (0, 1)),
    failure TEXT,
    refresh_until BIGINT,
    refresh_epoch BIGINT NOT NULL,
    refresh_attempted BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    last_used_at BIGINT,
    last_refresh_at BIGINT,
    PRIMARY KEY (tenant_id, server_id, holder)
);
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
    iss_required BIGINT NOT NULL CONSTRAINT oauth_flows_iss_known CHECK (iss_required IN (0, 1)),
    redirect_uri TEXT NOT NULL,
    resource TEXT NOT NULL,
    scopes TEXT NOT NULL,
    browser_digest TEXT,
    asked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, state_digest)
);
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
    has_secret BIGINT NOT NULL CONSTRAINT token_revocations_secret_known CHECK (has_secret IN (0, 1)),
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    leased_until BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, revocation_id)
);
CREATE INDEX token_revocations_by_time ON token_revocations (next_at);

-- Every sealed value of an organisation that belongs to a server. A holder is a person, an issuer, a flow or a revocation, by kind.
-- No reference to mcp_servers: what is to be revoked outlives the server.
CREATE TABLE server_secrets (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    server_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    holder TEXT NOT NULL,
    version BIGINT NOT NULL,
    tenant_key BIGINT NOT NULL,
    data_key BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, server_id, kind, holder),
    FOREIGN KEY (tenant_id, tenant_key) REFERENCES tenant_keys (tenant_id, version)
);
CREATE INDEX server_secrets_by_tenant_key ON server_secrets (tenant_id, tenant_key);
CREATE INDEX server_secrets_by_row ON server_secrets (tenant_id, (server_id || '/' || kind || '/' || holder), version);

-- Row security: rows of organisations as everywhere; a server and its clients are seen by the organisations that it is for.

ALTER TABLE mcp_server_orgs ENABLE ROW LEVEL SECURITY;
ALTER TABLE mcp_server_orgs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mcp_server_orgs
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE mcp_server_tools ENABLE ROW LEVEL SECURITY;
ALTER TABLE mcp_server_tools FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mcp_server_tools
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE server_org_contexts ENABLE ROW LEVEL SECURITY;
ALTER TABLE server_org_contexts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON server_org_contexts
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE server_org_credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE server_org_credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON server_org_credentials
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE org_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE org_settings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON org_settings
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE connections ENABLE ROW LEVEL SECURITY;
ALTER TABLE connections FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON connections
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE oauth_flows ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_flows FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON oauth_flows
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE token_revocations ENABLE ROW LEVEL SECURITY;
ALTER TABLE token_revocations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON token_revocations
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE server_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE server_secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON server_secrets
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE mcp_servers ENABLE ROW LEVEL SECURITY;
ALTER TABLE mcp_servers FORCE ROW LEVEL SECURITY;
CREATE POLICY visible ON mcp_servers FOR SELECT USING (
    (is_global = 1 AND current_setting('app.tenant', true) <> '')
    OR EXISTS (SELECT 1 FROM mcp_server_orgs o
               WHERE o.server_id = mcp_servers.server_id AND o.tenant_id = current_setting('app.tenant', true)));
CREATE POLICY owner ON mcp_servers
    USING (owner_org = current_setting('app.tenant', true))
    WITH CHECK (owner_org = current_setting('app.tenant', true));
CREATE POLICY platform_write ON mcp_servers
    USING (current_setting('app.platform', true) = 'servers')
    WITH CHECK (current_setting('app.platform', true) = 'servers');

ALTER TABLE server_clients ENABLE ROW LEVEL SECURITY;
ALTER TABLE server_clients FORCE ROW LEVEL SECURITY;
CREATE POLICY visible ON server_clients FOR SELECT USING (
    EXISTS (SELECT 1 FROM mcp_servers s WHERE s.server_id = server_clients.server_id));
CREATE POLICY platform_write ON server_clients
    USING (current_setting('app.platform', true) = 'servers')
    WITH CHECK (current_setting('app.platform', true) = 'servers');

-- An organisation cannot let itself see a server: only its owner or the platform says who does.
CREATE POLICY granted ON mcp_server_orgs AS RESTRICTIVE FOR INSERT WITH CHECK (
    current_setting('app.platform', true) = 'servers'
    OR EXISTS (SELECT 1 FROM mcp_servers s
               WHERE s.server_id = mcp_server_orgs.server_id AND s.owner_org = current_setting('app.tenant', true)));
CREATE POLICY unchanged ON mcp_server_orgs AS RESTRICTIVE FOR UPDATE USING (false);

-- Work on a server looks up which organisations have something there, and then binds itself to each of them in turn to write.
CREATE POLICY servers_read ON mcp_server_orgs FOR SELECT USING (current_setting('app.platform', true) = 'servers');
CREATE POLICY servers_read ON mcp_server_tools FOR SELECT USING (current_setting('app.platform', true) = 'servers');
CREATE POLICY servers_read ON server_org_contexts FOR SELECT USING (current_setting('app.platform', true) = 'servers');
CREATE POLICY servers_read ON server_org_credentials FOR SELECT USING (current_setting('app.platform', true) = 'servers');
CREATE POLICY servers_read ON connections FOR SELECT USING (current_setting('app.platform', true) = 'servers');
CREATE POLICY servers_read ON oauth_flows FOR SELECT USING (current_setting('app.platform', true) = 'servers');
CREATE POLICY servers_read ON token_revocations FOR SELECT USING (current_setting('app.platform', true) = 'servers');
