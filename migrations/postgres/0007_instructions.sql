-- Instructions and their revisions, runs, and feedback (reference, governance sections 2 to 4).

-- The latest version of each text. Texts of the organisation and of its groups stand side by side: owner_id is '' for the organisation.
-- Names are compared byte by byte, so that lists have one order everywhere.
CREATE TABLE content_docs (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    owner_type TEXT NOT NULL CONSTRAINT content_docs_owner_known CHECK (owner_type IN ('org', 'group', 'user')),
    owner_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    slug TEXT COLLATE "C" NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    body TEXT NOT NULL,
    -- A JSON object.
    frontmatter TEXT NOT NULL CONSTRAINT content_docs_frontmatter_json CHECK (jsonb_typeof(frontmatter::jsonb) = 'object'),
    version BIGINT NOT NULL,
    -- `sha256:` and the hexadecimal digest of the text as a SKILL.md.
    digest TEXT NOT NULL,
    set_by TEXT,
    updated_at BIGINT NOT NULL,
    -- Since when it is deleted; its revisions stay, and a later text goes on counting.
    deleted_at BIGINT,
    PRIMARY KEY (tenant_id, owner_type, owner_id, kind, slug)
);
CREATE INDEX content_docs_scope_kind ON content_docs (tenant_id, kind);

-- Every version there ever was. Only ever added to.
CREATE TABLE content_revisions (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    owner_type TEXT NOT NULL,
    owner_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    slug TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    body TEXT NOT NULL,
    frontmatter TEXT NOT NULL CONSTRAINT content_revisions_frontmatter_json CHECK (jsonb_typeof(frontmatter::jsonb) = 'object'),
    digest TEXT NOT NULL,
    set_by TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, owner_type, owner_id, kind, slug, version)
);

CREATE TABLE runs (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    run_id TEXT NOT NULL,
    -- Whose it is: a member, or `agent:` and an agent; and the client, '' when it has no id.
    sub TEXT NOT NULL,
    client_id TEXT NOT NULL,
    parent_run_id TEXT,
    label TEXT NOT NULL,
    -- The slug that was named; what follows is NULL when there was no such instruction at the start.
    doctrine TEXT,
    doctrine_kind TEXT,
    doctrine_version BIGINT,
    doctrine_owner_type TEXT,
    doctrine_owner_id TEXT,
    -- NULL while it is open.
    outcome TEXT CONSTRAINT runs_outcome_known CHECK (outcome IN ('done', 'abandoned', 'failed', 'blocked')),
    note TEXT,
    started_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    finished_at BIGINT,
    finished_by TEXT,
    -- Why an administrator ended somebody else's run.
    finish_reason TEXT,
    -- Digest of the session in which it was started, hexadecimal; sessions themselves are secrets.
    legacy_session_id TEXT,
    -- Position among the open runs of its owner; the highest one of a session is the active one.
    stack_position BIGINT NOT NULL,
    -- 1: nobody started it; it is over when nothing was seen of it for the idle window, whatever `outcome` says.
    implicit BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, run_id)
);
CREATE UNIQUE INDEX runs_run_id ON runs (run_id);
CREATE INDEX runs_by_sub ON runs (tenant_id, sub, started_at DESC);
CREATE INDEX runs_by_outcome ON runs (tenant_id, outcome, last_seen_at);
CREATE INDEX runs_by_start ON runs (tenant_id, started_at);
-- Every call of an owner with open runs looks here.
CREATE INDEX runs_open ON runs (tenant_id, sub, client_id) WHERE outcome IS NULL;

CREATE TABLE tool_feedback (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- The instance or virtual server through which it came.
    server TEXT NOT NULL,
    signal TEXT NOT NULL CONSTRAINT tool_feedback_signal_known CHECK (signal IN ('tool_feedback', 'gap')),
    kind TEXT NOT NULL,
    -- What was given as kind, when that is not known.
    kind_raw TEXT,
    target TEXT NOT NULL,
    text TEXT,
    sub TEXT,
    email TEXT,
    run_id TEXT,
    source TEXT NOT NULL CONSTRAINT tool_feedback_source_known CHECK (source IN ('agent', 'human')),
    resolved_at BIGINT,
    resolved_by TEXT,
    resolution TEXT,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX tool_feedback_by_time ON tool_feedback (tenant_id, created_at, id);
CREATE INDEX tool_feedback_by_run ON tool_feedback (tenant_id, run_id) WHERE run_id IS NOT NULL;

ALTER TABLE content_docs ENABLE ROW LEVEL SECURITY;
ALTER TABLE content_docs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON content_docs
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE content_revisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE content_revisions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON content_revisions
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE runs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON runs
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));

ALTER TABLE tool_feedback ENABLE ROW LEVEL SECURITY;
ALTER TABLE tool_feedback FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tool_feedback
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));
