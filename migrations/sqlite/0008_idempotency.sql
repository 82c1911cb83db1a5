-- Answers that are kept for repeated requests (`Idempotency-Key`), and at home in which organisation somebody is who acts above all.

-- Belongs to one principal of one organisation and one route. Without `status` the first request is still running, or its process ended
-- before it was answered. Answers that held a secret are not kept: `response` is NULL then.
CREATE TABLE idempotency (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    principal TEXT NOT NULL,
    route TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    digest TEXT NOT NULL,
    status INTEGER,
    response TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, principal, route, idempotency_key)
) STRICT;
CREATE INDEX idempotency_by_age ON idempotency (tenant_id, created_at);

-- A subject is unique inside one organisation only: whoever may name members elsewhere must not become an administrator above all by
-- naming one of them alike. Entries without an organisation cannot be told apart and have to be made anew.
DROP TABLE platform_admins;
CREATE TABLE platform_admins (
    sub TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL CONSTRAINT platform_admins_org_exists REFERENCES organisations (org_id),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
