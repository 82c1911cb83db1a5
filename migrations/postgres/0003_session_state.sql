-- What a client of the `initialize` revisions has set in its session, so that any replica can serve it.

ALTER TABLE mcp_sessions ADD COLUMN log_level TEXT;
-- URIs of resources as the client knows them: a JSON array of texts.
ALTER TABLE mcp_sessions ADD COLUMN subscriptions TEXT NOT NULL DEFAULT '[]';
