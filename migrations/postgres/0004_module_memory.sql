-- What an agent's module keeps across restarts: short texts by topic, e.g. the names of what it created in a service.

CREATE TABLE module_memory (
    tenant_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    module TEXT NOT NULL,
    topic TEXT NOT NULL,
    fact TEXT NOT NULL,
    noted_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, agent_id, module, topic, fact),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, agent_id) ON DELETE CASCADE
);

ALTER TABLE module_memory ENABLE ROW LEVEL SECURITY;
ALTER TABLE module_memory FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON module_memory
    USING (tenant_id = current_setting('app.tenant', true))
    WITH CHECK (tenant_id = current_setting('app.tenant', true));
