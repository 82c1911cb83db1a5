-- People: members of organisations and their roles, groups, who answers for an agent, whom a key identifies.

-- Who may act above organisations. Platform rows: they belong to none.
CREATE TABLE platform_admins (
    sub TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;

-- The email is what this organisation was told; another one may know another.
CREATE TABLE memberships (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    sub TEXT NOT NULL,
    email TEXT,
    role TEXT NOT NULL CONSTRAINT memberships_role_known CHECK (role IN ('member', 'group_admin', 'org_admin')),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, sub)
) STRICT;

CREATE TABLE groups (
    tenant_id TEXT NOT NULL REFERENCES organisations (org_id),
    group_id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, group_id),
    CONSTRAINT groups_name_once UNIQUE (tenant_id, name)
) STRICT;

-- Who is in a group is in the organisation; who leaves it leaves its groups.
CREATE TABLE group_members (
    tenant_id TEXT NOT NULL,
    group_id TEXT NOT NULL,
    sub TEXT NOT NULL,
    group_role TEXT NOT NULL CONSTRAINT group_members_role_known CHECK (group_role IN ('member', 'group_admin')),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, group_id, sub),
    FOREIGN KEY (tenant_id, group_id) REFERENCES groups (tenant_id, group_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, sub) REFERENCES memberships (tenant_id, sub) ON DELETE CASCADE
) STRICT;
CREATE INDEX group_members_by_sub ON group_members (tenant_id, sub);

-- Who answers for an agent (a member or a group, not both), and what it may do itself.
ALTER TABLE agents ADD COLUMN owner_sub TEXT;
ALTER TABLE agents ADD COLUMN owner_group TEXT;
ALTER TABLE agents ADD COLUMN role TEXT NOT NULL DEFAULT 'member';

-- The member that a key identifies; NULL: the agent alone.
ALTER TABLE api_keys ADD COLUMN sub TEXT;
CREATE INDEX api_keys_by_sub ON api_keys (tenant_id, sub) WHERE sub IS NOT NULL;

-- For whom an agent acted, and through which registered client.
ALTER TABLE events ADD COLUMN sub TEXT;
ALTER TABLE events ADD COLUMN email TEXT;
ALTER TABLE events ADD COLUMN client_id TEXT;
